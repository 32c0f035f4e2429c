package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pgsluice/pgsluice/policy"
)

// What the commands that need no policy say to people. explain, lint and test
// have theirs beside them.

const precedence = `A flag goes before an environment variable, a variable before the file, the file
before the default. The variable of server.tls.mode is PGSLUICE_SERVER_TLS_MODE,
its flag --server-tls-mode. People are taken from the file only. Relative paths
in the file are relative to its folder. pgsluice.example.yaml has all keys.`

// explainError is what main says about an error; empty: it has been said.
func explainError(err error) string {
	var findings policy.Findings
	var said *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case errors.Is(err, errFindings):
		return ""
	case errors.As(err, &findings):
		return findings.Error()
	case errors.As(err, &said):
		text := said.Message
		if said.Detail != "" {
			text += "\n" + said.Detail
		}
		if said.Hint != "" {
			text += "\nhint: " + said.Hint
		}
		return text
	case errors.As(err, &connect):
		return fmt.Sprintf("%v\nhint: --address, --config or PGHOST and PGPORT say where pgsluice is", connect)
	case exitCode(err) == 2:
		return err.Error() + "\nhint: pgsluice help"
	}
	return err.Error()
}

// isUnknownCommand tells cobra's error for a subcommand that there is not; it has
// no type.
func isUnknownCommand(err error) bool { return strings.HasPrefix(err.Error(), "unknown command ") }

// consoleCommand is how people get to the database pgsluice.
func consoleCommand(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return "psql -d pgsluice"
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		return fmt.Sprintf("psql -p %s -d pgsluice", port)
	}
	return fmt.Sprintf("psql -h %s -p %s -d pgsluice", host, port)
}

func addFormatFlag(c *cobra.Command, format *string) {
	c.Flags().StringVar(format, "format", "text", "text or json")
}

func checkFormat(format string) error {
	if format != "text" && format != "json" {
		return &usageError{fmt.Errorf("--format is text or json, not %q", format)}
	}
	return nil
}

// findingJSON is a finding for machines.
type findingJSON struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
}

func findingsJSON(findings policy.Findings) []findingJSON {
	out := make([]findingJSON, len(findings))
	for i, f := range findings {
		out[i] = findingJSON{File: f.File, Line: f.Line, Column: f.Column, Message: f.Message}
	}
	return out
}

// printChecked says what check found. Without findings there is a policy.
func printChecked(w io.Writer, format string, conf *config, now *inForce, findings policy.Findings) error {
	var cautions policy.Findings
	if now != nil {
		cautions = now.policy.Cautions()
	}
	if format == "json" {
		return writeJSON(w, map[string]any{
			"ok":       len(findings) == 0,
			"findings": findingsJSON(findings),
			"cautions": findingsJSON(cautions),
		})
	}
	t := newTUI(w)
	for _, f := range findings {
		t.printf("%s\n", f.Error())
	}
	for _, f := range cautions {
		t.printf("%s\n", t.faint("caution: "+f.Error()))
	}
	if len(findings) == 0 {
		t.printf("configuration and policy are fine: policy %s with %d rules, %d people\n",
			now.policy.Name(), len(now.policy.Rules()), len(conf.People))
	}
	return t.err
}

// answer is what the console returned, as text; a nil value is NULL.
type answer struct {
	columns []string
	numbers []bool // whether the column is one of numbers
	rows    [][]*string
}

// objects are the rows for machines.
func (a *answer) objects() []map[string]any {
	out := make([]map[string]any, len(a.rows))
	for i, row := range a.rows {
		out[i] = map[string]any{}
		for j, v := range row {
			switch {
			case v == nil:
				out[i][a.columns[j]] = nil
			case a.numbers[j]:
				out[i][a.columns[j]] = jsonNumber(*v)
			default:
				out[i][a.columns[j]] = *v
			}
		}
	}
	return out
}

func (a *answer) value(row []*string, column string) string {
	if i := slices.Index(a.columns, column); i >= 0 && row[i] != nil {
		return *row[i]
	}
	return ""
}

// printRequests is a table of the columns that fit: the statement gets what the
// others leave.
func (a *answer) printRequests(t *tui) {
	if len(a.rows) == 0 {
		t.printf("no requests\n")
		return
	}
	head := []string{"ID", "STATE", "LOGIN", "DATABASE", "RULE", "NEEDS", "STATEMENT"}
	names := []string{"id", "state", "login", "database", "rule", "still_needed", "statement"}
	const widest = 14
	widths := make([]int, len(head))
	cells := make([][]string, len(a.rows))
	for i, h := range head {
		widths[i] = len(h)
	}
	for r, row := range a.rows {
		for i, name := range names {
			cell := a.value(row, name)
			if i < len(names)-1 {
				cell = cut(cell, widest)
			}
			cells[r] = append(cells[r], cell)
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	rest := t.width()
	for _, w := range widths[:len(widths)-1] {
		rest -= w + 1
	}
	rest = max(rest, len("STATEMENT"))
	line := func(cells []string, state func(string) string) {
		var b strings.Builder
		for i, cell := range cells {
			if i == len(cells)-1 {
				b.WriteString(cut(cell, rest))
				break
			}
			padded := cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+1)
			if i == 1 {
				padded = state(padded)
			}
			b.WriteString(padded)
		}
		t.printf("%s\n", strings.TrimRight(b.String(), " "))
	}
	line(head, func(s string) string { return s })
	for _, c := range cells {
		line(c, func(s string) string { return t.state(s) })
	}
	for _, row := range a.rows {
		if n := a.value(row, "blocked"); n != "" && n != "0" {
			t.printf("request %s holds locks: sessions that wait for them: %s\n", a.value(row, "id"), n)
		}
	}
}

// printRequest is one request, field by field; the statement last and whole.
func (a *answer) printRequest(t *tui) {
	statement := ""
	for _, row := range a.rows {
		field, value := a.value(row, "field"), a.value(row, "value")
		switch field {
		case "statement":
			statement = value
			continue
		case "state":
			value = t.state(value)
		}
		t.printf("%-14s %s\n", field, strings.ReplaceAll(value, "\n", "\n"+strings.Repeat(" ", 15)))
	}
	t.printf("\n%s\n", statement)
}

// printDecided says what a decision has come to.
func (a *answer) printDecided(t *tui) {
	for _, row := range a.rows {
		t.printf("request %s is %s", a.value(row, "id"), t.state(a.value(row, "state")))
		if needed := a.value(row, "still_needed"); needed != "" {
			t.printf(": it still needs %s", needed)
		}
		t.printf("\n")
	}
}

// state is a request's state in its colour.
func (t *tui) state(s string) string {
	code, ok := map[string]string{
		"pending": "33", "approved": "32", "used": "32", "done": "32", "denied": "31", "failed": "31", "outcome_unknown": "31",
	}[strings.TrimSpace(s)]
	if !ok {
		return s
	}
	return t.colour(code, s)
}

// width is the terminal's, and 80 elsewhere.
func (t *tui) width() int {
	if f, ok := t.w.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 80 {
			return w
		}
	}
	return 80
}

func cut(s string, longest int) string {
	if utf8.RuneCountInString(s) <= longest {
		return s
	}
	return string([]rune(s)[:longest-1]) + "…"
}

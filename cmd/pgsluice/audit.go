package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgsluice/pgsluice/policy/audit"
)

// auditCommand is `pgsluice audit`: reads the audit log, also while a proxy is
// writing to it.
func auditCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Verify or export the audit log",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return &usageError{errors.New("audit needs verify or export")}
		},
	}
	c.AddCommand(auditVerifyCommand(), auditExportCommand())
	return c
}

func auditVerifyCommand() *cobra.Command {
	var dir, format string
	c := &cobra.Command{
		Use:   "verify --dir DIR",
		Short: "Check that no record was changed, taken out or put in",
		Long: `Verify reads the whole log and checks the hash of each record and the chain that
they form. The exit code is 0 if all are in order and 1 at the first that is not.

Records cut off at the end leave a chain that is in order. Keep the hash of the
newest record elsewhere, and compare.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := errors.Join(checkDir(dir), checkFormat(format)); err != nil {
				return &usageError{err}
			}
			report, err := audit.Verify(dir)
			if err != nil {
				return err
			}
			if format == "json" {
				err = writeJSON(c.OutOrStdout(), report)
			} else {
				err = auditText(newTUI(c.OutOrStdout()), report)
			}
			if err == nil && report.Break != nil {
				err = errFindings
			}
			return err
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "folder of the audit log")
	addFormatFlag(c, &format)
	return c
}

func auditExportCommand() *cobra.Command {
	var dir, format string
	c := &cobra.Command{
		Use:   "export --dir DIR",
		Short: "Write all records, one a line, as JSON or CSV",
		Long: `Export verifies the log as it reads it, and writes the records up to the first
that is not in order; then the exit code is 1. JSON lines are the log's own. In
CSV, text that a spreadsheet would take for a formula has a ' before it.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			write, err := auditWriter(c.OutOrStdout(), format)
			if err = errors.Join(checkDir(dir), err); err != nil {
				return &usageError{err}
			}
			report, err := audit.Read(dir, write)
			if err != nil {
				return err
			}
			if report.Break != nil {
				return fmt.Errorf("the audit log is broken, and what follows was not exported: %w", report.Break)
			}
			return nil
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "folder of the audit log")
	c.Flags().StringVar(&format, "format", "json", "json or csv")
	return c
}

func checkDir(dir string) error {
	if dir == "" {
		return errors.New("--dir names the folder of the audit log")
	}
	return nil
}

// auditText is the report in at most 80 columns.
func auditText(t *tui, r audit.Report) error {
	const row = "%-26s %9s  %-19s  %s\n"
	t.printf(row, "SEGMENT", "RECORDS", "FROM (UTC)", "TO (UTC)")
	for _, s := range r.Segments {
		t.printf(row, s.File, strconv.FormatInt(s.Records, 10), auditTime(s.From), auditTime(s.To))
	}
	t.printf("\n")
	switch {
	case r.Records > 0:
		t.printf("records %d to %d are in order; the last one has the hash\n%s\n", r.First, r.Last, r.Hash)
	default:
		t.printf("no record is in order\n")
	}
	if r.First > 1 {
		t.item("", fmt.Sprintf("Records 1 to %d are not in this folder.", r.First-1))
	}
	if r.Break != nil {
		t.printf("%s\n", t.colour("31", "broken at "+r.Break.File+":"+strconv.Itoa(r.Break.Line)))
		t.item("", r.Break.What)
	}
	return t.err
}

func auditTime(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format(time.DateTime)
}

// auditWriter returns what writes a record in the format.
func auditWriter(w io.Writer, format string) (func(audit.Record) error, error) {
	switch format {
	case "json":
		return func(r audit.Record) error {
			_, err := fmt.Fprintf(w, "%s\n", r.Line())
			return err
		}, nil
	case "csv":
		return auditCSV(w), nil
	}
	return nil, fmt.Errorf("--format is json or csv, not %q", format)
}

func auditCSV(w io.Writer) func(audit.Record) error {
	table := csv.NewWriter(w)
	begun := false
	return func(r audit.Record) error {
		if !begun {
			begun = true
			if err := table.Write([]string{
				"v", "seq", "time", "kind", "request", "rule", "verdict", "policy_hash", "login", "person", "database", "application", "address", "session",
				"statement", "statement_bytes", "parameters", "detail", "prev_hash", "hash",
			}); err != nil {
				return err
			}
		}
		bytes, err := json.Marshal(r.StatementBytes)
		if err != nil {
			return err
		}
		parameters, err := json.Marshal(r.Parameters)
		if err != nil {
			return err
		}
		cells := []string{
			strconv.Itoa(r.V), strconv.FormatInt(r.Seq, 10), r.Time.Format(time.RFC3339Nano), r.Kind, strconv.FormatInt(r.Request, 10),
			r.Rule, r.Verdict, r.PolicyHash, r.Login, r.Person, r.Database, r.Application, r.Address, r.Session,
			r.Statement, orEmpty(strings.Trim(string(bytes), `"`)), orEmpty(string(parameters)), r.Detail, r.PrevHash, r.Hash,
		}
		for i := range cells {
			cells[i] = noFormula(cells[i])
		}
		if err := table.Write(cells); err != nil {
			return err
		}
		table.Flush()
		return table.Error()
	}
}

func orEmpty(json string) string {
	if json == "null" {
		return ""
	}
	return json
}

// noFormula keeps a spreadsheet from running what a client chose as its name or
// statement: https://owasp.org/www-community/attacks/CSV_Injection
func noFormula(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgsluice/pgsluice/policy"
)

// explainCommand is `pgsluice explain 'SQL'`: what is known of a statement, what
// each rule says to it, and what would happen.
func explainCommand() *cobra.Command {
	var from policyFlags
	var catalog catalogFlags
	c := &cobra.Command{
		Use:   "explain 'SQL'",
		Short: "Say what the policy would do with a statement, rule by rule, and why",
		Long: `Explain reads the statement, shows what is known of it from its text alone, what
each rule says to it, and the verdict. Nothing is sent to a server.

With --server the catalogue of a server is asked, in a transaction that can only
read, what the statement's names mean there and what it reaches: the tables behind
views, partitions, foreign keys that cascade, triggers and rules. The statement
itself is never sent. --catalog takes such an answer from a file, as --save-catalog
wrote it.

The exit code is 0 if the statement would run and 1 if it would be held or
blocked.`,
		Example: `  pgsluice explain "DELETE FROM accounts WHERE email LIKE '%'"
  pgsluice explain --policy ./policy --user alice --in-transaction 'TRUNCATE orders'
  pgsluice explain --server "host=/run/postgresql dbname=shop" 'DELETE FROM accounts WHERE id = 1'`,
		Args: oneStatement,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := from.load()
			if err != nil {
				return err
			}
			text := args[0]
			if text == "-" {
				all, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxScript))
				if err != nil {
					return fmt.Errorf("read the statement: %w", err)
				}
				text = string(all)
			}
			replay := from.replay(p, time.Now())
			if replay.Catalog, err = catalog.load(cmd.Context(), replay, text); err != nil {
				return err
			}
			outcomes := replay.Next(text)
			if len(outcomes) == 0 {
				return &usageError{errors.New("there is no statement in this text")}
			}
			if from.format == "json" {
				err = writeJSON(cmd.OutOrStdout(), explainJSON(p, outcomes))
			} else {
				err = explainText(newTUI(cmd.OutOrStdout()), p, outcomes)
			}
			if err != nil {
				return err
			}
			for _, o := range outcomes {
				if !o.Decision.Verdict.Runs() {
					return errFindings
				}
			}
			return nil
		},
	}
	from.register(c, "text", "json")
	from.session(c)
	catalog.register(c)
	return c
}

func oneStatement(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return &usageError{errors.New("explain takes one argument, the SQL in quotes (or - to read it from standard input)")}
	}
	return nil
}

// explainText writes for a terminal of 80 columns.
func explainText(t *tui, p *policy.Policy, outcomes []policy.Outcome) error {
	for i, o := range outcomes {
		if len(outcomes) > 1 {
			t.heading(fmt.Sprintf("Statement %d of %d", i+1, len(outcomes)))
		}
		t.heading("Facts")
		for _, line := range factLines(o.Facts) {
			t.item("", line)
		}
		reachText(t, o.Facts)
		t.heading("Rules of " + p.Name())
		quiet := 0
		for _, r := range p.Explain(&o.Session, o.Facts) {
			switch {
			case r.Matched:
				t.item(t.verdict(r.Rule.Action), r.Rule.ID+" matches: "+r.Reason)
			case r.Other:
				quiet++ // most of them
			default:
				t.item(t.faint("-"), r.Rule.ID+": "+r.Reason)
			}
		}
		if quiet > 0 {
			t.item(t.faint("-"), fmt.Sprintf("%d rules are about other statements (--format json names them)", quiet))
		}
		t.heading("Verdict")
		d := o.Decision
		t.item(t.verdict(d.Verdict), verdictLine(d))
		if d.Rule != nil && d.Verdict != policy.Allow {
			t.item("", "Because: "+d.Reason)
			if d.Rule.Hint != "" {
				t.item("", "Next: "+d.Rule.Hint)
			}
			if !d.Verdict.Runs() && d.Verdict != policy.Block {
				t.item("", "Needs: "+needsLine(d.Rule))
			}
			t.item("", fmt.Sprintf("From: %s:%d", d.Rule.File, d.Rule.Line))
		}
		if r := p.Standing(&o.Session, o.Facts); r != nil && d.Verdict.Runs() {
			t.heading("Standing grant")
			t.item("", fmt.Sprintf("%s lets %s change up to %s by it, as measured before it commits. What is over is rolled back and needs %s.",
				r.ID, o.Session.User, r.Limit(), needsLine(r)))
		}
	}
	return t.err
}

// verdictLine says what happens, in the words of the messages on the wire.
func verdictLine(d policy.Decision) string {
	does := map[policy.Verdict]string{
		policy.Allow:  "it runs",
		policy.Warn:   "it runs, and the client is told",
		policy.Hold:   "it waits until it is approved",
		policy.Ticket: "it is refused, and may be sent again once it is approved",
		policy.Block:  "it is refused, whoever asks",
	}[d.Verdict]
	line := d.ID() + ": " + does
	if d.Rule != nil && d.Rule.Title != "" && d.Verdict != policy.Allow {
		line += ". " + d.Rule.Title + "."
	}
	return line
}

func needsLine(r *policy.Rule) string {
	parts := make([]string, len(r.Approve))
	for i, n := range r.Approve {
		parts[i] = fmt.Sprintf("%d of %s", n.Count, n.Group)
	}
	line := strings.Join(parts, " and ") + ", nobody for their own request"
	if r.Scope == policy.ScopeSession {
		line += "; for the whole session"
	}
	return line
}

// maxShapeShown bounds what is shown of the text that a shape is of.
const maxShapeShown = 2000

// factLines says what is known of the statement.
func factLines(f *policy.Facts) []string {
	lines := []string{"statement: " + string(f.Class)}
	if f.Problem != "" {
		lines = append(lines, "problem: "+f.Problem)
	}
	for _, a := range f.Actions {
		line := "action: " + string(a.Class)
		for _, part := range actionParts(a) {
			line += "; " + part
		}
		lines = append(lines, line)
	}
	for _, s := range f.Settings {
		line := "sets: " + s.Name
		if s.Name == "" {
			line = "sets: a parameter whose name is no constant"
		}
		if !s.Known {
			line += ", to what is not known"
		}
		lines = append(lines, line)
	}
	if f.Executes != "" {
		lines = append(lines, "executes: "+f.Executes)
	}
	if f.Prepares != "" {
		lines = append(lines, "prepares: "+f.Prepares)
	}
	if f.ChangesNothing() {
		return lines
	}
	if s := f.Shape(); s.ID != "" {
		lines = append(lines, "shape: "+s.ID)
		if of := []rune(s.Text); len(of) <= maxShapeShown {
			lines = append(lines, "shape of: "+s.Text)
		} else {
			lines = append(lines, "shape of: "+string(of[:maxShapeShown])+"...")
		}
	} else {
		lines = append(lines, "shape: none; "+s.None)
	}
	return lines
}

func actionParts(a policy.Action) []string {
	var parts []string
	if a.Carrier != "" {
		parts = append(parts, "inside "+a.Carrier)
	}
	if len(a.Tables) > 0 {
		parts = append(parts, "on "+strings.Join(tableStrings(a.Tables), ", "))
	}
	if w := a.Where.String(); w != "" {
		parts = append(parts, "where: "+w)
	}
	if a.Proof != "" {
		parts = append(parts, a.Proof)
	}
	if a.Cascade {
		parts = append(parts, "cascade")
	}
	if a.AtMostRows > 0 {
		parts = append(parts, fmt.Sprintf("at most %d rows, by a unique key", a.AtMostRows))
	}
	if a.Empty {
		parts = append(parts, "finds nothing to act on")
	}
	if a.Tool != "" {
		parts = append(parts, "its table is one that "+a.Tool+" keeps for itself")
	}
	if len(a.Triggers) > 0 {
		parts = append(parts, "sets off "+strings.Join(a.Triggers, ", "))
	}
	if len(a.Functions) > 0 {
		parts = append(parts, "calls "+strings.Join(a.Functions, ", "))
	}
	return parts
}

func tableStrings(tables []policy.Table) []string {
	all := make([]string, len(tables))
	for i, t := range tables {
		all[i] = t.String()
	}
	return all
}

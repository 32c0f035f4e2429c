package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgsluice/pgsluice/policy"
)

// lintCommand is `pgsluice lint FILE.sql...`: what the policy would do with the
// statements of a script, before anybody runs it.
func lintCommand() *cobra.Command {
	var from policyFlags
	c := &cobra.Command{
		Use:   "lint FILE.sql...",
		Short: "Say which statements of SQL scripts the policy would stop",
		Long: `Lint reads scripts as psql does and judges each statement by the policy, as if one
session ran the script from beginning to end. Meta-commands of psql are not
judged; each gets a notice. Data of COPY ... FROM stdin are skipped.

The exit code is 1 if any statement would be held or blocked.`,
		Example: `  pgsluice lint --policy ./policy migrations/*.sql
  pgsluice lint --format github db/*.sql`,
		Args: needArgs("at least one file (- for standard input)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := from.load()
			if err != nil {
				return err
			}
			l := &linter{from: &from, policy: p, now: time.Now(), sessions: make(map[string]bool)}
			for _, file := range args {
				text, err := readScript(file, cmd.InOrStdin())
				if err != nil {
					return err
				}
				l.file(file, text)
			}
			if err := l.write(cmd.OutOrStdout(), from.format); err != nil {
				return err
			}
			if l.stopped > 0 {
				return errFindings
			}
			return nil
		},
	}
	from.register(c, "text", "json", "github", "sarif")
	from.session(c)
	return c
}

func readScript(file string, stdin io.Reader) (string, error) {
	r := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", &usageError{fmt.Errorf("read script: %w", err)}
		}
		defer f.Close() // opened for reading
		r = f
	}
	text, err := io.ReadAll(io.LimitReader(r, maxScript+1))
	switch {
	case err != nil:
		return "", &usageError{fmt.Errorf("read script: %w", err)}
	case len(text) > maxScript:
		return "", fmt.Errorf("read script: %s is larger than %d bytes", file, maxScript)
	}
	return string(text), nil
}

// lintFinding is one line of the answer.
type lintFinding struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Verdict string `json:"verdict"` // a verdict, or "notice" for what is not judged
	Rule    string `json:"rule,omitempty"`
	Title   string `json:"title,omitempty"`
	Reason  string `json:"reason"`
	Hint    string `json:"hint,omitempty"`
}

// linter judges scripts.
type linter struct {
	from   *policyFlags
	policy *policy.Policy
	now    time.Time

	findings   []lintFinding
	sessions   map[string]bool // file and rule of what has been told once for its whole session
	statements int
	stopped    int // statements that would be held or blocked
}

// file judges one script as one session.
func (l *linter) file(file, text string) {
	replay := l.from.replay(l.policy, l.now)
	script := policy.NewScript(text)
	for part, more := script.Next(); more; part, more = script.Next() {
		statement := part.Text
		if part.Meta {
			meta, notice := metaCommand(part.Text)
			if notice != "" {
				l.findings = append(l.findings, lintFinding{File: file, Line: part.Line, Column: part.Column,
					Verdict: "notice", Reason: notice})
			}
			if meta == "" {
				continue
			}
			statement = meta
		}
		for _, o := range replay.Next(statement) {
			l.statements++
			l.judge(file, part, o)
			if o.Facts.CopyIn && !part.Meta {
				script.SkipCopyData()
			}
		}
	}
}

func (l *linter) judge(file string, at policy.Part, o policy.Outcome) {
	d := o.Decision
	if d.Verdict == policy.Allow {
		return
	}
	if !d.Verdict.Runs() {
		l.stopped++
	}
	if d.Rule.Scope == policy.ScopeSession {
		// One approval is for the whole session, and one finding too.
		key := file + "\x00" + d.ID()
		if l.sessions[key] {
			return
		}
		l.sessions[key] = true
	}
	l.findings = append(l.findings, lintFinding{
		File: file, Line: at.Line, Column: at.Column,
		Verdict: d.Verdict.String(), Rule: d.ID(), Title: d.Rule.Title, Reason: d.Reason, Hint: d.Rule.Hint,
	})
}

package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/pgsluice/pgsluice/policy/approval"
	"github.com/pgsluice/pgsluice/policy/audit"
)

// anAuditLog makes a log with three records of requests and returns its folder
// and its text.
func anAuditLog(t *testing.T) (dir string, text []byte) {
	t.Helper()
	dir = t.TempDir()
	l, err := audit.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []approval.Event{
		{Kind: approval.KindRequested, Request: 1, Rule: "no-where", Login: "alice", Statement: "DELETE FROM a WHERE n <> '&'", Parameters: []string{"1", "NULL"}},
		{Kind: approval.KindApproved, Request: 1, Person: "bob", Application: `=HYPERLINK("http://evil")`, Statement: "-- a comment\nDELETE FROM a"},
		{Kind: approval.KindUsed, Request: 1, Statement: "DELETE FROM a WHERE n = '\xff'"},
	} {
		e.Time = time.Date(2026, 11, 21, 12, 0, 0, 5000, time.UTC)
		if err := l.Record(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	text, err = os.ReadFile(filepath.Join(dir, "audit-000000000001.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return dir, text
}

func breakLog(t *testing.T, dir string, text []byte) {
	t.Helper()
	changed := bytes.Replace(text, []byte(`"person":"bob"`), []byte(`"person":"eve"`), 1)
	if err := os.WriteFile(filepath.Join(dir, "audit-000000000001.jsonl"), changed, 0o600); err != nil {
		t.Fatal(err)
	}
}

func runAudit(t *testing.T, args ...string) (output string, code int, err error) {
	t.Helper()
	root := &cobra.Command{Use: "pgsluice", SilenceErrors: true, SilenceUsage: true}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(auditCommand())
	markUsage(root)
	var out strings.Builder
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SetArgs(append([]string{"audit"}, args...))
	err = root.Execute()
	return out.String(), exitCode(err), err
}

func TestAuditVerifySaysThatTheLogIsInOrderOrWhereItIsNot(t *testing.T) {
	dir, text := anAuditLog(t)
	out, code, err := runAudit(t, "verify", "--dir", dir)
	if code != 0 || !strings.Contains(out, "records 1 to 5 are in order") {
		t.Errorf("exit %d, %v\n%s", code, err, out)
	}
	for line := range strings.Lines(out) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}

	breakLog(t, dir, text)
	out, code, err = runAudit(t, "verify", "--dir", dir)
	if code != 1 || !errors.Is(err, errFindings) || !strings.Contains(out, "records 1 to 2 are in order") || !strings.Contains(out, "broken at audit-000000000001.jsonl:3\n") {
		t.Errorf("a changed record: exit %d, %v\n%s", code, err, out)
	}
	out, code, _ = runAudit(t, "verify", "--dir", dir, "--format", "json")
	var report audit.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 1 || report.Break == nil || report.Break.Line != 3 || report.Records != 2 {
		t.Errorf("as JSON: exit %d, %v\n%s", code, err, out)
	}
}

func TestAuditExportIsTheLogAsItIs(t *testing.T) {
	dir, text := anAuditLog(t)
	if out, code, err := runAudit(t, "export", "--dir", dir); code != 0 || out != string(text) {
		t.Errorf("exit %d, %v: exported\n%s\nof\n%s", code, err, out, text)
	}
	breakLog(t, dir, text)
	lines := bytes.SplitAfter(text, []byte("\n"))
	out, code, err := runAudit(t, "export", "--dir", dir)
	var broken *audit.Break
	if code != 1 || !errors.As(err, &broken) || out != string(bytes.Join(lines[:2], nil)) {
		t.Errorf("of a broken log: exit %d, %v\n%s", code, err, out)
	}
}

func TestAuditExportAsCSVHoldsNoFormula(t *testing.T) {
	dir, _ := anAuditLog(t)
	out, code, err := runAudit(t, "export", "--dir", dir, "--format", "csv")
	if code != 0 {
		t.Fatal(code, err)
	}
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(rows) != 6 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	cell := func(row int, name string) string {
		for i, head := range rows[0] {
			if head == name {
				return rows[row][i]
			}
		}
		t.Fatalf("there is no column %s", name)
		return ""
	}
	for _, c := range []struct {
		row        int
		name, want string
	}{
		{2, "kind", "requested"}, {2, "time", "2026-11-21T12:00:00.000005Z"}, {2, "parameters", `["1","NULL"]`}, {2, "statement", "DELETE FROM a WHERE n <> '&'"},
		{3, "application", `'=HYPERLINK("http://evil")`}, {3, "statement", "'-- a comment\nDELETE FROM a"}, {3, "parameters", ""}, {3, "statement_bytes", ""},
		{4, "statement_bytes", "REVMRVRFIEZST00gYSBXSEVSRSBuID0gJ/8n"},
	} {
		if got := cell(c.row, c.name); got != c.want {
			t.Errorf("%s of row %d is %q, want %q", c.name, c.row, got, c.want)
		}
	}
}

func TestAuditWrongUse(t *testing.T) {
	dir, _ := anAuditLog(t)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 2, "verify or export"},
		{[]string{"burn"}, 2, `unknown command "burn"`},
		{[]string{"verify"}, 2, "--dir"},
		{[]string{"export"}, 2, "--dir"},
		{[]string{"verify", dir}, 2, "unknown command"},
		{[]string{"verify", "--dir", dir, "--format", "csv"}, 2, "text or json"},
		{[]string{"export", "--dir", dir, "--format", "text"}, 2, "json or csv"},
		{[]string{"verify", "--dir", dir, "--loud"}, 2, "--loud"},
		{[]string{"verify", "--dir", t.TempDir()}, 1, "no audit log"},
		{[]string{"export", "--dir", filepath.Join(dir, "nowhere")}, 1, "no such file"},
	} {
		_, code, err := runAudit(t, c.args...)
		if code != c.code || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("audit %v: exit %d, %v; want %d: %s", c.args, code, err, c.code, c.want)
		}
	}
}

package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The policy cases of the project are run by what runs those of its users.
func TestPolicyCases(t *testing.T) {
	files, err := CaseFiles([]string{"../testdata/policy"})
	if err != nil {
		t.Fatal(err)
	}
	reader := NewReader()
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			results, err := RunCases(file, reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if !r.Passed {
					t.Errorf("%s:%d: %s\nwant %s, got %s: %s", r.File, r.Line, r.Statement, r.Want, r.Got, r.Why)
				}
			}
		})
	}
}

// runText runs the cases of a file with this text.
func runText(t *testing.T, name, text string) []CaseResult {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	results, err := RunCases(file, NewReader(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestACaseFailsAtTheLineOfItsVerdict(t *testing.T) {
	results := runText(t, "a.txtar", `What it claims.

-- alice.sql --
DELETE FROM t;  -- allow

DELETE
FROM t;         -- hold truncate
DELETE FROM t;
SELECT 1;       -- block
SELECT 1;       -- perhaps
SELECT 2        -- allow
`)
	want := []struct {
		line int
		why  string
	}{
		{4, "no WHERE"}, {7, "no WHERE"}, {8, "does not end in its verdict"}, {9, "needs the id of a rule"},
		{10, "does not end in its verdict"}, {11, ""},
	}
	if len(results) != len(want) {
		t.Fatalf("results %+v", results)
	}
	for i, w := range want {
		r := results[i]
		if r.Line != w.line || !strings.Contains(r.Why, w.why) || r.Passed != (w.why == "") {
			t.Errorf("result %d is %+v, want line %d, %q", i, r, w.line, w.why)
		}
	}
	if r := results[1]; r.Want != "hold truncate" || r.Got != "hold no-where" {
		t.Errorf("want %q, got %q", r.Want, r.Got)
	}
}

func TestWhatIsNoCaseFails(t *testing.T) {
	for name, text := range map[string]string{
		"no sections":     "SELECT 1; -- allow\n",
		"empty section":   "-- alice.sql --\n-- nothing\n",
		"unknown section": "-- notes.md --\nx\n",
		"meta-command":    "-- alice.sql --\n\\i other.sql\n",
		"unknown header":  "-- alice.sql --\n-- session: usr=bob\nSELECT 1; -- allow\n",
		"wrong header":    "-- alice.sql --\n-- session: transaction=maybe\nSELECT 1; -- allow\n",
		"not a header":    "-- alice.sql --\n-- session: hello\nSELECT 1; -- allow\n",
	} {
		failed := false
		for _, r := range runText(t, "a.txtar", text) {
			failed = failed || !r.Passed
		}
		if !failed {
			t.Errorf("%s passed", name)
		}
	}
}

func TestASQLFileIsJudgedByThePolicyBesideIt(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"policy.yaml":       "version: 1\nrules:\n- {id: mine, match: {statement: [select]}, action: block}\n",
		"reads_test.sql":    "SELECT 1; -- block mine\n",
		"not_a_case.sql":    "SELECT 1;\n",
		"sub/own.txtar":     "-- policy.yaml --\nversion: 1\n-- alice.sql --\nSELECT 1; -- allow\n",
		"sub/ignored.md":    "x",
		"sub/more_test.sql": "TRUNCATE t; -- hold truncate\n", // no policy beside it: the built-in one
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := CaseFiles([]string{dir})
	if err != nil || len(files) != 3 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, file := range files {
		results, err := RunCases(file, NewReader(), nil)
		if err != nil || len(results) != 1 || !results[0].Passed {
			t.Errorf("%s: %+v, %v", file, results, err)
		}
	}
}

func TestAMistakeInTheSectionsPolicyIsFoundInTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.txtar")
	if err := os.WriteFile(file, []byte("claim\n\n-- policy.yaml --\nversion: 1\nrulez: []\n-- a.sql --\nSELECT 1; -- allow\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := RunCases(file, NewReader(), nil)
	if err == nil || !strings.HasPrefix(err.Error(), file+":5:1: unknown key \"rulez\"") {
		t.Errorf("error %v", err)
	}
}

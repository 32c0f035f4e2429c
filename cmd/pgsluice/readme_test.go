package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/pgsluice/pgsluice/policy"
)

// snippets are the fenced blocks of the README in a language, in order.
func snippets(t *testing.T, language string) []string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(readme), -1) {
		found = append(found, m[1])
	}
	return found
}

// readmeFile writes a snippet where the README says it stands.
func readmeFile(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadmeConfigurationLoadsAndCanRelease(t *testing.T) {
	yaml := snippets(t, "yaml")
	if len(yaml) != 3 || !strings.HasPrefix(yaml[0], "listen:") {
		t.Fatalf("the README has %d yaml snippets, and the first is no configuration", len(yaml))
	}
	dir := t.TempDir()
	readmeFile(t, dir, "bob.verifier", "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$"+strings.Repeat("A", 43)+"=:"+strings.Repeat("A", 43)+"=\n")
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addConfigFlags(flags)
	if err := flags.Set("config", readmeFile(t, dir, "pgsluice.yaml", yaml[0])); err != nil {
		t.Fatal(err)
	}
	conf, err := loadConfig(flags)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readPolicy(conf); err != nil {
		t.Error(err)
	}
}

func TestReadmePolicyPassesTheCasesOfTheReadme(t *testing.T) {
	yaml, sql := snippets(t, "yaml"), snippets(t, "sql")
	if len(yaml) != 3 || len(sql) != 1 {
		t.Fatalf("the README has %d yaml and %d sql snippets", len(yaml), len(sql))
	}
	dir := t.TempDir()
	p, err := policy.Load(readmeFile(t, dir, "policy.yaml", yaml[1]), map[string][]string{"dba": {"bob"}})
	if err != nil {
		t.Fatal(err)
	}
	results, err := policy.RunCases(readmeFile(t, dir, "readme_test.sql", sql[0]), policy.NewReader(), p)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 5 {
		t.Errorf("%d cases ran", len(results))
	}
	for _, r := range results {
		if !r.Passed {
			t.Errorf("%+v", r)
		}
	}
}

func TestReadmeGrantIsForTheStatementOfTheReadme(t *testing.T) {
	p, err := policy.Load(readmeFile(t, t.TempDir(), "policy.yaml", snippets(t, "yaml")[2]), map[string][]string{"dba": {"bob"}})
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("pgsluice explain \"(DELETE FROM public[^\"]*)\"").FindSubmatch(readme)
	if m == nil {
		t.Fatal("the README explains no statement")
	}
	f := policy.NewReader().Read(string(m[1]), policy.Lexing{Encoding: "UTF8", StandardConformingStrings: true, Known: true})[0]
	r := p.Standing(&policy.Session{User: "cleanup_job"}, f)
	if r == nil || r.Limit() != "70,000 rows in 24h" {
		t.Errorf("the grant of %q is %+v", m[1], r)
	}
	if r := p.Standing(&policy.Session{User: "alice"}, f); r != nil {
		t.Error("anybody has the grant")
	}
}

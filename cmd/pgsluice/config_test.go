package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/pgsluice/pgsluice/policy"
)

func configFrom(t *testing.T, text string, args ...string) (*config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pgsluice.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addConfigFlags(flags)
	if err := flags.Parse(append(args, "--config", file)); err != nil {
		t.Fatal(err)
	}
	return loadConfig(flags)
}

func TestExampleConfigurationLoadsAndHoldsTheDefaults(t *testing.T) {
	const example = "../../pgsluice.example.yaml"
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addConfigFlags(flags)
	if err := flags.Parse([]string{"--config", example}); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(flags)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readPolicy(c); err != nil {
		t.Errorf("serve would not start with it: %v", err)
	}
	read, _ := readConfigFile(example)
	for _, k := range keys {
		if text, ok := read.values[k.name]; !ok {
			t.Errorf("%s is not in the example", k.name)
		} else if text != k.value {
			t.Errorf("%s is %q in the example; the default is %q", k.name, text, k.value)
		}
	}
	if len(c.People) != 3 || c.People[0].Logins[1] != "app_migrations" || c.People[1].Groups[0] != "dba" {
		t.Errorf("people: %+v", c.People)
	}
}

func TestFlagBeforeVariableBeforeFileBeforeDefault(t *testing.T) {
	const file = "hold: {window: 3m}\n"
	window := func(c *config, err error) time.Duration {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c.Hold.Window
	}
	if got := window(configFrom(t, "")); got != 15*time.Minute {
		t.Errorf("default: %v", got)
	}
	if got := window(configFrom(t, file)); got != 3*time.Minute {
		t.Errorf("file: %v", got)
	}
	t.Setenv("PGSLUICE_HOLD_WINDOW", "2m")
	if got := window(configFrom(t, file)); got != 2*time.Minute {
		t.Errorf("variable: %v", got)
	}
	if got := window(configFrom(t, file, "--hold-window", "1m")); got != time.Minute {
		t.Errorf("flag: %v", got)
	}
}

func TestEveryKeyHasAVariableAndAFlag(t *testing.T) {
	for _, k := range keys {
		t.Run(k.name, func(t *testing.T) {
			t.Setenv(k.variable(), "nonsense")
			if k.path || k.name == "console.reload_group" {
				t.Setenv(k.variable(), "/there/is/no/such/file")
			}
			c, err := configFrom(t, "")
			if err == nil && k.path {
				return // policy, ledger and audit.dir are opened later
			}
			if err == nil && (k.name != "console.reload_group" || c.Console.ReloadGroup != "/there/is/no/such/file") {
				t.Errorf("%s is not read", k.variable())
			}
		})
	}
}

func TestPathsInTheFileAreBesideIt(t *testing.T) {
	c, err := configFrom(t, "policy: p\naudit: {dir: /var/log/a}\n", "--ledger", "sqlite:l.db")
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(c.Policy) || filepath.Base(c.Policy) != "p" {
		t.Errorf("policy: %s", c.Policy)
	}
	if c.AuditDir != "/var/log/a" || c.Ledger != "sqlite:l.db" {
		t.Errorf("an absolute path or a flag's was moved: %s, %s", c.AuditDir, c.Ledger)
	}
}

func TestConfigurationIsStrict(t *testing.T) {
	for text, want := range map[string]string{
		"- a":                        ":1:1: expected keys with values",
		"a: 1":                       `:1:1: unknown key "a"`,
		"hold: 5":                    ":1:7: expected keys with values",
		"listen: [a]":                ":1:9: listen has to be a single value",
		"listen: &a x:1\npolicy: *a": ":1:9: listen has to be a single value",
		"hold:\n  max_wait: 1":       `:2:13: hold.max_wait has to be a duration`,
		"limits: {sessions: 0}":      ":1:20: limits.sessions has to be a number from 1 on",
		"limits: {before_login: 5x}": ":1:24: limits.before_login has to be a number from 1 on",
		"proxy_protocol: {trusted: [10.0.0.0/8, here]}": ":1:27: proxy_protocol.trusted has to be networks such as 10.0.0.0/8, not \"here\"",
		"proxy_protocol: {trusted: 10.0.0.1/8}":         ":1:27: proxy_protocol.trusted has to be networks, and \"10.0.0.1/8\" is an address in 10.0.0.0/8",
		"proxy_protocol: {trusted: [[10.0.0.0/8]]}":     ":1:28: proxy_protocol.trusted has to be a single value",
		"drain: never":                               ":1:8: drain has to be a duration",
		"ledger: postgres://x":                       ":1:9: ledger has to be sqlite:PATH",
		"server: {tls: {mode: verify}}":              ":1:22: server.tls.mode has to be one of",
		"server: {tls: {mode: verify-full}}":         "needs server.tls.ca",
		"server: {tls: {mode: require, ca: system}}": "needs server.tls.mode verify-full",
		"tls: {required: true}":                      "cannot be required of clients without",
		"tls: {cert: a}":                             "tls.cert and tls.key go together",
		"tls: {cert: a, key: b}":                     "tls.cert cannot be used",
		"people: {bob: 1}":                           ":1:9: people has to be a list",
		"people: [{name: bob, password: {}}]":        "a password is a text, {file: PATH} or {env: NAME}",
		"people: [{name: bob, logins: ['']}]":        ":1:31: logins has an empty entry",
		"---\nlisten: a:1\n---\nlisten: a:1\n":       "a configuration is one YAML document",
	} {
		_, err := configFrom(t, text)
		var findings policy.Findings
		if !errors.As(err, &findings) {
			t.Errorf("%q: want findings, got %v", text, err)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want %q, got\n%v", text, want, err)
		}
	}
	for _, text := range []string{"", "# nothing", "hold:\n", "people:\n", "policy:\n"} {
		if _, err := configFrom(t, text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzConfigurationFile(f *testing.F) {
	f.Add("listen: a:1\npeople: [{name: x, password: {env: Y}}]")
	f.Add("hold: {window: 1m}\nhold: 1")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, findings := readConfigFile(file)
		for _, f := range findings {
			if f.Message == "" {
				t.Errorf("a finding that says nothing: %+v", f)
			}
		}
	})
}

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/proxy"
)

const someVerifier = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

// loadText reads a configuration with the files beside it.
func loadText(t *testing.T, text string, beside map[string]string) (*config, error) {
	t.Helper()
	dir := t.TempDir()
	beside["pgsluice.yaml"] = text
	for name, content := range beside {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	addConfigFlags(flags)
	if err := flags.Parse([]string{"--config", filepath.Join(dir, "pgsluice.yaml")}); err != nil {
		t.Fatal(err)
	}
	return loadConfig(flags)
}

// TestAuthConfiguration: each mistake has its place, that of the verifiers too.
func TestAuthConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		"auth: {method: scram}":                                                            ":1:16: auth.method scram needs auth.verifiers",
		"auth: {method: trust}":                                                            ":1:16: auth.method has to be one of",
		"auth: {verifiers: good}":                                                          ":1:19: auth.verifiers means nothing unless",
		"auth: {query_login: {user: a}}":                                                   ":1:28: auth.query_login.user means nothing unless",
		"auth: {method: scram, verifiers: nowhere}":                                        ":1:34: the verifiers: open ",
		"auth: {method: scram, verifiers: bad}":                                            "bad:2:1: not a SCRAM-SHA-256 verifier",
		"auth: {method: scram, verifiers: good, query_login: {user: a}}":                   "two ways to do one thing",
		"auth: {method: scram, query_login: {user: a, password_file: nowhere}}":            ":1:61: the file of the query's password: open ",
		"auth: {method: scram, query_login: {user: a, password_file: empty}}":              "password is empty",
		"auth: {method: scram, query_login: {user: a, password_env: NOT_SET}}":             "the variable NOT_SET is not set",
		"auth: {method: scram, query_login: {user: a, password_env: X, password_file: f}}": "has two passwords",
		"auth: {method: scram, query_login: {user: a}, query: ''}":                         "auth.query must not be empty",
		"tls: {client_cert: verify-full}":                                                  "tls.client_cert verify-full needs tls.client_ca",
		"server: {tls: {negotiation: direct}}":                                             "server.tls.negotiation direct needs server.tls.mode require",
	} {
		_, err := loadText(t, text, map[string]string{
			"good": `"a" "` + someVerifier + `"`, "bad": "\"a\" \"" + someVerifier + "\"\n\"b\" \"secret\"\n", "empty": "\n"})
		var findings policy.Findings
		if !errors.As(err, &findings) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, not %s", text, err, want)
		}
	}
}

// TestAuthOfTheProxy is what comes of a configuration without a mistake.
func TestAuthOfTheProxy(t *testing.T) {
	t.Setenv("QUERY_PASSWORD", "from the environment")
	for _, c := range []struct {
		text, password, sql string
		file                bool
	}{
		{text: "{}"},
		{text: "auth: {method: scram, verifiers: good}", file: true},
		{text: "auth: {method: scram, query_login: {user: a, password_file: password}}", password: "from a file", sql: proxy.DefaultVerifierSQL},
		{text: "auth: {method: scram, query_login: {user: a, password_env: QUERY_PASSWORD}, query: SELECT f($1)}", password: "from the environment", sql: "SELECT f($1)"},
		{text: "auth: {method: scram, query_login: {user: a}}", sql: proxy.DefaultVerifierSQL},
	} {
		conf, err := loadText(t, c.text, map[string]string{"good": `"a" "` + someVerifier + `"`, "password": "from a file\n"})
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		got := conf.auth()
		if (got.File != "") != c.file || (got.Query != nil) != (c.sql != "") {
			t.Errorf("%s: %+v", c.text, got)
		}
		if got.Query == nil {
			continue
		}
		if got.Query.SQL != c.sql || got.Query.User != "a" || got.Query.Database != "postgres" || (got.Query.Password != nil) != (c.password != "") {
			t.Errorf("%s: %+v", c.text, got.Query)
		}
		if c.password != "" {
			if password, err := got.Query.Password(); err != nil || password != c.password {
				t.Errorf("%s: the password is %q, %v", c.text, password, err)
			}
		}
	}
}

// TestCommonNameIsAHost only where a certificate has no other names, as libpq has it.
func TestCommonNameIsAHost(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, host string
		alt        []string
		ips        []net.IP
		ok         bool
	}{
		{"db.example", "db.example", nil, nil, true},
		{"db.example", "DB.example", nil, nil, true},
		{"*.example", "db.example", nil, nil, true},
		{"127.0.0.1", "127.0.0.1", nil, nil, true},
		{"db.example", "other.example", nil, nil, false},
		{"db.example", "db.example", []string{"other.example"}, nil, false},
		{"db.example", "db.example", nil, []net.IP{net.IPv4(127, 0, 0, 1)}, false},
		{"db.example", "127.0.0.1", nil, []net.IP{net.IPv4(127, 0, 0, 1)}, true},
		{"", "", nil, nil, false},
	} {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: c.name}, DNSNames: c.alt, IPAddresses: c.ips,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := verifyHost(leaf, c.host); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

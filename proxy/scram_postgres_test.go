package proxy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// authHouse is a server with TLS that asks everybody over TCP for a password by
// SCRAM, and trusts the login "trusted".
type authHouse struct {
	*pgcluster.Cluster
}

// What the logins of the house are called, and how their passwords are kept.
const authRoles = `
CREATE ROLE app LOGIN PASSWORD 'secret';
CREATE ROLE "we""ird" LOGIN PASSWORD 'secret';
CREATE ROLE trusted LOGIN PASSWORD 'secret';
CREATE ROLE nothing LOGIN;
CREATE ROLE nologin PASSWORD 'secret';
CREATE ROLE expired LOGIN PASSWORD 'secret' VALID UNTIL '2020-01-01';
SET password_encryption = md5;
CREATE ROLE digest LOGIN PASSWORD 'secret';
CREATE FUNCTION public.verifier_of(name text) RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
AS $$ SELECT rolpassword FROM pg_authid WHERE rolname = $1 $$;
`

func newAuthHouse(t *testing.T) *authHouse {
	t.Helper()
	// The server's certificate is its own root, beside the data folder.
	cluster, err := pgcluster.Start(t.Context(), pgcluster.Options{TLS: true, Settings: map[string]string{"ssl_ca_file": "../server.crt"}, HBA: []string{
		"host all trusted 127.0.0.1/32 trust",
		"hostssl all certified 127.0.0.1/32 scram-sha-256 clientcert=verify-full",
		"host all all 127.0.0.1/32 scram-sha-256",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Stop() })
	h := &authHouse{cluster}
	h.sql(t, authRoles)
	for name, iterations := range map[string]int{"few": 1000, "many": 20_000} {
		h.sql(t, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", name, verifierText(t, "secret", iterations)))
	}
	return h
}

func (h *authHouse) sql(t *testing.T, text string) string {
	t.Helper()
	return psql(t, h.Cluster, h.DSN("postgres", h.Superuser), text)
}

// verifierText is what the server would keep, with as many iterations as wanted.
func verifierText(t *testing.T, password string, iterations int) string {
	t.Helper()
	salt := []byte("0123456789abcdef")
	k, err := keysOf(password, salt, iterations)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt), b64(k.storedKey), b64(k.serverKey))
}

// verifiers writes what the server keeps into a file.
func (h *authHouse) verifiers(t *testing.T) string {
	t.Helper()
	lines := h.sql(t, `SELECT format('"%s" "%s"', replace(rolname, '"', '""'), rolpassword) FROM pg_authid WHERE rolpassword LIKE 'SCRAM%'`)
	file := filepath.Join(t.TempDir(), "verifiers")
	if err := os.WriteFile(file, []byte("; the logins\n"+lines+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (h *authHouse) query() *VerifierQuery {
	return &VerifierQuery{User: h.Superuser, Database: "postgres", SQL: DefaultVerifierSQL,
		Password: func() (string, error) { return h.Password, nil }}
}

// dsn leads to a proxy.
func (r *running) dsn(user, password, more string) string {
	host, port, _ := net.SplitHostPort(r.addr)
	quoted := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'" }
	return fmt.Sprintf("host=%s port=%s dbname=postgres user=%s password=%s %s", host, port, quoted(user), quoted(password), more)
}

// logsIn tries to log in with psql and with pgx, which have to agree, and returns
// what the server, the proxy or psql said instead; "" is in.
func (h *authHouse) logsIn(t *testing.T, r *running, user, password, more string) string {
	t.Helper()
	dsn := r.dsn(user, password, more)
	out, err := psqlErr(t, h.Cluster, dsn, "SELECT current_user")
	conn, pgxErr := pgx.Connect(t.Context(), dsn)
	if pgxErr == nil {
		conn.Close(t.Context())
	}
	if (err == nil) != (pgxErr == nil) {
		t.Errorf("%s %s: psql says %v (%s), pgx says %v", user, more, err, out, pgxErr)
	}
	if err == nil {
		if out != user {
			t.Errorf("logged in as %q, not %q", out, user)
		}
		return ""
	}
	return out
}

var insecure = ServerTLS{Config: &tls.Config{InsecureSkipVerify: true}, Required: true} // what sslmode=require means

// TestSCRAMMatrix is what comes of SCRAM with TLS on either leg, and of who ends it.
func TestSCRAMMatrix(t *testing.T) {
	h := newAuthHouse(t)
	own, same := selfSigned(t), h.certificate(t)
	file := h.verifiers(t)
	const (
		in          = ""
		twoCerts    = "channel_binding=disable, or have pgsluice configured with auth.method scram"
		withoutTLS  = "channel binding required" // libpq's own refusal: nothing can be bound to
		withoutPlus = "channel binding is required, but server did not offer"
	)
	for _, c := range []struct {
		client, server           string
		disable, prefer, require string // with pass-through
		scramRequire             string // with auth scram, where disable and prefer always work
	}{
		{"plain", "plain", in, in, withoutTLS, withoutTLS},
		{"plain", "tls", in, in, withoutTLS, withoutTLS},
		{"tls", "plain", in, in, withoutPlus, in},
		{"tls", "tls", in, twoCerts, twoCerts, in},
		{"tls with the server's certificate", "tls", in, in, in, in},
	} {
		for _, method := range []string{"pass-through", "scram by file", "scram by query"} {
			r := serveWith(t, h.Cluster, allowAll, func(k *Config) {
				switch c.client {
				case "tls":
					k.ClientTLS = own
				case "tls with the server's certificate":
					k.ClientTLS = same
				}
				if c.server == "tls" {
					k.ServerTLS = insecure
				}
				switch method {
				case "scram by file":
					k.Auth.File = file
				case "scram by query":
					k.Auth.Query = h.query()
				}
			})
			mode := "sslmode=require"
			if c.client == "plain" {
				mode = "sslmode=disable"
			}
			expected := map[string]string{"disable": c.disable, "prefer": c.prefer, "require": c.require}
			if method != "pass-through" {
				expected = map[string]string{"disable": in, "prefer": in, "require": c.scramRequire}
			}
			for binding, want := range expected {
				said := h.logsIn(t, r, "app", "secret", mode+" channel_binding="+binding)
				if (said == in) != (want == in) || !strings.Contains(said, want) {
					t.Errorf("%s to %s, %s, channel_binding=%s: %q, not %q", c.client, c.server, method, binding, said, want)
				}
			}
		}
	}
}

// certificate is the server's own, for the proxy to show.
func (h *authHouse) certificate(t *testing.T) *tls.Config {
	t.Helper()
	own, err := tls.LoadX509KeyPair(h.CAFile, filepath.Join(h.Dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}
}

// TestWhoMayLogIn: with the proxy as the judge, by file and by query, in the
// clear and over TLS.
func TestWhoMayLogIn(t *testing.T) {
	h := newAuthHouse(t)
	file := h.verifiers(t)
	lines, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	limited := h.query()
	limited.User, limited.Password = "app", func() (string, error) { return "secret", nil }
	limited.SQL = "SELECT public.verifier_of($1)"
	for source, auth := range map[string]Auth{"file": {File: file}, "query": {Query: h.query()}, "function": {Query: limited}} {
		for _, mode := range []string{"sslmode=disable", "sslmode=require"} {
			r := serveWith(t, h.Cluster, allowAll, func(c *Config) {
				c.Auth, c.ServerTLS = auth, insecure
				if mode == "sslmode=require" {
					c.ClientTLS = selfSigned(t)
				}
			})
			for _, user := range []string{"app", `we"ird`, "few", "many", "trusted"} {
				if said := h.logsIn(t, r, user, "secret", mode); said != "" {
					t.Errorf("%s %s: %s is not let in: %s", source, mode, user, said)
				}
			}
			// Here the server may be the one who refuses.
			for _, user := range []string{"expired", "nologin"} {
				if said := h.logsIn(t, r, user, "secret", mode); said == "" {
					t.Errorf("%s %s: %s is let in", source, mode, user)
				}
			}
			// All that fails, fails alike: nobody can find out who exists.
			var first *pgconn.PgError
			for _, who := range [][2]string{{"app", "wrong"}, {"nobody", "secret"}, {"nothing", "secret"}, {"nothing", ""}, {"digest", "secret"},
				{"digest", "wrong"}, {"trusted", "wrong"}, {"bad\xff", "secret"}, {strings.Repeat("x", 70), "secret"}} {
				_, err := pgx.Connect(t.Context(), r.dsn(who[0], who[1]+" ", mode))
				var e *pgconn.PgError
				if !errors.As(err, &e) {
					t.Errorf("%s %s: %s got %v", source, mode, who[0], err)
					continue
				}
				name := who[0][:min(len(who[0]), 63)]
				if e.Severity != "FATAL" || e.Code != "28P01" || e.Message != `password authentication failed for user "`+name+`"` {
					t.Errorf("%s %s: %s got %+v", source, mode, who[0], e)
				}
				e.Message = ""
				if first == nil {
					first = e
				}
				if *e != *first {
					t.Errorf("%s %s: %s can be told from the others: %+v, %+v", source, mode, who[0], e, first)
				}
			}
		}
	}
	// Nothing that the file could not be read for lets anybody in.
	r := serveWith(t, h.Cluster, allowAll, func(c *Config) { c.Auth.File = file })
	for what, broken := range map[string]func() error{
		"readable by others": func() error { return os.Chmod(file, 0o644) },
		"gone":               func() error { return os.Remove(file) },
		"a folder":           func() error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o700)) },
	} {
		if err := broken(); err != nil {
			t.Fatal(err)
		}
		if said := h.logsIn(t, r, "app", "secret", "sslmode=disable"); !strings.Contains(said, "cannot find out how to check the password") {
			t.Errorf("%s: %q", what, said)
		}
		if _, err := New(Config{Auth: Auth{File: file}, Server: "s", Dial: r.proxy.c.Dial, Policy: r.proxy.c.Policy, Reader: r.proxy.c.Reader,
			Approvals: r.service, Log: r.proxy.c.Log}); err == nil {
			t.Errorf("%s: a proxy starts with it", what)
		}
		if err := errors.Join(os.RemoveAll(file), os.WriteFile(file, lines, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if said := h.logsIn(t, r, "app", "secret", "sslmode=disable"); said != "" {
		t.Errorf("the file is back, and app is not let in: %s", said)
	}
}

// TestNewPasswordCountsAtOnce, wherever the verifiers come from. A file that is
// behind lets nobody in, and says so to who knew the old password.
func TestNewPasswordCountsAtOnce(t *testing.T) {
	h := newAuthHouse(t)
	file := h.verifiers(t)
	byQuery := serveWith(t, h.Cluster, allowAll, func(c *Config) { c.Auth.Query = h.query() })
	byFile := serveWith(t, h.Cluster, allowAll, func(c *Config) { c.Auth.File = file })
	for _, r := range []*running{byQuery, byFile} {
		if said := h.logsIn(t, r, "app", "secret", "sslmode=disable"); said != "" {
			t.Fatal(said)
		}
	}
	h.sql(t, "ALTER ROLE app PASSWORD 'changed'")
	if said := h.logsIn(t, byQuery, "app", "secret", "sslmode=disable"); !strings.Contains(said, "password authentication failed") {
		t.Errorf("the old password: %q", said)
	}
	if said := h.logsIn(t, byQuery, "app", "changed", "sslmode=disable"); said != "" {
		t.Errorf("the new password: %q", said)
	}
	if said := h.logsIn(t, byFile, "app", "secret", "sslmode=disable"); !strings.Contains(said, "have to be brought up to date") {
		t.Errorf("a file that is behind: %q", said)
	}
	text, err := os.ReadFile(h.verifiers(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if said := h.logsIn(t, byFile, "app", "changed", "sslmode=disable"); said != "" {
		t.Errorf("a file that has caught up: %q", said)
	}
}

// TestVerifierQueryRecovers: the connection that asks may be ended by the server,
// its login may be refused for a while, and its query may be wrong.
func TestVerifierQueryRecovers(t *testing.T) {
	h := newAuthHouse(t)
	password := h.Password
	q := h.query()
	q.Password = func() (string, error) { return password, nil }
	r := serveWith(t, h.Cluster, allowAll, func(c *Config) { c.Auth.Query = q })
	for range 2 {
		if said := h.logsIn(t, r, "app", "secret", "sslmode=disable"); said != "" {
			t.Fatal(said)
		}
		if n := h.sql(t, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgsluice verifiers'"); n != "1" {
			t.Errorf("%s connections ask for verifiers", n)
		}
		h.sql(t, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'pgsluice verifiers'")
	}
	password = "wrong"
	if said := h.logsIn(t, r, "app", "secret", "sslmode=disable"); !strings.Contains(said, "cannot find out how to check the password") {
		t.Errorf("while its login is refused: %q", said)
	}
	password = h.Password
	if said := h.logsIn(t, r, "app", "secret", "sslmode=disable"); said != "" {
		t.Errorf("once it is let in again: %q", said)
	}
	for _, wrong := range []string{"SELECT verifier_of($1)", "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1",
		"SELECT rolpassword FROM pg_authid WHERE rolname >= $1", "nonsense"} {
		q := h.query()
		q.SQL = wrong // the first finds nothing in pg_catalog, whatever public has
		r := serveWith(t, h.Cluster, allowAll, func(c *Config) { c.Auth.Query = q })
		for range 2 {
			if said := h.logsIn(t, r, "app", "secret", "sslmode=disable"); !strings.Contains(said, "cannot find out how to check the password") {
				t.Errorf("%s: %q", wrong, said)
			}
		}
	}
}

// TestBehindSCRAM: once in, a session is as any other, and what the server says
// against it is relayed.
func TestBehindSCRAM(t *testing.T) {
	h := newAuthHouse(t)
	r := serveWith(t, h.Cluster, allowAll, func(c *Config) {
		c.Auth.File, c.ClientTLS, c.ServerTLS = h.verifiers(t), selfSigned(t), insecure
	})
	c := connectTo(t, r.dsn("app", "secret", "sslmode=require application_name=mine options='-c statement_timeout=61s'"))
	var name, timeout string
	if err := c.QueryRow(t.Context(), "SELECT current_setting('application_name'), current_setting('statement_timeout')").Scan(&name, &timeout); err != nil {
		t.Fatal(err)
	}
	if name != "mine" || timeout != "61s" || c.PgConn().ParameterStatus("server_version") == "" {
		t.Errorf("application_name %q, statement_timeout %q", name, timeout)
	}
	got := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.Background(), "SELECT pg_sleep(100)")
		got <- err
	}()
	for h.sql(t, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'") != "1" {
		if t.Context().Err() != nil {
			t.Fatal("it does not run")
		}
	}
	if err := c.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	var e *pgconn.PgError
	if err := <-got; !errors.As(err, &e) || e.Code != "57014" {
		t.Errorf("cancelled: %v", err)
	}
	_, err := pgx.Connect(t.Context(), strings.Replace(r.dsn("app", "secret", "sslmode=require"), "dbname=postgres", "dbname=nowhere", 1))
	if !errors.As(err, &e) || e.Code != "3D000" {
		t.Errorf("a database that does not exist: %v", err)
	}
	h.sql(t, "ALTER ROLE app NOLOGIN")
	if _, err = pgx.Connect(t.Context(), r.dsn("app", "secret", "sslmode=require")); !errors.As(err, &e) || e.Code != "28000" {
		t.Errorf("a login that may no longer log in: %v", err)
	}
}

// TestCertificatesOfClients end at the proxy: it can demand that they name the user,
// and the server cannot see them.
func TestCertificatesOfClients(t *testing.T) {
	h := newAuthHouse(t)
	h.sql(t, "CREATE ROLE certified LOGIN PASSWORD 'secret'")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pool := x509.NewCertPool()
	for _, user := range []string{"app", "certified"} {
		template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: user},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		pool.AddCert(leaf)
		writePEM(t, filepath.Join(dir, user+".crt"), "CERTIFICATE", der)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, "key"), "PRIVATE KEY", keyDER)
	with := func(cert string) string {
		return fmt.Sprintf("sslmode=require channel_binding=disable sslcert=%s/%s.crt sslkey=%s/key", dir, cert, dir)
	}
	asking := selfSigned(t)
	asking.ClientAuth, asking.ClientCAs = tls.RequireAndVerifyClientCert, pool
	file := h.verifiers(t)
	for _, named := range []bool{false, true} {
		for _, auth := range []Auth{{}, {File: file}} {
			r := serveWith(t, h.Cluster, allowAll, func(c *Config) {
				c.ClientTLS, c.RequireClientTLS, c.ClientCertUser, c.ServerTLS, c.Auth = asking, true, named, insecure, auth
			})
			for _, c := range []struct {
				what, user, more, want string
			}{
				{"its own", "app", with("app"), ""},
				{"another's", "app", with("certified"), map[bool]string{true: `certificate authentication failed for user "app"`}[named]},
				{"none", "app", "sslmode=require channel_binding=disable sslcert=/dev/null/none", "certificate"},
				{"its own, which the server asks for too", "certified", with("certified"), "ends at pgsluice and cannot be handed on"},
			} {
				said := h.logsIn(t, r, c.user, "secret", c.more)
				if (said == "") != (c.want == "") || !strings.Contains(said, c.want) {
					t.Errorf("named %v, by file %v, %s: %q, not %q", named, auth.File != "", c.what, said, c.want)
				}
			}
		}
	}
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

package proxy

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
	"github.com/pgsluice/pgsluice/policy/approval/ledger"
	"github.com/pgsluice/pgsluice/policy/audit"
)

func TestMain(m *testing.M) { pgcluster.Main(m) }

const allowAll = `
version: 1
defaults: {allowed: allow, unparsed: allow, unknown: allow}
rules: []
`

// running is a proxy in front of the shared cluster.
type running struct {
	ahead   atomic.Int64 // how far its clock is ahead, in nanoseconds
	addr    string
	service *approval.Service
	proxy   *Proxy
	stop    func()     // as a second signal does
	served  chan error // what Serve returned; put back by whoever takes it
}

// serveWith starts a proxy with a policy in front of a cluster; edit may change
// its configuration first.
func serveWith(t testing.TB, cluster *pgcluster.Cluster, policyText string, edit func(*Config)) *running {
	t.Helper()
	return serveOn(t, cluster, policyText, edit, func(l net.Listener) net.Listener { return l })
}

// serveOn is serveWith on a listener of the test's.
func serveOn(t testing.TB, cluster *pgcluster.Cluster, policyText string, edit func(*Config), on func(net.Listener) net.Listener) *running {
	t.Helper()
	pol, err := policy.Parse("policy.yaml", []byte(policyText), wireGroups)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	l, err := ledger.OpenSQLite(filepath.Join(dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(filepath.Join(dir, "audit"))
	if err != nil {
		t.Fatal(err)
	}
	r := &running{}
	service, err := approval.New(approval.Config{Ledger: l, Recorder: log, Now: r.now,
		People: approval.NewPeople(wirePeople, wireGroups)})
	if err != nil {
		t.Fatal(err)
	}
	logger := zap.NewNop()
	if testing.Verbose() {
		logger = zaptest.NewLogger(t)
	}
	c := Config{
		Server: cluster.Addr(), Policy: func() *policy.Policy { return pol }, Reader: policy.NewReader(),
		Approvals: service, MaxWait: time.Minute, Where: "psql -d pgsluice", Log: logger,
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", cluster.Addr())
		},
	}
	if edit != nil {
		edit(&c)
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx, on(listener)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		service.Close()
		l.Close()
		log.Close()
	})
	r.addr, r.service, r.proxy, r.stop, r.served = listener.Addr().String(), service, p, cancel, served
	return r
}

// now is the time by which budgets and requests go.
func (r *running) now() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }

// later lets time go by for them.
func (r *running) later(d time.Duration) { r.ahead.Add(int64(d)) }

// inventory makes a database with the tables that the tests destroy, and the
// role alice.
func inventory(t testing.TB, cluster *pgcluster.Cluster) (database string) {
	t.Helper()
	database = cluster.NewDatabase(t)
	psql(t, cluster, cluster.DSN(database, cluster.Superuser), `
		DO $$ BEGIN CREATE ROLE alice LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$;
		CREATE TABLE accounts (id int PRIMARY KEY, name text);
		INSERT INTO accounts SELECT g, 'a' || g FROM generate_series(1, 100) g;
		CREATE TABLE log (line text);
		GRANT ALL ON ALL TABLES IN SCHEMA public TO alice;
		ALTER TABLE accounts OWNER TO alice; ALTER TABLE log OWNER TO alice;`)
	return database
}

func psql(t testing.TB, cluster *pgcluster.Cluster, dsn, sql string) string {
	t.Helper()
	out, err := psqlErr(t, cluster, dsn, sql)
	if err != nil {
		t.Fatalf("psql: %v\n%s", err, out)
	}
	return out
}

func psqlErr(t testing.TB, cluster *pgcluster.Cluster, dsn, sql string, args ...string) (string, error) {
	t.Helper()
	ctx, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	cmd := exec.CommandContext(ctx, cluster.Bin("psql"), append([]string{"-XAtq", "-d", dsn, "-f", "-"}, args...)...)
	cmd.Stdin = strings.NewReader(sql)
	cmd.Env = pgcluster.CleanEnv()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}

func connectTo(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// request waits until the ledger has a pending request and returns it.
func (r *running) request(t testing.TB) approval.Request {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		list, err := r.service.List(t.Context(), approval.Filter{States: []approval.State{approval.Pending}})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) > 0 {
			return list[0]
		}
	}
	t.Fatal("no request was opened")
	return approval.Request{}
}

const holdDeletes = `
version: 1
rules:
  - id: no-where
    title: DELETE of every row
    match: {statement: [delete, truncate], where: [missing]}
    action: hold
    approve: [{group: dba, count: 1}]
  - id: never
    match: {statement: [drop]}
    action: block
`

func TestApprovedStatementRuns(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	r := serveWith(t, cluster, holdDeletes, nil)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))

	type answer struct {
		tag pgconn.CommandTag
		err error
	}
	got := make(chan answer, 1)
	go func() {
		tag, err := c.Exec(t.Context(), "DELETE FROM accounts")
		got <- answer{tag, err}
	}()
	q := r.request(t)
	if n := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); n != "100" {
		t.Fatalf("%s rows are left while the DELETE is held", n)
	}
	if _, err := r.service.Approve(t.Context(), q.ID, "alice", "psql", "mine"); err == nil {
		t.Fatal("alice approved her own request")
	}
	if _, err := r.service.Approve(t.Context(), q.ID, "bob", "psql", "checked"); err != nil {
		t.Fatal(err)
	}
	a := <-got
	if a.err != nil || a.tag.RowsAffected() != 100 {
		t.Fatalf("got %v, %v", a.tag, a.err)
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Errorf("the session is of no use afterwards: %v", err)
	}
}

func TestRefusalRollsBackThePipeline(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	r := serveWith(t, cluster, holdDeletes, nil)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))

	b := &pgx.Batch{}
	b.Queue("INSERT INTO log VALUES ('before')")
	b.Queue("DROP TABLE accounts")
	b.Queue("INSERT INTO log VALUES ('after')")
	var refused *pgconn.PgError
	if err := c.SendBatch(t.Context(), b).Close(); !errors.As(err, &refused) || refused.Code != "42501" {
		t.Fatalf("got %v", err)
	}
	if got := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM log"); got != "0" {
		t.Errorf("%s lines were committed with a refused pipeline", got)
	}
}

func TestRefusalAbortsTheTransaction(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	r := serveWith(t, cluster, holdDeletes, nil)
	out, err := psqlErr(t, cluster, cluster.DSNAt(r.addr, db, "alice"),
		"BEGIN;\nINSERT INTO log VALUES ('half');\nDROP TABLE accounts;\nCOMMIT;\nSELECT count(*) FROM log;\n")
	if err != nil || !strings.Contains(out, "blocked by rule never") || !strings.HasSuffix(out, "\n0") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestPortalIsNotRunByFetch(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	r := serveWith(t, cluster, holdDeletes, func(c *Config) { c.MaxWait = 0 })
	for _, how := range []string{"FETCH ALL FROM p", "MOVE ALL IN p"} {
		got := converse(t, r.addr, db, strings.Split(`-> Query "BEGIN"
-> Parse "d" "DELETE FROM accounts RETURNING id"
-> Bind "p" "d"
-> Sync
-> Query "`+how+`"
-> Query "COMMIT"
`, "\n"))
		if n := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); n != "100" {
			t.Errorf("%s: %s rows are left\n%s", how, n, got)
		}
	}
}

// TestIdleTimeoutsDuringHold: the server's own timers do not end a session that
// waits for people.
func TestIdleTimeoutsDuringHold(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	r := serveWith(t, cluster, holdDeletes, nil)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	if _, err := c.Exec(t.Context(), "SET idle_in_transaction_session_timeout = '7s'"); err != nil {
		t.Fatal(err)
	}
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		_, err := tx.Exec(t.Context(), "DELETE FROM accounts")
		got <- err
	}()
	q := r.request(t)
	select {
	case err := <-got:
		t.Fatalf("the hold ended: %v", err)
	case <-time.After(9 * time.Second): // longer than the server's timer: the subject of the test
	}
	if _, err := r.service.Approve(t.Context(), q.ID, "bob", "psql", "checked"); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestTransactionTimeoutDuringHold: that timer, of PostgreSQL 17 on, cannot be kept
// away. The client hears why its session ends, and its request ends with it.
func TestTransactionTimeoutDuringHold(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	if psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM pg_settings WHERE name = 'transaction_timeout'") == "0" {
		t.Skip("this server has no transaction_timeout")
	}
	r := serveWith(t, cluster, holdDeletes, nil)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	if _, err := c.Exec(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), "SET LOCAL transaction_timeout = '2s'"); err != nil {
		t.Fatal(err)
	}
	_, err := c.Exec(t.Context(), "DELETE FROM accounts")
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != "25P04" || e.Severity != "FATAL" {
		t.Errorf("got %v", err)
	}
	requests, err := r.service.List(t.Context(), approval.Filter{})
	if err != nil || len(requests) != 1 {
		t.Fatalf("requests: %+v, %v", requests, err)
	}
	r.settledAs(t, requests[0].ID, approval.Cancelled, "the server ended the session")
}

func TestCancelWhileRunning(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	r := serveWith(t, cluster, allowAll, nil)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	got := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.Background(), "SELECT pg_sleep(100)")
		got <- err
	}()
	for {
		n := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")
		if n == "1" {
			break
		}
	}
	if err := c.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	var e *pgconn.PgError
	if err := <-got; !errors.As(err, &e) || e.Code != "57014" {
		t.Errorf("got %v", err)
	}
}

// TestNothingIsLeft: when clients are gone so are their sessions on the server.
func TestNothingIsLeft(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	r := serveWith(t, cluster, holdDeletes, nil)
	for range 20 {
		c, err := pgx.Connect(t.Context(), cluster.DSNAt(r.addr, db, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		c.PgConn().Conn().Close() // without Terminate
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		n := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM pg_stat_activity WHERE usename = 'alice' AND datname = current_database()")
		if n == "0" && len(r.proxy.Sessions()) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s sessions are left on the server, %d in the proxy", n, len(r.proxy.Sessions()))
		}
	}
}

// TestAuthentication passes every method through, with and without TLS on either
// side.
func TestAuthentication(t *testing.T) {
	cluster, err := pgcluster.Start(t.Context(), pgcluster.Options{
		TLS: true,
		HBA: []string{
			"local all all trust",
			"host all trusted 127.0.0.1/32 trust",
			"host all plain 127.0.0.1/32 password",
			"host all digest 127.0.0.1/32 md5",
			"host all scram 127.0.0.1/32 scram-sha-256",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Stop() })
	if out, err := cluster.Psql(t.Context(), "-c", `
		CREATE ROLE trusted LOGIN; CREATE ROLE plain LOGIN PASSWORD 'secret'; CREATE ROLE scram LOGIN PASSWORD 'secret'`,
		"-c", "SET password_encryption = md5", "-c", "CREATE ROLE digest LOGIN PASSWORD 'secret'"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	serverTLS := ServerTLS{Config: &tls.Config{InsecureSkipVerify: true}, Required: true} // what sslmode=require means
	clientTLS := selfSigned(t)
	for _, leg := range []struct {
		name, mode string
		edit       func(*Config)
	}{
		{"plain to plain", "disable", nil},
		{"plain to tls", "disable", func(c *Config) { c.ServerTLS = serverTLS }},
		{"tls to plain", "require", func(c *Config) { c.ClientTLS = clientTLS }},
		{"tls to tls", "require", func(c *Config) { c.ClientTLS, c.ServerTLS = clientTLS, serverTLS }},
	} {
		t.Run(leg.name, func(t *testing.T) {
			r := serveWith(t, cluster, allowAll, leg.edit)
			host, port, _ := net.SplitHostPort(r.addr)
			for _, user := range []string{"trusted", "plain", "digest", "scram"} {
				dsn := fmt.Sprintf("host=%s port=%s user=%s dbname=postgres sslmode=%s password=", host, port, user, leg.mode)
				out, err := psqlErr(t, cluster, dsn+"secret", "SELECT current_user")
				if leg.name == "tls to tls" && user == "scram" {
					// Channel binding sees two certificates; the hint says what to do.
					if err == nil || !strings.Contains(out, "channel_binding=disable") {
						t.Errorf("%s: %v\n%s", user, err, out)
					}
					out, err = psqlErr(t, cluster, dsn+"secret channel_binding=disable", "SELECT current_user")
				}
				if err != nil || out != user {
					t.Errorf("%s: %v\n%s", user, err, out)
				}
				if user == "trusted" {
					continue
				}
				if out, err := psqlErr(t, cluster, dsn+"wrong channel_binding=disable", "SELECT 1"); err == nil || !strings.Contains(out, "password authentication failed") {
					t.Errorf("%s with a wrong password: %v\n%s", user, err, out)
				}
			}
		})
	}
	t.Run("tls required", func(t *testing.T) {
		r := serveWith(t, cluster, allowAll, func(c *Config) { c.ClientTLS, c.RequireClientTLS = clientTLS, true })
		host, port, _ := net.SplitHostPort(r.addr)
		out, err := psqlErr(t, cluster, fmt.Sprintf("host=%s port=%s user=trusted dbname=postgres sslmode=disable", host, port), "SELECT 1")
		if err == nil || !strings.Contains(out, "only TLS") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// selfSigned is a certificate for the proxy.
func selfSigned(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pgsluice"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
}

// TestProgramsRunUnchanged: with a policy that allows everything, and with the
// standard one where it should let them, PostgreSQL's own programs do not notice.
func TestProgramsRunUnchanged(t *testing.T) {
	cluster := pgcluster.Shared(t)
	for name, text := range map[string]string{"allow all": allowAll, "standard": "version: 1\ninclude: standard\nrules: []\n"} {
		r := serveWith(t, cluster, text, nil)
		db := cluster.NewDatabase(t)
		direct, through := cluster.DSN(db, cluster.Superuser), cluster.DSNAt(r.addr, db, cluster.Superuser)
		run := func(program string, args ...string) string {
			t.Helper()
			ctx, done := context.WithTimeout(t.Context(), 2*time.Minute)
			defer done()
			cmd := exec.CommandContext(ctx, cluster.Bin(program), args...)
			cmd.Env = pgcluster.CleanEnv()
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s: %s %s: %v\n%s", name, program, strings.Join(args, " "), err, out)
			}
			return string(out)
		}
		run("pgbench", "-i", "-q", "-s", "1", "-d", direct)
		for _, mode := range []string{"simple", "extended", "prepared"} {
			run("pgbench", "-n", "-M", mode, "-c", "4", "-j", "2", "-t", "50", "-d", through)
			run("pgbench", "-n", "-S", "-M", mode, "-c", "4", "-t", "100", "-d", through)
		}
		dumped, dump := run("pg_dump", "-d", direct), run("pg_dump", "-d", through)
		if unrestricted(dumped) != unrestricted(dump) {
			t.Errorf("%s: pg_dump through the proxy is another dump", name)
		}
		// Into a database without rows a restore is held by nothing but what it
		// says of owners and privileges.
		dump = run("pg_dump", "--no-owner", "--no-privileges", "-d", through)
		copied := cluster.NewDatabase(t)
		file := filepath.Join(t.TempDir(), "dump.sql")
		if err := os.WriteFile(file, []byte(dump), 0o600); err != nil {
			t.Fatal(err)
		}
		run("psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", cluster.DSNAt(r.addr, copied, cluster.Superuser), "-f", file)
		if again := run("pg_dump", "--no-owner", "--no-privileges", "-d", cluster.DSN(copied, cluster.Superuser)); unrestricted(again) != unrestricted(dump) {
			t.Errorf("pg_dump | psql through the proxy lost something")
		}
	}
}

// unrestricted leaves out the random token that pg_dump puts into each dump.
func unrestricted(dump string) string {
	var kept []string
	for _, line := range strings.Split(dump, "\n") {
		if !strings.HasPrefix(line, `\restrict`) && !strings.HasPrefix(line, `\unrestrict`) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

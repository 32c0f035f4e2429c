package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/policy"
)

func sqlstate(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return "none"
}

func pidOf(c *pgx.Conn) string { return fmt.Sprint(c.PgConn().PID()) }

// A drain lets each session finish what it is in the midst of, and answers who
// comes meanwhile as PostgreSQL does.
func TestDrain(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	r := serveWith(t, cluster, allowAll, nil)
	dsn := cluster.DSNAt(r.addr, db, "alice")
	ctx := t.Context()

	idle, working, running, doomed, copying := connectTo(t, dsn), connectTo(t, dsn), connectTo(t, dsn), connectTo(t, dsn), connectTo(t, dsn)
	tx, err := working.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, "INSERT INTO log VALUES ('before the drain')"); err != nil {
		t.Fatal(err)
	}
	locker := connectTo(t, cluster.DSN(db, cluster.Superuser))
	if _, err := locker.Exec(ctx, "SELECT pg_advisory_lock(4711)"); err != nil {
		t.Fatal(err)
	}
	lines, writer := io.Pipe()
	copied, read, cancelled := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := copying.PgConn().CopyFrom(context.Background(), lines, "COPY log FROM STDIN")
		copied <- err
	}()
	go func() {
		var n int
		err := running.QueryRow(context.Background(), "SELECT count(*) FROM generate_series(1, 3) g, pg_advisory_lock(4711)").Scan(&n)
		read <- err
	}()
	go func() {
		_, err := doomed.Exec(context.Background(), "SELECT pg_sleep(100)")
		cancelled <- err
	}()
	untilRunning(t, cluster, db, "COPY log%")
	untilRunning(t, cluster, db, "%pg_advisory_lock(4711)")
	untilRunning(t, cluster, db, "SELECT pg_sleep%")

	r.proxy.Drain()
	if _, err := idle.Exec(ctx, "SELECT 1"); sqlstate(err) != "57P01" && !idle.IsClosed() {
		t.Errorf("an idle session: %v", err)
	}
	var refused *pgconn.PgError
	if _, err := pgx.Connect(ctx, dsn); !errors.As(err, &refused) || refused.Code != "57P03" || refused.Message != "the database system is shutting down" {
		t.Errorf("a new session: %v", err)
	}
	if err := doomed.PgConn().CancelRequest(ctx); err != nil {
		t.Error(err)
	}
	if err := <-cancelled; sqlstate(err) != "57014" {
		t.Errorf("a statement that was cancelled during the drain: %v", err)
	}
	if _, err := tx.Exec(ctx, "INSERT INTO log VALUES ('in the drain')"); err != nil {
		t.Errorf("a transaction: %v", err)
	}
	if err := tx.Commit(ctx); err != nil {
		t.Errorf("its COMMIT: %v", err)
	}
	if _, err := working.Exec(ctx, "INSERT INTO log VALUES ('after')"); err == nil { // sent at once, without a pause
		t.Error("the session went on after its transaction")
	}
	if _, err := locker.Exec(ctx, "SELECT pg_advisory_unlock(4711)"); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Errorf("a long read: %v", err)
	}
	if _, err := io.WriteString(writer, "copied in the drain\n"); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	if err := <-copied; err != nil {
		t.Errorf("a COPY: %v", err)
	}
	if err := <-r.served; err != nil {
		t.Error(err)
	}
	r.served <- nil
	want := "before the drain\ncopied in the drain\nin the drain"
	if got := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT line FROM log ORDER BY 1"); got != want {
		t.Errorf("the log holds\n%s\nwant\n%s", got, want)
	}
}

// When the time is up, who waits for nothing is told why, and the server rolls
// back what was open.
func TestCutOff(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	r := serveWith(t, cluster, allowAll, nil)
	working, running := connectTo(t, cluster.DSNAt(r.addr, db, "alice")), connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	tx, err := working.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "DELETE FROM accounts"); err != nil {
		t.Fatal(err)
	}
	slept := make(chan error, 1)
	go func() {
		_, err := running.Exec(context.Background(), "SELECT pg_sleep(100)")
		slept <- err
	}()
	untilRunning(t, cluster, db, "SELECT pg_sleep%")
	r.proxy.Drain()
	r.stop()
	if err := <-r.served; err != nil {
		t.Error(err)
	}
	r.served <- nil
	if _, err := tx.Exec(t.Context(), "SELECT 1"); sqlstate(err) != "57P01" {
		t.Errorf("in a transaction: %v", err)
	}
	if err := <-slept; err == nil || sqlstate(err) != "none" {
		t.Errorf("in the midst of a statement: %v", err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		left := psql(t, cluster, cluster.DSN(db, cluster.Superuser),
			"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'")
		if left == "0" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the transaction is still open on the server")
		}
	}
	if got := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); got != "100" {
		t.Errorf("%s rows are left", got)
	}
}

// brittle panics when a session has logged in: in the server goroutine, with the
// session's lock taken. Or when it is greeted.
type brittle struct {
	net.Conn
	atLogIn, atGreeting *atomic.Bool
}

func (c brittle) SetDeadline(d time.Time) error {
	if d.IsZero() && c.atLogIn.CompareAndSwap(true, false) {
		panic("a mistake in the server goroutine")
	}
	if !d.IsZero() && c.atGreeting.CompareAndSwap(true, false) {
		panic("a mistake before there is a session")
	}
	return c.Conn.SetDeadline(d)
}

type brittleListener struct {
	net.Listener
	atLogIn, atGreeting *atomic.Bool
}

func (l brittleListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return brittle{c, l.atLogIn, l.atGreeting}, err
}

// A mistake in one session ends that session; others, SHOW SESSIONS and the drain
// go on, and nothing is left on the server.
func TestPanicEndsOneSession(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	var inClient, inServer, inGreeting, inLogIn atomic.Bool
	r := serveOn(t, cluster, holdDeletes,
		func(c *Config) {
			in := c.Policy
			c.Policy = func() *policy.Policy {
				if inClient.CompareAndSwap(true, false) {
					panic("a mistake in the client goroutine")
				}
				return in()
			}
			dial := c.Dial
			c.Dial = func(ctx context.Context) (net.Conn, error) {
				if inLogIn.CompareAndSwap(true, false) {
					panic("a mistake before the session's two directions")
				}
				return dial(ctx)
			}
		},
		func(l net.Listener) net.Listener { return brittleListener{l, &inServer, &inGreeting} })
	dsn := cluster.DSNAt(r.addr, db, "alice")
	bystander := connectTo(t, dsn)
	check := func(what string) {
		t.Helper()
		r.untilSessions(t, 1)
		if _, err := bystander.Exec(t.Context(), "SELECT 1"); err != nil {
			t.Errorf("%s: another session: %v", what, err)
		}
		if n := len(r.proxy.Sessions()); n != 1 {
			t.Errorf("%s: %d sessions", what, n)
		}
	}

	victim := connectTo(t, dsn)
	inClient.Store(true)
	if _, err := victim.Exec(t.Context(), "SELECT 1"); err == nil || sqlstate(err) != "none" {
		t.Errorf("client goroutine: %v", err)
	}
	check("client goroutine")

	inServer.Store(true)
	if _, err := pgx.Connect(t.Context(), dsn); err == nil {
		t.Error("server goroutine: it went on")
	}
	check("server goroutine")

	for what, armed := range map[string]*atomic.Bool{"greeting": &inGreeting, "log-in": &inLogIn} {
		armed.Store(true)
		if _, err := pgx.Connect(t.Context(), dsn+"&sslmode=disable"); err == nil {
			t.Errorf("%s: it went on", what)
		}
		check(what)
	}
	for counted := 0; counted != 1; { // those that still log in included
		r.proxy.mu.Lock()
		counted = r.proxy.open
		r.proxy.mu.Unlock()
		if t.Context().Err() != nil {
			t.Fatalf("%d sessions are counted", counted)
		}
	}

	held := connectTo(t, dsn)
	deleted := make(chan error, 1)
	go func() {
		_, err := held.PgConn().Exec(context.Background(), "DELETE FROM accounts").ReadAll()
		deleted <- err
	}()
	q := r.request(t)
	inClient.Store(true)
	if _, err := r.service.Approve(t.Context(), q.ID, "bob", "psql", "checked"); err != nil {
		t.Fatal(err)
	}
	if err := <-deleted; err == nil {
		t.Error("while held: it went on")
	}
	check("while held")
	q, err := r.service.Get(t.Context(), q.ID)
	if err != nil || q.State != "cancelled" {
		t.Errorf("the request of a session that has ended is %s, %v", q.State, err)
	}
	if got := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); got != "100" {
		t.Errorf("%s rows are left", got)
	}
}

// pg_terminate_backend(pid) of a session that is held ends the hold, from
// wherever it comes.
func TestTerminateBackendEndsTheHold(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	r := serveWith(t, cluster, holdDeletes, nil)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	got := make(chan error, 1)
	go func() {
		_, err := c.PgConn().Exec(context.Background(), "DELETE FROM accounts").ReadAll()
		got <- err
	}()
	q := r.request(t)
	psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT pg_terminate_backend("+pidOf(c)+")")
	if err := <-got; sqlstate(err) != "57P01" || !strings.Contains(err.Error(), "terminating connection due to administrator command") {
		t.Errorf("got %v", err)
	}
	r.untilSessions(t, 0)
	if q, err := r.service.Get(t.Context(), q.ID); err != nil || q.State != "cancelled" {
		t.Errorf("the request is %s, %v", q.State, err)
	}
}

// pg_cancel_backend(pid) of a held session ends the hold if the server let whoever
// said it, and only then.
func TestCancelBackendEndsTheHold(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	psql(t, cluster, cluster.DSN(db, cluster.Superuser),
		"DO $$ BEGIN CREATE ROLE mallory LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$")
	r := serveWith(t, cluster, holdDeletes, nil)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	pid := pidOf(c)
	alice, mallory := connectTo(t, cluster.DSNAt(r.addr, db, "alice")), connectTo(t, cluster.DSNAt(r.addr, db, "mallory"))
	for what, cancel := range map[string]func() error{
		"simple": func() error {
			return alice.PgConn().Exec(t.Context(), "SELECT pg_cancel_backend("+pid+");").Close()
		},
		"extended, a constant": func() error {
			_, err := alice.Exec(t.Context(), "select pg_catalog.pg_cancel_backend("+pid+")")
			return err
		},
		"extended, a parameter": func() error {
			return alice.PgConn().ExecParams(t.Context(), "SELECT pg_cancel_backend($1::int)", [][]byte{[]byte(pid)}, nil, nil, nil).Read().Err
		},
	} {
		t.Run(what, func(t *testing.T) {
			got := make(chan error, 1)
			go func() {
				_, err := c.PgConn().Exec(context.Background(), "DELETE FROM accounts").ReadAll()
				got <- err
			}()
			q := r.request(t)
			for _, idle := range []string{
				"SELECT pg_cancel_backend(" + pid + ")", // the server refuses it
				"SELECT pg_cancel_backend(" + pid + ") WHERE false",
				"SELECT true FROM (SELECT 1) s WHERE coalesce(true, pg_cancel_backend(" + pid + "))",
				"SELECT pg_cancel_backend(" + pid + "0)",
			} {
				_ = mallory.PgConn().Exec(t.Context(), idle).Close()
				_ = mallory.PgConn().ExecParams(t.Context(), idle, nil, nil, nil, nil).Read()
			}
			converse(t, r.addr, db, strings.Split(`-> Parse "" "SELECT true"
-> Bind "harmless" ""
-> Parse "" "SELECT pg_cancel_backend(`+pid+`)"
-> Bind "" ""
-> Execute "harmless"
-> Sync
`, "\n"))
			if q, err := r.service.Get(t.Context(), q.ID); err != nil || q.State != "pending" {
				t.Fatalf("mallory may not signal alice's session, and the request is %s, %v", q.State, err)
			}
			if err := cancel(); err != nil {
				t.Fatal(err)
			}
			if err := <-got; sqlstate(err) != "57014" {
				t.Errorf("the held statement: %v", err)
			}
			if q, err := r.service.Get(t.Context(), q.ID); err != nil || q.State != "cancelled" {
				t.Errorf("the request is %s, %v", q.State, err)
			}
		})
	}
	if _, err := c.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Errorf("the session is of no use afterwards: %v", err)
	}
}

// A server that is killed is gone for its clients, too, without a word of the
// proxy's own; what was held is withdrawn.
func TestKilledServer(t *testing.T) {
	cluster, err := pgcluster.Start(t.Context(), pgcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Stop() })
	db := "postgres" // a database of the test's own could not be dropped afterwards
	psql(t, cluster, cluster.DSN(db, cluster.Superuser), "CREATE ROLE alice LOGIN; CREATE TABLE accounts (id int)")
	r := serveWith(t, cluster, holdDeletes, nil)
	dsn := cluster.DSNAt(r.addr, db, "alice")
	held, idle := connectTo(t, dsn), connectTo(t, dsn)
	got := make(chan error, 1)
	go func() {
		_, err := held.PgConn().Exec(context.Background(), "DELETE FROM accounts").ReadAll()
		got <- err
	}()
	q := r.request(t)
	// Of the two backends one is killed; the postmaster ends the other, and all.
	psqlErr(t, cluster, cluster.DSN(db, cluster.Superuser), "COPY (SELECT 1) TO PROGRAM 'kill -9 "+pidOf(held)+"'")
	if err := <-got; err == nil || sqlstate(err) != "none" && sqlstate(err) != "57P02" {
		t.Errorf("the held one: %v", err)
	}
	r.untilSessions(t, 0)
	if _, err := idle.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("the idle one goes on")
	}
	if q, err := r.service.Get(t.Context(), q.ID); err != nil || q.State != "cancelled" {
		t.Errorf("the request is %s, %v", q.State, err)
	}
}

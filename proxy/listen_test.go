package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
)

// listening serves in a bubble, with a server that never answers.
func listening(t *testing.T, l net.Listener, edit func(*Config)) *Proxy {
	t.Helper()
	c := Config{
		Server: "server:5432", Policy: policy.Standard, Reader: policy.NewReader(), Approvals: &approval.Service{}, Log: zap.NewNop(),
		Dial: func(context.Context) (net.Conn, error) {
			near, _ := memPipe()
			return near, nil
		},
	}
	edit(&c)
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return p
}

// comesFrom connects from an address.
func comesFrom(l *memListener, address string) *memConn {
	near, far := memPipe()
	far.remote = net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))
	l.conns <- far
	return near
}

// fate is what has become of a connection: open, or what it was told.
func fate(c *memConn) string {
	synctest.Wait()
	said, eof := c.take()
	switch {
	case !eof:
		return "open"
	case len(said) == 0:
		return "closed"
	}
	return rendered(said, true)
}

// Clients that dribble their start-up packet take the places of their own address
// only, and only for a minute.
func TestSlowClientsHinderNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newMemListener()
		listening(t, l, func(c *Config) { c.Limits = Limits{BeforeLogin: 3} })
		slow := []*memConn{comesFrom(l, "203.0.113.7:1"), comesFrom(l, "203.0.113.7:2"), comesFrom(l, "203.0.113.7:3")}
		for i := range 5 {
			for n, c := range slow {
				c.Write(startupBytes[i : i+1])
				if got := fate(c); got != "open" {
					t.Fatalf("client %d after %ds: %s", n, 10*i, got)
				}
			}
			if got := fate(comesFrom(l, "203.0.113.7:4")); !strings.Contains(got, `53300 "sorry, too many clients already"`) {
				t.Errorf("one more of that address: %s", got)
			}
			if got := fate(comesFrom(l, fmt.Sprintf("203.0.113.%d:1", 100+i))); got != "open" {
				t.Errorf("another address: %s", got)
			}
			time.Sleep(10 * time.Second)
		}
		time.Sleep(10 * time.Second)
		for n, c := range slow {
			if got := fate(c); got != "closed" {
				t.Errorf("client %d after a minute: %s", n, got)
			}
		}
		if got := fate(comesFrom(l, "203.0.113.7:5")); got != "open" {
			t.Errorf("that address, later: %s", got)
		}
	})
}

func TestOneAddress(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"203.0.113.7:1", "203.0.113.7:2", true},
		{"203.0.113.7:1", "203.0.113.8:1", false},
		{"[::ffff:203.0.113.7]:1", "203.0.113.7:2", true},
		{"[2001:db8::1]:1", "[2001:db8::ffff:0:0:2]:1", true},
		{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
	} {
		a := sharedAddress(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.a)))
		b := sharedAddress(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.b)))
		if a == b != c.same {
			t.Errorf("%s and %s: %s and %s", c.a, c.b, a, b)
		}
	}
}

// A balancer that sends no header is not waited for.
func TestHeaderThatDoesNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newMemListener()
		listening(t, l, func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
		silent, dribbling := comesFrom(l, "10.0.0.5:1"), comesFrom(l, "10.0.0.5:2")
		dribbling.Write([]byte("PROXY TCP4 "))
		time.Sleep(relayedTime - time.Second)
		if a, b := fate(silent), fate(dribbling); a != "open" || b != "open" {
			t.Errorf("too early: %s, %s", a, b)
		}
		time.Sleep(time.Second)
		if a, b := fate(silent), fate(dribbling); a != "closed" || b != "closed" {
			t.Errorf("after %s: %s, %s", relayedTime, a, b)
		}
	})
}

// failing is a listener without file descriptors left, for a while.
type failing struct {
	*memListener
	times int
}

func (l *failing) Accept() (net.Conn, error) {
	if l.times > 0 {
		l.times--
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return l.memListener.Accept()
}

func TestAcceptGoesOnWithoutFileDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &failing{newMemListener(), 20}
		began := time.Now()
		listening(t, l, func(*Config) {})
		if got := fate(comesFrom(l.memListener, "203.0.113.7:1")); got != "open" {
			t.Errorf("the client was not served: %s", got)
		}
		if waited := time.Since(began); waited < 10*time.Second { // in the bubble's time
			t.Errorf("20 errors within %s", waited)
		}
	})
}

// With all sessions taken the next is refused in PostgreSQL's own words, and a
// running statement can still be cancelled.
func TestSessionLimit(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	r := serveWith(t, cluster, allowAll, func(c *Config) { c.Limits = Limits{Sessions: 1} })
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	var refused *pgconn.PgError
	_, err := pgconn.Connect(t.Context(), cluster.DSNAt(r.addr, db, "alice"))
	if !errors.As(err, &refused) || refused.Severity != "FATAL" || refused.Code != "53300" || refused.Message != "sorry, too many clients already" {
		t.Fatalf("the second session: %v", err)
	}
	slept := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.Background(), "SELECT pg_sleep(100)")
		slept <- err
	}()
	untilRunning(t, cluster, db, "SELECT pg_sleep%")
	if err := c.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	var cancelled *pgconn.PgError
	if err := <-slept; !errors.As(err, &cancelled) || cancelled.Code != "57014" {
		t.Errorf("the cancelled statement: %v", err)
	}
	c.Close(t.Context())
	r.untilSessions(t, 0)
	connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
}

// untilRunning waits until the server runs a statement.
func untilRunning(t testing.TB, cluster *pgcluster.Cluster, db, like string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if psql(t, cluster, cluster.DSN(db, cluster.Superuser),
			"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE '"+like+"'") != "0" {
			return
		}
	}
	t.Fatalf("the server never ran %s", like)
}

func (r *running) untilSessions(t testing.TB, n int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		r.proxy.mu.Lock()
		open := r.proxy.open
		r.proxy.mu.Unlock()
		if open == n {
			return
		}
	}
	t.Fatalf("want %d sessions, have %+v", n, r.proxy.Sessions())
}

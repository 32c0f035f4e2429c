package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/policy/approval"
	"github.com/pgsluice/pgsluice/policy/approval/ledger"
)

var kills = flag.Int("kills", 2, "how often the proxy is killed at each step of the commit gate")

const killPolicy = `
version: 1
rules:
  - {id: ten, match: {statement: [delete], rows: "> 10"}, action: hold, approve: [{group: dba, count: 1}]}
  - {id: flood, match: {budget: {deleted: "> 1000", per: 1h, by: [user]}}, action: hold, approve: [{group: dba, count: 1}]}
`

// killedStatement is over the limit: it runs, is measured and rolled back, waits
// for bob, and runs again.
const (
	killedStatement = "DELETE FROM accounts WHERE id <= 20"
	killedBudget    = `rule=flood user="alice"`
)

// killSteps are the messages at which the proxy is killed, in the order in which
// they go by. After the one that is said with a grant, bob has approved; until the
// COMMIT is sent nothing may have been committed.
var killSteps = []killStep{
	{"BEGIN", false, "BEGIN\x00", 1, false, 0},
	{"the statement", false, killedStatement, 1, false, 0},
	{"its end", true, "DELETE 20\x00", 1, false, 0},
	{"the measuring question", false, "pg_lock_status", 1, false, 0},
	{"ROLLBACK", false, "ROLLBACK\x00", 1, false, 0},
	{"ROLLBACK answered", true, "ROLLBACK\x00", 1, false, 0},
	{"the request is about to be opened", false, "SHOW role", 1, false, 0},
	{"BEGIN once approved", false, "BEGIN\x00", 2, true, 0},
	{"the statement again", false, killedStatement, 2, true, 0},
	{"its end again", true, "DELETE 20\x00", 2, true, 0},
	{"measured again", false, "pg_lock_status", 2, true, 0},
	{"COMMIT", false, "COMMIT\x00", 1, true, 1},
	{"COMMIT answered", true, "COMMIT\x00", 1, true, 2},
}

type killStep struct {
	name   string
	server bool   // the server says it
	holds  string // what is in the message
	nth    int
	grant  bool // the grant has been used by then
	commit int  // 1: it may have been committed, 2: it has been
}

// killCommitSteps are those of a transaction block that is held at its COMMIT.
var killCommitSteps = []killStep{
	{"the question about locks", false, "pg_blocking_pids", 1, false, 0},
	{"COMMIT", false, "COMMIT\x00", 1, true, 1},
	{"COMMIT answered", true, "COMMIT\x00", 1, true, 2},
}

// TestKilledAtEachStep kills the proxy with SIGKILL at each step of the commit
// gate. The rows are then as they were or exactly what was approved, nothing of it
// is left on the server, budgets hold what was committed, and what was approved
// does not run again once it may have run.
func TestKilledAtEachStep(t *testing.T) {
	k := newKilled(t)
	k.policy, k.statements, k.steps = killPolicy, []string{killedStatement}, killSteps
	k.atEach(t)
}

// TestKilledAtItsCommit does the same to a transaction block that is held at its
// COMMIT: the server rolls it back, and what is approved later does not run by
// itself.
func TestKilledAtItsCommit(t *testing.T) {
	k := newKilled(t)
	k.policy = strings.ReplaceAll(killPolicy, "action: hold", "action: hold, at_commit: 60s")
	k.statements, k.steps = []string{"BEGIN", killedStatement, "COMMIT"}, killCommitSteps
	k.atEach(t)
}

func (k *killed) atEach(t *testing.T) {
	for i := range k.steps {
		t.Run(k.steps[i].name, func(t *testing.T) {
			for n := range *kills {
				k.at(t, i, n%2 == 1)
			}
		})
	}
	t.Run("while people think", func(t *testing.T) {
		for range *kills {
			k.at(t, -1, false)
		}
	})
}

func newKilled(t *testing.T) *killed {
	t.Helper()
	cluster := pgcluster.Shared(t)
	db := cluster.NewDatabase(t)
	super, err := pgconn.Connect(t.Context(), cluster.DSN(db, cluster.Superuser))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { super.Close(context.Background()) })
	k := &killed{cluster: cluster, db: db, super: super}
	k.sql(t, `DO $$ BEGIN CREATE ROLE alice LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$;
		CREATE TABLE accounts (id int PRIMARY KEY, name text); GRANT ALL ON accounts TO alice`)
	return k
}

type killed struct {
	policy     string
	statements []string
	steps      []killStep

	cluster *pgcluster.Cluster
	db      string
	super   *pgconn.PgConn
}

func (k *killed) sql(t *testing.T, sql string) string {
	t.Helper()
	results, err := k.super.Exec(t.Context(), sql).ReadAll()
	if err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	if last := results[len(results)-1]; len(last.Rows) == 1 {
		return string(last.Rows[0][0])
	}
	return ""
}

// at kills the proxy at one step, before its message is passed on or after. -1 is
// the time in which people think.
func (k *killed) at(t *testing.T, step int, passed bool) {
	k.sql(t, "TRUNCATE accounts; INSERT INTO accounts SELECT g, 'a' FROM generate_series(1, 100) g")
	c := aConfig(t)
	if err := os.WriteFile(c.Policy, []byte(k.policy), 0o600); err != nil {
		t.Fatal(err)
	}
	c.People = append(c.People, personConfig{Name: "alice", Logins: []string{"alice"}, Password: c.People[0].Password})
	r := newRelay(t, k.cluster.Addr())
	c.Server.Address = r.addr
	plain := func(cmd *exec.Cmd) { cmd.Env = append(os.Environ(), "PGSLUICE_SERVER_TLS_MODE=disable") }
	p := serveProcess(t, c, plain)
	address := p.said(t, "listening")
	bob := console(t, address, "bob")
	seen := 0
	if step >= 0 {
		s := k.steps[step]
		r.watch(func(server bool, frame []byte) bool {
			if server == s.server && bytes.Contains(frame, []byte(s.holds)) && !bytes.Contains(frame, []byte("EXPLAIN")) {
				seen++
			}
			return seen == s.nth && bytes.Contains(frame, []byte(s.holds))
		}, passed, func() { _ = p.Process.Signal(syscall.SIGKILL) })
	}
	sent := k.send(t, address)
	select {
	case <-sent.waits:
		if step < 0 {
			p.signal(t, syscall.SIGKILL)
		} else if _, err := bob.Exec(t.Context(), "APPROVE 1 'seen'").ReadAll(); errors.As(err, new(*pgconn.PgError)) {
			t.Fatalf("approve: %v", err)
		}
	case <-sent.done:
	}
	if <-sent.done; sent.err == nil || errors.As(sent.err, new(*pgconn.PgError)) {
		t.Fatalf("the proxy was not killed: %v", sent.err)
	}
	p.buried()
	for k.sql(t, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'alice' AND datname = current_database()") != "0" {
	}

	rows := k.sql(t, "SELECT count(*) FROM accounts")
	committed, granted := 0, false
	if step >= 0 {
		committed, granted = k.steps[step].commit, k.steps[step].grant
	}
	switch {
	case committed == 0 && rows != "100", committed == 2 && rows != "80", rows != "100" && rows != "80":
		t.Fatalf("%s rows are left", rows)
	}
	requests, spent := k.ledger(t, c)
	if deleted := map[string]int64{"100": 0, "80": 20}[rows]; spent < deleted {
		t.Errorf("%d rows were deleted, and the budget holds %d", deleted, spent)
	}
	if granted && (len(requests) != 1 || requests[0].State != approval.Used) {
		t.Fatalf("the grant was not used: %v", requests)
	}

	r.watch(nil, false, nil)
	again := serveProcess(t, c, plain)
	second := k.send(t, again.said(t, "listening"))
	select {
	case <-second.waits:
	case <-second.done:
		if second.err != nil || rows == "100" {
			t.Errorf("sent again, with %s rows there: %v", rows, second.err)
		}
	}
	again.signal(t, syscall.SIGKILL)
	<-second.done
	again.buried()
	if now := k.sql(t, "SELECT count(*) FROM accounts"); now != rows {
		t.Errorf("%s rows were left, and after a restart %s", rows, now)
	}
	requests, _ = k.ledger(t, c)
	for _, q := range requests {
		if granted && q.ID == 1 && q.State != approval.OutcomeUnknown || !granted && q.State != approval.Pending || q.State == approval.Used {
			t.Errorf("request %d is %s after a restart", q.ID, q.State)
		}
	}
}

// buried waits for the end of a process that was killed.
func (p *process) buried() {
	for p.lines.Scan() {
	}
	_ = p.Wait()
	p.ended = true
}

// ledger reads what a killed proxy has left.
func (k *killed) ledger(t *testing.T, c *config) (requests []approval.Request, spent int64) {
	t.Helper()
	l, err := ledger.OpenSQLite(strings.TrimPrefix(c.Ledger, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if requests, err = l.List(t.Context(), approval.Filter{}); err != nil {
		t.Fatal(err)
	}
	_, _, spent, err = l.Spend(t.Context(), time.Now(), []approval.Charge{{Budget: killedBudget, Per: time.Hour, May: func(int64) bool { return false }}})
	if err != nil {
		t.Fatal(err)
	}
	return requests, spent
}

// sending is the statement under way. waits is closed by the notice that it is
// held, done by its end.
type sending struct {
	waits, done chan struct{}
	err         error
}

func (k *killed) send(t *testing.T, address string) *sending {
	t.Helper()
	s := &sending{waits: make(chan struct{}), done: make(chan struct{})}
	config, err := pgconn.ParseConfig(k.cluster.DSNAt(address, k.db, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	held := sync.OnceFunc(func() { close(s.waits) })
	config.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) { held() }
	ctx, done := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(done)
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		for _, sql := range k.statements {
			if _, s.err = conn.Exec(ctx, sql).ReadAll(); s.err != nil {
				break
			}
		}
		conn.Close(ctx)
	}()
	return s
}

// relay stands between the proxy and the server, and sees each message go by.
type relay struct {
	addr string

	mu      sync.Mutex
	fatal   func(server bool, frame []byte) bool // is this the message?
	passed  bool                                 // it still goes
	killing func()
}

func newRelay(t *testing.T, server string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := &relay{addr: l.Addr().String()}
	go func() {
		for {
			here, err := l.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", server)
			if err != nil {
				here.Close()
				continue
			}
			go r.pass(here, there, false)
			go r.pass(there, here, true)
		}
	}()
	return r
}

func (r *relay) watch(fatal func(server bool, frame []byte) bool, passed bool, killing func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fatal, r.passed, r.killing = fatal, passed, killing
}

// pass copies messages until one side ends; the other then does too, as the proxy's
// connections end when it is killed.
func (r *relay) pass(from, to net.Conn, server bool) {
	defer from.Close()
	defer to.Close()
	head := 4 // the start-up packet has no type
	if server {
		head = 5
	}
	for {
		frame := make([]byte, head)
		if _, err := io.ReadFull(from, frame); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(frame[head-4:])-4)
		if _, err := io.ReadFull(from, body); err != nil {
			return
		}
		frame, head = append(frame, body...), 5
		if !r.goesBy(to, server, frame) {
			return
		}
	}
}

func (r *relay) goesBy(to net.Conn, server bool, frame []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	kill := r.fatal != nil && r.fatal(server, frame)
	if kill && !r.passed {
		r.killing()
		r.fatal = nil
		return false
	}
	_, err := to.Write(frame)
	if kill {
		r.killing()
		r.fatal = nil
	}
	return err == nil
}

package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/zap/zaptest"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
	"github.com/pgsluice/pgsluice/policy/approval/ledger"
)

// consoleHouse is a console on loopback with three people: bob of group dba,
// carol of group leads who is the login alice too, and dave without a password.
type consoleHouse struct {
	*Console
	address string
	record  *memoryRecord
	people  *ConsolePeople
	reloads []string
	refuse  error // what RELOAD answers
	secure  bool
	end     func() // ends the sessions
}

const consoleTestPassword = "correct horse"

// argon2id of consoleTestPassword with parameters that cost a test nothing.
const consoleTestArgon = "argon2id:$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$"

// memoryRecord is an audit log in memory, which can be made to fail.
type memoryRecord struct {
	mu     sync.Mutex
	events []approval.Event
	broken error
}

func (m *memoryRecord) Record(_ context.Context, e approval.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	m.events = append(m.events, e)
	return nil
}

func (m *memoryRecord) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = err
}

func newConsoleHouse(t *testing.T) *consoleHouse {
	t.Helper()
	verifier, err := NewSCRAMVerifier(consoleTestPassword)
	if err != nil {
		t.Fatal(err)
	}
	password, err := ParsePassword(verifier)
	if err != nil {
		t.Fatal(err)
	}
	h := &consoleHouse{record: &memoryRecord{}, secure: true}
	h.people = &ConsolePeople{
		People: approval.NewPeople([]approval.Person{
			{Name: "bob", Groups: []string{"dba"}, Logins: []string{"bob"}},
			{Name: "carol", Groups: []string{"leads"}, Logins: []string{"alice"}},
			{Name: "dave", Groups: []string{"dba"}},
		}, nil),
		Passwords: map[string]Password{"bob": password, "carol": password},
	}
	store, err := ledger.OpenSQLite(filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	approvals, err := approval.New(approval.Config{Ledger: store, Recorder: h.record, Now: time.Now, People: h.people.People})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(approvals.Close)
	h.Console = &Console{
		Approvals: approvals,
		Policy:    policy.Standard,
		People:    func() *ConsolePeople { return h.people },
		Sessions: func() []SessionInfo {
			return []SessionInfo{{ID: "s1", User: "alice", Database: "shop", State: "held", Request: 1, PID: 77, Since: time.Unix(1, 0)}}
		},
		Reload: func(_ context.Context, by string) error {
			h.reloads = append(h.reloads, by)
			return h.refuse
		},
		ReloadGroup: "dba",
		Version:     "test",
		Log:         zaptest.NewLogger(t),
	}
	h.listen(t)
	return h
}

// listen serves consoles on loopback the way the proxy does: TLS is refused, the
// StartupMessage read to its last byte and no further.
func (h *consoleHouse) listen(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.address = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	h.end = cancel
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				parameters, err := readStartUp(conn)
				if err == nil {
					_ = h.serve(ctx, conn, parameters, h.secure, func() {})
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		cancel()
		all.Wait()
	})
}

func readStartUp(conn net.Conn) (map[string]string, error) {
	for {
		head := make([]byte, 8)
		if _, err := io.ReadFull(conn, head); err != nil {
			return nil, err
		}
		if code := binary.BigEndian.Uint32(head[4:]); code>>16 == 1234 {
			if _, err := conn.Write([]byte("N")); err != nil {
				return nil, err
			}
			continue
		}
		body := make([]byte, binary.BigEndian.Uint32(head)-8)
		if _, err := io.ReadFull(conn, body); err != nil {
			return nil, err
		}
		var m pgproto3.StartupMessage
		if err := m.Decode(append(head[4:], body...)); err != nil {
			return nil, err
		}
		return m.Parameters, nil
	}
}

func (h *consoleHouse) dsn(person, password string) string {
	host, port, _ := net.SplitHostPort(h.address)
	return "host=" + host + " port=" + port + " dbname=pgsluice user=" + person + " password='" + password + "' sslmode=disable connect_timeout=30"
}

// as is a pgx connection of a person.
func (h *consoleHouse) as(t *testing.T, person string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), h.dsn(person, consoleTestPassword))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// request opens a request of alice, who is carol, that needs one of dba.
func (h *consoleHouse) request(t *testing.T, statement string, parameters ...string) approval.Request {
	t.Helper()
	w, err := h.Approvals.Open(t.Context(), approval.Ask{
		Mode: approval.Hold, Scope: approval.OneStatement, Rule: "no-where", Title: "DELETE or UPDATE of every row",
		PolicyHash: "sha256:00", Quorum: []approval.Need{{Group: "dba", Count: 1}},
		Server: "127.0.0.1:5432", Database: "shop", Login: "alice", Application: "DBeaver", Address: "10.0.0.1:5",
		Session: "s1", Statement: statement, Parameters: parameters,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Release)
	return w.Request()
}

func refusedWith(t *testing.T, err error, code string) *pgconn.PgError {
	t.Helper()
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) {
		t.Fatalf("want an error with SQLSTATE %s, got %v", code, err)
	}
	if refusal.Code != code {
		t.Fatalf("want SQLSTATE %s, got %s: %s", code, refusal.Code, refusal.Message)
	}
	return refusal
}

func TestConsoleASecondPersonApprovesOverPgx(t *testing.T) {
	h := newConsoleHouse(t)
	r := h.request(t, "DELETE FROM accounts WHERE name = $1", "o'neil")
	bob := h.as(t, "bob")

	var id int64
	var state, statement, may string
	var created, expires time.Time
	err := bob.QueryRow(t.Context(), "SHOW REQUESTS").Scan(&id, &state, &created, &expires, nil, nil, nil, nil, &statement, nil, nil, nil, &may, nil)
	if err != nil {
		t.Fatal(err)
	}
	if id != r.ID || state != "pending" || statement != r.Statement || may != "bob, dave" {
		t.Errorf("SHOW REQUESTS: %d %s %q %q", id, state, statement, may)
	}
	if !created.Equal(r.Created.Truncate(time.Microsecond)) || !expires.After(created) {
		t.Errorf("created %v, expires %v; the request has %v", created, expires, r.Created)
	}

	var needed *string
	if err := bob.QueryRow(t.Context(), "APPROVE $1, $2", r.ID, "looked at it").Scan(&id, &state, &needed, &statement); err != nil {
		t.Fatal(err)
	}
	if id != r.ID || state != "approved" {
		t.Errorf("APPROVE: %d is %s", id, state)
	}
	now, err := h.Approvals.Get(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := now.Decisions[0]; d.Person != "bob" || d.Reason != "looked at it" || d.Channel != "psql" || !d.Approve {
		t.Errorf("the ledger has %+v", d)
	}
}

func TestConsoleRefusesWithTheReasonOfTheRefusal(t *testing.T) {
	h := newConsoleHouse(t)
	r := h.request(t, "DELETE FROM accounts")
	bob, carol := h.as(t, "bob"), h.as(t, "carol")

	_, err := carol.Exec(t.Context(), "APPROVE 1 'mine'")
	if e := refusedWith(t, err, "42501"); !strings.Contains(e.Message, "somebody else has to approve") {
		t.Errorf("one's own request: %s", e.Message)
	}
	_, err = bob.Exec(t.Context(), "CANCEL 1")
	refusedWith(t, err, "42501")
	_, err = bob.Exec(t.Context(), "APPROVE 99 'x'")
	refusedWith(t, err, "42501")
	_, err = bob.Exec(t.Context(), "APPROVE 1 ' '")
	refusedWith(t, err, "42501")
	if _, err = bob.Exec(t.Context(), "DENY 1 'no'"); err != nil {
		t.Fatal(err)
	}
	_, err = bob.Exec(t.Context(), "APPROVE 1 'after all'")
	refusedWith(t, err, "42501")

	now, err := h.Approvals.Get(t.Context(), r.ID)
	if err != nil || now.State != approval.Denied {
		t.Errorf("the request is %s (%v), want denied", now.State, err)
	}
}

func TestConsoleRequesterCancels(t *testing.T) {
	h := newConsoleHouse(t)
	r := h.request(t, "DELETE FROM accounts")
	if _, err := h.as(t, "carol").Exec(t.Context(), "cancel 1;"); err != nil {
		t.Fatal(err)
	}
	if now, err := h.Approvals.Get(t.Context(), r.ID); err != nil || now.State != approval.Cancelled {
		t.Errorf("the request is %s (%v), want cancelled", now.State, err)
	}
}

func TestConsoleDecidesNothingWithoutTheAuditLog(t *testing.T) {
	h := newConsoleHouse(t)
	r := h.request(t, "DELETE FROM accounts")
	bob := h.as(t, "bob")
	h.record.fail(errors.New("disk /var/secret is full"))

	_, err := bob.Exec(t.Context(), "APPROVE 1 'looked at it'")
	if e := refusedWith(t, err, "58000"); strings.Contains(e.Message+e.Detail+e.Hint, "/var/secret") {
		t.Errorf("the client is told internals: %+v", e)
	}
	if now, err := h.Approvals.Get(t.Context(), r.ID); err != nil || now.State != approval.Pending {
		t.Errorf("the request is %s (%v), want pending", now.State, err)
	}
	_, err = pgx.Connect(t.Context(), h.dsn("bob", consoleTestPassword))
	refusedWith(t, err, "58000")
}

// The table of who may give which command, written out once more.
func TestConsolePermissions(t *testing.T) {
	const all, dba = "bob carol", "bob"
	want := map[string]string{
		"SHOW REQUESTS": all, "SHOW REQUESTS ALL": all, "SHOW REQUEST": all, "SHOW SESSIONS": all,
		"SHOW POLICY": all, "SHOW HELP": all, "APPROVE": all, "DENY": all, "CANCEL": all,
		"RELOAD": dba,
	}
	h := newConsoleHouse(t)
	for _, c := range commands() {
		may, ok := want[c.name()]
		if !ok {
			t.Errorf("%s is in no line of this test", c.name())
		}
		for _, person := range []string{"bob", "carol", "gone", ""} {
			s := &consoleSession{Console: h.Console, person: person}
			if got := s.may(c.who); got != (person != "" && strings.Contains(may, person)) {
				t.Errorf("%s: %q may: %v", c.name(), person, got)
			}
		}
	}
	if s := (&consoleSession{Console: h.Console, person: "bob"}); s.may(nobody) {
		t.Error("the zero permission lets somebody")
	}
	nobodys := &Console{People: h.People}
	if s := (&consoleSession{Console: nobodys, person: "bob"}); s.may(reloaders) {
		t.Error("without a group of reloaders somebody may RELOAD")
	}
}

func TestConsoleReload(t *testing.T) {
	h := newConsoleHouse(t)
	_, err := h.as(t, "carol").Exec(t.Context(), "RELOAD")
	refusedWith(t, err, "42501")
	if len(h.reloads) > 0 {
		t.Fatal("a person who may not has reloaded")
	}
	bob := h.as(t, "bob")
	if _, err := bob.Exec(t.Context(), "RELOAD"); err != nil {
		t.Fatal(err)
	}
	h.refuse = errors.New("policy.yaml:3:5: unknown key \"rulez\"\npolicy.yaml:9:1: another")
	_, err = bob.Exec(t.Context(), "RELOAD")
	if e := refusedWith(t, err, "F0000"); !strings.HasPrefix(e.Message, "policy.yaml:3:5: ") || !strings.Contains(e.Detail, "policy.yaml:9:1: ") {
		t.Errorf("the places are not shown: %+v", e)
	}
	if got := strings.Join(h.reloads, " "); got != "bob bob" {
		t.Errorf("reloaded by %q", got)
	}
}

func TestConsoleAPersonWhoHasLeftSeesNothingMore(t *testing.T) {
	h := newConsoleHouse(t)
	bob := h.as(t, "bob")
	h.people = &ConsolePeople{People: approval.NewPeople(nil, nil)}
	_, err := bob.Exec(t.Context(), "SHOW REQUESTS")
	refusedWith(t, err, "42501")
}

func TestConsoleWithPsql(t *testing.T) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Fatal("these tests need psql: ", err)
	}
	h := newConsoleHouse(t)
	h.request(t, "DELETE FROM \u202eaccounts")
	run := func(person string, commands ...string) string {
		args := []string{"-X", "-w", "-d", h.dsn(person, consoleTestPassword)}
		for _, c := range commands {
			args = append(args, "-c", c)
		}
		out, _ := exec.CommandContext(t.Context(), psql, args...).CombinedOutput()
		return string(out)
	}
	for _, c := range []struct {
		what, person, command, want string
	}{
		{"the whole statement, with nothing hidden", "bob", "show request 1", `DELETE FROM \u202eaccounts`},
		{"help", "bob", "SHOW HELP;", "APPROVE id 'reason'"},
		{"sessions", "bob", "SHOW SESSIONS", "held"},
		{"version", "bob", "select version()", "pgsluice test"},
		{"a syntax error at its place", "bob", "APPROVE one 'x'", "LINE 1: APPROVE one 'x'\n                ^"},
		{"usage", "bob", "APPROVE 1", "It reads APPROVE id 'reason'."},
		{"a catalog command", "bob", `\d`, "SHOW HELP"},
		{"somebody else's database", "bob", "DELETE FROM accounts", "SHOW HELP"},
		{"transactions", "bob", "BEGIN; SHOW REQUESTS; COMMIT", "COMMIT"},
		{"a decision within one", "bob", "BEGIN; DENY 1 'no'; ROLLBACK", "takes nothing back"},
		{"nothing", "bob", ";", ""},
	} {
		if out := run(c.person, c.command); !strings.Contains(out, c.want) {
			t.Errorf("%s: %s\nwant %s\ngot:\n%s", c.what, c.command, c.want, out)
		}
	}
	if out := run("mallory", "SHOW HELP"); !strings.Contains(out, `password authentication failed for user "mallory"`) {
		t.Errorf("an unknown name: %s", out)
	}
}

package approval_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pgsluice/pgsluice/policy/approval"
	"github.com/pgsluice/pgsluice/policy/approval/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// office is a service on a real ledger, with a clock that stands still and an
// audit log in memory; either can be told to fail.
type office struct {
	*approval.Service
	t        *testing.T
	path     string
	file     *ledger.SQLite
	ledger   *failingLedger
	recorder *memory
	clock    *clock
	people   *approval.People
}

var morning = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

var staff = approval.NewPeople([]approval.Person{
	{Name: "alice", Groups: []string{"developers"}, Logins: []string{"alice", "app"}},
	{Name: "bob", Groups: []string{"dba"}, Logins: []string{"bob", "app"}},
	{Name: "carol", Groups: []string{"dba", "owners"}, Logins: []string{"carol"}},
	{Name: "dave", Groups: []string{"owners"}, Logins: []string{"dave"}},
	{Name: "admin", Groups: []string{"dba", "owners", "developers"}, Logins: []string{"postgres"}},
}, nil)

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, path: filepath.Join(t.TempDir(), "ledger.db"), recorder: &memory{}, clock: &clock{now: morning}, people: staff}
	o.start()
	t.Cleanup(o.stop)
	return o
}

func (o *office) start() {
	o.t.Helper()
	var err error
	if o.file, err = ledger.OpenSQLite(o.path); err != nil {
		o.t.Fatal(err)
	}
	o.ledger = &failingLedger{Ledger: o.file}
	o.Service, err = approval.New(approval.Config{Ledger: o.ledger, Recorder: o.recorder, Now: o.clock.Now, People: o.people})
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) stop() {
	o.Close()
	if err := o.file.Close(); err != nil {
		o.t.Error(err)
	}
}

// restart is what a new process finds after one that died.
func (o *office) restart() {
	o.t.Helper()
	o.stop()
	o.start()
}

func (o *office) open(a approval.Ask) *approval.Waiter {
	o.t.Helper()
	w, err := o.Open(o.t.Context(), a)
	if err != nil {
		o.t.Fatal(err)
	}
	return w
}

func (o *office) approve(id int64, person string) approval.Request {
	o.t.Helper()
	r, err := o.Approve(o.t.Context(), id, person, "psql", "I have looked at it")
	if err != nil {
		o.t.Fatal(err)
	}
	return r
}

func (o *office) use(w *approval.Waiter) *approval.Grant {
	o.t.Helper()
	g, err := w.Use(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return g
}

func (o *office) state(id int64) approval.State {
	o.t.Helper()
	r, err := o.Get(o.t.Context(), id)
	if err != nil {
		o.t.Fatal(err)
	}
	return r.State
}

func (o *office) want(id int64, want approval.State) {
	o.t.Helper()
	if got := o.state(id); got != want {
		o.t.Errorf("request %d is %s, want %s", id, got, want)
	}
}

func (o *office) expire() {
	o.t.Helper()
	if err := o.Expire(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
}

// notApproved checks that no grant is given, and why.
func (o *office) notApproved(w *approval.Waiter, want approval.State) {
	o.t.Helper()
	g, err := w.Use(o.t.Context())
	var not *approval.ErrNotApproved
	if g != nil || !errors.As(err, &not) || not.State != want {
		o.t.Errorf("a use was answered with %v, %v, want not approved because %s", g, err, want)
		return
	}
	if want := fmt.Sprintf("request %d is %s", w.Request().ID, want); err.Error() != want {
		o.t.Errorf("the error is %q, want %q", err, want)
	}
}

func isSettled(w *approval.Waiter) bool {
	select {
	case <-w.Settled():
		return true
	default:
		return false
	}
}

func aliceDeletes() approval.Ask {
	return approval.Ask{
		Mode: approval.Hold, Scope: approval.OneStatement, Rule: "no-where", Title: "DELETE of every row", PolicyHash: "sha256:1",
		Quorum: []approval.Need{{Group: "dba", Count: 1}},
		Server: "db1:5432", Database: "shop", Login: "alice", Role: "alice", Application: "psql", Address: "10.0.0.7:4711", Session: "s1",
		Statement: "DELETE FROM orders", ParameterHash: []byte{1}, Settings: "search_path=public", Impact: "about 3,000 rows",
	}
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// memory is an audit log that keeps its events in memory.
type memory struct {
	mu     sync.Mutex
	events []approval.Event
	fails  error
	before func(approval.Event) // called before the event is on record
}

func (m *memory) Record(_ context.Context, e approval.Event) error {
	if m.before != nil {
		m.before(e)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails != nil {
		return m.fails
	}
	m.events = append(m.events, e)
	return nil
}

// kinds lists what is on record, in order.
func (m *memory) kinds() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var kinds []string
	for _, e := range m.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func (m *memory) last() approval.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.events[len(m.events)-1]
}

// failingLedger is a ledger that can be told to fail, before a change (fails) or
// after it (forgets), or to be changed by another process in between (meanwhile).
type failingLedger struct {
	approval.Ledger
	fails, forgets error
	meanwhile      func(was approval.Request)
}

func (l *failingLedger) Create(ctx context.Context, r approval.Request) (int64, error) {
	if l.fails != nil {
		return 0, l.fails
	}
	return l.Ledger.Create(ctx, r)
}

func (l *failingLedger) Get(ctx context.Context, id int64) (approval.Request, error) {
	if l.fails != nil {
		return approval.Request{}, l.fails
	}
	return l.Ledger.Get(ctx, id)
}

func (l *failingLedger) List(ctx context.Context, f approval.Filter) ([]approval.Request, error) {
	if l.fails != nil {
		return nil, l.fails
	}
	return l.Ledger.List(ctx, f)
}

func (l *failingLedger) Move(ctx context.Context, was, is approval.Request) error {
	if l.fails != nil {
		return l.fails
	}
	if f := l.meanwhile; f != nil {
		l.meanwhile = nil
		f(was)
	}
	if err := l.Ledger.Move(ctx, was, is); err != nil {
		return err
	}
	return l.forgets
}

func TestWhatAServiceNeeds(t *testing.T) {
	o := newOffice(t)
	whole := approval.Config{Ledger: o.file, Recorder: o.recorder, Now: o.clock.Now}
	for name, change := range map[string]func(*approval.Config){
		"ledger":   func(c *approval.Config) { c.Ledger = nil },
		"recorder": func(c *approval.Config) { c.Recorder = nil },
		"clock":    func(c *approval.Config) { c.Now = nil },
		"window":   func(c *approval.Config) { c.Window = -time.Second },
	} {
		c := whole
		change(&c)
		if _, err := approval.New(c); err == nil {
			t.Errorf("a service without a proper %s was started", name)
		}
	}
	// Without people it starts, and nobody gets anything.
	s, err := approval.New(whole)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), aliceDeletes()); !errors.Is(err, approval.ErrNobody) {
		t.Errorf("without people a request is answered with %v", err)
	}
}

func TestAskThatWasNeverFilledInIsRefused(t *testing.T) {
	o := newOffice(t)
	for name, change := range map[string]func(*approval.Ask){
		"mode":               func(a *approval.Ask) { a.Mode = "" },
		"scope":              func(a *approval.Ask) { a.Scope = "" },
		"session of a scope": func(a *approval.Ask) { a.Scope, a.Session = approval.WholeSession, "" },
		"rule":               func(a *approval.Ask) { a.Rule = "" },
		"policy":             func(a *approval.Ask) { a.PolicyHash = "" },
		"login":              func(a *approval.Ask) { a.Login = "" },
		"quorum":             func(a *approval.Ask) { a.Quorum = nil },
		"group":              func(a *approval.Ask) { a.Quorum = []approval.Need{{Count: 1}} },
		"count":              func(a *approval.Ask) { a.Quorum = []approval.Need{{Group: "dba"}} },
		"count in reason":    func(a *approval.Ask) { a.Quorum = []approval.Need{{Group: "dba", Count: 1 << 30}} },
	} {
		a := aliceDeletes()
		change(&a)
		if _, err := o.Open(t.Context(), a); err == nil {
			t.Errorf("a request without a %s was opened", name)
		}
	}
	if n := len(o.recorder.kinds()); n != 0 {
		t.Errorf("%d events are on record", n)
	}
}

func TestHeldStatementRunsOnceAfterASecondPersonApproved(t *testing.T) {
	o := newOffice(t)
	w := o.open(aliceDeletes())
	id := w.Request().ID
	if id != 1 || isSettled(w) {
		t.Fatalf("request %d, settled: %v", id, isSettled(w))
	}
	o.notApproved(w, approval.Pending)

	if r := o.approve(id, "bob"); r.State != approval.Approved || !r.Expires.Equal(morning.Add(15*time.Minute)) {
		t.Errorf("after the approval: %s until %s", r.State, r.Expires)
	}
	if !isSettled(w) || w.Request().State != approval.Approved {
		t.Error("the one who waits was not told")
	}
	g := o.use(w)
	o.want(id, approval.Used)
	if r := g.Request(); r.ID != id || r.State != approval.Used || r.Statement != "DELETE FROM orders" {
		t.Errorf("the grant is for %+v", r)
	}
	if _, err := w.Use(t.Context()); err == nil {
		t.Error("the grant was given twice")
	}
	if err := g.Finish(t.Context(), approval.Done, "DELETE 3"); err != nil {
		t.Fatal(err)
	}
	if err := g.Finish(t.Context(), approval.Failed, ""); err == nil {
		t.Error("it ended twice")
	}
	r, err := o.Get(t.Context(), id)
	if err != nil || r.State != approval.Done || r.Outcome != "DELETE 3" {
		t.Errorf("in the end: %+v, %v", r, err)
	}
	if len(r.Decisions) != 1 || r.Decisions[0] != (approval.Decision{Person: "bob", Approve: true, Reason: "I have looked at it", Channel: "psql", At: morning}) {
		t.Errorf("the decisions kept are %+v", r.Decisions)
	}
	if got, want := o.recorder.kinds(), []string{"requested", "approved", "used", "done"}; !slices.Equal(got, want) {
		t.Errorf("on record is %v, want %v", got, want)
	}
	for _, e := range o.recorder.events {
		if e.Statement != "DELETE FROM orders" || e.Request != 1 || e.Rule != "no-where" || e.Login != "alice" || e.Session != "s1" || !e.Time.Equal(morning) {
			t.Errorf("an event does not say what it is about: %+v", e)
		}
	}
}

func TestOutcomeIsOneOfThree(t *testing.T) {
	for _, outcome := range []approval.State{approval.Done, approval.Failed, approval.OutcomeUnknown} {
		o := newOffice(t)
		w := o.open(aliceDeletes())
		o.approve(1, "bob")
		g := o.use(w)
		for _, wrong := range []approval.State{"", approval.Pending, approval.Approved, approval.Used, approval.Expired} {
			if err := g.Finish(t.Context(), wrong, ""); err == nil {
				t.Errorf("a grant ended as %q", wrong)
			}
		}
		if err := g.Finish(t.Context(), outcome, "42P01"); err != nil {
			t.Error(err)
		}
		o.want(1, outcome)
	}
}

func TestNoteIsNotForStepsOfRequests(t *testing.T) {
	o := newOffice(t)
	if err := o.Note(t.Context(), approval.Event{Kind: approval.KindBlocked, Rule: "no-drop"}); err != nil {
		t.Fatal(err)
	}
	if e := o.recorder.last(); e.Rule != "no-drop" || !e.Time.Equal(morning) {
		t.Errorf("on record is %+v", e)
	}
	for _, kind := range []string{"", approval.KindApproved, approval.KindUsed} {
		if err := o.Note(t.Context(), approval.Event{Kind: kind}); err == nil {
			t.Errorf("somebody noted %q", kind)
		}
	}
	o.recorder.fails = errors.New("disk full")
	if err := o.Note(t.Context(), approval.Event{Kind: approval.KindBlocked}); !errors.Is(err, o.recorder.fails) {
		t.Errorf("a log that fails is answered with %v", err)
	}
}

func TestClosedServiceReleasesNothing(t *testing.T) {
	o := newOffice(t)
	w := o.open(aliceDeletes())
	o.approve(1, "bob")
	o.Close()
	_, open := o.Open(t.Context(), aliceDeletes())
	_, use := w.Use(t.Context())
	_, approve := o.Approve(t.Context(), 1, "bob", "psql", "fine")
	_, cancel := o.Cancel(t.Context(), 1, "alice")
	for name, err := range map[string]error{"open": open, "use": use, "approve": approve, "cancel": cancel, "expire": o.Expire(t.Context()), "withdraw": w.Withdraw(t.Context(), "")} {
		if !errors.Is(err, approval.ErrClosed) {
			t.Errorf("%s was answered with %v", name, err)
		}
	}
	o.want(1, approval.Approved)
}

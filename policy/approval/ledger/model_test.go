package ledger

import (
	"fmt"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pgsluice/pgsluice/policy/approval"
)

// model is what the ledger should hold, written down in the plainest way, and
// the service that is compared with it.
type model struct {
	t       *rapid.T
	in      func(testing.TB, string) durable
	outer   *testing.T
	place   string
	ledger  durable
	service *approval.Service
	clock   *clock

	requests []*expected // request n is at n-1
	waiters  []waiting
	grants   []granted
}

type expected struct {
	statement string
	mode      approval.Mode
	state     approval.State
	expires   time.Time
	decided   map[string]bool
	waiters   int
}

type waiting struct {
	*approval.Waiter
	id int64
}

type granted struct {
	*approval.Grant
	id int64
}

// Two of them are needed; nobody else may.
var deciders = []string{"dba1", "dba2", "dba3"}

func newModel(outer *testing.T, t *rapid.T, in func(testing.TB, string) durable) *model {
	place, err := os.MkdirTemp("", "ledger") // outer.TempDir would keep one for each of hundreds of runs
	if err != nil {
		t.Fatal(err)
	}
	m := &model{t: t, in: in, outer: outer, place: place, clock: &clock{}}
	m.start()
	return m
}

func (m *model) start() {
	m.ledger = m.in(m.outer, m.place)
	m.service = serve(m.outer, m.ledger, m.clock)
}

func (m *model) stop() {
	m.service.Close()
	if err := m.ledger.Close(); err != nil {
		m.t.Error(err)
	}
	if err := os.RemoveAll(m.place); err != nil {
		m.t.Error(err)
	}
}

func (m *model) actions() map[string]func(*rapid.T) {
	ctx := m.outer.Context()
	return map[string]func(*rapid.T){
		"open": func(t *rapid.T) {
			ask := aRequest(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "statement")).Ask
			ask.Quorum[0].Count = 2
			ask.Mode = rapid.SampledFrom([]approval.Mode{approval.Hold, approval.Ticket}).Draw(t, "mode")
			w, err := m.service.Open(ctx, ask)
			if err != nil {
				t.Fatal(err)
			}
			m.waiters = append(m.waiters, waiting{w, m.expectOpen(t, ask, w.Request().ID)})
		},
		"decide": func(t *rapid.T) {
			id := rapid.Int64Range(1, int64(len(m.requests)+1)).Draw(t, "id")
			person := rapid.SampledFrom(append([]string{"alice"}, deciders...)).Draw(t, "person")
			approves := rapid.IntRange(1, 4).Draw(t, "of 4, 3 approve") > 1
			decide := m.service.Deny
			if approves {
				decide = m.service.Approve
			}
			_, err := decide(ctx, id, person, "psql", "why")
			m.answered(t, err, m.expectDecision(id, person, approves))
		},
		"cancel": func(t *rapid.T) {
			id := rapid.Int64Range(1, int64(len(m.requests)+1)).Draw(t, "id")
			_, err := m.service.Cancel(ctx, id, "alice")
			r := m.request(id)
			m.answered(t, err, r != nil && r.end(approval.Cancelled, approval.Pending, approval.Approved))
		},
		"use": func(t *rapid.T) {
			w, ok := m.aWaiter(t)
			if !ok {
				return
			}
			g, err := w.Use(ctx)
			used := m.request(w.id).end(approval.Used, approval.Approved)
			m.answered(t, err, used)
			if used {
				m.leave(w)
				m.grants = append(m.grants, granted{g, w.id})
			}
		},
		"finish": func(t *rapid.T) {
			if len(m.grants) == 0 {
				return
			}
			g := rapid.SampledFrom(m.grants).Draw(t, "grant")
			to := rapid.SampledFrom([]approval.State{approval.Done, approval.Failed, approval.OutcomeUnknown}).Draw(t, "outcome")
			m.answered(t, g.Finish(ctx, to, "tag"), m.request(g.id).end(to, approval.Used))
		},
		"withdraw": func(t *rapid.T) {
			w, ok := m.aWaiter(t)
			if !ok {
				return
			}
			m.answered(t, w.Withdraw(ctx, "left"), true)
			if m.leave(w); m.request(w.id).waiters == 0 {
				m.request(w.id).end(approval.Cancelled, approval.Pending, approval.Approved)
			}
		},
		"ticket": func(t *rapid.T) {
			w, ok := m.aWaiter(t)
			if !ok {
				return
			}
			m.answered(t, w.Ticket(ctx), true)
			m.leave(w)
			if r := m.request(w.id); r.state == approval.Pending || r.state == approval.Approved {
				r.mode = approval.Ticket
			}
		},
		"release": func(t *rapid.T) {
			w, ok := m.aWaiter(t)
			if !ok {
				return
			}
			w.Release()
			m.leave(w)
		},
		"time passes": func(t *rapid.T) {
			m.clock.pass(time.Duration(rapid.IntRange(1, 40).Draw(t, "minutes")) * time.Minute)
			m.answered(t, m.service.Expire(ctx), true)
			for _, r := range m.requests {
				if !m.clock.now().Before(r.expires) {
					r.end(approval.Expired, approval.Pending, approval.Approved)
				}
			}
		},
		"restart": func(*rapid.T) {
			m.service.Close()
			if err := m.ledger.Close(); err != nil {
				m.t.Fatal(err)
			}
			m.start()
			m.waiters, m.grants = nil, nil
			for _, r := range m.requests {
				r.waiters = 0
				r.end(approval.OutcomeUnknown, approval.Used)
				if r.state == approval.Pending || r.state == approval.Approved {
					r.mode = approval.Ticket
				}
			}
		},
		"": m.compare, // after each of the others
	}
}

// end changes the state if it is one of those it can be left from.
func (r *expected) end(to approval.State, from ...approval.State) bool {
	for _, f := range from {
		if r.state == f {
			r.state = to
			return true
		}
	}
	return false
}

func (m *model) request(id int64) *expected {
	if id < 1 || id > int64(len(m.requests)) {
		return nil
	}
	return m.requests[id-1]
}

func (m *model) expectOpen(t *rapid.T, a approval.Ask, got int64) int64 {
	for i, r := range m.requests {
		if r.statement == a.Statement && (r.state == approval.Pending || r.state == approval.Approved) {
			if got != int64(i+1) {
				t.Fatalf("%q did not join request %d and became %d", a.Statement, i+1, got)
			}
			r.waiters++
			return got
		}
	}
	m.requests = append(m.requests, &expected{
		statement: a.Statement, mode: a.Mode, state: approval.Pending, expires: m.clock.now().Add(time.Hour), decided: map[string]bool{}, waiters: 1,
	})
	if got != int64(len(m.requests)) {
		t.Fatalf("a new request is %d, want %d", got, len(m.requests))
	}
	return got
}

func (m *model) expectDecision(id int64, person string, approves bool) bool {
	r := m.request(id)
	if r == nil || r.state != approval.Pending || r.decided[person] || person == "alice" {
		return false
	}
	r.decided[person] = true
	switch {
	case !approves:
		r.state = approval.Denied
	case len(r.decided) == 2:
		r.state, r.expires = approval.Approved, m.clock.now().Add(15*time.Minute)
	}
	return true
}

func (m *model) aWaiter(t *rapid.T) (waiting, bool) {
	if len(m.waiters) == 0 {
		return waiting{}, false
	}
	return rapid.SampledFrom(m.waiters).Draw(t, "waiter"), true
}

func (m *model) leave(w waiting) {
	m.request(w.id).waiters--
	for i := range m.waiters {
		if m.waiters[i] == w {
			m.waiters = append(m.waiters[:i], m.waiters[i+1:]...)
			return
		}
	}
}

func (m *model) answered(t *rapid.T, err error, want bool) {
	if (err == nil) != want {
		t.Fatalf("answered with %v, the model says it goes well: %v", err, want)
	}
}

func (m *model) compare(t *rapid.T) {
	all, err := m.service.List(m.outer.Context(), approval.Filter{})
	if err != nil || len(all) != len(m.requests) {
		t.Fatalf("%d requests, want %d; %v", len(all), len(m.requests), err)
	}
	for _, got := range all {
		want := m.request(got.ID)
		if is, should := fmt.Sprint(got.State, got.Mode, got.Expires, len(got.Decisions)), fmt.Sprint(want.state, want.mode, want.expires, len(want.decided)); is != should {
			t.Fatalf("request %d is %s, want %s", got.ID, is, should)
		}
	}
	for _, w := range m.waiters {
		settled := false
		select {
		case <-w.Settled():
			settled = true
		default:
		}
		if state := m.request(w.id).state; settled != (state != approval.Pending) || w.Request().State != state {
			t.Fatalf("who waits on request %d sees it %s, settled: %v; it is %s", w.id, w.Request().State, settled, state)
		}
	}
}

package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pgsluice/pgsluice/policy/approval"
)

// paper is an audit log that is always written.
type paper struct{}

func (paper) Record(context.Context, approval.Event) error { return nil }

type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time       { return noon.Add(time.Duration(c.offset.Load())) }
func (c *clock) pass(d time.Duration) { c.offset.Add(int64(d)) }

// crowd has alice, who asks, and 100 who may approve.
func crowd() *approval.People {
	persons := []approval.Person{{Name: "alice", Logins: []string{"alice"}}}
	for i := range 100 {
		persons = append(persons, approval.Person{Name: fmt.Sprint("dba", i), Groups: []string{"dba"}})
	}
	return approval.NewPeople(persons, nil)
}

func serve(t testing.TB, l approval.Ledger, c *clock) *approval.Service {
	t.Helper()
	s, err := approval.New(approval.Config{Ledger: l, Recorder: paper{}, Now: c.now, People: crowd(), Window: 15 * time.Minute, PendingFor: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// testingService is what the service must do on every ledger.
func testingService(t *testing.T, in func(testing.TB, string) durable) {
	fresh := func(t *testing.T) (*approval.Service, *clock) {
		t.Helper()
		l, c := in(t, t.TempDir()), &clock{}
		s := serve(t, l, c)
		t.Cleanup(func() {
			s.Close()
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		return s, c
	}

	t.Run("of 100 approvals at once exactly one is taken", func(t *testing.T) {
		s, _ := fresh(t)
		w := open(t, s, "a")
		taken := atOnce(t, 100, func(i int) error {
			_, err := s.Approve(t.Context(), 1, fmt.Sprint("dba", i), "psql", "fine")
			return err
		})
		if r := w.Request(); taken != 1 || r.State != approval.Approved || len(r.Decisions) != 1 {
			t.Errorf("%d were taken: %+v", taken, r)
		}
	})

	t.Run("of 100 approvals at once a quorum of 40 takes exactly 40", func(t *testing.T) {
		s, _ := fresh(t)
		ask := aRequest("a").Ask
		ask.Quorum[0].Count = 40
		w, err := s.Open(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		taken := atOnce(t, 100, func(i int) error {
			_, err := s.Approve(t.Context(), 1, fmt.Sprint("dba", i), "psql", "fine")
			return err
		})
		if r := w.Request(); taken != 40 || r.State != approval.Approved || len(r.Decisions) != 40 {
			t.Errorf("%d were taken: %s with %d", taken, r.State, len(r.Decisions))
		}
	})

	t.Run("of 100 who wait for one request exactly one uses it", func(t *testing.T) {
		s, _ := fresh(t)
		var waiters [100]*approval.Waiter
		for i := range waiters {
			waiters[i] = open(t, s, "a")
		}
		approve(t, s, 1)
		granted := atOnce(t, 100, func(i int) error {
			_, err := waiters[i].Use(t.Context())
			return err
		})
		if granted != 1 || state(t, s, 1) != approval.Used {
			t.Errorf("%d were granted, it is %s", granted, state(t, s, 1))
		}
	})

	t.Run("a process that died holds no locks any more", func(t *testing.T) {
		place, c := t.TempDir(), &clock{}
		l := in(t, place)
		s := serve(t, l, c)
		if err := open(t, s, "a").Tell(t.Context(), []byte("accounts")); err != nil {
			t.Fatal(err)
		}
		if r, err := s.Get(t.Context(), 1); err != nil || string(r.Locks) != "accounts" {
			t.Errorf("while it is held: %q, %v", r.Locks, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = in(t, place)
		defer func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}()
		if r, err := serve(t, l, c).Get(t.Context(), 1); err != nil || r.Mode != approval.Ticket || r.Locks != nil {
			t.Errorf("after a restart: %s, %q, %v", r.Mode, r.Locks, err)
		}
	})

	t.Run("of 100 who come at once all join one request", func(t *testing.T) {
		s, _ := fresh(t)
		var ids [100]int64
		atOnce(t, 100, func(i int) error {
			w, err := s.Open(t.Context(), aRequest("a").Ask)
			if err != nil {
				t.Error(err)
				return err
			}
			ids[i] = w.Request().ID
			return nil
		})
		if slices.Max(ids[:]) != 1 || slices.Min(ids[:]) != 1 {
			t.Errorf("the requests are %v", ids)
		}
	})

	t.Run("a request ends by itself, pending or approved", func(t *testing.T) {
		s, c := fresh(t)
		open(t, s, "a")
		w := open(t, s, "b")
		approve(t, s, 2)
		c.pass(15 * time.Minute)
		expire(t, s)
		if state(t, s, 1) != approval.Pending || state(t, s, 2) != approval.Expired {
			t.Errorf("after 15 minutes they are %s and %s", state(t, s, 1), state(t, s, 2))
		}
		if _, err := w.Use(t.Context()); err == nil {
			t.Error("an expired grant was given")
		}
		c.pass(45 * time.Minute)
		expire(t, s)
		if state(t, s, 1) != approval.Expired {
			t.Errorf("after an hour it is %s", state(t, s, 1))
		}
	})

	t.Run("a process that dies leaves tickets and unknown outcomes", func(t *testing.T) {
		place, c := t.TempDir(), &clock{}
		l := in(t, place)
		s := serve(t, l, c)
		open(t, s, "a")
		w := open(t, s, "b")
		approve(t, s, 2)
		if _, err := w.Use(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = in(t, place)
		defer l.Close()
		s = serve(t, l, c)
		defer s.Close()
		if r, err := s.Get(t.Context(), 1); err != nil || r.State != approval.Pending || r.Mode != approval.Ticket {
			t.Errorf("the hold is %s (%s), %v", r.State, r.Mode, err)
		}
		if got := state(t, s, 2); got != approval.OutcomeUnknown {
			t.Errorf("what had been sent is %s", got)
		}
	})

	t.Run("whatever is done in whatever order, the ledger is as the model says", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			m := newModel(t, rt, in)
			defer m.stop()
			rt.Repeat(m.actions())
		})
	})
}

func open(t *testing.T, s *approval.Service, statement string) *approval.Waiter {
	t.Helper()
	w, err := s.Open(t.Context(), aRequest(statement).Ask)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func approve(t *testing.T, s *approval.Service, id int64) {
	t.Helper()
	if _, err := s.Approve(t.Context(), id, "dba1", "psql", "fine"); err != nil {
		t.Fatal(err)
	}
}

func state(t *testing.T, s *approval.Service, id int64) approval.State {
	t.Helper()
	r, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r.State
}

func expire(t *testing.T, s *approval.Service) {
	t.Helper()
	if err := s.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// atOnce runs n calls at the same time and counts those that went well. The
// others must have been refused, not have failed.
func atOnce(t *testing.T, n int, do func(int) error) int64 {
	t.Helper()
	var well atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			err := do(i)
			var refusal *approval.Refusal
			var not *approval.ErrNotApproved
			switch {
			case err == nil:
				well.Add(1)
			case errors.As(err, &refusal), errors.As(err, &not):
			default:
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	return well.Load()
}

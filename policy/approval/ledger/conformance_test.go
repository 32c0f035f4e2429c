package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pgsluice/pgsluice/policy/approval"
)

// durable is a ledger that can be closed and opened again in the same place.
type durable interface {
	approval.Ledger
	io.Closer
}

// TestingLedger is what every ledger must do; open opens the one in a place,
// which is an empty folder at first.
func TestingLedger(t *testing.T, open func(place string) (durable, error)) {
	in := func(t testing.TB, place string) durable {
		t.Helper()
		l, err := open(place)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	fresh := func(t *testing.T) durable {
		t.Helper()
		l := in(t, t.TempDir())
		t.Cleanup(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		return l
	}

	t.Run("a budget has room for what was not spent of it lately, and all of a list or nothing is charged", func(t *testing.T) {
		ctx, place := context.Background(), t.TempDir()
		l := in(t, place)
		start := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
		charge := func(budget string, amount int64) approval.Charge {
			return approval.Charge{Budget: budget, Amount: amount, Per: 10 * time.Minute,
				May: func(spent int64) bool { return spent+amount <= 100 }}
		}
		spend := func(after time.Duration, charges ...approval.Charge) []int64 {
			t.Helper()
			ids, _, _, err := l.Spend(ctx, start.Add(after), charges)
			if err != nil {
				t.Fatal(err)
			}
			return ids
		}
		if spend(0, charge("a", 60)) == nil {
			t.Error("there was no room for 60 of 100")
		}
		ids, which, spent, err := l.Spend(ctx, start.Add(time.Minute), []approval.Charge{charge("b", 50), charge("a", 41)})
		if err != nil || ids != nil || which != 1 || spent != 60 {
			t.Errorf("41 more of 100 after 60: %v, charge %d, %d spent; %v", ids, which, spent, err)
		}
		taken := spend(time.Minute, charge("a", 40), charge("b", 100)) // nothing of the refused list was charged
		if taken == nil {
			t.Error("there was no room for 40 more of 100 after 60")
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
		if spend(2*time.Minute, charge("a", 1)) != nil {
			t.Error("what was spent is forgotten over a restart")
		}
		if err := l.Unspend(ctx, taken[:1]); err != nil {
			t.Fatal(err)
		}
		if spend(2*time.Minute, charge("a", 40)) == nil {
			t.Error("what was taken back still counts")
		}
		if spend(10*time.Minute-1, charge("a", 1)) != nil {
			t.Error("the window ends before its time")
		}
		if spend(10*time.Minute, charge("a", 60)) == nil {
			t.Error("what was spent 10 minutes ago still counts")
		}
		if spend(10*time.Minute, approval.Charge{Budget: "b", Amount: -100, Per: time.Minute}, charge("b", 100)) == nil {
			t.Error("a budget that was lifted has no room")
		}
	})
	t.Run("of many who spend at once no more is taken than the budget holds", func(t *testing.T) {
		l := fresh(t)
		var taken atomic.Int64
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				ids, _, _, err := l.Spend(context.Background(), time.Unix(1, 0), []approval.Charge{{Budget: "a", Amount: 1, Per: time.Hour,
					May: func(spent int64) bool { return spent < 7 }}})
				if err != nil {
					t.Error(err)
				}
				taken.Add(int64(len(ids)))
			})
		}
		group.Wait()
		if taken.Load() != 7 {
			t.Errorf("%d were charged, want 7", taken.Load())
		}
	})
	t.Run("what is stored comes back byte for byte", func(t *testing.T) {
		l := fresh(t)
		rapid.Check(t, func(t *rapid.T) {
			want := drawRequest(t)
			id, err := l.Create(context.Background(), want)
			if err != nil {
				t.Fatal(err)
			}
			want.ID = id
			got, err := l.Get(context.Background(), id)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%v\nwrote %+v\nread  %+v", err, want, got)
			}
		})
	})

	t.Run("ids are small, rise, and are not given again", func(t *testing.T) {
		place := t.TempDir()
		for i := range 3 {
			l := in(t, place)
			if id := create(t, l, "a"); id != int64(i+1) {
				t.Errorf("request %d has the id %d", i+1, id)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})

	t.Run("the locks of a request change by themselves, and nothing decided on it before is lost", func(t *testing.T) {
		l := fresh(t)
		was := aRequest("a")
		was.ID = create(t, l, "a")
		for _, locks := range [][]byte{[]byte("accounts\x00\xff"), nil} {
			if err := l.Tell(t.Context(), was.ID, locks); err != nil {
				t.Fatal(err)
			}
			was.Locks = locks
			unchanged(t, l, was)
		}
		if err := l.Tell(t.Context(), was.ID, []byte("accounts")); err != nil {
			t.Fatal(err)
		}
		is := was
		is.State, is.Revision = approval.Approved, was.Revision+1
		if err := l.Move(t.Context(), was, is); err != nil {
			t.Errorf("move a request whose locks have changed since: %v", err)
		}
		if err := l.Tell(t.Context(), 7, nil); !errors.Is(err, approval.ErrUnknownRequest) {
			t.Errorf("an unknown id: %v", err)
		}
	})

	t.Run("an unknown id", func(t *testing.T) {
		l := fresh(t)
		if _, err := l.Get(t.Context(), 7); !errors.Is(err, approval.ErrUnknownRequest) {
			t.Errorf("get: %v", err)
		}
		if err := l.Move(t.Context(), approval.Request{ID: 7, State: approval.Pending}, approval.Request{State: approval.Approved}); !errors.Is(err, approval.ErrLost) {
			t.Errorf("move: %v", err)
		}
	})

	t.Run("a request moves from any state to any other, if it is still as it was", func(t *testing.T) {
		l := fresh(t)
		for _, from := range states {
			for _, to := range states {
				was := aRequest("a")
				was.State = from
				id, err := l.Create(t.Context(), was)
				if err != nil {
					t.Fatal(err)
				}
				was.ID = id
				is := was
				is.State, is.Mode, is.Expires, is.Outcome, is.CancelledBy = to, approval.Ticket, noon.Add(time.Hour), "DELETE 3", "alice"
				is.Decisions = []approval.Decision{{Person: "bob", Approve: true, Reason: "fine", Channel: "psql", At: noon}}

				for _, other := range states {
					if other != from {
						mistaken := was
						mistaken.State = other
						lost(t, l, mistaken, is)
					}
				}
				late := was
				late.Revision = 0
				lost(t, l, late, is)
				unchanged(t, l, was)

				if err := l.Move(t.Context(), was, is); err != nil {
					t.Fatalf("%s to %s: %v", from, to, err)
				}
				is.Revision++
				unchanged(t, l, is)
				lost(t, l, was, is) // once
			}
		}
	})

	t.Run("decisions are added, each person's once", func(t *testing.T) {
		l := fresh(t)
		was := aRequest("a")
		was.ID = create(t, l, "a")
		for i, person := range []string{"dave", "carol", "bob"} { // all at the same time
			is := was
			is.Decisions = append(slices.Clone(was.Decisions), approval.Decision{Person: person, Approve: i < 2, Reason: "why " + person, Channel: "cli", At: noon})
			if err := l.Move(t.Context(), was, is); err != nil {
				t.Fatal(err)
			}
			is.Revision++
			unchanged(t, l, is)
			was = is
		}
		twice := was
		twice.State = approval.Approved
		twice.Decisions = append(slices.Clone(was.Decisions), approval.Decision{Person: "dave", Approve: true, Reason: "again", At: noon})
		if err := l.Move(t.Context(), was, twice); err == nil {
			t.Error("one person decided twice")
		}
		fewer := was
		fewer.Decisions = nil
		if err := l.Move(t.Context(), was, fewer); err == nil {
			t.Error("a decision was taken away")
		}
		unchanged(t, l, was)
	})

	t.Run("lists by state and binding, the newest first", func(t *testing.T) {
		l := fresh(t)
		for i, state := range states {
			r := aRequest([]string{"a", "b"}[i%2])
			r.State = state
			if _, err := l.Create(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			f    approval.Filter
			want []int64
		}{
			{approval.Filter{}, []int64{9, 8, 7, 6, 5, 4, 3, 2, 1}},
			{approval.Filter{Limit: 2}, []int64{9, 8}},
			{approval.Filter{States: []approval.State{approval.Pending, approval.Used}}, []int64{6, 1}},
			{approval.Filter{Binding: aRequest("b").Binding}, []int64{8, 6, 4, 2}},
			{approval.Filter{Binding: aRequest("b").Binding, States: states[:4], Limit: 1}, []int64{4}},
			{approval.Filter{Binding: aRequest("c").Binding}, nil},
			{approval.Filter{Binding: []byte{}}, nil},
			{approval.Filter{States: []approval.State{"no such state"}}, nil},
		} {
			all, err := l.List(t.Context(), c.f)
			if err != nil {
				t.Fatal(err)
			}
			var ids []int64
			for _, r := range all {
				ids = append(ids, r.ID)
			}
			if !slices.Equal(ids, c.want) {
				t.Errorf("%+v lists %v, want %v", c.f, ids, c.want)
			}
		}
	})

	t.Run("of 100 who change a request at once exactly one does", func(t *testing.T) {
		l := fresh(t)
		was := aRequest("a")
		was.ID = create(t, l, "a")
		var won, lost atomic.Int64
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				is := was
				is.State = []approval.State{approval.Approved, approval.Denied, approval.Cancelled}[i%3]
				is.Decisions = []approval.Decision{{Person: fmt.Sprint("person ", i), Approve: true, Reason: "fine", At: noon}}
				switch err := l.Move(t.Context(), was, is); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, approval.ErrLost):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if r, err := l.Get(t.Context(), was.ID); won.Load() != 1 || lost.Load() != 99 || err != nil || len(r.Decisions) != 1 || r.Revision != 2 {
			t.Errorf("%d won, %d lost: %+v, %v", won.Load(), lost.Load(), r, err)
		}
	})

	t.Run("everything is there after a restart", func(t *testing.T) {
		place := t.TempDir()
		l := in(t, place)
		was := aRequest("a")
		was.ID = create(t, l, "a")
		is := was
		is.State, is.Outcome = approval.Denied, "denied by bob"
		is.Decisions = []approval.Decision{{Person: "bob", Reason: "no", Channel: "psql", At: noon}}
		if err := l.Move(t.Context(), was, is); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = in(t, place)
		is.Revision++
		unchanged(t, l, is)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Get(t.Context(), 1); err == nil {
			t.Error("a closed ledger was read")
		}
		if err := l.Move(t.Context(), is, was); err == nil || errors.Is(err, approval.ErrLost) {
			t.Errorf("a closed ledger was written: %v", err)
		}
	})

	t.Run("service", func(t *testing.T) { testingService(t, in) })
}

func TestSQLite(t *testing.T) {
	TestingLedger(t, func(place string) (durable, error) { return OpenSQLite(filepath.Join(place, "ledger.db")) })
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 123456789, time.UTC)

var states = []approval.State{
	approval.Pending, approval.Approved, approval.Denied, approval.Expired, approval.Cancelled,
	approval.Used, approval.Done, approval.Failed, approval.OutcomeUnknown,
}

func aRequest(statement string) approval.Request {
	ask := approval.Ask{
		Mode: approval.Hold, Scope: approval.OneStatement, Rule: "no-where", PolicyHash: "sha256:1", Quorum: []approval.Need{{Group: "dba", Count: 1}},
		Server: "db1:5432", Database: "shop", Login: "alice", Statement: statement,
	}
	return approval.Request{
		Ask: ask, State: approval.Pending, Revision: 1, Persons: []string{"alice"}, Binding: approval.Binding(ask, "alice"),
		Created: noon, Expires: noon.Add(24 * time.Hour),
	}
}

func create(t testing.TB, l approval.Ledger, statement string) int64 {
	t.Helper()
	id, err := l.Create(t.Context(), aRequest(statement))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func lost(t *testing.T, l approval.Ledger, was, is approval.Request) {
	t.Helper()
	if err := l.Move(t.Context(), was, is); !errors.Is(err, approval.ErrLost) {
		t.Fatalf("a change of what is not so any more was answered with %v", err)
	}
}

func unchanged(t *testing.T, l approval.Ledger, want approval.Request) {
	t.Helper()
	got, err := l.Get(t.Context(), want.ID)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v\nthe ledger has %+v\nwant           %+v", err, got, want)
	}
}

// drawRequest draws texts of any bytes, because clients may send any.
func drawRequest(t *rapid.T) approval.Request {
	text := func(name string) string { return string(rapid.SliceOf(rapid.Byte()).Draw(t, name)) }
	var parameters []string
	for i := range rapid.IntRange(0, 3).Draw(t, "parameters") {
		parameters = append(parameters, text(fmt.Sprint("parameter ", i)))
	}
	var hash []byte
	if rapid.Bool().Draw(t, "with parameters") {
		hash = rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "parameter hash")
	}
	at := func(name string) time.Time {
		return time.Unix(rapid.Int64Range(0, 4e9).Draw(t, name), rapid.Int64Range(0, 1e9-1).Draw(t, name+" ns")).UTC()
	}
	locks := rapid.SliceOf(rapid.Byte()).Draw(t, "locks")
	if len(locks) == 0 {
		locks = nil
	}
	measured := rapid.SliceOf(rapid.Byte()).Draw(t, "measured")
	if len(measured) == 0 {
		measured = nil // an empty one is none
	}
	return approval.Request{
		Ask: approval.Ask{
			Mode:  rapid.SampledFrom([]approval.Mode{approval.Hold, approval.Ticket}).Draw(t, "mode"),
			Scope: rapid.SampledFrom([]approval.Scope{approval.OneStatement, approval.WholeSession}).Draw(t, "scope"),
			Rule:  text("rule"), Title: text("title"), PolicyHash: text("policy"),
			Quorum: []approval.Need{{Group: rapid.String().Draw(t, "group"), Count: rapid.IntRange(1, 9).Draw(t, "count")}},
			Server: text("server"), Database: text("database"), Login: text("login"), Role: text("role"),
			Application: text("application"), Address: text("address"), Session: text("session"),
			Statement: text("statement"), Parameters: parameters, ParameterHash: hash, Settings: text("settings"),
			InTransaction: rapid.Bool().Draw(t, "in transaction"), Impact: text("impact"),
			Measured: measured, Locks: locks,
		},
		State: rapid.SampledFrom(states).Draw(t, "state"), Revision: rapid.Int64Range(1, 100).Draw(t, "revision"),
		Persons: []string{rapid.String().Draw(t, "person")}, Binding: rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "binding"),
		Created: at("created"), Expires: at("expires"), Outcome: text("outcome"), CancelledBy: text("cancelled by"),
	}
}

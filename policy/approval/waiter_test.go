package approval_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgsluice/pgsluice/policy/approval"
	"github.com/pgsluice/pgsluice/policy/audit"
)

func TestIdenticalStatementJoinsTheOpenRequest(t *testing.T) {
	o := newOffice(t)
	first := o.open(aliceDeletes())
	same := aliceDeletes()
	same.Mode, same.Session, same.Address, same.Application = approval.Ticket, "s2", "10.0.0.8:1", "DBeaver"
	second := o.open(same)
	other := aliceDeletes()
	other.Statement += " "
	third := o.open(other)
	if first.Request().ID != 1 || second.Request().ID != 1 || third.Request().ID != 2 {
		t.Fatalf("the requests are %d, %d, %d, want 1, 1, 2", first.Request().ID, second.Request().ID, third.Request().ID)
	}
	if e := o.recorder.events[1]; e.Kind != approval.KindJoined || e.Session != "s2" || e.Address != "10.0.0.8:1" || e.Application != "DBeaver" {
		t.Errorf("on record is %+v, want who joined", e)
	}

	o.approve(1, "bob")
	if !isSettled(first) || !isSettled(second) || isSettled(third) {
		t.Error("not those were told who wait on request 1")
	}
	o.use(second)
	if e := o.recorder.last(); e.Session != "s2" {
		t.Errorf("the session that used it is %s, want s2", e.Session)
	}
	o.notApproved(first, approval.Used)
}

func TestAnotherLoginsStatementIsAnotherRequest(t *testing.T) {
	o := newOffice(t)
	o.open(aliceDeletes())
	o.approve(1, "bob")
	ask := aliceDeletes()
	ask.Login = "dave"
	if w := o.open(ask); w.Request().ID == 1 || isSettled(w) {
		t.Error("dave uses what was approved for alice")
	}
}

func TestTicketIsUsedByTheSameStatementSentAgain(t *testing.T) {
	o := newOffice(t)
	ask := aliceDeletes()
	w := o.open(ask)
	if err := w.Ticket(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := o.Get(t.Context(), 1); err != nil || r.Mode != approval.Ticket || r.State != approval.Pending {
		t.Errorf("%+v, %v", r, err)
	}
	if got := w.Request().Mode; got != approval.Ticket {
		t.Errorf("who got the ticket sees a %s", got)
	}
	if _, err := w.Use(t.Context()); err == nil {
		t.Error("who no longer waits got the grant")
	}
	o.clock.pass(23 * time.Hour)
	o.expire()
	o.approve(1, "carol")

	o.clock.pass(14 * time.Minute)
	again := o.open(ask)
	if !isSettled(again) {
		t.Error("an approved request is not settled at once")
	}
	o.use(again)
	if w := o.open(ask); w.Request().ID != 2 {
		t.Errorf("a used grant was found again: request %d", w.Request().ID)
	}
}

func TestTicketOfARestoreIsTakenByTheSessionThatStartsItAgain(t *testing.T) {
	o := newOffice(t)
	ask := aliceDeletes()
	ask.Scope = approval.WholeSession
	first := o.open(ask)
	if err := first.Ticket(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.approve(1, "bob")
	ask.Session = "s2"
	o.use(o.open(ask))
	ask.Session = "s3"
	if w := o.open(ask); w.Request().ID != 2 {
		t.Error("a third session got in on the same grant")
	}
}

func TestRequestsEndByThemselves(t *testing.T) {
	o := newOffice(t)
	pending, ask := o.open(aliceDeletes()), aliceDeletes()
	ask.Statement = "DROP TABLE orders"
	o.clock.pass(24*time.Hour - time.Nanosecond)
	o.expire()
	o.want(1, approval.Pending)
	approved := o.open(ask)
	o.approve(2, "bob")
	o.clock.pass(time.Nanosecond)
	o.expire()
	o.want(1, approval.Expired)
	if !isSettled(pending) {
		t.Error("the one who waits was not told")
	}
	o.notApproved(pending, approval.Expired)

	o.clock.pass(15*time.Minute - 2*time.Nanosecond)
	o.expire()
	o.want(2, approval.Approved)
	o.clock.pass(time.Nanosecond)
	o.notApproved(approved, approval.Expired) // also before the next Expire
	if w := o.open(ask); w.Request().ID != 3 {
		t.Error("an expired grant was found")
	}
	if _, err := o.Approve(t.Context(), 1, "bob", "psql", "late"); err == nil {
		t.Error("an expired request was approved")
	}
}

func TestStatementSentAgainAfterTheTimeIsANewRequestAlsoBeforeTheNextExpire(t *testing.T) {
	for _, approved := range []bool{false, true} {
		o := newOffice(t)
		o.open(aliceDeletes())
		if approved {
			o.approve(1, "bob")
		}
		o.clock.pass(25 * time.Hour)
		if w := o.open(aliceDeletes()); w.Request().ID != 2 || isSettled(w) {
			t.Errorf("request %d was joined after its time", w.Request().ID)
		}
		o.want(1, approval.Expired)
	}
}

func TestLastWaiterToLeaveCancels(t *testing.T) {
	for _, approved := range []bool{false, true} {
		o := newOffice(t)
		first, second := o.open(aliceDeletes()), o.open(aliceDeletes())
		if approved {
			o.approve(1, "bob")
		}
		if err := first.Withdraw(t.Context(), "the client left"); err != nil {
			t.Fatal(err)
		}
		if got := o.state(1); got == approval.Cancelled {
			t.Error("it was cancelled while somebody waits")
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := second.Withdraw(ended, "the client left"); err != nil { // with the context of a session that is over
			t.Fatal(err)
		}
		o.want(1, approval.Cancelled)
		if r := second.Request(); r.State != approval.Cancelled || r.Outcome != "the client left" {
			t.Errorf("who withdrew sees it %s: %s", r.State, r.Outcome)
		}
		if err := second.Withdraw(t.Context(), "again"); err != nil {
			t.Errorf("leaving twice: %v", err)
		}
		if w := o.open(aliceDeletes()); w.Request().ID != 2 {
			t.Error("a cancelled request was joined")
		}
	}
}

func TestReleaseChangesNothing(t *testing.T) {
	o := newOffice(t)
	first, second := o.open(aliceDeletes()), o.open(aliceDeletes())
	first.Release()
	first.Release()
	o.want(1, approval.Pending)
	if err := second.Withdraw(t.Context(), "the client left"); err != nil {
		t.Fatal(err)
	}
	o.want(1, approval.Cancelled) // first was released once, and counts no more
}

func TestWhatADeadProcessLeft(t *testing.T) {
	o := newOffice(t)
	asks := map[string]approval.Ask{}
	for _, name := range []string{"pending", "approved", "used", "done"} {
		ask := aliceDeletes()
		ask.Statement = name
		asks[name] = ask
		w := o.open(ask)
		if name == "pending" {
			continue
		}
		o.approve(w.Request().ID, "bob")
		if name == "approved" {
			continue
		}
		g := o.use(w)
		if name == "done" {
			if err := g.Finish(t.Context(), approval.Done, "DELETE 1"); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := len(o.recorder.events)
	o.restart()
	for id, want := range map[int64]struct {
		state approval.State
		mode  approval.Mode
	}{
		1: {approval.Pending, approval.Ticket}, 2: {approval.Approved, approval.Ticket},
		3: {approval.OutcomeUnknown, approval.Hold}, 4: {approval.Done, approval.Hold},
	} {
		if r, err := o.Get(t.Context(), id); err != nil || r.State != want.state || r.Mode != want.mode {
			t.Errorf("request %d is %s (%s), want %s (%s); %v", id, r.State, r.Mode, want.state, want.mode, err)
		}
	}
	if got := o.recorder.kinds()[before:]; !slices.Equal(got, []string{"outcome_unknown", "ticket", "ticket"}) {
		t.Errorf("on record is %v", got)
	}
	o.use(o.open(asks["approved"]))
	if w := o.open(asks["used"]); w.Request().ID != 5 {
		t.Error("a statement of unknown outcome may be sent again without asking")
	}
}

// Waiters come, are told, and leave at any time; none sleeps on.
func TestNoWakeUpIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		var granted, refused atomic.Int64
		for range 20 {
			go func() {
				w, err := o.Open(t.Context(), aliceDeletes())
				if err != nil {
					t.Error(err)
					return
				}
				<-w.Settled()
				_, err = w.Use(t.Context())
				var not *approval.ErrNotApproved
				switch {
				case err == nil:
					granted.Add(1)
				case errors.As(err, &not) && not.State == approval.Used:
					refused.Add(1)
				default:
					t.Error(err)
				}
				w.Release()
			}()
		}
		synctest.Wait() // all wait
		o.approve(1, "bob")
		synctest.Wait() // none waits any more
		if granted.Load() != 1 || refused.Load() != 19 {
			t.Errorf("%d of 20 got the grant and %d were told that it was used", granted.Load(), refused.Load())
		}
	})
}

// The whole stack in one bubble: ledger, audit log and service start, wait for
// hours and end, and nothing is left running.
func TestWorksInABubbleWithItsRealLogAndLedger(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		log, err := audit.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		s, err := approval.New(approval.Config{Ledger: o.file, Recorder: log, Now: time.Now, People: staff})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for ctx.Err() == nil {
				select {
				case <-time.After(time.Minute):
					if err := s.Expire(ctx); err != nil {
						t.Error(err)
					}
				case <-ctx.Done():
				}
			}
		})
		w, err := s.Open(ctx, aliceDeletes())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		<-w.Settled()
		if waited := time.Since(start); waited != 24*time.Hour || w.Request().State != approval.Expired {
			t.Errorf("after %s it is %s", waited, w.Request().State)
		}
		cancel()
		wg.Wait()
		s.Close()
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	})
	if report, err := audit.Verify(dir); err != nil || report.Break != nil || report.Records != 4 {
		t.Errorf("the log: %+v, %v", report, err)
	}
}

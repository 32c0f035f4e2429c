package approval_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/pgsluice/pgsluice/policy/approval"
)

var errDisk = errors.New("no space left on device")

// Whatever is tried while the audit log cannot be written changes nothing, and
// says so.
func TestNothingHappensThatCannotBeRecorded(t *testing.T) {
	for name, try := range map[string]struct {
		approved bool // before
		do       func(*office, *approval.Waiter) error
	}{
		"approve": {false, func(o *office, _ *approval.Waiter) error {
			_, err := o.Approve(o.t.Context(), 1, "bob", "psql", "fine")
			return err
		}},
		"deny": {false, func(o *office, _ *approval.Waiter) error {
			_, err := o.Deny(o.t.Context(), 1, "bob", "psql", "no")
			return err
		}},
		"cancel": {false, func(o *office, _ *approval.Waiter) error {
			_, err := o.Cancel(o.t.Context(), 1, "alice")
			return err
		}},
		"use":      {true, func(o *office, w *approval.Waiter) error { _, err := w.Use(o.t.Context()); return err }},
		"ticket":   {true, func(o *office, w *approval.Waiter) error { return w.Ticket(o.t.Context()) }},
		"withdraw": {true, func(o *office, w *approval.Waiter) error { return w.Withdraw(o.t.Context(), "left") }},
		"join":     {true, func(o *office, _ *approval.Waiter) error { _, err := o.Open(o.t.Context(), aliceDeletes()); return err }},
		"expire": {false, func(o *office, _ *approval.Waiter) error {
			o.clock.pass(25 * 60 * 60 * 1e9)
			return o.Expire(o.t.Context())
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for broken, breaks := range map[string]func(*office){
				"audit log": func(o *office) { o.recorder.fails = errDisk },
				"ledger":    func(o *office) { o.ledger.fails = errDisk },
			} {
				o := newOffice(t)
				w := o.open(aliceDeletes())
				want := approval.Pending
				if try.approved {
					o.approve(1, "bob")
					want = approval.Approved
				}
				breaks(o)
				if err := try.do(o, w); !errors.Is(err, errDisk) {
					t.Errorf("%s broken: answered with %v", broken, err)
				}
				o.ledger.fails = nil
				o.want(1, want)
				if !try.approved && isSettled(w) {
					t.Errorf("%s broken: those who wait were told of something that did not happen", broken)
				}
			}
		})
	}
}

// A ledger that took a change and then failed to say so has released something
// as far as it knows; the service releases nothing on it.
func TestNothingIsReleasedOnAnAnswerThatWasLost(t *testing.T) {
	o := newOffice(t)
	w := o.open(aliceDeletes())
	o.approve(1, "bob")
	o.ledger.forgets = errDisk
	if g, err := w.Use(t.Context()); g != nil || !errors.Is(err, errDisk) {
		t.Fatalf("%v, %v", g, err)
	}
	if got, want := o.recorder.kinds()[2:], []string{"used", "not_applied"}; !slices.Equal(got, want) {
		t.Errorf("on record is %v, want %v", got, want)
	}
	o.ledger.forgets = nil
	o.notApproved(w, approval.Used)
	w.Release()
	o.restart()
	o.want(1, approval.OutcomeUnknown)

	// An approval that was taken without our knowing wakes those who wait at the
	// next look.
	w = o.open(aliceDeletes())
	o.ledger.forgets = errDisk
	if _, err := o.Approve(t.Context(), 2, "bob", "psql", "fine"); !errors.Is(err, errDisk) || isSettled(w) {
		t.Fatal(err, isSettled(w))
	}
	o.ledger.forgets = nil
	o.expire()
	if !isSettled(w) {
		t.Error("the one who waits sleeps on")
	}
}

// A request that cannot be put on record is not one that people may approve.
func TestRequestThatIsNotOnRecordIsTakenBack(t *testing.T) {
	o := newOffice(t)
	o.recorder.fails = errDisk
	if w, err := o.Open(t.Context(), aliceDeletes()); w != nil || !errors.Is(err, errDisk) {
		t.Fatalf("%v, %v", w, err)
	}
	o.recorder.fails = nil
	if _, err := o.Approve(t.Context(), 1, "bob", "psql", "fine"); err == nil {
		t.Error("it was approved")
	}
	if w := o.open(aliceDeletes()); w.Request().ID == 1 {
		t.Error("it was joined")
	}
	o.expire()
	o.want(1, approval.Cancelled)
}

// The client has gone and its request could not be cancelled: it is kept from
// running until it is.
func TestClientThatLeftDuringAFailureStaysGone(t *testing.T) {
	for name, heal := range map[string]func(*office){
		"audit log": func(o *office) { o.recorder.fails = nil },
		"ledger":    func(o *office) { o.ledger.fails = nil },
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			w := o.open(aliceDeletes())
			if name == "ledger" {
				o.ledger.fails = errDisk
			} else {
				o.recorder.fails = errDisk
			}
			if err := w.Withdraw(t.Context(), "the client left"); !errors.Is(err, errDisk) {
				t.Fatal(err)
			}
			heal(o)
			if _, err := o.Approve(t.Context(), 1, "bob", "psql", "fine"); err == nil {
				t.Error("it was approved")
			}
			o.expire()
			o.want(1, approval.Cancelled)
			o.expire() // and that was all
			if got := o.recorder.last().Kind; got != approval.KindCancelled {
				t.Errorf("the last event is %s", got)
			}
		})
	}
}

// Each step is on record while the ledger does not know of it yet.
func TestRecordComesBeforeTheLedger(t *testing.T) {
	o := newOffice(t)
	var wrong []string
	o.recorder.before = func(e approval.Event) {
		r, err := o.file.Get(t.Context(), e.Request)
		if err != nil {
			t.Fatal(err)
		}
		if string(r.State) == e.Kind {
			wrong = append(wrong, e.Kind)
		}
	}
	w := o.open(aliceDeletes())
	o.approve(1, "bob")
	if err := o.use(w).Finish(t.Context(), approval.Failed, "42P01"); err != nil {
		t.Fatal(err)
	}
	w = o.open(aliceDeletes())
	if _, err := o.Deny(t.Context(), w.Request().ID, "bob", "psql", "no"); err != nil {
		t.Fatal(err)
	}
	w = o.open(aliceDeletes())
	if err := w.Withdraw(t.Context(), "left"); err != nil {
		t.Fatal(err)
	}
	o.open(aliceDeletes())
	o.clock.pass(48 * 60 * 60 * 1e9)
	o.expire()
	if len(wrong) > 0 {
		t.Errorf("these were in the ledger before they were on record: %v", wrong)
	}
	if got, want := o.recorder.kinds(), []string{"requested", "approved", "used", "failed", "requested", "denied", "requested", "cancelled", "requested", "expired"}; !slices.Equal(got, want) {
		t.Errorf("on record is %v, want %v", got, want)
	}
}

// Two proxies on one ledger: what the other one did in the meantime counts.
func TestStepThatAnotherProcessWonIsNotMade(t *testing.T) {
	move := func(o *office, to approval.State, by string) {
		o.ledger.meanwhile = func(was approval.Request) {
			is := was
			is.State = to
			if by != "" {
				is.Decisions = append(slices.Clone(was.Decisions), approval.Decision{Person: by, Approve: true, Reason: "there", Channel: "psql", At: morning})
			}
			if err := o.file.Move(t.Context(), was, is); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Run("use", func(t *testing.T) {
		o := newOffice(t)
		w := o.open(aliceDeletes())
		o.approve(1, "bob")
		move(o, approval.Used, "")
		o.notApproved(w, approval.Used)
		if got, want := o.recorder.kinds()[2:], []string{"used", "not_applied"}; !slices.Equal(got, want) {
			t.Errorf("on record is %v, want %v", got, want)
		}
	})
	t.Run("approve after a deny", func(t *testing.T) {
		o := newOffice(t)
		w := o.open(aliceDeletes())
		move(o, approval.Denied, "")
		var refusal *approval.Refusal
		if _, err := o.Approve(t.Context(), 1, "bob", "psql", "fine"); !errors.As(err, &refusal) {
			t.Errorf("answered with %v", err)
		}
		if !isSettled(w) {
			t.Error("the one who waits was not told")
		}
	})
	t.Run("two approvals at once are both counted", func(t *testing.T) {
		o := newOffice(t)
		ask := aliceDeletes()
		ask.Quorum = []approval.Need{need("dba", 2)}
		o.open(ask)
		move(o, approval.Pending, "carol")
		if r := o.approve(1, "bob"); r.State != approval.Approved || len(r.Decisions) != 2 {
			t.Errorf("%s with %v", r.State, r.Decisions)
		}
	})
}

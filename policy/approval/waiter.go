package approval

import (
	"context"
	"errors"
	"fmt"
)

// Waiter is one session's place at a request. Exactly one of Use, Withdraw,
// Ticket and Release ends it; a Use that gave no grant does not.
type Waiter struct {
	service *Service
	ask     Ask
	id      int64
	wait    *wait
	left    bool // guarded by service.mu
}

// errLeft is the answer to a waiter that has ended.
var errLeft = errors.New("this session no longer waits on the request")

// Request returns the newest copy of the request.
func (w *Waiter) Request() Request {
	return w.wait.request.Load().clone()
}

// Settled is closed when the request has left pending, also when it had done so
// before. Approved is only one of the ways: Use tells.
func (w *Waiter) Settled() <-chan struct{} {
	return w.wait.settled
}

// Use takes the grant of an approved request. Of all who try, one gets it; the
// others get an *ErrNotApproved. Only with a grant in hand may the statement be
// sent, and then once.
func (w *Waiter) Use(ctx context.Context) (*Grant, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx) // see step
	s := w.service
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if w.left {
		return nil, errLeft
	}
	r, err := s.look(ctx, w.id)
	if err != nil {
		return nil, err
	}
	if r.State == Approved && !s.people.enough(r.Quorum, s.outsiders(r)) {
		r, err = s.step(ctx, r, KindCancelled, "", "the people have changed since, and those who approved are not enough any more", func(r *Request) {
			r.Outcome = "the people changed after the approval"
		})
		if err != nil {
			return nil, err
		}
	}
	if _, may := next(r.State, KindUsed); !may {
		return nil, &ErrNotApproved{ID: r.ID, State: r.State}
	}
	used, err := s.stepFor(ctx, w.ask, r, KindUsed, "the statement may be sent once", nil)
	if errors.Is(err, ErrLost) {
		if r, again := s.look(ctx, w.id); again == nil && r.State != Approved {
			return nil, &ErrNotApproved{ID: r.ID, State: r.State}
		}
	}
	if err != nil {
		return nil, err
	}
	w.leave()
	return &Grant{service: s, ask: w.ask, request: used}, nil
}

// Withdraw ends the wait because the client left or gave up. The last waiter to
// do so cancels the request, also one that had been approved, so that nothing
// of it can run later. After an error the request is still kept from running,
// and Expire tries again.
func (w *Waiter) Withdraw(ctx context.Context, why string) error {
	ctx = context.WithoutCancel(ctx) // the client's context has usually ended by now
	s := w.service
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.left {
		return nil
	}
	defer w.leave()
	if w.wait.waiters > 1 {
		return nil
	}
	if s.closed {
		return ErrClosed
	}
	s.withdrawn[w.id] = why // until it is cancelled
	r, err := s.look(ctx, w.id)
	if err != nil {
		return err
	}
	return s.cancelWithdrawn(ctx, r, why)
}

// cancelWithdrawn cancels a request whose last waiter has left, if there is
// still something to cancel. The caller holds s.mu.
func (s *Service) cancelWithdrawn(ctx context.Context, r Request, why string) error {
	if _, may := next(r.State, KindCancelled); may {
		if _, err := s.step(ctx, r, KindCancelled, "", why, func(r *Request) { r.Outcome = why }); err != nil {
			return err
		}
	}
	delete(s.withdrawn, r.ID)
	return nil
}

// Ticket ends the wait on the wire; the request lives on, and once it is
// approved the same login may send the same statement again.
func (w *Waiter) Ticket(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx) // see step
	s := w.service
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.left {
		return nil
	}
	defer w.leave()
	if s.closed {
		return ErrClosed
	}
	r, err := s.look(ctx, w.id)
	if err != nil {
		return err
	}
	if _, may := next(r.State, KindTicket); !may || r.Mode == Ticket {
		return nil
	}
	_, err = s.stepFor(ctx, w.ask, r, KindTicket, "the wait on the wire ended", func(r *Request) { r.Mode = Ticket })
	return err
}

// Tell writes down which locks the transaction holds that waits, and who waits for
// them, for the people who decide; nil is none. It changes nothing else.
func (w *Waiter) Tell(ctx context.Context, locks []byte) error {
	if err := w.service.ledger.Tell(ctx, w.id, locks); err != nil {
		return fmt.Errorf("write down the locks of request %d: %w", w.id, err)
	}
	return nil
}

// Release ends the wait and changes nothing else.
func (w *Waiter) Release() {
	w.service.mu.Lock()
	defer w.service.mu.Unlock()
	if !w.left {
		w.leave()
	}
}

// leave takes the waiter off its request. The caller holds service.mu.
func (w *Waiter) leave() {
	w.left = true
	w.wait.waiters--
	if w.wait.waiters == 0 {
		delete(w.service.waits, w.id)
	}
}

// look reads how a request stands now, and ends it if its time is over.
func (s *Service) look(ctx context.Context, id int64) (Request, error) {
	r, err := s.Get(ctx, id)
	if err != nil {
		return Request{}, err
	}
	if r, err = s.expireIfDue(ctx, r); err != nil {
		return Request{}, err
	}
	s.publish(r)
	return r, nil
}

// Grant is the right to send one statement once, or for a session to go on.
type Grant struct {
	service *Service
	ask     Ask
	request Request
}

// Request returns the request as it was when the grant was taken.
func (g *Grant) Request() Request {
	return g.request.clone()
}

// Finish says how what was granted ended: Done, Failed or OutcomeUnknown, with
// the command tag or the SQLSTATE.
func (g *Grant) Finish(ctx context.Context, state State, outcome string) error {
	kind, ok := map[State]string{Done: KindDone, Failed: KindFailed, OutcomeUnknown: KindOutcomeUnknown}[state]
	if !ok {
		return fmt.Errorf("finish request %d: %q is not an outcome", g.request.ID, state)
	}
	ctx = context.WithoutCancel(ctx) // see step
	s := g.service
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	r, err := s.look(ctx, g.request.ID)
	if err != nil {
		return err
	}
	_, err = s.stepFor(ctx, g.ask, r, kind, outcome, func(r *Request) { r.Outcome = outcome })
	return err
}

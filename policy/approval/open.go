package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// maxCount bounds one need of a quorum; more is a mistake in a policy.
const maxCount = 100

// Open asks for people. An identical statement of the same login that already
// waits is joined, and a grant for it that is approved and unused is found; the
// waiter's Settled tells. The error is ErrNobody when no second person could
// approve; any other means that the ledger or the audit log failed or that the
// ask is incomplete. After an error nothing may run.
func (s *Service) Open(ctx context.Context, a Ask) (*Waiter, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx) // see step
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("open a request: %w", err)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	persons := s.people.OfLogin(a.Login)
	if len(persons) == 0 {
		return nil, fmt.Errorf("%w: the login %q belongs to no person, so nobody can be shown to be a second one; add the login under people in the configuration", ErrNobody, a.Login)
	}
	if len(s.people.Eligible(a.Quorum, persons)) == 0 {
		return nil, fmt.Errorf("%w: without %s, who may be behind the login %q, rule %s cannot get %s; add people to the group or give this login to one person",
			ErrNobody, listed(persons), a.Login, a.Rule, describe(a.Quorum))
	}

	binding := Binding(a, persons...)
	same, err := s.ledger.List(ctx, Filter{States: []State{Pending, Approved}, Binding: binding})
	if err != nil {
		return nil, fmt.Errorf("look for an open request: %w", err)
	}
	for _, r := range same {
		if _, left := s.withdrawn[r.ID]; left {
			continue
		}
		r, err := s.expireIfDue(ctx, r)
		if err != nil {
			return nil, err
		}
		if r.State == Expired {
			continue
		}
		e := s.event(KindJoined, r, listed(persons), "sent again")
		a.tell(&e)
		if err := s.recorder.Record(ctx, e); err != nil {
			return nil, fmt.Errorf("record that request %d was joined: %w", r.ID, err)
		}
		return s.wait(r, a), nil
	}
	return s.create(ctx, a, persons, binding)
}

func (s *Service) create(ctx context.Context, a Ask, persons []string, binding []byte) (*Waiter, error) {
	now := s.now()
	r := Request{
		Ask: a, State: Pending, Revision: 1, Persons: persons, Binding: binding,
		Created: now, Expires: now.Add(s.pendingFor),
	}.clone()
	id, err := s.ledger.Create(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("create a request: %w", err)
	}
	r.ID = id
	// The id comes from the ledger, so here alone the record comes second. That
	// releases nothing: a request without its record is taken back, and if that
	// fails too it is kept from being joined or approved.
	if err := s.recorder.Record(ctx, s.event(KindRequested, r, listed(persons), r.Impact)); err != nil {
		s.withdrawn[id] = "the audit log could not be written"
		return nil, fmt.Errorf("record request %d: %w", id, err)
	}
	return s.wait(r, a), nil
}

// wait enters one more waiter on a request. The caller holds s.mu.
func (s *Service) wait(r Request, a Ask) *Waiter {
	w := s.waits[r.ID]
	if w == nil {
		w = &wait{settled: make(chan struct{})}
		s.waits[r.ID] = w
	}
	w.waiters++
	s.publish(r)
	return &Waiter{service: s, ask: a, id: r.ID, wait: w}
}

// check refuses an ask that was never filled in.
func (a *Ask) check() error {
	switch {
	case a.Mode != Hold && a.Mode != Ticket:
		return fmt.Errorf("the mode %q is neither hold nor ticket", a.Mode)
	case a.Scope != OneStatement && a.Scope != WholeSession:
		return fmt.Errorf("the scope %q is neither statement nor session", a.Scope)
	case a.Scope == WholeSession && a.Session == "":
		return errors.New("no session given for a grant that is bound to one")
	case a.Rule == "" || a.PolicyHash == "":
		return errors.New("no rule or no policy given")
	case a.Login == "":
		return errors.New("no login given")
	case len(a.Quorum) == 0:
		return errors.New("the quorum asks for nobody")
	case slices.ContainsFunc(a.Quorum, func(n Need) bool { return n.Group == "" || n.Count < 1 || n.Count > maxCount }):
		return fmt.Errorf("a need of the quorum has no group or not 1 to %d people", maxCount)
	}
	return nil
}

// tell says in e who is asking now, who may sit in another session than the one
// that opened the request.
func (a *Ask) tell(e *Event) {
	e.Application, e.Address, e.Session = a.Application, a.Address, a.Session
}

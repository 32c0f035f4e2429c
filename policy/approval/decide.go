package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Approve takes one person's approval, given over a channel ("psql", "cli",
// "console"). The caller vouches that it is this person. The request returned
// is still pending when more people are needed. A *Refusal says why the
// approval was not taken; any other error is the ledger's or the audit log's,
// and nothing was approved.
func (s *Service) Approve(ctx context.Context, id int64, person, channel, reason string) (Request, error) {
	return s.decide(ctx, id, Decision{Person: person, Approve: true, Channel: channel, Reason: strings.TrimSpace(reason)})
}

// Deny takes one person's denial, which ends the request. Errors are as for
// Approve.
func (s *Service) Deny(ctx context.Context, id int64, person, channel, reason string) (Request, error) {
	return s.decide(ctx, id, Decision{Person: person, Channel: channel, Reason: strings.TrimSpace(reason)})
}

// attempts is how often a decision is tried against a ledger that other
// processes write to; each loss means that one of theirs was taken.
const attempts = 5

func (s *Service) decide(ctx context.Context, id int64, d Decision) (Request, error) {
	if err := ctx.Err(); err != nil {
		return Request{}, err
	}
	ctx = context.WithoutCancel(ctx) // see step
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Request{}, ErrClosed
	}
	for attempt := 1; ; attempt++ {
		r, err := s.look(ctx, id)
		if err != nil {
			return Request{}, err
		}
		if refusal := s.mayDecide(r, d); refusal != nil {
			return r, s.recordRefusal(ctx, r, d, refusal)
		}
		d.At = s.now()
		is, err := s.take(ctx, r, d)
		if err == nil || !errors.Is(err, ErrLost) || attempt == attempts {
			return is, err
		}
	}
}

// mayDecide returns why this decision cannot be taken, or nil. The caller holds
// s.mu.
func (s *Service) mayDecide(r Request, d Decision) error {
	verb := "deny"
	if d.Approve {
		verb = "approve"
	}
	if _, known := s.people.Find(d.Person); !known {
		return refuse("%q is not among the people of the configuration", d.Person)
	}
	if slices.Contains(s.requesters(r), d.Person) {
		return refuse("request %d was made by the login %q, which is yours: somebody else has to %s it", r.ID, r.Login, verb)
	}
	if !s.people.needed(d.Person, r.Quorum) {
		return refuse("request %d needs %s, and %s is in none of these groups", r.ID, describe(r.Quorum), d.Person)
	}
	if r.State != Pending {
		return refuse("request %d is %s already", r.ID, r.State)
	}
	if _, left := s.withdrawn[r.ID]; left {
		return refuse("request %d has been withdrawn", r.ID)
	}
	if slices.ContainsFunc(r.Decisions, func(before Decision) bool { return before.Person == d.Person }) {
		return refuse("%s has approved request %d already, and one person counts once", d.Person, r.ID)
	}
	if d.Reason == "" {
		return refuse("say why you %s request %d: the reason is kept with it", verb, r.ID)
	}
	return nil
}

// take makes the step that a decision leads to. The caller holds s.mu.
func (s *Service) take(ctx context.Context, r Request, d Decision) (Request, error) {
	with := r.clone()
	with.Decisions = append(with.Decisions, d)
	kind := KindDenied
	if d.Approve {
		kind = KindApproval
		if s.people.enough(r.Quorum, s.outsiders(with)) {
			kind = KindApproved
		}
	}
	return s.step(ctx, r, kind, d.Person, d.Channel+": "+d.Reason, func(r *Request) {
		r.Decisions = with.Decisions
		switch kind {
		case KindApproved:
			r.Expires = d.At.Add(s.window)
		case KindDenied:
			r.Outcome = "denied by " + d.Person
		}
	})
}

// recordRefusal puts on record that somebody tried.
func (s *Service) recordRefusal(ctx context.Context, r Request, d Decision, refusal error) error {
	if err := s.recorder.Record(ctx, s.event(KindRefused, r, d.Person, d.Channel+": "+refusal.Error())); err != nil {
		return errors.Join(refusal, fmt.Errorf("record the refusal: %w", err))
	}
	return refusal
}

// Cancel takes back a request, or its unused approval. Only a person who may be
// the requester can; anybody else denies.
func (s *Service) Cancel(ctx context.Context, id int64, person string) (Request, error) {
	if err := ctx.Err(); err != nil {
		return Request{}, err
	}
	ctx = context.WithoutCancel(ctx) // see step
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Request{}, ErrClosed
	}
	r, err := s.look(ctx, id)
	if err != nil {
		return Request{}, err
	}
	d := Decision{Person: person, Channel: "cancel"}
	if _, known := s.people.Find(person); !known || !slices.Contains(s.requesters(r), person) {
		return r, s.recordRefusal(ctx, r, d, refuse("request %d was made by the login %q, which is not yours: deny it instead", id, r.Login))
	}
	if _, may := next(r.State, KindCancelled); !may {
		return r, s.recordRefusal(ctx, r, d, refuse("request %d is %s already", id, r.State))
	}
	return s.step(ctx, r, KindCancelled, person, "by the requester", func(r *Request) {
		r.CancelledBy, r.Outcome = person, "cancelled by "+person
	})
}

// describe says in words whom a quorum asks for.
func describe(quorum []Need) string {
	var needs []string
	for _, n := range quorum {
		needs = append(needs, fmt.Sprintf("%d of %s", n.Count, n.Group))
	}
	return strings.Join(needs, " and ")
}

package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what a Service needs. Fields without a stated zero meaning are
// required.
type Config struct {
	Ledger   Ledger
	Recorder Recorder
	Now      func() time.Time

	// People may decide. Nil is nobody: every request is refused.
	People *People

	// Window is how long a grant may be used after the last approval; zero means
	// 15 minutes.
	Window time.Duration

	// PendingFor is how long a request waits for people; zero means 24 hours.
	PendingFor time.Duration
}

// Service is the one door to the ledger. It is safe for concurrent use.
//
// It keeps one order everywhere: look, record, then change the ledger. A
// request's state is always the ledger's; what the service keeps of it is there
// to wake those who wait.
type Service struct {
	ledger     Ledger
	recorder   Recorder
	now        func() time.Time
	window     time.Duration
	pendingFor time.Duration

	mu     sync.Mutex // held over look, record and change
	people *People
	closed bool
	waits  map[int64]*wait // requests that somebody here waits on

	// withdrawn are requests whose last waiter left while the audit log or the
	// ledger failed, and why it left. They may not be joined or approved; Expire
	// tries again.
	withdrawn map[int64]string
}

// wait is what the waiters on one request share.
type wait struct {
	request atomic.Pointer[Request] // newest copy
	settled chan struct{}           // closed once the request has left pending
	waiters int
}

// New starts a service on a ledger that no other service uses. What a process
// that died left behind is settled first: its holds become tickets, and what it
// had sent to the server without hearing the end is an unknown outcome.
func New(c Config) (*Service, error) {
	switch {
	case c.Ledger == nil:
		return nil, errors.New("start approvals: no ledger given")
	case c.Recorder == nil:
		return nil, errors.New("start approvals: no recorder given")
	case c.Now == nil:
		return nil, errors.New("start approvals: no clock given")
	case c.Window < 0 || c.PendingFor < 0:
		return nil, errors.New("start approvals: a duration is negative")
	}
	s := &Service{
		ledger: c.Ledger, recorder: c.Recorder, people: c.People,
		now:    func() time.Time { return c.Now().UTC().Round(0) }, // as a ledger gives it back
		window: c.Window, pendingFor: c.PendingFor,
		waits: map[int64]*wait{}, withdrawn: map[int64]string{},
	}
	if s.window == 0 {
		s.window = 15 * time.Minute
	}
	if s.pendingFor == 0 {
		s.pendingFor = 24 * time.Hour
	}
	if err := s.settleThePast(context.Background()); err != nil {
		return nil, fmt.Errorf("start approvals: %w", err)
	}
	return s, nil
}

func (s *Service) settleThePast(ctx context.Context) error {
	left, err := s.ledger.List(ctx, Filter{States: []State{Pending, Approved, Used}})
	if err != nil {
		return fmt.Errorf("list what an earlier process left: %w", err)
	}
	for _, r := range left {
		if len(r.Locks) > 0 { // its connection to the server ended with the process
			if err := s.ledger.Tell(ctx, r.ID, nil); err != nil {
				return fmt.Errorf("write down that request %d holds no locks: %w", r.ID, err)
			}
		}
		switch {
		case r.State == Used:
			_, err = s.step(ctx, r, KindOutcomeUnknown, "", "the process that sent the statement ended before its outcome was known", func(r *Request) {
				r.Outcome = "the proxy ended before the outcome was known"
			})
		case r.Mode == Hold:
			_, err = s.step(ctx, r, KindTicket, "", "the process that held the statement ended", func(r *Request) { r.Mode = Ticket })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// SetPeople puts new people in force. Approvals already given are counted by
// them from now on.
func (s *Service) SetPeople(p *People) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.people = p
}

// Note puts an event on record that belongs to no step of a request, such as a
// blocked statement. What it announces may happen once it has returned nil.
func (s *Service) Note(ctx context.Context, e Event) error {
	if e.Kind == "" || ofRequests[e.Kind] {
		return fmt.Errorf("record an event: the kind %q is not for callers", e.Kind)
	}
	if e.Time.IsZero() {
		e.Time = s.now()
	}
	if err := s.recorder.Record(ctx, e); err != nil {
		return fmt.Errorf("record the event %s: %w", e.Kind, err)
	}
	return nil
}

// Get returns a request; a *Refusal when there is none.
func (s *Service) Get(ctx context.Context, id int64) (Request, error) {
	r, err := s.ledger.Get(ctx, id)
	if errors.Is(err, ErrUnknownRequest) {
		return Request{}, refuse("there is no request %d", id)
	}
	if err != nil {
		return Request{}, fmt.Errorf("read request %d: %w", id, err)
	}
	return r, nil
}

// List returns the requests that meet the filter, the newest first.
func (s *Service) List(ctx context.Context, f Filter) ([]Request, error) {
	all, err := s.ledger.List(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("list requests: %w", err)
	}
	return all, nil
}

// Expire ends what is past its time, and tells those who wait here of what
// another process changed. It does all it can and returns what failed.
func (s *Service) Expire(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx) // see step
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	open, err := s.ledger.List(ctx, Filter{States: []State{Pending, Approved}})
	if err != nil {
		return fmt.Errorf("list open requests: %w", err)
	}
	var failed []error
	isOpen := map[int64]bool{}
	for _, r := range open {
		isOpen[r.ID] = true
		if why, ok := s.withdrawn[r.ID]; ok {
			failed = append(failed, s.cancelWithdrawn(ctx, r, why))
			continue
		}
		if _, err := s.expireIfDue(ctx, r); err != nil {
			failed = append(failed, err)
			continue
		}
		s.publish(r)
	}
	for id := range s.withdrawn {
		if !isOpen[id] {
			delete(s.withdrawn, id)
		}
	}
	for id := range s.waits {
		if isOpen[id] {
			continue
		}
		r, err := s.Get(ctx, id)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		s.publish(r)
	}
	return errors.Join(failed...)
}

// Close ends the service; what is open in the ledger stays open, and the next
// service makes tickets of it. Ledger and recorder are closed by whoever opened
// them.
func (s *Service) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// expireIfDue ends a request that is past its time and returns how it stands.
func (s *Service) expireIfDue(ctx context.Context, r Request) (Request, error) {
	if _, may := next(r.State, KindExpired); !may || s.now().Before(r.Expires) {
		return r, nil
	}
	why := "nobody decided in time"
	if r.State == Approved {
		why = "approved, and not used in time"
	}
	return s.step(ctx, r, KindExpired, "", why, func(r *Request) { r.Outcome = why })
}

// step makes one step of a request: it puts the event on record, and then has
// the ledger make the step, if the request is still as it was. The caller holds
// s.mu. An error means that nothing may be done on the strength of the step.
//
// Callers take the cancellation off ctx: a client that leaves half-way through
// would otherwise cut a step in two, on record and not in the ledger.
func (s *Service) step(ctx context.Context, was Request, kind, person, detail string, change func(*Request)) (Request, error) {
	return s.stepAs(ctx, was, s.event(kind, was, person, detail), change)
}

// stepFor is a step that a session makes, which need not be the session that
// opened the request.
func (s *Service) stepFor(ctx context.Context, a Ask, was Request, kind, detail string, change func(*Request)) (Request, error) {
	e := s.event(kind, was, "", detail)
	a.tell(&e)
	return s.stepAs(ctx, was, e, change)
}

func (s *Service) stepAs(ctx context.Context, was Request, e Event, change func(*Request)) (Request, error) {
	kind := e.Kind
	to, ok := next(was.State, kind)
	if !ok {
		return was, fmt.Errorf("request %d is %s and cannot become %s", was.ID, was.State, kind)
	}
	is := was.clone()
	is.State = to
	if change != nil {
		change(&is)
	}
	is.Revision = was.Revision + 1

	if err := s.recorder.Record(ctx, e); err != nil {
		return was, fmt.Errorf("record that request %d is %s: %w", was.ID, kind, err)
	}
	if err := s.ledger.Move(ctx, was, is); err != nil {
		err = fmt.Errorf("change request %d from %s to %s: %w", was.ID, was.State, is.State, err)
		// The log says something now that did not happen, so it must say that too.
		e.Kind, e.Detail = KindNotApplied, kind+" was not applied: "+err.Error()
		return was, errors.Join(err, s.recorder.Record(ctx, e))
	}
	s.publish(is)
	return is, nil
}

func (s *Service) event(kind string, r Request, person, detail string) Event {
	return Event{
		Kind: kind, Time: s.now(), Request: r.ID,
		Rule: r.Rule, Verdict: string(r.Mode), PolicyHash: r.PolicyHash,
		Login: r.Login, Person: person, Database: r.Database,
		Application: r.Application, Address: r.Address, Session: r.Session,
		Statement: r.Statement, Parameters: r.Parameters, Detail: detail,
	}
}

// publish hands the newest copy to those who wait and wakes them once the
// request has left pending. The caller holds s.mu.
func (s *Service) publish(r Request) {
	w := s.waits[r.ID]
	if w == nil {
		return
	}
	before := w.request.Load()
	if before != nil && before.Revision > r.Revision {
		return
	}
	w.request.Store(&r)
	if r.State != Pending && (before == nil || before.State == Pending) {
		close(w.settled)
	}
}

// outsiders returns who of those that approved still counts: a known person of
// a needed group who is not, by now or then, one of those the requester may be.
func (s *Service) outsiders(r Request) []string {
	requesters := s.requesters(r)
	var names []string
	for _, d := range r.Decisions {
		if d.Approve && !slices.Contains(requesters, d.Person) && s.people.needed(d.Person, r.Quorum) {
			names = append(names, d.Person)
		}
	}
	return names
}

// requesters are all who may have made the request: those the login belonged to
// when it was made, and those it belongs to now.
func (s *Service) requesters(r Request) []string {
	return union(r.Persons, s.people.OfLogin(r.Login))
}

func (r Request) clone() Request {
	r.Quorum = slices.Clone(r.Quorum)
	r.Parameters = slices.Clone(r.Parameters)
	r.ParameterHash = slices.Clone(r.ParameterHash)
	r.Persons = slices.Clone(r.Persons)
	r.Binding = slices.Clone(r.Binding)
	r.Measured = slices.Clone(r.Measured)
	r.Locks = slices.Clone(r.Locks)
	r.Decisions = slices.Clone(r.Decisions)
	return r
}

func listed(names []string) string {
	return strings.Join(names, ", ")
}

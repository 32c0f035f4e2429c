package approval

import (
	"context"
	"errors"
	"time"
)

// Ledger keeps requests. Each method is durable on return, and safe for
// concurrent use. Whoever opened a ledger closes it, after the service.
type Ledger interface {
	// Create stores a new request and gives it the id that people type.
	Create(ctx context.Context, r Request) (id int64, err error)

	// Get returns the request, or ErrUnknownRequest.
	Get(ctx context.Context, id int64) (Request, error)

	// Move changes the request from what it was to what it is: state, mode,
	// expiry, outcome and who cancelled it, and the decisions added. It does so
	// only if the request still has the state and the revision of was, all at
	// once; otherwise nothing changes and the error is ErrLost.
	Move(ctx context.Context, was, is Request) error

	// List returns the requests that meet the filter, the newest first.
	List(ctx context.Context, f Filter) ([]Request, error)

	// Tell writes down which locks a request holds now, in no order with anything
	// else: nothing is decided by it, and the revision stays. Who is told of an
	// unknown id gets ErrUnknownRequest.
	Tell(ctx context.Context, id int64, locks []byte) error

	// Spend adds the charges to their budgets, unless one of them may not be: then
	// it adds none, and tells which and what had been spent of its budget by now.
	// All at once, whoever else spends. The ids are for Unspend.
	Spend(ctx context.Context, now time.Time, charges []Charge) (ids []int64, refused int, spent int64, err error)

	// Unspend takes charges back.
	Unspend(ctx context.Context, ids []int64) error
}

// Filter says which requests are wanted. Its zero value wants all.
type Filter struct {
	States  []State // in one of these; empty: in any
	Binding []byte  // of this binding; nil: of any
	Limit   int     // at most so many; zero: no limit
}

var (
	// ErrLost is a ledger's answer when a request is no longer as it was read.
	ErrLost = errors.New("the request has changed in the meantime")
	// ErrUnknownRequest is a ledger's answer for an id that it never gave.
	ErrUnknownRequest = errors.New("there is no such request")
)

// Recorder is the audit log. Record returns nil only when the event is durable;
// whatever the event announces may happen only after that.
type Recorder interface {
	Record(ctx context.Context, e Event) error
}

// Event is one line of the audit log.
type Event struct {
	Kind        string
	Time        time.Time
	Request     int64 // zero: the event belongs to no request
	Rule        string
	Verdict     string
	PolicyHash  string
	Login       string
	Person      string
	Database    string
	Application string
	Address     string
	Session     string
	Statement   string
	Parameters  []string
	Detail      string
}

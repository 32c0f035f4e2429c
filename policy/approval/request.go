// Package approval is the life of a request: a statement that waits for people,
// who may end it, and the grant that an approval gives, which is used once.
//
// It promises that nobody approves their own request, that each transition of a
// request happens at most once whoever else tries, and that an answer is on
// record before it takes effect. It has no clock, no network and no logger of
// its own; what it needs it is given.
package approval

import "time"

// State is where a request stands. The zero value is no state at all, and
// nothing may be done with a request that has it.
type State string

// The states and the ways between them:
//
//	pending  -> approved | denied | expired | cancelled
//	approved -> used | expired | cancelled
//	used     -> done | failed | outcome_unknown
const (
	Pending        State = "pending"
	Approved       State = "approved"
	Denied         State = "denied"
	Expired        State = "expired"
	Cancelled      State = "cancelled"
	Used           State = "used"
	Done           State = "done"
	Failed         State = "failed"
	OutcomeUnknown State = "outcome_unknown" // never retried by anyone
)

// Mode is how the client that asked learns the answer.
type Mode string

const (
	Hold   Mode = "hold"   // the client waits on the wire
	Ticket Mode = "ticket" // the client was told to send the statement again
)

// Scope is what a grant lets through.
type Scope string

const (
	OneStatement Scope = "statement"
	WholeSession Scope = "session" // a restore: one answer for the session
)

// Need is one part of a quorum: Count different people of Group. A quorum is
// the AND of its needs, and one person counts for one of them only.
type Need struct {
	Group string `json:"group"`
	Count int    `json:"count"`
}

// Ask is what a session asks for. What of it a grant is bound to, Binding says;
// Mode, Title, Application, Address, Parameters, Impact and Locks are for people;
// Measured bounds what a grant lets through.
type Ask struct {
	Mode       Mode
	Scope      Scope
	Rule       string // id of the rule that asks for people
	Title      string // its title, for people
	PolicyHash string
	Quorum     []Need

	Server      string // address of the server
	Database    string
	Login       string // role the session logged in with
	Role        string // effective role, where known
	Application string
	Address     string // client's address
	Session     string // the proxy's id of the session

	Statement     string   // exactly as received
	Parameters    []string // bind values rendered for people, NULL as "NULL"
	ParameterHash []byte   // digest over formats, types and values as received
	Settings      string   // search_path and what else changes the meaning, canonical
	InTransaction bool

	Impact string // what it would do, in words

	// Measured is what it did before it was rolled back, as the proxy wrote it
	// down; a grant lets it do no more. Empty where nothing was measured.
	Measured []byte

	// Locks is what the transaction holds that waits at its COMMIT, and who waits for
	// it, as the proxy wrote it down last; see Waiter.Tell. Empty where nothing is
	// locked while people think.
	Locks []byte
}

// Request is a statement that waits for people, or did.
type Request struct {
	Ask
	ID          int64
	Revision    int64 // rises by one with each change, so that a change can name the state of things it was decided on
	State       State
	Persons     []string // the people this login may be; none of them may approve
	Binding     []byte   // SHA-256 over what the request is bound to
	Created     time.Time
	Expires     time.Time // of the state: pending and approved end by themselves
	Decisions   []Decision
	Outcome     string // command tag, or SQLSTATE and why it ended
	CancelledBy string
}

// Decision is one person's approve or deny.
type Decision struct {
	Person  string    `json:"person"`
	Approve bool      `json:"approve"`
	Reason  string    `json:"reason"`
	Channel string    `json:"channel"` // "psql", "cli", "console"
	At      time.Time `json:"at"`
}

// Person is a human being, however many logins they have.
type Person struct {
	Name   string
	Groups []string
	Logins []string
}

package policy

import (
	"net/netip"
	"time"
)

// Verdict is what happens to a statement. The zero value blocks: nothing that
// was never decided gets through.
type Verdict uint8

// The verdicts from the strictest to the mildest; of two, the smaller wins.
const (
	Block  Verdict = iota // refused, whoever asks
	Ticket                // refused now, a request is opened, the same statement may be sent again once approved
	Hold                  // waits on the wire until people have decided
	Warn                  // runs, and the client is told
	Allow                 // runs
)

// Session is what a rule may ask about the session that sends a statement.
type Session struct {
	User        string // the role it logged in with
	Role        string // the effective role where known, else empty
	Database    string
	Application string
	Address     netip.Addr

	// InTransaction is true within an explicit transaction block, as the server
	// will see it when this statement runs.
	InTransaction bool

	// Restore is true once the session looks like the restore of a dump; see
	// RestoreWatch.
	Restore bool

	// Now is the time of the decision, for rules with a time.
	Now time.Time
}

// Decision is the answer for one statement, and why.
type Decision struct {
	Verdict Verdict
	Rule    *Rule  // the rule that decided; nil when a default of the policy did
	Reason  string // in words: what about the statement met the rule
}

// ID is the id of the rule that decided, or that of the default ("allowed",
// "unparsed", "unknown").
func (d Decision) ID() string {
	if d.Rule != nil {
		return d.Rule.ID
	}
	return d.Reason
}

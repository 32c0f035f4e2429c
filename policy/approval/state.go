package approval

// The kinds of events that a request lives through. They are the words of the
// audit log and, at the same time, what next moves a request by.
const (
	KindRequested = "requested" // a request was opened
	KindJoined    = "joined"    // the same statement was sent again and joined an open request
	KindApproval  = "approval"  // one person approved; more are needed
	KindApproved  = "approved"  // one person approved, and that completed the quorum
	KindDenied    = "denied"
	KindExpired   = "expired"
	KindCancelled = "cancelled"
	KindTicket    = "ticket" // nobody waits on the wire any more, the request lives on
	KindUsed      = "used"   // the grant was taken: the statement is about to be sent
	KindDone      = "done"
	KindFailed    = "failed"

	// KindOutcomeUnknown ends a used request whose statement may or may not have
	// had its effect.
	KindOutcomeUnknown = "outcome_unknown"

	// KindRefused is a decision that was not taken: somebody tried to approve
	// their own request, or one that had ended.
	KindRefused = "refused"

	// KindNotApplied follows an event that is on record and did not happen,
	// because the ledger did not take it.
	KindNotApplied = "not_applied"
)

// The kinds of events that belong to no request; see Service.Note. A caller may
// use others, except those above.
const (
	KindBlocked = "blocked"
	KindWarned  = "warned"
	KindLogin   = "login" // a person logged in to decide
	KindReload  = "reload"
	KindStart   = "start"
)

// transitions is the whole life of a request. Whatever is not in it cannot
// happen, and a state that is no key has no way out.
var transitions = map[State]map[string]State{
	Pending: {
		KindApproval:  Pending,
		KindTicket:    Pending,
		KindApproved:  Approved,
		KindDenied:    Denied,
		KindExpired:   Expired,
		KindCancelled: Cancelled,
	},
	Approved: {
		KindTicket:    Approved,
		KindUsed:      Used,
		KindExpired:   Expired,
		KindCancelled: Cancelled,
	},
	Used: {
		KindDone:           Done,
		KindFailed:         Failed,
		KindOutcomeUnknown: OutcomeUnknown,
	},
}

// next is the state that an event of a kind leads to, and whether it may happen
// at all.
func next(s State, kind string) (State, bool) {
	to, ok := transitions[s][kind]
	return to, ok
}

// ofRequests lists the kinds that only the service itself writes.
var ofRequests = map[string]bool{
	KindRequested: true, KindJoined: true, KindApproval: true, KindApproved: true, KindDenied: true, KindExpired: true, KindCancelled: true,
	KindTicket: true, KindUsed: true, KindDone: true, KindFailed: true, KindOutcomeUnknown: true, KindRefused: true, KindNotApplied: true,
}

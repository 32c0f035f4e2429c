package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
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

var verdictNames = [...]string{Block: "block", Ticket: "ticket", Hold: "hold", Warn: "warn", Allow: "allow"}

// String is the verdict's word in a policy file.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// Runs says whether a statement with this verdict runs without anybody's
// approval.
func (v Verdict) Runs() bool { return v == Allow || v == Warn }

// verdictNamed is the verdict of that word.
func verdictNamed(word string) (Verdict, bool) {
	for v, name := range verdictNames {
		if name == word {
			return Verdict(v), true
		}
	}
	return Block, false
}

// Session is what a rule may ask about the session that sends a statement.
type Session struct {
	Person      string // whose login it is, where that is known, else empty
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

	// Rule is the rule that decided, or the default that did (its ID is
	// "allowed", "unparsed" or "unknown"). It is nil only where nothing matched
	// and the policy allows that: whatever waits for people has a Rule.
	Rule *Rule

	Reason string // in words: what about the statement met the rule

	// Measure is true for a statement that runs though nobody knows what it does,
	// by `defaults: {unknown: measure}`: it may commit only once what it did has
	// been measured and judged.
	Measure bool
}

// ID is the id of the rule that decided, or that of the default ("allowed",
// "unparsed", "unknown").
func (d Decision) ID() string {
	if d.Rule != nil {
		return d.Rule.ID
	}
	return d.Reason
}

// Policy is a set of rules and what to do where none matches. It is immutable
// and safe for concurrent use.
type Policy struct {
	name     string
	rules    []*Rule
	groups   map[string][]string
	defaults defaults
	cautions Findings
	hash     string

	// byClass holds for every class the rules whose statement condition it
	// meets, in order, so that a read is decided without looking at the rules
	// for writes.
	byClass map[Class][]*Rule

	// numeric are, in order, the rules with rows, share or budget, which byClass
	// has not, and the final allow rules that can be looked at without a text.
	numeric []*Rule
	// Whether there is a budget of rows among them, and one of statements.
	budgets, statementBudgets bool

	standing []*Rule // those with up_to, in order
}

// defaults are what happens where no rule decides.
type defaults struct {
	allowed  *Rule // no rule matches
	unparsed *Rule // at least this, for text that cannot be read
	unknown  *Rule // at least this, for a statement nobody has classified
	measure  bool  // what is unknown or opaque runs, and is judged at the commit gate
	approve  []Need
}

// Rule is one rule of a policy file.
type Rule struct {
	ID     string // stable; shown to clients, in the audit log and in metrics
	Title  string // what it is about, for people
	Hint   string // what to do next, for people
	Action Verdict

	// Approve is the quorum for hold and ticket, and for what is over a standing
	// grant: each need must be met, by different people. It is never empty for a rule
	// that waits for people.
	Approve []Need

	// Scope says what an approval lets through: "statement", or "session" for
	// everything the session still sends.
	Scope string

	// AtCommit is how long a transaction block that is over the rule's limit may be
	// held at its COMMIT, with all its locks. Zero is not at all.
	AtCommit time.Duration

	// Final is true for an allow rule that ends the search: the rules behind it
	// are not looked at, for the action that it matches.
	Final bool

	File string
	Line int

	order     int                 // place in the policy
	statement *statementCondition // nil: any statement
	matches   []condition         // all must be met
	numbers   *numbersCondition   // rows and share, or nil
	budget    *budget             // or nil
	standing  *standing           // or nil
	counts    counters            // that the statement condition is about
	column    int
}

// Need is one part of a quorum: Count different people of Group.
type Need struct {
	Group string
	Count int
}

// The scopes of an approval.
const (
	ScopeStatement = "statement"
	ScopeSession   = "session"
)

// Name is the path that the policy was loaded from, or "standard".
func (p *Policy) Name() string { return p.name }

// Rules lists the rules in the order in which they are looked at.
func (p *Policy) Rules() []*Rule { return append([]*Rule(nil), p.rules...) }

// Groups holds the names of the people of each group, those of the policy files
// and those given to Load together.
func (p *Policy) Groups() map[string][]string {
	all := make(map[string][]string, len(p.groups))
	for g, names := range p.groups {
		all[g] = append([]string(nil), names...)
	}
	return all
}

// Cautions are what is odd about the policy and no reason to refuse it: a
// quorum that a member of its own group cannot have met when asking.
func (p *Policy) Cautions() Findings { return append(Findings(nil), p.cautions...) }

// Hash identifies the policy: "sha256:" and the digest of everything in it that
// has a meaning. Comments, order of keys and file names do not change it.
func (p *Policy) Hash() string { return p.hash }

// seal builds what follows from the rules, once they are all there.
func (p *Policy) seal() {
	for i, r := range p.rules {
		r.order = i
		r.counts = countersOf(r.statement)
		if r.ofNumbers() || r.exemption() {
			p.numeric = append(p.numeric, r)
		}
		if r.budget != nil {
			p.budgets = p.budgets || r.budget.counts != 0
			p.statementBudgets = p.statementBudgets || r.budget.counts == 0
		}
		if r.standing != nil {
			p.standing = append(p.standing, r)
		}
	}
	p.byClass = make(map[Class][]*Rule)
	for _, c := range append(Classes(), ClassUnparsed, ClassUnknown) {
		p.byClass[c] = nil
		for _, r := range p.rules {
			if !r.ofNumbers() && (r.statement == nil || r.statement.classes[c]) {
				p.byClass[c] = append(p.byClass[c], r)
			}
		}
	}
	sum := sha256.Sum256([]byte(p.canonical()))
	p.hash = "sha256:" + hex.EncodeToString(sum[:])
}

// canonical is the policy as text that two policies share only if they mean
// the same. Every free text in it is quoted, so no text can imitate another key.
func (p *Policy) canonical() string {
	var b strings.Builder
	b.WriteString("version 1\n")
	if p.defaults.measure {
		b.WriteString("default unknown measure\n")
	}
	for _, r := range []*Rule{p.defaults.allowed, p.defaults.unparsed, p.defaults.unknown} {
		fmt.Fprintf(&b, "default %s %s %v\n", r.ID, r.Action, r.Approve)
	}
	for _, g := range sortedKeys(p.groups) {
		fmt.Fprintf(&b, "group %q %q\n", g, p.groups[g])
	}
	for _, r := range p.rules {
		fmt.Fprintf(&b, "rule %q %q %q %s %v %t %s\n", r.ID, r.Title, r.Hint, r.Action, r.Approve, r.Final, r.Scope)
		if r.AtCommit > 0 {
			fmt.Fprintf(&b, "  at_commit %s\n", r.AtCommit)
		}
		if r.statement != nil {
			fmt.Fprintf(&b, "  %s\n", r.statement)
		}
		for _, c := range r.conditions() {
			fmt.Fprintf(&b, "  %s\n", c)
		}
		if r.standing != nil {
			fmt.Fprintf(&b, "  %s\n", r.standing)
		}
	}
	return b.String()
}

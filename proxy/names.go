package proxy

import (
	"slices"

	"github.com/pgsluice/pgsluice/policy"
)

// statement is a prepared statement, by Parse or by SQL PREPARE: both share one
// name space on the server (manual, PREPARE).
type statement struct {
	text  string
	types []byte // the parameter types that Parse gave, as received
	facts []*policy.Facts

	kept keptRefinement // of facts
}

// maxName is what the server keeps of the name of a statement or portal
// (NAMEDATALEN - 1): longer names that begin alike are one.
const maxName = 63

// serverName is a name as the server keeps it.
func serverName(b []byte) string { return string(b[:min(len(b), maxName)]) }

// names are the prepared statements that may exist on the server, by name. A
// name has several candidates when it could not be known which of them the
// server kept; the strictest answer over all of them counts.
//
// A Parse counts only from its ParseComplete: a second Parse of an existing
// name fails with 42P05, and the old statement is still there.
type names map[string][]*statement

// maxCandidates bounds what a name may stand for; beyond it nobody knows.
const maxCandidates = 8

func (n names) define(name string, st *statement) { n[name] = []*statement{st} }

// add records that a name may stand for st, too.
func (n names) add(name string, st *statement) {
	for _, known := range n[name] {
		if known.text == st.text {
			return
		}
	}
	if len(n[name]) >= maxCandidates {
		n[name] = []*statement{{facts: []*policy.Facts{policy.UnknownStatement(name)}}}
		return
	}
	n[name] = append(n[name], st)
}

// ran records what the statements of a Query did to the names. When it failed,
// part of it may still have been done, since PREPARE and DEALLOCATE are not
// transactional: nothing is forgotten then, and all is added. (Even one statement
// by itself may have been done, and its commit have failed.)
func (n names) ran(effects []*policy.Facts, failed bool) {
	if failed {
		n.mayRun(effects)
		return
	}
	for _, f := range effects {
		switch {
		case f.Prepared != nil:
			n.define(f.Prepares, prepared(f))
		case f.DeallocatesAll:
			clear(n)
		case f.Deallocates != "":
			delete(n, f.Deallocates)
		}
	}
}

// mayRun records what bound statements may do to the names, if they are executed
// and whenever that is.
func (n names) mayRun(effects []*policy.Facts) {
	for _, f := range effects {
		if f.Prepared != nil {
			n.add(f.Prepares, prepared(f))
		}
	}
}

// prepared is the statement that a PREPARE makes.
func prepared(f *policy.Facts) *statement {
	return &statement{text: f.Text, facts: []*policy.Facts{f.Prepared}}
}

// utility reports whether a statement is more than SQL PREPARE can hold: one that
// changes names, or the transaction, or runs another by its name. By protocol it
// can be prepared all the same, and then be run by EXECUTE.
func utility(f *policy.Facts) bool {
	return f.Prepared != nil || f.DeallocatesAll || f.Deallocates != "" || f.Executes != "" ||
		f.Transaction != policy.TransactionNone || f.CopyIn
}

// hasEffects reports whether a statement changes names, so that most messages
// need to carry nothing.
func hasEffects(facts []*policy.Facts) bool {
	for _, f := range facts {
		if f.Prepared != nil || f.DeallocatesAll || f.Deallocates != "" {
			return true
		}
	}
	return false
}

// candidates returns what a name may stand for when the server comes to the
// message that is being staged: a Parse in the same segment, if there is one
// (if it failed, nothing after it runs); else any definition of an earlier
// segment that is still unanswered, and what is known to be there. What a bound
// PREPARE would make may be there in any case: its portal runs whenever the
// client likes.
func (s *session) candidates(name string) []*statement {
	t := &s.toServer
	found := slices.Clone(t.prepares[name])
	sameSegment := true
	look := func(o owed) (only bool) {
		if o.segmentEnd() {
			sameSegment = false
		}
		if o.owedMore == nil {
			return false
		}
		if o.defines != nil && o.name == name {
			found = append(found, o.defines)
			return sameSegment
		}
		for _, f := range o.effects {
			if f.Prepared != nil && f.Prepares == name {
				found = append(found, prepared(f))
			}
		}
		return false
	}
	if t.defining > 0 {
		for i := len(t.owed) - 1; i >= 0; i-- {
			if look(t.owed[i].owed) {
				return found
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.q.defining > 0 {
		if t.defining == 0 {
			for _, o := range t.owed {
				sameSegment = sameSegment && !o.segmentEnd()
			}
		}
		for i := len(s.q.entries) - 1; i >= s.q.head; i-- {
			if look(s.q.entries[i]) {
				return found
			}
		}
	}
	if len(found) == 0 {
		return s.known[name] // not to be changed
	}
	return append(found, s.known[name]...)
}

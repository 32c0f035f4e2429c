package proxy

import "github.com/pgsluice/pgsluice/policy"

// statement is a prepared statement, by Parse or by SQL PREPARE: both share one
// name space on the server (manual, PREPARE).
type statement struct {
	text  string
	facts []*policy.Facts
}

// names are the prepared statements that may exist on the server, by name. A
// name has several candidates when it could not be known which of them the
// server kept; the strictest answer over all of them counts.
//
// A Parse counts only from its ParseComplete: a second Parse of an existing
// name fails with 42P05, and the old statement is still there.
type names map[string][]*statement

func (n names) define(name string, st *statement) { n[name] = []*statement{st} }

// apply records what the statements of a completed message did to the names.
// When the message failed part of it may still have been done, since PREPARE
// and DEALLOCATE are not transactional, so nothing is forgotten and everything
// is added.
func (n names) apply(effects []*policy.Facts, failed bool) {
	for _, f := range effects {
		switch {
		case f.Prepared != nil:
			st := &statement{text: f.Text, facts: []*policy.Facts{f.Prepared}}
			if failed {
				n[f.Prepares] = append(n[f.Prepares], st)
			} else {
				n.define(f.Prepares, st)
			}
		case failed:
		case f.DeallocatesAll:
			clear(n)
		case f.Deallocates != "":
			delete(n, f.Deallocates)
		}
	}
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
// segment that is still unanswered, and what is known to be there.
func candidates(name string, staged []stagedOwed, q *owedQueue, known names) []*statement {
	var found []*statement
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
				found = append(found, &statement{text: f.Text, facts: []*policy.Facts{f.Prepared}})
			}
		}
		return false
	}
	for i := len(staged) - 1; i >= 0; i-- {
		if look(staged[i].owed) {
			return found
		}
	}
	if q.defining > 0 {
		for i := len(q.entries) - 1; i >= q.head; i-- {
			if look(q.entries[i]) {
				return found
			}
		}
	}
	return append(found, known[name]...)
}

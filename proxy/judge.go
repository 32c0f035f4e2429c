package proxy

import (
	"maps"
	"slices"
	"time"

	"github.com/pgsluice/pgsluice/policy"
)

// gated is a message at the gate.
type gated struct {
	sent byte
	text string // for the audit log

	// bound gives what an alternative would be run with, for a Bind.
	bound func(alternative int) (bound, bool)

	// alternatives returns what would run, read under the settings now known:
	// one of the lists, statement after statement.
	alternatives func() [][]*policy.Facts
}

// held is a staged message that needs approval before it may be sent.
type held struct {
	gated
	decision policy.Decision
	decided  *policy.Facts     // the statement that the decision is about
	waits    []waiting         // every decision that people are asked for
	all      [][]*policy.Facts // everything that was judged
	name     string            // of the statement, for a Parse
	now      txState           // what the transaction may be when it runs
	at       int               // where the message begins in out

	measured *policy.Impact // at the commit gate: what was done
	ticket   bool           // it cannot run again by itself
	dry      *dry           // at the statement gate: what a dry run has shown
	atCommit time.Duration  // how long the transaction may stay open for it, or zero
}

// judgement is the strictest decision over the statements of a message.
type judgement struct {
	policy.Decision
	facts *policy.Facts
	after txState   // what the transaction may be after them
	waits []waiting // every decision to hold or ticket

	standing map[*policy.Facts]standing // of statements that standing grants let through
}

// waiting is one decision that people must be asked for, about one statement.
type waiting struct {
	policy.Decision
	facts *policy.Facts
}

// judgeEach decides on lists of statements of which one will run; the strictest
// decision counts.
func (s *session) judgeEach(alternatives [][]*policy.Facts, now txState) judgement {
	if len(alternatives) == 1 {
		return s.judge(alternatives[0], now)
	}
	var strictest judgement
	var later txState
	var waits []waiting
	grants := map[*policy.Facts]standing{}
	for i, facts := range alternatives {
		j := s.judge(facts, now)
		later |= j.after
		waits = append(waits, j.waits...)
		maps.Copy(grants, j.standing)
		if i == 0 || j.Verdict < strictest.Verdict {
			strictest = j
		}
	}
	strictest.after, strictest.waits, strictest.standing = later, waits, grants
	return strictest
}

// judge decides on statements that would run one after the other, for each
// state that the transaction may be in.
func (s *session) judge(facts []*policy.Facts, now txState) judgement {
	t := &s.toServer
	j := judgement{Decision: policy.Decision{Verdict: policy.Allow}, after: now}
	if now == broken && !endsTransaction(facts) {
		return j // the server refuses it (25P02), as it should
	}
	pol := s.p.c.Policy()
	t.session.Now = time.Now()
	defer func(role string) { t.session.Role = role }(t.session.Role)
	for _, f := range facts {
		first := j.after & -j.after
		for _, state := range [...]txState{outside, inside, broken} {
			if j.after&state == 0 {
				continue
			}
			t.session.InTransaction = state != outside
			d := pol.Decide(&t.session, f)
			if d.Verdict < j.Verdict || j.facts == nil {
				j.Decision, j.facts = d, f
			}
			if d.Verdict == policy.Hold || d.Verdict == policy.Ticket {
				for _, d := range pol.Waiting(&t.session, f) {
					j.waits = append(j.waits, waiting{d, f})
				}
			}
			j.stands(f, pol.Standing(&t.session, f), state == first)
		}
		j.after = after(j.after, f.Transaction)
		if mayChangeRole(f) {
			t.session.Role = ""
		}
	}
	return j
}

// mayChangeRole reports whether what comes behind the statement may run as another
// role. A SET ROLE is taken back where its transaction is.
func mayChangeRole(f *policy.Facts) bool {
	return f.Transaction != policy.TransactionNone || f.Hides() ||
		slices.ContainsFunc(f.Settings, func(set policy.Setting) bool {
			return set.Name == "" || set.Name == "all" || set.Name == "role" || set.Name == "session_authorization"
		}) ||
		slices.ContainsFunc(f.Actions, func(a policy.Action) bool { return a.Class == "function_call" || a.Class == "do" || a.Class == "call" })
}

// endsTransaction reports whether a statement could end a failed transaction.
func endsTransaction(facts []*policy.Facts) bool {
	for _, f := range facts {
		if f.Transaction != policy.TransactionNone {
			return true
		}
		if unreadable(f) {
			return true
		}
	}
	return false
}

// unreadable reports whether nobody knows what the statement is.
func unreadable(f *policy.Facts) bool {
	return f.Class == policy.ClassUnparsed || f.Class == policy.ClassUnknown
}

// lexing says how the server will read text that is sent now. That is known when
// all that came before the open batch has been answered, and nothing in the batch
// may have changed it: settings are reported only before ReadyForQuery.
func (s *session) lexing() policy.Lexing {
	t := &s.toServer
	s.mu.Lock()
	defer s.mu.Unlock()
	t.session.Application = s.settings.application
	return policy.Lexing{
		Encoding: s.settings.encoding, StandardConformingStrings: s.settings.conforming,
		Known: t.based && !t.unsettling,
	}
}

// read returns the facts of a text, with the statements it EXECUTEs filled in.
func (s *session) read(text string) []*policy.Facts {
	return s.fill(s.p.c.Reader.Read(text, s.lexing()))
}

// fill adds to each EXECUTE the statements that its name may stand for now.
func (s *session) fill(facts []*policy.Facts) []*policy.Facts {
	shared := true
	for i, f := range facts {
		var found []*policy.Facts
		switch {
		case f.Prepared != nil && s.toServer.executes[f.Prepares]:
			found = append(found, f.Prepared) // a portal may run it
		case f.Executes == "":
			continue
		default:
			found = s.preparedAs(f.Executes)
		}
		for _, earlier := range facts[:i] {
			if f.Executes != "" && earlier.Prepared != nil && earlier.Prepares == f.Executes {
				found = append(found, earlier.Prepared)
			}
		}
		if len(found) == 0 || slices.ContainsFunc(found, utility) {
			found = append(slices.Clone(found), policy.UnknownStatement(f.Executes))
		}
		if shared { // what the reader returns is not ours to change
			facts, shared = append([]*policy.Facts(nil), facts...), false
		}
		facts[i] = f.With(found)
	}
	return facts
}

func (s *session) preparedAs(name string) []*policy.Facts {
	var facts []*policy.Facts
	for _, st := range s.candidates(name) {
		facts = append(facts, st.facts...)
	}
	return facts
}

// wouldRun returns what a Bind of name with these values may run.
func (s *session) wouldRun(name string, found []*statement, values []byte) [][]*policy.Facts {
	if len(found) == 0 {
		return [][]*policy.Facts{{policy.UnknownStatement(name)}}
	}
	alternatives := make([][]*policy.Facts, len(found))
	for i, st := range found {
		alternatives[i] = s.fill(s.withValues(st, values))
	}
	return alternatives
}

// withValues puts the values of a Bind into the facts of its statement, where
// they could change them.
func (s *session) withValues(st *statement, values []byte) []*policy.Facts {
	if !slices.ContainsFunc(st.facts, (*policy.Facts).TakesParameters) {
		return st.facts
	}
	parameters, ok := bindValues(values, st.types)
	if !ok {
		return st.facts // the server answers 08P01
	}
	facts := make([]*policy.Facts, len(st.facts))
	for i, f := range st.facts {
		facts[i] = s.p.c.Reader.WithParameters(f, parameters)
	}
	return facts
}

// judgeNoting judges what comes next in the session, and first notes it for the
// recognition of restores. It returns what it has judged, which may have been
// refined by what the catalogue has said lately, and whether that is not the last
// word: the statement is not simply allowed, or the catalogue could show more of it.
// again is not nil for a prepared statement that may have been refined before.
func (s *session) judgeNoting(alternatives [][]*policy.Facts, again *statement) (j judgement, all [][]*policy.Facts, ask bool) {
	t := &s.toServer
	for _, facts := range alternatives {
		for _, f := range facts {
			t.restore.Note(f, t.session.Application)
		}
	}
	if !t.restoreAsked {
		t.session.Restore = t.restore.Restore()
	}
	if j = s.judgeEach(alternatives, t.now); j.Verdict != policy.Allow {
		return j, alternatives, true
	}
	if !s.widens(alternatives) {
		return j, alternatives, s.estimates(alternatives) || s.mayStand(j, alternatives) || s.mayHide(alternatives)
	}
	kept, ok := s.consultKept(alternatives, again)
	if !ok {
		return j, alternatives, true
	}
	j = s.judgeEach(kept, t.now)
	return j, kept, j.Verdict != policy.Allow || s.estimates(kept) || s.mayStand(j, kept) || s.mayHide(kept)
}

package proxy

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
)

// The statement gate: each Query, Bind and FunctionCall passes here before any
// of its bytes may reach the server. Bind and not only Execute, because a bound
// portal can also be run by FETCH or MOVE, and because planning runs code.

// gated is a message at the gate.
type gated struct {
	sent       byte
	text       string
	parameters []string // for people
	digest     []byte   // over parameters, formats and types as received

	// facts returns what would run, read under the settings now known.
	facts func() []*policy.Facts
}

// held is a staged message that needs approval before it may be sent.
type held struct {
	gated
	decision policy.Decision
	decided  *policy.Facts // the statement that the decision is about
	all      []*policy.Facts
	now      txState // what the transaction may be when it runs
	at       int     // where the message begins in out
}

// judgement is the strictest decision over the statements of a message.
type judgement struct {
	policy.Decision
	facts *policy.Facts
	after txState // what the transaction may be after them
	exact bool    // it did not depend on anything still unanswered
}

// judge decides on statements that would run one after the other, for each
// state that the transaction may be in.
func (s *session) judge(facts []*policy.Facts, now txState) judgement {
	t := &s.toServer
	j := judgement{Decision: policy.Decision{Verdict: policy.Allow}, after: now, exact: now&(now-1) == 0}
	if now == broken && !endsTransaction(facts) {
		return j // the server refuses it (25P02), as it should
	}
	pol := s.p.c.Policy()
	t.session.Now = time.Now()
	for _, f := range facts {
		for _, state := range [...]txState{outside, inside, broken} {
			if j.after&state == 0 {
				continue
			}
			t.session.InTransaction = state != outside
			if d := pol.Decide(&t.session, f); d.Verdict < j.Verdict || j.facts == nil {
				j.Decision, j.facts = d, f
			}
		}
		j.after = after(j.after, f.Transaction)
	}
	return j
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

// lexing says how the server will read text that is sent now.
func (s *session) lexing() policy.Lexing {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.toServer.session.Application = s.settings.application
	known := !s.settings.stale
	for _, o := range s.toServer.owed {
		if o.owedMore != nil && o.unsettles {
			known = false
		}
	}
	return policy.Lexing{
		Encoding: s.settings.encoding, StandardConformingStrings: s.settings.conforming, Known: known,
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
		if f.Executes == "" {
			continue
		}
		found := s.preparedAs(f.Executes)
		for _, earlier := range facts[:i] {
			if earlier.Prepared != nil && earlier.Prepares == f.Executes {
				found = append(found, earlier.Prepared)
			}
		}
		if len(found) == 0 {
			found = []*policy.Facts{policy.UnknownStatement(f.Executes)}
		}
		if shared { // what the reader returns is not ours to change
			facts, shared = append([]*policy.Facts(nil), facts...), false
		}
		facts[i] = f.With(found)
	}
	return facts
}

// statements returns what a name may stand for when the server comes to the
// message staged next.
func (s *session) statements(name string) []*statement {
	s.mu.Lock()
	defer s.mu.Unlock()
	return candidates(name, s.toServer.owed, &s.q, s.known)
}

func (s *session) preparedAs(name string) []*policy.Facts {
	var facts []*policy.Facts
	for _, st := range s.statements(name) {
		facts = append(facts, st.facts...)
	}
	return facts
}

// query gates a simple Query, all of its statements or none: splitting it would
// change its implicit transaction.
func (s *session) query(ctx context.Context, frame []byte) error {
	s.inBatch()
	text := queryText(frame)
	facts := s.read(text)
	j := s.judgeNoting(facts)
	var waits *held
	if j.Verdict != policy.Allow {
		g := gated{sent: 'Q', text: text, facts: func() []*policy.Facts { return s.read(text) }}
		var refused bool
		var err error
		if j, waits, refused, err = s.challenge(ctx, g); refused || err != nil {
			return err
		}
		facts = g.facts()
	}
	o := owed{sent: 'Q', for_: forward}
	if hasEffects(facts) {
		o = o.with()
		o.effects = facts
	}
	s.stageGated(frame, o, j, facts, waits)
	if err := s.decideHeld(ctx); err != nil || s.toServer.discarding {
		return err
	}
	s.toServer.endBatch()
	return nil
}

// parse stages a Parse. Its statement is judged when it is bound; one that
// would be blocked in any case is refused here, so that whoever prepares it
// learns it at once.
func (s *session) parse(ctx context.Context, frame []byte) error {
	s.inBatch()
	name, rest, err := cstring(frame[headerLen:])
	if err != nil {
		s.toServer.put(frame, owed{sent: 'P', for_: forward}) // the server answers 08P01
		return nil
	}
	query, _, err := cstring(rest)
	if err != nil {
		query = rest
	}
	// The server reads the text now, under the settings of now, whatever they are
	// when the statement is bound.
	st := &statement{text: string(query)}
	lex := s.lexing()
	st.facts = s.p.c.Reader.Read(st.text, lex)
	if !lex.Known && slices.ContainsFunc(st.facts, unreadable) {
		if _, err := s.settle(); err != nil {
			return err
		}
		st.facts = s.p.c.Reader.Read(st.text, s.lexing())
	}
	if j := s.judge(st.facts, outside); j.Verdict == policy.Block && s.judge(st.facts, inside).Verdict == policy.Block {
		r := blocked(j.Decision, j.facts)
		if s.record(ctx, approval.KindBlocked, j.Decision, st.text) != nil {
			r = notOnRecord(j.Decision, j.facts)
		}
		s.refuse('P', string(name), r)
		return nil
	}
	s.toServer.put(frame, owed{sent: 'P', for_: forward, owedMore: &owedMore{name: string(name), defines: st}})
	return nil
}

// bind gates a Bind by what its statement may be.
func (s *session) bind(ctx context.Context, frame []byte) error {
	s.inBatch()
	t := &s.toServer
	portal, rest, err := cstring(frame[headerLen:])
	if err != nil {
		t.put(frame, owed{sent: 'B', for_: forward}) // the server answers 08P01
		return nil
	}
	name, values, err := cstring(rest)
	if err != nil {
		t.put(frame, owed{sent: 'B', for_: forward})
		return nil
	}
	found := s.statements(string(name))
	facts := s.wouldRun(string(name), found)
	j := s.judgeNoting(facts)
	var waits *held
	if j.Verdict != policy.Allow {
		sum := sha256.Sum256(values)
		g := gated{sent: 'B', digest: sum[:], parameters: shownParameters(values),
			facts: func() []*policy.Facts { return s.wouldRun(string(name), s.statements(string(name))) }}
		for _, st := range found {
			g.text = st.text
		}
		var refused bool
		if j, waits, refused, err = s.challenge(ctx, g); refused || err != nil {
			return err
		}
	}
	if notable(found) {
		if t.portals == nil {
			t.portals = map[string][]*statement{}
		}
		t.portals[string(portal)] = found
	} else if t.portals != nil {
		delete(t.portals, string(portal))
	}
	s.stageGated(frame, owed{sent: 'B', for_: forward}, j, facts, waits)
	return nil
}

// wouldRun returns the facts of everything that a Bind of name may run.
func (s *session) wouldRun(name string, found []*statement) []*policy.Facts {
	switch len(found) {
	case 0:
		return []*policy.Facts{policy.UnknownStatement(name)}
	case 1:
		return s.fill(found[0].facts)
	}
	var facts []*policy.Facts
	for _, st := range found {
		facts = append(facts, s.fill(st.facts)...)
	}
	return facts
}

// notable reports whether running one of the statements changes more than data:
// the transaction, or names.
func notable(found []*statement) bool {
	for _, st := range found {
		for _, f := range st.facts {
			if f.Transaction != policy.TransactionNone {
				return true
			}
		}
		if hasEffects(st.facts) {
			return true
		}
	}
	return false
}

// functionCall gates a FunctionCall, which runs a function by OID without any
// SQL.
func (s *session) functionCall(ctx context.Context, frame []byte) error {
	s.inBatch()
	oid, err := functionOID(frame)
	if err != nil {
		s.toServer.put(frame, owed{sent: 'F', for_: forward}) // the server answers 08P01
		s.toServer.endBatch()
		return nil
	}
	facts := []*policy.Facts{policy.FunctionCall(oid)}
	j := s.judgeNoting(facts)
	var waits *held
	if j.Verdict != policy.Allow {
		sum := sha256.Sum256(frame)
		g := gated{sent: 'F', text: fmt.Sprintf("FunctionCall of the function with OID %d", oid), digest: sum[:],
			facts: func() []*policy.Facts { return facts }}
		var refused bool
		if j, waits, refused, err = s.challenge(ctx, g); refused || err != nil {
			return err
		}
	}
	s.stageGated(frame, owed{sent: 'F', for_: forward}, j, facts, waits)
	if err := s.decideHeld(ctx); err != nil || s.toServer.discarding {
		return err
	}
	s.toServer.endBatch()
	return nil
}

// judgeNoting judges what comes next in the session, and first notes it for the
// recognition of restores.
func (s *session) judgeNoting(facts []*policy.Facts) judgement {
	t := &s.toServer
	for _, f := range facts {
		t.restore.Note(f, t.session.Application)
	}
	t.session.Restore = t.restore.Restore()
	return s.judge(facts, t.now)
}

// challenge deals with a message whose first judgement was anything but allow.
// Where that rests on what the server has not answered yet, it waits for those
// answers and judges again. A message that is blocked is refused here; for one
// that needs approval it returns what to hold.
func (s *session) challenge(ctx context.Context, g gated) (j judgement, waits *held, refused bool, err error) {
	t := &s.toServer
	settled, err := s.settle()
	if err != nil {
		return j, nil, false, err
	}
	if settled && !hasTransaction(t.owed) {
		t.now = s.transaction(true)
	}
	facts := g.facts()
	j = s.judge(facts, t.now)
	if j.Verdict == policy.Hold || j.Verdict == policy.Ticket {
		if j.Rule.Scope == policy.ScopeSession {
			switch {
			case t.restoreGranted == j.ID():
				j.Verdict = policy.Allow
			case t.restoreRefused != nil:
				return j, nil, true, s.refuseRecorded(ctx, g, j, restoreRefused(t.restoreRefused))
			}
		}
	}
	switch j.Verdict {
	case policy.Block:
		return j, nil, true, s.refuseRecorded(ctx, g, j, blocked(j.Decision, j.facts))
	case policy.Hold, policy.Ticket:
		return j, &held{gated: g, decision: j.Decision, decided: j.facts, all: facts, now: t.now}, false, nil
	case policy.Warn:
		if err := s.record(ctx, approval.KindWarned, j.Decision, g.text); err != nil {
			s.refuse(g.sent, "", notOnRecord(j.Decision, j.facts))
			return j, nil, true, nil
		}
	}
	return j, nil, false, nil
}

// hasTransaction reports whether something staged may change the transaction.
func hasTransaction(staged []stagedOwed) bool {
	for _, o := range staged {
		if o.sent == 'E' || o.sent == 'Q' || o.sent == 'F' {
			return true
		}
	}
	return false
}

// refuseRecorded refuses a message once that is on record.
func (s *session) refuseRecorded(ctx context.Context, g gated, j judgement, r *refusal) error {
	if s.record(ctx, approval.KindBlocked, j.Decision, g.text) != nil {
		r = notOnRecord(j.Decision, j.facts)
	}
	s.refuse(g.sent, "", r)
	return nil
}

// record writes an answer to the audit log, before it takes effect.
func (s *session) record(ctx context.Context, kind string, d policy.Decision, text string) error {
	err := s.p.c.Approvals.Note(ctx, approval.Event{
		Kind: kind, Rule: d.ID(), Verdict: kind, PolicyHash: s.p.c.Policy().Hash(),
		Login: s.toServer.session.User, Database: s.toServer.session.Database,
		Application: s.toServer.session.Application, Address: s.client.RemoteAddr().String(),
		Session: s.id, Statement: text, Detail: d.Reason,
	})
	if err != nil {
		s.p.c.Log.Error("answer not recorded", zap.String("session", s.id), zap.Error(err))
	}
	return err
}

// stageGated stages a message that may go, or may go once approved.
func (s *session) stageGated(frame []byte, o owed, j judgement, facts []*policy.Facts, waits *held) {
	t := &s.toServer
	if j.Verdict == policy.Warn {
		o = o.with()
		o.notice = warned(j.Decision, j.facts)
	}
	if unsettling(facts) {
		o = o.with()
		o.unsettles = true
	}
	if waits != nil {
		waits.at = len(t.out)
		t.held = append(t.held, *waits)
	}
	if o.sent != 'B' { // a bound statement takes effect at Execute
		for _, f := range facts {
			t.now = after(t.now, f.Transaction)
		}
	}
	t.put(frame, o)
}

// unsettling reports whether statements may change how the server reads the
// text that comes after them.
func unsettling(facts []*policy.Facts) bool {
	for _, f := range facts {
		if f.ReadOnly() && f.Transaction == policy.TransactionNone {
			continue
		}
		switch f.Transaction {
		case policy.TransactionNone, policy.TransactionBegin, policy.TransactionSavepoint:
		default: // takes back what SET LOCAL or a SET before it did
			return true
		}
		for _, set := range f.Settings {
			switch set.Name {
			case "client_encoding", "standard_conforming_strings", "all", "":
				return true
			}
		}
		for _, a := range f.Actions {
			if a.Class.In("opaque") || a.Class == "discard" || a.Class == policy.ClassUnparsed || a.Class == policy.ClassUnknown {
				return true
			}
		}
	}
	return false
}

// with makes room for what only some messages carry.
func (o owed) with() owed {
	if o.owedMore == nil {
		o.owedMore = &owedMore{}
	}
	return o
}

// refuse puts a poison in the place of the message at the gate, or of the first
// message of the batch that waits for approval: nothing of the batch would be
// left after the error. In the extended protocol the client's messages up to
// Sync are dropped then, as the server would skip them.
func (s *session) refuse(sent byte, name string, r *refusal) {
	t := &s.toServer
	if len(t.held) > 0 {
		sent, name = t.held[0].sent, ""
		t.cut(t.held[0].at)
		t.held = nil
	}
	o := owed{sent: sent, for_: author, owedMore: &owedMore{refusal: r}}
	at := len(t.out)
	switch sent {
	case 'Q':
		t.out = poisonQuery(t.out, r)
	case 'F':
		t.out = poisonCall(t.out)
	default:
		if sent != 'P' || name != "" {
			name = poisonName
		}
		o.sent = 'P'
		t.out = poisonParse(t.out, name, r)
		t.discarding = true
	}
	t.owed = append(t.owed, stagedOwed{owed: o, at: at})
	if !t.discarding {
		t.endBatch()
	}
}

// cut takes back what is staged from at on.
func (t *stage) cut(at int) {
	t.out = t.out[:at]
	for i, o := range t.owed {
		if o.at >= at {
			clear(t.owed[i:])
			t.owed = t.owed[:i]
			break
		}
	}
	t.batchOut, t.batchOwed = min(t.batchOut, at), min(t.batchOwed, len(t.owed))
}

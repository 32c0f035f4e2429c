package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
)

// The statement gate: each Query, Bind and FunctionCall passes here before any
// of its bytes may reach the server. Bind and not only Execute, because a bound
// portal can also be run by FETCH or MOVE, and because planning runs code.

// query gates a simple Query, all of its statements or none: splitting it would
// change its implicit transaction.
func (s *session) query(ctx context.Context, frame []byte) error {
	s.inBatch()
	text := queryText(frame)
	if s.start.wantsReplication() && isReplicationCommand(text) {
		s.toServer.put(frame, owed{sent: 'Q', for_: forward})
		return s.endQuery(ctx, 'Q', nil)
	}
	facts := s.read(text)
	all := [][]*policy.Facts{facts}
	j, all, ask := s.judgeNoting(all, nil)
	var waits *held
	if ask {
		g := gated{sent: 'Q', text: text, alternatives: func() [][]*policy.Facts { return [][]*policy.Facts{s.read(text)} }}
		var refused bool
		var err error
		if j, all, waits, refused, err = s.challenge(ctx, g); refused || err != nil {
			return err
		}
	}
	facts = all[0] // what was judged: standing grants are noted by it
	o := owed{sent: 'Q', for_: forward}
	if hasEffects(facts) {
		o = o.with()
		o.effects = facts
	}
	if waits == nil {
		var refused bool
		var err error
		if waits, refused, err = s.countStatements(ctx, gated{sent: 'Q', text: text}, all); refused || err != nil {
			return err
		}
	}
	if err := s.fromZero(all); err != nil {
		return err
	}
	if pid := cancels(text, facts); pid != 0 {
		o = o.with()
		o.cancels = pid
	}
	failed, err := s.endOpenBatch(all)
	if err != nil || s.toServer.discarding {
		return err
	}
	if failed {
		s.toServer.put(frame, o)
		s.toServer.endBatch()
		return nil
	}
	s.stageGated(frame, o, j, all, waits)
	return s.endQuery(ctx, 'Q', facts)
}

// endQuery ends the segment that a staged Query or FunctionCall is.
func (s *session) endQuery(ctx context.Context, sent byte, facts []*policy.Facts) error {
	t := &s.toServer
	if err := s.decideHeld(ctx); err != nil || t.discarding {
		return err
	}
	if facts != nil && t.owed[len(t.owed)-1].for_ != author && t.toMeasure(facts) {
		return s.follow(ctx, sent, facts, false)
	}
	t.grantLast()
	t.endBatch()
	return nil
}

// toMeasure reports whether the commit gate has to see what is staged through.
func (t *stage) toMeasure(facts []*policy.Facts) bool {
	return t.risky || (t.work.risky || t.work.charged) && slices.ContainsFunc(facts, commits) ||
		t.work.digest != nil && len(t.grants) > 0 && t.now&inside != 0 ||
		t.dirty && slices.ContainsFunc(facts, chains)
}

// parse stages a Parse. Its statement is judged when it is bound. One that would
// be blocked in any case is refused here, so that whoever prepares it learns it
// at once; one that a portal may already name, by EXECUTE, is judged as if it
// ran.
func (s *session) parse(ctx context.Context, frame []byte) error {
	s.inBatch()
	t := &s.toServer
	nameBytes, rest, err := cstring(frame[headerLen:])
	if err != nil {
		t.put(frame, owed{sent: 'P', for_: forward}) // the server answers 08P01
		return nil
	}
	query, types, err := cstring(rest)
	if err != nil {
		query = rest
	}
	name := serverName(nameBytes)
	// The server reads the text now, under the settings of now, whatever they are
	// when the statement is bound.
	st := &statement{text: string(query), types: append([]byte(nil), types...)}
	lex := s.lexing()
	read := func(lex policy.Lexing) []*policy.Facts {
		return policy.Declared(s.p.c.Reader.Read(st.text, lex), declaredTypes(st.types))
	}
	st.facts = read(lex)
	if !lex.Known && slices.ContainsFunc(st.facts, unreadable) {
		if _, err := s.settle(); err != nil {
			return err
		}
		st.facts = read(s.lexing())
	}
	o := owed{sent: 'P', for_: forward, owedMore: &owedMore{name: name, defines: st}}
	if t.executes[name] {
		g := gated{sent: 'P', text: st.text, alternatives: func() [][]*policy.Facts { return [][]*policy.Facts{s.fill(st.facts)} }}
		j, all, waits, refused, err := s.challenge(ctx, g)
		if refused || err != nil {
			return err
		}
		if waits != nil {
			waits.name = name
		}
		clear(t.bound) // what is bound to the EXECUTE runs it
		s.stageGated(frame, o, j, all, waits)
		return nil
	}
	if j := s.judge(st.facts, outside); j.Verdict == policy.Block && s.judge(st.facts, inside).Verdict == policy.Block {
		r := blocked(j.Decision, j.facts)
		if s.record(ctx, approval.KindBlocked, j.Decision, st.text) != nil {
			r = notOnRecord(j.Decision, j.facts)
		}
		s.refuse('P', name, r)
		return nil
	}
	if err := s.askEarly(st); err != nil {
		return err
	}
	t.put(frame, o)
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
	nameBytes, values, err := cstring(rest)
	if err != nil {
		t.put(frame, owed{sent: 'B', for_: forward})
		return nil
	}
	name := serverName(nameBytes)
	found := s.candidates(name)
	alternatives, again := s.runsAgain(name, found, values)
	j, alternatives, ask := s.judgeNoting(alternatives, again)
	var waits *held
	if ask {
		values = bytes.Clone(values) // they may be needed when the buffer has moved on
		g := gated{sent: 'B', alternatives: func() [][]*policy.Facts { return s.wouldRun(name, s.candidates(name), values) }}
		for _, st := range found {
			g.text = st.text
		}
		g.bound = func(i int) (bound, bool) {
			if found := s.candidates(name); i < len(found) {
				return boundAs(found[i].types, values)
			}
			return bound{}, false
		}
		var refused bool
		if j, alternatives, waits, refused, err = s.challenge(ctx, g); refused || err != nil {
			return err
		}
	}
	o := owed{sent: 'B', for_: forward}
	t.cancelPortal, t.cancels = serverName(portal), 0
	if len(found) == 1 {
		t.cancels = cancels(found[0].text, alternatives[0])
	}
	effects := effectSet(0)
	for _, facts := range alternatives {
		for _, f := range facts {
			effects |= 1<<f.Transaction | t.binds(f)
			if codeAlone(f) || mayForceCommit(f) {
				effects |= mayCommitAlone
				t.bindsCommit = true
			}
			t.controls = t.controls || f.Transaction != policy.TransactionNone
			t.noBlock = t.noBlock || otherInBlock(f)
			t.setsTx = t.setsTx || setsTransaction(f)
		}
	}
	if t.bound == nil {
		t.bound = map[string]effectSet{}
	}
	if len(found) > 0 {
		t.bound[serverName(portal)] = effects
	} else {
		delete(t.bound, serverName(portal))
	}
	if waits == nil {
		g := gated{sent: 'B'}
		for _, st := range found {
			g.text = st.text
		}
		var refused bool
		if waits, refused, err = s.countStatements(ctx, g, alternatives); refused || err != nil {
			return err
		}
	}
	if err := s.fromZero(alternatives); err != nil {
		return err
	}
	s.stageGated(frame, o, j, alternatives, waits)
	return nil
}

// binds notes what a portal could do to names whenever it runs, and reports
// whether it moves portals themselves.
func (t *stage) binds(f *policy.Facts) effectSet {
	if f.Executes != "" {
		if t.executes == nil {
			t.executes = map[string]bool{}
		}
		t.executes[f.Executes] = true
	}
	if f.Prepared != nil {
		if t.prepares == nil {
			t.prepares = names{}
		}
		t.prepares.add(f.Prepares, prepared(f))
	}
	switch f.Class {
	case "close", "declare_cursor", "discard":
		return movesPortals
	}
	switch f.Transaction {
	case policy.TransactionNone, policy.TransactionBegin, policy.TransactionSavepoint:
		return 0
	}
	return movesPortals
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
	all := [][]*policy.Facts{{policy.FunctionCall(oid)}}
	j, all, ask := s.judgeNoting(all, nil)
	var waits *held
	if ask {
		g := gated{sent: 'F', text: calledFunction(oid), alternatives: func() [][]*policy.Facts { return all }}
		var refused bool
		if j, all, waits, refused, err = s.challenge(ctx, g); refused || err != nil {
			return err
		}
	}
	failed, err := s.endOpenBatch(all)
	if err != nil || s.toServer.discarding {
		return err
	}
	if failed {
		s.toServer.put(frame, owed{sent: 'F', for_: forward})
		s.toServer.endBatch()
		return nil
	}
	s.stageGated(frame, owed{sent: 'F', for_: forward}, j, all, waits)
	return s.endQuery(ctx, 'F', all[0])
}

// calledFunction is a FunctionCall in words.
func calledFunction(oid uint32) string {
	return fmt.Sprintf("FunctionCall of the function with OID %d", oid)
}

// challenge deals with a message whose first judgement was anything but allow,
// or could be worse if more were known. Where that rests on what the server has
// not answered yet, it waits for those answers; it asks the catalogue, and judges
// again. A message that is blocked is refused here; for one that needs approval it
// returns what to hold. all is what was judged in the end.
func (s *session) challenge(ctx context.Context, g gated) (j judgement, all [][]*policy.Facts, waits *held, refused bool, err error) {
	t := &s.toServer
	settled, err := s.settle()
	if err != nil {
		return j, nil, nil, false, err
	}
	if settled && !t.executed() {
		t.now = s.transaction(true)
	}
	if s.start.wantsReplication() { // the server takes no question there
		settled = false
	}
	j, all, err = s.informed(g, settled)
	if err == nil && s.mayHide(all) {
		if all, err = s.seeThrough(g, all, settled); err == nil {
			j = s.judgeEach(all, t.now)
		}
	}
	if errors.Is(err, errCancelled) {
		s.refuse(g.sent, "", cancelledByUser("", 0))
		return j, nil, nil, true, nil
	}
	if err != nil {
		return j, nil, nil, false, err
	}
	if j.Verdict == policy.Hold || j.Verdict == policy.Ticket {
		switch {
		case t.restoreCovers(j.waits, s.p.c.Policy().Hash()):
			j.Verdict = policy.Allow
		case t.restoreRefused != nil && j.Rule.Scope == policy.ScopeSession:
			return j, nil, nil, true, s.refuseRecorded(ctx, g, j, restoreRefused(t.restoreRefused))
		}
	}
	switch j.Verdict {
	case policy.Block:
		return j, nil, nil, true, s.refuseRecorded(ctx, g, j, blocked(j.Decision, j.facts))
	case policy.Hold, policy.Ticket:
		if s.start.wantsReplication() {
			return j, nil, nil, true, s.refuseRecorded(ctx, g, j, cannotBeHeld(j.Decision, j.facts))
		}
		return j, all, &held{gated: g, decision: j.Decision, decided: j.facts, waits: j.waits, all: all, now: t.now}, false, nil
	case policy.Warn:
		if err := s.record(ctx, approval.KindWarned, j.Decision, g.text); err != nil {
			s.refuse(g.sent, "", notOnRecord(j.Decision, j.facts))
			return j, nil, nil, true, nil
		}
	}
	return j, all, nil, false, nil
}

// informed judges with all that the server can be asked, if it can be asked now.
func (s *session) informed(g gated, settled bool) (j judgement, all [][]*policy.Facts, err error) {
	t := &s.toServer
	if settled && t.session.Restore {
		if t.session.Restore, err = s.restoresOver(); err != nil {
			return j, nil, err
		}
	}
	all = g.alternatives()
	j = s.judgeEach(all, t.now)
	if settled && g.sent == 'Q' && !j.Verdict.Runs() && all[0][0].Ungrammatical {
		if refuses, err := s.refusesSyntax(g.text); err != nil {
			return j, nil, err
		} else if refuses {
			all = [][]*policy.Facts{policy.RefusedAsSyntaxError(all[0][0].Text)}
			return s.judgeEach(all, t.now), all, nil
		}
	}
	if !settled || j.Verdict == policy.Allow && !s.widens(all) && !s.estimates(all) && !s.mayStand(j, all) {
		return j, all, nil
	}
	if err := s.learnRole(); err != nil {
		return j, nil, err
	}
	defer func() { t.session.Role = "" }() // it may be another one by the next statement
	if kept, ok := s.allowedByKept(all, j); ok {
		all = kept
	} else if all, err = s.consult(all, j.Verdict == policy.Allow); err != nil {
		return j, nil, err
	}
	if all, err = s.estimate(g, all); err != nil {
		return j, nil, err
	}
	if j = s.judgeEach(all, t.now); g.sent == 'Q' && t.now == inside && !j.Verdict.Runs() {
		if all, err = s.readOnly(all); err != nil {
			return j, nil, err
		}
		j = s.judgeEach(all, t.now)
	}
	return j, all, nil
}

// allowedByKept refines by what the catalogue has said lately, where statements are
// allowed by their text and by that, too: only the planner is to be asked then.
func (s *session) allowedByKept(all [][]*policy.Facts, j judgement) ([][]*policy.Facts, bool) {
	if j.Verdict != policy.Allow || !s.widens(all) {
		return nil, false
	}
	kept, ok := s.consultKept(all, nil)
	return kept, ok && s.judgeEach(kept, s.toServer.now).Verdict == policy.Allow
}

// executed reports whether something staged may change the transaction. After
// settle only the open batch is staged.
func (t *stage) executed() bool {
	return slices.ContainsFunc(t.owed, func(o stagedOwed) bool { return o.sent == 'E' })
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
	s.loop.mayWait()
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
func (s *session) stageGated(frame []byte, o owed, j judgement, all [][]*policy.Facts, waits *held) {
	t := &s.toServer
	for _, facts := range all {
		t.forgetCatalogs(facts)
	}
	s.noteWork(o.sent, frame, all, waits != nil, j.standing)
	if j.Verdict == policy.Warn {
		o = o.with()
		o.notice = warned(j.Decision, j.facts)
	}
	if waits != nil {
		waits.at = len(t.out)
		t.held = append(t.held, *waits)
	}
	if o.sent == 'Q' || o.sent == 'F' { // what is bound takes effect at Execute
		t.now = j.after
	}
	t.put(frame, o)
}

// refuse puts a poison in the place of the message at the gate, or of the first
// message of the batch that waits for approval: nothing of the batch would be
// left after the error. In the extended protocol the client's messages up to
// Sync are dropped then, as the server would skip them.
func (s *session) refuse(sent byte, name string, r *refusal) {
	t := &s.toServer
	if len(t.held) > 0 {
		sent, name = t.held[0].sent, t.held[0].name
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

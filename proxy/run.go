package proxy

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
)

// A run is a message, or an extended batch with its Sync, that the commit gate
// follows from here to its ReadyForQuery. Outside a transaction block the proxy
// puts one around it, so that it is measured before it is committed.
type run struct {
	sent   byte // what a refusal stands in for: Q, F, or B for a batch
	pieces []piece
	next   int

	wrapped  bool   // the transaction block is the proxy's
	granted  bool   // people have approved it at the statement gate
	apart    *apart // the piece under way is measured apart; or nil
	expected uint64 // segments, once the piece under way is answered
}

// follow takes what is staged since the open batch began, which ends a segment,
// and sees it through the commit gate.
func (s *session) follow(ctx context.Context, sent byte, facts []*policy.Facts, begins bool) error {
	t := &s.toServer
	settled, err := s.settle()
	if err != nil {
		return err
	}
	if !settled {
		if t.batchSent {
			t.cut(t.owed[len(t.owed)-1].at)
			s.refuse(sent, "", entangled(t.work.about()))
			return nil
		}
		t.grantLast()
		t.endBatch() // the server discards it
		return nil
	}
	whole := piece{frames: bytes.Clone(t.out[t.batchOut:]), owed: slices.Clone(t.owed[t.batchOwed:]),
		facts: facts, risky: t.risky, begins: begins}
	for i := range whole.owed {
		whole.owed[i].at -= t.batchOut
	}
	t.cut(t.batchOut)
	r := &run{sent: sent, pieces: []piece{whole}, granted: len(t.grants) > 0}
	t.work.grants = append(t.work.grants, t.grants...)
	t.grants = nil
	if sent == 'Q' {
		if r.pieces = cutQuery(whole); r.pieces == nil {
			s.refuse('Q', "", ownCommit(t.work.about()))
			return nil
		}
	}
	return s.advance(ctx, r)
}

// restage stages a piece again.
func (t *stage) restage(p *piece) {
	at := len(t.out)
	for _, o := range p.owed {
		if o.definesNames() {
			t.defining++
		}
		t.owed = append(t.owed, stagedOwed{owed: o.owed, at: at + o.at})
	}
	t.out = append(t.out, p.frames...)
}

// status is that of the last ReadyForQuery, and the SQLSTATE with which what it
// ended has failed.
func (s *session) status() (tx byte, failed string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tx, s.failed
}

// advance runs what is left of a run. It returns before that is done only where
// the client must send COPY data first; resume goes on then.
func (s *session) advance(ctx context.Context, r *run) error {
	t := &s.toServer
	for r.next < len(r.pieces) {
		p := &r.pieces[r.next]
		t.work.continues(s, p)
		tx, _ := s.status()
		if tx == 'I' {
			r.join()
			p = &r.pieces[r.next]
		}
		if tx == 'T' {
			if refused, err := s.before(ctx, r, p); refused || err != nil {
				return err
			}
		} else if tx == 'I' && p.risky && !p.begins && !p.ends && !p.inBlock() {
			t.zero = t.zero || t.unclean || r.next > 0 && t.dirty
			if failure, err := failureOf(s.begin(p)); failure != nil || err != nil {
				return errors.Join(err, s.failLast(ctx, r, failure))
			}
			r.wrapped = true
		} else if tx == 'I' && p.begins && r.next > 0 && t.dirty {
			t.zero = true
		}
		if tx == 'T' && p.risky {
			if err := s.openBefore(p); err != nil {
				return err
			}
		}
		if failed, err := s.beginApart(ctx, r, p, tx); failed || err != nil {
			return err
		}
		t.dirty = t.dirty || p.risky
		s.withhold()
		s.mu.Lock()
		r.expected = s.segments + 1
		s.mu.Unlock()
		t.restage(p)
		if err := s.send(len(t.out), len(t.owed)); err != nil {
			return err
		}
		if data, err := s.awaitSegment(r); data || err != nil {
			t.endBatch()
			return err
		}
		if over, err := s.pieceDone(ctx, r, p); over || err != nil {
			return err
		}
	}
	t.endBatch()
	return nil
}

// awaitSegment waits for the end of the answer under way. It reports true where
// the server wants COPY data instead; the client has been told so.
func (s *session) awaitSegment(r *run) (data bool, err error) {
	for {
		s.mu.Lock()
		_, err = s.waitOwedOrData(0)
		done := s.segments >= r.expected
		s.mu.Unlock()
		if err != nil || done {
			return false, err
		}
		if data, err = s.askForData(); data || err != nil {
			s.toServer.following = r
			return data, err
		}
		if err := s.unanswerable(r); err != nil {
			return false, err
		}
	}
}

// resume goes on with a run when the client has sent its COPY data, or the
// server waits for it no more.
func (s *session) resume(ctx context.Context) error {
	t := &s.toServer
	r := t.following
	s.mu.Lock()
	s.copying = false
	data, err := s.waitOwedOrData(0)
	done := s.segments >= r.expected
	s.copying = !done
	s.mu.Unlock()
	if err == nil && data {
		if data, err = s.askForData(); !data && err == nil {
			return s.resume(ctx)
		}
	}
	if err != nil || !done { // of a batch, a Sync is still to come
		return err
	}
	t.following = nil
	if over, err := s.pieceDone(ctx, r, &r.pieces[r.next]); over || err != nil {
		return err
	}
	return s.advance(ctx, r)
}

// before judges what an open transaction has done, before a piece that commits it
// or that people have approved by itself.
func (s *session) before(ctx context.Context, r *run, p *piece) (refused bool, err error) {
	t := &s.toServer
	var v verdictOf
	var failure []byte
	switch ending := slices.ContainsFunc(p.facts, commits); {
	case ending && (t.work.risky || t.work.charged):
		v, failure, err = s.mayCommit(ctx)
		v = v.endsBlock(s)
	case !ending && t.work.risky && r.granted:
		v, failure, err = s.measured(false)
	case t.dirty && slices.ContainsFunc(p.facts, chains): // what is counted must not count for the next
		v, failure, err = s.measured(false)
		v.Decision = policy.Decision{Verdict: policy.Allow}
	default:
		return false, nil
	}
	switch {
	case err != nil:
		return false, err
	case failure != nil:
		if err := s.rollback(); err != nil { // as a COMMIT that fails does
			return false, err
		}
		return true, s.failLast(ctx, r, failure)
	}
	if refused, err := s.answer(ctx, r, v); refused || err != nil || v.Verdict.Runs() {
		return refused, err
	}
	if slices.ContainsFunc(p.facts, commits) {
		return s.chargeApproved(ctx, r, v)
	}
	return false, nil
}

// chargeApproved charges what people have approved, before it is committed. It
// reports whether that had to be refused.
func (s *session) chargeApproved(ctx context.Context, r *run, v verdictOf) (refused bool, err error) {
	failure := s.charged(ctx, approved(v))
	if failure == nil {
		return false, nil
	}
	s.refuse(r.sent, "", &refusal{server: failure})
	return true, s.refusedByGate(ctx)
}

// answer does what the policy says of an open transaction that goes on.
func (s *session) answer(ctx context.Context, r *run, v verdictOf) (refused bool, err error) {
	if v.Verdict.Runs() {
		failure, err := s.warnOver(ctx, v)
		if failure == nil || err != nil {
			return false, err
		}
		s.refuse(r.sent, "", &refusal{server: failure})
	} else if granted, err := s.over(ctx, r.sent, v, false); granted || err != nil {
		return false, err
	}
	return true, s.refusedByGate(ctx)
}

// sendRefusal sends the poison that refuse has staged, behind what the client may
// see of the answer that was kept back.
func (s *session) sendRefusal() error {
	w := s.takeWithheld()
	w.without("CIsZ")
	return s.sendBehind(w)
}

// sendBehind sends the poison that refuse has staged, behind what is left of the
// answer that was kept back, and with the Sync that ends a batch.
func (s *session) sendBehind(w *withheld) error {
	t := &s.toServer
	if err := s.toClient(w.frames); err != nil {
		return err
	}
	if t.discarding {
		t.discarding = false
		t.put([]byte{'S', 0, 0, 0, 4}, owed{sent: 'S', for_: forward})
	}
	t.endBatch()
	return s.flush()
}

// failLast tells the client an error of the server in the place of the answer to
// the piece under way.
func (s *session) failLast(ctx context.Context, r *run, failure []byte) error {
	if failure == nil {
		return nil
	}
	s.settleWork(ctx, approval.Failed, "SQLSTATE "+codeOf(failure))
	s.refuse(r.sent, "", &refusal{server: failure})
	w := s.takeWithheld()
	w.uncommitted(r.sent == 'Q' && r.next == len(r.pieces)-1)
	return s.sendBehind(w)
}

// pieceDone deals with the end of one piece. It reports whether the run is over;
// otherwise advance goes on with r.next.
func (s *session) pieceDone(ctx context.Context, r *run, p *piece) (over bool, err error) {
	t := &s.toServer
	tx, failed := s.status()
	wrapped := r.wrapped
	r.wrapped = false
	switch {
	case wrapped && failed == cannotBeInBlock && len(r.pieces) == 1 && p.utility():
		if err := s.rollback(); err != nil {
			return false, err
		}
		p.risky = false
		s.takeWithheld()
		return false, s.forget(p)
	case failed != "":
		if wrapped && tx != 'I' {
			if err := s.rollback(); err != nil {
				return false, err
			}
			s.keptReady('I', r.sent == 'Q')
			tx = 'I'
			if f := r.endsByItself(); f != nil && failed == codeTermination {
				s.keptFailure(terminates(f))
			}
		}
		if tx == 'I' {
			s.settleWork(ctx, approval.Failed, "SQLSTATE "+failed)
		}
		t.endBatch()
		return true, s.showKept()
	case wrapped && tx == 'T':
		again, over, err := s.commitWrapped(ctx, r, p)
		if again || over || err != nil {
			return over, err
		}
	case tx == 'T' && p.ends:
		s.settleEnded(ctx)
		t.work = s.next()
	case tx == 'T':
		if failed, err := s.endApart(ctx, r); failed || err != nil {
			return true, err
		}
		if over, err := s.atOnce(ctx, r, p); over || err != nil {
			return true, err
		}
	default:
		if wrapped || p.risky && !p.ends && t.work.risky {
			s.unseen(string(p.facts[0].Class))
		}
		s.settleEnded(ctx)
	}
	r.next++
	if r.next < len(r.pieces) {
		s.mu.Lock()
		s.kept.without("Z")
		s.mu.Unlock()
	}
	return false, s.showKept()
}

// commitWrapped measures what ran in the proxy's own transaction block, and
// commits it if it may be. Otherwise it is rolled back, and people are asked while
// nothing is open on the server. Again means that it is to run once more.
func (s *session) commitWrapped(ctx context.Context, r *run, p *piece) (again, over bool, err error) {
	v, failure, err := s.mayCommit(ctx)
	if err != nil {
		return false, false, err
	}
	repeatable := p.repeatable() && !s.keptShown()
	if failure == nil && !v.Verdict.Runs() && v.Verdict != policy.Block && !repeatable {
		// It may have been approved before, and cannot run again by itself.
		s.endGrants(ctx, "it changed more than was approved, and was rolled back")
		granted, err := s.over(ctx, r.sent, v, false)
		if err != nil {
			return false, false, err
		}
		if !granted {
			return false, true, errors.Join(s.rollback(), s.refusedByGate(ctx))
		}
		v = *approved(v)
		failure = s.charged(ctx, &v)
	}
	if failure == nil && v.Verdict.Runs() {
		if failure, err = s.warnOver(ctx, v); err != nil {
			return false, false, err
		}
		if failure == nil {
			failure, err = s.commit()
		}
		if err != nil {
			return false, false, err
		}
		if failure == nil {
			s.keptReady('I', r.sent == 'Q')
			s.settleWork(ctx, approval.Done, s.keptTag())
			return false, false, nil
		}
	}
	if tx, _ := s.status(); tx != 'I' {
		if err := s.rollback(); err != nil {
			return false, false, err
		}
	}
	if failure != nil {
		return false, true, s.failLast(ctx, r, failure)
	}
	s.endGrants(ctx, "it changed more than was approved, and was rolled back")
	granted, err := s.over(ctx, r.sent, v, repeatable)
	switch {
	case err != nil:
		return false, false, err
	case !granted:
		return false, true, s.refusedByGate(ctx)
	}
	s.takeWithheld()
	return true, false, s.forget(p)
}

// refusedByGate ends what was rolled back, and sends the refusal that is staged.
func (s *session) refusedByGate(ctx context.Context) error {
	s.settleWork(ctx, approval.Failed, "rolled back by the commit gate")
	return s.sendRefusal()
}

// endGrants ends what was approved for less than it does now.
func (s *session) endGrants(ctx context.Context, why string) {
	t := &s.toServer
	spent := t.work.grants
	t.work.grants = nil
	for _, g := range spent {
		s.finish(ctx, finished{g, approval.Failed, why})
	}
}

// approved is a verdict that people have overruled.
func approved(v verdictOf) *verdictOf {
	v.Verdict = policy.Allow
	return &v
}

// atOnce stops a transaction whose command tags say by themselves that it is over
// its limit, so that nobody works on in vain.
func (s *session) atOnce(ctx context.Context, r *run, p *piece) (refused bool, err error) {
	t := &s.toServer
	if r.apart != nil && r.apart.rule != nil { // its grant is judged at COMMIT
		return false, nil
	}
	t.work.sees(s.keptTags(), p.facts)
	pol, seen := s.p.c.Policy(), beyond(&t.work.seen, &t.work.approved)
	d := pol.DecideImpact(&t.session, seen)
	if d.Verdict.Runs() || s.atCommit(d, pol.WaitingImpact(&t.session, seen)) > 0 {
		return false, nil
	}
	v, failure, err := s.measured(false)
	if err != nil || failure != nil {
		return true, errors.Join(err, s.failLast(ctx, r, failure))
	}
	return s.answer(ctx, r, v)
}

// repeatable reports whether a piece that was rolled back can run once more: what
// it does to the names of prepared statements is not taken back.
func (p *piece) repeatable() bool {
	whole, _ := splitFrames(p.frames)
	for _, frame := range whole {
		if frame[0] == 'C' && len(frame) > headerLen && frame[headerLen] == 'S' {
			return false
		}
	}
	return !hasEffects(p.facts)
}

// cannotBeInBlock is active_sql_transaction: VACUUM, CREATE DATABASE and others
// that the server runs outside a transaction block only, and refuses in one before
// they have done anything.
const cannotBeInBlock = "25001"

// utility reports whether a piece neither writes rows nor runs code, which could
// raise any error.
func (p *piece) utility() bool {
	if p.binds() > 1 { // facts are those of one of them
		return false
	}
	return !slices.ContainsFunc(p.facts, writesOrCalls)
}

// writesOrCalls reports whether a statement writes rows, or may run code.
func writesOrCalls(f *policy.Facts) bool {
	return slices.ContainsFunc(f.Actions, func(a policy.Action) bool {
		return dml(a.Class) || a.Class.In("opaque") || a.Class == policy.ClassUnknown || a.Class == policy.ClassUnparsed
	})
}

// forget closes the named statements that a piece has parsed.
func (s *session) forget(p *piece) error {
	var messages []byte
	whole, _ := splitFrames(p.frames)
	for _, frame := range whole {
		if frame[0] != 'P' {
			continue
		}
		if name, _, err := cstring(frame[headerLen:]); err == nil && len(name) > 0 {
			messages = appendFrame(messages, 'C', func(b []byte) []byte { return appendCString(append(b, 'S'), string(name)) })
		}
	}
	if messages == nil {
		return nil
	}
	_, err := s.put(messages)
	return err
}

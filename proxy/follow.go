package proxy

import (
	"context"
	"errors"
	"slices"

	"github.com/pgsluice/pgsluice/policy"
)

// The commit gate in the extended protocol. A batch that is not on the server yet
// runs as a Query does, with its Sync. Of one that is, as where a client sends
// Flush, or that ends its own transaction on the way, the Sync is kept back: before
// it nothing commits but by COMMIT.

// ending is what an Execute may do to a transaction that has to be measured.
type ending uint8

const (
	endsNothing ending = iota
	mayEnd
	ends
)

// endBy says whether an Execute could commit what has to be measured.
func (t *stage) endBy(frame []byte) ending {
	if !t.work.risky && !t.work.charged {
		return endsNothing
	}
	portal, _, err := cstring(frame[headerLen:])
	if err != nil {
		return endsNothing // the server answers 08P01
	}
	const committing = effectSet(1<<policy.TransactionCommit | 1<<policy.TransactionCommitAndChain)
	switch effects, known := t.bound[serverName(portal)]; {
	case !known:
		return mayEnd
	case effects&committing == 0:
		return endsNothing
	case effects&^(committing|movesPortals) == 0:
		return ends
	}
	return mayEnd
}

// beforeCommit judges what was done before an Execute that could commit it.
func (s *session) beforeCommit(ctx context.Context, e ending) (refused bool, err error) {
	t := &s.toServer
	if err := s.decideHeld(ctx); err != nil || t.discarding {
		return t.discarding, err
	}
	if err := s.beforeSync(); err != nil || t.discarding {
		return t.discarding, err
	}
	if err := s.flush(); err != nil {
		return false, err
	}
	refused, err = s.judgeOpenBatch(ctx, e == ends && t.now == inside)
	t.discarding = t.discarding || refused
	if !refused && err == nil && e == ends { // what comes behind it is another transaction
		t.work, t.risky, t.measures = s.next(), false, false
	}
	return refused, err
}

// judgeOpenBatch judges what the open transaction did, in the midst of a batch
// that is on the server. endsBlock says that its next message commits a transaction
// block.
func (s *session) judgeOpenBatch(ctx context.Context, endsBlock bool) (refused bool, err error) {
	t := &s.toServer
	if t.now == broken { // it is rolled back
		return false, nil
	}
	t.batchSent = true
	v, failure, err := s.mayCommit(ctx)
	switch {
	case errors.Is(err, errNotNow): // the batch has failed, and nothing will be committed
		return false, nil
	case err != nil:
		return false, err
	case failure != nil: // the server discards the rest, as after an error of the client's
		return true, s.toClient(failure)
	case v.Verdict.Runs():
		failure, err := s.warnOver(ctx, v)
		if failure == nil || err != nil {
			return false, err
		}
		s.refuse('B', "", &refusal{server: failure})
		return true, nil
	}
	if endsBlock {
		v = v.endsBlock(s)
	}
	granted, err := s.overInBatch(ctx, v)
	if granted {
		if failure := s.charged(ctx, approved(v)); failure != nil {
			s.refuse('B', "", &refusal{server: failure})
			return true, nil
		}
		t.grants = append(t.grants, t.work.grants...)
		t.work.grants = nil
	}
	return !granted, err
}

// followBatch sees an extended batch through the commit gate; frame is its Sync.
func (s *session) followBatch(ctx context.Context, frame []byte) error {
	t := &s.toServer
	o := owed{sent: 'S', for_: forward}
	if !t.batchSent && !t.carried && (t.now == inside && !t.committing || t.now == outside && !t.controls && (!t.noBlock || t.committing)) {
		begins := t.now == inside
		t.owed = append(t.owed, stagedOwed{owed: o, at: len(t.out)})
		t.out = append(t.out, frame...)
		return s.follow(ctx, 'B', []*policy.Facts{t.work.about()}, begins)
	}
	err := s.beforeSync()
	if err != nil {
		return err
	}
	if !t.discarding {
		if err := s.flush(); err != nil {
			return err
		}
		if t.carried, err = s.awaitData(); err != nil {
			return err
		}
		// The server ignores a Sync among COPY data, or has rolled the COPY back.
		if t.now != inside && !t.carried {
			if _, err := s.judgeOpenBatch(ctx, false); err != nil {
				return err
			}
		}
	}
	t.carried = t.carried && !t.discarding
	t.discarding = false
	t.put(frame, o)
	t.endBatch()
	return nil
}

// endOpenBatch sends a Sync of the proxy's own before a Query or FunctionCall that
// comes in an extended batch and has to be measured, where that makes no
// difference: in a transaction block, or behind nothing but reads. It reports
// whether the batch has failed: the server then discards what comes.
func (s *session) endOpenBatch(all [][]*policy.Facts) (failed bool, err error) {
	t := &s.toServer
	pol := s.p.c.Policy()
	if len(t.owed) == t.batchOwed && !t.batchSent || len(t.held) > 0 || !pol.Measures() {
		return false, nil
	}
	if !t.risky && !slices.ContainsFunc(all, func(facts []*policy.Facts) bool {
		return slices.ContainsFunc(facts, func(f *policy.Facts) bool { return pol.NeedsImpact(&t.session, f) || chains(f) || t.toMeasure(facts) })
	}) {
		return false, nil
	}
	if err := s.beforeSync(); err != nil || t.discarding {
		return t.discarding, err
	}
	if err := s.flush(); err != nil {
		return false, err
	}
	failed, err = s.awaitOpenBatch()
	if failed || err != nil || t.now != inside && (t.work.digest != nil || t.controls) {
		return failed, err
	}
	if _, err := s.put(nil); err != nil {
		return false, err
	}
	t.endBatch()
	s.inBatch()
	return false, nil
}

// beforeSync prepares a batch that goes to the server before its Sync. One in which
// code could commit by itself what has to be measured is refused; for the others
// the counters begin at zero.
func (s *session) beforeSync() error {
	t := &s.toServer
	if t.batch && !t.batchSent && t.work.risky && t.now == anyState && !t.executed() {
		if _, err := s.settle(); err != nil {
			return err
		}
		t.now = s.transaction(true)
	}
	if !t.batch || !t.risky || t.discarding || t.now&outside == 0 && !t.committing {
		return nil
	}
	if t.work.code || t.committing {
		t.cut(t.batchOut)
		s.refuse('B', "", codeByItself(t.work.about()))
		return nil
	}
	if !t.unclean || t.batchSent {
		return nil
	}
	settled, err := s.settle()
	if tx, _ := s.status(); !settled || err != nil || tx != 'I' {
		return err
	}
	t.unclean, t.zero = false, true
	return nil
}

// whileCopying takes what a client sends while a statement whose effect is
// measured reads COPY data.
func (s *session) whileCopying(ctx context.Context, typ byte, frame []byte) error {
	t := &s.toServer
	if t.discarding && typ != 'S' {
		return nil
	}
	switch typ {
	case 'c', 'f':
		t.put(frame, owed{sent: copyDone, for_: forward})
	case 'S':
		t.discarding = false
		t.put(frame, owed{sent: 'S', for_: forward})
	case 'H': // the server ignores it
		t.out = append(t.out, frame...)
		return s.flush()
	default:
		s.mu.Lock()
		copying := s.q.copyIn
		s.mu.Unlock()
		if copying || t.following.sent != 'B' {
			return errDuringCopy
		}
		s.refuse('B', "", entangled(t.work.about()))
	}
	if err := s.flush(); err != nil {
		return err
	}
	if typ != 'S' && t.following.sent == 'B' {
		return nil // the server says nothing before Sync, unless it wants more data
	}
	return s.resume(ctx)
}

package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
	"github.com/pgsluice/pgsluice/proxy/impact"
)

// Holding at COMMIT: where every rule that a transaction block has met says
// at_commit, the block stays open on the server while people think, and what was
// measured is what is committed. Others may wait for its locks meanwhile, so the
// time is short, people are shown who does, and however the hold ends but by an
// approval, the transaction is rolled back before anything else is done.

// lookAtLocks is how often people are shown anew which locks are held and who waits
// for them. It also tells the server that the session is alive; see keepAlive.
const lookAtLocks = 3 * time.Second

// atCommit is how long a transaction block may be held at its COMMIT for all that
// waits for people; zero is not at all.
func (s *session) atCommit(d policy.Decision, waits []policy.Decision) time.Duration {
	if d.Verdict != policy.Hold || len(waits) == 0 {
		return 0
	}
	wait := s.p.c.MaxWait
	for _, w := range waits {
		wait = min(wait, w.Rule.AtCommit)
	}
	return max(wait, 0)
}

// maxWait is how long what is held waits on the wire.
func (s *session) maxWait(h held) time.Duration {
	if h.atCommit > 0 {
		return h.atCommit
	}
	return s.p.c.MaxWait
}

// overInBatch is over for an Execute of COMMIT in a batch that is on the server. A
// Sync of the proxy's own comes first, which changes nothing in a transaction block:
// at ReadyForQuery the server can be asked behind a savepoint.
func (s *session) overInBatch(ctx context.Context, v verdictOf) (granted bool, err error) {
	t := &s.toServer
	if v.atCommit == 0 {
		return s.over(ctx, 'B', v, false)
	}
	if _, err := s.put(nil); err != nil {
		return false, fmt.Errorf("end the batch before its COMMIT: %w", err)
	}
	if tx, _ := s.status(); tx != 'T' {
		s.unseen("a batch before its COMMIT was in no transaction block")
		return false, fmt.Errorf("hold a COMMIT: the transaction status is %q", tx)
	}
	t.batchSent = false
	granted, err = s.over(ctx, 'B', v, false)
	t.batchSent = true
	return granted, err
}

// letGo rolls back what was held at its COMMIT, if it is open.
func (s *session) letGo(h held) error {
	if h.atCommit == 0 {
		return nil
	}
	select {
	case <-s.gone: // and the server has rolled it back
		return nil
	default:
	}
	if tx, _ := s.status(); tx == 'I' {
		return nil
	}
	return s.rollback()
}

// locks asks the server what the transaction holds and who waits for it.
func (s *session) locks() (*impact.Locks, error) {
	rows, err := s.inquire(impact.LocksSQL, nil)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("ask for the locks: %d rows", len(rows))
	}
	return impact.DecodeLocks(rows[0])
}

// askingLocks adds to what is asked which locks the transaction holds.
func (s *session) askingLocks(a *approval.Ask) error {
	l, err := s.locks()
	if errors.Is(err, errFailed) {
		s.p.c.Log.Warn("locks not shown", zap.String("session", s.id), zap.Error(err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask for the locks of what is held: %w", err)
	}
	a.Impact += "; it held locks then, " + l.String()
	if n := l.Blocked(); n > 0 {
		a.Impact += fmt.Sprintf("; sessions that waited for them: %d", n)
	}
	if a.Locks, err = json.Marshal(l); err != nil {
		return fmt.Errorf("write down the locks: %w", err)
	}
	return nil
}

// showLocks brings what people are shown of the locks up to date. What the server
// does not say, or the ledger does not take, stays as it was.
func (s *session) showLocks(ctx context.Context, w *approval.Waiter) error {
	l, err := s.locks()
	if errors.Is(err, errFailed) {
		s.p.c.Log.Warn("locks not shown", zap.String("session", s.id), zap.Error(err))
		return nil
	}
	if err != nil {
		return err
	}
	locks, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("write down the locks: %w", err)
	}
	s.tellLocks(ctx, w, locks)
	return nil
}

func (s *session) tellLocks(ctx context.Context, w *approval.Waiter, locks []byte) {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer done()
	if err := w.Tell(ctx, locks); err != nil {
		s.p.c.Log.Warn("locks not shown", zap.String("session", s.id), zap.Error(err))
	}
}

// locksOf reads what a request says of locks, or gives nil: those who decide are
// shown them only while they may be held.
func locksOf(r *approval.Request) *impact.Locks {
	if r.State != approval.Pending || len(r.Locks) == 0 {
		return nil
	}
	l := &impact.Locks{}
	if json.Unmarshal(r.Locks, l) != nil {
		return nil
	}
	return l
}

package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
)

const (
	// maxLookahead bounds what is read of a client while one of its statements
	// is held.
	maxLookahead = 1 << 20
	// keepAlive is how often a Sync of the proxy's own tells the server that the
	// session is alive: at a boundary it resets idle_in_transaction_session_timeout
	// and idle_session_timeout and changes nothing else.
	keepAlive = 5 * time.Second
	// remind is how often the client is told that it still waits. It also keeps
	// middleboxes from dropping the connection.
	remind = time.Minute
	// recordTimeout bounds a call to the ledger that must not wait for the
	// client's context.
	recordTimeout = 10 * time.Second
)

// hold is the wait of one session on one request.
type hold struct {
	request   int64
	cancelled chan struct{} // closed by a CancelRequest
	once      bool          // cancelled has been closed; guarded by session.mu
}

// errClientLeft says that the client ended while its statement was held.
var errClientLeft = errors.New("client left while its statement was held")

// decideHeld asks for approval of what is staged and held, if anything is, and
// returns once it may be sent or has been replaced by a refusal. Nothing of a
// batch is on the server while people think.
func (s *session) decideHeld(ctx context.Context) error {
	t := &s.toServer
	if len(t.held) == 0 {
		return nil
	}
	first := t.held[0]
	h := &hold{cancelled: make(chan struct{})}
	s.mu.Lock()
	skipped := s.q.empty() && s.q.skipping
	s.holding = h
	s.mu.Unlock()
	defer s.endHold(h)
	if skipped { // the server discards it, and whatever else comes before Sync
		t.dropHeld()
		return nil
	}
	grant, refused, err := s.seekApproval(ctx, h, first)
	if err == nil && refused == nil && grant == nil {
		err = errors.New("a held statement came back without an answer")
	}
	if grant != nil && s.endHold(h) { // cancelled before any of it was sent
		s.finish(ctx, finished{grant, approval.Failed, "cancelled by the client before it was sent"})
		refused = cancelledByUser(first.decision.ID(), grant.Request().ID)
	}
	restore := first.decision.Rule.Scope == policy.ScopeSession
	switch {
	case err != nil:
		t.dropHeld()
		return err
	case refused != nil:
		if err := s.letGo(first); err != nil {
			t.dropHeld()
			return err
		}
		if restore {
			t.restoreRefused = refused
		}
		if first.measured != nil {
			refused = refused.tookBack(first.measured)
		}
		s.refuse(first.sent, "", refused)
		return nil
	}
	if restore {
		t.restoreGranted, t.restoreQuorum = grant.Request().PolicyHash, grant.Request().Quorum
	}
	t.held = nil
	t.grants = append(t.grants, grant)
	if first.measured == nil {
		return s.boundBy(grant, first)
	}
	return nil
}

// boundBy has what was granted at the statement gate measured before it is
// committed, where people were shown what a dry run did.
func (s *session) boundBy(grant *approval.Grant, h held) error {
	shown := grant.Request().Measured
	if len(shown) == 0 {
		return nil
	}
	t := &s.toServer
	approved, err := impactOf(grant.Request())
	if err != nil {
		return err
	}
	t.risky = true
	t.work.risky, t.work.approved, t.work.exact, t.work.decided = true, *approved, true, h.decision
	for _, facts := range h.all {
		for _, f := range facts {
			if t.work.facts == nil {
				t.work.facts = f
			}
			if t.work.digest == nil {
				t.work.tell(s, f)
			}
		}
	}
	return nil
}

// seekApproval opens or joins the request for what is held and waits for its
// end. It returns a grant, or what the client is to be told, or an error that
// ends the session.
func (s *session) seekApproval(ctx context.Context, h *hold, first held) (*approval.Grant, *refusal, error) {
	s.loop.mayWait()
	ctx, done := context.WithCancel(ctx)
	defer done()
	d, err := s.dryRun(first)
	switch {
	case errors.Is(err, errCancelled):
		return nil, cancelledByUser(first.decision.ID(), 0), nil
	case err != nil:
		return nil, nil, fmt.Errorf("try out what is held: %w", err)
	}
	s.toServer.held[0].dry = d
	ask, refused, err := s.asking()
	switch {
	case err != nil:
		return nil, nil, err
	case refused != nil:
		if s.record(ctx, approval.KindBlocked, first.decision, first.text) != nil {
			refused = notOnRecord(first.decision, first.decided)
		}
		return nil, refused, nil
	}
	w, err := s.p.c.Approvals.Open(ctx, ask)
	if err == nil && first.measured != nil {
		w, err = s.reopened(ctx, w, ask, first.measured)
	}
	switch {
	case errors.Is(err, approval.ErrNobody):
		if s.record(ctx, approval.KindBlocked, first.decision, ask.Statement) != nil {
			return nil, notOnRecord(first.decision, first.decided), nil
		}
		return nil, nobodyMayApprove(first.decision, first.decided, ask.Login, err), nil
	case err != nil:
		s.p.c.Log.Error("request not opened", zap.String("session", s.id), zap.Error(err))
		return nil, notOnRecord(first.decision, first.decided), nil
	}
	defer w.Release()
	if ask.Locks != nil && !bytes.Equal(ask.Locks, w.Request().Locks) { // it has joined a request
		s.tellLocks(ctx, w, ask.Locks)
	}
	defer func() {
		if r := recover(); r != nil { // nobody is left for whom it could run
			if err := w.Withdraw(ctx, "an internal error ended the session"); err != nil {
				s.p.c.Log.Error("request not withdrawn", zap.Int64("request", w.Request().ID), zap.Error(err))
			}
			panic(r)
		}
	}()
	s.mu.Lock()
	h.request = w.Request().ID
	s.mu.Unlock()
	select {
	case <-w.Settled(): // approved before: this is the same statement sent again
		return s.release(ctx, w, first)
	default:
	}
	if s.ticketOnly() {
		return s.becomesTicket(ctx, w, first, func(r approval.Request) *refusal {
			return ticketOpened(r, subject(first.decided), s.approvers(r), s.p.c.Where, s.p.c.Approvals.Window())
		})
	}
	return s.wait(ctx, h, w, first)
}

// reopened lets a request that was opened for less than was measured now be, and
// opens or joins the one for these numbers.
func (s *session) reopened(ctx context.Context, w *approval.Waiter, a approval.Ask, now *policy.Impact) (*approval.Waiter, error) {
	shown, err := impactOf(w.Request())
	if err == nil && coveredBy(now, shown) {
		return w, nil
	}
	w.Release()
	if err != nil {
		return nil, err
	}
	a.ParameterHash = append(a.ParameterHash, a.Measured...)
	return s.p.c.Approvals.Open(ctx, a)
}

// ticketOnly reports whether what is held cannot wait on the wire: its rule says
// so, no time is given, or part of its batch is on the server, where
// statement_timeout goes on and locks are held.
func (s *session) ticketOnly() bool {
	for _, h := range s.toServer.held {
		if h.ticket || h.decision.Verdict == policy.Ticket {
			return true
		}
	}
	return s.p.c.MaxWait <= 0 || s.toServer.batchSent
}

// becomesTicket ends the wait and leaves the request to be approved, for the
// same statement sent again.
func (s *session) becomesTicket(ctx context.Context, w *approval.Waiter, first held, say func(approval.Request) *refusal) (*approval.Grant, *refusal, error) {
	if err := s.letGo(first); err != nil {
		return nil, nil, errors.Join(err, w.Withdraw(ctx, "the session ended"))
	}
	if first.atCommit > 0 {
		s.tellLocks(ctx, w, nil)
	}
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer done()
	if err := w.Ticket(ctx); err != nil {
		s.p.c.Log.Error("hold not turned into a ticket", zap.Int64("request", w.Request().ID), zap.Error(err))
		return nil, notOnRecord(first.decision, first.decided), nil
	}
	return nil, say(w.Request()), nil
}

// wait keeps the client waiting on the wire. The transaction on the server, if
// there is one, is the client's own; nothing of the held batch has been sent.
func (s *session) wait(ctx context.Context, h *hold, w *approval.Waiter, first held) (*approval.Grant, *refusal, error) {
	// What was sent before must have been answered: the server is at a
	// ReadyForQuery, and the notices below stand between whole messages.
	settled, err := s.settle()
	if err == nil && !settled {
		err = errors.New("the server is not ready for a query, so nothing can be held")
	}
	if err != nil {
		return nil, nil, errors.Join(err, w.Withdraw(ctx, "the session ended"))
	}
	began := time.Now()
	heard := began // of the server
	giveUpAfter(s.client, silence)
	defer giveUpAfter(s.client, 0)
	r := w.Request()
	most, look := s.maxWait(first), keepAlive
	if first.atCommit > 0 {
		look = lookAtLocks
		s.tell(heldAtCommitNotice(r, subject(first.decided), s.approvers(r), s.p.c.Where, most))
	} else {
		s.tell(heldNotice(r, subject(first.decided), s.approvers(r), s.p.c.Where, most))
	}

	ahead := s.lookAhead()
	defer ahead.stop(s)
	limit := time.NewTimer(most)
	defer limit.Stop()
	reminder := time.NewTicker(remind)
	defer reminder.Stop()
	alive := time.NewTicker(look)
	defer alive.Stop()

	withdraw := func(why string) error {
		if err := s.letGo(first); err != nil { // the end of the session will
			s.p.c.Log.Warn("not rolled back", zap.String("session", s.id), zap.Error(err))
		}
		ctx, done := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
		defer done()
		err := w.Withdraw(ctx, why)
		if err != nil {
			s.p.c.Log.Error("request not withdrawn", zap.Int64("request", r.ID), zap.Error(err))
		}
		return err
	}
	cancelled := func() (*approval.Grant, *refusal, error) {
		if withdraw("cancelled by the client") != nil {
			return nil, notOnRecord(first.decision, first.decided), nil
		}
		return nil, cancelledByUser(first.decision.ID(), h.request), nil
	}
	for {
		select {
		case <-ahead.left:
			why := "the client left"
			if s.hasEnded() { // it has heard so
				why = "the server ended the session"
			}
			withdraw(why) //nolint:errcheck // logged there; the session ends either way
			return nil, nil, errClientLeft
		case <-s.gone:
			withdraw("the server ended the session") //nolint:errcheck // logged there; the session ends either way
			return nil, nil, io.EOF
		case <-h.cancelled:
			return cancelled()
		case <-ahead.full:
			return s.becomesTicket(ctx, w, first, func(r approval.Request) *refusal {
				return tooMuchWhileHeld(r, s.p.c.Where, s.p.c.Approvals.Window())
			})
		case <-limit.C:
			return s.becomesTicket(ctx, w, first, func(r approval.Request) *refusal {
				return waitedTooLong(r, s.p.c.Where, s.p.c.Approvals.Window())
			})
		case <-s.p.draining:
			return s.becomesTicket(ctx, w, first, func(r approval.Request) *refusal {
				return drained(r, s.p.c.Where, s.p.c.Approvals.Window())
			})
		case <-w.Settled():
			// Whoever left or cancelled by now must not have it run for nobody.
			ahead.stop(s)
			select {
			case <-ahead.left:
				continue
			case <-s.gone:
				continue
			case <-h.cancelled:
				continue
			default:
			}
			return s.release(ctx, w, first)
		case <-reminder.C:
			s.tell(stillHeldNotice(r, s.approvers(w.Request()), s.p.c.Where, time.Since(began)))
		case <-alive.C:
			if first.atCommit > 0 {
				err := s.showLocks(ctx, w)
				if errors.Is(err, errCancelled) {
					return cancelled()
				}
				if err != nil {
					withdraw("the server ended the session") //nolint:errcheck // logged there; the session ends either way
					return nil, nil, err
				}
				continue
			}
			answered, err := s.sayAlive()
			if answered {
				heard = time.Now()
			} else if err == nil && time.Since(heard) >= silence {
				err = serverSilent()
			}
			if err != nil {
				withdraw("the server ended the session") //nolint:errcheck // logged there; the session ends either way
				return nil, nil, err
			}
		}
	}
}

// endHold ends what a CancelRequest can reach. It reports whether one came
// first.
func (s *session) endHold(h *hold) (cancelled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding = nil
	return h.once
}

// hasEnded reports whether the server has said that it ends the session.
func (s *session) hasEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// cancelled reports whether the client has cancelled what is held.
func (s *session) cancelled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holding != nil && s.holding.once
}

// cancelHold withdraws what is held, if anything is. It reports whether it did.
func (s *session) cancelHold() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.holding
	if h == nil {
		return false
	}
	if !h.once {
		h.once = true
		close(h.cancelled)
	}
	return true
}

// release takes the grant of a request that has been decided, if the policy
// still lets it.
func (s *session) release(ctx context.Context, w *approval.Waiter, first held) (*approval.Grant, *refusal, error) {
	if s.p.c.Policy().Hash() != w.Request().PolicyHash {
		if err := w.Withdraw(ctx, "the policy has changed"); err != nil {
			return nil, notOnRecord(first.decision, first.decided), nil
		}
		return nil, s.judgedAnew(), nil
	}
	grant, err := w.Use(ctx)
	var not *approval.ErrNotApproved
	switch {
	case err == nil:
		return grant, nil, nil
	case errors.As(err, &not) && not.State == approval.Denied:
		return nil, denied(w.Request()), nil
	case errors.As(err, &not):
		return nil, ended(w.Request()), nil
	}
	s.p.c.Log.Error("grant not taken", zap.Int64("request", w.Request().ID), zap.Error(err))
	return nil, notOnRecord(first.decision, first.decided), nil
}

// judgedAnew is what the client is told when the policy has changed while its
// batch was held: the new one may stop more of it than the old one did.
func (s *session) judgedAnew() *refusal {
	t := &s.toServer
	for _, h := range t.held {
		if h.measured != nil {
			continue
		}
		if j := s.judgeEach(h.all, h.now); j.Verdict == policy.Block {
			return blocked(j.Decision, j.facts)
		}
	}
	return policyChanged(t.held[0].decision, t.held[0].decided)
}

// tell writes a message of the proxy's own to the client. If that fails the
// client's side will say so by itself.
func (s *session) tell(frame []byte) {
	if !s.clientWrite.TryLock() {
		return // the client does not read what it was sent before: this can wait
	}
	defer s.clientWrite.Unlock()
	if err := s.client.SetWriteDeadline(time.Now().Add(recordTimeout)); err != nil {
		return
	}
	if _, err := s.client.Write(frame); err != nil {
		s.client.Close()
		return
	}
	if err := s.client.SetWriteDeadline(time.Time{}); err != nil {
		s.client.Close()
	}
}

// sayAlive sends a Sync of the proxy's own; its answer is swallowed. It reports
// whether the one before has been answered.
func (s *session) sayAlive() (answered bool, err error) {
	s.mu.Lock()
	answered = s.q.empty()
	if answered {
		s.q.sentOne(owed{sent: 'S', for_: swallow})
	}
	s.mu.Unlock()
	if !answered {
		return false, nil
	}
	if _, err := s.server.Write([]byte{'S', 0, 0, 0, 4}); err != nil {
		return true, fmt.Errorf("write to server: %w", err)
	}
	return true, nil
}

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

// The commit gate: before what a transaction did becomes permanent, the server is
// asked what that was, and the policy whether it may. The statement gate judges
// what a statement looks like; only here it is known what it was.

// A verdictOf is what the commit gate makes of a transaction.
type verdictOf struct {
	policy.Decision
	waits  []waiting
	impact *policy.Impact // all that the transaction did
}

// begin opens a transaction block around what the client sends next.
func (s *session) begin() error {
	_, err := s.put(execution(nil, "BEGIN", nil))
	return err
}

// commit ends it. The ErrorResponse is that of a commit that failed.
func (s *session) commit() (failure []byte, err error) {
	_, err = s.put(execution(nil, "COMMIT", nil))
	return failureOf(err)
}

// rollback takes back what the transaction did. A server that does not do so has
// ended the session.
func (s *session) rollback() error {
	if _, err := s.put(execution(nil, "ROLLBACK", nil)); err != nil {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}

// failureOf takes the server's own error, which is the client's, out of err.
func failureOf(err error) ([]byte, error) {
	var failed *questionFailed
	switch {
	case errors.As(err, &failed):
		return failed.frame, nil
	case errors.Is(err, errCancelled):
		return cancelledByUser("", 0).frame("ERROR"), nil
	}
	return nil, err
}

// measured asks the server what the open transaction has done so far, and the
// policy what it makes of that. Before a commit, what is deferred to it is done
// first: it would be done behind the measurement otherwise. A failure of that is
// the client's, as it would have been at its commit.
func (s *session) measured(ending bool) (v verdictOf, failure []byte, err error) {
	t := &s.toServer
	var messages []byte
	closes := 2
	if ending {
		messages, closes = execution(nil, "SET CONSTRAINTS ALL IMMEDIATE", nil), 4
	}
	messages = execution(messages, impact.MeasureSQL, nil)
	var rows [][]byte
	if t.batchSent {
		rows, err = s.inOpenBatch(messages, closes, true)
	} else {
		rows, err = s.put(messages)
	}
	if failure, err = failureOf(err); failure != nil || err != nil {
		return v, failure, err
	}
	if len(rows) != 1 {
		return v, nil, fmt.Errorf("ask what the transaction did: %d rows", len(rows))
	}
	m, err := impact.DecodeMeasurement(rows[0])
	if err != nil {
		return v, nil, err
	}
	v.impact = t.work.impact(m)
	left := v.impact
	switch {
	case t.work.exact && within(v.impact, &t.work.approved):
		left = &policy.Impact{}
	case t.work.exact: // what people saw is all that they approved
	default:
		left = beyond(v.impact, &t.work.approved)
	}
	pol := s.p.c.Policy()
	t.session.Now = time.Now()
	v.Decision = pol.DecideImpact(&t.session, left)
	for _, d := range pol.WaitingImpact(&t.session, left) {
		v.waits = append(v.waits, waiting{d, t.work.about()})
	}
	return v, nil, nil
}

// impact is a measurement in the policy's words.
func (w *work) impact(m *impact.Measurement) *policy.Impact {
	i := &policy.Impact{Unmeasured: m.Unmeasured}
	for _, t := range m.Tables {
		i.Add(&policy.Impact{Tables: []policy.TableImpact{{
			Table:    policy.Table{Schema: t.Schema, Name: t.Name, Temporary: t.Temporary},
			Inserted: t.Inserted, Updated: t.Updated, Deleted: t.Deleted,
			Locked: t.Exclusive && !w.locked(t.Schema, t.Name), Rows: t.Rows,
		}}})
	}
	return i
}

// about is the statement that messages are about.
func (w *work) about() *policy.Facts {
	if w.facts != nil {
		return w.facts
	}
	return &policy.Facts{Class: "commit", Actions: []policy.Action{{Class: "commit"}}}
}

// over asks for the approval of what a transaction did, which has been rolled
// back or is about to be. It returns a grant, or stages the refusal.
func (s *session) over(ctx context.Context, sent byte, v verdictOf, again bool) (granted bool, err error) {
	t := &s.toServer
	g := gated{sent: sent, text: t.work.statement()}
	about := t.work.about()
	if v.Verdict == policy.Block {
		return false, s.refuseRecorded(ctx, g, judgement{Decision: v.Decision, facts: about}, blocked(v.Decision, about).tookBack(v.impact))
	}
	t.held = append(t.held, held{
		gated: g, decision: v.Decision, decided: about, waits: v.waits,
		now: t.now, at: len(t.out), measured: v.impact, ticket: !again,
	})
	before := len(t.grants)
	if err := s.decideHeld(ctx); err != nil {
		return false, err
	}
	if len(t.grants) == before {
		return false, nil
	}
	grant := t.grants[before]
	t.grants = t.grants[:before]
	t.work.grants = append(t.work.grants, grant)
	approved, err := impactOf(grant.Request())
	if err != nil {
		return false, err
	}
	t.work.approved, t.work.exact = *approved, true
	return true, nil
}

// impactOf is what the people who approved a request were shown.
func impactOf(r approval.Request) (*policy.Impact, error) {
	i := &policy.Impact{}
	if len(r.Measured) == 0 {
		return i, nil
	}
	if err := json.Unmarshal(r.Measured, i); err != nil {
		return nil, fmt.Errorf("read what was approved with request %d: %w", r.ID, err)
	}
	return i, nil
}

// warnOver tells the client, on record, that a rule has something against what it
// did.
func (s *session) warnOver(ctx context.Context, v verdictOf) (*refusal, error) {
	t := &s.toServer
	if v.Verdict != policy.Warn {
		return nil, nil
	}
	if err := s.record(ctx, approval.KindWarned, v.Decision, t.work.statement()); err != nil {
		return notOnRecord(v.Decision, t.work.about()).tookBack(v.impact), nil
	}
	return nil, s.toClient(warned(v.Decision, t.work.about()))
}

// settleWork notes how what ran on grants has ended.
func (s *session) settleWork(ctx context.Context, state approval.State, outcome string) {
	t := &s.toServer
	for _, g := range t.work.grants {
		s.finish(context.WithoutCancel(ctx), finished{g, state, outcome})
	}
	t.work = work{}
}

// unseen says in the log what must not happen: something was committed that the
// commit gate has not seen.
func (s *session) unseen(why string) {
	s.p.c.Log.Error("committed without having been measured", zap.String("session", s.id), zap.String("why", why))
}

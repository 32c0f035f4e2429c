package proxy

import (
	"regexp"

	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/zap"

	"github.com/pgsluice/pgsluice/policy"
)

// pgAdmin's stop button, and people, cancel with SELECT pg_cancel_backend(pid) on
// another connection. To the server a held session is idle, and the signal does
// nothing; it has to end the hold. Who may send it is for the server to say: it
// counts when the server has answered true. Said to the server directly it is not
// seen here; pg_terminate_backend is, wherever it comes from, since it ends the
// server's side of the session. Nor is a parameter in binary of which the client has
// not named the type.

// cancelCall is the statement, and nothing but it: of any other, true could mean
// something else, and no privilege would have been checked.
var cancelCall = regexp.MustCompile(`(?i)^\s*select\s+(pg_catalog\.)?pg_cancel_backend\s*\(\s*(\d+|\$1)(::int[48]?(eger)?)?\s*\)\s*;?\s*$`)

// cancels is the process ID that a statement of this text cancels; 0 if it is not
// that statement.
func cancels(text string, facts []*policy.Facts) uint32 {
	if len(facts) != 1 || len(facts[0].Signals) != 1 || facts[0].Signals[0] <= 0 || !cancelCall.MatchString(text) {
		return 0
	}
	return uint32(facts[0].Signals[0])
}

// signals reports whether the next row is the answer of a pg_cancel_backend. The
// caller holds mu.
func (s *session) signals() bool {
	first := s.q.first()
	return first != nil && first.owedMore != nil && first.cancels != 0
}

// signalAnswered takes that row, one column: t, or 1 in binary. The caller holds
// mu.
func (s *session) signalAnswered(r *serverReader, frame []byte) error {
	o, _, err := s.q.answered('D')
	if err != nil {
		return err
	}
	var row pgproto3.DataRow
	if err := row.Decode(frame[headerLen:]); err != nil || len(row.Values) != 1 {
		return errShort
	}
	if v := string(row.Values[0]); v == "t" || v == "\x01" {
		r.signalled = append(r.signalled, o.cancels)
	}
	return nil
}

// withdrawSignalled ends the holds of sessions that the server has let this one
// cancel. It takes their locks, so the caller holds none.
func (s *session) withdrawSignalled(r *serverReader) {
	for _, pid := range r.signalled {
		s.p.mu.Lock()
		target := s.p.cancels[pid]
		s.p.mu.Unlock()
		if target != nil && target.cancelHold() {
			s.p.c.Log.Info("hold ended by pg_cancel_backend of another session",
				zap.String("session", target.id), zap.String("by", s.id))
		}
	}
	r.signalled = r.signalled[:0]
}

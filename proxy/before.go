package proxy

import (
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/pgsluice/pgsluice/proxy/impact"
)

// What code has dropped has no name any more when the transaction is measured. So a
// look at what there is is opened in the transaction before code runs in it, and read
// if something is gone then. It takes a snapshot: not in front of SET TRANSACTION, nor,
// in a transaction with one snapshot for all, of LOCK TABLE. A statement that calls code
// takes its own at once.

// opening are the messages that open it.
func opening(b []byte) []byte {
	return execution(execution(b, impact.BeforeSQL, nil), impact.OpenedSQL, nil)
}

// openBefore opens it in the client's transaction block. Where that fails, what is
// gone stays without a name.
func (s *session) openBefore(p *piece) error {
	w := &s.toServer.work
	if !w.calls || w.looked || w.unlooked || !p.takesLook() {
		return nil
	}
	w.looked = true
	messages := execution(opening(execution(nil, "SAVEPOINT "+askSavepoint, nil)), "RELEASE SAVEPOINT "+askSavepoint, nil)
	rows, err := s.put(messages)
	if err != nil && (errors.Is(err, errFailed) || errors.Is(err, errCancelled)) {
		s.p.c.Log.Debug("nothing is known of what there is before code runs", zap.String("session", s.id), zap.Error(err))
		back := execution(nil, "ROLLBACK TO SAVEPOINT "+askSavepoint, nil)
		_, err = s.put(execution(back, "RELEASE SAVEPOINT "+askSavepoint, nil))
	}
	w.opened = rows
	return err
}

// named gives what is gone its names, and says of the rest that it was not there.
func (s *session) named(m *impact.Measurement) (*impact.Measurement, error) {
	w := &s.toServer.work
	gone := m.Gone()
	if len(gone) == 0 || s.toServer.batchSent {
		return m, nil
	}
	if len(w.opened) == 1 {
		opened := string(w.opened[0])
		w.opened = nil // it can be read once
		var messages []byte
		for _, sql := range impact.OfBefore(gone) {
			messages = execution(messages, sql, nil)
		}
		rows, err := s.putApart('T', messages)
		if err == nil {
			w.before, err = impact.DecodeBefore(rows, opened, gone)
		} else if !errors.Is(err, errFailed) && !errors.Is(err, errCancelled) {
			return nil, fmt.Errorf("ask what there was before: %w", err)
		}
		if err != nil {
			s.p.c.Log.Warn("what is gone has no name", zap.String("session", s.id), zap.Error(err))
		}
	}
	if w.before == nil {
		return m, nil
	}
	return m.With(w.before), nil
}

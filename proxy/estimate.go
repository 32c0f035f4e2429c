package proxy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/proxy/impact"
)

// A statement that a rule of numbers could stop is shown to the planner before it
// runs, so that a DELETE of millions of rows need not run to be stopped. The planner
// runs code: functions that are said to be immutable, those behind a view or an
// index. So it is asked within a read-only transaction of the proxy's own, or within
// a savepoint that is made read-only, and that is rolled back, with the locks that it
// took. What the planner expects may stop a statement. It never lets one pass: a low
// estimate is worth nothing.

const (
	// The proxy's own questions wait no longer for locks. How long they run is
	// bounded by askLimit: statement_timeout could not be told from a cancel of the
	// client's.
	lockTimeout  = "SET LOCAL lock_timeout = '1s'"
	planReadOnly = "SET LOCAL transaction_read_only = on"

	// maxCountCost is up to what cost a high estimate is looked into by counting the
	// rows: the planner guesses at half of the table where it does not understand
	// the WHERE.
	maxCountCost = 50_000

	// fewPart is the part of dry_run.rows up to which an expectation is few rows:
	// statements that differ from that one only in constants are not shown to the
	// planner for as long as the catalogue is kept. One that is unlike it runs, is
	// measured, and is taken back.
	fewPart = 10
)

// bound are the values that a statement will be run with, as the client sent them.
type bound struct {
	types  []byte // of the Parse: their number, and OIDs
	values []byte // of the Bind, without what it says of results
}

// boundAs cuts what a Bind says of results off its values. It reports false for a
// message that is no Bind.
func boundAs(types, values []byte) (bound, bool) {
	formats, rest, ok := int16s(values)
	if !ok || len(rest) < 2 {
		return bound{}, false
	}
	size := 2 + 2*len(formats) + 2
	if !eachValue(values, func(_ int, value []byte, _ int16) { size += 4 + len(value) }) || size > len(values) {
		return bound{}, false
	}
	if len(types) == 0 {
		types = []byte{0, 0}
	}
	return bound{types, values[:size]}, true
}

// unbound is for a statement without parameters.
var unbound = bound{types: []byte{0, 0}, values: []byte{0, 0, 0, 0}}

// estimates reports whether the planner should be asked about any of the statements.
func (s *session) estimates(alternatives [][]*policy.Facts) bool {
	t := &s.toServer
	if t.batchSent || t.now == broken {
		return false
	}
	pol := s.p.c.Policy()
	for _, facts := range alternatives {
		if slices.ContainsFunc(facts, func(f *policy.Facts) bool { return pol.NeedsEstimate(&t.session, f) && !t.expectsFew(f) }) {
			return true
		}
	}
	return false
}

// expectsFew reports whether the planner has lately expected few rows of a statement
// like this.
func (t *stage) expectsFew(f *policy.Facts) bool {
	if len(t.few) == 0 {
		return false
	}
	since, ok := t.few[policy.SameButConstants(f.Text)]
	return ok && time.Since(since) <= catalogKept
}

// keepExpected notes what the planner has expected.
func (s *session) keepExpected(f *policy.Facts, expected *policy.Impact) {
	t := &s.toServer
	if expected.Rows() > s.p.c.DryRun.Rows/fewPart {
		return
	}
	if t.few == nil || len(t.few) >= maxCatalogs {
		t.few = map[string]time.Time{}
	}
	t.few[policy.SameButConstants(f.Text)] = time.Now()
}

// estimate adds to the facts what the planner expects, where a rule asks for it. The
// caller has settled the session. A server that does not answer leaves the statements
// as they are: what they do is measured before it is committed.
func (s *session) estimate(g gated, alternatives [][]*policy.Facts) ([][]*policy.Facts, error) {
	if !s.estimates(alternatives) {
		return alternatives, nil
	}
	if free, err := s.takesSnapshots(alternatives); err != nil || !free {
		return alternatives, err
	}
	pol := s.p.c.Policy()
	estimated := make([][]*policy.Facts, len(alternatives))
	for i, facts := range alternatives {
		estimated[i] = slices.Clone(facts)
		for k, f := range facts {
			if !pol.NeedsEstimate(&s.toServer.session, f) || s.toServer.expectsFew(f) {
				continue
			}
			with := unbound
			if g.bound != nil {
				var ok bool
				if with, ok = g.bound(i); !ok {
					continue // the server answers 08P01
				}
			}
			expected, err := s.expect(f, with)
			if err != nil {
				return nil, err
			}
			// What can be run to see what it does need not be stopped for what the
			// planner thinks.
			if expected == nil {
				continue
			}
			s.keepExpected(f, expected)
			if expected.Rows() > s.p.c.DryRun.Rows {
				estimated[i][k] = f.WithImpact(expected)
			}
		}
	}
	return estimated, nil
}

// expect gives what the catalogue or the planner expects of one statement, or nil.
func (s *session) expect(f *policy.Facts, with bound) (*policy.Impact, error) {
	if i := f.EstimateByKeys(); i != nil {
		return i, nil
	}
	if !s.canSend(f.Text) {
		return nil, nil
	}
	messages := executionWith(nil, impact.ExplainSQL(f.Text), with)
	rows, err := s.rolledBack(execution(messages, impact.SizesSQL, impact.SizesParameters(f)), 2)
	if rows == nil {
		return nil, err
	}
	expected, cost, err := impact.DecodeEstimate(f, rows[0], rows[1])
	if err != nil {
		s.p.c.Log.Error("the planner's answer cannot be read", zap.String("session", s.id), zap.Error(err))
		return nil, nil
	}
	t := &s.toServer
	if cost > maxCountCost || s.p.c.Policy().DecideImpact(&t.session, expected).Verdict == policy.Allow {
		return expected, nil
	}
	sql, table := f.CountSQL()
	if sql == "" || !s.canSend(sql) {
		return expected, nil
	}
	rows, err = s.rolledBack(executionWith(nil, sql, with), 1)
	if rows == nil {
		return expected, err
	}
	n, err := strconv.ParseInt(string(rows[0]), 10, 64)
	if err != nil {
		return expected, nil
	}
	return f.Counted(expected, table, n), nil
}

// rolledBack runs questions with so many rows for an answer, read-only and with
// limits of their own, and leaves nothing behind. It gives no rows where the server
// does not answer.
func (s *session) rolledBack(questions []byte, answers int) ([][]byte, error) {
	s.mu.Lock()
	status, ready := s.tx, !s.q.skipping && s.question == nil
	s.mu.Unlock()
	if !ready || status != 'I' && status != 'T' || s.toServer.batchSent {
		return nil, nil
	}
	begin, back := []string{"BEGIN READ ONLY"}, []string{"ROLLBACK"}
	if status == 'T' {
		begin = []string{"SAVEPOINT " + askSavepoint, planReadOnly}
		back = []string{"ROLLBACK TO SAVEPOINT " + askSavepoint, "RELEASE SAVEPOINT " + askSavepoint}
	}
	var messages, undo []byte
	for _, sql := range append(begin, lockTimeout) {
		messages = execution(messages, sql, nil)
	}
	messages = append(messages, questions...)
	for _, sql := range back {
		undo = execution(undo, sql, nil)
	}
	rows, err := s.put(append(messages, undo...))
	if err != nil && (errors.Is(err, errFailed) || errors.Is(err, errCancelled)) {
		if _, again := s.put(undo); again != nil {
			return nil, fmt.Errorf("go back to before the planner was asked: %w", errors.Join(again, err))
		}
	}
	switch {
	case errors.Is(err, errFailed): // as the statement itself will, most likely
		s.p.c.Log.Debug("the planner did not answer", zap.String("session", s.id), zap.Error(err))
		return nil, nil
	case err != nil:
		return nil, err
	case len(rows) != answers:
		return nil, fmt.Errorf("ask the planner: %d rows: %w", len(rows), io.ErrUnexpectedEOF)
	}
	return rows, nil
}

// executionWith is execution with the client's own values.
func executionWith(b []byte, sql string, with bound) []byte {
	b = closeAsked(b)
	b = appendFrame(b, 'P', func(b []byte) []byte {
		return append(appendCString(appendCString(b, askName), sql), with.types...)
	})
	b = appendFrame(b, 'B', func(b []byte) []byte {
		b = appendCString(appendCString(b, askName), askName) // portal, statement
		return binary.BigEndian.AppendUint16(append(b, with.values...), 0)
	})
	return executed(b)
}

package proxy

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/proxy/impact"
)

// What a read hides: the text of SELECT * FROM v does not show that v calls code. So
// where transactions are measured, the catalogue is asked once what stands behind the
// names of a statement that would not be measured by its text, and the answer is kept
// for catalogKept. A statement that hides code is judged by its text all the same, and
// then measured, as one that calls a function by its name is.
//
// Where nothing can be asked, or the names may mean something else by the time the
// statement runs, it counts as one that hides code. What remains: over a replication
// connection nothing can be asked or measured; a view that another session replaces is
// believed for catalogKept; and a statement that is measured anyway is not asked about,
// though code behind it could change what names mean.

// maxLooks bounds how many statements are known to hide code, or not to.
const maxLooks = 512

// A look is an answer of the catalogue about names that could hide code.
type look struct {
	hides bool
	since time.Time
}

// mayHide reports whether any of the statements may hide code, so that it has to be
// asked whether it does.
func (s *session) mayHide(alternatives [][]*policy.Facts) bool {
	t := &s.toServer
	pol := s.p.c.Policy()
	if t.now == broken || s.start.wantsReplication() || !pol.Measures() {
		return false
	}
	for _, facts := range alternatives {
		moved := t.batchMoves
		for _, f := range facts {
			if s.looks(pol, f) && (moved || !s.looksPlain(f)) {
				return true
			}
			moved = moved || t.moves(f)
		}
	}
	return false
}

// looks reports whether it matters what a statement hides.
func (s *session) looks(pol *policy.Policy, f *policy.Facts) bool {
	_, key := f.Hiding()
	return key != "" && !f.Hides() && !f.TakenBack && !pol.NeedsImpact(&s.toServer.session, f)
}

// looksPlain reports whether the catalogue has said lately that a statement hides no
// code.
func (s *session) looksPlain(f *policy.Facts) bool {
	_, key := f.Hiding()
	l, ok := s.toServer.looks[key]
	return ok && !l.hides && s.toServer.session.Now.Sub(l.since) <= catalogKept
}

// moves reports whether names may mean something else behind a statement.
func (t *stage) moves(f *policy.Facts) bool {
	switch f.Transaction {
	case policy.TransactionNone:
		return !plainRows(f)
	case policy.TransactionBegin, policy.TransactionSavepoint:
		return false
	}
	return t.namesMoved
}

// seeThrough says in the facts which of the statements hide code, and asks the server
// where it can be asked. Settled is as in informed.
func (s *session) seeThrough(g gated, all [][]*policy.Facts, settled bool) ([][]*policy.Facts, error) {
	t := &s.toServer
	pol := s.p.c.Policy()
	seen := make([][]*policy.Facts, len(all))
	for i, facts := range all {
		moved := t.batchMoves
		for _, f := range facts {
			if s.looks(pol, f) {
				hides := true
				if !moved {
					var err error
					if hides, err = s.looksBehind(f, settled); err != nil {
						return nil, err
					}
				}
				if hides {
					f = f.HidingCode(g.text)
				}
			}
			moved = moved || t.moves(f)
			seen[i] = append(seen[i], f)
		}
	}
	return seen, nil
}

// looksBehind reports whether a statement hides code, as far as that can be told now.
func (s *session) looksBehind(f *policy.Facts, settled bool) (hides bool, err error) {
	t := &s.toServer
	names, key := f.Hiding()
	if l, ok := t.looks[key]; ok && time.Since(l.since) <= catalogKept {
		return l.hides, nil
	}
	if !settled || t.batchSent {
		return true, nil
	}
	for _, n := range names {
		if !s.canSend(n.Schema + n.Name) {
			return true, nil
		}
	}
	if free, err := s.takesSnapshots([][]*policy.Facts{{f}}); err != nil || !free {
		return true, err
	}
	parameters := impact.CatalogParameters(names)
	rows, err := s.inquire(impact.HiddenSQL, parameters)
	if err == nil && len(rows) == 1 && string(rows[0]) == "behind" {
		rows, err = s.inquire(impact.HiddenBehindSQL, parameters)
	}
	switch {
	case errors.Is(err, errNotNow):
		return true, nil
	case errors.Is(err, errFailed):
		s.p.c.Log.Warn("the catalogue did not answer", zap.String("session", s.id), zap.Error(err))
		return true, nil
	case err != nil:
		return true, err
	case len(rows) != 1:
		return true, fmt.Errorf("ask what a statement hides: %d rows: %w", len(rows), io.ErrUnexpectedEOF)
	}
	if t.looks == nil || len(t.looks) >= maxLooks {
		t.looks = map[string]look{}
	}
	l := look{string(rows[0]) != "false", time.Now()}
	t.looks[strings.Clone(key)] = l
	return l.hides, nil
}

// askEarly asks about a statement that is about to be prepared: when it is bound, part
// of the batch may be on the server, and nothing can be asked.
func (s *session) askEarly(st *statement) error {
	all := [][]*policy.Facts{st.facts}
	t := &s.toServer
	t.session.Now = time.Now()
	if t.batchSent || !s.mayHide(all) {
		return nil
	}
	settled, err := s.settle()
	if !settled || err != nil {
		return err
	}
	if !t.executed() {
		t.now = s.transaction(true)
	}
	_, err = s.seeThrough(gated{}, all, settled)
	if errors.Is(err, errCancelled) { // there is nothing of the client's to cancel yet
		return nil
	}
	return err
}

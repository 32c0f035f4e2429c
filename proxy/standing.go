package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/pgsluice/pgsluice/policy"
)

// Standing grants at the commit gate. What a transaction did on a grant is excused
// only where it is known to be that: all that it did, if nothing else in it changes
// anything, or what was measured before and behind the statement. What cannot be
// told apart is charged to each grant that let some of it through, and is judged by
// every rule all the same.

// A standing is the grant that lets a statement through.
type standing struct {
	rule    *policy.Rule
	certain bool // whatever state the transaction is in
}

// stands notes which grant lets a statement through in one of the states that the
// transaction may be in.
func (j *judgement) stands(f *policy.Facts, r *policy.Rule, first bool) {
	before, noted := j.standing[f]
	switch {
	case r == nil && !noted:
	case r == nil:
		j.standing[f] = standing{before.rule, false}
	default:
		if j.standing == nil {
			j.standing = map[*policy.Facts]standing{}
		}
		j.standing[f] = standing{r, first || before.certain && before.rule == r}
	}
}

// A portion is what standing grants let through of a batch or of a transaction.
type portion struct {
	by     map[*policy.Facts]standing
	rules  []*policy.Rule // each once
	others bool           // it changes something that none of them let through for certain

	// unrun are portals of it that may do something yet, when the batch has ended.
	unrun map[string]bool
}

// add notes a statement that may change something. asked is true where people
// answer for it.
func (p *portion) add(f *policy.Facts, g standing, asked bool) {
	if g.rule == nil || asked {
		p.others = p.others || asked || !f.ChangesNothing()
		return
	}
	if p.by == nil {
		p.by = map[*policy.Facts]standing{}
	}
	p.by[f] = g
	p.others = p.others || !g.certain
	if !slices.Contains(p.rules, g.rule) {
		p.rules = append(p.rules, g.rule)
	}
}

// bound notes the portal of a Bind.
func (p *portion) bound(frame []byte) {
	if p.unrun == nil {
		p.unrun = map[string]bool{}
	}
	if portal, _, err := cstring(frame[headerLen:]); err == nil {
		p.unrun[string(portal)] = true
	}
}

// executed notes an Execute. One without a limit of rows runs its portal to the end.
func (p *portion) executed(frame []byte) {
	if portal, limit, err := cstring(frame[headerLen:]); err == nil && len(limit) == 4 && binary.BigEndian.Uint32(limit) == 0 {
		delete(p.unrun, string(portal))
	}
}

// stands notes a statement that may change something in the open batch.
func (t *stage) stands(f *policy.Facts, g standing, asked bool) {
	t.standing.add(f, g, asked)
	t.work.stands(f, g, asked)
}

func (w *work) stands(f *policy.Facts, g standing, asked bool) {
	w.standing.add(f, g, asked)
	if g.rule != nil && !asked {
		w.loose = append(w.loose[:len(w.loose):len(w.loose)], g.rule)
	}
}

// sole is the grant that let all of the portion through, or nil.
func (p *portion) sole() *policy.Rule {
	if p.others || len(p.rules) != 1 {
		return nil
	}
	return p.rules[0]
}

// A part is what was measured apart. Once people have approved all that was done up
// to a statement it needs no excuse.
type part struct {
	policy.Granted
	answered bool
}

// granted are the parts of what the transaction did that grants excuse.
func (w *work) granted(i *policy.Impact) []policy.Granted {
	if r := w.standing.sole(); r != nil {
		return []policy.Granted{{Rule: r, Impact: i}}
	}
	var all []policy.Granted
	for _, p := range w.parts {
		if !p.answered {
			all = append(all, p.Granted)
		}
	}
	return all
}

// shown reports whether people have seen the numbers of all that the transaction did,
// but for what was done on grants since.
func (w *work) shown(i *policy.Impact) bool {
	for _, p := range w.parts {
		if !p.answered {
			i = i.Less(p.Impact)
		}
	}
	return w.exact && coveredBy(i, &w.approved)
}

// onGrants is what grants are charged with: nothing of what people have seen.
func (w *work) onGrants(i *policy.Impact, seen bool) []policy.Granted {
	if seen {
		var all []policy.Granted
		for _, p := range w.parts {
			if !p.answered {
				all = append(all, p.Granted)
			}
		}
		return all
	}
	if r := w.standing.sole(); r != nil {
		return []policy.Granted{{Rule: r, Impact: i}}
	}
	var all []policy.Granted
	rest := i
	for _, p := range w.parts {
		all = append(all, p.Granted)
		rest = rest.Less(p.Impact)
	}
	for k, r := range w.loose {
		if !slices.Contains(w.loose[:k], r) {
			all = append(all, policy.Granted{Rule: r, Impact: rest})
		}
	}
	return all
}

// answered notes that people have approved what was done so far.
func (w *work) answered() {
	for i := range w.parts {
		w.parts[i].answered = true
	}
}

// apart is a piece of a transaction block that one grant let through, or people.
type apart struct {
	rule   *policy.Rule   // of the standing grant; nil where people have approved the piece
	before *policy.Impact // what the transaction had done
	gone   []uint32       // what it had dropped
}

// portionOf is what grants let through of a piece.
func (t *stage) portionOf(sent byte, p *piece) portion {
	if sent != 'Q' { // a piece of a batch has not all of its facts
		return t.standing
	}
	var of portion
	for _, f := range p.facts {
		of.add(f, t.standing.by[f], false)
		of.others = of.others || f.ReadOnly() // it may be a FETCH
	}
	return of
}

// beginApart measures what a transaction block has done before a piece that a
// grant lets through, or that people have approved, unless it begins there.
func (s *session) beginApart(ctx context.Context, r *run, p *piece, tx byte) (failed bool, err error) {
	r.apart = nil
	if p.ends || tx != 'T' && (tx != 'I' || !p.begins) {
		return false, nil
	}
	a := &apart{before: &policy.Impact{}}
	if !r.granted {
		of := s.toServer.portionOf(r.sent, p)
		if r.sent != 'Q' && s.toServer.controls && tx == 'T' {
			return false, nil // it may be another transaction by then
		}
		if a.rule = of.sole(); a.rule == nil || len(of.unrun) > 0 {
			return false, nil
		}
	}
	if tx == 'T' {
		var failure []byte
		if a.before, failure, err = s.soFar(false); failure != nil || err != nil {
			return true, errors.Join(err, s.failLast(ctx, r, failure))
		}
		a.gone = s.toServer.last.Gone()
	}
	r.apart = a
	return false, nil
}

// endApart measures what the piece did.
func (s *session) endApart(ctx context.Context, r *run) (failed bool, err error) {
	if r.apart == nil {
		return false, nil
	}
	now, failure, err := s.soFar(false)
	if failure != nil || err != nil {
		return true, errors.Join(err, s.failLast(ctx, r, failure))
	}
	t := &s.toServer
	did := now.Less(r.apart.before)
	if r.apart.rule == nil {
		t.work.approve(did)
		for _, oid := range t.last.Gone() {
			if !slices.Contains(r.apart.gone, oid) {
				t.work.locks.gone = append(t.work.locks.gone, oid)
			}
		}
		return false, nil
	}
	if t.last.Deferred { // there is more to come of it, at COMMIT
		return false, nil
	}
	t.work.parts = append(t.work.parts, part{Granted: policy.Granted{Rule: r.apart.rule, Impact: did}})
	t.work.loose = t.looseBefore
	return false, nil
}

// mayStand reports whether the catalogue could show that a standing grant lets a
// statement through.
func (s *session) mayStand(j judgement, alternatives [][]*policy.Facts) bool {
	t := &s.toServer
	if t.batchSent || t.now == broken {
		return false
	}
	return slices.ContainsFunc(alternatives, func(facts []*policy.Facts) bool {
		return slices.ContainsFunc(facts, func(f *policy.Facts) bool {
			return j.standing[f].rule == nil && s.p.c.Policy().MayStand(&t.session, f)
		})
	})
}

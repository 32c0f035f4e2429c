package proxy

import (
	"slices"

	"github.com/pgsluice/pgsluice/policy"
)

// A keptRefinement is what a kept answer of the catalogue makes of a prepared
// statement, whatever values it is bound with, or of facts that are lent to texts.
//
// The facts are not changed by anybody, and Refine makes the same of the same facts
// and catalogue. The catalogue is looked up each time, so that a statement that may
// have moved names, and time, count as they do for any other.
type keptRefinement struct {
	names string // key of them
	by    keptCatalog
	lends bool // the refinement is lent, too

	alternatives, refined [][]*policy.Facts
}

func (k *keptRefinement) of(facts []*policy.Facts) {
	k.alternatives = [][]*policy.Facts{facts}
	k.names = key(namesIn(k.alternatives))
}

// runsAgain is wouldRun, with the statement whose refinement is kept, if it is.
func (s *session) runsAgain(name string, found []*statement, values []byte) ([][]*policy.Facts, *statement) {
	if st := s.boundAgain(found); st != nil {
		return st.kept.alternatives, st
	}
	return s.wouldRun(name, found, values), nil
}

// boundAgain gives the statement that a Bind names, refined by the answer of the
// catalogue that is kept now, where the values cannot change what is known of it: it
// is refined once for each answer. It gives nil where that cannot be said.
func (s *session) boundAgain(found []*statement) *statement {
	if len(found) != 1 {
		return nil
	}
	st := found[0]
	if st.kept.alternatives == nil {
		for _, f := range st.facts {
			if f.Executes != "" || f.Prepared != nil { // it is another statement each time
				return nil
			}
		}
		st.kept.of(st.facts)
	}
	c, ok := s.keptFor(st.kept.names)
	if !ok {
		return nil
	}
	if st.kept.refined == nil || st.kept.by != c {
		if slices.ContainsFunc(st.facts, func(f *policy.Facts) bool { return f.TakesParametersUnder(c.catalog) }) {
			return nil
		}
		st.kept.refined, st.kept.by = s.refinedBy(st.kept.alternatives, c), c
	}
	return st
}

// consultLent is consultKept for a statement whose facts are lent to it.
func (s *session) consultLent(f *policy.Facts) ([][]*policy.Facts, bool) {
	t, lender := &s.toServer, f.Lender()
	kept := t.lenders[lender]
	if kept == nil {
		if t.lenders == nil || len(t.lenders) >= maxCatalogs {
			t.lenders = map[*policy.Facts]*keptRefinement{}
		}
		kept = &keptRefinement{}
		kept.of([]*policy.Facts{lender})
		t.lenders[lender] = kept
	}
	c, ok := s.keptFor(kept.names)
	if !ok {
		return [][]*policy.Facts{{f}}, false
	}
	if kept.refined == nil || kept.by != c {
		kept.refined, kept.by = s.refinedBy(kept.alternatives, c), c
		kept.lends = kept.refined[0][0].Lends(c.catalog)
	}
	if !kept.lends {
		return s.refinedBy([][]*policy.Facts{{f}}, c), true
	}
	return [][]*policy.Facts{{kept.refined[0][0].LentTo(f)}}, true
}

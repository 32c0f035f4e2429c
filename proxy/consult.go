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

// What the text of a statement cannot say, the server's catalogue can: what a
// name means in this session, what stands behind a view, which columns can be
// null, what a foreign key takes along. It is asked for statements that the
// policy would stop, where it may show that nothing is lost, and for those that
// change or remove rows, where it may show that more is.
//
// What it said is kept by the session for catalogKept, and only to make later
// statements look worse: names may have come to mean something else by then, and
// tables may have been filled. Anything but plain reads and writes of rows
// forgets it.
const (
	catalogKept = 10 * time.Second
	maxCatalogs = 64
)

// keptCatalog is an answer of the catalogue, for statements with the same names.
type keptCatalog struct {
	catalog *policy.Catalog
	since   time.Time
}

// widens reports whether the catalogue could show that an allowed statement does
// more than its text shows, and the policy would stop it for that.
func (s *session) widens(alternatives [][]*policy.Facts) bool {
	t := &s.toServer
	if t.batchSent || t.now == broken {
		return false
	}
	pol := s.p.c.Policy()
	for _, facts := range alternatives {
		for _, f := range facts {
			if f.ReadOnly() || !pol.MayStop(f) {
				continue
			}
			for i := range f.Actions {
				switch f.Actions[i].Class {
				case "update", "delete", "merge", "function_call", "call":
					return true
				}
			}
		}
	}
	return false
}

// consultKept refines by what the catalogue has said lately. It reports false
// where it has not been asked about these names.
func (s *session) consultKept(alternatives [][]*policy.Facts) ([][]*policy.Facts, bool) {
	k, ok := s.toServer.catalogs[key(namesIn(alternatives))]
	if !ok || time.Since(k.since) > catalogKept {
		return alternatives, false
	}
	return s.refined(alternatives, k.catalog), true
}

// consult refines what would run by what the server's catalogue says now. The
// caller has settled the session. A server that does not answer leaves the
// statements as their text shows them; refused is what a cancel meanwhile is
// answered with.
func (s *session) consult(alternatives [][]*policy.Facts) (_ [][]*policy.Facts, refused *refusal, err error) {
	t := &s.toServer
	names := namesIn(alternatives)
	if len(names) == 0 || t.batchSent {
		return alternatives, nil, nil
	}
	rows, err := s.inquire(impact.CatalogSQL, impact.CatalogParameters(names))
	switch {
	case errors.Is(err, errNotNow):
		return alternatives, nil, nil
	case errors.Is(err, errCancelled):
		return nil, cancelledByUser("", 0), nil
	case errors.Is(err, errFailed):
		s.p.c.Log.Warn("the catalogue did not answer", zap.String("session", s.id), zap.Error(err))
		return alternatives, nil, nil
	case err != nil:
		return nil, nil, err
	case len(rows) != 1:
		return nil, nil, fmt.Errorf("ask the catalogue: %d rows: %w", len(rows), io.ErrUnexpectedEOF)
	}
	c, err := impact.DecodeCatalog(rows[0])
	if err != nil {
		s.p.c.Log.Error("the catalogue's answer cannot be read", zap.String("session", s.id), zap.Error(err))
		return alternatives, nil, nil
	}
	if t.catalogs == nil || len(t.catalogs) >= maxCatalogs {
		t.catalogs = map[string]keptCatalog{}
	}
	t.catalogs[key(names)] = keptCatalog{c.Kept(), time.Now()}
	if t.executed() {
		c = c.Kept() // what the batch does before this may make it untrue
	}
	return s.refined(alternatives, c), nil, nil
}

func (s *session) refined(alternatives [][]*policy.Facts, c *policy.Catalog) [][]*policy.Facts {
	refined := make([][]*policy.Facts, len(alternatives))
	for i, facts := range alternatives {
		refined[i] = s.p.c.Reader.RefineAll(facts, c)
	}
	return refined
}

// forgets reports whether statements may change what the catalogue says.
func forgets(facts []*policy.Facts) bool {
	for _, f := range facts {
		if f.Transaction != policy.TransactionNone && f.Transaction != policy.TransactionBegin {
			return true
		}
		for i := range f.Actions {
			switch c := f.Actions[i].Class; {
			case c.In("read"), c == "insert", c == "update", c == "delete", c == "merge", c == "begin":
			default:
				return true
			}
		}
	}
	return false
}

// namesIn are the names that the catalogue could say more about.
func namesIn(alternatives [][]*policy.Facts) []policy.Name {
	var names []policy.Name
	for _, facts := range alternatives {
		for _, f := range facts {
			names = append(names, f.Names()...)
		}
	}
	return names
}

func key(names []policy.Name) string {
	var b strings.Builder
	for _, n := range names {
		fmt.Fprintf(&b, "%q.%q %s;", n.Schema, n.Name, n.Kind)
	}
	return b.String()
}

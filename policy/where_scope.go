package policy

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// mentions is what a statement holds besides the condition that is judged.
type mentions struct {
	parameters map[int32]int   // how often each $n stands in it
	queries    map[string]bool // the names that WITH gives, at any depth
	body       bool            // it stands in a function or a DO block
}

func (m *mentions) parameter(number int32) {
	if m.parameters == nil {
		m.parameters = make(map[int32]int)
	}
	m.parameters[number]++
}

func (m *mentions) query(name string) {
	if m.queries == nil {
		m.queries = make(map[string]bool)
	}
	m.queries[name] = true
}

// A scope holds the relations, besides the target, whose columns an expression
// may name.
type scope struct {
	statement *mentions
	catalog   *Catalog // nil where none was asked
	steps     *int     // what is left for proofs

	names map[string]bool
	known map[string]bool // columns of those relations whose columns are known
	vague bool            // there are others
}

// within is a copy of the scope that a sub-select may add to.
func (s *scope) within() *scope {
	c := *s
	c.names, c.known = make(map[string]bool), make(map[string]bool)
	for name := range s.names {
		c.names[name] = true
	}
	for name := range s.known {
		c.known[name] = true
	}
	return &c
}

// declare adds the names that an item of FROM gives to the rest of its query.
func (s *scope) declare(n *pg.Node) {
	if s.names == nil {
		s.names, s.known = make(map[string]bool), make(map[string]bool)
	}
	switch e := n.GetNode().(type) {
	case *pg.Node_RangeVar:
		s.relation(e.RangeVar)
	case *pg.Node_JoinExpr:
		s.declare(e.JoinExpr.Larg)
		s.declare(e.JoinExpr.Rarg)
		for _, a := range []*pg.Alias{e.JoinExpr.Alias, e.JoinExpr.JoinUsingAlias} {
			if a != nil {
				s.names[a.Aliasname] = true
				s.vague = s.vague || len(a.Colnames) > 0
			}
		}
	case *pg.Node_RangeTableSample:
		s.declare(e.RangeTableSample.Relation)
	default:
		// A sub-select, a function, XMLTABLE, JSON_TABLE: the alias is all.
		s.vague = true
		if m := statementMessage(n); m != nil {
			if f := m.Descriptor().Fields().ByName("alias"); f != nil && m.Has(f) {
				if a, ok := m.Get(f).Message().Interface().(*pg.Alias); ok {
					s.names[a.Aliasname] = true
				}
			}
		}
	}
}

// relation adds a relation, with its columns if the catalogue has them and no
// query of a WITH goes by its name.
func (s *scope) relation(r *pg.RangeVar) {
	s.names[visibleName(r)] = true
	columns, ok := columnsOf(r, s.catalog, s.statement)
	s.vague = s.vague || !ok
	for _, c := range columns {
		s.known[c.Name] = true
	}
}

// columnsOf gives the columns of a relation under the names that the statement
// knows them by.
func columnsOf(r *pg.RangeVar, c *Catalog, statement *mentions) ([]Column, bool) {
	if c == nil || len(r.GetAlias().GetColnames()) > 0 || r.GetSchemaname() == "" && statement.queries[r.GetRelname()] {
		return nil, false
	}
	return c.columns(tableOf(r))
}

// mentionsTarget says whether an expression may refer to a row of the target:
// it does not only if every column in it is one of another relation. A name
// without a table may be a column of the target in any depth of sub-select,
// because PostgreSQL looks for it from the inside out.
func (s *scope) mentionsTarget(n *pg.Node) bool {
	switch e := n.GetNode().(type) {
	case nil, *pg.Node_AConst, *pg.Node_ParamRef, *pg.Node_String_, *pg.Node_Integer, *pg.Node_TypeName:
		return false
	case *pg.Node_ColumnRef:
		return s.columnMentions(e.ColumnRef)
	case *pg.Node_CurrentOfExpr:
		return true
	case *pg.Node_SelectStmt:
		return s.queryMentions(e.SelectStmt)
	case *pg.Node_SubLink:
		if q := s.ownColumn(e.SubLink); q != nil {
			return s.queryMentions(q)
		}
	case *pg.Node_FuncCall:
		// A function that is not known may look at the table itself, but that
		// is no reference to the row.
	}
	return slices.ContainsFunc(childNodes(n), s.mentionsTarget)
}

func (s *scope) columnMentions(c *pg.ColumnRef) bool {
	last := len(c.Fields) - 1
	if last <= 0 {
		// count(*), SELECT *: of the sub-select.
		return c.Fields[last].GetAStar() == nil && !s.known[c.Fields[last].GetString_().GetSval()]
	}
	return !s.names[c.Fields[last-1].GetString_().GetSval()]
}

// queryMentions is mentionsTarget for a sub-select, whose own FROM hides names
// from further out. A part of its WHERE that is true whatever it is given
// (account_id = account_id) refers to nothing.
func (s *scope) queryMentions(q *pg.SelectStmt) bool {
	if q == nil {
		return false
	}
	inner := s.within()
	for _, n := range q.FromClause {
		inner.declare(n)
	}
	if inner.queryMentions(q.Larg) || inner.queryMentions(q.Rarg) || slices.ContainsFunc(partsOf(q), inner.mentionsTarget) {
		return true
	}
	if q.WhereClause == nil {
		return false
	}
	for _, part := range conjuncts(q.WhereClause, nil) {
		// A name with a table and one without are not taken for the same here.
		if p := (&prover{steps: s.steps}).prove(part); p != provenTrue && p != provenTrueUnlessNull && inner.mentionsTarget(part) {
			return true
		}
	}
	return false
}

// partsOf lists the nodes in the clauses of a SELECT but WHERE.
func partsOf(q *pg.SelectStmt) []*pg.Node {
	all := slices.Concat(q.DistinctClause, q.TargetList, q.FromClause, q.GroupClause, q.WindowClause,
		q.ValuesLists, q.SortClause, q.WithClause.GetCtes())
	return append(all, q.HavingClause, q.LimitCount, q.LimitOffset)
}

// ownColumn recognises `id IN (SELECT id FROM u)` where u has no id: the id of
// the sub-select is that of the row itself, so that the row is chosen if u has
// any row at all. It gives the sub-select without what it selects, or nil.
func (s *scope) ownColumn(l *pg.SubLink) *pg.SelectStmt {
	q := l.Subselect.GetSelectStmt()
	if l.SubLinkType != pg.SubLinkType_ANY_SUBLINK || dotted(l.OperName) != "" && operatorName(l.OperName) != "=" ||
		q == nil || len(q.TargetList) != 1 || len(q.FromClause) == 0 || q.WithClause != nil || len(q.GroupClause) > 0 || q.HavingClause != nil || q.Larg != nil {
		return nil
	}
	inner := s.within()
	for _, n := range q.FromClause {
		inner.declare(n)
	}
	tested := words(l.Testexpr.GetColumnRef().GetFields())
	selected := words(q.TargetList[0].GetResTarget().GetVal().GetColumnRef().GetFields())
	if len(tested) == 0 || len(selected) != 1 || tested[len(tested)-1] != selected[0] ||
		inner.vague || inner.known[selected[0]] || neverNull[selected[0]] {
		return nil
	}
	return &pg.SelectStmt{FromClause: q.FromClause, WhereClause: q.WhereClause, LimitCount: q.LimitCount, LimitOffset: q.LimitOffset}
}

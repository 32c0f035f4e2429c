package policy

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// The sentences of Action.Proof.
const (
	proofMissing     = "there is no WHERE: every row"
	proofAlwaysTrue  = "the condition is true for every row"
	proofUnlessNull  = "the condition is true for every row, but for nulls"
	proofIndependent = "the condition does not look at the row: every row or none"
	proofUnlinked    = "no condition links the target to the other tables: every row or none"
	proofNeverTrue   = "the condition is never true"
	proofCursor      = "the row that a cursor stands on"
	proofBySource    = "WHEN NOT MATCHED BY SOURCE: every row that the source does not have"
)

// judgeWhere says what the WHERE of an UPDATE, a DELETE or a SELECT ... FOR
// UPDATE is, from the text alone. from is the USING or FROM clause besides the
// target.
//
// The condition is cut at its top-level ANDs. A part that is true for every row
// narrows nothing; a part that cannot refer to the target chooses all of its
// rows or none; what is left decides.
func judgeWhere(target *pg.RangeVar, from []*pg.Node, where *pg.Node) (Where, string) {
	if where == nil {
		return WhereMissing, proofMissing
	}
	if where.GetCurrentOfExpr() != nil {
		return WherePresent, proofCursor
	}
	others := make(map[string]bool)
	for _, n := range from {
		declare(others, n)
	}
	prover := newProver(visibleName(target))
	narrows, independent := false, false
	nullable := false // some part is true only where nothing is null
	for _, part := range conjuncts(where, nil) {
		switch prover.prove(part) {
		case provenTrue:
		case provenTrueUnlessNull:
			nullable = true
		case provenNeverTrue:
			return WherePresent, proofNeverTrue
		default:
			if mentionsTarget(part, others) {
				narrows = true
			} else {
				independent = true
			}
		}
	}
	switch {
	case narrows:
		return WherePresent, ""
	case independent && len(from) > 0:
		return WhereUnlinked, proofUnlinked
	case independent:
		return WhereIndependent, proofIndependent
	}
	if nullable {
		return WhereAlwaysTrue, proofUnlessNull
	}
	return WhereAlwaysTrue, proofAlwaysTrue
}

// judgeBranch judges a branch of MERGE that updates or deletes. The join
// condition is its WHERE, with the branch's own condition added.
func judgeBranch(s *pg.MergeStmt, when *pg.MergeWhenClause) (Where, string) {
	if when.MatchKind == pg.MergeMatchKind_MERGE_WHEN_NOT_MATCHED_BY_SOURCE {
		if when.Condition == nil {
			return WhereMissing, proofBySource
		}
		return judgeWhere(s.Relation, nil, when.Condition)
	}
	condition := s.JoinCondition
	if when.Condition != nil {
		condition = &pg.Node{Node: &pg.Node_BoolExpr{BoolExpr: &pg.BoolExpr{
			Boolop: pg.BoolExprType_AND_EXPR, Args: []*pg.Node{s.JoinCondition, when.Condition},
		}}}
	}
	return judgeWhere(s.Relation, []*pg.Node{s.SourceRelation}, condition)
}

// conjuncts adds the operands of the top-level ANDs to all.
func conjuncts(n *pg.Node, all []*pg.Node) []*pg.Node {
	b := n.GetBoolExpr()
	if b == nil || b.Boolop != pg.BoolExprType_AND_EXPR {
		return append(all, n)
	}
	for _, a := range b.Args {
		all = conjuncts(a, all)
	}
	return all
}

// declare adds the names that an item of FROM gives to the rest of its query.
func declare(names map[string]bool, n *pg.Node) {
	switch e := n.GetNode().(type) {
	case *pg.Node_RangeVar:
		names[visibleName(e.RangeVar)] = true
	case *pg.Node_JoinExpr:
		declare(names, e.JoinExpr.Larg)
		declare(names, e.JoinExpr.Rarg)
		for _, a := range []*pg.Alias{e.JoinExpr.Alias, e.JoinExpr.JoinUsingAlias} {
			if a != nil {
				names[a.Aliasname] = true
			}
		}
	case *pg.Node_RangeTableSample:
		declare(names, e.RangeTableSample.Relation)
	default:
		// A sub-select, a function, XMLTABLE, JSON_TABLE: the alias is all.
		if m := statementMessage(n); m != nil {
			if f := m.Descriptor().Fields().ByName("alias"); f != nil && m.Has(f) {
				if a, ok := m.Get(f).Message().Interface().(*pg.Alias); ok {
					names[a.Aliasname] = true
				}
			}
		}
	}
}

// mentionsTarget says whether an expression may refer to a row of the target:
// it does not only if every column in it is qualified with one of the other
// names. A name without a table may be a column of the target in any depth of
// sub-select, because PostgreSQL looks for it from the inside out.
func mentionsTarget(n *pg.Node, others map[string]bool) bool {
	switch e := n.GetNode().(type) {
	case nil, *pg.Node_AConst, *pg.Node_ParamRef, *pg.Node_String_, *pg.Node_Integer, *pg.Node_TypeName:
		return false
	case *pg.Node_ColumnRef:
		return columnMentions(e.ColumnRef, others)
	case *pg.Node_CurrentOfExpr:
		return true
	case *pg.Node_SelectStmt:
		return queryMentions(e.SelectStmt, others)
	case *pg.Node_FuncCall:
		// A function that is not known may look at the table itself, but that
		// is no reference to the row.
	}
	for _, c := range childNodes(n) {
		if mentionsTarget(c, others) {
			return true
		}
	}
	return false
}

func columnMentions(c *pg.ColumnRef, others map[string]bool) bool {
	last := len(c.Fields) - 1
	if last <= 0 {
		return c.Fields[last].GetAStar() == nil // count(*), SELECT *: of the sub-select
	}
	return !others[c.Fields[last-1].GetString_().GetSval()]
}

// queryMentions is mentionsTarget for a sub-select, whose own FROM hides names
// from further out.
func queryMentions(s *pg.SelectStmt, others map[string]bool) bool {
	if s == nil {
		return false
	}
	visible := make(map[string]bool, len(others)+len(s.FromClause))
	for name := range others {
		visible[name] = true
	}
	for _, n := range s.FromClause {
		declare(visible, n)
	}
	if queryMentions(s.Larg, visible) || queryMentions(s.Rarg, visible) {
		return true
	}
	return slices.ContainsFunc(partsOf(s), func(n *pg.Node) bool { return mentionsTarget(n, visible) })
}

// partsOf lists the nodes in the clauses of a SELECT.
func partsOf(s *pg.SelectStmt) []*pg.Node {
	all := slices.Concat(s.DistinctClause, s.TargetList, s.FromClause, s.GroupClause, s.WindowClause,
		s.ValuesLists, s.SortClause, s.WithClause.GetCtes())
	return append(all, s.WhereClause, s.HavingClause, s.LimitCount, s.LimitOffset)
}

// resolved gives the action with its WHERE judged again by what the catalogue
// says: columns gives those of a relation as a statement writes it, and false for
// one that it does not know. Nothing changes for an action that has no WHERE.
func (a Action) resolved(func(Table) ([]Column, bool)) Action { return a }

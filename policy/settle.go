package policy

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

const proofForeignKey = "the condition is true for every row, by a foreign key or because it looks in the row's own table"

// settle takes those parts out of a WHERE that a foreign key makes true: each
// account_id is IN (SELECT id FROM accounts) if it refers there, and each row has
// its own table's key. What is left decides.
func (c *Catalog) settle(j *judged, where Where, proof string) (Where, string) {
	rel := c.relationNamed(tableOf(j.target))
	if where < WhereIndependent || rel == nil || j.where == nil {
		return where, proof
	}
	var rest []*pg.Node
	nullable := false
	for _, part := range conjuncts(j.where, nil) {
		column := c.referredTo(j, rel, part)
		if column == "" {
			rest = append(rest, part)
			continue
		}
		nullable = nullable || slices.ContainsFunc(rel.Columns, func(c Column) bool { return c.Name == column && !c.NotNull })
	}
	switch {
	case len(rest) == len(conjuncts(j.where, nil)):
		return where, proof
	case len(rest) > 0 && len(j.from) > 0:
		return where, proof // it says which of the other table's rows
	case len(rest) > 0:
		k := *j
		k.where = &pg.Node{Node: &pg.Node_BoolExpr{BoolExpr: &pg.BoolExpr{Boolop: pg.BoolExprType_AND_EXPR, Args: rest}}}
		w, p := k.judge()
		if w < where {
			return w, p
		}
		return where, proof
	case nullable:
		return WhereTrueUnlessNull, proofForeignKey + ", but for nulls"
	}
	return WhereAlwaysTrue, proofForeignKey
}

// referredTo gives the column of the target that a part of the WHERE asks to be
// in another table, where the catalogue knows that it always is; else "".
func (c *Catalog) referredTo(j *judged, rel *Relation, part *pg.Node) string {
	var tested, selected *pg.Node
	var from *pg.RangeVar
	switch e := part.GetNode().(type) {
	case *pg.Node_SubLink: // x IN (SELECT ...), x = ANY (SELECT ...)
		if e.SubLink.SubLinkType == pg.SubLinkType_ANY_SUBLINK && (len(e.SubLink.OperName) == 0 || operatorName(e.SubLink.OperName) == "=") {
			tested = e.SubLink.Testexpr
			selected, from = wholeColumn(e.SubLink.Subselect)
		}
	case *pg.Node_AExpr:
		switch l := e.AExpr.Rexpr.GetSubLink(); {
		case operatorName(e.AExpr.Name) != "=":
		case e.AExpr.Kind == pg.A_Expr_Kind_AEXPR_OP_ANY && l.GetSubLinkType() == pg.SubLinkType_ARRAY_SUBLINK:
			tested = e.AExpr.Lexpr
			selected, from = wholeColumn(l.Subselect)
		case e.AExpr.Kind == pg.A_Expr_Kind_AEXPR_OP && len(j.from) == 1 && j.from[0].GetRangeVar() != nil:
			// USING a WHERE t.account_id = a.id
			from = j.from[0].GetRangeVar()
			tested, selected = e.AExpr.Lexpr, e.AExpr.Rexpr
			if j.targetColumn(tested) == "" {
				tested, selected = selected, tested
			}
		}
	}
	if from == nil || len(from.GetAlias().GetColnames()) > 0 || from.Schemaname == "" && j.statement.queries[from.Relname] {
		return ""
	}
	column := j.targetColumn(tested)
	other := (&judged{target: from, catalog: j.catalog, statement: j.statement}).targetColumn(selected)
	to := c.relationNamed(tableOf(from))
	if column == "" || other == "" || to == nil || to.RowSecurity {
		return ""
	}
	if to == rel && column == other && len(j.from) == 0 && from.Inh {
		return column
	}
	for _, k := range c.ForeignKeys {
		if k.Validated && k.From == rel.OID && k.To == to.OID && len(k.Columns) == 1 && k.Columns[0] == column &&
			len(k.ReferencedColumns) == 1 && k.ReferencedColumns[0] == other {
			return column
		}
	}
	return ""
}

// wholeColumn recognises SELECT x FROM t, of every row.
func wholeColumn(n *pg.Node) (column *pg.Node, from *pg.RangeVar) {
	q := n.GetSelectStmt()
	if q == nil || len(q.TargetList) != 1 || len(q.FromClause) != 1 || q.WhereClause != nil || q.Larg != nil || q.HavingClause != nil ||
		len(q.GroupClause) > 0 || q.WithClause != nil || q.LimitCount != nil || q.LimitOffset != nil || len(q.LockingClause) > 0 {
		return nil, nil
	}
	from = q.FromClause[0].GetRangeVar()
	column = q.TargetList[0].GetResTarget().GetVal()
	if from == nil || column.GetColumnRef() == nil {
		return nil, nil
	}
	return column, from
}

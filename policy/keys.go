package policy

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// atMostRows says how many rows the WHERE can choose, where it equates every
// column of a unique key with constants or parameters; 0 means that nothing is
// known. A parameter is taken to be of the column's own type, as it is where the
// server chooses.
func (c *Catalog) atMostRows(a *Action) int {
	a.byKey = c.rowsByKey(a)
	if a.byKey > 0 {
		rel := c.relationNamed(tableOf(a.judged[0].target))
		a.calls = rel.Calls || rel.RowSecurity
	}
	if !c.sameNames {
		return 0
	}
	return a.byKey
}

func (c *Catalog) rowsByKey(a *Action) int {
	if c.moved || len(a.judged) != 1 || a.judged[0].where == nil {
		return 0
	}
	j := &a.judged[0]
	rel := c.relationNamed(tableOf(j.target))
	if rel == nil || rel.Kind != "p" && (rel.Kind != "r" || len(rel.Below) > 0) || len(j.target.GetAlias().GetColnames()) > 0 {
		return 0 // the key of a parent is not that of what inherits from it
	}
	counts := make(map[string]int)
	for _, part := range conjuncts(j.where, nil) {
		j.equates(part, func(column string, n int) {
			if before, ok := counts[column]; !ok || n < before {
				counts[column] = n
			}
		})
	}
	least := 0
	for _, key := range rel.Keys {
		n := 1
		for _, column := range key {
			count, ok := counts[column]
			if n *= count; !ok || n > maxRowsByKey {
				n = 0
				break
			}
		}
		if n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	return least
}

const maxRowsByKey = 1_000_000

// equates tells note which columns of the target a part of the WHERE equates with
// how many values.
func (j *judged) equates(part *pg.Node, note func(column string, n int)) {
	e := part.GetAExpr()
	if e == nil || operatorName(e.Name) != "=" {
		return
	}
	switch e.Kind {
	case pg.A_Expr_Kind_AEXPR_OP:
		l, r := []*pg.Node{e.Lexpr}, []*pg.Node{e.Rexpr}
		if row, other := e.Lexpr.GetRowExpr(), e.Rexpr.GetRowExpr(); row != nil && other != nil {
			l, r = row.Args, other.Args
		}
		for i := range min(len(l), len(r)) {
			if column := j.targetColumn(l[i]); column != "" && isValue(r[i]) {
				note(column, 1)
			} else if column := j.targetColumn(r[i]); column != "" && isValue(l[i]) {
				note(column, 1)
			}
		}
	case pg.A_Expr_Kind_AEXPR_IN:
		list := e.Rexpr.GetList().GetItems()
		if column := j.targetColumn(e.Lexpr); column != "" && !slices.ContainsFunc(list, func(n *pg.Node) bool { return !isValue(n) }) {
			note(column, len(list))
		}
	case pg.A_Expr_Kind_AEXPR_OP_ANY:
		column := j.targetColumn(e.Lexpr)
		if column == "" {
			return
		}
		p := j.prover(new(int))
		p.byName = make(map[string]int)
		elements, _, ok := p.elementsOf(e.Rexpr)
		if ok && len(elements) > 0 && !slices.ContainsFunc(elements, func(n *pg.Node) bool { return !isValue(n) }) {
			note(column, len(elements))
		}
	}
}

// targetColumn gives the column of the target that an expression is, or "".
func (j *judged) targetColumn(n *pg.Node) string {
	c := n.GetColumnRef()
	parts := words(c.GetFields())
	if len(parts) == 0 || len(parts) != len(c.Fields) || len(parts) > 1 && parts[len(parts)-2] != visibleName(j.target) {
		return ""
	}
	name := parts[len(parts)-1]
	columns, _ := columnsOf(j.target, j.catalog, j.statement)
	if !slices.ContainsFunc(columns, func(c Column) bool { return c.Name == name }) {
		return ""
	}
	return name
}

// keepsValues are the types that a constant may be cast to without more values
// of another type becoming equal to it. bpchar is not among them: a varchar is
// compared to it without the blanks at its end.
var keepsValues = map[string]bool{
	"int2": true, "int4": true, "int8": true, "numeric": true, "text": true, "varchar": true, "name": true,
	"uuid": true, "date": true, "timestamp": true, "timestamptz": true, "bool": true,
}

// isValue recognises a constant, a parameter, and a cast of one.
func isValue(n *pg.Node) bool {
	if cast := n.GetTypeCast(); cast != nil {
		parts := words(cast.GetTypeName().GetNames())
		if len(parts) == 0 || len(cast.TypeName.ArrayBounds) > 0 || !keepsValues[parts[len(parts)-1]] ||
			len(parts) == 2 && parts[0] != "pg_catalog" {
			return false
		}
		n = cast.Arg
	}
	return n.GetAConst() != nil || n.GetParamRef() != nil
}

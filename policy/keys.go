package policy

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// atMostRows says how many rows the WHERE can choose, where it equates every
// column of a unique key with constants or parameters beside which its values are
// told apart; 0 means that nothing is known.
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
	noteAll := func(column *Column, values []*pg.Node) {
		if column != nil && len(values) > 0 && !slices.ContainsFunc(values, func(n *pg.Node) bool { return !isValue(n) || !j.tellsApart(column, n) }) {
			note(column.Name, len(values))
		}
	}
	switch e.Kind {
	case pg.A_Expr_Kind_AEXPR_OP:
		l, r := []*pg.Node{e.Lexpr}, []*pg.Node{e.Rexpr}
		if row, other := e.Lexpr.GetRowExpr(), e.Rexpr.GetRowExpr(); row != nil && other != nil {
			l, r = row.Args, other.Args
		}
		for i := range min(len(l), len(r)) {
			noteAll(j.column(l[i]), r[i:i+1])
			noteAll(j.column(r[i]), l[i:i+1])
		}
	case pg.A_Expr_Kind_AEXPR_IN:
		noteAll(j.column(e.Lexpr), e.Rexpr.GetList().GetItems())
	case pg.A_Expr_Kind_AEXPR_OP_ANY:
		column := j.column(e.Lexpr)
		if column == nil || !j.tellsApart(column, e.Rexpr) {
			return
		}
		p := j.prover(new(int))
		p.byName = make(map[string]int)
		if elements, _, ok := p.elementsOf(e.Rexpr); ok {
			noteAll(column, elements)
		}
	}
}

// column gives the column of the target that an expression is, or nil.
func (j *judged) column(n *pg.Node) *Column {
	c := n.GetColumnRef()
	parts := words(c.GetFields())
	if len(parts) == 0 || len(parts) != len(c.Fields) || len(parts) > 1 && parts[len(parts)-2] != visibleName(j.target) {
		return nil
	}
	columns, _ := columnsOf(j.target, j.catalog, j.statement)
	i := slices.IndexFunc(columns, func(c Column) bool { return c.Name == parts[len(parts)-1] })
	if i < 0 {
		return nil
	}
	return &columns[i]
}

// targetColumn gives the name of that column, or "".
func (j *judged) targetColumn(n *pg.Node) string {
	if c := j.column(n); c != nil {
		return c.Name
	}
	return ""
}

// isValue recognises a constant, a parameter, and a cast of one.
func isValue(n *pg.Node) bool {
	if cast := n.GetTypeCast(); cast != nil {
		if len(cast.GetTypeName().GetArrayBounds()) > 0 {
			return false
		}
		n = cast.Arg
	}
	return n.GetAConst() != nil || n.GetParamRef() != nil
}

// tellsApart says whether the values of the column are told apart where they are
// compared with this value, or with the elements of this array. A parameter whose
// type the server chooses is of the column's own, if nothing else in the statement
// can have settled it before.
func (j *judged) tellsApart(column *Column, n *pg.Node) bool {
	if cast := n.GetTypeCast(); cast != nil {
		parts := words(cast.GetTypeName().GetNames())
		return (len(parts) == 1 || len(parts) == 2 && parts[0] == "pg_catalog") && column.tellsApart(parts[len(parts)-1])
	}
	number := n.GetParamRef().GetNumber()
	if number <= 0 { // a constant, or an element of an array that has been looked at
		return true
	}
	declared := uint32(0)
	if int(number) <= len(j.types) {
		declared = j.types[number-1]
	}
	if declared == 0 || declared == typeUnknown {
		return j.statement.parameters[number] == 1
	}
	return column.tellsApart(typeNames[declared]) || column.tellsApart(elementTypes[declared])
}

// elementTypes are the types of the elements of array types by the OIDs of those.
var elementTypes = map[uint32]string{
	1000: "bool", 1005: "int2", 1007: "int4", 1016: "int8", 1009: "text", 1014: "bpchar", 1015: "varchar", 1021: "float4", 1022: "float8",
	1115: "timestamp", 1182: "date", 1183: "time", 1185: "timestamptz", 1231: "numeric", 2951: "uuid",
}

// tellsApart says whether values that differ in the column still differ where they
// are compared with one of another type, of pg_catalog. A bigint is rounded for a
// double precision, a varchar loses the blanks at its end beside a bpchar, and two
// timestamps are one timestamptz where a clock is put forward.
func (c *Column) tellsApart(kind string) bool {
	own, other := c.span(), spans[kind]
	switch {
	case own.kind == "" || other.kind == "":
		return false
	case own.kind == other.kind:
		return true
	case own.exact():
		return other.exact()
	case own.number():
		return other.number()
	case own.textual(), own.kind == "name":
		return other.textual() || other.kind == "name"
	case own.kind == "bpchar":
		return other.textual()
	case own.kind == "date", own.kind == "timestamp":
		return other.kind == "date" || other.kind == "timestamp"
	case own.kind == "timestamptz":
		return other.kind == "date" || other.kind == "timestamp"
	}
	return false
}

package policy

import (
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// maxKnown bounds how many conditions of a relation are looked at.
const maxKnown = 200

// learn reads what constraints say of each row of the relation. They are kept as
// conditions that are never false: a CHECK lets null pass.
func (r *Relation) learn() {
	for _, text := range r.Checks {
		r.knows(checkCondition(text, ""))
	}
	for i := range r.Columns {
		for _, text := range r.Columns[i].Checks {
			r.knows(checkCondition(text, r.Columns[i].Name))
		}
	}
	for i := range r.Bounds {
		r.knows(r.Bounds[i].condition())
	}
}

// knows adds those parts of a condition that hold today if they held when the row
// was written.
func (r *Relation) knows(n *pg.Node) {
	if n == nil {
		return
	}
	for _, part := range conjuncts(n, nil) {
		if len(r.known) < maxKnown && r.lasting(part) {
			r.known = append(r.known, part)
		}
	}
}

// checkCondition reads an expression as pg_get_expr writes it. Where it is that of
// a domain, column stands for VALUE.
func checkCondition(text, column string) *pg.Node {
	sql := "SELECT WHERE " + text
	if outOfBounds(sql) != "" {
		return nil
	}
	tree, err := pg.Parse(sql)
	if err != nil || len(tree.Stmts) != 1 {
		return nil
	}
	n := tree.Stmts[0].Stmt.GetSelectStmt().GetWhereClause()
	if column != "" {
		nameValue(n, column)
	}
	return n
}

func nameValue(n *pg.Node, column string) {
	if n.GetNode() == nil {
		return
	}
	if fields := n.GetColumnRef().GetFields(); len(fields) == 1 && fields[0].GetString_().GetSval() == "value" {
		fields[0].GetString_().Sval = column
	}
	for _, c := range childNodes(n) {
		nameValue(c, column)
	}
}

// condition is what the bound says as a condition (manual, CREATE TABLE, section
// "PARTITION OF": the lower bound is inclusive, the upper exclusive, and a range
// holds no null). Of a range over several columns the first is what is known.
func (b *Bound) condition() *pg.Node {
	sql := "ALTER TABLE t ATTACH PARTITION p " + b.Text
	if len(b.Columns) == 0 || b.Columns[0] == "" || outOfBounds(sql) != "" {
		return nil
	}
	tree, err := pg.Parse(sql)
	if err != nil || len(tree.Stmts) != 1 || len(tree.Stmts[0].Stmt.GetAlterTableStmt().GetCmds()) != 1 {
		return nil
	}
	spec := tree.Stmts[0].Stmt.GetAlterTableStmt().Cmds[0].GetAlterTableCmd().GetDef().GetPartitionCmd().GetBound()
	column := columnNamed(b.Columns[0])
	var parts []*pg.Node
	switch {
	case spec == nil || spec.IsDefault:
		return nil
	case spec.Strategy == "l":
		values := slices.DeleteFunc(slices.Clone(spec.Listdatums), isNullConstant)
		in := &pg.Node{Node: &pg.Node_AExpr{AExpr: &pg.A_Expr{Kind: pg.A_Expr_Kind_AEXPR_IN, Name: []*pg.Node{pg.MakeStrNode("=")},
			Lexpr: column, Rexpr: &pg.Node{Node: &pg.Node_List{List: &pg.List{Items: values}}}}}}
		if len(values) < len(spec.Listdatums) {
			if len(values) == 0 {
				return nullTest(column, pg.NullTestType_IS_NULL)
			}
			return in // never false, as a CHECK that lets null pass
		}
		parts = append(parts, in, nullTest(column, pg.NullTestType_IS_NOT_NULL))
	case spec.Strategy == "r":
		parts = append(parts, nullTest(column, pg.NullTestType_IS_NOT_NULL))
		compare := func(operator string, with []*pg.Node) {
			if len(with) > 0 && with[0].GetColumnRef() == nil { // MINVALUE, MAXVALUE
				parts = append(parts, &pg.Node{Node: &pg.Node_AExpr{AExpr: &pg.A_Expr{Kind: pg.A_Expr_Kind_AEXPR_OP,
					Name: []*pg.Node{pg.MakeStrNode(operator)}, Lexpr: column, Rexpr: with[0]}}})
			}
		}
		compare(">=", spec.Lowerdatums)
		if len(b.Columns) == 1 {
			compare("<", spec.Upperdatums)
		} else {
			compare("<=", spec.Upperdatums)
		}
	default:
		return nil
	}
	return &pg.Node{Node: &pg.Node_BoolExpr{BoolExpr: &pg.BoolExpr{Boolop: pg.BoolExprType_AND_EXPR, Args: parts}}}
}

func columnNamed(name string) *pg.Node {
	return &pg.Node{Node: &pg.Node_ColumnRef{ColumnRef: &pg.ColumnRef{Fields: []*pg.Node{pg.MakeStrNode(name)}}}}
}

func nullTest(n *pg.Node, kind pg.NullTestType) *pg.Node {
	return &pg.Node{Node: &pg.Node_NullTest{NullTest: &pg.NullTest{Arg: n, Nulltesttype: kind}}}
}

// immutableFunctions are those that a constraint may call and be believed. What
// depends on a setting or on the clock need not be true any more.
var immutableFunctions = func() map[string]bool {
	m := make(map[string]bool)
	for _, name := range strings.Fields("length char_length character_length octet_length bit_length cardinality abs lower upper btrim ltrim rtrim mod sign position strpos") {
		m[name] = true
	}
	return m
}()

// lasting says whether a condition depends on nothing but the row: the
// comparisons of date with timestamptz, casts between them and those to text are
// up to TimeZone and DateStyle.
func (r *Relation) lasting(n *pg.Node) bool {
	switch e := n.GetNode().(type) {
	case nil, *pg.Node_AConst, *pg.Node_ColumnRef, *pg.Node_BoolExpr, *pg.Node_NullTest, *pg.Node_BooleanTest, *pg.Node_List,
		*pg.Node_AArrayExpr, *pg.Node_CaseExpr, *pg.Node_CaseWhen, *pg.Node_CoalesceExpr, *pg.Node_MinMaxExpr, *pg.Node_String_:
	case *pg.Node_AExpr:
		if name := operatorName(e.AExpr.Name); name == "" || !r.lastingPair(name, e.AExpr.Lexpr, e.AExpr.Rexpr) {
			return false
		}
	case *pg.Node_FuncCall:
		name := named(words(e.FuncCall.Funcname))
		if name.Schema != "" && name.Schema != "pg_catalog" || !immutableFunctions[name.Name] {
			return false
		}
	case *pg.Node_TypeCast:
		if e.TypeCast.Arg.GetAConst() != nil {
			return true
		}
		kind := r.kindOf(e.TypeCast.Arg)
		if isTimely(kind) || kind == "" && e.TypeCast.Arg.GetColumnRef() != nil || isTimely(r.kindOf(n)) {
			return false
		}
	default:
		return false
	}
	return !slices.ContainsFunc(childNodes(n), func(c *pg.Node) bool { return !r.lasting(c) })
}

// lastingPair says whether an operator means the same at any time: of dates and
// times only a comparison within one type does.
func (r *Relation) lastingPair(operator string, left, right *pg.Node) bool {
	l, other := r.kindOf(left), r.kindOf(right)
	if !isTimely(l) && !isTimely(other) {
		return true
	}
	_, compares := orderings[operator]
	return compares && (l == other || left.GetAConst() != nil || right.GetAConst() != nil || right.GetList() != nil || right.GetAArrayExpr() != nil)
}

// kindOf is the type of a column or a cast, "" where it is not known.
func (r *Relation) kindOf(n *pg.Node) string {
	if c := n.GetTypeCast(); c != nil {
		return strings.TrimPrefix(dotted(c.GetTypeName().GetNames()), "pg_catalog.")
	}
	parts := words(n.GetColumnRef().GetFields())
	for i := range r.Columns {
		if len(parts) == 1 && r.Columns[i].Name == parts[0] {
			return r.Columns[i].Type
		}
	}
	return ""
}

func isTimely(kind string) bool {
	return strings.HasPrefix(kind, "date") || strings.HasPrefix(kind, "time") || kind == "interval"
}

// knownOf gives what constraints say of the columns that a condition names. The
// constraints of a foreign table are not enforced.
func (c *Catalog) knownOf(r *Relation, n *pg.Node) []*pg.Node {
	if len(r.known) == 0 || !c.enforces(r, 0) {
		return nil
	}
	asked := columnsBelow(n, nil)
	var all []*pg.Node
	for _, k := range r.known {
		if slices.ContainsFunc(columnsBelow(k, nil), func(name string) bool { return slices.Contains(asked, name) }) {
			all = append(all, k)
		}
	}
	return all
}

func (c *Catalog) enforces(r *Relation, depth int) bool {
	return r != nil && (r.Kind == "r" || r.Kind == "p") && depth <= maxCascadeDepth &&
		!slices.ContainsFunc(r.Below, func(oid uint32) bool { return !c.enforces(c.relation(oid), depth+1) })
}

// columnsBelow adds the names of the columns that an expression names.
func columnsBelow(n *pg.Node, all []string) []string {
	if n.GetNode() == nil {
		return all
	}
	if parts := words(n.GetColumnRef().GetFields()); len(parts) > 0 {
		return append(all, parts[len(parts)-1])
	}
	for _, c := range childNodes(n) {
		all = columnsBelow(c, all)
	}
	return all
}

// usual says whether an operator is the built-in one, as far as the catalogue
// knows.
func (p *prover) usual(name string) bool {
	return p.catalog == nil || !slices.Contains(p.catalog.Operators, name)
}

// relationPoint is the OID of the target where text names it as a regclass.
func (p *prover) relationPoint(text string) (point, bool) {
	r := p.relation
	if r == nil || text == "" {
		return point{}, false
	}
	var parts []string
	for _, part := range strings.Split(text, ".") {
		if name, quoted := strings.CutPrefix(part, `"`); quoted {
			name, ok := strings.CutSuffix(name, `"`)
			if !ok || strings.Contains(name, `"`) {
				return point{}, false
			}
			parts = append(parts, name)
		} else {
			if _, err := strconv.ParseUint(part, 10, 64); err == nil || strings.ContainsAny(part, "\" \t\n\r\v\f") {
				return point{}, false
			}
			parts = append(parts, strings.ToLower(part))
		}
	}
	same := len(parts) == 1 && p.table.Schemaname == "" && p.table.Relpersistence != "t" && parts[0] == p.table.Relname ||
		len(parts) == 2 && parts[0] == r.Schema && parts[1] == r.Name
	return whole(int64(r.OID)), same
}

// system is what is known of a system column of the target.
func (p *prover) system(name string) span {
	if p.relation != nil && !slices.Contains([]string{"r", "p", "m"}, p.relation.Kind) {
		return span{}
	}
	switch name {
	case "ctid":
		s := spans["tid"]
		s.least = whole(1) // the first line pointer of a page has the number 1
		return s
	case "tableoid":
		s := spans["oid"]
		if r := p.relation; r != nil && r.Kind != "p" && (len(r.Below) == 0 || !p.table.Inh) {
			s.least, s.greatest = whole(int64(r.OID)), whole(int64(r.OID))
		}
		return s
	}
	return span{}
}

package policy

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// everyRow gives the relation for each of whose rows a SELECT calls the function
// with values of the row, or "": nothing else narrows it.
func everyRow(text string, function Table) string {
	if text == "" || outOfBounds(text) != "" {
		return ""
	}
	tree, err := pg.Parse(text)
	if err != nil || len(tree.Stmts) != 1 {
		return ""
	}
	return everyRowBelow(tree.Stmts[0].Stmt, function)
}

func everyRowBelow(n *pg.Node, function Table) string {
	if n.GetNode() == nil {
		return ""
	}
	if s := n.GetSelectStmt(); s != nil && len(s.FromClause) == 1 && s.LimitCount == nil {
		whole := func(n *pg.Node) bool { return callsWithColumn(n, function) }
		parts := conjuncts(s.WhereClause, nil)
		narrows := s.WhereClause != nil && slices.ContainsFunc(parts, func(n *pg.Node) bool { return !whole(n) })
		if from := s.FromClause[0].GetRangeVar(); from != nil && !narrows && slices.ContainsFunc(append(parts, s.TargetList...), whole) {
			return tableOf(from).String()
		}
	}
	for _, c := range childNodes(n) {
		if of := everyRowBelow(c, function); of != "" {
			return of
		}
	}
	return ""
}

// callsWithColumn says whether an expression calls the function with something of
// a row.
func callsWithColumn(n *pg.Node, function Table) bool {
	if n.GetNode() == nil || n.GetSelectStmt() != nil {
		return false
	}
	if c := n.GetFuncCall(); c != nil && named(words(c.Funcname)) == function && slices.ContainsFunc(c.Args, holdsColumnRef) {
		return true
	}
	return slices.ContainsFunc(childNodes(n), func(m *pg.Node) bool { return callsWithColumn(m, function) })
}

func holdsColumnRef(n *pg.Node) bool {
	return n.GetColumnRef() != nil || n.GetNode() != nil && slices.ContainsFunc(childNodes(n), holdsColumnRef)
}

// withConstants gives the action with true in its WHERE in place of the calls of
// functions that give nothing else.
func (c *Catalog) withConstants(a Action) Action {
	for i := range a.judged {
		where := c.constants(a.judged[i].where, 0)
		if where == a.judged[i].where {
			continue
		}
		a.judged = slices.Clone(a.judged)
		a.judged[i].where = where
	}
	return a
}

// constants gives the condition itself where there is nothing to put in.
func (c *Catalog) constants(n *pg.Node, depth int) *pg.Node {
	if b := n.GetBoolExpr(); b != nil && depth < 50 {
		var changed []*pg.Node
		for i, arg := range b.Args {
			if put := c.constants(arg, depth+1); put != arg {
				if changed == nil {
					changed = slices.Clone(b.Args)
				}
				changed[i] = put
			}
		}
		if changed != nil {
			return &pg.Node{Node: &pg.Node_BoolExpr{BoolExpr: &pg.BoolExpr{Boolop: b.Boolop, Args: changed}}}
		}
	}
	if f := n.GetFuncCall(); f != nil {
		t := named(words(f.Funcname))
		all := c.functions(t)
		if len(all) > 0 && !slices.ContainsFunc(all, func(f *Function) bool { return f.BuiltIn || f.Strict || !c.givesTrue(f) }) {
			return &pg.Node{Node: &pg.Node_AConst{AConst: &pg.A_Const{Val: &pg.A_Const_Boolval{Boolval: &pg.Boolean{Boolval: true}}}}}
		}
	}
	return n
}

// givesTrue says whether a function gives true, whatever it is given.
func (c *Catalog) givesTrue(f *Function) bool {
	b := c.bodyOf(f)
	if !b.all || len(b.steps) == 0 {
		return false
	}
	if f.Language == "sql" {
		b = &body{steps: b.steps[len(b.steps)-1:]}
	}
	return !slices.ContainsFunc(b.steps, func(s step) bool {
		v := s.result.GetAConst().GetBoolval()
		return !v.GetBoolval() || len(s.guards) > 0
	})
}

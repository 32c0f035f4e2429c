package policy

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// withBodies gives the actions of the statement with those of the functions that
// it calls. A call goes out of the list where the bodies of all functions that
// its name may mean could be read; else it stays, and what could be read is added.
func (r *Reader) withBodies(f *Facts, c *Catalog) ([]Action, []Setting) {
	var all, added []Action
	settings := slices.Clone(f.Settings)
	for _, a := range f.Actions {
		for j := range a.judged {
			body, set := r.shadows(&a, &a.judged[j], c)
			added, settings = append(added, body...), append(settings, set...)
		}
		if a.Class != classFunctionCall && a.Class != "call" {
			all = append(all, a)
			continue
		}
		var unread []string
		for _, name := range a.Functions {
			if a.Class == classFunctionCall && c.sameNames && !executes(f.Text, name, c) {
				continue // it stands where the server does not go
			}
			body, set, read := r.bodies(name, a.Carrier, c)
			added, settings = append(added, body...), append(settings, set...)
			if !read || !c.sameNames {
				unread = append(unread, name)
			}
		}
		if a.Class == "call" { // its body may COMMIT, whatever else it does
			unread = a.Functions
		}
		if a.Functions = unread; len(unread) > 0 {
			all = append(all, a)
		}
	}
	all = append(all, added...)
	if len(all) == 0 {
		return slices.Clone(f.Actions), f.Settings
	}
	return all, settings
}

// bodies reads the functions that a call by this name may mean, and says whether
// all could be read.
func (r *Reader) bodies(name, carrier string, c *Catalog) (actions []Action, settings []Setting, read bool) {
	if strings.HasPrefix(name, operatorPrefix) {
		return nil, nil, false
	}
	n := functionName(name)
	if f, asked := c.found(n); !asked || f.Hidden {
		return nil, nil, false
	}
	candidates := c.functions(Table{Schema: n.Schema, Name: n.Name})
	read = len(candidates) > 0
	for _, f := range candidates {
		if f.BuiltIn {
			read = read && kindOf(Table{Name: f.Name}) != functionUnknown
			continue
		}
		if f.Kind != "f" && f.Kind != "p" || f.Body == "" || f.Settings {
			read = false
			continue
		}
		body := r.BodyFacts(name, f.Language, f.Body)
		settings = append(settings, body.Settings...)
		for _, b := range body.Actions {
			if b.Class == classFunctionCall && slices.Contains(b.Functions, name) {
				read = false
				continue
			}
			if !b.Class.In("read") {
				b.Carrier = within(carrier, b.Carrier)
				actions = append(actions, b)
			}
		}
	}
	return actions, settings, read
}

// shadows gives the calls in a WHERE of functions that have the name of a
// built-in one and are not it.
func (r *Reader) shadows(a *Action, j *judged, c *Catalog) (all []Action, settings []Setting) {
	var asked []Name
	namesBelow(j.where, j.statement, func(n Name) {
		if n.Kind == NameFunction && !slices.Contains(asked, n) && kindOf(Table{Schema: n.Schema, Name: n.Name}) != functionUnknown {
			asked = append(asked, n)
		}
	})
	for _, n := range asked {
		t := Table{Schema: n.Schema, Name: n.Name}
		if !slices.ContainsFunc(c.functions(t), func(f *Function) bool { return !f.BuiltIn && f.Volatility == "v" }) {
			continue
		}
		body, set, read := r.bodies(t.String(), a.Carrier, c)
		settings = append(settings, set...)
		if all = append(all, body...); !read {
			all = append(all, Action{Class: classFunctionCall, Carrier: a.Carrier, Functions: []string{t.String()}})
		}
	}
	return all, settings
}

// executes says whether a call of the function may run: not in a query of WITH
// that nothing reads, and not beside a constant false. Where it cannot be told it
// does. An immutable function runs when the statement is planned.
func executes(text, function string, c *Catalog) bool {
	n := functionName(function)
	for _, f := range c.functions(Table{Schema: n.Schema, Name: n.Name}) {
		if f.Volatility != "v" && f.Volatility != "s" {
			return true
		}
	}
	if text == "" || outOfBounds(text) != "" {
		return true
	}
	tree, err := pg.Parse(text)
	if err != nil || len(tree.Stmts) != 1 || tree.Stmts[0].Stmt.GetSelectStmt() == nil {
		return true
	}
	return calls(tree.Stmts[0].Stmt, Table{Schema: n.Schema, Name: n.Name})
}

// calls says whether a node holds a call of the function that may run.
func calls(n *pg.Node, function Table) bool {
	switch e := n.GetNode().(type) {
	case nil:
		return false
	case *pg.Node_FuncCall:
		if named(words(e.FuncCall.Funcname)) == function {
			return true
		}
	case *pg.Node_BoolExpr:
		if e.BoolExpr.Boolop == pg.BoolExprType_AND_EXPR && slices.ContainsFunc(e.BoolExpr.Args, isConstantFalse) {
			return false
		}
	case *pg.Node_SelectStmt:
		for _, q := range e.SelectStmt.GetWithClause().GetCtes() {
			query := q.GetCommonTableExpr()
			if query.GetCtequery().GetSelectStmt() != nil && !reads(n, query.Ctename, query) {
				continue
			}
			if calls(query.GetCtequery(), function) {
				return true
			}
		}
		return slices.ContainsFunc(childNodes(n), func(m *pg.Node) bool {
			return m.GetCommonTableExpr() == nil && calls(m, function)
		})
	}
	return slices.ContainsFunc(childNodes(n), func(m *pg.Node) bool { return calls(m, function) })
}

// reads says whether anything in a query reads the query of WITH of that name,
// but for itself.
func reads(n *pg.Node, name string, own *pg.CommonTableExpr) bool {
	if n.GetCommonTableExpr() == own && own != nil {
		return false
	}
	if v := n.GetRangeVar(); v != nil {
		return v.Schemaname == "" && v.Relname == name
	}
	return n.GetNode() != nil && slices.ContainsFunc(childNodes(n), func(m *pg.Node) bool { return reads(m, name, own) })
}

func isConstantFalse(n *pg.Node) bool {
	b := n.GetAConst().GetBoolval()
	return b != nil && !b.Boolval
}

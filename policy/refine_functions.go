package policy

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// Bounds on what is followed from one statement through bodies.
const (
	maxBodyDepth   = 6
	maxBodyActions = 300
)

// An expansion adds to the actions of a statement those of the functions, triggers
// and rules that they set off, and of those that these set off in turn.
type expansion struct {
	reader  *Reader
	facts   *Facts
	catalog *Catalog // of the statement itself

	waiting  []waitingAction
	actions  []Action
	settings []Setting
	wants    []Name
}

// A waitingAction has not been looked at yet.
type waitingAction struct {
	Action
	catalog   *Catalog // as far as it is to be believed where the action stands
	elsewhere bool     // names in it are looked up by a search_path that is not the session's
	path      []uint32 // the functions that it stands in, 0 for rules
}

// expand gives the facts with all that the catalogue knows of their actions.
func (r *Reader) expand(f *Facts, c *Catalog) *Facts {
	x := expansion{reader: r, facts: f, catalog: c, settings: slices.Clone(f.Settings)}
	for i := range f.Actions {
		x.waiting = append(x.waiting, waitingAction{Action: f.Actions[i], catalog: c})
	}
	for len(x.waiting) > 0 {
		a := x.waiting[0]
		x.waiting = x.waiting[1:]
		x.action(a)
	}
	g := *f
	if g.Actions, g.Settings, g.wants = x.actions, x.settings, x.wants; len(g.Actions) == 0 {
		g.Actions = slices.Clone(f.Actions) // all of them calls that do nothing
	}
	return &g
}

// action adds one action, and has what it sets off wait.
func (x *expansion) action(a waitingAction) {
	if len(a.path) > 0 && !a.elsewhere {
		a.names(func(n Name) {
			if _, asked := x.catalog.found(n); !asked && x.catalog.Found != nil && n.Name != "" && len(x.wants) < maxNames && !slices.Contains(x.wants, n) {
				x.wants = append(x.wants, n)
			}
		})
	}
	for i := range a.judged {
		x.shadows(&a, &a.judged[i])
	}
	if a.Class == classFunctionCall || a.Class == "call" {
		var unread []string
		for _, name := range a.Functions {
			if !x.call(&a, name) {
				unread = append(unread, name)
			}
		}
		if a.Class == "call" { // its body may COMMIT, whatever else it does
			unread = a.Functions
		}
		if a.Functions = unread; len(unread) == 0 {
			return
		}
	}
	if a.elsewhere {
		x.actions = append(x.actions, a.Action)
		return
	}
	refined, off := a.catalog.refine(a.Action)
	place := len(x.actions)
	x.actions = append(x.actions, refined)
	for i := range off {
		o := &off[i]
		carrier := within(a.Carrier, o.carrier)
		did, all := x.ran(o.body, o.known, carrier, &a, o.id, o.elsewhere)
		if !all {
			x.actions = append(x.actions, Action{Class: classFunctionCall, Carrier: carrier, Functions: []string{triggerPrefix + o.function}, unwritten: true})
		}
		if all && len(did) == 0 && o.idle() {
			x.actions[place].idle++
		}
		x.actions[place].writes(o, did, x.catalog)
	}
}

// ran has the actions of a body wait, and gives them; it says whether they are all
// that the body does.
func (x *expansion) ran(b *body, known knownValues, carrier string, by *waitingAction, id uint32, elsewhere bool) (did []Action, all bool) {
	again := 0
	for _, on := range by.path {
		if on == id && id != 0 {
			again++
		}
	}
	if len(by.path) >= maxBodyDepth || again > 1 || len(x.actions)+len(x.waiting) > maxBodyActions {
		return nil, false
	}
	w := walker{facts: &Facts{}, mentions: new(mentions)}
	all = w.ran(b, known, carrier)
	setOff := strings.Contains(carrier, "TRIGGER ") || strings.Contains(carrier, "RULE ")
	x.settings = append(x.settings, w.facts.Settings...)
	within := x.catalog.inBody(w.facts)
	path := append(by.path[:len(by.path):len(by.path)], id)
	for _, a := range w.facts.Actions {
		if a.Class.In("read") || setOff && everyday[a.Class] {
			continue
		}
		x.oneRow(&a)
		a.unwritten = true
		did = append(did, a)
		x.waiting = append(x.waiting, waitingAction{Action: a, catalog: within, elsewhere: elsewhere || by.elsewhere, path: path})
	}
	return did, all
}

// everyday are the classes of what triggers do for each row that is none of the
// business of whoever sets them off.
var everyday = map[Class]bool{
	"lock_table": true, "lock_table_shared": true, classSelectForUpdate: true, classSetval: true,
	"large_object_create": true, "large_object_write": true, "large_object_drop": true,
}

// oneRow lets a body count in a table of one row: UPDATE totals SET n = n + 1. That
// there is but one is what ANALYZE has found.
func (x *expansion) oneRow(a *Action) {
	if a.Class != classUpdate || a.Where != WhereMissing || len(a.Tables) != 1 {
		return
	}
	if rel := x.catalog.relationNamed(a.Tables[0]); rel != nil && rel.Kind == "r" && rel.Rows >= 0 && rel.Rows <= 1 && rel.Pages <= 1 && len(rel.Below) == 0 && rel.LastAnalyzed != nil {
		a.Where, a.Proof, a.judged = WherePresent, "the table has one row, by the statistics of the server", nil
	}
}

// inBody gives the catalogue as far as it is to be believed of the statements of a
// body: not of what tables hold, and of names only where nothing in the body may
// change what they mean.
func (c *Catalog) inBody(f *Facts) *Catalog {
	b := (*Reader)(nil).refineBatch(c)
	b.catalog.sameRows = false
	for i := range f.Actions {
		if a := &f.Actions[i]; a.Class != "drop_table" {
			b.after(f, a)
		}
	}
	return b.catalog
}

// call reads the functions that a call by this name may mean, and says whether all
// of what they do is known.
func (x *expansion) call(a *waitingAction, name string) (read bool) {
	c := a.catalog
	if strings.HasPrefix(name, operatorPrefix) || strings.HasPrefix(name, triggerPrefix) || a.elsewhere {
		return false
	}
	n := functionName(name)
	if f, asked := c.found(n); !asked || f.Hidden {
		return false
	}
	candidates := c.functions(Table{Schema: n.Schema, Name: n.Name})
	own := len(a.path) == 0 && a.Class == classFunctionCall && c.sameNames
	if own && len(candidates) > 0 && !x.executes(a, name, candidates) {
		return true // it stands where the server does not go
	}
	row := own && everyRow(x.facts.Text, Table{Schema: n.Schema, Name: n.Name}) != ""
	read = len(candidates) > 0
	for _, f := range candidates {
		if f.BuiltIn {
			read = read && kindOf(Table{Name: f.Name}) != functionUnknown
			continue
		}
		if f.Kind != "f" && f.Kind != "p" || f.Body == "" {
			read = false
			continue
		}
		from := len(x.waiting)
		_, all := x.ran(c.bodyOf(f), a.given.arguments(name, f), within(a.Carrier, "function "+name), a, f.OID, f.Settings)
		read = read && all && !f.Settings
		for i := from; i < len(x.waiting) && row; i++ {
			x.waiting[i].forEveryRow(everyRow(x.facts.Text, Table{Schema: n.Schema, Name: n.Name}))
		}
	}
	return read && c.sameNames
}

// forEveryRow notes that a function is called for every row of a table: what it
// does by a key it does for every key.
func (a *waitingAction) forEveryRow(of string) {
	if a.Where == WherePresent && a.Proof == "" {
		a.Where, a.Proof, a.judged = WhereIndependent, "it is done once for every row of "+of, nil
	}
}

// shadows has the calls in a WHERE wait of functions that have the name of a
// built-in one and are not it.
func (x *expansion) shadows(a *waitingAction, j *judged) {
	if a.elsewhere {
		return
	}
	var asked []Name
	namesBelow(j.where, j.statement, func(n Name) {
		if n.Kind == NameFunction && !slices.Contains(asked, n) && kindOf(Table{Schema: n.Schema, Name: n.Name}) != functionUnknown {
			asked = append(asked, n)
		}
	})
	for _, n := range asked {
		t := Table{Schema: n.Schema, Name: n.Name}
		if !slices.ContainsFunc(a.catalog.functions(t), func(f *Function) bool { return !f.BuiltIn && f.Volatility == "v" }) {
			continue
		}
		called := waitingAction{
			Action:  Action{Class: classFunctionCall, Carrier: a.Carrier, Functions: []string{t.String()}, unwritten: true},
			catalog: a.catalog, path: append(a.path[:len(a.path):len(a.path)], 0),
		}
		x.waiting = append(x.waiting, called)
	}
}

// executes says whether a call of the function may run: not in a query of WITH
// that nothing reads, not beside a constant false, and under EXPLAIN only what is
// not volatile. Where it cannot be told it does. An immutable function runs when
// the statement is planned.
func (x *expansion) executes(a *waitingAction, function string, candidates []*Function) bool {
	if slices.ContainsFunc(candidates, func(f *Function) bool { return f.Volatility != "v" && f.Volatility != "s" }) {
		return true
	}
	if a.Carrier == "EXPLAIN" || strings.HasPrefix(a.Carrier, "EXPLAIN, ") {
		return slices.ContainsFunc(candidates, func(f *Function) bool { return f.Volatility != "v" })
	}
	text := x.facts.Text
	if text == "" || outOfBounds(text) != "" {
		return true
	}
	tree, err := pg.Parse(text)
	if err != nil || len(tree.Stmts) != 1 || tree.Stmts[0].Stmt.GetSelectStmt() == nil {
		return true
	}
	n := functionName(function)
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

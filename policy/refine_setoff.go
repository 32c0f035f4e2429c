package policy

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// A setOff is a trigger or a rule that an action sets off.
type setOff struct {
	carrier   string // "TRIGGER t ON public.orders"
	via       string // "trigger t"
	from      Table
	depth     int
	id        uint32 // of the function, 0 of a rule
	function  string // that has the body, or the rule
	body      *body
	elsewhere bool // its names are looked up by a search_path of its own
	known     knownValues
	others    bool // what it makes of the row may change others
}

// idle says whether nothing of what it does changes rows: of a trigger that sets
// columns of the row that is written, or refuses it.
func (o *setOff) idle() bool {
	if o.id == 0 || o.elsewhere || o.others {
		return false
	}
	w := walker{facts: &Facts{}, mentions: new(mentions)}
	return w.ran(o.body, o.known, o.carrier) && len(w.facts.Settings) == 0 &&
		!slices.ContainsFunc(w.facts.Actions, func(a Action) bool { return !a.Class.In("read") })
}

// setsOff gives the triggers and rules of a relation that an action on it, or what
// the action goes on to, sets off. Those that the values in the statement keep from
// running are not among them.
func (c *Catalog) setsOff(a *Action, at reached) (off []setOff, evenWithoutRows bool) {
	var given knownValues
	if at.given != nil && len(at.relation.Rules)+len(at.relation.Triggers) > 0 {
		given = a.columnsGiven(at.given)
	}
	for i := range at.relation.Rules {
		rule := &at.relation.Rules[i]
		if rule.Event != at.event || a.Class == "copy_from" { // COPY sets off no rules
			continue
		}
		a.Triggers = append(a.Triggers, "rule "+rule.Name+" on "+at.table.String())
		evenWithoutRows = true
		off = append(off, setOff{
			carrier: "RULE " + rule.Name + " ON " + at.table.String(), via: "rule " + rule.Name, from: at.table, depth: at.depth, function: rule.Name,
			body: c.read(0, rule.Definition, func() *body { return ruleBody(rule) }), known: given,
		})
	}
	if at.relation.Kind == "v" && replacedByRule(at) {
		return off, evenWithoutRows
	}
	for i := range at.relation.Triggers {
		t := &at.relation.Triggers[i]
		if !slices.Contains(t.Events, at.event) || at.event == "update" && !t.looksAt(at.columns) {
			continue
		}
		known := knownValues{}
		if t.Row {
			known = c.leftBy(at, given, t)
		}
		known = known.told(t, at.relation, at.event)
		if !known.in(&body{}).reaches(t.when()) {
			continue
		}
		a.Triggers = append(a.Triggers, "trigger "+t.Name+" on "+at.table.String())
		evenWithoutRows = evenWithoutRows || !t.Row
		f := c.function(t.Function)
		if f != nil && f.BuiltIn {
			continue
		}
		o := setOff{
			carrier: "TRIGGER " + t.Name + " ON " + at.table.String(), via: "trigger " + t.Name, from: at.table, depth: at.depth,
			id: t.Function, function: t.Name, body: c.bodyOf(f), known: known,
			others: t.Row && t.Timing == "before" && at.event == "update" && c.followed(at.relation),
		}
		if f != nil {
			o.function, o.elsewhere = f.Name, f.Settings
		}
		off = append(off, o)
	}
	return off, evenWithoutRows
}

// followed says whether rows of other tables change with a column of the relation.
func (c *Catalog) followed(r *Relation) bool {
	return slices.ContainsFunc(c.ForeignKeys, func(k ForeignKey) bool {
		effect, _, _ := k.effect(reached{relation: r, event: "update"}, false)
		return k.To == r.OID && effect != ""
	})
}

// leftBy gives the values that the triggers before the event leave of those in the
// statement, for one trigger. Which of them run before that one is not looked at.
func (c *Catalog) leftBy(at reached, given knownValues, one *Trigger) knownValues {
	known := given
	for i := range at.relation.Triggers {
		t := &at.relation.Triggers[i]
		if t.Timing == "before" && t.Row && t.Name != one.Name && slices.Contains(t.Events, at.event) {
			known = known.withoutNew(c.bodyOf(c.function(t.Function)), given.told(t, at.relation, at.event))
		}
	}
	return known
}

// replacedByRule says whether a rule without a condition does something else in
// place of the event.
func replacedByRule(at reached) bool {
	return slices.ContainsFunc(at.relation.Rules, func(r RewriteRule) bool {
		return r.Event == at.event && r.Instead && len(ruleBody(&r).steps) > 0 && len(ruleBody(&r).steps[0].guards) == 0
	})
}

// looksAt says whether a trigger that is for updates of some columns runs when
// these are set; nil is any.
func (t *Trigger) looksAt(columns []string) bool {
	return len(t.Columns) == 0 || columns == nil || slices.ContainsFunc(columns, func(c string) bool { return slices.Contains(t.Columns, c) })
}

// when gives the condition of WHEN, which stands in the CREATE TRIGGER.
func (t *Trigger) when() []premise {
	tree, ok := parseBody(t.Definition)
	if t.Definition == "" || !ok || len(tree.Stmts) != 1 {
		return nil
	}
	if n := tree.Stmts[0].Stmt.GetCreateTrigStmt().GetWhenClause(); n != nil {
		return []premise{{node: n}}
	}
	return nil
}

// ruleBody reads the CREATE RULE that pg_get_ruledef wrote. A rule that cannot be
// read does what nobody knows.
func ruleBody(rule *RewriteRule) *body {
	b := &body{}
	tree, ok := parseBody(rule.Definition)
	if !ok || len(tree.Stmts) != 1 || tree.Stmts[0].Stmt.GetRuleStmt() == nil {
		return b
	}
	s := tree.Stmts[0].Stmt.GetRuleStmt()
	for _, n := range s.Actions {
		st := step{facts: besidesReading(n)}
		if s.WhereClause != nil {
			st.guards = []premise{{node: s.WhereClause}}
		}
		b.steps = append(b.steps, st)
	}
	b.all = true
	return b
}

// bodyOf gives what was read of the body of a function.
func (c *Catalog) bodyOf(f *Function) *body {
	if f == nil {
		return readBody("", "")
	}
	return c.read(f.OID, f.Body, func() *body { return readBody(f.Language, f.Body) })
}

// writes adds the tables that actions write to.
func (a *Action) writes(o *setOff, actions []Action, c *Catalog) {
	for _, b := range actions {
		if !b.Class.In("write") {
			continue
		}
		for _, t := range b.Tables {
			if len(a.Cascades) >= maxCascades {
				a.CascadesCut = true
				return
			}
			x := Cascade{Table: t, From: o.from, Via: o.via, Effect: string(b.Class), Depth: o.depth + 1, Rows: -1, PerRow: -1, AtMost: -1}
			if rel := c.relationNamed(t); rel != nil && !o.elsewhere {
				x.Table, x.Rows = rel.table(), rel.Rows
				x.PerRow, x.AtMost = c.spreadOf(rel, &b)
			}
			a.Cascades = append(a.Cascades, x)
		}
	}
}

// spreadOf says how many rows of the relation have a value in common in the column
// that the action looks for, on average and at most: of a column that refers to
// another relation, of which the statistics were asked.
func (c *Catalog) spreadOf(r *Relation, a *Action) (average, most float64) {
	average, most = -1, -1
	if len(a.judged) != 1 || a.judged[0].where == nil {
		return average, most
	}
	j := a.judged[0]
	j.catalog = c
	for _, part := range conjuncts(j.where, nil) {
		e := part.GetAExpr()
		if e.GetKind() != pg.A_Expr_Kind_AEXPR_OP || operatorName(e.Name) != "=" {
			continue
		}
		for _, column := range []string{j.targetColumn(e.Lexpr), j.targetColumn(e.Rexpr)} {
			for i := range c.ForeignKeys {
				k := &c.ForeignKeys[i]
				if column == "" || k.From != r.OID || len(k.Columns) != 1 || k.Columns[0] != column {
					continue
				}
				if per, top := k.Spread.over(r.Rows); per >= 0 && (average < 0 || per < average) {
					average, most = per, top
				}
			}
		}
	}
	return average, most
}

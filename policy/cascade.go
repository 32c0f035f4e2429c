package policy

import "slices"

// Bounds on what is followed from one action: the length of a chain, and how
// many relations in all.
const (
	maxCascadeDepth = 20
	maxCascades     = 200
)

// A reached is a relation with what happens to it.
type reached struct {
	relation *Relation
	table    Table
	event    string   // insert, update, delete, truncate, drop
	columns  []string // those that an update sets; nil for any
	depth    int
}

// reach lists what the action reaches without naming it, nearest first, and the
// triggers and rules that it sets off. It says whether one of those runs even if
// there is no row.
func (r *Reader) reach(a *Action, written []Table, c *Catalog) (evenWithoutRows bool) {
	event := eventOf(a.Class)
	if event == "" {
		return false
	}
	children := len(a.judged) == 0 || a.judged[0].target.GetInh() // not ONLY
	var queue []reached
	for i, t := range written {
		if rel := c.relationNamed(t); rel != nil {
			queue = append(queue, reached{rel, a.Tables[i], event, a.sets, 0})
		}
	}
	seen := make(map[uint32]string)
	a.CascadesCut = c.Cut
	add := func(from reached, to *Relation, by *ForeignKey, effect string) (Cascade, bool) {
		if len(a.Cascades) >= maxCascades || from.depth >= maxCascadeDepth || to == nil {
			a.CascadesCut = true
			return Cascade{}, false
		}
		x := Cascade{Table: to.table(), From: from.table, Effect: effect, Depth: from.depth + 1, Rows: to.Rows, PerRow: -1, AtMost: -1}
		if by != nil {
			x.Via = by.Name
			x.PerRow, x.AtMost = by.Spread.over(to.Rows)
		}
		a.Cascades = append(a.Cascades, x)
		return x, true
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if seen[at.relation.OID] == at.event || seen[at.relation.OID] == "delete" {
			continue
		}
		seen[at.relation.OID] = at.event
		if r.setsOff(a, at, c) {
			evenWithoutRows = true
		}
		if at.event == "insert" && at.relation.Kind != "v" {
			continue
		}
		if at.event != "drop" && !replaced(at) {
			for _, oid := range at.relation.Bases {
				if x, ok := add(at, c.relation(oid), nil, "view"); ok {
					queue = append(queue, reached{c.relation(oid), x.Table, at.event, nil, x.Depth})
				}
			}
		}
		for _, oid := range at.relation.Below {
			effect := "inherits"
			if at.relation.Kind == "p" {
				effect = "partition"
			}
			if !children || at.depth > 0 && at.table.Name == "" {
				break
			}
			if x, ok := add(at, c.relation(oid), nil, effect); ok {
				queue = append(queue, reached{c.relation(oid), x.Table, at.event, at.columns, x.Depth})
			}
		}
		for i := range c.ForeignKeys {
			k := &c.ForeignKeys[i]
			if k.To != at.relation.OID {
				continue
			}
			effect, next, columns := k.effect(at, a.Cascade)
			if effect == "" {
				continue
			}
			if x, ok := add(at, c.relation(k.From), k, effect); ok && next != "" {
				queue = append(queue, reached{c.relation(k.From), x.Table, next, columns, x.Depth})
			}
		}
	}
	return evenWithoutRows
}

// effect says what the foreign key does to the table that it stands on when that
// happens to the one it refers to, and as what event it goes on.
func (k *ForeignKey) effect(at reached, cascade bool) (effect, next string, columns []string) {
	action := ""
	switch at.event {
	case "truncate":
		if cascade {
			return "truncate", "truncate", nil
		}
		return "", "", nil // an error at the server
	case "drop":
		if cascade {
			return "drop constraint", "", nil
		}
		return "", "", nil
	case "delete":
		if action = k.OnDelete; action == "cascade" {
			return "delete", "delete", nil
		}
	case "update":
		if at.columns != nil && !slices.ContainsFunc(at.columns, func(c string) bool { return slices.Contains(k.ReferencedColumns, c) }) {
			return "", "", nil
		}
		if action = k.OnUpdate; action == "cascade" {
			return "update", "update", k.Columns
		}
	}
	if action == "set null" || action == "set default" {
		return action, "update", k.Columns
	}
	return "", "", nil
}

// replaced says whether a trigger does something else in place of the event on a
// view.
func replaced(at reached) bool {
	return slices.ContainsFunc(at.relation.Triggers, func(t Trigger) bool {
		return t.Timing == "instead of" && slices.Contains(t.Events, at.event)
	})
}

// setsOff notes the triggers and rules of a relation, and the tables that they
// write to.
func (r *Reader) setsOff(a *Action, at reached, c *Catalog) (evenWithoutRows bool) {
	for _, t := range at.relation.Triggers {
		if !slices.Contains(t.Events, at.event) {
			continue
		}
		a.Triggers = append(a.Triggers, "trigger "+t.Name+" on "+at.table.String())
		evenWithoutRows = evenWithoutRows || !t.Row
		if f := c.function(t.Function); f != nil && f.Body != "" {
			a.writes(at, "trigger "+t.Name, r.BodyFacts(f.Name, f.Language, f.Body).Actions)
		}
	}
	for _, rule := range at.relation.Rules {
		if rule.Event != at.event {
			continue
		}
		a.Triggers = append(a.Triggers, "rule "+rule.Name+" on "+at.table.String())
		evenWithoutRows = true
		actions, _ := r.ruleActions(rule)
		a.writes(at, "rule "+rule.Name, actions)
	}
	return evenWithoutRows
}

// writes adds the tables that actions write to.
func (a *Action) writes(at reached, via string, actions []Action) {
	for _, b := range actions {
		if !b.Class.In("write") {
			continue
		}
		for _, t := range b.Tables {
			if len(a.Cascades) >= maxCascades {
				a.CascadesCut = true
				return
			}
			a.Cascades = append(a.Cascades, Cascade{Table: t, From: at.table, Via: via, Effect: string(b.Class), Depth: at.depth + 1, Rows: -1, PerRow: -1, AtMost: -1})
		}
	}
}

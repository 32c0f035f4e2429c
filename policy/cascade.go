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
	given    *Relation // the one that the action names, in a partition of it, too: what is known of NEW and OLD is of that
}

// reach lists what the action reaches without naming it, nearest first, and gives
// the triggers and rules that it sets off. It says whether one of those runs even
// if there is no row.
func (c *Catalog) reach(a *Action, written []Table) (off []setOff, evenWithoutRows bool) {
	event := eventOf(a.Class)
	if event == "" {
		return nil, false
	}
	children := len(a.judged) == 0 || a.judged[0].target.GetInh() // not ONLY
	var queue []reached
	for i, t := range written {
		if rel := c.relationNamed(t); rel != nil {
			queue = append(queue, reached{relation: rel, table: a.Tables[i], event: event, columns: a.sets, given: rel})
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
		more, even := c.setsOff(a, at)
		off, evenWithoutRows = append(off, more...), evenWithoutRows || even
		if at.event == "insert" && at.relation.Kind != "v" {
			for _, oid := range at.relation.Below { // a row goes into one of the partitions
				if p := c.relation(oid); p != nil && at.relation.Kind == "p" {
					queue = append(queue, reached{p, p.table(), at.event, nil, at.depth + 1, at.given})
				}
			}
			continue
		}
		if at.event != "drop" && !replaced(at) && !replacedByRule(at) {
			for _, oid := range at.relation.Bases {
				if x, ok := add(at, c.relation(oid), nil, "view"); ok {
					queue = append(queue, reached{relation: c.relation(oid), table: x.Table, event: at.event, depth: x.Depth})
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
				queue = append(queue, reached{c.relation(oid), x.Table, at.event, at.columns, x.Depth, at.given})
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
				queue = append(queue, reached{relation: c.relation(k.From), table: x.Table, event: next, columns: columns, depth: x.Depth})
			}
		}
	}
	return off, evenWithoutRows
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

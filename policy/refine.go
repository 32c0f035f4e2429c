package policy

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// Refine gives the facts with what the catalogue adds to them: what names mean,
// which columns can be null and which table a column belongs to, what is behind
// views and what foreign keys take along, what functions and rules do. The facts
// must be as read; bind values may be in them or be put in afterwards. It makes a
// statement milder only where the catalogue proves it, and never by one that was
// kept (see Catalog.Kept).
//
// What is known of tables that hold no row is true of the moment in which the
// server answered. A row that comes between the answer and the statement is not
// seen.
func (r *Reader) Refine(f *Facts, c *Catalog) (refined *Facts) {
	if c == nil || f.Class == ClassUnparsed || f.Class == ClassUnknown {
		return f
	}
	defer func() {
		if recover() != nil { // a defect here must leave the statement as its text shows it
			refined = f
		}
	}()
	f = f.own()
	return r.expand(f, c)
}

// refine gives one action with what the catalogue says of it, and what it sets
// off.
func (c *Catalog) refine(a Action) (Action, []setOff) {
	kind := namesOf(a.Class)
	judgedBefore, where, proof := a.judged, a.Where, a.Proof
	a = c.withConstants(a).resolved(c)
	if !c.sameNames && a.Where > where {
		a.judged, a.Where, a.Proof = judgedBefore, where, proof
	}
	if c.forward(&a) {
		a.Class = classSetvalForward
	}
	if kind == "" {
		return a, nil
	}
	written := a.Tables
	a.Tables = make([]Table, len(written))
	for i, t := range written {
		a.Tables[i] = c.table(t, kind)
	}
	if kind != NameRelation {
		a.Empty = c.findsNothing(&a)
		return a, nil
	}
	off, evenWithoutRows := c.reach(&a, written)
	a.AtMostRows = c.atMostRows(&a)
	a.Empty = c.findsNothing(&a) && !evenWithoutRows
	a.Tool = c.toolOf(&a, written)
	return a, off
}

// table is a table as written, with what the catalogue knows of it.
func (c *Catalog) table(t Table, kind NameKind) Table {
	if kind != NameRelation {
		t.Missing = c.sameNames && c.missing(Name{Schema: t.Schema, Name: t.Name, Kind: kind})
		return t
	}
	rel := c.relationNamed(t)
	if rel == nil {
		t.Missing = c.sameNames && c.missing(Name{Schema: t.Schema, Name: t.Name, Kind: kind})
		return t
	}
	if c.sameNames {
		t = rel.table()
	}
	t.Empty = c.sameRows && c.empty(rel)
	return t
}

// table names the relation. One that is temporary is in pg_temp, whatever the
// number of its schema.
func (r *Relation) table() Table {
	if r.Temporary {
		return Table{Schema: "pg_temp", Name: r.Name, Temporary: true}
	}
	return Table{Schema: r.Schema, Name: r.Name}
}

// findsNothing says whether the action is known to have nothing to act on. DROP
// of a table without rows counts, but not with CASCADE: what depends on it need
// not be empty.
func (c *Catalog) findsNothing(a *Action) bool {
	if len(a.Tables) == 0 {
		return false
	}
	missing := !slices.ContainsFunc(a.Tables, func(t Table) bool { return !t.Missing })
	empty := !slices.ContainsFunc(a.Tables, func(t Table) bool { return !t.Missing && !t.Empty })
	switch {
	case a.Class.In("drop"):
		return missing || empty && a.Class == "drop_table" && !a.Cascade
	case a.Class == "truncate":
		return empty && !a.CascadesCut && !slices.ContainsFunc(a.Cascades, func(x Cascade) bool { return x.Effect == "truncate" })
	case a.Class == classDelete, a.Class == classUpdate:
		return empty || c.joinsNothing(a)
	}
	return false
}

// joinsNothing says whether the USING or FROM of a DELETE or an UPDATE has a
// table in it that is known to hold no row, without an outer join.
func (c *Catalog) joinsNothing(a *Action) bool {
	if !c.sameRows || len(a.judged) != 1 || strings.HasSuffix(a.Carrier, "MERGE") {
		return false
	}
	j := &a.judged[0]
	return slices.ContainsFunc(j.from, func(n *pg.Node) bool {
		v := n.GetRangeVar()
		if v == nil || v.Schemaname == "" && j.statement.queries[v.Relname] {
			return false
		}
		return c.empty(c.relationNamed(tableOf(v)))
	})
}

// eventOf is what triggers and rules call what an action of the class does.
func eventOf(c Class) string {
	switch c {
	case classInsert, "copy_from", "copy_from_file", "copy_from_program":
		return "insert"
	case classUpdate, classDelete, "truncate":
		return string(c)
	case "drop_table":
		return "drop"
	}
	return ""
}

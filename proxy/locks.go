package proxy

import (
	"slices"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/proxy/impact"
)

// Locks tell the commit gate of a TRUNCATE, DROP or ALTER hidden in code: the
// counters do not. They do not tell who took them, and so what statements that the
// statement gate let pass lock by what they are for has to be known.

// locks is what those statements of a transaction account for.
type locks struct {
	tables  []policy.Table // they lock
	emptied []policy.Table // they may leave no row of
	dropped []policy.Table // they drop: the tables themselves, by their names
	renewed []policy.Table // they write anew, to another file

	// elsewhere is true where they lock tables that they do not name: the other end
	// of a foreign key, the table of an index, a table that they give another name.
	elsewhere bool
	// code is true where something else ran that may lock tables: it may be code, or
	// is to be counted itself.
	code bool

	// copies is true where they leave locks on what is gone and had no rows: an index,
	// an empty table, the copy by which a table was written anew. drops is true where
	// people have let tables go, temporary how many went that are the session's own,
	// and gone which relations did in what was approved in a transaction block.
	copies, drops bool
	temporary     int
	gone          []uint32
}

// note notes what a statement locks because that is what it is for. TRUNCATE and
// DROP are to be counted all the same, but where people are asked about them, they
// find nothing, or what they drop holds no rows. around is true where the statement
// is measured around, so that it is known what it drops.
func (l *locks) note(f *policy.Facts, asked, around bool) {
	for i := range f.Actions {
		a := &f.Actions[i]
		drops, scratch := a.Class.In("drop"), temporary(a.Tables)
		l.code = l.code || mayLock(a.Class)
		switch {
		case losesRows(a) && !asked && !a.Empty && !scratch:
			l.code = true
			continue
		case a.Class.In("ddl") && !sharesTable[a.Class], a.Class == "truncate", a.Class == "lock_table", leavesLocks[a.Class]:
		default:
			continue
		}
		named := slices.Clone(a.Tables)
		if a.Parent.Name != "" {
			named = append(named, a.Parent)
		}
		for _, c := range a.Cascades {
			named = append(named, c.Table)
		}
		l.tables = append(l.tables, named...)
		if a.Carrier != "" { // code, which may do more than could be read in it
			l.code = true
		}
		if a.Class == "truncate" {
			l.emptied = append(l.emptied, named...)
		}
		if (a.Class == "drop_table" || a.Class == "drop_materialized_view") && a.Carrier == "" {
			l.dropped = append(l.dropped, a.Tables...)
		}
		if leavesLocks[a.Class] {
			l.renewed = append(l.renewed, named...)
		}
		if a.Carrier != "" && !asked {
			continue
		}
		l.elsewhere = l.elsewhere || drops && !onTable[a.Class] || a.Class == "alter_table_rename" || a.Class == "alter_table_set_schema"
		l.copies = l.copies || (drops || leavesLocks[a.Class]) && !(asked && around) // there it is known what is gone
		switch {
		case drops && losesRows(a) && scratch:
			l.temporary += len(a.Tables)
		case drops && losesRows(a) && asked && !around:
			l.drops = true
		}
	}
}

var (
	// onTable are the classes of what is dropped with the name of its table.
	onTable = classes("drop_trigger", "drop_rule", "drop_policy")
	// sharesTable are the classes of DDL that do not keep readers from a table that
	// is there already, and so account for no lock that does.
	sharesTable = classes("comment", "security_label", "create_index", "create_statistics", "create_trigger", "create_or_replace_trigger",
		"alter_table_set_statistics", "alter_table_validate_constraint", "alter_table_cluster_on")
	// leavesLocks are those that write a table anew, besides what is in the group
	// drop, or drop something on the way.
	leavesLocks = classes("vacuum_full", "cluster", "refresh_materialized_view", "refresh_materialized_view_concurrently",
		"alter_materialized_view", "alter_table_add_column_rewrite", "alter_table_set_expression", "alter_table_set_data_type",
		"alter_table_set_data_type_using", "alter_table_set_logged", "alter_table_set_unlogged", "alter_table_set_access_method",
		"alter_table_set_tablespace", "alter_table_drop_constraint", "alter_table_drop_identity", "alter_type_alter_attribute",
		"create_extension", "alter_extension")
	// runsCode are those that run what stands elsewhere: a script, or a query.
	runsCode = classes("execute", "create_extension", "alter_extension", "refresh_materialized_view", "refresh_materialized_view_concurrently")
	// rowless are those of the group drop that take no rows, unless they cascade.
	rowless = classes("drop_index", "drop_index_concurrently", "drop_view", "drop_sequence", "drop_schema", "drop_type", "drop_domain",
		"drop_function", "drop_procedure", "drop_routine", "drop_aggregate", "drop_statistics")
)

func classes(all ...policy.Class) map[policy.Class]bool {
	set := map[policy.Class]bool{}
	for _, c := range all {
		set[c] = true
	}
	return set
}

// losesRows reports whether TRUNCATE or DROP may take rows away.
func losesRows(a *policy.Action) bool {
	return a.Class == "truncate" || a.Class.In("drop") && !onTable[a.Class] && (a.Cascade || !rowless[a.Class])
}

// mayLock reports whether a statement may lock tables by more than what it is for:
// it runs code, or could by a trigger.
func mayLock(c policy.Class) bool {
	return runsCode[c] || c != "truncate" && !slices.ContainsFunc([]policy.Class{"ddl", "transaction", "session", "lock", "privilege", "read"},
		func(group policy.Class) bool { return c.In(string(group)) })
}

// calls reports whether a statement that is measured is more than INSERT, UPDATE,
// DELETE and MERGE: it may be code, or call it.
func calls(f *policy.Facts) bool {
	return slices.ContainsFunc(f.Actions, func(a policy.Action) bool { return !dml(a.Class) })
}

// temporary reports whether tables belong to the session alone.
func temporary(tables []policy.Table) bool {
	return len(tables) > 0 && !slices.ContainsFunc(tables, func(t policy.Table) bool { return !t.Temporary && t.Schema != "pg_temp" })
}

// cover reports whether statements that passed account for the lock on a table, and
// for what became of it. Of what is gone there is no name. Where code ran, a table
// that only they are known to have locked may have been emptied by it, and dropped
// what had rows: the statistics, which are of before, tell. It is to be called once
// for each table.
func (l *locks) cover(t impact.Table) bool {
	if t.Kind == "" { // it is gone
		switch {
		case l.drops || slices.Contains(l.gone, t.OID) || t.Temporary:
			return true
		case !l.code:
			return l.copies
		case !t.HeldRows:
			wasTable := t.Was == "r" || t.Was == "p" || t.Was == "m"
			return l.copies && (!wasTable || among(l.dropped, t))
		}
		l.temporary--
		return l.temporary >= 0
	}
	switch {
	case l.elsewhere && !l.code:
		return true
	case !among(l.tables, t):
		return false
	case !l.code || among(l.emptied, t):
		return true
	case among(l.renewed, t):
		return !t.Shrunk
	}
	return !t.Refilled
}

// among reports whether a table, or the one that it is a partition of, is named.
func among(tables []policy.Table, t impact.Table) bool {
	return slices.ContainsFunc(tables, func(l policy.Table) bool {
		return (l.Name == t.Name.Name && (l.Schema == "" || l.Schema == t.Schema)) ||
			(l.Name == t.Root.Name && (l.Schema == "" || l.Schema == t.Root.Schema))
	})
}

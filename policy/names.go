package policy

import (
	"cmp"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// maxNames bounds what is asked for one statement. What is not asked for stays
// as the text shows it.
const maxNames = 100

// Names lists the relations, functions, types and schemas of the statement that
// the catalogue could say more about, sorted: none for a plain read. The facts
// must be as read, not as refined.
func (f *Facts) Names() []Name {
	if f.ReadOnly() {
		return nil
	}
	var all []Name
	add := func(n Name) {
		if n.Name != "" && len(all) < maxNames && !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	for i := range f.Actions {
		f.Actions[i].names(add)
	}
	sortNames(all)
	return all
}

// names adds the names of one action.
func (a *Action) names(add func(Name)) {
	if kind := namesOf(a.Class); kind != "" {
		for _, t := range a.Tables {
			add(Name{Schema: t.Schema, Name: t.Name, Kind: kind})
		}
	}
	if a.Class == classFunctionCall || a.Class == "call" {
		for _, function := range a.Functions {
			if !strings.HasPrefix(function, operatorPrefix) && !strings.HasPrefix(function, triggerPrefix) {
				add(functionName(function))
			}
		}
	}
	for j := range a.judged {
		for _, n := range append([]*pg.Node{a.judged[j].where}, a.judged[j].from...) {
			namesBelow(n, a.judged[j].statement, add)
		}
	}
}

func sortNames(all []Name) {
	slices.SortFunc(all, func(a, b Name) int {
		return cmp.Or(strings.Compare(string(b.Kind), string(a.Kind)), strings.Compare(a.Schema, b.Schema), strings.Compare(a.Name, b.Name))
	})
}

// SetOff says that the action is no more than triggers and rules whose bodies do
// what nobody knows.
func (a *Action) SetOff() bool {
	return a.Class == classFunctionCall && !slices.ContainsFunc(a.Functions, func(f string) bool { return !strings.HasPrefix(f, triggerPrefix) })
}

// What goes by no name that could be asked for begins with these.
const (
	operatorPrefix = "operator "
	triggerPrefix  = "trigger "
)

func functionName(function string) Name {
	t := named(strings.Split(function, "."))
	return Name{Schema: t.Schema, Name: t.Name, Kind: NameFunction}
}

// namesBelow adds the relations and the functions that a condition names, those
// that are built in by their name too: an owner of a schema can have one of the
// same name.
func namesBelow(n *pg.Node, statement *mentions, add func(Name)) {
	switch e := n.GetNode().(type) {
	case nil:
		return
	case *pg.Node_RangeVar:
		if e.RangeVar.Schemaname != "" || !statement.queries[e.RangeVar.Relname] {
			add(Name{Schema: e.RangeVar.Schemaname, Name: e.RangeVar.Relname, Kind: NameRelation})
		}
		return
	case *pg.Node_FuncCall:
		t := named(words(e.FuncCall.Funcname))
		add(Name{Schema: t.Schema, Name: t.Name, Kind: NameFunction})
	}
	for _, c := range childNodes(n) {
		namesBelow(c, statement, add)
	}
}

// namesOf says what the tables of an action of the class are, or "" where the
// catalogue is not asked about them.
func namesOf(c Class) NameKind {
	switch c {
	case "drop_schema":
		return NameSchema
	case "drop_type", "drop_domain":
		return NameType
	case "drop_function", "drop_procedure", "drop_routine", "drop_aggregate":
		return NameFunction
	case classInsert, classUpdate, classDelete, classMerge, "truncate", "copy_from", "copy_from_file", "copy_from_program",
		classSelectForUpdate, "lock_table", "lock_table_shared", "vacuum", "vacuum_full", "analyze", "cluster", "reindex",
		"reindex_concurrently", "refresh_materialized_view", "refresh_materialized_view_concurrently",
		"drop_table", "drop_view", "drop_materialized_view", "drop_index", "drop_index_concurrently", "drop_sequence",
		"drop_foreign_table", "drop_trigger", "drop_rule", "drop_policy",
		"create_index", "create_index_concurrently", "create_trigger", "create_or_replace_trigger", "create_rule",
		"create_or_replace_rule", "create_policy":
		return NameRelation
	}
	for _, prefix := range []string{"alter_table_", "alter_view", "alter_materialized_view", "alter_sequence", "alter_index"} {
		if strings.HasPrefix(string(c), prefix) {
			return NameRelation
		}
	}
	return ""
}

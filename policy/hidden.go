package policy

import (
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// What a statement reads may be code: a view may call a function, so may row
// security, the check of a domain, a cast, and an operator or a function that goes by
// the name of a built-in one and is for other types. No text shows it. So a statement
// has, besides what it does, the names that could hide it, and the catalogue is asked
// what stands behind them.
//
// Not looked for are the planner's own calls, of immutable functions with constants in
// the predicate of an index, and the checks of domains that columns have, where a row
// is made anew (jsonb_populate_record).

// maxHiding bounds the names that may hide code. Of a statement with more it is not
// known whether they do.
const maxHiding = 1000

// Hiding gives the names in the statement that could hide code, and a key for them,
// which is empty where there are none.
func (f *Facts) Hiding() (names []Name, key string) { return f.hiding, f.hidingKey }

// Hides says that the statement may run code that its text does not show; see
// HidingCode.
func (f *Facts) Hides() bool { return f.hides }

// HidingCode gives the facts of a statement that may run code which its text does not
// show. The text is for facts that have none of their own.
func (f *Facts) HidingCode(text string) *Facts {
	g := *f
	g.hides = true
	if g.Text == "" {
		g.Text = text
	}
	return &g
}

// hides adds a name that could hide code.
func (w *walker) hides(kind NameKind, t Table) {
	if t.Schema == "pg_catalog" || t.Schema == "information_schema" {
		return
	}
	w.facts.hide(Name{Schema: t.Schema, Name: t.Name, Kind: kind})
}

// hide adds a name that could hide code to the facts.
func (f *Facts) hide(names ...Name) {
	for _, n := range names {
		if !slices.Contains(f.hiding, n) {
			f.hiding = append(f.hiding, n)
		}
	}
	if len(f.hiding) > maxHiding {
		f.hiding = []Name{anything}
	}
}

// anything stands for names that nobody has asked for: more than nothing is known of
// them to hide.
var anything = Name{Schema: "pg_catalog", Kind: NameFunction}

// hidden makes the key of what could hide code.
func (f *Facts) hidden() *Facts {
	if len(f.hiding) == 0 {
		return f
	}
	var b strings.Builder
	for _, n := range f.hiding {
		b.WriteByte(n.Kind[0])
		b.WriteString(strconv.Itoa(len(n.Schema)) + "." + strconv.Itoa(len(n.Name)))
		b.WriteString(n.Schema + n.Name)
	}
	f.hidingKey = b.String()
	return f
}

// operators notes that the statement has an operator, which may be another one than
// its name says.
func (w *walker) operators() { w.hides(NameOperator, Table{}) }

// attribute adds the last part of a.b: where a has no column b, it is a call of b.
func (w *walker) attribute(fields []*pg.Node) {
	if len(fields) == 0 {
		return
	}
	if s := fields[len(fields)-1].GetString_(); s != nil {
		w.hides(NameAttribute, Table{Name: s.Sval})
	}
}

// typed adds a type by its name, built-in ones too: the schema of temporary objects is
// looked into first.
func (w *walker) typed(t *pg.TypeName) {
	if len(t.GetNames()) > 0 {
		w.hides(NameType, named(words(t.Names)))
	}
}

// byName says of built-in functions that read the relations which they are given in
// an argument: nobody knows which.
func byName(function string) bool {
	for _, prefix := range []string{"table_to_xml", "schema_to_xml", "database_to_xml"} {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}

package policy

import "slices"

// RefineAll refines the statements of one message by a catalogue that was asked
// before the first of them ran. It believes the catalogue for as long as those
// before cannot have changed what names mean or what tables hold, and knows a
// temporary table that one of them makes.
func (r *Reader) RefineAll(batch []*Facts, c *Catalog) []*Facts {
	b := r.refineBatch(c)
	all := make([]*Facts, len(batch))
	for i, f := range batch {
		all[i] = b.next(f)
	}
	return all
}

// A refining is under way through the statements of one message.
type refining struct {
	reader  *Reader
	catalog *Catalog
}

func (r *Reader) refineBatch(c *Catalog) *refining {
	b := &refining{reader: r}
	if c != nil {
		copied := *c
		copied.Found = slices.Clone(c.Found)
		b.catalog = &copied
	}
	return b
}

func (b *refining) next(f *Facts) *Facts {
	if b.catalog == nil {
		return f
	}
	g := b.reader.Refine(f, b.catalog)
	for i := range f.Actions {
		b.after(f, &f.Actions[i])
	}
	return g
}

// after takes back what an action may have changed.
func (b *refining) after(f *Facts, a *Action) {
	switch {
	case a.Class.In("read"), a.Class == "begin", a.Class == "savepoint", a.Class == "release_savepoint", a.Class == "prepare":
	case a.Class == classInsert, a.Class == classUpdate, a.Class == classDelete, a.Class == classMerge, a.Class == "truncate", a.Class == "copy_from":
		b.catalog.sameRows = false
	case a.Class == classSet && !slices.ContainsFunc(f.Settings, func(s Setting) bool {
		return s.Name == "" || s.Name == "all" || s.Name == "search_path" || s.Name == "role" || s.Name == "session_authorization"
	}):
	case a.Class == "create_table", a.Class == "create_table_as", a.Class == "select_into":
		for _, t := range a.Tables {
			b.made(t)
		}
	case a.Class == "drop_table" && !a.Cascade:
		for _, t := range a.Tables {
			b.forget(t)
		}
	default:
		b.catalog = b.catalog.Moved()
		b.catalog.Found = slices.DeleteFunc(b.catalog.Found, func(f Found) bool { return f.OID == madeHere })
	}
}

// madeHere stands for the OID of a temporary table that the message itself makes.
const madeHere = ^uint32(0)

// made notes a new table. A temporary one is found under its name alone, unless
// there is another of that name: then search_path decides, which is not known.
func (b *refining) made(t Table) {
	temporary := t.Schema == "pg_temp"
	name := Name{Name: t.Name, Kind: NameRelation}
	known := temporary && b.catalog.sameNames && b.catalog.missing(name)
	b.forget(t)
	if !known {
		return
	}
	b.catalog.Found = append(b.catalog.Found, Found{Name: name, OID: madeHere})
	b.catalog.Relations = append(slices.Clone(b.catalog.Relations), Relation{OID: madeHere, Schema: "pg_temp", Name: t.Name, Kind: "r", Temporary: true, Rows: -1})
}

// forget leaves the name to the text: what it means now is not known.
func (b *refining) forget(t Table) {
	b.catalog.Found = slices.DeleteFunc(b.catalog.Found, func(f Found) bool { return f.Kind == NameRelation && f.Name.Name == t.Name })
	if t.Schema == "pg_temp" || t.Schema == "" {
		b.catalog.Relations = slices.DeleteFunc(slices.Clone(b.catalog.Relations), func(r Relation) bool { return r.OID == madeHere && r.Name == t.Name })
	}
}

package policy

import (
	"fmt"
	"strings"
)

// objectGlob is a pattern over schema.name. A pattern without a dot means the
// name in any schema.
type objectGlob struct{ schema, name glob }

// newObjectGlob splits a pattern, and says what is wrong with it, or "".
func newObjectGlob(text string) (objectGlob, string) {
	if wrong := glob(text).check(); wrong != "" {
		return objectGlob{}, wrong
	}
	schema, name, dotted := strings.Cut(text, ".")
	switch {
	case !dotted:
		return objectGlob{schema: "*", name: glob(text)}, ""
	case strings.Contains(name, "."):
		return objectGlob{}, "a pattern is schema.name, with one dot at most"
	case schema == "" || name == "":
		return objectGlob{}, "a pattern is schema.name, with text on both sides of the dot"
	}
	return objectGlob{schema: glob(schema), name: glob(name)}, ""
}

// match says whether the pattern means the object. Where the statement gives no
// schema, search_path decides, which the text does not show: such a name can be
// in any schema. It certainly matches only a pattern for every schema.
func (g objectGlob) match(schema, name string) truth {
	switch {
	case !g.name.match(name):
		return no
	case schema != "":
		return truthOf(g.schema.match(schema))
	case g.schema == "*":
		return yes
	}
	return cannotTell
}

// objectGlobs are patterns over schema.name, with "!" exclusions.
type objectGlobs struct {
	text    []string
	include []objectGlob
	exclude []objectGlob
}

// newObjectGlobs needs patterns that newObjectGlob has found nothing wrong with.
func newObjectGlobs(text []string) objectGlobs {
	g := objectGlobs{text: text}
	for _, t := range text {
		rest, excluded := strings.CutPrefix(t, "!")
		o, _ := newObjectGlob(rest)
		if excluded {
			g.exclude = append(g.exclude, o)
		} else {
			g.include = append(g.include, o)
		}
	}
	return g
}

func (g objectGlobs) match(schema, name string) truth {
	in := truthOf(len(g.include) == 0)
	for _, i := range g.include {
		in = max(in, i.match(schema, name))
	}
	for _, x := range g.exclude {
		in = min(in, yes-x.match(schema, name)) // yes-yes is no, yes-cannotTell is cannotTell
	}
	return in
}

// all sums up over several objects: yes if all are meant for certain, no if
// certainly none is.
func (g objectGlobs) all(n int, object func(int) (schema, name string)) truth {
	least, most := yes, no
	for i := range n {
		t := g.match(object(i))
		least, most = min(least, t), max(most, t)
	}
	if least == yes || most == no {
		return least
	}
	return cannotTell
}

// tableCondition is `table: ["billing.*", "!billing.scratch"]`, over the tables
// that an action acts upon. A statement that acts on no table meets it only if
// all patterns exclude.
type tableCondition struct{ globs objectGlobs }

// What is behind a view, and the partitions, count as tables that may be acted
// upon: they can be the doubt that keeps a rule, and are never what allows.
func (c *tableCondition) met(_ *Session, _ *Facts, a *Action) truth {
	t := c.named(a)
	for i := 0; t == no && len(c.globs.include) > 0 && i < len(a.Cascades); i++ {
		if x := &a.Cascades[i]; x.direct() && c.globs.match(x.Table.Schema, x.Table.Name) != no {
			t = cannotTell
		}
	}
	return t
}

func (c *tableCondition) named(a *Action) truth {
	switch {
	case unread(a):
		return cannotTell
	case len(a.Tables) == 0:
		return truthOf(len(c.globs.include) == 0)
	case len(a.Tables) == 1: // the usual case, without a closure
		return c.globs.match(a.Tables[0].Schema, a.Tables[0].Name)
	}
	return c.globs.all(len(a.Tables), func(i int) (string, string) { return a.Tables[i].Schema, a.Tables[i].Name })
}

func (c *tableCondition) found(_ *Session, _ *Facts, a *Action) string {
	switch {
	case unread(a):
		return "the tables cannot be read"
	case len(a.Tables) == 0:
		return "it acts on no table by name"
	}
	words := "it acts on " + tableNames(a.Tables)
	for _, t := range a.Tables {
		if t.Schema == "" {
			return words + ", in a schema that the text does not give"
		}
	}
	return words
}

func (c *tableCondition) String() string { return "table: " + list(c.globs.text) }

// String is the table as schema.name, or as name where no schema is given.
func (t Table) String() string {
	if t.Schema == "" {
		return t.Name
	}
	return t.Schema + "." + t.Name
}

// tableNames names at most four tables.
func tableNames(tables []Table) string {
	var names []string
	for _, t := range tables {
		if t.Name != "" { // objects without a name, such as a large object
			names = append(names, t.String())
		}
	}
	if n := len(names); n > 4 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:4], ", "), n-4)
	}
	return strings.Join(names, ", ")
}

// functionCondition is `function: ["dblink*", "admin.*"]`, over the functions
// called that are not known to be harmless.
type functionCondition struct{ globs objectGlobs }

func (c *functionCondition) met(_ *Session, _ *Facts, a *Action) truth {
	switch {
	case unread(a):
		return cannotTell
	case len(a.Functions) == 0:
		return no
	}
	return c.globs.all(len(a.Functions), func(i int) (string, string) { return splitFunction(a.Functions[i]) })
}

// splitFunction cuts "schema.name". A function of pg_catalog is found without
// its schema too, so that a pattern need not name it twice.
func splitFunction(f string) (schema, name string) {
	schema, name, dotted := strings.Cut(f, ".")
	if !dotted {
		return "", f
	}
	return schema, name
}

func (c *functionCondition) found(_ *Session, _ *Facts, a *Action) string {
	switch {
	case unread(a):
		return "the functions cannot be read"
	case len(a.Functions) == 0:
		return "it calls no function that is not known to be harmless"
	}
	return "it calls " + strings.Join(a.Functions, ", ")
}

func (c *functionCondition) String() string { return "function: " + list(c.globs.text) }

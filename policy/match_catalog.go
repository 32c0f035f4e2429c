package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The conditions here are over what only a catalogue knows. Where none was asked,
// nothing is known to be temporary or empty, and nothing is known to be reached.

// temporaryCondition is `temporary: true`: every table that the action names is
// known to belong to the session alone.
type temporaryCondition struct{ want bool }

func (c *temporaryCondition) met(_ *Session, _ *Facts, a *Action) truth {
	if unread(a) {
		return cannotTell
	}
	return truthOf(a.temporary() == c.want)
}

func (a *Action) temporary() bool {
	return len(a.Tables) > 0 && !slices.ContainsFunc(a.Tables, func(t Table) bool { return !t.Temporary && t.Schema != "pg_temp" })
}

func (c *temporaryCondition) found(_ *Session, _ *Facts, a *Action) string {
	switch {
	case unread(a):
		return "the tables cannot be read"
	case a.temporary():
		return "it acts on temporary tables only"
	}
	return "it is not known to act on temporary tables only"
}

func (c *temporaryCondition) String() string { return "temporary: " + strconv.FormatBool(c.want) }

// emptyCondition is `empty: true`: the action is known to find nothing to act on.
type emptyCondition struct{ want bool }

func (c *emptyCondition) met(_ *Session, _ *Facts, a *Action) truth {
	if unread(a) {
		return cannotTell
	}
	return truthOf(a.Empty == c.want)
}

func (c *emptyCondition) found(_ *Session, _ *Facts, a *Action) string {
	switch {
	case unread(a):
		return "the tables cannot be read"
	case !a.Empty:
		return "it is not known to find nothing"
	case slices.ContainsFunc(a.Tables, func(t Table) bool { return t.Missing }):
		return "what it names is not there"
	}
	return "its tables hold no row"
}

func (c *emptyCondition) String() string { return "empty: " + strconv.FormatBool(c.want) }

// toolTableCondition is `tool_table: true`: the action is known to rewrite the lock
// or the version of a tool, as the tool does it.
type toolTableCondition struct{ want bool }

func (c *toolTableCondition) met(_ *Session, _ *Facts, a *Action) truth {
	if unread(a) {
		return cannotTell
	}
	return truthOf((a.Tool != "") == c.want)
}

func (c *toolTableCondition) found(_ *Session, _ *Facts, a *Action) string {
	switch {
	case unread(a):
		return "the tables cannot be read"
	case a.Tool != "":
		return "its table is one that " + a.Tool + " keeps for itself"
	}
	return "its table is not known to be one that a tool keeps for itself"
}

func (c *toolTableCondition) String() string { return "tool_table: " + strconv.FormatBool(c.want) }

// cascadesCondition is `cascades: ["billing.*"]`, over the tables that foreign
// keys, triggers and rules take an action to.
type cascadesCondition struct{ globs objectGlobs }

func (c *cascadesCondition) met(_ *Session, _ *Facts, a *Action) truth {
	if unread(a) {
		return cannotTell
	}
	most := no
	for i := range a.Cascades {
		if x := &a.Cascades[i]; !x.direct() {
			most = max(most, c.globs.match(x.Table.Schema, x.Table.Name))
		}
	}
	if most == no && a.CascadesCut {
		return cannotTell
	}
	return most
}

// direct says that the action itself goes on to the table: what is behind a view,
// a partition.
func (x *Cascade) direct() bool {
	return x.Effect == "view" || x.Effect == "partition" || x.Effect == "inherits"
}

func (c *cascadesCondition) found(_ *Session, _ *Facts, a *Action) string {
	var names []string
	for i := range a.Cascades {
		if x := &a.Cascades[i]; !x.direct() && !slices.Contains(names, x.Table.String()) {
			names = append(names, x.Table.String())
		}
	}
	switch n := len(names); {
	case unread(a):
		return "what it cascades to cannot be read"
	case n == 0:
		return "it is not known to cascade"
	case n > 4:
		return fmt.Sprintf("it cascades to %s and %d more", strings.Join(names[:4], ", "), n-4)
	}
	return "it cascades to " + strings.Join(names, ", ")
}

func (c *cascadesCondition) String() string { return "cascades: " + list(c.globs.text) }

package policy

import (
	"fmt"
	"strings"
)

// settingCondition is `setting: {name: [track_counts], values: [off]}`, over the
// parameters that a statement sets, by whatever route the text shows. Without
// values every value is meant. Case has no meaning in either: PostgreSQL reads
// names and enumerated values without it.
type settingCondition struct {
	name   globs
	values *globs
}

func (c *settingCondition) met(_ *Session, f *Facts, a *Action) truth {
	if unread(a) {
		return cannotTell
	}
	if len(f.Settings) == 0 {
		return no
	}
	least, most := yes, no
	for i := range f.Settings {
		t := c.one(&f.Settings[i])
		least, most = min(least, t), max(most, t)
	}
	if least == yes || most == no {
		return least
	}
	return cannotTell
}

func (c *settingCondition) one(s *Setting) truth {
	name, value := cannotTell, cannotTell // where they are no constants
	if s.Name != "" {
		name = truthOf(c.name.matchFold(s.Name))
	}
	if c.values == nil {
		value = yes
	} else if s.Known {
		value = truthOf(c.values.matchFold(s.Value))
	}
	return min(name, value)
}

func (c *settingCondition) found(_ *Session, f *Facts, a *Action) string {
	switch {
	case unread(a):
		return "the settings cannot be read"
	case len(f.Settings) == 0:
		return "it sets no parameter"
	}
	// Not the values: they can be secrets.
	return "it sets " + settingNames(f.Settings)
}

func settingNames(settings []Setting) string {
	var names []string
	for _, s := range settings {
		if s.Name == "" {
			names = append(names, "a parameter whose name is no constant")
		} else {
			names = append(names, s.Name)
		}
	}
	return strings.Join(names, ", ")
}

func (c *settingCondition) String() string {
	if c.values == nil {
		return fmt.Sprintf("setting: {name: %s}", c.name)
	}
	return fmt.Sprintf("setting: {name: %s, values: %s}", c.name, c.values)
}

package approval

import (
	"maps"
	"slices"
)

// People are the human beings of the configuration, their logins and groups.
// It does not change once made. Names are compared exactly. The nil People are
// nobody.
type People struct {
	byName  map[string]Person
	byLogin map[string][]string        // login -> names, sorted
	groups  map[string]map[string]bool // group -> names
}

// NewPeople takes the persons of the configuration and further groups, those of
// the policy. A name in a group that is no person is passed over: only somebody
// who can be known can approve. Persons of one name are one person.
func NewPeople(persons []Person, groups map[string][]string) *People {
	p := &People{byName: map[string]Person{}, byLogin: map[string][]string{}, groups: map[string]map[string]bool{}}
	for _, person := range persons {
		if person.Name == "" {
			continue
		}
		known := p.byName[person.Name]
		p.byName[person.Name] = Person{
			Name:   person.Name,
			Groups: union(known.Groups, person.Groups),
			Logins: union(known.Logins, person.Logins),
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.byName)) {
		for _, login := range p.byName[name].Logins {
			p.byLogin[login] = append(p.byLogin[login], name)
		}
		for _, group := range p.byName[name].Groups {
			p.add(group, name)
		}
	}
	for group, names := range groups {
		for _, name := range names {
			p.add(group, name)
		}
	}
	return p
}

func (p *People) add(group, name string) {
	if _, known := p.byName[name]; !known {
		return
	}
	if p.groups[group] == nil {
		p.groups[group] = map[string]bool{}
	}
	p.groups[group][name] = true
}

// OfLogin returns the names of the persons who use the login, sorted. None means
// that nobody knows who is behind it.
func (p *People) OfLogin(login string) []string {
	if p == nil {
		return nil
	}
	return slices.Clone(p.byLogin[login])
}

// InGroup reports whether the person is a member of the group.
func (p *People) InGroup(person, group string) bool {
	return p != nil && p.groups[group][person]
}

// Find returns the person of that name.
func (p *People) Find(name string) (Person, bool) {
	if p == nil {
		return Person{}, false
	}
	person, ok := p.byName[name]
	return Person{Name: person.Name, Groups: slices.Clone(person.Groups), Logins: slices.Clone(person.Logins)}, ok
}

// Eligible returns the names of those who may decide a request with this quorum
// made by one of the requesters, sorted. It is empty when all of them together
// would not be enough.
func (p *People) Eligible(quorum []Need, requesters []string) []string {
	if p == nil {
		return nil
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(p.byName)) {
		if !slices.Contains(requesters, name) && p.needed(name, quorum) {
			names = append(names, name)
		}
	}
	if !p.enough(quorum, names) {
		return nil
	}
	return names
}

// needed reports whether the person is in a group that the quorum asks for.
func (p *People) needed(person string, quorum []Need) bool {
	return slices.ContainsFunc(quorum, func(n Need) bool { return p.InGroup(person, n.Group) })
}

// enough reports whether these approvers meet the quorum. A quorum that asks
// for nobody is never met.
func (p *People) enough(quorum []Need, approvers []string) bool {
	return len(quorum) > 0 && len(approvers) > 0 && len(p.Missing(quorum, approvers)) == 0
}

// Missing returns what of the quorum these approvers leave open. One person
// counts once, and for one need only, so this is a matching of persons to the
// places that the needs have: each approver takes a free place or one whose
// holder can move to another (Kuhn's augmenting paths).
func (p *People) Missing(quorum []Need, approvers []string) []Need {
	var places []string // the group that each place asks for
	for _, n := range quorum {
		for range max(n.Count, 1) {
			places = append(places, n.Group)
		}
	}
	holder := make([]string, len(places)) // place -> person, "" for free

	var seat func(person string, tried []bool) bool
	seat = func(person string, tried []bool) bool {
		for i, group := range places {
			if tried[i] || !p.InGroup(person, group) {
				continue
			}
			tried[i] = true
			if holder[i] == "" || seat(holder[i], tried) {
				holder[i] = person
				return true
			}
		}
		return false
	}
	for _, person := range union(nil, approvers) {
		seat(person, make([]bool, len(places)))
	}

	var missing []Need
	for i, group := range places {
		if holder[i] != "" {
			continue
		}
		if n := len(missing); n > 0 && missing[n-1].Group == group {
			missing[n-1].Count++
		} else {
			missing = append(missing, Need{Group: group, Count: 1})
		}
	}
	return missing
}

// union returns what is in either, sorted, each once.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

package approval

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var staff = NewPeople([]Person{
	{Name: "alice", Groups: []string{"developers"}, Logins: []string{"alice", "app"}},
	{Name: "bob", Groups: []string{"dba"}, Logins: []string{"bob", "app"}},
	{Name: "carol", Groups: []string{"dba", "owners"}, Logins: []string{"carol"}},
	{Name: "dave", Logins: []string{"dave"}},
}, map[string][]string{"owners": {"dave", "a stranger"}})

func TestLoginsBelongToPersons(t *testing.T) {
	for login, want := range map[string][]string{
		"alice": {"alice"}, "app": {"alice", "bob"}, "Alice": nil, "alice ": nil, "": nil, "postgres": nil,
	} {
		if got := staff.OfLogin(login); !slices.Equal(got, want) {
			t.Errorf("%q belongs to %v, want %v", login, got, want)
		}
	}
}

func TestGroupsAreThoseOfTheConfigurationAndThePolicy(t *testing.T) {
	for _, c := range []struct {
		person, group string
		want          bool
	}{
		{"bob", "dba", true}, {"dave", "owners", true}, {"carol", "owners", true}, {"alice", "dba", false},
		{"a stranger", "owners", false}, {"Bob", "dba", false}, {"bob", "DBA", false}, {"", "", false},
	} {
		if got := staff.InGroup(c.person, c.group); got != c.want {
			t.Errorf("%q in %q: %v", c.person, c.group, got)
		}
	}
	if _, ok := staff.Find("a stranger"); ok {
		t.Error("a name that only a group mentions is taken for a person")
	}
	if _, ok := (*People)(nil).Find("bob"); ok || (*People)(nil).InGroup("bob", "dba") || (*People)(nil).OfLogin("bob") != nil {
		t.Error("nobody at all knows bob")
	}
}

func TestPersonsOfOneNameAreOnePerson(t *testing.T) {
	p := NewPeople([]Person{{Name: "eve", Logins: []string{"eve"}}, {Name: "eve", Groups: []string{"dba"}, Logins: []string{"admin"}}, {Logins: []string{"nameless"}}}, nil)
	if eve, ok := p.Find("eve"); !ok || !slices.Equal(eve.Logins, []string{"admin", "eve"}) || !p.InGroup("eve", "dba") {
		t.Errorf("eve is %+v", eve)
	}
	if got := p.OfLogin("nameless"); got != nil {
		t.Errorf("a login belongs to somebody without a name: %v", got)
	}
}

func TestEligibleAreThoseOfTheGroupsWithoutTheRequesters(t *testing.T) {
	one := func(group string) []Need { return []Need{{group, 1}} }
	for name, c := range map[string]struct {
		quorum     []Need
		requesters []string
		want       []string
	}{
		"one of a group":                    {one("dba"), []string{"alice"}, []string{"bob", "carol"}},
		"never the requester":               {one("dba"), []string{"bob"}, []string{"carol"}},
		"nor any who share the login":       {one("dba"), []string{"alice", "bob"}, []string{"carol"}},
		"nobody is left":                    {one("dba"), []string{"bob", "carol"}, nil},
		"two of whom one asks":              {[]Need{{"dba", 2}}, []string{"bob"}, nil},
		"two groups":                        {[]Need{{"dba", 1}, {"owners", 1}}, []string{"alice"}, []string{"bob", "carol", "dave"}},
		"carol cannot count for both":       {[]Need{{"dba", 1}, {"owners", 1}}, []string{"bob", "dave"}, nil},
		"a group nobody is in":              {one("kings"), nil, nil},
		"a quorum of nobody lets nobody in": {nil, []string{"alice"}, nil},
	} {
		if got := staff.Eligible(c.quorum, c.requesters); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestOnePersonCountsForOneNeedAndForTheOneThatHelps(t *testing.T) {
	both := []Need{{"dba", 1}, {"owners", 1}}
	for name, c := range map[string]struct {
		quorum    []Need
		approvers []string
		want      []Need
	}{
		"nobody yet":                  {both, nil, both},
		"carol alone":                 {both, []string{"carol"}, []Need{{"owners", 1}}},
		"carol twice":                 {both, []string{"carol", "carol"}, []Need{{"owners", 1}}},
		"carol makes room for bob":    {both, []string{"carol", "bob"}, nil},
		"carol makes room for dave":   {both, []string{"carol", "dave"}, nil},
		"bob and dave":                {both, []string{"bob", "dave"}, nil},
		"the same group asked twice":  {[]Need{{"dba", 1}, {"dba", 1}}, []string{"bob"}, []Need{{"dba", 1}}},
		"two of three":                {[]Need{{"dba", 2}, {"owners", 1}}, []string{"bob", "carol"}, []Need{{"owners", 1}}},
		"three of three":              {[]Need{{"dba", 2}, {"owners", 1}}, []string{"bob", "carol", "dave"}, nil},
		"a need without a count is 1": {[]Need{{"dba", 0}}, nil, []Need{{"dba", 1}}},
		"strangers do not count":      {both, []string{"alice", "a stranger", ""}, both},
	} {
		if got := staff.Missing(c.quorum, c.approvers); !slices.Equal(got, c.want) {
			t.Errorf("%s: missing %v, want %v", name, got, c.want)
		}
	}
}

// All ways of giving persons to places, tried one by one, never find a better
// answer than the matching.
func TestMissingIsAsLittleAsItCanBe(t *testing.T) {
	groups := []string{"a", "b", "c"}
	rapid.Check(t, func(t *rapid.T) {
		var persons []Person
		var names []string
		for _, name := range []string{"p1", "p2", "p3", "p4", "p5"}[:rapid.IntRange(0, 5).Draw(t, "people")] {
			persons = append(persons, Person{Name: name, Groups: rapid.SliceOfDistinct(rapid.SampledFrom(groups), rapid.ID).Draw(t, name)})
			names = append(names, name)
		}
		people := NewPeople(persons, nil)
		var quorum []Need
		var places []string
		for range rapid.IntRange(1, 3).Draw(t, "needs") {
			n := Need{rapid.SampledFrom(groups).Draw(t, "group"), rapid.IntRange(1, 2).Draw(t, "count")}
			quorum = append(quorum, n)
			places = append(places, slices.Repeat([]string{n.Group}, n.Count)...)
		}

		var most func(i int, free []string) int // places filled from i on
		most = func(i int, free []string) int {
			if i == len(places) {
				return 0
			}
			best := most(i+1, free)
			for j, name := range free {
				if people.InGroup(name, places[i]) {
					best = max(best, 1+most(i+1, slices.Delete(slices.Clone(free), j, j+1)))
				}
			}
			return best
		}
		missing := 0
		for _, n := range people.Missing(quorum, names) {
			missing += n.Count
		}
		if want := len(places) - most(0, names); missing != want {
			t.Fatalf("%d of %v are missing, %d would have to be", missing, quorum, want)
		}
	})
}

func TestQuorumOfNobodyIsNeverMet(t *testing.T) {
	for _, quorum := range [][]Need{nil, {}, {{}}, {{Group: "dba"}}} {
		if staff.enough(quorum, nil) {
			t.Errorf("nobody at all meets %v", quorum)
		}
	}
	if staff.enough(nil, []string{"bob"}) {
		t.Error("bob meets a quorum that asks for nobody")
	}
}

package approval

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// bound is what of an ask and its persons a binding must tell apart.
func bound(a Ask, persons []string) string {
	persons = slices.Sorted(slices.Values(persons))
	return fmt.Sprintf("%q %q %q %q %q %q %q %q %q %v %q %q", a.PolicyHash, a.Rule, a.Server, a.Database, a.Login, a.Role,
		a.Statement, a.ParameterHash, a.Settings, a.InTransaction, a.Scope, persons)
}

// Parts are drawn from few short texts, so that two asks are often equal and
// often differ only in where one part ends and the next begins.
func drawAsk(t *rapid.T, name string) (Ask, []string) {
	part := rapid.SampledFrom([]string{"", "a", "b", "aa", "ab", "\x00", "\x00\x00\x00\x00\x00\x00\x00\x01a", "yes", "no"})
	return Ask{
		PolicyHash: part.Draw(t, name+" policy"), Rule: part.Draw(t, name+" rule"), Server: part.Draw(t, name+" server"),
		Database: part.Draw(t, name+" database"), Login: part.Draw(t, name+" login"), Role: part.Draw(t, name+" role"),
		Statement: part.Draw(t, name+" statement"), ParameterHash: []byte(part.Draw(t, name+" parameters")), Settings: part.Draw(t, name+" settings"),
		InTransaction: rapid.Bool().Draw(t, name+" in transaction"),
		Scope:         rapid.SampledFrom([]Scope{OneStatement, WholeSession}).Draw(t, name+" scope"),
	}, rapid.SliceOfN(part, 0, 3).Draw(t, name+" persons")
}

func TestTwoDifferentAsksNeverHaveTheSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, aPersons := drawAsk(t, "first")
		b, bPersons := drawAsk(t, "second")
		if rapid.Bool().Draw(t, "differ in one part only") {
			b, bPersons = a, slices.Clone(aPersons)
			field := reflect.ValueOf(&b).Elem().FieldByName(rapid.SampledFrom([]string{
				"PolicyHash", "Rule", "Server", "Database", "Login", "Role", "Statement", "Settings"}).Draw(t, "part"))
			field.SetString(rapid.String().Draw(t, "its text"))
		}
		same := bytes.Equal(canonical(a, aPersons), canonical(b, bPersons))
		if want := bound(a, aPersons) == bound(b, bPersons); same != want {
			t.Fatalf("same bytes: %v, same ask: %v\n%s\n%s", same, want, bound(a, aPersons), bound(b, bPersons))
		}
	})
}

func FuzzBindingTellsPartsApart(f *testing.F) {
	f.Add("DELETE FROM t", "search_path=a", "DELETE FROM ts", "earch_path=a")
	f.Add("", "\x00", "\x00", "")
	f.Fuzz(func(t *testing.T, statement1, settings1, statement2, settings2 string) {
		a, b := Ask{Statement: statement1, Settings: settings1}, Ask{Statement: statement2, Settings: settings2}
		if same := bytes.Equal(Binding(a), Binding(b)); same != (statement1 == statement2 && settings1 == settings2) {
			t.Errorf("same binding: %v for %q, %q and %q, %q", same, statement1, settings1, statement2, settings2)
		}
	})
}

func TestBindingLeavesOutWhatIsForPeople(t *testing.T) {
	a := Ask{Rule: "r", Statement: "s", Scope: OneStatement}
	b := a
	b.Mode, b.Title, b.Application, b.Address, b.Session, b.Impact, b.Parameters = Ticket, "t", "psql", "10.0.0.1:1", "s2", "3 rows", []string{"1"}
	b.Quorum = []Need{{Group: "dba", Count: 1}} // the policy's hash has it
	if !bytes.Equal(Binding(a, "alice", "bob"), Binding(b, "bob", "alice")) {
		t.Error("a statement sent again from another window is another request")
	}
	if n := len(Binding(a)); n != 32 {
		t.Errorf("a binding has %d bytes, want a SHA-256", n)
	}
}

package policy

import (
	"strings"
	"testing"
	"time"
)

func TestAnExpressionIsAskedWhenTheRestIsMet(t *testing.T) {
	session := Session{User: "alice", Database: "shop", Application: "psql", Now: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)}
	for _, c := range []struct {
		when, sql string
		want      Verdict
	}{
		{"size(tables) == 1 && tables[0] == 'orders'", "DELETE FROM orders WHERE id = 1", Hold},
		{"size(tables) == 1 && tables[0] == 'orders'", "DELETE FROM users WHERE id = 1", Allow},
		{"class == 'delete' && where == 'present'", "DELETE FROM orders WHERE id = 1", Hold},
		{"class == 'delete' && where == 'present'", "DELETE FROM orders", Allow},
		{"'write' in groups", "UPDATE orders SET n = 1", Hold},
		{"user.startsWith('al') && !in_transaction && now.getHours() >= 20", "DELETE FROM orders", Hold},
		{"user == 'bob'", "DELETE FROM orders", Allow},
		{"functions.exists(f, f.contains('purge'))", "SELECT purge_all()", Hold},
		// What cannot be evaluated counts against the statement.
		{"tables[7] == 'x'", "DELETE FROM orders", Hold},
		{"[0,1,2,3,4,5,6,7,8,9].all(a, [0,1,2,3,4,5,6,7,8,9].all(b, [0,1,2,3,4,5,6,7,8,9].all(c, [0,1,2,3,4,5,6,7,8,9].all(d, a + b + c + d < 0 || user != ''))))",
			"DELETE FROM orders", Hold},
	} {
		p := parsed(t, "  - {id: asked, match: {statement: [write, function_call]}, when: \""+c.when+"\", action: hold}\n")
		if d := p.Decide(&session, NewReader().Read(c.sql, usual)[0]); d.Verdict != c.want {
			t.Errorf("%s: %s: %s, want %s", c.when, c.sql, d.Verdict, c.want)
		}
	}
}

// A doubt allows nothing.
func TestAnExpressionThatFailsAllowsNothing(t *testing.T) {
	p := parsed(t, `
  - {id: open, match: {user: "*"}, when: "tables[7] == 'x'", action: allow, final: true}
  - {id: unless, match: {user: "*"}, when: "now < timestamp('2020-01-01T00:00:00Z')", action: allow, final: true}
  - {id: all, match: {statement: [delete]}, action: block}
`)
	if d := p.Decide(&Session{User: "alice"}, NewReader().Read("DELETE FROM orders", usual)[0]); d.Verdict != Block {
		t.Errorf("%s by %s", d.Verdict, d.ID())
	}
	// Nor does one over the text at the commit gate, where there is none.
	p = parsed(t, `
  - {id: open, match: {user: "*"}, when: "size(tables) < 99", action: allow, final: true}
  - {id: many, match: {rows: "> 1"}, action: block}
`)
	if d := p.DecideImpact(&Session{User: "alice"}, changed(t, "deleted 5 of public.a/9")); d.Verdict != Block {
		t.Errorf("%s by %s", d.Verdict, d.ID())
	}
}

func TestAnExpressionMayAskForRows(t *testing.T) {
	p := parsed(t, `
  - {id: many, match: {rows: "> 10"}, when: "rows > 100.0 || 'public.orders' in tables || estimated", action: hold}
`)
	for impact, want := range map[string]Verdict{
		"deleted 11 of public.orders/900": Hold, "deleted 11 of public.users/900": Allow, "deleted 101 of public.users/900": Hold,
	} {
		if d := p.DecideImpact(&Session{}, changed(t, impact)); d.Verdict != want {
			t.Errorf("%s: %s, want %s", impact, d.Verdict, want)
		}
	}
	r := p.ExplainImpact(&Session{}, changed(t, "deleted 11 of public.users/900"))
	if len(r) != 1 || r[0].Matched || !strings.Contains(r[0].Reason, "the expression is false") {
		t.Errorf("%+v", r)
	}
}

func TestAnExpressionChangesTheHash(t *testing.T) {
	one := parsed(t, "  - {id: a, match: {rows: \"> 1\"}, when: rows > 5.0, action: hold}\n").Hash()
	other := parsed(t, "  - {id: a, match: {rows: \"> 1\"}, when: rows > 6.0, action: hold}\n").Hash()
	text := parsed(t, "  - {id: a, match: {user: x}, when: user == 'a', action: hold}\n").Hash()
	texts := parsed(t, "  - {id: a, match: {user: x}, when: user == 'b', action: hold}\n").Hash()
	if one == other || text == texts {
		t.Error("another expression, and the same hash")
	}
}

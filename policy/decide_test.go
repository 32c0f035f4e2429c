package policy

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// facts of a statement that does these things.
func facts(actions ...Action) *Facts {
	return &Facts{Class: actions[0].Class, Actions: actions}
}

func on(class Class, tables ...string) Action {
	a := Action{Class: class}
	for _, t := range tables {
		schema, name := splitFunction(t)
		a.Tables = append(a.Tables, Table{Schema: schema, Name: name})
	}
	return a
}

// answer is "verdict id".
func answer(p *Policy, s Session, f *Facts) string {
	d := p.Decide(&s, f)
	return d.Verdict.String() + " " + d.ID()
}

func TestTheStrictestMatchingRuleWins(t *testing.T) {
	p := mustParse(t, `version: 1
rules:
  - {id: a, match: {statement: [write]}, action: allow}
  - {id: w, match: {statement: [write]}, action: warn}
  - {id: h, match: {statement: [delete, truncate, merge]}, action: hold}
  - {id: t, match: {statement: [truncate, merge]}, action: ticket}
  - {id: b, match: {statement: [merge]}, action: block}
  - {id: h2, match: {statement: [delete]}, action: hold}
`, nil)
	for class, want := range map[Class]string{
		"select": "allow allowed", "insert": "warn w", "delete": "hold h", "truncate": "ticket t", "merge": "block b",
	} {
		if got := answer(p, Session{}, facts(on(class))); got != want {
			t.Errorf("%s: %s, want %s", class, got, want)
		}
	}
}

func TestAFinalAllowEndsTheSearchForItsOwnActionOnly(t *testing.T) {
	p := mustParse(t, `version: 1
rules:
  - {id: before, match: {table: [scratch.guarded]}, action: hold}
  - {id: scratch, match: {table: ["scratch.*"]}, action: allow, final: true}
  - {id: behind, match: {statement: [delete]}, action: block}
`, nil)
	for _, c := range []struct {
		name  string
		facts *Facts
		want  string
	}{
		{"in scratch", facts(on("delete", "scratch.a")), "allow scratch"},
		{"elsewhere", facts(on("delete", "public.a")), "block behind"},
		{"what matched before still counts", facts(on("delete", "scratch.guarded")), "hold before"},
		{"the rest of the statement is not carried along", facts(on("delete", "scratch.a"), on("delete", "public.a")), "block behind"},
		{"not all tables are meant", facts(on("delete", "scratch.a", "public.a")), "block behind"},
		{"an unqualified name can be another table", facts(on("delete", "a")), "block behind"},
	} {
		if got := answer(p, Session{}, c.facts); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestTextThatCannotBeReadGetsItsDefaultAtLeast(t *testing.T) {
	for _, c := range []struct{ policy, unparsed, unknown string }{
		{"version: 1\n", "hold unparsed", "hold unknown"},
		{"version: 1\ndefaults: {unparsed: block, unknown: ticket}\n", "block unparsed", "ticket unknown"},
		{"version: 1\ndefaults: {unparsed: allow, unknown: allow}\n", "allow unparsed", "allow unknown"},
		// An allow rule is not enough, a final one is.
		{"version: 1\nrules:\n- {id: a, match: {statement: [opaque]}, action: allow}\n", "hold unparsed", "hold unknown"},
		{"version: 1\nrules:\n- {id: a, match: {user: [x]}, action: allow, final: true}\n", "allow a", "allow a"},
		// A rule can be stricter.
		{"version: 1\nrules:\n- {id: a, match: {statement: [unparsed]}, action: block}\n", "block a", "hold unknown"},
		// Rules about other statements say nothing about it.
		{"version: 1\nrules:\n- {id: a, match: {statement: [delete], table: [t]}, action: block}\n", "hold unparsed", "hold unknown"},
		// Rules about what cannot be read count as their action.
		{"version: 1\nrules:\n- {id: a, match: {table: [secret.t]}, action: block}\n", "block a", "block a"},
		{"version: 1\nrules:\n- {id: a, match: {cascade: true}, action: block}\n", "block a", "block a"},
		{"version: 1\nrules:\n- {id: a, match: {where: [missing]}, action: block}\n", "block a", "block a"},
		{"version: 1\nrules:\n- {id: a, match: {setting: {name: x}}, action: block}\n", "block a", "block a"},
		{"version: 1\nrules:\n- {id: a, match: {function: f}, action: block}\n", "block a", "block a"},
		// But nobody is let through on them.
		{"version: 1\nrules:\n- {id: a, match: {table: [scratch.t]}, action: allow, final: true}\n", "hold unparsed", "hold unknown"},
	} {
		p := mustParse(t, c.policy, nil)
		s := Session{User: "x"}
		if got := answer(p, s, facts(Action{Class: ClassUnparsed})); got != c.unparsed {
			t.Errorf("unparsed: %s, want %s\n%s", got, c.unparsed, c.policy)
		}
		for name, f := range map[string]*Facts{
			"no facts": nil, "zero": {}, "unknown": facts(Action{Class: ClassUnknown}),
			"a class that is in no list": facts(Action{Class: "frobnicate"}), "zero action": facts(Action{}),
		} {
			if got := answer(p, s, f); got != c.unknown {
				t.Errorf("%s: %s, want %s\n%s", name, got, c.unknown, c.policy)
			}
		}
	}
}

func TestTheZeroDecisionBlocks(t *testing.T) {
	if v := (Decision{}).Verdict; v != Block || v.Runs() {
		t.Errorf("the zero verdict is %s", v)
	}
}

func TestWhatNoRuleNamesGetsTheDefault(t *testing.T) {
	p := mustParse(t, `version: 1
defaults: {allowed: block}
rules:
  - {id: reads, match: {statement: [read, transaction]}, action: allow}
`, nil)
	if got := answer(p, Session{}, facts(on("select"))); got != "allow reads" {
		t.Errorf("a read: %s", got)
	}
	if got := answer(p, Session{}, facts(on("insert"))); got != "block allowed" {
		t.Errorf("what the list of allowed statements does not name: %s", got)
	}
	if got := answer(p, Session{}, facts(on("select"), on("insert"))); got != "block allowed" {
		t.Errorf("a read that carries a write: %s", got)
	}
}

func TestConditions(t *testing.T) {
	saturday := time.Date(2026, 1, 10, 23, 30, 0, 0, time.UTC)
	session := Session{User: "alice", Role: "app_owner", Database: "shop", Application: "DBeaver 24.1 - Main",
		Address: netip.MustParseAddr("::ffff:10.1.2.3"), Now: saturday}
	setting := func(name, value string, known bool) *Facts {
		f := facts(on("set"))
		f.Settings = []Setting{{Name: name, Value: value, Known: known}}
		return f
	}
	del := facts(on("delete", "public.orders"))
	bare := facts(on("delete", "orders"))
	call := func(functions ...string) *Facts {
		return facts(Action{Class: "function_call", Functions: functions})
	}
	for _, c := range []struct {
		match string
		facts *Facts
		want  bool
	}{
		{`statement: [delete]`, del, true},
		{`statement: write`, del, true},
		{`statement: [write, "!delete"]`, del, false},
		{`statement: ["!read"]`, del, true},
		{`statement: ["!write"]`, del, false},

		{`where: missing`, facts(Action{Class: "delete", Where: WhereMissing}), true},
		{`where: [always_true, independent, unlinked]`, facts(Action{Class: "delete", Where: WhereMissing}), false},
		{`where: [missing, always_true, independent, unlinked]`, facts(Action{Class: "delete", Where: WherePresent}), false},

		{`table: [orders]`, del, true},
		{`table: [public.orders]`, del, true},
		{`table: ["*.orders"]`, del, true},
		{`table: ["public.*"]`, del, true},
		{`table: ["pub???.ord*"]`, del, true},
		{`table: [billing.orders]`, del, false},
		{`table: [order]`, del, false},
		{`table: ["*", "!public.orders"]`, del, false},
		{`table: ["!public.*"]`, del, false},
		{`table: ["!billing.*"]`, del, true},
		// A name without a schema can be in any: it is meant by each pattern, and
		// excluded only by one for all schemas.
		{`table: [orders]`, bare, true},
		{`table: [billing.orders]`, bare, true},
		{`table: [billing.users]`, bare, false},
		{`table: ["!public.*"]`, bare, true},
		{`table: ["!orders"]`, bare, false},
		{`table: ["!*.orders"]`, bare, false},
		// Of several tables one is enough.
		{`table: [billing.a]`, facts(on("truncate", "public.x", "billing.a")), true},
		{`table: ["!pg_temp.*"]`, facts(on("truncate", "pg_temp.x", "pg_temp.y")), false},
		{`table: ["!pg_temp.*"]`, facts(on("truncate", "pg_temp.x", "y")), true},
		{`table: ["*"]`, facts(on("checkpoint")), false},
		{`table: ["!pg_temp.*"]`, facts(on("drop_owned")), true},

		{`function: "purge_*"`, call("purge_all"), true},
		{`function: "purge_*"`, call("admin.purge_all"), true},
		{`function: "admin.*"`, call("purge_all"), true},
		{`function: "admin.*"`, call("public.purge_all"), false},
		{`function: "x"`, call("a", "x"), true},
		{`function: "!x"`, call("a", "x"), true},
		{`function: "!x"`, call("x"), false},
		{`function: "*"`, del, false},

		{`cascade: true`, facts(Action{Class: "drop_table", Cascade: true}), true},
		{`cascade: true`, facts(Action{Class: "drop_table"}), false},
		{`cascade: false`, facts(Action{Class: "drop_table"}), true},

		{`setting: {name: track_counts}`, setting("track_counts", "on", true), true},
		{`setting: {name: Track_Counts, values: [OFF]}`, setting("track_counts", "off", true), true},
		{`setting: {name: track_counts, values: [off]}`, setting("track_counts", "OFF", true), true},
		{`setting: {name: track_counts, values: [off]}`, setting("track_counts", "on", true), false},
		{`setting: {name: track_counts, values: [off]}`, setting("track_counts", "", false), true},
		{`setting: {name: track_counts, values: [off]}`, setting("", "", false), true},
		{`setting: {name: track_counts, values: [off]}`, setting("", "off", true), true},
		{`setting: {name: track_counts, values: [off]}`, setting("", "view, foreign-table", true), false},
		{`setting: {name: track_counts}`, setting("", "view, foreign-table", true), true},
		{`setting: {name: "track_*", values: ["!on"]}`, setting("track_io_timing", "off", true), true},
		{`setting: {name: lock_timeout, values: [0]}`, setting("lock_timeout", "0", true), true},
		{`setting: {name: track_counts}`, del, false},

		{`user: alice`, del, true},
		{`user: ["*", "!alice"]`, del, false},
		{`user: "Alice"`, del, false},
		{`role: app_owner`, del, true},
		{`database: ["sh?p"]`, del, true},
		{`database: ["prod*"]`, del, false},
		{`application: ["psql", "DBeaver*"]`, del, true},
		{`application: ["pgAdmin*"]`, del, false},
		{`address: 10.0.0.0/8`, del, true},
		{`address: [10.0.0.0/8, "!10.1.2.3"]`, del, false},
		{`address: "::/0"`, del, false},
		{`transaction: none`, del, true},
		{`transaction: open`, del, false},
		{`restore: true`, del, false},
		{`restore: false`, del, true},

		{`time: {days: [sat, sun]}`, del, true},
		{`time: {days: [mon, tue, wed, thu, fri]}`, del, false},
		{`time: {days: [sun], zone: Europe/Berlin}`, del, true}, // 00:30 there
		{`time: {from: "22:00", to: "06:00"}`, del, true},
		{`time: {from: "06:00", to: "22:00"}`, del, false},
		{`time: {from: "23:30"}`, del, true},
		{`time: {to: "23:30"}`, del, false},
		{`time: {to: "24:00"}`, del, true},
		{`time: {days: [fri], from: "22:00", to: "23:45", zone: Asia/Tokyo}`, del, false},
		// A night belongs to the day on which it began: in Berlin it is Sunday 00:30.
		{`time: {days: [sat], from: "22:00", to: "06:00", zone: Europe/Berlin}`, del, true},
		{`time: {days: [sun], from: "22:00", to: "06:00", zone: Europe/Berlin}`, del, false},

		{`statement: delete, table: orders, user: alice, transaction: none`, del, true},
		{`statement: delete, table: orders, user: bob, transaction: none`, del, false},
	} {
		p := mustParse(t, "version: 1\nrules:\n- {id: r, action: hold, match: {"+c.match+"}}\n", nil)
		want := "allow allowed"
		if c.want {
			want = "hold r"
		}
		if got := answer(p, session, c.facts); got != want {
			t.Errorf("%s with %v: %s, want %s", c.match, c.facts.Actions, got, want)
		}
		for _, r := range p.Explain(&session, c.facts) {
			if r.Rule.ID == "r" && (r.Matched != c.want || r.Reason == "") {
				t.Errorf("%s: explained as matched=%t, %q", c.match, r.Matched, r.Reason)
			}
		}
	}
}

func TestWhatIsNotKnownOfTheSessionCountsAgainstIt(t *testing.T) {
	for _, match := range []string{"user: bob", "role: bob", "database: shop", "address: 10.0.0.0/8", "time: {days: [sat]}"} {
		held := mustParse(t, "version: 1\nrules:\n- {id: r, action: hold, match: {"+match+"}}\n", nil)
		if got := answer(held, Session{}, facts(on("delete"))); got != "hold r" {
			t.Errorf("%s of a session of which nothing is known: %s", match, got)
		}
		free := mustParse(t, "version: 1\ndefaults: {allowed: hold}\nrules:\n- {id: r, action: allow, final: true, match: {"+match+"}}\n", nil)
		if got := answer(free, Session{}, facts(on("delete"))); got != "hold allowed" {
			t.Errorf("%s of a session of which nothing is known, to be allowed: %s", match, got)
		}
	}
}

func TestTheReasonNamesWhatMetTheRuleAndNoLiteral(t *testing.T) {
	p := mustParse(t, `version: 1
rules:
  - {id: r, match: {statement: [delete], where: [missing, always_true], user: alice}, action: hold}
  - {id: s, match: {setting: {name: secret}}, action: hold}
`, nil)
	s := Session{User: "alice"}
	a := on("delete", "public.orders")
	a.Where, a.Proof, a.Carrier = WhereAlwaysTrue, "id = id is true for every row", "WITH"
	d := p.Decide(&s, facts(on("select"), a))
	want := `delete on public.orders, inside WITH: id = id is true for every row; the user is "alice"`
	if d.Reason != want {
		t.Errorf("reason %q, want %q", d.Reason, want)
	}
	f := facts(on("set"))
	f.Settings = []Setting{{Name: "secret", Value: "hunter2", Known: true}}
	if d := p.Decide(&s, f); d.ID() != "s" || strings.Contains(d.Reason, "hunter2") {
		t.Errorf("decision %v", d)
	}
}

func TestExplainSaysWhereAFinalRuleEndedTheSearch(t *testing.T) {
	p := mustParse(t, `version: 1
rules:
  - {id: scratch, match: {table: ["scratch.*"]}, action: allow, final: true}
  - {id: deletes, match: {statement: [delete]}, action: block}
`, nil)
	results := p.Explain(&Session{}, facts(on("delete", "scratch.a")))
	if len(results) != 2 || !results[0].Matched || results[1].Matched || !results[1].Ended {
		t.Errorf("results %+v", results)
	}
	results = p.Explain(&Session{}, facts(on("delete", "a")))
	if len(results) != 2 || results[0].Matched || !results[1].Matched || !strings.Contains(results[0].Reason, "cannot be told for certain") {
		t.Errorf("in doubt: %+v", results)
	}
}

func TestExplainAgreesWithDecide(t *testing.T) {
	p := Standard()
	for _, class := range append(Classes(), ClassUnparsed, ClassUnknown) {
		for _, where := range []Where{WhereNone, WhereMissing, WhereUnlinked, WherePresent} {
			f := facts(Action{Class: class, Where: where, Cascade: where == WhereMissing, Functions: []string{"f"}})
			d := p.Decide(&Session{}, f)
			best := Allow
			for _, r := range p.Explain(&Session{}, f) {
				if r.Matched {
					best = min(best, r.Rule.Action)
				}
			}
			if best != d.Verdict {
				t.Errorf("%s: explained as %s, decided as %s", class, best, d.Verdict)
			}
		}
	}
}

func TestAPlainReadIsDecidedWithoutAllocation(t *testing.T) {
	f, s, p := facts(on("select")), Session{User: "alice"}, Standard()
	if n := testing.AllocsPerRun(100, func() { p.Decide(&s, f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("a*b?c", "axxbyc")
	f.Add("***", "")
	f.Add("?", "ü")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		// The definition takes exponential time.
		pattern, text = pattern[:min(len(pattern), 12)], text[:min(len(text), 24)]
		if got, want := glob(pattern).match(text), slowMatch(pattern, text); got != want {
			t.Errorf("%q on %q: %t", pattern, text, got)
		}
	})
}

// slowMatch is what a glob means, by definition.
func slowMatch(pattern, text string) bool {
	switch {
	case pattern == "":
		return text == ""
	case pattern[0] == '*':
		return slowMatch(pattern[1:], text) || text != "" && slowMatch(pattern, text[runeLen(text):])
	case text == "":
		return false
	case pattern[0] == '?':
		return slowMatch(pattern[1:], text[runeLen(text):])
	}
	return pattern[0] == text[0] && slowMatch(pattern[1:], text[1:])
}

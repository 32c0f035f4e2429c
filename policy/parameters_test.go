package policy

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// bound reads a statement and puts text values in; "null" among them is a null,
// and a number in front of a colon is the type that was declared.
func bound(t *testing.T, sql string, values ...Parameter) *Facts {
	t.Helper()
	return NewReader().WithParameters(one(t, sql), values)
}

func text(values ...string) []Parameter {
	all := make([]Parameter, len(values))
	for i, v := range values {
		all[i] = Parameter{Text: true, Value: []byte(v)}
		if v == "null" {
			all[i] = Parameter{Null: true}
		}
	}
	return all
}

func TestAWhereIsJudgedWithTheValuesOfItsParameters(t *testing.T) {
	for _, c := range []struct {
		condition string
		values    []string
		want      Where
	}{
		{"$1 OR id = $2", []string{"true", "5"}, WhereAlwaysTrue},
		{"$1 OR id = $2", []string{"false", "5"}, WherePresent},
		{"$1 OR id = $2", []string{"null", "5"}, WherePresent},
		{"$1", []string{"on"}, WhereAlwaysTrue},
		{"$1::boolean", []string{"1"}, WhereAlwaysTrue},
		{"$1", []string{"off"}, WherePresent},
		{"NOT $1", []string{"f"}, WhereAlwaysTrue},
		{"$1 IS NOT TRUE", []string{"null"}, WhereAlwaysTrue},
		{"$1 IS NULL OR id = $1", []string{"null"}, WhereAlwaysTrue},
		{"$1 IS NULL OR id = $1", []string{"551"}, WherePresent},
		{"($1::int IS NULL OR account_id = $1)", []string{"null"}, WhereAlwaysTrue},
		{"($1::int IS NULL OR account_id = $1)", []string{"551"}, WherePresent},
		{"($1::text IS NULL OR kind = $1) AND ($2::int IS NULL OR id = $2)", []string{"null", "null"}, WhereAlwaysTrue},
		{"($1::text IS NULL OR kind = $1) AND ($2::int IS NULL OR id = $2)", []string{"null", "7"}, WherePresent},
		{"account_id = coalesce($1::int, account_id)", []string{"null"}, WhereTrueUnlessNull},
		{"account_id = coalesce($1::int, account_id)", []string{"551"}, WherePresent},
		{"coalesce($1, c) = c", []string{"null"}, WhereTrueUnlessNull},
		{"coalesce($1, c) = c", []string{"a"}, WherePresent},
		{"kind LIKE $1", []string{"%"}, WhereTrueUnlessNull},
		{"kind LIKE $1::text", []string{"%%"}, WhereTrueUnlessNull},
		{"kind LIKE $1", []string{"a%"}, WherePresent},
		{"kind ILIKE '%' || $1 || '%'", []string{""}, WhereTrueUnlessNull},
		{"kind ILIKE '%' || $1 || '%'", []string{"a"}, WherePresent},
		{"kind ~ $1", []string{".*"}, WhereTrueUnlessNull},
		{"kind SIMILAR TO $1", []string{"%"}, WhereTrueUnlessNull},
		{"$1 = '' OR kind LIKE $1", []string{"%"}, WhereTrueUnlessNull},
		{"kind LIKE ANY ($1)", []string{"{a,%}"}, WhereTrueUnlessNull},
		{"id <> ALL ($1)", []string{"{}"}, WhereAlwaysTrue},
		{"id <> ALL ($1::bigint[])", []string{"{}"}, WhereAlwaysTrue},
		{"id <> ALL ($1::bigint[])", []string{"{1,2}"}, WherePresent},
		{"id <> ALL ($1::bigint[])", []string{"null"}, WherePresent},
		{"NOT (id = ANY ($1))", []string{"{}"}, WhereAlwaysTrue},
		{"id = ANY ($1)", []string{"{}"}, WherePresent},
		{"id = ANY ($1::bigint[])", []string{"{1,2,3,4,5}"}, WherePresent},
		{"id <> ALL ($1) OR id = ANY ($1)", []string{`{1, "2"}`}, WhereTrueUnlessNull},
		{"id <> ALL ($1) OR id = ANY ($2)", []string{"{1,2}", "{2,1}"}, WhereTrueUnlessNull},
		{"id <> ALL ($1) OR id = ANY ($2)", []string{"{1,2}", "{1}"}, WherePresent},
		{"id <> $1", []string{"5"}, WherePresent},
		{"id = $1", []string{"null"}, WherePresent},
		{"id > $1 OR id <= $2", []string{"5", "5"}, WhereTrueUnlessNull},
		{"id > $1 OR id <= $2", []string{"5", "4"}, WherePresent},
		{"id = $1 AND ($2 OR status = 'new')", []string{"50", "true"}, WherePresent},
		{"now() > $1", []string{"2026-01-01"}, WhereIndependent},
		{"id = id AND $1", []string{"t"}, WhereTrueUnlessNull},
		{"$1 OR id = $2", nil, WherePresent}, // values missing
	} {
		if a := bound(t, "DELETE FROM t WHERE "+c.condition, text(c.values...)...).Actions[0]; a.Where != c.want {
			t.Errorf("%s with %q: %s (%s), want %s", c.condition, c.values, whereNames[a.Where], a.Proof, whereNames[c.want])
		}
	}
}

func TestValuesOfSettledTypesAreNotTakenForStringConstants(t *testing.T) {
	const char = 1042
	for _, c := range []struct {
		condition string
		values    []Parameter
		want      Where
	}{
		// 'a ' is 'a' as char(n) and not as text.
		{"c = $1 OR c <> 'a '", []Parameter{{Text: true, Type: typeText, Value: []byte("a ")}}, WherePresent},
		{"c = $1 OR c <> $2", []Parameter{{Text: true, Type: typeText, Value: []byte("a ")}, {Text: true, Type: char, Value: []byte("a ")}}, WherePresent},
		{"$1::text = 'b' OR c = $1 OR c <> 'a '", text("a "), WherePresent},
		{"c = $1 OR c <> 'a '", text("a "), WhereTrueUnlessNull},
		{"c = $1 OR c <> $1", []Parameter{{Text: true, Type: typeText, Value: []byte("a ")}}, WhereTrueUnlessNull},
	} {
		if a := bound(t, "DELETE FROM t WHERE "+c.condition, c.values...).Actions[0]; a.Where != c.want {
			t.Errorf("%s: %s, want %s", c.condition, whereNames[a.Where], whereNames[c.want])
		}
	}
	// The type of a parameter may be settled outside the WHERE.
	if a := bound(t, "UPDATE t SET c = $1 WHERE c = $1 OR c <> 'a '", text("a ")...).Actions[0]; a.Where != WherePresent {
		t.Errorf("a parameter of SET: %s", whereNames[a.Where])
	}
}

func TestBinaryValuesAreReadWhereTheirTypeIsKnown(t *testing.T) {
	four := binary.BigEndian.AppendUint32(nil, 7)
	for _, c := range []struct {
		condition string
		value     Parameter
		want      Where
	}{
		{"$1 OR id = 5", Parameter{Type: typeBool, Value: []byte{1}}, WhereAlwaysTrue},
		{"$1 OR id = 5", Parameter{Type: typeBool, Value: []byte{0}}, WherePresent},
		{"$1 OR id = 5", Parameter{Value: []byte{1}}, WherePresent},
		{"$1 OR id = 5", Parameter{Type: typeBool}, WherePresent},
		{"$1 IS NULL OR id = 5", Parameter{Value: []byte{1}}, WherePresent},
		{"$1 IS NOT NULL OR id = 5", Parameter{Value: []byte{1}}, WhereAlwaysTrue},
		{"id > $1 OR id <= 7", Parameter{Type: typeInt4, Value: four}, WhereTrueUnlessNull},
		{"id > $1 OR id < 9", Parameter{Type: typeInt4, Value: four}, WhereTrueUnlessNull},
		{"id > $1 OR id <= 6", Parameter{Type: typeInt4, Value: four}, WherePresent},
		{"id > $1 OR id <= 7", Parameter{Type: typeInt8, Value: binary.BigEndian.AppendUint64(nil, 7)}, WhereTrueUnlessNull},
		{"id > $1 OR id <= 7", Parameter{Type: typeInt2, Value: binary.BigEndian.AppendUint16(nil, 7)}, WhereTrueUnlessNull},
		{"id > $1 OR id <= 7", Parameter{Type: typeInt8, Value: four}, WherePresent},
		{"id > $1 OR id <= 7", Parameter{Value: four}, WherePresent},
		{"kind LIKE $1", Parameter{Type: typeVarchar, Value: []byte("%")}, WhereTrueUnlessNull},
		{"kind LIKE $1", Parameter{Value: []byte("%")}, WherePresent},
	} {
		if a := bound(t, "DELETE FROM t WHERE "+c.condition, c.value).Actions[0]; a.Where != c.want {
			t.Errorf("%s with %v: %s, want %s", c.condition, c.value, whereNames[a.Where], whereNames[c.want])
		}
	}
}

func TestValuesReachEveryPlaceThatFactsAreMadeOf(t *testing.T) {
	for sql, want := range map[string]string{
		"WITH d AS (DELETE FROM t WHERE $1 RETURNING 1) SELECT 1":                                    "select; delete t (always true) by WITH",
		"EXPLAIN ANALYZE UPDATE t SET a = 1 WHERE $1":                                                "explain; update t (always true) by EXPLAIN ANALYZE",
		"MERGE INTO t USING u ON $1 WHEN MATCHED THEN DELETE":                                        "merge t (always true); delete t (always true) by MERGE",
		"MERGE INTO t USING u ON t.id = u.id WHEN NOT MATCHED BY SOURCE AND $1 THEN DELETE":          "merge t (always true); delete t (always true) by MERGE",
		"MERGE INTO t USING u ON t.id = u.id WHEN MATCHED AND $1 THEN DELETE":                        "merge t (present); delete t (present) by MERGE",
		"MERGE INTO t USING u ON $1 WHEN MATCHED THEN DELETE WHEN NOT MATCHED BY SOURCE THEN DELETE": "merge t (missing); delete t (always true) by MERGE; delete t (missing) by MERGE",
		"SELECT * FROM t WHERE $1 FOR UPDATE":                                                        "select; select_for_update t (always true)",
	} {
		if got := told(bound(t, sql, text("true")...)); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
}

func TestValuesNameTheSettingAndTheSession(t *testing.T) {
	f := bound(t, "SELECT set_config('role', $1, true), set_config($2, $3, $4)", text("bob", "Search_Path", "a", "f")...)
	if got, want := told(f), "select; set by set_config; set by set_config"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	want := []Setting{{Name: "role", Value: "bob", Known: true, Local: true}, {Name: "search_path", Value: "a", Known: true}}
	if len(f.Settings) != 2 || f.Settings[0] != want[0] || f.Settings[1] != want[1] {
		t.Errorf("settings %v, want %v", f.Settings, want)
	}
	f = bound(t, "SELECT set_config($1, $2, false)", Parameter{Value: []byte("role")}, Parameter{Null: true})
	if told(f) != "select; function_call set_config()" || f.Settings[0] != (Setting{}) {
		t.Errorf("a name that cannot be read: %s %v", told(f), f.Settings)
	}
	pid := Parameter{Type: typeInt4, Value: binary.BigEndian.AppendUint32(nil, 4711)}
	f = bound(t, "SELECT pg_terminate_backend($1)", pid)
	if told(f) != "select; terminate_backend pg_terminate_backend()" || len(f.Signals) != 1 || f.Signals[0] != 4711 {
		t.Errorf("%s %v", told(f), f.Signals)
	}
	f = bound(t, "SELECT pg_terminate_backend($1), pg_reload_conf()", pid)
	if told(f) != "select; terminate_backend pg_terminate_backend(); server_function pg_reload_conf()" {
		t.Errorf("%s", told(f))
	}
	f = bound(t, "SELECT pg_cancel_backend($1)", Parameter{Value: pid.Value})
	if told(f) != "select; server_function pg_cancel_backend()" || len(f.Signals) != 0 {
		t.Errorf("a number that cannot be read: %s %v", told(f), f.Signals)
	}
}

// What only reads and what names a key is asked about once, when it is prepared.
// A trigger may do something for some values only.
func TestValuesAreAskedForWhereTheyMatterOnly(t *testing.T) {
	for sql, want := range map[string]bool{
		"SELECT * FROM t WHERE id = $1":                             false,
		"SELECT * FROM t WHERE $1 OR id = $2":                       false,
		"INSERT INTO t VALUES ($1, $2)":                             true,
		"UPDATE t SET a = $1":                                       true,
		"UPDATE t SET a = $1 WHERE id = 5":                          true,
		"UPDATE t SET a = $1 WHERE id = id":                         true,
		"UPDATE t SET a = $1 WHERE id = $2":                         true,
		"DELETE FROM t WHERE $1::int = id":                          false,
		"DELETE FROM t WHERE id >= $1 AND kind = $2":                false,
		"DELETE FROM t WHERE id >= $1 AND kind LIKE $2":             true, // a range may hold all that its type does
		"DELETE FROM t WHERE id >= $1":                              true,
		"DELETE FROM t WHERE id = 5 AND ($1 OR kind = $2)":          false,
		"DELETE FROM t USING u WHERE u.id = $1 AND t.kind LIKE $2":  true,
		"DELETE FROM t WHERE $1":                                    true,
		"DELETE FROM t WHERE $1 IS NULL OR id = $1":                 true,
		"DELETE FROM t WHERE id = coalesce($1, id)":                 true,
		"DELETE FROM t WHERE id <> ALL ($1)":                        true,
		"DELETE FROM t WHERE id = id AND kind LIKE $1":              true,
		"DELETE FROM t WHERE now() > '2026-01-01' AND kind LIKE $1": true,
		"SELECT set_config('a.b', $1, false)":                       true,
		"SELECT pg_cancel_backend($1)":                              true,
	} {
		if got := one(t, sql).TakesParameters(); got != want {
			t.Errorf("%s: %v, want %v", sql, got, want)
		}
	}
}

// Where values are not asked for they make no difference, whatever they are.
func TestValuesThatAreNotAskedForChangeNothing(t *testing.T) {
	for _, sql := range []string{
		"DELETE FROM t WHERE id = $1", "DELETE FROM t WHERE $1 = id AND kind LIKE $1", "UPDATE t SET a = $1 WHERE id = $1 AND b <> $1",
	} {
		f := one(t, sql)
		for _, v := range []string{"null", "", "%", "{}", "true", "5"} {
			if g := f.withParameters(text(v)); told(g) != told(f) {
				t.Errorf("%s with %s: %s, want %s", sql, v, told(g), told(f))
			}
			a := f.Actions[0].judgedAgain(func(j *judged) { j.values = text(v) })
			if a.Where != f.Actions[0].Where {
				t.Errorf("%s with %s: %s", sql, v, whereNames[a.Where])
			}
		}
	}
}

// Where the catalogue shows nothing that could be given values, they change nothing of
// what it makes of a statement.
func TestValuesThatNothingIsGivenChangeNothing(t *testing.T) {
	r := NewReader()
	c := decoded(t, `{"relations": [{"oid": 1, "schema": "public", "name": "plain", "kind": "r", "rows": 9, "keys": [["id"]], "checks": ["(id > 0)"],
	  "columns": [{"name": "id", "not_null": true, "kind": "num", "type": "int4"}, {"name": "x", "kind": "num", "type": "int4"}]}]}`)
	kept := 0
	for _, text := range []string{
		"UPDATE plain SET x = $1 WHERE id = $2", "UPDATE plain SET x = x + $1 WHERE id = $2", "UPDATE plain SET x = $1", "UPDATE plain SET x = $1 WHERE x > $2",
		"UPDATE plain SET x = $1 WHERE id = $2 OR $1", "INSERT INTO plain VALUES ($1, $2)", "INSERT INTO plain SELECT $1, $2", "DELETE FROM plain WHERE id = $1",
		"DELETE FROM plain WHERE $1 = $2", "UPDATE plain SET x = $1 WHERE id = $1 AND x <> $2",
	} {
		f := r.Read(text, usual)[0]
		if f.TakesParametersUnder(c) {
			continue
		}
		kept++
		for _, value := range []string{"0", "1", "-1", "99999999999", "t", "f", "x", "{1,2}", ""} {
			with := f.withParameters([]Parameter{{Text: true, Value: []byte(value)}, {Null: value == "", Text: true, Value: []byte(value)}})
			a, b := *r.Refine(f, c.Kept()), *r.Refine(with, c.Kept())
			b.Actions = slices.Clone(b.Actions)
			for i := range b.Actions {
				b.Actions[i].given.values = nil
			}
			if allOf([]*Facts{&a}) != allOf([]*Facts{&b}) {
				t.Errorf("%s with %q: %s, without: %s", text, value, told(&b), told(&a))
			}
		}
	}
	if kept != 7 {
		t.Errorf("%d statements do not ask for values", kept)
	}
}

func TestFactsWithValuesAreACopy(t *testing.T) {
	f := one(t, "DELETE FROM t WHERE $1")
	g := NewReader().WithParameters(f, text("true"))
	if f.Actions[0].Where != WhereIndependent || g.Actions[0].Where != WhereAlwaysTrue {
		t.Errorf("prepared %s, bound %s", whereNames[f.Actions[0].Where], whereNames[g.Actions[0].Where])
	}
	if h := NewReader().WithParameters(f, text("false")); h.Actions[0].Where != WherePresent {
		t.Errorf("bound again %s", whereNames[h.Actions[0].Where])
	}
}

func TestExecuteGivesItsArguments(t *testing.T) {
	r := NewReader()
	prepared := one(t, "PREPARE p (int) AS DELETE FROM t WHERE $1 IS NULL OR id = $1").Prepared
	for arguments, want := range map[string]Where{
		"NULL": WhereAlwaysTrue, "NULL::int": WhereAlwaysTrue, "5": WherePresent, "'5'": WherePresent, "1 + 1": WherePresent,
		"(SELECT NULL::int)": WherePresent,
	} {
		for _, sql := range []string{"EXECUTE p(" + arguments + ")", "EXPLAIN ANALYZE EXECUTE p(" + arguments + ")"} {
			f := r.Read(sql, usual)[0].With([]*Facts{prepared})
			if a := f.Actions[len(f.Actions)-1]; a.Where != want || a.Class != classDelete {
				t.Errorf("%s: %s", sql, told(f))
			}
		}
	}
	prepared = one(t, "SELECT set_config('a', 'b', false), set_config('role', $1, false)")
	f := r.Read("EXECUTE p('bob')", usual)[0].With([]*Facts{one(t, "SET x = 1"), prepared})
	if len(f.Settings) != 3 || f.Settings[2].Value != "bob" {
		t.Errorf("settings %v", f.Settings)
	}
}

func TestArraysAreReadAsTheServerReadsThem(t *testing.T) {
	for array, want := range map[string]string{
		"{}": "", " { } ": "", "{1,2}": "1|2", "{ a b , c}": "a b|c", `{"a, b","\"",NULL,"null",\null}`: `a, b|"|<null>|null|null`,
		`{"",x}`: "|x", `{"a " , b}`: "a |b", `{\ a}`: " a",
	} {
		got, ok := arrayElements(array)
		all := make([]string, len(got))
		for i, e := range got {
			all[i] = "<null>"
			if e != nil {
				all[i] = *e
			}
		}
		if s := strings.Join(all, "|"); !ok || s != want {
			t.Errorf("%s: %q %v, want %q", array, s, ok, want)
		}
	}
	for _, array := range []string{"", "1", "{", "{1", "{{1},{2}}", "[0:1]={1,2}", "{1,}", "{,1}", `{a"b"}`, `{"a"b}`, `{a\`, "{" + strings.Repeat("1,", maxElements) + "1}"} {
		if got, ok := arrayElements(array); ok {
			t.Errorf("%s: %d elements", array, len(got))
		}
	}
}

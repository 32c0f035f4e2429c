package policy

import (
	"strings"
	"testing"
)

// typed is what a catalogue would say of tables with types and constraints.
func typed(t *testing.T) *Catalog {
	t.Helper()
	c, err := DecodeCatalog([]byte(`{"server_version": 150018, "relations": [
		{"oid": 10, "schema": "public", "name": "t", "kind": "r", "rows": 9, "checks": ["(stock >= 0)", "(now() > at)", "((kind)::text = ANY (ARRAY['a'::text, 'b'::text]))", "(at::date > day)"],
		 "columns": [{"name": "id", "not_null": true, "kind": "num", "type": "int4"}, {"name": "small", "kind": "num", "type": "int2"}, {"name": "big", "kind": "num", "type": "int8"},
		   {"name": "n", "not_null": true, "kind": "num", "type": "numeric"}, {"name": "f", "not_null": true, "kind": "num", "type": "float8"}, {"name": "s", "not_null": true, "kind": "text", "type": "text"},
		   {"name": "kind", "not_null": true, "kind": "text", "type": "varchar"}, {"name": "b", "kind": "bool", "type": "bool"}, {"name": "yes", "not_null": true, "kind": "bool", "type": "bool"},
		   {"name": "at", "not_null": true, "kind": "other", "type": "timestamptz"}, {"name": "day", "not_null": true, "kind": "other", "type": "date"},
		   {"name": "mood", "not_null": true, "kind": "other", "type": "mood", "labels": ["sad", "ok"]}, {"name": "stock", "not_null": true, "kind": "num", "type": "int4"},
		   {"name": "fee", "not_null": true, "kind": "num", "type": "numeric", "checks": ["(VALUE >= (0)::numeric)"]}, {"name": "a", "kind": "other", "type": "_int4"}, {"name": "p", "kind": "other", "type": "record"}]},
		{"oid": 11, "schema": "public", "name": "spring", "kind": "r", "rows": 9, "columns": [{"name": "day", "kind": "other", "type": "date"}, {"name": "k", "kind": "text", "type": "text"}],
		 "bounds": [{"columns": ["k"], "text": "FOR VALUES IN ('a', 'b')"}, {"columns": ["day"], "text": "FOR VALUES FROM ('2025-03-01') TO ('2025-06-01')"}, {"columns": [""], "text": "FOR VALUES FROM (1) TO (2)"}]},
		{"oid": 12, "schema": "public", "name": "parent", "kind": "r", "rows": 9, "below": [13], "columns": [{"name": "id", "kind": "num", "type": "int4"}], "checks": ["(id > 0)"]},
		{"oid": 13, "schema": "public", "name": "far", "kind": "f", "rows": 9},
		{"oid": 14, "schema": "public", "name": "v", "kind": "v", "rows": -1, "columns": [{"name": "ctid", "kind": "text", "type": "text"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTypesAndConstraintsProveAWhere(t *testing.T) {
	c := typed(t)
	for sql, want := range map[string]Where{
		"t WHERE id >= -2147483648":            WhereAlwaysTrue,
		"t WHERE id > -2147483648":             WherePresent,
		"t WHERE id <= 2147483647 AND id = id": WhereAlwaysTrue,
		"t WHERE id < 2147483648":              WhereAlwaysTrue,
		"t WHERE small > -32769":               WhereTrueUnlessNull,
		"t WHERE big <= 9223372036854775807":   WhereTrueUnlessNull,
		"t WHERE id <= 4 OR id >= 5":           WhereAlwaysTrue,
		"t WHERE n <= 4 OR n >= 5":             WherePresent,
		"t WHERE id < '5' OR id >= 5":          WhereAlwaysTrue,
		"t WHERE n <= 'infinity'":              WherePresent, // NaN is greater
		"t WHERE n <= 'NaN'":                   WhereAlwaysTrue,
		"t WHERE f >= '-infinity'":             WhereAlwaysTrue,
		"t WHERE f * 0 = 0":                    WherePresent, // NaN
		"t WHERE id * 0 = 0":                   WhereAlwaysTrue,
		"t WHERE id % 1 = 0":                   WhereAlwaysTrue,
		"t WHERE id - id = 0":                  WhereAlwaysTrue,
		"t WHERE id + 1 > id":                  WhereAlwaysTrue,
		"t WHERE n + 1 > n":                    WherePresent, // infinity
		"t WHERE abs(id) >= 0":                 WhereAlwaysTrue,
		"t WHERE abs(n) >= 0":                  WhereAlwaysTrue,
		"t WHERE abs(id) <= 2 OR abs(id) >= 2147483647 OR -id >= -0.5":           WherePresent,
		"t WHERE big::int >= -2147483648":                                        WhereTrueUnlessNull,
		"t WHERE big::int > 0 OR big <= 2147483647":                              WherePresent,
		"t WHERE abs(id) = id":                                                   WherePresent,
		"t WHERE abs(stock) = stock":                                             WhereAlwaysTrue,
		"t WHERE length(s) >= 0":                                                 WhereAlwaysTrue,
		"t WHERE char_length(s) > -1":                                            WhereAlwaysTrue,
		"t WHERE length(s) > 0":                                                  WherePresent,
		"t WHERE cardinality(a) >= 0":                                            WhereTrueUnlessNull,
		"t WHERE array_length(a, 1) > 0":                                         WherePresent, // null for {}
		"t WHERE s >= ''":                                                        WhereAlwaysTrue,
		"t WHERE kind >= ''::text":                                               WhereAlwaysTrue,
		"t WHERE s > ''":                                                         WherePresent,
		"t WHERE at <= 'infinity'":                                               WhereAlwaysTrue,
		"t WHERE day < 'infinity'":                                               WherePresent,
		"t WHERE day <= '2025-01-01' OR day > '2025-01-01'::date":                WhereAlwaysTrue,
		"t WHERE day <= '01/02/2025' OR day > '2025-02-01'":                      WherePresent, // up to DateStyle
		"t WHERE at <= '2025-01-01' OR at > '2025-01-01 00:00+00'":               WherePresent, // up to TimeZone
		"t WHERE mood IN ('sad', 'ok')":                                          WhereAlwaysTrue,
		"t WHERE mood = ANY ('{sad,ok}'::mood[])":                                WhereAlwaysTrue,
		"t WHERE mood = ANY (ARRAY['sad'::mood, 'ok'])":                          WhereAlwaysTrue,
		"t WHERE mood = ANY (ARRAY['sad'::mood, 'ok'::mood])":                    WhereAlwaysTrue,
		"t WHERE kind::text = ANY (ARRAY['a '::char(4), kind])":                  WherePresent, // which makes a char of kind
		"t WHERE s = ANY (ARRAY['b'::char(4), 'a ']) OR s <> 'a '":               WherePresent,
		"t WHERE id = ANY (ARRAY[stock, id])":                                    WhereAlwaysTrue,
		"t WHERE mood >= 'sad'":                                                  WhereAlwaysTrue,
		"t WHERE mood IN ('sad', 'fine')":                                        WherePresent,
		"t WHERE b IN (true, false)":                                             WhereTrueUnlessNull,
		"t WHERE yes IN ('t', 'f')":                                              WhereAlwaysTrue,
		"t WHERE b = false OR b IS NOT TRUE":                                     WherePresent,
		"t WHERE b = false OR b IS NOT FALSE":                                    WhereAlwaysTrue,
		"t WHERE yes <> NOT yes":                                                 WhereAlwaysTrue,
		"t WHERE yes >= false":                                                   WhereAlwaysTrue,
		"t WHERE (id = 4) = (id = 4)":                                            WhereAlwaysTrue,
		"t WHERE (small = 4) = (small = 4)":                                      WhereTrueUnlessNull,
		"t WHERE (small = 4) IS NOT DISTINCT FROM (small = 4)":                   WhereAlwaysTrue,
		"t WHERE (id = 4) IS NOT UNKNOWN":                                        WhereAlwaysTrue,
		"t WHERE (id < -2147483648) IS NOT TRUE":                                 WhereAlwaysTrue,
		"t WHERE (random() < 0.5) = (random() < 0.5)":                            WhereIndependent,
		"t WHERE coalesce(small, 5) <> 5 OR coalesce(small, 5) = 5":              WhereAlwaysTrue,
		"t WHERE greatest(id, 0) >= 0":                                           WhereAlwaysTrue,
		"t WHERE greatest(id, stock) >= id":                                      WhereAlwaysTrue,
		"t WHERE least(id, stock) >= 0":                                          WherePresent,
		"t WHERE nullif(id, 5) = id OR id = 5":                                   WhereAlwaysTrue,
		"t WHERE CASE WHEN yes THEN 1 ELSE 2 END > 0":                            WhereAlwaysTrue,
		"t WHERE CASE WHEN yes THEN 1 ELSE id END > 0":                           WherePresent,
		"t WHERE CASE WHEN yes THEN 'a' ELSE 'b' END IN ('a', 'b')":              WhereAlwaysTrue,
		"t WHERE CASE WHEN yes THEN 'a' ELSE 'b' END = 'a'":                      WherePresent,
		"t WHERE (SELECT id) = id":                                               WhereAlwaysTrue,
		"t WHERE id = (SELECT id FROM spring)":                                   WherePresent,
		"t WHERE t = t":                                                          WhereAlwaysTrue,
		"t WHERE t.* IS NOT DISTINCT FROM t.*":                                   WhereAlwaysTrue,
		"t WHERE t IS NOT NULL":                                                  WherePresent, // each of its columns
		"t WHERE (id, small) IS NOT DISTINCT FROM (id, small)":                   WhereAlwaysTrue,
		"t WHERE (id, stock) >= (id, 0)":                                         WhereAlwaysTrue,
		"t WHERE (id, stock) > (id, 0)":                                          WherePresent,
		"t WHERE id BETWEEN SYMMETRIC 2147483647 AND -2147483648":                WhereAlwaysTrue,
		"t WHERE starts_with(s, '')":                                             WhereAlwaysTrue,
		"t WHERE starts_with(s, 'a')":                                            WherePresent,
		"t WHERE strpos(s, '') = 1":                                              WhereAlwaysTrue,
		"t WHERE sign(id) IN (-1, 0, 1)":                                         WhereAlwaysTrue,
		"t WHERE id::text <> ''":                                                 WhereAlwaysTrue,
		"t WHERE s || 'x' > ''":                                                  WhereAlwaysTrue,
		"t WHERE s || ' ' > ''":                                                  WherePresent, // a collation may pass over blanks
		"t WHERE mood::text IN ('sad', 'ok')":                                    WhereAlwaysTrue,
		"t WHERE mood::text < 'sad' OR mood::text >= 'ok'":                       WherePresent, // not the order of the labels
		"t WHERE EXISTS (SELECT 1 FROM t x WHERE x.id = t.id)":                   WhereAlwaysTrue,
		"t WHERE EXISTS (SELECT 1 FROM t x WHERE x.small = t.small)":             WhereTrueUnlessNull,
		"t WHERE id = id AND EXISTS (SELECT 1 FROM t x WHERE x.small = t.small)": WhereTrueUnlessNull,
		"t WHERE EXISTS (SELECT 1 FROM t x WHERE x.id = t.stock)":                WherePresent,
		"t WHERE EXISTS (SELECT 1 FROM t x WHERE x.id = t.id LIMIT 0)":           WherePresent,
		"t WHERE p IS NULL OR p IS NOT NULL":                                     WherePresent, // of a row with one null both are false
		"t WHERE tableoid = 't'::regclass":                                       WhereAlwaysTrue,
		"t WHERE tableoid::regclass = 'public.t'":                                WhereAlwaysTrue,
		"t WHERE tableoid = 'billing.t'::regclass":                               WherePresent,
		"parent WHERE tableoid = 'parent'::regclass":                             WherePresent,
		"ONLY parent WHERE tableoid = 'parent'::regclass":                        WhereAlwaysTrue,
		"t WHERE ctid >= '(0,0)'":                                                WhereAlwaysTrue,
		"t WHERE ctid > '(0,0)'":                                                 WhereAlwaysTrue,
		"t WHERE ctid > '(0,1)'":                                                 WherePresent,
		"v WHERE ctid >= '(0,0)'":                                                WherePresent,
		"t WHERE stock >= 0":                                                     WhereAlwaysTrue,
		"t WHERE stock > -1":                                                     WhereAlwaysTrue,
		"t WHERE stock > 0":                                                      WherePresent,
		"t WHERE fee >= 0":                                                       WhereAlwaysTrue,
		"t WHERE kind IN ('b', 'a')":                                             WhereAlwaysTrue,
		"t WHERE kind IN ('b')":                                                  WherePresent,
		"t WHERE now() > at":                                                     WherePresent, // it was, when the row was written
		"t WHERE at::date > day":                                                 WherePresent, // up to TimeZone
		"parent WHERE id > 0":                                                    WherePresent, // a foreign table enforces nothing
		"spring WHERE day >= '2025-03-01'":                                       WhereAlwaysTrue,
		"spring WHERE day >= '2025-01-01' AND day < '2026-01-01'":                WhereAlwaysTrue,
		"spring WHERE day <= '2025-05-31'":                                       WhereAlwaysTrue,
		"spring WHERE day <= '2025-05-30'":                                       WherePresent,
		"spring WHERE day IS NOT NULL":                                           WhereAlwaysTrue,
		"spring WHERE k = 'a' OR k = 'b'":                                        WhereAlwaysTrue,
		"t USING spring WHERE id >= -2147483648 AND spring.k = 'a'":              WhereUnlinked,
		"t USING spring WHERE t.day = spring.day OR k = 'a'":                     WhereUnlinked,
		"t USING spring WHERE t.day = spring.day OR kind = 'a'":                  WherePresent,
		"t USING spring WHERE t.day = spring.day AND (k = 'a' OR stock=1)":       WherePresent,
	} {
		f := one(t, "DELETE FROM "+sql)
		if a := f.Actions[0].resolved(c); a.Where != want {
			t.Errorf("%s: %s (%s), want %s", sql, whereNames[a.Where], a.Proof, whereNames[want])
		}
	}
}

// A server may hold an operator that search_path finds before the built-in one.
func TestOperatorsOfPeoplesOwnProveNothing(t *testing.T) {
	c := *typed(t)
	c.Operators = []string{">=", "="}
	for condition, want := range map[string]Where{
		"id >= -2147483648": WherePresent, "id = id": WherePresent, "(yes) = (yes)": WherePresent, "id IN (id)": WherePresent,
		"id > -2147483649": WhereAlwaysTrue, "id IS NOT NULL": WhereAlwaysTrue,
	} {
		if a := one(t, "DELETE FROM t WHERE "+condition).Actions[0].resolved(&c); a.Where != want {
			t.Errorf("%s: %s, want %s", condition, whereNames[a.Where], whereNames[want])
		}
	}
}

func TestRangesAreJudgedWithValues(t *testing.T) {
	c := typed(t)
	bytes := func(b ...byte) []Parameter { return []Parameter{{Value: b}} }
	for _, k := range []struct {
		condition string
		values    []Parameter
		want      Where
	}{
		{"id >= $1", text("-2147483648"), WhereAlwaysTrue},
		{"id >= $1", text("0"), WherePresent},
		{"id >= $1", bytes(0x80, 0, 0, 0), WhereAlwaysTrue},
		{"id >= $1", bytes(0, 0, 0, 0), WherePresent},
		{"day <= $1", bytes(0x7f, 0xff, 0xff, 0xff), WhereAlwaysTrue},
		{"at <= $1", text("infinity"), WhereAlwaysTrue},
		{"at <= $1", []Parameter{{Type: 1184, Value: []byte{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}}, WhereAlwaysTrue},
		{"s >= $1", text(""), WhereAlwaysTrue},
		{"stock >= $1 AND length(s) >= $2", text("0", "0"), WhereAlwaysTrue},
		{"stock >= $1 AND id = $2", text("0", "5"), WherePresent},
	} {
		r := NewReader()
		f := one(t, "DELETE FROM t WHERE "+k.condition)
		if a := r.Refine(r.WithParameters(f, k.values), c).Actions[0]; a.Where != k.want {
			t.Errorf("%s with %v: %s, want %s", k.condition, k.values, whereNames[a.Where], whereNames[k.want])
		}
	}
}

func TestExecuteGivesValuesOfTheTypesThatPrepareDeclared(t *testing.T) {
	c, r := typed(t), NewReader()
	for _, k := range []struct {
		prepare, execute string
		want             Where
	}{
		{"PREPARE p (int) AS DELETE FROM t WHERE stock >= $1", "EXECUTE p (0)", WhereAlwaysTrue},
		{"PREPARE p (int) AS DELETE FROM t WHERE stock >= $1", "EXECUTE p ('0')", WhereAlwaysTrue},
		{"PREPARE p AS DELETE FROM t WHERE stock >= $1", "EXECUTE p (0)", WhereAlwaysTrue},
		{"PREPARE p AS DELETE FROM t WHERE stock > $1", "EXECUTE p (0)", WherePresent},
		{"PREPARE p (int) AS DELETE FROM t WHERE stock > $1", "EXECUTE p (-0.7)", WherePresent}, // it is rounded to -1
		{"PREPARE p AS DELETE FROM t WHERE stock > $1", "EXECUTE p (-0.7)", WherePresent},
		{"PREPARE p (char(4)) AS DELETE FROM t WHERE kind <= $1 OR kind > 'a '", "EXECUTE p ('a ')", WherePresent},
		{"PREPARE p (date) AS DELETE FROM t WHERE day <= $1", "EXECUTE p ('infinity')", WhereAlwaysTrue},
		{"PREPARE p AS DELETE FROM t WHERE s LIKE $1", "EXECUTE p ('%')", WhereAlwaysTrue},
	} {
		f := r.Read(k.execute, usual)[0].With([]*Facts{one(t, k.prepare).Prepared})
		g := r.Refine(f, c)
		if a := g.Actions[len(g.Actions)-1]; a.Class != classDelete || a.Where != k.want {
			t.Errorf("%s; %s: %s, want %s", k.prepare, k.execute, told(g), whereNames[k.want])
		}
	}
}

// TestNoProofIsSparedThatWouldFindSomething: what is left open without a proof is not
// proven with one, by the text or by any catalogue.
func TestNoProofIsSparedThatWouldFindSomething(t *testing.T) {
	var columns []string
	for _, kind := range []string{"int2", "int4", "int8", "numeric", "float4", "float8", "bool", "text", "bpchar", "date", "timestamptz", "uuid", "oid", "tid", "regclass", "record", ""} {
		columns = append(columns, `{"name": "c`+kind+`", "kind": "other", "not_null": true, "type": "`+kind+`"}`, `{"name": "n`+kind+`", "kind": "other", "type": "`+kind+`"}`)
	}
	columns = append(columns, `{"name": "label", "kind": "text", "type": "int4", "labels": ["1"]}`, `{"name": "t", "kind": "num", "type": "int4"}`)
	of := func(more string) *Catalog {
		return decoded(t, `{"relations": [{"oid": 1, "schema": "public", "name": "t", "kind": "r", "rows": 9, "columns": [`+strings.Join(columns, ",")+`]`+more+`}], "operators": ["<>"]}`)
	}
	plain, checked := of(""), of(`, "checks": ["(cint4 = 5)", "(nint4 > 7)"]`)
	spared := map[*Catalog]int{}
	for _, c := range append([]string{"ctid", "tableoid", "xmin", "t.cint4", "public.t.cint4", "nosuch", "t.*"}, func() (all []string) {
		for _, col := range plain.Relations[0].Columns {
			all = append(all, col.Name)
		}
		return all
	}()...) {
		for _, constant := range []string{"0", "1", "5", "8", "-1", "32766", "32767", "32768", "-32768", "2147483646", "2147483647", "2147483648", "-2147483648", "1.5", "'5'", "''", "'t'", "'(0,0)'", "NULL", "TRUE", "b'1'", "$1", "c"} {
			for _, operator := range []string{"=", "<>", "OPERATOR(pg_catalog.=)", "OPERATOR(x.=)"} {
				sql := "DELETE FROM t WHERE " + c + " " + operator + " " + constant
				facts := NewReader().Read(sql, usual)
				if len(facts) != 1 || facts[0].Class != classDelete {
					continue
				}
				for _, catalog := range []*Catalog{nil, plain, checked} {
					j := facts[0].Actions[0].judged[0]
					j.catalog = catalog
					p := j.prover(new(int))
					*p.steps = maxStepsInAll
					if !p.leavesOpen(j.where) {
						continue
					}
					spared[catalog]++
					if got := p.proveBy(j.where, nil); got != notProven {
						t.Errorf("%s: %d", sql, got)
					}
					if p.relation != nil && len(catalog.knownOf(p.relation, j.where)) > 0 {
						t.Errorf("%s: the constraints of the table are not looked at", sql)
					}
				}
			}
		}
	}
	if spared[nil] == 0 || spared[plain] == 0 || spared[checked] > 0 {
		t.Errorf("%d without a catalogue, %d with one, %d with constraints", spared[nil], spared[plain], spared[checked])
	}
}

package policy

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// shopCatalog is the catalogue of a small shop.
const shopCatalog = `{"server_version": 150018,
 "relations": [
  {"oid": 1, "schema": "public", "name": "accounts", "kind": "r", "rows": 1000, "keys": [["id"], ["region", "email"]],
   "columns": [{"name": "id", "not_null": true, "kind": "num", "type": "int8"}, {"name": "email", "not_null": true, "kind": "text", "type": "text"},
     {"name": "region", "not_null": true, "kind": "text"}, {"name": "name", "kind": "text"}],
   "triggers": [{"name": "touch", "timing": "before", "events": ["update"], "row": true, "function": 50}]},
  {"oid": 2, "schema": "public", "name": "users", "kind": "r", "rows": 1000,
   "triggers": [{"name": "gone", "timing": "after", "events": ["delete"], "row": true, "function": 50}]},
  {"oid": 3, "schema": "public", "name": "orders", "kind": "r", "rows": 3000},
  {"oid": 4, "schema": "billing", "name": "audit", "kind": "r", "rows": 2000},
  {"oid": 5, "schema": "public", "name": "emails", "kind": "v", "rows": -1, "bases": [6], "columns": [{"name": "id", "kind": "num"}]},
  {"oid": 6, "schema": "public", "name": "vips", "kind": "v", "rows": -1, "bases": [1]},
  {"oid": 7, "schema": "public", "name": "events", "kind": "p", "rows": 20, "empty": true, "below": [8, 9], "keys": [["id"]],
   "columns": [{"name": "id", "not_null": true, "kind": "num"}]},
  {"oid": 8, "schema": "public", "name": "events_2025", "kind": "r", "rows": 20},
  {"oid": 9, "schema": "public", "name": "events_rest", "kind": "r", "rows": 0, "empty": true},
  {"oid": 10, "schema": "public", "name": "holds", "kind": "r", "rows": 0, "empty": true},
  {"oid": 11, "schema": "public", "name": "parent", "kind": "r", "rows": 1, "below": [8], "keys": [["id"]],
   "columns": [{"name": "id", "not_null": true, "kind": "num"}]}
 ],
 "foreign_keys": [
  {"name": "users_fk", "from": 2, "to": 1, "columns": ["account_id"], "referenced_columns": ["id"], "on_delete": "cascade", "on_update": "cascade"},
  {"name": "orders_fk", "from": 3, "to": 2, "columns": ["user_id"], "referenced_columns": ["id"], "on_delete": "cascade", "on_update": "no action"},
  {"name": "audit_fk", "from": 4, "to": 1, "columns": ["account_id"], "referenced_columns": ["id"], "on_delete": "set null", "on_update": "no action"},
  {"name": "parent_fk", "from": 1, "to": 1, "columns": ["parent"], "referenced_columns": ["id"], "on_delete": "cascade", "on_update": "no action"}
 ],
 "functions": [
  {"oid": 50, "schema": "public", "name": "touch", "kind": "f", "volatility": "v", "language": "c"},
  {"oid": 51, "schema": "public", "name": "lower", "kind": "f", "volatility": "v", "language": "c"},
  {"oid": 52, "schema": "pg_catalog", "name": "lower", "kind": "f", "volatility": "i", "language": "internal", "built_in": true}
 ]}`

func decoded(t testing.TB, text string) *Catalog {
	t.Helper()
	c, err := DecodeCatalog([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var plainLexing = Lexing{Encoding: "UTF8", StandardConformingStrings: true, Known: true}

// refined gives the first statement as the catalogue of the shop shows it.
func refined(t testing.TB, sql string) *Facts {
	t.Helper()
	r := NewReader()
	return r.Refine(r.Read(sql, plainLexing)[0], decoded(t, shopCatalog))
}

func cascadeWords(a Action) string {
	var all []string
	for _, x := range a.Cascades {
		all = append(all, fmt.Sprintf("%d %s %s", x.Depth, x.Effect, x.Table))
	}
	return strings.Join(all, ", ")
}

func TestCascadesAreFollowedByWhatTheStatementDoes(t *testing.T) {
	for sql, want := range map[string]string{
		"DELETE FROM accounts WHERE id = 1": "1 delete public.users, 1 set null billing.audit, 1 delete public.accounts, 2 delete public.orders",
		// An update of a key goes on; of anything else it does not.
		"UPDATE accounts SET id = 5 WHERE id = 1": "1 update public.users",
		"UPDATE accounts SET name = 'x'":          "",
		"TRUNCATE accounts CASCADE":               "1 truncate public.users, 1 truncate billing.audit, 1 truncate public.accounts, 2 truncate public.orders",
		"TRUNCATE accounts":                       "",
		"DROP TABLE users CASCADE":                "1 drop constraint public.orders",
		"DROP TABLE users":                        "",
		"INSERT INTO accounts VALUES (1)":         "",
		"DELETE FROM events":                      "1 partition public.events_2025, 1 partition public.events_rest",
		"DELETE FROM ONLY events":                 "",
		"DELETE FROM parent":                      "1 inherits public.events_2025",
		"DELETE FROM emails WHERE id = 1":         "1 view public.vips, 2 view public.accounts, 3 delete public.users, 3 set null billing.audit, 3 delete public.accounts, 4 delete public.orders",
		"WITH d AS (DELETE FROM users) SELECT 1":  "1 delete public.orders",
		"SELECT * FROM accounts":                  "",
		"MERGE INTO users u USING x ON u.id = x.id WHEN MATCHED THEN DELETE": "1 delete public.orders",
	} {
		var all []string
		for _, a := range refined(t, sql).Actions {
			if words := cascadeWords(a); words != "" && !slices.Contains(all, words) {
				all = append(all, words)
			}
		}
		if got := strings.Join(all, "; "); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", sql, got, want)
		}
	}
}

func TestTriggersOfWhatACascadeReachesCount(t *testing.T) {
	for sql, want := range map[string]string{
		"UPDATE accounts SET name = 'x' WHERE id = 1": "[trigger touch on public.accounts]",
		"DELETE FROM accounts WHERE id = 1":           "[trigger gone on public.users]",
		"UPDATE emails SET name = 'x' WHERE id = 1":   "[trigger touch on public.accounts]",
		"INSERT INTO accounts VALUES (1)":             "[]",
	} {
		if got := fmt.Sprint(refined(t, sql).Actions[0].Triggers); got != want {
			t.Errorf("%s: got %s, want %s", sql, got, want)
		}
	}
}

func TestAWholeKeyBoundsTheRows(t *testing.T) {
	for where, want := range map[string]int{
		"id = 5":                                 1,
		"5 = id AND name = 'x'":                  1,
		"accounts.id = $1":                       1,
		"id IN (5, 6, 7)":                        3,
		"id = ANY ('{1,2}')":                     2,
		"id = ANY (ARRAY[1, 2, $1])":             3,
		"(region, email) = ('eu', 'a@b')":        1,
		"region IN ('eu', 'us') AND email = 'x'": 2,
		"id = '5'::bigint":                       1,
		"region = 'eu'":                          0, // half a key
		"id = 5 OR id = 6":                       0,
		"id = parent":                            0,
		"id > 5":                                 0,
		"id = ANY ($1)":                          0,
		"id = $1 AND $1 > 0.5":                   0, // $1 may be of another type
		"id = ANY ($1::float8[])":                0,
		"id = 5::float8":                         0, // more than one bigint is equal to it
		"email = 'x'::citext AND region = 'eu'":  0,
		"id IN (SELECT 5)":                       0,
		"id + 0 = 5":                             0,
	} {
		if got := refined(t, "DELETE FROM accounts WHERE "+where).Actions[0].AtMostRows; got != want {
			t.Errorf("%s: got %d, want %d", where, got, want)
		}
	}
	if got := refined(t, "DELETE FROM accounts a USING users u WHERE a.id = 5 AND u.id = a.id").Actions[0].AtMostRows; got != 1 {
		t.Errorf("with USING: %d", got)
	}
	// The key of a partitioned table is that of all its partitions; of a table that
	// others inherit from it is not.
	if p, i := refined(t, "DELETE FROM events WHERE id = 1").Actions[0].AtMostRows, refined(t, "DELETE FROM parent WHERE id = 1").Actions[0].AtMostRows; p != 1 || i != 0 {
		t.Errorf("partitioned %d, inherited %d", p, i)
	}
}

// A parameter that Parse declares to be of another type than the key may be equal to
// several of its values.
func TestAKeyIsBesideItsOwnType(t *testing.T) {
	const (
		float4, float8, numeric, date, timestamp, timestamptz, uuid = 700, 701, 1700, 1082, 1114, 1184, 2950
		int8s, float8s, enum                                        = 1016, 1022, 16400
	)
	told := map[string][]uint32{ // what a key of this type is told apart by
		"int4": {typeInt2, typeInt4, typeInt8, numeric}, "int8": {typeInt2, typeInt4, typeInt8, numeric, int8s},
		"numeric": {typeInt2, typeInt4, typeInt8, numeric}, "float8": {typeInt2, typeInt4, typeInt8, numeric, float4, float8, float8s},
		"text": {typeText, typeVarchar}, "varchar": {typeText, typeVarchar}, "bpchar": {typeText, typeVarchar, typeBpchar},
		"uuid": {uuid}, "date": {date, timestamp}, "timestamp": {date, timestamp}, "timestamptz": {date, timestamp, timestamptz},
		"": {},
	}
	for key, by := range told {
		for _, declared := range []uint32{0, typeUnknown, typeInt2, typeInt4, typeInt8, typeText, typeVarchar, typeBpchar, float4, float8, numeric, date,
			timestamp, timestamptz, uuid, float8s, enum} {
			c := decoded(t, shopCatalog)
			c.Relations[0].Columns[0].Type = key
			f := Declared(NewReader().Read("DELETE FROM accounts WHERE id = $1", plainLexing), []uint32{declared})[0]
			want := 0
			if declared == 0 || declared == typeUnknown || slices.Contains(by, declared) {
				want = 1
			}
			if got := NewReader().Refine(f, c).Actions[0].AtMostRows; got != want {
				t.Errorf("a key of type %q and a parameter of type %d: got %d, want %d", key, declared, got, want)
			}
		}
	}
}

// A catalogue that was kept can be wrong by now: it may hold a statement, and
// never lets one go.
func TestAKeptCatalogueMakesNothingMilder(t *testing.T) {
	r := NewReader()
	kept := decoded(t, shopCatalog).Kept()
	for _, sql := range []string{"DELETE FROM holds", "TRUNCATE holds", "DROP TABLE nothing", "DELETE FROM accounts WHERE name IS NOT NULL",
		"DELETE FROM accounts WHERE id = 5", "DELETE FROM accounts a USING holds h"} {
		f := r.Read(sql, plainLexing)[0]
		g := r.Refine(f, kept)
		a, b := f.Actions[0], g.Actions[0]
		if b.Where != a.Where || b.Empty || b.AtMostRows != 0 || !slices.Equal(a.Tables, b.Tables) {
			t.Errorf("%s: %+v", sql, b)
		}
	}
	f := r.Refine(r.Read("DELETE FROM accounts WHERE id IS NOT NULL", plainLexing)[0], kept)
	if f.Actions[0].Where != WhereAlwaysTrue {
		t.Errorf("it makes nothing worse either: %v", f.Actions[0].Where)
	}
}

func TestAMessageIsBelievedStatementByStatement(t *testing.T) {
	r := NewReader()
	for sql, want := range map[string]string{
		"DELETE FROM holds; TRUNCATE holds":                                                   "allow hold", // not after a write
		"INSERT INTO holds VALUES (1); TRUNCATE holds":                                        "allow hold",
		"SELECT 1; BEGIN; TRUNCATE holds":                                                     "allow allow allow",
		"SET search_path = billing; TRUNCATE holds":                                           "allow hold",
		"SET work_mem = '1GB'; TRUNCATE holds":                                                "allow allow",
		"SELECT set_config($1, 'x', false); TRUNCATE holds":                                   "allow hold",
		"SELECT f(); TRUNCATE holds":                                                          "warn hold",
		"CREATE TEMP TABLE fresh AS SELECT * FROM accounts; TRUNCATE fresh; DROP TABLE fresh": "allow allow allow",
		"CREATE TEMP TABLE fresh (a int); DROP TABLE fresh; TRUNCATE fresh":                   "allow allow hold",
		"CREATE TEMP TABLE fresh (a int); ROLLBACK; TRUNCATE fresh":                           "allow allow hold",
		"CREATE TEMP TABLE accounts (a int); TRUNCATE accounts":                               "allow hold", // search_path decides
		"CREATE TABLE fresh (a int); TRUNCATE fresh":                                          "allow hold",
		"CREATE TEMP TABLE fresh (a int); SET search_path = billing; TRUNCATE fresh":          "allow allow hold",
	} {
		facts := r.Read(sql, plainLexing)
		c := decoded(t, shopCatalog)
		for _, f := range facts {
			for _, n := range f.Names() {
				if found, _ := c.listed(n); !slices.ContainsFunc(c.Found, func(f Found) bool { return f.Name == n }) {
					c.Found = append(c.Found, Found{Name: n, OID: found.OID})
				}
			}
		}
		var got []string
		for _, f := range r.RefineAll(facts, c) {
			got = append(got, Standard().Decide(&Session{}, f).Verdict.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %s, want %s", sql, got, want)
		}
	}
}

func TestNamesAreThoseTheCatalogueCanSettle(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT * FROM accounts WHERE lower(email) = 'x'":                       "[]",
		"EXPLAIN DELETE FROM accounts":                                          "[]",
		"DELETE FROM a WHERE id IN (SELECT id FROM b.c WHERE EXISTS (TABLE d))": "[{ a relation} { d relation} {b c relation}]",
		"WITH b AS (SELECT 1) DELETE FROM a USING b WHERE lower(x) = 'y'":       "[{ a relation} { lower function}]",
		"SELECT admin.f(), g(1), lower('x')":                                    "[{ g function} {admin f function}]",
		"DROP SCHEMA s":                                                         "[{ s schema}]",
		"DROP TYPE x.t":                                                         "[{x t type}]",
		"DROP FUNCTION f(int)":                                                  "[{ f function}]",
		"CREATE TABLE t (id int)":                                               "[]",
		"DROP ROLE r":                                                           "[]",
		"CALL p()":                                                              "[{ p function}]",
		`ALTER TABLE "A" DROP COLUMN b, DROP COLUMN c`:                          "[{ A relation}]",
		"TRUNCATE a, b":                                                         "[{ a relation} { b relation}]",
		"DELETE FROM a WHERE b === 1":                                           "[{ a relation}]",
	} {
		if got := fmt.Sprint(NewReader().Read(sql, plainLexing)[0].Names()); got != want {
			t.Errorf("%s: got %s, want %s", sql, got, want)
		}
	}
}

func TestAFunctionThatHasTheNameOfABuiltInOneIsNotIt(t *testing.T) {
	f := refined(t, "DELETE FROM accounts WHERE lower(name) = 'x' AND id = 1")
	if !slices.ContainsFunc(f.Actions, func(a Action) bool { return a.Class == classFunctionCall && slices.Contains(a.Functions, "lower") }) {
		t.Errorf("%+v", f.Actions)
	}
}

func TestRulesMaySpeakOfWhatACatalogueKnows(t *testing.T) {
	p, err := Parse("p.yaml", []byte(`
version: 1
defaults: {approve: [{group: dba}]}
groups: {dba: [alice, bob]}
rules:
  - {id: billing, match: {cascades: ["billing.*"]}, action: hold}
  - {id: accounts, match: {statement: [delete], table: [public.accounts]}, action: hold}
  - {id: temp, match: {statement: [truncate], temporary: false, empty: false}, action: hold}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	for sql, want := range map[string]string{
		"DELETE FROM accounts WHERE id = 1": "billing",
		"DELETE FROM users WHERE id = 1":    "allowed",
		"DELETE FROM emails WHERE id = 1":   "billing",
		"DELETE FROM events WHERE id = 1":   "allowed",
		"UPDATE emails SET id = 1":          "allowed",
		"TRUNCATE holds":                    "allowed",
		"TRUNCATE pg_temp.x":                "allowed",
		"TRUNCATE users":                    "temp",
	} {
		if d := p.Decide(&Session{}, refined(t, sql)); d.ID() != want {
			t.Errorf("%s: got %s (%s), want %s", sql, d.ID(), d.Reason, want)
		}
	}
	// Without a catalogue nothing is known to be temporary, empty or reached.
	r := NewReader()
	if d := p.Decide(&Session{}, r.Read("TRUNCATE holds", plainLexing)[0]); d.ID() != "temp" {
		t.Errorf("got %s", d.ID())
	}
}

func TestACatalogueWithAnUnknownKeyIsRefused(t *testing.T) {
	if _, err := DecodeCatalog([]byte(`{"relations": [{"oid": 1, "emtpy": true}]}`)); err == nil {
		t.Error("no error")
	}
	file := t.TempDir() + "/a.txtar"
	if err := os.WriteFile(file, []byte("-- catalog.json --\n{\n-- a.sql --\nSELECT 1; -- allow\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := RunCases(file, NewReader(), nil); err == nil || !strings.Contains(err.Error(), "catalogue") {
		t.Errorf("got %v", err)
	}
}

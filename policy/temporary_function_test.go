package policy

import "testing"

func TestAFunctionOfTheSessionThatOnlyInsertsIsJudgedByItsInserts(t *testing.T) {
	for _, c := range []struct {
		sql   string
		class Class
		want  Verdict
	}{
		// Sequelize's findOrCreate.
		{`CREATE OR REPLACE FUNCTION pg_temp.testfunc(OUT response "Us", OUT sequelize_caught_exception text) RETURNS RECORD AS $f$ BEGIN
			INSERT INTO "Us" ("id","n") VALUES (DEFAULT,'z') RETURNING * INTO response;
			EXCEPTION WHEN unique_violation THEN GET STACKED DIAGNOSTICS sequelize_caught_exception = PG_EXCEPTION_DETAIL; END $f$ LANGUAGE plpgsql`,
			classCreateTemporaryFunction, Allow},
		{"CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql AS 'INSERT INTO t VALUES (1)'", classCreateTemporaryFunction, Allow},

		{"CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'INSERT INTO t VALUES (1)'", "create_function", Hold},
		{"CREATE FUNCTION public.f() RETURNS void LANGUAGE sql AS 'INSERT INTO t VALUES (1)'", "create_function", Hold},
		{"CREATE PROCEDURE pg_temp.f() LANGUAGE sql AS 'INSERT INTO t VALUES (1)'", "create_procedure", Hold},
		{"CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO t VALUES (1)'", "create_function", Hold},
		{"CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql SET search_path = x AS 'INSERT INTO t VALUES (1)'", "create_function", Hold},
		{"CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql AS 'INSERT INTO t VALUES (1); DELETE FROM t'", "create_function", Hold},
		{"CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql AS 'UPDATE t SET a = 1 WHERE id = 5'", "create_function", Hold},
		{"CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql AS 'WITH d AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM d'", "create_function", Hold},
		{"CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql AS 'INSERT INTO t SELECT wipe()'", "create_function", Hold},
		{"CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql AS 'INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 2'", "create_function", Hold},
		{"CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql AS 'SELECT setval(''s'', 1)'", "create_function", Hold},
		{"CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'INSERT INTO t VALUES (1)'; END $$", "create_function", Hold},
		{"CREATE FUNCTION pg_temp.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM wipe(); RETURN NEW; END $$", "create_function", Hold},
		{"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE plpgsql AS $$ DECLARE n int := wipe(); BEGIN INSERT INTO t VALUES (1); END $$", "create_function", Hold},
		{"CREATE FUNCTION pg_temp.f(a int DEFAULT wipe()) RETURNS void LANGUAGE sql AS 'INSERT INTO t VALUES (1)'", "create_function", Hold},
		{"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE c AS 'lib', 'f'", "create_function", Hold},
		{"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE plperlu AS 'INSERT INTO t VALUES (1)'", "create_function", Hold},
		{"DO $$ BEGIN CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql AS 'INSERT INTO t VALUES (1)'; END $$", "do_plain", Hold},
	} {
		f := NewReader().Read(c.sql, plainLexing)[0]
		d := Standard().Decide(&Session{User: "alice", InTransaction: true}, f)
		if f.Actions[0].Class != c.class || d.Verdict != c.want {
			t.Errorf("%s: %s, %s %s", c.sql, f.Actions[0].Class, d.Verdict, d.ID())
		}
	}
}

// The trigger of the table is looked at, though it is not this statement that sets
// it off.
func TestWhatTheInsertsOfAFunctionSetOffIsJudged(t *testing.T) {
	r := NewReader()
	c := decoded(t, `{"server_version": 150018, "foreign_keys": [], "relations": [
		{"oid": 1, "schema": "public", "name": "t", "kind": "r", "rows": 5,
		 "triggers": [{"name": "w", "timing": "after", "events": ["insert"], "row": true, "function": 9}]}],
		"functions": [{"oid": 9, "schema": "public", "name": "w", "kind": "f", "volatility": "v", "language": "plpgsql",
		 "body": "BEGIN DELETE FROM audit; RETURN NULL; END"}]}`)
	f := r.Refine(r.Read("CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql AS 'INSERT INTO t VALUES (1)'", plainLexing)[0], c)
	if d := Standard().Decide(&Session{User: "alice"}, f); d.Verdict != Hold || d.ID() != "no-where" {
		t.Errorf("%s %s: %+v", d.Verdict, d.ID(), f.Actions)
	}
}

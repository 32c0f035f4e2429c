package policy

import (
	"slices"
	"strings"
	"testing"
)

var usual = Lexing{Encoding: "UTF8", StandardConformingStrings: true, Known: true}

// one reads text that is one statement.
func one(t *testing.T, sql string) *Facts {
	t.Helper()
	all := NewReader().Read(sql, usual)
	if len(all) != 1 {
		t.Fatalf("%s: %d statements, want 1", sql, len(all))
	}
	return all[0]
}

var whereNames = map[Where]string{
	WhereMissing: "missing", WhereAlwaysTrue: "always true", WhereTrueUnlessNull: "true unless null", WhereIndependent: "independent",
	WhereUnlinked: "unlinked", WherePresent: "present",
}

// told writes the actions of a statement in a line.
func told(f *Facts) string {
	var all []string
	for _, a := range f.Actions {
		s := string(a.Class)
		for i, t := range a.Tables {
			s += []string{" ", ","}[min(i, 1)]
			if t.Schema != "" {
				s += t.Schema + "."
			}
			s += t.Name
		}
		if a.Cascade {
			s += " cascade"
		}
		if a.Where != WhereNone {
			s += " (" + whereNames[a.Where] + ")"
		}
		for _, f := range a.Functions {
			s += " " + f + "()"
		}
		if a.Carrier != "" {
			s += " by " + a.Carrier
		}
		all = append(all, s)
	}
	return strings.Join(all, "; ")
}

func testTold(t *testing.T, cases [][2]string) {
	t.Helper()
	for _, c := range cases {
		if got := told(one(t, c[0])); got != c[1] {
			t.Errorf("%s\n got %s\nwant %s", c[0], got, c[1])
		}
	}
}

func TestRowsAreChangedByTheseStatements(t *testing.T) {
	testTold(t, [][2]string{
		{"DELETE FROM parts", "delete parts (missing)"},
		{"delete from only shop.parts as p where p.id = 7 returning *", "delete shop.parts (present)"},
		{`UPDATE "Shop"."Parts" SET n = 1`, "update Shop.Parts (missing)"},
		{"UPDATE parts SET sold = true AND id = 42", "update parts (missing)"},
		{"INSERT INTO parts VALUES (1)", "insert parts"},
		{"INSERT INTO parts VALUES (1) ON CONFLICT DO NOTHING", "insert parts"},
		{"INSERT INTO parts VALUES (1) ON CONFLICT (id) DO UPDATE SET n = 2",
			"insert parts; update parts (present) by ON CONFLICT"},
		{"TRUNCATE a, s.b CASCADE", "truncate a,s.b cascade"},
		{"COPY parts FROM STDIN", "copy_from parts"},
		{"COPY parts FROM '/tmp/x'", "copy_from_file parts"},
		{"COPY parts FROM PROGRAM 'cat'", "copy_from_program parts"},
		{"SELECT setval('s', 1)", "select; setval setval()"},
		{"SELECT lo_unlink(7), lo_put(8, 0, 'x'), lo_create(9)",
			"select; large_object_drop lo_unlink(); large_object_write lo_put(); large_object_create lo_create()"},
		{"SELECT * INTO copies FROM parts", "select_into copies"},
		{"SELECT a INTO copies FROM parts UNION SELECT 1 UNION ALL SELECT 2", "select_into copies"},
		{"CREATE TABLE copies AS TABLE parts", "create_table_as copies"},
		{"DELETE FROM parts WHERE CURRENT OF c", "delete parts (present)"},
	})
}

func TestMergeIsJudgedByEachBranch(t *testing.T) {
	testTold(t, [][2]string{
		{"MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id)",
			"merge t (present); delete t (present) by MERGE; insert t by MERGE"},
		{"MERGE INTO t USING s ON true WHEN MATCHED THEN UPDATE SET a = 1",
			"merge t (always true); update t (always true) by MERGE"},
		{"MERGE INTO t USING s ON s.id = 7 WHEN MATCHED THEN DELETE",
			"merge t (unlinked); delete t (unlinked) by MERGE"},
		{"MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE",
			"merge t (missing); delete t (missing) by MERGE"},
		{"MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED BY SOURCE AND t.old THEN UPDATE SET a = 1 WHEN MATCHED THEN DO NOTHING",
			"merge t (present); update t (present) by MERGE"},
		{"MERGE INTO t USING (SELECT 1 AS id) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (1)",
			"merge t; insert t by MERGE"},
		{"MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND wipe() THEN DO NOTHING", "merge t; function_call wipe()"},
	})
}

func TestAnActionIsFoundWhateverCarriesIt(t *testing.T) {
	testTold(t, [][2]string{
		{"WITH d AS (DELETE FROM t RETURNING *) SELECT count(*) FROM d", "select; delete t (missing) by WITH"},
		{"WITH d AS MATERIALIZED (UPDATE t SET a = 1 WHERE id = 3) TABLE u", "select; update t (present) by WITH"},
		{"WITH d AS (DELETE FROM t) VALUES (1)", "values; delete t (missing) by WITH"},
		{"WITH d AS (DELETE FROM t) INSERT INTO u SELECT * FROM d", "insert u; delete t (missing) by WITH"},
		{"WITH d AS (DELETE FROM t) UPDATE u SET a = 1 WHERE id = 1", "update u (present); delete t (missing) by WITH"},
		{"WITH d AS (MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE RETURNING 1) SELECT 1",
			"select; merge t (always true) by WITH; delete t (always true) by WITH, MERGE"},
		{"SELECT 1 UNION ALL SELECT 2 UNION SELECT wipe()", "select; function_call wipe()"},
		{"COPY (DELETE FROM t RETURNING *) TO STDOUT", "copy_to; delete t (missing) by COPY"},
		{"COPY (SELECT wipe()) TO '/tmp/x'", "copy_to_file; function_call wipe() by COPY"},
		{"CREATE TABLE a AS WITH d AS (DELETE FROM t RETURNING *) TABLE d",
			"create_table_as a; delete t (missing) by CREATE TABLE AS, WITH"},
		{"CREATE MATERIALIZED VIEW m AS SELECT wipe()", "create_materialized_view m; function_call wipe() by CREATE TABLE AS"},
		{"CREATE SCHEMA s CREATE TABLE a (i int) CREATE VIEW v AS SELECT 1",
			"create_schema s; create_table a by CREATE SCHEMA; create_view v by CREATE SCHEMA"},
		{"CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM u; UPDATE w SET a = 1 WHERE id = 1)",
			"create_rule t; delete u (missing) by CREATE RULE; update w (present) by CREATE RULE"},
		{"DECLARE c CURSOR FOR SELECT wipe() FROM t FOR UPDATE",
			"declare_cursor; function_call wipe() by DECLARE; select_for_update t (missing) by DECLARE"},
	})
}

func TestExplainRunsTheStatementOnlyWithAnalyze(t *testing.T) {
	testTold(t, [][2]string{
		{"EXPLAIN DELETE FROM t", "explain"},
		{"EXPLAIN (ANALYZE, ANALYZE false) DELETE FROM t", "explain"},
		{"EXPLAIN (ANALYZE 0, VERBOSE) DELETE FROM t", "explain"},
		{"EXPLAIN (ANALYZE off) DELETE FROM t", "explain"},
		{"EXPLAIN (ANALYZE 'OFF') DELETE FROM t", "explain"},
		{"EXPLAIN ANALYZE DELETE FROM t", "explain; delete t (missing) by EXPLAIN ANALYZE"},
		{"EXPLAIN (ANALYZE false, costs off, ANALYZE) DELETE FROM t", "explain; delete t (missing) by EXPLAIN ANALYZE"},
		{"EXPLAIN (ANALYZE 1) DELETE FROM t", "explain; delete t (missing) by EXPLAIN ANALYZE"},
		{`EXPLAIN ("analyze" 'on') DELETE FROM t`, "explain; delete t (missing) by EXPLAIN ANALYZE"},
		{"EXPLAIN ANALYZE SELECT 1", "explain; select by EXPLAIN ANALYZE"},
		{"EXPLAIN ANALYZE CREATE TABLE a AS SELECT 1", "explain; create_table_as a by EXPLAIN ANALYZE"},
		// The planner may call a function that says it is immutable.
		{"EXPLAIN SELECT wipe()", "explain; function_call wipe() by EXPLAIN"},
		{"EXPLAIN SELECT setval('s', 1)", "explain"},
	})
}

func TestRowLocks(t *testing.T) {
	testTold(t, [][2]string{
		{"SELECT * FROM t FOR UPDATE", "select; select_for_update t (missing)"},
		{"SELECT * FROM t WHERE id = 5 FOR NO KEY UPDATE", "select; select_for_update t (present)"},
		{"SELECT * FROM t, s.u FOR SHARE OF u", "select; select_for_update s.u (present)"},
		{"SELECT * FROM t LIMIT 10 FOR KEY SHARE SKIP LOCKED", "select; select_for_update t (present)"},
		{"SELECT 1 WHERE EXISTS (SELECT FROM t FOR UPDATE)", "select; select_for_update t (missing)"},
		{"LOCK TABLE a, b IN EXCLUSIVE MODE", "lock_table a,b"},
		{"LOCK TABLE a", "lock_table a"},
		{"LOCK TABLE a IN ACCESS SHARE MODE", "lock_table_shared a"},
	})
}

func TestEachCommandOfAlterTableIsAnAction(t *testing.T) {
	testTold(t, [][2]string{
		{"ALTER TABLE t ADD COLUMN a int, DROP COLUMN IF EXISTS b CASCADE",
			"alter_table_add_column t; alter_table_drop_column t cascade"},
		{"ALTER TABLE s.t DROP b", "alter_table_drop_column s.t"},
		{"ALTER FOREIGN TABLE t DROP b", "alter_table_drop_column t"},
		{"ALTER TABLE t ALTER a TYPE bigint", "alter_table_set_data_type t"},
		{"ALTER TABLE t ALTER a TYPE text USING NULL", "alter_table_set_data_type t; alter_table_set_data_type_using t"},
		{"ALTER TABLE t ADD a timestamptz DEFAULT now()", "alter_table_add_column t"},
		{"ALTER TABLE t ADD a uuid DEFAULT gen_random_uuid()", "alter_table_add_column t; alter_table_add_column_rewrite t"},
		{"ALTER TABLE t ADD a bigserial", "alter_table_add_column t; alter_table_add_column_rewrite t"},
		{"ALTER TABLE t ADD a int GENERATED ALWAYS AS (b * 2) STORED",
			"alter_table_add_column t; alter_table_add_column_rewrite t"},
		{"ALTER TABLE t ADD a int DEFAULT wipe()",
			"alter_table_add_column t; alter_table_add_column_rewrite t; function_call wipe()"},
		{"ALTER TABLE t ADD CHECK (wipe())", "alter_table_add_constraint t; function_call wipe()"},
		{"ALTER TABLE t ALTER a SET DEFAULT wipe()", "alter_table_set_default t"},
		{"ALTER TABLE t ALTER a DROP DEFAULT", "alter_table_drop_default t"},
		{"ALTER TABLE t ALTER a RESTART WITH 1", "alter_table_restart_identity t"},
		{"ALTER TABLE t DISABLE TRIGGER ALL, DISABLE ROW LEVEL SECURITY",
			"alter_table_disable_trigger t; alter_table_disable_row_security t"},
		{"ALTER TABLE t DETACH PARTITION p", "alter_table_detach_partition t"},
		{"ALTER TABLE t NO INHERIT p, SET UNLOGGED, OWNER TO bob",
			"alter_table_no_inherit t; alter_table_set_unlogged t; alter_table_owner t"},
		{"ALTER TABLE t RENAME TO u", "alter_table_rename t"},
		{"ALTER TABLE t RENAME a TO b", "alter_table_rename_column t"},
		{"ALTER TABLE t SET SCHEMA s", "alter_table_set_schema t"},
		{"ALTER TYPE c DROP ATTRIBUTE a CASCADE", "alter_type_drop_attribute c cascade"},
		{"ALTER VIEW v ALTER a SET DEFAULT 1", "alter_view v"},
		{"ALTER INDEX i SET TABLESPACE x", "alter_index i"},
		{"ALTER VIEW v OWNER TO bob", "alter_object_owner v"},
	})
}

func TestDropNamesWhatItDrops(t *testing.T) {
	testTold(t, [][2]string{
		{"DROP TABLE IF EXISTS a, s.b CASCADE", "drop_table a,s.b cascade"},
		{"DROP SCHEMA s", "drop_schema s"},
		{"DROP TYPE s.e CASCADE", "drop_type s.e cascade"},
		{"DROP FUNCTION s.f(int), g", "drop_function s.f,g"},
		{"DROP TRIGGER r ON s.t", "drop_trigger s.t"},
		{"DROP POLICY p ON t", "drop_policy t"},
		{"DROP INDEX CONCURRENTLY i", "drop_index_concurrently i"},
		{"DROP DATABASE d WITH (FORCE)", "drop_database d"},
		{"DROP OWNED BY bob CASCADE", "drop_owned bob cascade"},
		{"DROP USER MAPPING FOR bob SERVER s", "drop_user_mapping s"},
		{"DROP SUBSCRIPTION s", "drop_subscription s"},
		{"DROP TABLESPACE s", "drop_tablespace s"},
		{"DROP ROLE a, b", "drop_role a,b"},
		{"DROP EXTENSION citext CASCADE", "drop_extension citext cascade"},
	})
}

func TestOtherStatementsHaveTheNameOfTheManual(t *testing.T) {
	testTold(t, [][2]string{
		{"TABLE t", "select"},
		{"VALUES (1), (2)", "values"},
		{"SHOW ALL", "show"},
		{"CREATE TEMP TABLE x (a int)", "create_table pg_temp.x"},
		{"CREATE OR REPLACE VIEW v AS SELECT wipe()", "create_or_replace_view v"},
		{"CREATE INDEX CONCURRENTLY ON t (a)", "create_index_concurrently t"},
		{"CREATE INDEX ON t (wipe(a))", "create_index t; function_call wipe()"},
		{"CREATE PROCEDURE p() LANGUAGE sql AS ''", "create_procedure p"},
		{"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC DELETE FROM t; SELECT 1; END", "create_function f"},
		{"DO $$ BEGIN DELETE FROM t; END $$", "do_plain; delete t (missing) by DO"},
		{"CALL s.p(1)", "call s.p()"},
		{"GRANT SELECT ON t TO bob", "grant t"},
		{"REVOKE ALL ON ALL TABLES IN SCHEMA s FROM bob CASCADE", "revoke s cascade"},
		{"GRANT admin TO bob", "grant_role"},
		{"VACUUM (FULL, ANALYZE) t", "vacuum_full t"},
		{"VACUUM t", "vacuum t"},
		{"ANALYZE t", "analyze t"},
		{"CLUSTER t USING i", "cluster t"},
		{"REINDEX INDEX CONCURRENTLY i", "reindex_concurrently i"},
		{"REINDEX DATABASE d", "reindex d"},
		{"REFRESH MATERIALIZED VIEW CONCURRENTLY m", "refresh_materialized_view_concurrently m"},
		{"ALTER SYSTEM SET fsync = off", "alter_system"},
		{"ALTER SEQUENCE s RESTART", "alter_sequence_restart s"},
		{"ALTER TYPE e RENAME VALUE 'a' TO 'b'", "alter_type_rename_value e"},
		{"ALTER TYPE e ADD VALUE 'a'", "alter_type_add_value e"},
		{"ALTER SCHEMA s RENAME TO r", "alter_schema_rename s"},
		{"ALTER DATABASE d RENAME TO r", "alter_database_rename d"},
		{"ALTER ROLE bob SET role = 'x'", "alter_role_set bob"},
		{"CREATE AGGREGATE a (int) (sfunc = f, stype = int)", "create_aggregate"},
		{"CREATE COLLATION c FROM \"C\"", "create_collation"},
		{"COMMENT ON TABLE t IS 'x'", "comment"},
		{"LISTEN c", "listen"},
		{"FETCH ALL FROM c", "fetch"},
		{"MOVE ALL IN c", "move"},
		{"UPDATE pg_settings SET setting = 'replica' WHERE name = 'session_replication_role'",
			"update pg_settings (present); set by UPDATE pg_settings"},
	})
}

func TestPreparedStatementsAreKeptApartFromTheirPreparation(t *testing.T) {
	f := one(t, "PREPARE p (int) AS DELETE FROM t WHERE id = $1")
	if told(f) != "prepare" || f.Prepares != "p" || told(f.Prepared) != "delete t (present)" {
		t.Errorf("PREPARE: %s, prepares %q", told(f), f.Prepares)
	}
	for _, sql := range []string{"EXECUTE p(1)", "EXPLAIN ANALYZE EXECUTE p(1)", "CREATE TABLE x AS EXECUTE p(1)"} {
		if f := one(t, sql); f.Executes != "p" {
			t.Errorf("%s executes %q", sql, f.Executes)
		}
	}
	if f := one(t, "EXPLAIN EXECUTE p(1)"); f.Executes != "" {
		t.Errorf("a plain EXPLAIN executes %q", f.Executes)
	}
	if got := told(one(t, "EXECUTE p(wipe())")); got != "execute; function_call wipe()" {
		t.Errorf("an argument that calls: %s", got)
	}
	with := one(t, "EXECUTE p").With([]*Facts{one(t, "WITH d AS (DELETE FROM t) SELECT set_config('role', 'bob', true)")})
	if got, want := told(with), "execute; select by EXECUTE; delete t (missing) by EXECUTE, WITH; set by EXECUTE, set_config"; got != want {
		t.Errorf("With:\n got %s\nwant %s", got, want)
	}
	if len(with.Settings) != 1 || with.Settings[0].Name != "role" {
		t.Errorf("With has the settings %v", with.Settings)
	}
	if f := one(t, "DEALLOCATE p"); f.Deallocates != "p" || f.DeallocatesAll {
		t.Error("DEALLOCATE p")
	}
	for _, sql := range []string{"DEALLOCATE ALL", "DISCARD ALL"} {
		if !one(t, sql).DeallocatesAll {
			t.Errorf("%s keeps prepared statements", sql)
		}
	}
}

func TestTransactionEffects(t *testing.T) {
	for sql, want := range map[string]TransactionEffect{
		"BEGIN": TransactionBegin, "START TRANSACTION READ ONLY": TransactionBegin,
		"COMMIT": TransactionCommit, "END": TransactionCommit, "PREPARE TRANSACTION 'x'": TransactionCommit,
		"ROLLBACK": TransactionRollback, "ABORT": TransactionRollback,
		"COMMIT AND CHAIN": TransactionCommitAndChain, "ROLLBACK AND CHAIN": TransactionRollbackAndChain,
		"SAVEPOINT a": TransactionSavepoint, "RELEASE a": TransactionSavepoint,
		"ROLLBACK TO a": TransactionRollbackTo, "COMMIT PREPARED 'x'": TransactionNone, "SELECT 1": TransactionNone,
	} {
		if f := one(t, sql); f.Transaction != want {
			t.Errorf("%s: %d, want %d", sql, f.Transaction, want)
		}
	}
}

func TestSettings(t *testing.T) {
	for sql, want := range map[string]Setting{
		"SET Session_Replication_Role = replica":               {Name: "session_replication_role", Value: "replica", Known: true},
		"SET LOCAL statement_timeout TO '5s'":                  {Name: "statement_timeout", Value: "5s", Known: true, Local: true},
		"SET search_path = a, \"B\"":                           {Name: "search_path", Value: "a, B", Known: true},
		"SET work_mem = -1":                                    {Name: "work_mem", Value: "-1", Known: true},
		"SET x.y TO DEFAULT":                                   {Name: "x.y"},
		"SET TIME ZONE 'UTC'":                                  {Name: "timezone", Value: "UTC", Known: true},
		"SET NAMES 'SJIS'":                                     {Name: "client_encoding", Value: "SJIS", Known: true},
		"RESET standard_conforming_strings":                    {Name: "standard_conforming_strings"},
		"RESET ALL":                                            {Name: "all"},
		"DISCARD ALL":                                          {Name: "all"},
		"SET ROLE bob":                                         {Name: "role", Value: "bob", Known: true},
		"SET SESSION AUTHORIZATION bob":                        {Name: "session_authorization", Value: "bob", Known: true},
		"SELECT set_config('Row_Security', 'off', true)":       {Name: "row_security", Value: "off", Known: true, Local: true},
		"SELECT pg_catalog.set_config('a.b', $1, false)":       {Name: "a.b"},
		"SELECT set_config(name, 'x', false) FROM t":           {Value: "x", Known: true},
		"SET TRANSACTION READ WRITE":                           {Name: "transaction_read_only", Value: "off", Known: true, Local: true},
		"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY": {Name: "default_transaction_read_only", Value: "on", Known: true},
		"UPDATE pg_catalog.pg_settings SET setting = 'off' WHERE name = 'fsync'": {Name: "fsync", Value: "off", Known: true},
		"UPDATE pg_settings SET setting = 'off' WHERE name LIKE 'f%'":            {Value: "off", Known: true},
	} {
		if f := one(t, sql); len(f.Settings) != 1 || f.Settings[0] != want {
			t.Errorf("%s: %+v, want %+v", sql, f.Settings, want)
		}
	}
	for sql, want := range map[string]Class{
		"SET ROLE NONE": "set_role", "RESET ROLE": "set_role", "SET SESSION AUTHORIZATION DEFAULT": "set_session_authorization",
		"SET TRANSACTION READ WRITE": "set_transaction", "SET a.b = 1": "set", "RESET a.b": "reset",
	} {
		if f := one(t, sql); f.Class != want {
			t.Errorf("%s is %s, want %s", sql, f.Class, want)
		}
	}
}

func TestSignalsToSessionsByNumber(t *testing.T) {
	f := one(t, "SELECT pg_cancel_backend(4711), pg_terminate_backend('-12')")
	if !slices.Equal(f.Signals, []int32{4711, -12}) {
		t.Errorf("signals %v", f.Signals)
	}
	testTold(t, [][2]string{
		{"SELECT pg_cancel_backend(4711)", "select; cancel_backend pg_cancel_backend()"},
		{"SELECT pg_terminate_backend(4711)", "select; terminate_backend pg_terminate_backend()"},
		{"SELECT pg_terminate_backend(pid) FROM pg_stat_activity", "select; server_function pg_terminate_backend()"},
	})
}

func TestCopyFromStdinIsFollowedByData(t *testing.T) {
	for sql, want := range map[string]bool{
		"COPY t FROM STDIN": true, "COPY t (a) FROM STDIN WITH (FORMAT csv)": true,
		"COPY t TO STDOUT": false, "COPY t FROM '/x'": false, "COPY t FROM PROGRAM 'x'": false,
	} {
		if f := one(t, sql); f.CopyIn != want {
			t.Errorf("%s: CopyIn is %v", sql, f.CopyIn)
		}
	}
}

func TestEveryStatementOfAMessageHasItsOwnText(t *testing.T) {
	all := NewReader().Read(" DELETE FROM a ;; /* ü */ SET b = 'ü';\n-- c\nSELECT 1", usual)
	want := []string{"DELETE FROM a", "/* ü */ SET b = 'ü'", "-- c\nSELECT 1"}
	if len(all) != len(want) {
		t.Fatalf("%d statements", len(all))
	}
	for i, f := range all {
		if f.Text != want[i] {
			t.Errorf("statement %d is %q, want %q", i, f.Text, want[i])
		}
	}
	for _, empty := range []string{"", ";", " ; ;", "-- x", "/* x */;"} {
		if n := len(NewReader().Read(empty, usual)); n != 0 {
			t.Errorf("%q holds %d statements", empty, n)
		}
	}
}

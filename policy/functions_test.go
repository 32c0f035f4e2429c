package policy

import (
	"strings"
	"testing"
)

func TestFunctionsAreToldApartByWhatTheyDo(t *testing.T) {
	testTold(t, [][2]string{
		{"SELECT lower(a), count(*), pg_catalog.now(), nextval('s'), pg_sleep(1)", "select"},
		{"SELECT sum(a) FILTER (WHERE a > 1) OVER (PARTITION BY b ORDER BY c)", "select"},
		{"SELECT extract(year FROM a), position('a' IN b), trim(c), a AT TIME ZONE 'UTC'", "select"},
		{"SELECT * FROM generate_series(1, 3), unnest(a) WITH ORDINALITY, json_to_recordset(b) AS x (i int)", "select"},
		{"SELECT (information_schema._pg_expandarray(a)).n", "select"},
		{"SELECT uuidv7(), any_value(a), array_sort(b), casefold(c)", "select"}, // PostgreSQL 16 to 18
		{"SELECT purge('eu')", "select; function_call purge()"},
		{"SELECT shop.lower(a), PURGE(b), \"Purge\"(c)", "select; function_call shop.lower() purge() Purge()"},
		{"SELECT pg_temp.f()", "select; function_call pg_temp.f()"},
		{"SELECT a FROM t WHERE purge() GROUP BY purge() ORDER BY again()", "select; function_call purge() again()"},
		{"SELECT 1 LIMIT purge()", "select; function_call purge()"},
		{"SELECT a FROM t GROUP BY ROLLUP (purge())", "select; function_call purge()"},
		{"SELECT a[purge()], (b).c, ARRAY[purge2()], ROW(purge3())", "select; function_call purge() purge2() purge3()"},
		{"SELECT sum(a) OVER (ORDER BY purge())", "select; function_call purge()"},
		{"SELECT sum(a) OVER w FROM t WINDOW w AS (PARTITION BY purge())", "select; function_call purge()"},
		{"SELECT count(*) FILTER (WHERE purge()), array_agg(a ORDER BY purge2())", "select; function_call purge() purge2()"},
		{"SELECT * FROM t JOIN LATERAL purge(t.id) p ON again()", "select; function_call purge() again()"},
		{"SELECT * FROM ROWS FROM (purge(), again())", "select; function_call purge() again()"},
		{"SELECT * FROM t TABLESAMPLE system (10)", "select"},
		{"SELECT * FROM t TABLESAMPLE mine (10)", "select; function_call mine()"},
		{"SELECT json_object('a': purge()), JSON_QUERY(purge2(), '$'), xmlelement(name a, purge3())",
			"select; function_call purge() purge2() purge3()"},
		{"SELECT * FROM JSON_TABLE(purge(), '$' COLUMNS (a int PATH '$'))", "select; function_call purge()"},
		{"SELECT CASE WHEN purge() THEN 1 END, coalesce(again()), greatest(more(), 1), nullif(less(), 1)",
			"select; function_call purge() again() more() less()"},
		{"SELECT DISTINCT ON (purge()) a FROM t", "select; function_call purge()"},
		{"VALUES (purge())", "values; function_call purge()"},
		{"WITH RECURSIVE w AS (SELECT 1 UNION ALL SELECT purge() FROM w) TABLE w", "select; function_call purge()"},
		{"INSERT INTO t VALUES (1, purge()) RETURNING again()", "insert t; function_call purge() again()"},
		{"INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET a = purge()",
			"insert t; update t (present) by ON CONFLICT; function_call purge()"},
		{"DELETE FROM t WHERE purge(id)", "delete t (present); function_call purge()"},
		{"SELECT a === b, a OPERATOR(pg_catalog.+) b, a OPERATOR(x.+) b",
			"select; function_call operator ===() operator x.+()"},
		{"SELECT 1 ORDER BY a USING <<<", "select; function_call operator <<<()"},
		{"SELECT a ==== ANY (SELECT 1)", "select; function_call operator ====()"},
		{"SELECT a BETWEEN 1 AND 2, a LIKE 'x', a IN (1), a IS DISTINCT FROM 1, a <> 1, a != 1, a ~* 'x'", "select"},
		{"SELECT query_to_xml('DELETE FROM t', true, false, '')", "select; sql_function_call query_to_xml()"},
		{"SELECT * FROM x.crosstab('SELECT 1')", "select; sql_function_call x.crosstab()"},
		{"SELECT ts_rewrite(a, b, c), ts_rewrite(a, 'SELECT 1')", "select; sql_function_call ts_rewrite()"},
		{"SELECT * FROM dblink('x', 'DELETE FROM t') AS (a int)", "select; server_function dblink()"},
		{"SELECT pg_reload_conf(), pg_catalog.pg_read_file('x'), lo_export(1, 'x')",
			"select; server_function pg_reload_conf() pg_catalog.pg_read_file() lo_export()"},
		{"SELECT mine.pg_reload_conf()", "select; server_function mine.pg_reload_conf()"},
		{"SELECT mine.setval('s', 1)", "select; function_call mine.setval()"},
		{"SELECT set_config('a.b', 'c', false)", "select; set by set_config"},
		{"SELECT set_config(name, 'c', false) FROM t", "select; function_call set_config()"},
	})
}

// No name is in two lists, where the later one would win unseen.
func TestAFunctionIsOfOneKind(t *testing.T) {
	kinds := make(map[string]int)
	for _, list := range []string{builtinFunctions, laterFunctions, harmlessVolatile, serverFunctions, sqlFunctions} {
		for _, name := range strings.Fields(list) {
			if kinds[name]++; kinds[name] > 1 {
				t.Errorf("%s is listed twice", name)
			}
		}
	}
	if len(kinds) < 2000 || len(operators) < 60 {
		t.Errorf("%d functions and %d operators are known", len(kinds), len(operators))
	}
}

// The kinds of query that drivers and GUI clients send by themselves, in the
// functions and the syntax that they use.
func TestWhatOtherClientsAskTheCatalogueIsAPlainRead(t *testing.T) {
	for _, sql := range []string{
		`SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, ct.relname, a.attname,
		   (information_schema._pg_expandarray(i.indkey)).n AS KEY_SEQ, ci.relname AS PK_NAME
		 FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid)
		   JOIN pg_catalog.pg_namespace n ON (ct.relnamespace = n.oid) JOIN pg_catalog.pg_index i ON (a.attrelid = i.indrelid)
		   JOIN pg_catalog.pg_class ci ON (ci.oid = i.indexrelid)
		 WHERE true AND n.nspname = 'public' AND i.indisprimary`,
		`SELECT t.typname, t.oid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON t.typnamespace = n.oid
		 WHERE n.nspname != 'pg_toast' AND (t.typrelid = 0 OR (SELECT c.relkind = 'c' FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid))`,
		`SELECT c.oid, c.*, d.description, pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS partition_expr,
		   pg_catalog.pg_get_partkeydef(c.oid) AS partition_key FROM pg_catalog.pg_class c
		 LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass
		 WHERE c.relnamespace = $1 AND c.relkind NOT IN ('i', 'I', 'c')`,
		`SELECT db.oid, db.*, pg_catalog.pg_encoding_to_char(encoding), pg_catalog.shobj_description(db.oid, 'pg_database'),
		   pg_catalog.has_database_privilege(db.oid, 'CREATE'), current_setting('default_tablespace'), pg_catalog.pg_database_size(db.oid)
		 FROM pg_catalog.pg_database db ORDER BY datname COLLATE "C"`,
		`SELECT pg_catalog.pg_get_functiondef(p.oid), pg_catalog.pg_get_function_identity_arguments(p.oid),
		   pg_catalog.array_to_string(p.proacl, ','), format_type(p.prorettype, NULL) FROM pg_catalog.pg_proc p`,
		`SELECT 'session_stats' AS chart_name, pg_catalog.row_to_json(t) AS chart_data FROM (SELECT
		   (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = (SELECT datname FROM pg_catalog.pg_database WHERE oid = 5)) AS "Total") t`,
		`SELECT version(), current_schema(), session_user, pg_backend_pid(), inet_server_addr(), pg_is_in_recovery()`,
		`SELECT roles.oid, pg_catalog.array_agg(r.rolname ORDER BY 1), EXISTS (SELECT 1 FROM pg_catalog.pg_auth_members m WHERE m.member = roles.oid)
		 FROM pg_catalog.pg_roles roles LEFT JOIN pg_catalog.pg_roles r ON true GROUP BY roles.oid`,
		`SELECT x.relkind, pg_catalog.obj_description(x.oid), pg_catalog.col_description(x.oid, 1), pg_catalog.pg_total_relation_size(x.oid),
		   pg_catalog.pg_size_pretty(pg_catalog.pg_relation_size(x.oid)), pg_catalog.pg_stat_get_live_tuples(x.oid) FROM pg_catalog.pg_class x`,
		`SELECT conname, pg_catalog.pg_get_constraintdef(oid, true), conkey FROM pg_catalog.pg_constraint WHERE conrelid = ANY ('{1,2}'::oid[])`,
		`SHOW search_path`,
		`SHOW TRANSACTION ISOLATION LEVEL`,
		`/* ping */ SELECT 1`,
		`SELECT * FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog') ORDER BY ordinal_position LIMIT 200 OFFSET 0`,
		`EXPLAIN (FORMAT JSON) SELECT * FROM orders WHERE id = $1`,
		`EXPLAIN (ANALYZE, VERBOSE, COSTS, TIMING, BUFFERS, SUMMARY, FORMAT JSON) SELECT * FROM orders`,
	} {
		for _, f := range NewReader().Read(sql, usual) {
			if !f.ReadOnly() {
				t.Errorf("%s %s\n%s", told(f), f.Problem, sql)
			}
		}
	}
}

package impact

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// Locks tell of what the counters do not show.
func TestWhatIsLockedExclusivelyIsNamed(t *testing.T) {
	_, super := atOffice(t)
	for _, c := range []struct{ name, sql, want string }{
		{"DROP TABLE", "DROP TABLE orders", "gone !, users !"}, // the foreign key's other end
		{"DROP TABLE in a function", "DO $$ BEGIN EXECUTE 'DROP TABLE wide'; END $$", "gone !"},
		{"DROP INDEX", "DROP INDEX totals_account_id_idx", "gone !, totals !"},
		{"DROP VIEW", "DROP VIEW poor", "gone !"},
		{"DROP SCHEMA", "DROP SCHEMA secret CASCADE", "gone !"},
		{"drop, rolled back", "SAVEPOINT s; DROP TABLE wide; ROLLBACK TO s", ""},
		{"dropped column", "ALTER TABLE wide DROP more", "wide !"},
		{"new column", "ALTER TABLE wide ADD other int", "wide !"},
		{"rewriting type", "ALTER TABLE logs ALTER id TYPE bigint", "gone !, logs !, logs_old !"},
		{"CLUSTER", "CLUSTER notes USING notes_pkey", "gone !, notes !"},
		{"REFRESH", "REFRESH MATERIALIZED VIEW totals", "gone !, totals +100 !"},
		{"REFRESH CONCURRENTLY", "INSERT INTO users VALUES (900, NULL); REFRESH MATERIALIZED VIEW CONCURRENTLY totals", "gone !, totals +101, users +1"},
		{"TRUNCATE CASCADE", "TRUNCATE users CASCADE", "orders !, users !"},
		{"TRUNCATE of partitions", "TRUNCATE events", "events !, events_1 !, events_2 !"},
		{"detached partition", "ALTER TABLE events DETACH PARTITION events_1", "events !, events_1 !"},
		{"CREATE INDEX", "CREATE INDEX ON notes (account_id)", ""},
		{"ANALYZE", "ANALYZE notes", ""},
		{"new trigger", "CREATE TRIGGER x AFTER INSERT ON notes EXECUTE FUNCTION tell()", ""},
		{"comment, role, privilege", "COMMENT ON TABLE notes IS 'x'; CREATE ROLE passing; GRANT pg_monitor TO passing; GRANT SELECT ON notes TO passing", ""},
		{"extension", "CREATE EXTENSION hstore", ""},
		{"system catalog by hand", "UPDATE pg_class SET relname = relname WHERE relname = 'notes'", "pg_catalog.pg_class ~1"},
		{"large objects", "SELECT lo_create(777002), lo_put(777002, 0, '\\x01')", "pg_catalog.pg_largeobject +1, pg_catalog.pg_largeobject_metadata +1"},
	} {
		if got := said(measured(t, super, super, c.sql)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestHowLargeATableWasIsKnownAfterItIsEmptied(t *testing.T) {
	clerk, super := atOffice(t)
	for _, c := range []struct {
		sql  string
		rows float64
	}{
		{"DELETE FROM accounts WHERE id = 9", 100}, // ANALYZE
		{"DELETE FROM notes", 100},                 // the statistics
		{"TRUNCATE notes", 100},
		{"TRUNCATE users CASCADE", 200},
		{"DROP TABLE wide", 5},
	} {
		run(t, super, "BEGIN;"+c.sql)
		found := false
		for _, table := range measure(t, super).Tables {
			found = found || table.Rows == c.rows && (table.Kind == "r" || table.Kind == "")
		}
		if !found {
			t.Errorf("%s: %+v", c.sql, measure(t, super).Tables)
		}
		run(t, super, "ROLLBACK")
	}
	run(t, clerk, "BEGIN; DELETE FROM events WHERE at = 5")
	if m := measure(t, clerk); m.Tables[0].Root.String() != "public.events" || m.Tables[0].Kind != "r" {
		t.Errorf("partition: %+v", m.Tables)
	}
	run(t, clerk, "ROLLBACK; BEGIN; CREATE TABLE own.fresh (id int); INSERT INTO own.fresh VALUES (1)")
	if m := measure(t, clerk); m.Tables[0].Rows != -1 || !m.Tables[0].Created {
		t.Errorf("new table: %+v", m.Tables)
	}
	run(t, clerk, "ROLLBACK")
}

// A client owns its search_path and its temporary tables: what stands in them must
// not answer in the server's place.
func TestAClientCannotBlindTheMeasurement(t *testing.T) {
	clerk, super := atOffice(t)
	var evil strings.Builder
	evil.WriteString("CREATE SCHEMA evil; GRANT ALL ON SCHEMA evil TO clerk;")
	for _, typ := range []string{"text", "oid", `"char"`, "name", "int2", "int4", "int8", "float4", "timestamptz", "bool"} {
		fmt.Fprintf(&evil, "CREATE FUNCTION evil.wrong(%[1]s, %[1]s) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;", typ)
		for _, op := range []string{"=", "<>", ">", ">=", "<"} {
			fmt.Fprintf(&evil, "CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %[2]s, FUNCTION = evil.wrong);", op, typ)
		}
	}
	for _, f := range []string{"pg_backend_pid() RETURNS int", "pg_lock_status() RETURNS int", "pg_cursor() RETURNS int", "transaction_timestamp() RETURNS timestamptz",
		"pg_stat_get_xact_tuples_deleted(oid) RETURNS bigint", "pg_stat_get_xact_tuples_inserted(oid) RETURNS bigint", "pg_stat_force_next_flush() RETURNS void",
		"current_setting(text) RETURNS text", "encode(bytea, text) RETURNS text", "convert_to(text, name) RETURNS bytea", "pg_my_temp_schema() RETURNS oid"} {
		fmt.Fprintf(&evil, "CREATE FUNCTION evil.%s LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;", f)
	}
	evil.WriteString("CREATE TYPE evil.bool AS ENUM ('x'); CREATE TYPE evil.int8 AS ENUM ('x');")
	run(t, super, evil.String())
	run(t, clerk, `CREATE TEMPORARY TABLE pg_class (oid int); CREATE TEMPORARY TABLE pg_attribute (oid int); CREATE TEMPORARY TABLE pg_trigger (oid int);
		CREATE FUNCTION pg_temp.pg_backend_pid() RETURNS int LANGUAGE sql AS 'SELECT 1';
		SET search_path = pg_temp, evil, pg_catalog, public; SET quote_all_identifiers = on; SET extra_float_digits = -15; SET bytea_output = escape;
		SET enable_indexscan = off; SET plan_cache_mode = force_custom_plan; SET stats_fetch_consistency = snapshot; SET jit_above_cost = 0`)
	if got := said(batch(t, clerk, false, "DELETE FROM orders")); got != "orders -600" {
		t.Error(got)
	}
	run(t, clerk, "BEGIN READ WRITE ISOLATION LEVEL SERIALIZABLE; DELETE FROM notes; SET TRANSACTION READ ONLY")
	if got := said(measure(t, clerk)); got != "notes -100" {
		t.Error(got)
	}
	run(t, clerk, "ROLLBACK")
}

// A name that the client's encoding does not have, or that is in none, must not
// be an error: it would abort the client's transaction.
func TestNamesAreReadUnderEveryEncoding(t *testing.T) {
	clerk, _ := atOffice(t)
	run(t, clerk, `CREATE TABLE own."Ω ""x""" (id int); INSERT INTO own."Ω ""x""" VALUES (1)`)
	const remove = `DELETE FROM own."Ω ""x"""`
	for _, encoding := range []string{"UTF8", "LATIN1", "SJIS", "SQL_ASCII"} {
		run(t, clerk, "BEGIN;"+remove+"; SET client_encoding = "+encoding)
		if got := said(measure(t, clerk)); !strings.HasPrefix(got, `own.Ω "x" `) {
			t.Errorf("%s: %s", encoding, got)
		}
		run(t, clerk, "ROLLBACK; BEGIN; ROLLBACK")
	}
	cluster := pgcluster.Shared(t)
	super := connect(t, cluster.DSN("postgres", cluster.Superuser))
	run(t, super, "CREATE DATABASE bytes TEMPLATE template0 ENCODING SQL_ASCII LC_COLLATE 'C' LC_CTYPE 'C'")
	t.Cleanup(func() { run(t, super, "DROP DATABASE bytes WITH (FORCE)") })
	conn := connect(t, cluster.DSN("bytes", cluster.Superuser))
	run(t, conn, "SET client_encoding = SQL_ASCII; CREATE TABLE \"t\xe9\" (id int)")
	if got := said(batch(t, conn, false, "INSERT INTO \"t\xe9\" VALUES (1)")); got != "t\uFFFD +1" {
		t.Errorf("%q", got)
	}
}

// The workers of a parallel query have locks of their own, and change nothing.
func TestAParallelQueryIsMeasured(t *testing.T) {
	clerk, super := atOffice(t)
	run(t, super, "CREATE TABLE public.many AS SELECT i FROM generate_series(1, 20000) i; ALTER TABLE many SET (parallel_workers = 2); GRANT ALL ON many TO clerk; ANALYZE many")
	run(t, clerk, "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; BEGIN")
	plan := run1(t, clerk, "EXPLAIN (FORMAT JSON) CREATE TABLE own.few AS SELECT i FROM many WHERE i % 10 = 0")
	if !strings.Contains(plan, "Workers Planned") {
		t.Fatalf("not parallel: %s", plan)
	}
	run(t, clerk, "CREATE TABLE own.few AS SELECT i FROM many WHERE i % 10 = 0; DELETE FROM many WHERE i < 10")
	if got := said(measure(t, clerk)); got != "own.few +2000 !*, many -9" {
		t.Error(got)
	}
}

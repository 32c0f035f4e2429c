package impact

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// office has what changes rows without being named in a statement. Each of its
// tables has a second, independent count of its rows: see shadow.
const office = `
CREATE TABLE accounts (id int PRIMARY KEY, email text UNIQUE, n int DEFAULT 0);
CREATE TABLE users (id int PRIMARY KEY, account_id int REFERENCES accounts ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users ON DELETE CASCADE);
CREATE TABLE notes (id int PRIMARY KEY, account_id int REFERENCES accounts ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE tags (id int PRIMARY KEY, account_id int DEFAULT 1 REFERENCES accounts ON DELETE SET DEFAULT ON UPDATE CASCADE);
CREATE TABLE events (id int, at int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (100);
CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (100) TO (200);
CREATE TABLE logs (id int, what text);
CREATE TABLE logs_old () INHERITS (logs);
CREATE TABLE history (id serial PRIMARY KEY, what text);
CREATE TABLE purges (what text);
CREATE TABLE wide (id int PRIMARY KEY, body text, more text);
ALTER TABLE wide ALTER body SET STORAGE EXTERNAL;
CREATE SCHEMA secret;
CREATE TABLE secret.keys (id int);
INSERT INTO secret.keys SELECT generate_series(1, 8);
CREATE UNLOGGED TABLE cache (id int PRIMARY KEY, v text);
CREATE TABLE late (id int PRIMARY KEY);
CREATE SEQUENCE numbers;
CREATE VIEW poor AS SELECT * FROM accounts WHERE n < 5;
CREATE VIEW named AS SELECT id, email FROM accounts;
CREATE MATERIALIZED VIEW totals AS SELECT account_id, count(*) FROM users GROUP BY 1;
CREATE UNIQUE INDEX ON totals (account_id);

INSERT INTO accounts SELECT i, i || '@a', i % 10 FROM generate_series(1, 100) i;
INSERT INTO users SELECT i, (i - 1) / 2 + 1 FROM generate_series(1, 200) i;
INSERT INTO orders SELECT i, (i - 1) / 3 + 1 FROM generate_series(1, 600) i;
INSERT INTO notes SELECT i, i FROM generate_series(1, 100) i;
INSERT INTO tags SELECT i, i FROM generate_series(1, 100) i;
INSERT INTO events SELECT i, i FROM generate_series(1, 199) i;
INSERT INTO logs SELECT i, 'x' FROM generate_series(1, 30) i;
INSERT INTO logs_old SELECT i, 'y' FROM generate_series(1, 20) i;
INSERT INTO history (what) SELECT 'old' FROM generate_series(1, 10);
INSERT INTO wide SELECT i, repeat('x', 20000), 'm' FROM generate_series(1, 5) i;
INSERT INTO cache SELECT i, 'v' FROM generate_series(1, 10) i;
SELECT lo_create(777001), lo_put(777001, 0, '\x01');
GRANT ALL ON LARGE OBJECT 777001 TO clerk;
ANALYZE accounts, users;

CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN INSERT INTO history (what) VALUES (TG_OP); RETURN NULL; END $$;
CREATE TRIGGER a_tell AFTER UPDATE OF n ON accounts FOR EACH ROW EXECUTE FUNCTION tell();
CREATE CONSTRAINT TRIGGER a_late AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tell();
CREATE RULE purge AS ON INSERT TO purges DO ALSO DELETE FROM history;
CREATE RULE instead AS ON DELETE TO named DO INSTEAD UPDATE accounts SET email = NULL WHERE id = OLD.id;

CREATE FUNCTION wipe(above int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE n int; BEGIN EXECUTE 'DELETE FROM orders WHERE id > $1' USING above; GET DIAGNOSTICS n = ROW_COUNT; RETURN n; END $$;
CREATE FUNCTION wipe_sql() RETURNS void LANGUAGE sql AS 'DELETE FROM orders WHERE id > 590';
CREATE FUNCTION wipe_secret() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM secret.keys';
CREATE FUNCTION truncate_tags() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN TRUNCATE public.tags; END $$;
CREATE FUNCTION try(fail bool) RETURNS void LANGUAGE plpgsql AS $$
BEGIN DELETE FROM logs WHERE id <= 3; RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN INSERT INTO purges VALUES ('x'); END $$;
CREATE PROCEDURE tidy() LANGUAGE plpgsql AS $$ BEGIN DELETE FROM orders WHERE id <= 7; END $$;

CREATE SCHEMA own AUTHORIZATION clerk;
GRANT CREATE, USAGE ON SCHEMA public TO clerk;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO clerk;
GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk;
REVOKE SELECT ON cache FROM clerk;`

// shadow counts what the counters should say, by triggers that draw from a
// sequence: what is rolled back stays counted there too.
const shadow = `
CREATE SCHEMA shadow;
GRANT USAGE ON SCHEMA shadow TO PUBLIC;
CREATE FUNCTION shadow.tally() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN PERFORM pg_catalog.nextval(pg_catalog.format('shadow.%I', TG_OP || TG_RELID)); RETURN NULL; END $$;
CREATE FUNCTION shadow.watch() RETURNS void LANGUAGE plpgsql AS $$
DECLARE r record; op text; BEGIN
  FOR r IN SELECT c.oid, c.oid::regclass AS t FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname IN ('public', 'secret') LOOP
    FOREACH op IN ARRAY ARRAY['INSERT', 'UPDATE', 'DELETE'] LOOP
      EXECUTE format('CREATE SEQUENCE shadow.%I CACHE 1', op || r.oid);
    END LOOP;
    EXECUTE format('CREATE TRIGGER zz_tally AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION shadow.tally()', r.t);
  END LOOP;
END $$;
SELECT shadow.watch();`

// measure measures as the proxy does, within a transaction.
func measure(t testing.TB, conn *pgconn.PgConn) *Measurement {
	t.Helper()
	result := conn.ExecParams(context.Background(), MeasureSQL, nil, nil, nil, nil).Read()
	if result.Err != nil {
		t.Fatalf("measure: %v", result.Err)
	}
	return decoded(t, result)
}

func decoded(t testing.TB, result *pgconn.Result) *Measurement {
	t.Helper()
	if len(result.Rows) != 1 || len(result.Rows[0]) != 1 {
		t.Fatalf("measure: %d rows", len(result.Rows))
	}
	m, err := DecodeMeasurement(result.Rows[0][0])
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// said is a measurement in short: inserted, updated and deleted as +, ~ and -, an
// exclusive lock as !, a table of this transaction as *.
func said(m *Measurement) string {
	var all []string
	for _, table := range m.Tables {
		s := strings.TrimPrefix(table.Name.String(), "public.")
		if table.Temporary {
			s = "temporary " + table.Name.Name
		}
		if table.Kind == "" {
			s = "gone"
		}
		s += rows("+", table.Inserted) + rows("~", table.Updated) + rows("-", table.Deleted)
		if table.Exclusive {
			s += " !"
		}
		if table.Created {
			s += "*"
		}
		if !slices.Contains(all, s) { // a table that is dropped takes its indexes along
			all = append(all, s)
		}
	}
	for _, g := range m.Unmeasured {
		all = append(all, g.String())
	}
	return strings.Join(all, ", ")
}

func rows(sign string, n int64) string {
	if n == 0 {
		return ""
	}
	return " " + sign + strconv.FormatInt(n, 10)
}

// tallied is what the shadow counted, by table and operation.
func tallied(t testing.TB, super *pgconn.PgConn) map[string]int64 {
	t.Helper()
	results, err := super.Exec(context.Background(), `SELECT format('SELECT %L, CASE WHEN is_called THEN last_value ELSE 0 END FROM shadow.%I', relname, relname)
		FROM pg_class WHERE relkind = 'S' AND relnamespace = 'shadow'::regnamespace`).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var each []string
	for _, row := range results[0].Rows {
		each = append(each, string(row[0]))
	}
	results, err = super.Exec(context.Background(), strings.Join(each, " UNION ALL ")).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	for _, row := range results[0].Rows {
		if counts[string(row[0])], err = strconv.ParseInt(string(row[1]), 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	return counts
}

// atOffice gives a session of a clerk without privileges on secret, and one of
// the superuser, in a new office.
func atOffice(t testing.TB) (clerk, super *pgconn.PgConn) {
	t.Helper()
	cluster := pgcluster.Shared(t)
	name := cluster.NewDatabase(t)
	super = connect(t, cluster.DSN(name, cluster.Superuser))
	run(t, super, "SET client_min_messages = error; DO $$ BEGIN CREATE ROLE clerk LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;"+office+shadow)
	run(t, super, FlushSQL)
	return connect(t, cluster.DSN(name, "clerk")), super
}

func TestEachKindOfChangeIsMeasuredExactly(t *testing.T) {
	clerk, super := atOffice(t)
	for _, c := range []struct{ name, sql, want string }{
		{"nothing", "SELECT count(*) FROM accounts", ""},
		{"row locks", "SELECT * FROM accounts FOR UPDATE", ""},
		{"no row found", "DELETE FROM accounts WHERE id < 0", ""},
		{"insert", "INSERT INTO logs VALUES (1), (2)", "logs +2"},
		{"update", "UPDATE logs SET what = 'z' WHERE id <= 10", "logs ~10, logs_old ~10"},
		{"update of one table of several", "UPDATE ONLY logs SET what = 'z' WHERE id <= 10", "logs ~10"},
		{"update that changes nothing", "UPDATE notes SET id = id", "notes ~100"},
		{"update in place", "UPDATE cache SET v = 'x'", "cache ~10"},
		{"delete without SELECT on the table", "DELETE FROM cache", "cache -10"},
		{"delete with a list of rows", "DELETE FROM orders WHERE id IN (1, 2, 3) RETURNING *", "orders -3"},
		{"cascades", "DELETE FROM accounts WHERE id BETWEEN 11 AND 15", "accounts -5, notes ~5, orders -30, tags ~5, users -10"},
		{"cascading update", "UPDATE accounts SET id = id + 1000 WHERE id <= 5", "accounts ~5, notes ~5, tags ~5, users ~10"},
		{"trigger", "UPDATE accounts SET n = 3 WHERE id <= 4", "accounts ~4, history +4"},
		{"rule beside", "INSERT INTO purges VALUES ('x')", "history -10, purges +1"},
		{"rule instead", "DELETE FROM named WHERE id = 3", "accounts ~1"},
		{"view", "DELETE FROM poor WHERE id = 12", "accounts -1, notes ~1, orders -6, tags ~1, users -2"},
		{"partitions", "DELETE FROM events WHERE at BETWEEN 90 AND 109", "events_1 -10, events_2 -10"},
		{"one partition", "DELETE FROM events_1", "events_1 -99"},
		{"routed", "INSERT INTO events SELECT i + 1000, i FROM generate_series(95, 104) i", "events_1 +5, events_2 +5"},
		{"moved to another partition", "UPDATE events SET at = at + 100 WHERE at < 10", "events_1 -9, events_2 +9"},
		{"MERGE", `MERGE INTO notes n USING (SELECT generate_series(91, 120) AS id) s ON n.id = s.id
			WHEN MATCHED AND n.id < 95 THEN DELETE WHEN MATCHED AND n.id > 98 THEN DO NOTHING WHEN MATCHED THEN UPDATE SET account_id = 1
			WHEN NOT MATCHED THEN INSERT VALUES (s.id, NULL)`, "notes +20 ~4 -4"},
		{"ON CONFLICT DO NOTHING", "INSERT INTO tags SELECT i, 1 FROM generate_series(96, 105) i ON CONFLICT DO NOTHING", "tags +5"},
		{"ON CONFLICT DO UPDATE", "INSERT INTO tags SELECT i, 1 FROM generate_series(96, 105) i ON CONFLICT (id) DO UPDATE SET account_id = 2", "tags +5 ~5"},
		{"WITH", "WITH d AS (DELETE FROM notes WHERE id <= 6 RETURNING id) INSERT INTO logs SELECT id, 'd' FROM d", "logs +6, notes -6"},
		{"PL/pgSQL", "SELECT wipe(580)", "orders -20"},
		{"function in WHERE", "DELETE FROM notes WHERE id = 5 AND wipe(580) < 0", "orders -20"},
		{"SQL function", "SELECT wipe_sql()", "orders -10"},
		{"SECURITY DEFINER, out of the role's sight", "SELECT wipe_secret()", "secret.keys -8"},
		{"DO", "DO $$ BEGIN FOR i IN 1..5 LOOP DELETE FROM notes WHERE id = i; END LOOP; END $$", "notes -5"},
		{"CALL", "CALL tidy()", "orders -7"},
		{"EXPLAIN ANALYZE", "EXPLAIN ANALYZE DELETE FROM notes WHERE id < 4", "notes -3"},
		{"several times", "DELETE FROM notes WHERE id = 1; DELETE FROM notes WHERE id = 2; UPDATE notes SET account_id = 4 WHERE id < 10; UPDATE notes SET account_id = 5 WHERE id < 10", "notes ~14 -2"},
		{"savepoint that is kept", "SAVEPOINT s; DELETE FROM notes WHERE id < 4; RELEASE s; DELETE FROM notes WHERE id < 8", "notes -7"},
		{"savepoint rolled back", "SAVEPOINT s; DELETE FROM notes; ROLLBACK TO s", ""},
		{"savepoint rolled back beside other work: too many", "DELETE FROM notes WHERE id = 1; SAVEPOINT s; DELETE FROM notes WHERE id < 4; ROLLBACK TO s", "notes -3"},
		{"savepoint rolled back before other work: too many", "SAVEPOINT s; DELETE FROM notes WHERE id < 4; ROLLBACK TO s; DELETE FROM notes WHERE id = 1", "notes -4"},
		{"EXCEPTION", "SELECT try(true)", "history -10, purges +1"},
		{"EXCEPTION beside other work: too many", "DELETE FROM logs WHERE id = 20; SELECT try(true)", "history -10, logs -4, logs_old -4, purges +1"},
		{"TOAST", "UPDATE wide SET body = repeat('y', 30000) WHERE id < 4", "wide ~3"},
		{"cursor", "DECLARE c CURSOR FOR SELECT wipe(590) FROM generate_series(1, 1); FETCH ALL FROM c", "orders -10"},
		{"DELETE WHERE CURRENT OF", "DECLARE c CURSOR FOR SELECT * FROM orders FOR UPDATE; FETCH FROM c; DELETE FROM orders WHERE CURRENT OF c", "orders -1"},
		{"PREPARE", "PREPARE gone (int) AS DELETE FROM orders WHERE id <= $1; EXECUTE gone(3); EXECUTE gone(5)", "orders -5"},
		{"TRUNCATE", "TRUNCATE tags", "tags !"},
		{"TRUNCATE in a function", "SELECT truncate_tags()", "tags !"},
		{"TRUNCATE after and before other work: the rows before it are not told", "DELETE FROM tags WHERE id < 50; TRUNCATE tags; INSERT INTO tags VALUES (1, 1)", "tags +1 !"},
		{"TRUNCATE rolled back", "DELETE FROM tags WHERE id < 50; SAVEPOINT s; TRUNCATE tags; ROLLBACK TO s; INSERT INTO tags VALUES (1, 1)", "tags +1 -49"},
		{"LOCK", "LOCK notes", "notes !"},
		{"temporary table", "CREATE TEMPORARY TABLE scratch (id int) ON COMMIT DROP; INSERT INTO scratch SELECT generate_series(1, 9); DELETE FROM scratch WHERE id < 3", "temporary scratch +9 -2 !*"},
		{"CREATE TABLE AS", "CREATE TABLE own.copy AS SELECT * FROM notes", "own.copy +100 !*"},
		{"CREATE TABLE after a savepoint", "SAVEPOINT s; CREATE TABLE own.copy AS SELECT * FROM notes; TRUNCATE own.copy; INSERT INTO own.copy VALUES (1)", "own.copy +1 !*"},
		{"CREATE TABLE in a savepoint that is released", "SAVEPOINT s; CREATE TABLE own.copy (id int); RELEASE s", "own.copy !*"},
		{"CREATE INDEX", "CREATE TABLE own.a (id int); CREATE INDEX ON own.a (id); COMMENT ON TABLE own.a IS 'x'", "own.a !*"},
		{"sequence", "SELECT nextval('numbers')", ""},
		{"large object", "SELECT lo_put(777001, 0, '\\x0203')", "pg_catalog.pg_largeobject ~1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := said(measured(t, clerk, super, c.sql)); got != c.want {
				t.Errorf("%s\ngot  %s\nwant %s", c.sql, got, c.want)
			}
		})
	}
}

// measured runs the statements in a transaction that is rolled back, and holds
// the measurement against the shadow's. The session was idle before, so that the
// next case begins at zero: MeasureSQL sees to that.
func measured(t *testing.T, conn, super *pgconn.PgConn, sql string) *Measurement {
	t.Helper()
	before := tallied(t, super)
	run(t, conn, "BEGIN")
	defer run(t, conn, "ROLLBACK")
	run(t, conn, sql)
	m := measure(t, conn)
	after := tallied(t, super)
	for _, table := range m.Tables {
		for op, n := range map[string]int64{"INSERT": table.Inserted, "UPDATE": table.Updated, "DELETE": table.Deleted} {
			key := fmt.Sprintf("%s%d", op, table.OID)
			if _, watched := after[key]; watched && n != after[key]-before[key] && !table.Exclusive {
				t.Errorf("%s: %s of %d rows, the shadow has %d", table.Name, op, n, after[key]-before[key])
			}
		}
	}
	return m
}

func TestOnlyTheAnswerIsRead(t *testing.T) {
	for _, text := range []string{"", "{}", "null", "[]", `{"tables": []}`, `{"track_counts": true}`, `{"track_counts": true, "large_objects": [1]}`,
		`{"track_counts": true, "large_objects": [0,0,0,0,0,0], "locks": [{"oid": 1}]}`} {
		if m, err := DecodeMeasurement([]byte(hex.EncodeToString([]byte(text)))); err == nil {
			t.Errorf("%s: %+v", text, m)
		}
	}
	if m, err := DecodeMeasurement([]byte("zz")); err == nil {
		t.Errorf("%+v", m)
	}
}

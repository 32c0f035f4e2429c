package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"
)

func shapeIn(t *testing.T, text string) Shape {
	t.Helper()
	facts := NewReader().Read(text, usual)
	if len(facts) != 1 {
		t.Fatalf("%s: %d statements", text, len(facts))
	}
	return facts[0].Shape()
}

func TestShapesThatAreTheSame(t *testing.T) {
	for _, pair := range [][2]string{
		{"DELETE FROM events WHERE id = 1", "delete  from EVENTS\nwhere id=2 -- tonight's"},
		{"DELETE FROM events WHERE id = 1", "/* run 7 */ DELETE FROM events WHERE id = 17;"},
		{"DELETE FROM events WHERE at < '2026-11-20'", "DELETE FROM events WHERE at < '2026-11-21'"},
		{"DELETE FROM events WHERE at < date '2026-11-20'", "DELETE FROM events WHERE at < date '2026-11-21'"},
		{"DELETE FROM events WHERE at < now() - interval '30 days'", "DELETE FROM events WHERE at < now() - interval '0 days'"},
		{"DELETE FROM events WHERE at < '2026-11-20'::timestamptz - interval '1 day'", "DELETE FROM events WHERE at < '2026-11-21'::timestamptz - interval '2 days'"},
		{"DELETE FROM events WHERE id BETWEEN 1 AND 10", "DELETE FROM events WHERE id BETWEEN 11 AND 20"},
		{"DELETE FROM events WHERE id IN (1, 2)", "DELETE FROM events WHERE id IN (3, 4)"},
		{"DELETE FROM events WHERE id = ANY ('{1,2}')", "DELETE FROM events WHERE id = ANY ('{3}')"},
		{"DELETE FROM events WHERE id = ANY ('{1}'::int[])", "DELETE FROM events WHERE id = ANY ('{3,4}'::int[])"},
		{"DELETE FROM events WHERE kind = 'a' AND (at < '2026-01-01' OR size > 5)", "DELETE FROM events WHERE kind = 'b' AND (at < '2026-02-01' OR size > 1.5)"},
		{"DELETE FROM events WHERE kind IS DISTINCT FROM 'a'", "DELETE FROM events WHERE kind IS DISTINCT FROM 'b'"},
		{"DELETE FROM events e USING runs r WHERE e.run = r.id AND r.at < '2026-01-01'", "DELETE FROM events e USING runs r WHERE e.run = r.id AND r.at < '2026-01-02'"},
		{"DELETE FROM events WHERE run IN (SELECT id FROM runs WHERE at < '2026-01-01' LIMIT 10)", "DELETE FROM events WHERE run IN (SELECT id FROM runs WHERE at < '2026-01-02' LIMIT 10)"},
		{"WITH old AS (DELETE FROM events WHERE id < 5 RETURNING id) SELECT count(*) FROM old", "WITH old AS (DELETE FROM events WHERE id < 6 RETURNING id) SELECT count(*) FROM old"},
		{"UPDATE events SET done = true WHERE at < '2026-01-01'", "UPDATE events SET done = true WHERE at < '2026-01-02'"},
		{"DELETE FROM events WHERE id = $1", "DELETE FROM events WHERE id = $1 -- again"},
	} {
		a, b := shapeIn(t, pair[0]), shapeIn(t, pair[1])
		if a.ID == "" || a.ID != b.ID {
			t.Errorf("%s\n%s\n%q %s\n%q %s", pair[0], pair[1], a.Text, a.None, b.Text, b.None)
		}
	}
}

// The second of each pair is what somebody might send in the place of the first.
func TestShapesThatDiffer(t *testing.T) {
	for _, pair := range [][2]string{
		{"DELETE FROM events WHERE id = 1", "DELETE FROM events WHERE true"},
		{"DELETE FROM events WHERE id = 1", "DELETE FROM events"},
		{"DELETE FROM events WHERE id = 1", "DELETE FROM events WHERE id = NULL"},
		{"DELETE FROM events WHERE id = 1", "DELETE FROM events WHERE id = 1 OR true"},
		{"DELETE FROM events WHERE id = 1", "DELETE FROM events WHERE id <> 1"},
		{"DELETE FROM events WHERE id = 1", "DELETE FROM events WHERE NOT id = 1"},
		{"DELETE FROM events WHERE id = 1", "DELETE FROM events WHERE id = -1"},
		{"DELETE FROM events WHERE id = 1", "DELETE FROM events WHERE id = '1'"},
		{"DELETE FROM events WHERE id = 1", "DELETE FROM events WHERE size = 1"},
		{"DELETE FROM events WHERE id = 1", "DELETE FROM accounts WHERE id = 1"},
		{"DELETE FROM events WHERE id = 1", "DELETE FROM audit.events WHERE id = 1"},
		{"DELETE FROM events WHERE id = 1", "DELETE FROM ONLY events WHERE id = 1"},
		{"DELETE FROM events WHERE id = 1", "DELETE FROM \"Events\" WHERE id = 1"},
		{"DELETE FROM events WHERE id = 1", "DELETE FROM events WHERE id = 1 RETURNING id"},
		{"DELETE FROM events WHERE id = 1", "DELETE FROM events WHERE id = 1::oid::regclass"},
		{"DELETE FROM events WHERE id = 1", "DELETE FROM events WHERE id = $1"},
		{"DELETE FROM events WHERE id = 1", "EXPLAIN ANALYZE DELETE FROM events WHERE id = 1"},
		{"DELETE FROM éa WHERE id = 1", "DELETE FROM Éa WHERE id = 1"},
		{"DELETE FROM events WHERE id % 10 = 3", "DELETE FROM events WHERE id % 1 = 0"},
		{"DELETE FROM events WHERE 1 = 2", "DELETE FROM events WHERE 1 = 1"},
		{"DELETE FROM events WHERE id + 1 = id", "DELETE FROM events WHERE id + 0 = id"},
		{"DELETE FROM events WHERE id > 5 OR id < 3", "DELETE FROM events WHERE id > 3 OR id < 5"},
		{"DELETE FROM events WHERE id > 5 AND id IS NOT NULL", "DELETE FROM events WHERE id > 5 OR id IS NOT NULL"},
		{"DELETE FROM events WHERE id IN (1, 2)", "DELETE FROM events WHERE id IN (1, NULL)"},
		{"DELETE FROM events WHERE id NOT IN (1, 2)", "DELETE FROM events WHERE id IN (1, 2)"},
		{"DELETE FROM events WHERE id <> ALL ('{1,2}')", "DELETE FROM events WHERE id <> ALL ('{}')"},
		{"DELETE FROM events WHERE kind LIKE 'tmp-%'", "DELETE FROM events WHERE kind LIKE '%'"},
		{"DELETE FROM events WHERE kind ~ '^tmp'", "DELETE FROM events WHERE kind ~ ''"},
		{"DELETE FROM events WHERE starts_with(kind, 'tmp')", "DELETE FROM events WHERE starts_with(kind, '')"},
		{"DELETE FROM events WHERE (id = 1) = true", "DELETE FROM events WHERE (id = 1) = false"},
		{"DELETE FROM events WHERE CASE WHEN id = 1 THEN true END", "DELETE FROM events WHERE CASE WHEN id = 2 THEN true END"},
		{"DELETE FROM events WHERE id IN (SELECT id FROM events LIMIT 10)", "DELETE FROM events WHERE id IN (SELECT id FROM events LIMIT ALL)"},
		{"DELETE FROM events WHERE id IN (SELECT id FROM events LIMIT 10)", "DELETE FROM events WHERE id IN (SELECT id FROM events LIMIT 1000000)"},
		{"DELETE FROM events WHERE id IN (SELECT id FROM events OFFSET 10)", "DELETE FROM events WHERE id IN (SELECT id FROM events OFFSET 0)"},
		{"DELETE FROM events WHERE at < now() - interval '30 days'", "DELETE FROM events WHERE at < now() + interval '30 days'"},
		{"DELETE FROM events WHERE at < now() - 30 * interval '1 day'", "DELETE FROM events WHERE at < now() - 0 * interval '1 day'"},
		{"DELETE FROM events WHERE at < to_timestamp('2026', 'YYYY')", "DELETE FROM events WHERE at < to_timestamp('9999', 'YYYY')"},
		{"UPDATE people SET role = 'user' WHERE id = 1", "UPDATE people SET role = 'admin' WHERE id = 1"},
		{"UPDATE people SET gone = false WHERE id = 1", "UPDATE people SET gone = true WHERE id = 1"},
		{"INSERT INTO log VALUES ('a')", "INSERT INTO log VALUES ('b')"},
		{"INSERT INTO log VALUES ('a')", "INSERT INTO log VALUES ('a'), ('a')"},
		{"SELECT dblink_exec('DELETE FROM a')", "SELECT dblink_exec('DELETE FROM b')"},
		{"SELECT set_config('a.b', 'x', false)", "SELECT set_config('session_replication_role', 'replica', false)"},
		{"SELECT query_to_xml('SELECT 1', true, true, '')", "SELECT query_to_xml('SELECT purge()', true, true, '')"},
		{"SELECT setval('a', 5)", "SELECT setval('b', 1)"},
		{"SELECT purge(5) WHERE 1 < 2", "SELECT purge(6) WHERE 1 < 2"},
		{"DELETE FROM events WHERE id = purge(1)", "DELETE FROM events WHERE id = purge(2)"},
		{"DELETE FROM events WHERE oid = 'a'::regclass", "DELETE FROM events WHERE oid = 'b'::regclass"},
		{"DO 'BEGIN PERFORM 1; END'", "DO 'BEGIN PERFORM purge(); END'"},
		{"CALL purge(1)", "CALL purge(2)"},
		{"COPY t FROM '/tmp/a'", "COPY t FROM '/tmp/b'"},
		{"SET work_mem = '1MB'", "SET work_mem = '1GB'"},
		{"DELETE FROM events WHERE kind = 'a'", "DELETE FROM events WHERE kind = E'a'"},
		{"DELETE FROM events WHERE kind = 'a'", "DELETE FROM events WHERE kind = $$a$$"},
		{"DELETE FROM events WHERE a = 1 AND b = 2", "DELETE FROM events WHERE a = '$number and b = ' AND b = 2"},
	} {
		a, b := shapeIn(t, pair[0]), shapeIn(t, pair[1])
		if a.ID == "" && !strings.HasPrefix(pair[0], "SELECT query_to_xml") || a.ID != "" && a.ID == b.ID {
			t.Errorf("%s\n%s\n%q %s", pair[0], pair[1], a.Text, a.None)
		}
	}
}

func TestStatementsWithoutAShape(t *testing.T) {
	for _, text := range []string{
		"SELECT 1", "SELECT * FROM t WHERE id = $1", "DELETE (", "EXECUTE d", "EXPLAIN ANALYZE EXECUTE d", "PREPARE d AS DELETE FROM t",
		"DECLARE c CURSOR FOR SELECT purge(1)",
		"DELETE FROM t WHERE $1", "DELETE FROM t WHERE $1 = $1", "DELETE FROM t WHERE $1 IS NULL OR id = $1", "DELETE FROM t WHERE id = 1 OR $1::bool",
		"DELETE FROM t WHERE id IN (SELECT id FROM t LIMIT $1)", "DELETE FROM t WHERE id <> ALL ($1)", "DELETE FROM t WHERE name LIKE $1",
		"DELETE FROM t WHERE id = purge($1)", "SELECT dblink_exec($1)", "SELECT set_config($1, $2, false)", "DELETE FROM t WHERE oid = $1::regclass",
		"UPDATE t SET a = purge($1) WHERE id = 1", "DELETE FROM t WHERE id + $1 = id", "DELETE FROM t WHERE coalesce($1, id) = id",
	} {
		if s := shapeIn(t, text); s.ID != "" || s.None == "" {
			t.Errorf("%s: %q %q", text, s.Text, s.None)
		}
	}
	for _, text := range []string{
		"UPDATE t SET a = $1, b = $2::text WHERE id = $3", "INSERT INTO t VALUES ($1, $2)", "DELETE FROM t WHERE id = ANY ($1)", "DELETE FROM t WHERE at < now() - $1::interval",
		"INSERT INTO t VALUES ($1) ON CONFLICT (id) DO UPDATE SET n = $2 WHERE t.at < $3",
	} {
		if s := shapeIn(t, text); s.ID == "" {
			t.Errorf("%s: %s", text, s.None)
		}
	}
}

// What two texts of one shape are is the same tree, but for constants: pg_query's
// fingerprint, which leaves out more, does not tell them apart either.
func TestAShapeIsOneStatement(t *testing.T) {
	seen := map[string]string{}
	r := NewReader()
	files, _ := filepath.Glob("../testdata/*/*")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil || len(b) > 1<<20 {
			continue
		}
		script := NewScript(string(b))
		for part, more := script.Next(); more; part, more = script.Next() {
			for _, f := range r.Read(part.Text, usual) {
				s := f.Shape()
				if s.ID == "" {
					continue
				}
				fingerprint, err := pg.Fingerprint(f.Text)
				if err != nil {
					t.Fatalf("%s: %v", f.Text, err)
				}
				if other, met := seen[s.ID]; met && other != fingerprint {
					t.Errorf("%s: two statements have the shape of\n%s", file, f.Text)
				}
				seen[s.ID] = fingerprint
			}
		}
	}
	if len(seen) < 100 {
		t.Errorf("only %d shapes", len(seen))
	}
}

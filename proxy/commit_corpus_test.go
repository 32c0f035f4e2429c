package proxy

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/policy/approval"
)

// A shape is statements that change exactly n rows between them. They pass the
// statement gate: what they change is known afterwards only.
type shape struct {
	name string
	sql  func(n int) []string
	// alone says that the statement can be sent by itself only: code that the server
	// lets commit by itself is not followed into a batch that is on the server.
	alone bool
	block bool // it needs a transaction block
}

var shapes = []shape{
	{name: "DELETE", sql: func(n int) []string { return []string{fmt.Sprintf("DELETE FROM accounts WHERE id <= %d", n)} }},
	{name: "UPDATE", sql: func(n int) []string { return []string{fmt.Sprintf("UPDATE accounts SET name = 'x' WHERE id <= %d", n)} }},
	{name: "RETURNING", sql: func(n int) []string {
		return []string{fmt.Sprintf("DELETE FROM accounts WHERE id <= %d RETURNING id, name", n)}
	}},
	{name: "two statements", sql: func(n int) []string {
		return []string{"DELETE FROM accounts WHERE id <= 6", fmt.Sprintf("UPDATE accounts SET name = 'x' WHERE id BETWEEN 7 AND %d", n)}
	}},
	{name: "one row at a time", sql: func(n int) (all []string) {
		for id := range n {
			all = append(all, fmt.Sprintf("DELETE FROM accounts WHERE id = %d", id+1))
		}
		return all
	}},
	{name: "two tables", sql: func(n int) []string {
		return []string{"DELETE FROM accounts WHERE id <= 5", fmt.Sprintf("DELETE FROM parts WHERE id <= %d", n-5)}
	}},
	{name: "a cascade", sql: func(n int) []string {
		return []string{fmt.Sprintf("UPDATE children SET parent = 1 WHERE id < 0; DELETE FROM parents WHERE id = %d", n)}
	}},
	{name: "partitions", sql: func(n int) []string { return []string{fmt.Sprintf("UPDATE parts SET v = 'x' WHERE id <= %d", n)} }},
	{name: "WITH", sql: func(n int) []string {
		return []string{fmt.Sprintf("WITH d AS (DELETE FROM accounts WHERE id <= %d RETURNING id) SELECT count(*) FROM d", n)}
	}},
	{name: "MERGE", sql: func(n int) []string {
		return []string{fmt.Sprintf("MERGE INTO accounts a USING generate_series(1, %d) g ON a.id = g WHEN MATCHED AND g %% 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET name = 'x'", n)}
	}},
	{name: "a function", sql: func(n int) []string { return []string{fmt.Sprintf("SELECT purge(%d)", n)} }},
	{name: "a function in WHERE", sql: func(n int) []string {
		return []string{fmt.Sprintf("UPDATE parts SET v = 'x' WHERE id = 1 AND purge(%d) < 0", n)}
	}},
	{name: "DO", alone: true, sql: func(n int) []string {
		return []string{fmt.Sprintf("DO $$ BEGIN DELETE FROM accounts WHERE id <= %d; END $$", n)}
	}},
	{name: "CALL", alone: true, sql: func(n int) []string { return []string{fmt.Sprintf("CALL purging(%d)", n)} }},
	{name: "a trigger", sql: func(n int) []string { return []string{fmt.Sprintf("INSERT INTO log VALUES ('%d')", n)} }},
	{name: "a deferred trigger", sql: func(n int) []string { return []string{fmt.Sprintf("INSERT INTO later VALUES (%d)", n)} }},
	{name: "SQL PREPARE", sql: func(n int) []string {
		return []string{fmt.Sprintf("PREPARE d AS DELETE FROM accounts WHERE id <= %d", n), "EXECUTE d", "DEALLOCATE d"}
	}},
	{name: "a cursor", block: true, sql: func(n int) []string {
		return []string{fmt.Sprintf("DECLARE c CURSOR FOR SELECT purge(%d)", n), "FETCH c"}
	}},
	{name: "a savepoint", block: true, sql: func(n int) []string {
		return []string{"SAVEPOINT s", fmt.Sprintf("DELETE FROM accounts WHERE id <= %d", n), "RELEASE s"}
	}},
	{name: "behind a savepoint gone back to", block: true, sql: func(n int) []string {
		return []string{"SAVEPOINT s", "SELECT 1", "ROLLBACK TO s", fmt.Sprintf("DELETE FROM accounts WHERE id <= %d", n)}
	}},
}

// A way is how statements are sent and committed.
type way struct {
	name   string
	block  bool // in a transaction block
	joined bool // so that code could commit by itself, or stands with others
	lines  func(sql []string) []string
}

func queries(sql ...string) (lines []string) {
	for _, text := range sql {
		lines = append(lines, "-> Query "+inScript(text))
	}
	return lines
}

// extended is a batch for each list, ended by end, or all one batch.
func extended(end string, sql ...string) (lines []string) {
	for _, text := range sql {
		for _, part := range strings.Split(text, "; ") {
			if strings.Contains(text, "$$") {
				part = text
			}
			lines = append(lines, `-> Parse "" `+inScript(part), `-> Bind "" ""`, `-> Execute ""`)
			if end != "" {
				lines = append(lines, end)
			}
			if part == text {
				break
			}
		}
	}
	return lines
}

func block(sql []string, end string) []string {
	return append(append([]string{"BEGIN"}, sql...), end)
}

var ways = []way{
	{"one Query", false, false, func(sql []string) []string { return queries(strings.Join(sql, "; ")) }},
	{"one Query with COMMIT", false, true, func(sql []string) []string { return queries(strings.Join(sql, "; ") + "; COMMIT") }},
	{"one Query behind a block", false, true, func(sql []string) []string {
		return queries("BEGIN; SELECT 1; COMMIT; /* ; */ " + strings.Join(sql, " ;; "))
	}},
	{"one extended batch", false, false, func(sql []string) []string { return append(extended("", sql...), "-> Sync") }},
	{"extended with Flush", false, true, func(sql []string) []string { return append(extended("-> Flush", sql...), "-> Sync") }},
	{"extended and its COMMIT", false, true, func(sql []string) []string { return append(extended("", append(sql, "COMMIT")...), "-> Sync") }},
	{"a block", true, false, func(sql []string) []string { return queries(block(sql, "COMMIT")...) }},
	{"a block in one Query", true, false, func(sql []string) []string { return queries(strings.Join(block(sql, "END"), "; ")) }},
	{"a block and the next", true, false, func(sql []string) []string {
		return append(queries(block(sql, "COMMIT AND CHAIN")...), queries("ROLLBACK")...)
	}},
	{"a chained block", true, false, func(sql []string) []string {
		return queries(append([]string{"BEGIN", "UPDATE log SET line = 'y' WHERE line = 'x'", "COMMIT AND CHAIN"}, append(sql, "COMMIT")...)...)
	}},
	{"an extended block", true, false, func(sql []string) []string { return extended("-> Sync", block(sql, "COMMIT")...) }},
	{"a block in one batch", true, false, func(sql []string) []string { return append(extended("", block(sql, "COMMIT")...), "-> Sync") }},
	{"a flushed block", true, false, func(sql []string) []string { return append(extended("-> Flush", block(sql, "COMMIT")...), "-> Sync") }},
	{"extended, and a simple COMMIT", true, false, func(sql []string) []string {
		return append(append(queries("BEGIN"), append(extended("", sql...), "-> Sync")...), queries("COMMIT")...)
	}},
}

// TestCommitCorpus sends every shape in every way: with ten rows, the limit of the
// policy, which nobody may stop, and with eleven, of which nothing may be left.
func TestCommitCorpus(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, strings.Replace(tenRows, `"> 10"}`, `"> 10", table: "!public.was"}`, 1), asServed)
	db := measuredInventory(t, cluster)
	super, err := pgconn.Connect(t.Context(), cluster.DSN(db, cluster.Superuser))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { super.Close(context.Background()) })
	s := &side{addr: r.addr, database: db, super: super}
	s.exec(t, corpusSchema)
	transactions := 0
	for _, w := range ways {
		for _, sh := range shapes {
			if sh.block && !w.block || sh.alone && w.joined {
				continue
			}
			for _, rows := range []int{10, 11} {
				transactions++
				s.exec(t, corpusRows)
				lines := w.lines(sh.sql(rows))
				said := converseIn(t, r.addr, db, lines, []int{1 << 20, 1, 1 << 20}[transactions%3])
				changed, want := s.exec(t, corpusChanged), "0"
				if rows == 10 {
					want = "10"
				}
				stopped := strings.Contains(said, "ErrorResponse 42501")
				if changed != want || stopped == (rows == 10) {
					t.Errorf("%s, %s, %d rows: %s are changed, stopped is %t\n%s\n%s", sh.name, w.name, rows, changed, stopped, strings.Join(lines, "\n"), afterLogin(said))
				}
			}
		}
	}
	if transactions < 300 {
		t.Errorf("only %d transactions", transactions)
	}
	t.Logf("%d transactions", transactions)
	if used, err := r.service.List(t.Context(), approval.Filter{States: []approval.State{approval.Used}}); err != nil || len(used) > 0 {
		t.Errorf("grants without an end: %v, %v", used, err)
	}
}

const corpusSchema = `
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents ON DELETE CASCADE);
CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY HASH (id);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE PROCEDURE purging(n int) LANGUAGE plpgsql AS $$ BEGIN DELETE FROM accounts WHERE id <= n; END $$;
CREATE FUNCTION by_number() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	PERFORM purge(CASE TG_TABLE_NAME WHEN 'log' THEN to_jsonb(NEW)->>'line' ELSE to_jsonb(NEW)->>'id' END::int); RETURN NULL; END $$;
DROP TRIGGER purges ON log; DROP TRIGGER purges ON later;
CREATE TRIGGER purges AFTER INSERT ON log FOR EACH ROW EXECUTE FUNCTION by_number();
CREATE CONSTRAINT TRIGGER purges AFTER INSERT ON later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION by_number();
CREATE VIEW state AS SELECT 'a' AS t, id, name AS v FROM accounts UNION ALL SELECT 'p', id, '' FROM parents
	UNION ALL SELECT 'c', id, parent::text FROM children UNION ALL SELECT 'q', id, v FROM parts;
CREATE TABLE was AS SELECT * FROM state;
GRANT ALL ON ALL TABLES IN SCHEMA public TO alice;
`

// corpusRows are parents of which each has one child fewer than its number.
const corpusRows = `
DELETE FROM accounts; DELETE FROM children; DELETE FROM parents; DELETE FROM parts; DELETE FROM log; DELETE FROM later; DELETE FROM was;
INSERT INTO accounts SELECT g, 'a' FROM generate_series(1, 30) g;
INSERT INTO parts SELECT g, 'a' FROM generate_series(1, 30) g;
INSERT INTO parents VALUES (10), (11);
INSERT INTO children SELECT p * 100 + g, p FROM (VALUES (10), (11)) x(p), generate_series(2, p) g;
INSERT INTO was SELECT * FROM state`

const corpusChanged = `SELECT count(*) FROM was LEFT JOIN state USING (t, id) WHERE state.v IS DISTINCT FROM was.v`

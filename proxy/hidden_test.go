package proxy

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/proxy/impact"
)

// hidingSQL makes what a read does not show: each of these names calls purge.
const hidingSQL = `
	CREATE VIEW hides AS SELECT purge(60) AS n;
	CREATE VIEW behind AS SELECT n + 1 AS n FROM hides;
	CREATE VIEW moves AS SELECT set_config('search_path', 'public', false);
	CREATE DOMAIN dom AS int CHECK (purge(VALUE) > 0);
	CREATE TYPE comp AS (a dom);
	CREATE TABLE guarded (id int); INSERT INTO guarded VALUES (1); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
	CREATE POLICY p ON guarded USING (purge(60) > 0);
	DO $$ BEGIN CREATE ROLE staff LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$;
	GRANT ALL ON ALL TABLES IN SCHEMA public TO staff;`

// TestAReadThatHidesCode: what a read runs is measured, though its text does not show
// it.
func TestAReadThatHidesCode(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, asServed)
	run := func(portal, sql string) string {
		return "-> Parse \"\" \"" + sql + "\"\n-> Bind \"" + portal + "\" \"\"\n-> Execute \"" + portal + "\"\n"
	}
	const sync = "-> Sync\nuntil ReadyForQuery"
	block := func(lines string) string {
		return "-> Query \"BEGIN\"\n" + lines + "\n-> Query \"COMMIT\""
	}
	for name, lines := range map[string]string{
		"a view":                         `-> Query "SELECT * FROM hides"`,
		"a view of a view":               `-> Query "SELECT * FROM behind"`,
		"with a schema":                  `-> Query "SELECT * FROM public.hides"`,
		"in a block":                     block(`-> Query "SELECT * FROM hides"`),
		"behind a rollback":              `-> Query "BEGIN; SELECT 1; ROLLBACK; SELECT * FROM hides"`,
		"between others":                 `-> Query "SELECT 1; SELECT * FROM hides; SELECT 2"`,
		"TABLE":                          `-> Query "TABLE hides"`,
		"a sub-select":                   `-> Query "SELECT 1 WHERE 1 = (SELECT count(n) FROM hides)"`,
		"WITH":                           `-> Query "WITH w AS (SELECT * FROM hides) SELECT * FROM w"`,
		"a WITH of its name elsewhere":   `-> Query "SELECT * FROM (WITH hides AS (SELECT 1) SELECT * FROM hides) a, hides"`,
		"UNION":                          `-> Query "SELECT 1 UNION ALL SELECT n FROM hides"`,
		"a join":                         `-> Query "SELECT * FROM log RIGHT JOIN hides ON true"`,
		"FOR SHARE of another":           `-> Query "SELECT * FROM accounts a, hides WHERE id = 100 FOR SHARE OF a"`,
		"EXPLAIN ANALYZE":                `-> Query "EXPLAIN ANALYZE SELECT * FROM hides"`,
		"COPY of a query":                `-> Query "COPY (SELECT * FROM hides) TO STDOUT"`,
		"INSERT from it":                 `-> Query "INSERT INTO plain SELECT n FROM hides"`,
		"DELETE by key":                  `-> Query "DELETE FROM keyed WHERE id = 1 AND EXISTS (SELECT FROM hides)"`,
		"a held cursor":                  `-> Query "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM hides"`,
		"a held cursor in a block":       block(`-> Query "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM hides"`),
		"a cursor":                       block("-> Query \"DECLARE c CURSOR FOR SELECT * FROM hides\"\n-> Query \"FETCH c\""),
		"extended":                       run("", "SELECT * FROM hides") + sync,
		"with Flush":                     "-> Parse \"\" \"SELECT * FROM hides\"\n-> Flush\nuntil ParseComplete\n-> Bind \"\" \"\"\n-> Execute \"\"\n" + sync,
		"a portal":                       block("-> Parse \"\" \"SELECT * FROM hides\"\n-> Bind \"p\" \"\"\n" + sync + "\n-> Execute \"p\"\n" + sync),
		"a portal that is fetched":       block("-> Parse \"\" \"SELECT * FROM hides\"\n-> Bind \"p\" \"\"\n" + sync + "\n-> Query \"FETCH ALL FROM p\""),
		"an old prepared statement":      "-> Parse \"s\" \"SELECT * FROM later_view\"\n" + sync + "\n-> Query \"CREATE OR REPLACE VIEW later_view AS SELECT purge(60) AS n\"\n-> Bind \"\" \"s\"\n-> Execute \"\"\n" + sync,
		"SQL PREPARE":                    "-> Query \"PREPARE s AS SELECT * FROM hides\"\n-> Query \"EXECUTE s\"",
		"made in the message":            `-> Query "CREATE VIEW fresh AS SELECT purge(60); SELECT * FROM fresh"`,
		"made in the batch":              run("", "CREATE VIEW fresh AS SELECT purge(60)") + run("", "SELECT 1") + sync + "\n" + run("", "SELECT * FROM fresh") + sync,
		"moved to in the message":        `-> Query "SET search_path = other, public; SELECT * FROM log"`,
		"moved to before":                "-> Query \"SELECT * FROM log\"\n-> Query \"SET search_path = other, public\"\n-> Query \"SELECT * FROM log\"",
		"a temporary view":               "-> Query \"SELECT count(*) FROM pg_class\"\n-> Query \"CREATE TEMP VIEW pg_class AS SELECT purge(60)\"\n-> Query \"SELECT count(*) FROM pg_class\"",
		"a domain":                       `-> Query "SELECT 60::dom"`,
		"a domain in a type":             `-> Query "SELECT '(60)'::comp"`,
		"an array of domains":            `-> Query "SELECT '{60}'::dom[]"`,
		"XML of a table":                 `-> Query "SELECT table_to_xml('hides', true, true, '')"`,
		"a view of that":                 "-> Query \"CREATE VIEW x AS SELECT table_to_xml('hides', true, true, '')\"\n-> Query \"SELECT * FROM x\"",
		"a function that is overloaded":  "-> Query \"CREATE FUNCTION lower(int) RETURNS int LANGUAGE sql AS 'SELECT purge($1)'\"\n-> Query \"SELECT lower(60)\"",
		"an operator that is overloaded": "-> Query \"CREATE FUNCTION eq(int, text) RETURNS int LANGUAGE sql AS 'SELECT purge($1)'; CREATE OPERATOR = (LEFTARG = int, RIGHTARG = text, FUNCTION = eq)\"\n-> Query \"SELECT 60 = 'a'::text\"",
		"an attribute":                   "-> Query \"CREATE FUNCTION n(keyed) RETURNS int LANGUAGE sql AS 'SELECT purge(60)'\"\n-> Query \"SELECT k.n FROM keyed k\"",
		"an attribute in parentheses":    "-> Query \"CREATE FUNCTION n(keyed) RETURNS int LANGUAGE sql AS 'SELECT purge(60)'\"\n-> Query \"SELECT (k).n FROM keyed k\"",
		"a cast":                         "-> Query \"CREATE TYPE own AS ENUM ('a'); CREATE FUNCTION number(own) RETURNS int LANGUAGE sql AS 'SELECT purge(60)'; CREATE CAST (own AS int) WITH FUNCTION number(own)\"\n-> Query \"SELECT 'a'::own::int\"",
		"row security":                   "as staff\n-> Query \"SELECT * FROM guarded\"",
		"row security and COPY":          "as staff\n-> Query \"COPY guarded TO STDOUT\"",
		"names that it moves": "-> Query \"SET search_path = mine, public\"\n-> Query \"DELETE FROM accounts WHERE id = 0\"\n-> Query \"SELECT * FROM moves\"\n" +
			"-> Query \"DELETE FROM accounts WHERE id = 0\"",
	} {
		t.Run(name, func(t *testing.T) {
			db := measuredInventory(t, cluster)
			psql(t, cluster, cluster.DSN(db, cluster.Superuser), hidingSQL+`
				CREATE TABLE plain (n int); CREATE TABLE keyed (id int PRIMARY KEY); INSERT INTO keyed VALUES (1), (2);
				CREATE VIEW later_view AS SELECT 1 AS n;
				CREATE SCHEMA other; CREATE VIEW other.log AS SELECT purge(60);
				CREATE SCHEMA mine; CREATE TABLE mine.accounts (id int PRIMARY KEY)`)
			if name == "names that it moves" {
				psql(t, cluster, cluster.DSN(db, cluster.Superuser), "ALTER TABLE accounts DROP CONSTRAINT accounts_pkey; UPDATE accounts SET id = 0")
			}
			psql(t, cluster, cluster.DSN(db, cluster.Superuser), "GRANT ALL ON ALL TABLES IN SCHEMA public TO staff")
			var said string
			if rest, ok := strings.CutPrefix(lines, "as staff\n-> Query "); ok {
				c := connectTo(t, cluster.DSNAt(r.addr, db, "staff"))
				_, err := c.PgConn().Exec(t.Context(), strings.Trim(rest, `"`)).ReadAll()
				said = fmt.Sprint(err)
			} else {
				said = converse(t, r.addr, db, strings.Split(lines, "\n"))
			}
			if left := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); left != "100" {
				t.Errorf("%s are left\n%s", left, said)
			}
			if !strings.Contains(said, "ten") {
				t.Errorf("nobody was asked:\n%s", said)
			}
		})
	}
}

// TestAReadThatHidesNothing: a view with a helper function is answered as ever.
func TestAReadThatHidesNothing(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, asServed)
	db := measuredInventory(t, cluster)
	psql(t, cluster, cluster.DSN(db, cluster.Superuser), `
		CREATE FUNCTION helper(int) RETURNS int LANGUAGE sql AS 'SELECT $1 + 1';
		CREATE VIEW helped AS SELECT helper(id) AS n FROM accounts;
		CREATE VIEW built_in AS SELECT lower(name) AS name, now() FROM accounts JOIN log ON line = name;
		CREATE DOMAIN positive AS int CHECK (VALUE > 0)`)
	for name, lines := range map[string]string{
		"a view":                "-> Query \"SELECT count(*) FROM built_in\"",
		"a view with a helper":  "-> Query \"SELECT max(n) FROM helped\"",
		"extended":              "-> Parse \"\" \"SELECT max(n) FROM helped\"\n-> Bind \"\" \"\"\n-> Describe P \"\"\n-> Execute \"\"\n-> Sync",
		"with a row limit":      "-> Parse \"\" \"SELECT n FROM helped ORDER BY 1\"\n-> Bind \"\" \"\"\n-> Execute \"\" 2\n-> Execute \"\" 2\n-> Sync",
		"in a block":            "-> Query \"BEGIN ISOLATION LEVEL REPEATABLE READ\"\n-> Query \"SELECT max(n) FROM helped\"\n-> Query \"COMMIT\"",
		"in one message":        "-> Query \"BEGIN; SELECT max(n) FROM helped; COMMIT\"",
		"COPY":                  "-> Query \"COPY (SELECT n FROM helped ORDER BY 1 LIMIT 2) TO STDOUT\"",
		"a cursor":              "-> Query \"BEGIN\"\n-> Query \"DECLARE c CURSOR FOR SELECT n FROM helped ORDER BY 1\"\n-> Query \"FETCH 2 FROM c\"\n-> Query \"COMMIT\"",
		"a held cursor":         "-> Query \"DECLARE c CURSOR WITH HOLD FOR SELECT name FROM built_in\"\n-> Query \"FETCH c\"",
		"SQL PREPARE":           "-> Query \"PREPARE s AS SELECT max(n) FROM helped\"\n-> Query \"EXECUTE s\"",
		"a domain":              "-> Query \"SELECT 1::positive\"",
		"one that is not there": "-> Query \"SELECT * FROM nothing, nowhere.nothing WHERE nothing.a = 1\"",
		"an error of its own":   "-> Query \"SELECT 1 / (n - n) FROM helped\"",
		"an error in a block":   "-> Query \"BEGIN\"\n-> Query \"SELECT 1 / (n - n) FROM helped\"\n-> Query \"SELECT max(n) FROM helped\"\n-> Query \"ROLLBACK\"",
		"with Flush": "-> Parse \"\" \"SELECT max(n) FROM helped\"\n-> Flush\nuntil ParseComplete\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Flush\nuntil CommandComplete\n" +
			"-> Sync\nuntil ReadyForQuery",
	} {
		t.Run(name, func(t *testing.T) {
			lines := strings.Split(lines, "\n")
			direct := converse(t, cluster.Addr(), db, lines)
			if through := converse(t, r.addr, db, lines); direct != through {
				t.Errorf("directly:\n%s\nthrough:\n%s", direct, through)
			}
		})
	}
}

// TestAReadIsLookedThroughOnce: of what a statement reads the catalogue is asked once,
// and not at all where every name is qualified with pg_catalog.
func TestAReadIsLookedThroughOnce(t *testing.T) {
	cluster := pgcluster.Shared(t)
	var asked atomic.Int64
	r := serveWith(t, cluster, tenRows, func(c *Config) {
		asServed(c)
		dial := c.Dial
		c.Dial = func(ctx context.Context) (net.Conn, error) {
			conn, err := dial(ctx)
			return countingConn{conn, hiddenQuestion, &asked, impact.MeasureSQL, new(atomic.Int64)}, err
		}
	})
	db := measuredInventory(t, cluster)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	for _, s := range []struct {
		sql  string
		mode pgx.QueryExecMode
		want int64
	}{
		{"SELECT 1", pgx.QueryExecModeSimpleProtocol, 0},
		{"SELECT pg_catalog.count(*) FROM pg_catalog.pg_class, information_schema.tables", pgx.QueryExecModeSimpleProtocol, 0},
		{"SELECT name FROM accounts WHERE id = 1", pgx.QueryExecModeSimpleProtocol, 1},
		{"SELECT name FROM accounts WHERE id = 2", pgx.QueryExecModeSimpleProtocol, 0},
		{"SELECT name FROM accounts WHERE id = 2", pgx.QueryExecModeCacheStatement, 0},
		{"SELECT upper(name) FROM accounts", pgx.QueryExecModeCacheStatement, 1},
		{"SELECT upper(name) FROM accounts", pgx.QueryExecModeCacheStatement, 0},
		{"SELECT upper(name) FROM accounts", pgx.QueryExecModeExec, 0},
		{"CREATE TABLE one (id int)", pgx.QueryExecModeSimpleProtocol, -1},
		{"SELECT name FROM accounts WHERE id = 1", pgx.QueryExecModeSimpleProtocol, 1},
	} {
		before := asked.Load()
		if _, err := c.Exec(t.Context(), s.sql, s.mode); err != nil {
			t.Fatalf("%s: %v", s.sql, err)
		}
		if n := asked.Load() - before; s.want >= 0 && n != s.want {
			t.Errorf("%s (%v): asked %d times, want %d", s.sql, s.mode, n, s.want)
		}
	}
}

// TestTypesOfParameters: what a value is bound to is asked about where people have made
// the type, and the statement is measured only where a check of it calls code.
func TestTypesOfParameters(t *testing.T) {
	cluster := pgcluster.Shared(t)
	var asked, measured atomic.Int64
	r := serveWith(t, cluster, tenRows, func(c *Config) {
		asServed(c)
		dial := c.Dial
		c.Dial = func(ctx context.Context) (net.Conn, error) {
			conn, err := dial(ctx)
			return countingConn{conn, hiddenQuestion, &asked, impact.MeasureSQL, &measured}, err
		}
	})
	db := measuredInventory(t, cluster)
	super := cluster.DSN(db, cluster.Superuser)
	psql(t, cluster, super, hidingSQL+"CREATE TYPE mood AS ENUM ('60'); CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE TYPE pair AS (a int, b mood)")
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice")).PgConn()
	for _, s := range []struct {
		of, value       string
		asked, measured int64
	}{
		{"int", "60", 0, 0}, {"int[]", "{60}", 0, 0}, {"mood", "60", 1, 0}, {"mood", "60", 0, 0}, {"mood[]", "{60}", 1, 0},
		{"positive", "60", 1, 0}, {"pair", "(1,60)", 1, 0}, {"dom", "9", 1, 1}, {"dom", "9", 0, 1}, {"dom[]", "{9}", 1, 1}, {"comp", "(9)", 1, 1},
	} {
		var oid uint32
		if _, err := fmt.Sscan(psql(t, cluster, super, "SELECT '"+s.of+"'::regtype::oid"), &oid); err != nil {
			t.Fatal(err)
		}
		askedBefore, measuredBefore := asked.Load(), measured.Load()
		if _, err := c.ExecParams(t.Context(), "VALUES (pg_catalog.pg_typeof($1))", [][]byte{[]byte(s.value)}, []uint32{oid}, nil, nil).Close(); err != nil {
			t.Errorf("%s: %v", s.of, err)
		}
		if n, m := asked.Load()-askedBefore, measured.Load()-measuredBefore; n != s.asked || m != s.measured {
			t.Errorf("%s: asked %d times and measured %d times, want %d and %d", s.of, n, m, s.asked, s.measured)
		}
	}
}

// hiddenQuestion begins the question about what a statement hides.
const hiddenQuestion = "/* Says whether what a statement names may hide code"

// countingConn counts questions that are sent to the server.
type countingConn struct {
	net.Conn
	question string
	asked    *atomic.Int64
	other    string // or this one
	others   *atomic.Int64
}

func (c countingConn) Write(b []byte) (int, error) {
	c.asked.Add(int64(bytes.Count(b, []byte(c.question))))
	c.others.Add(int64(bytes.Count(b, []byte(c.other))))
	return c.Conn.Write(b)
}

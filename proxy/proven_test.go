package proxy

import (
	"strings"
	"testing"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// TestProofIsForTheTableThatIsMeant: what a key or a plain table proves is not
// believed of a name that has come to mean another table by the time the statement
// runs. keyed has a primary key in mine and none in public, plain has a trigger in
// public that deletes from accounts.
func TestProofIsForTheTableThatIsMeant(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, asServed)
	run := func(portal, sql string) string {
		return "-> Parse \"\" \"" + sql + "\"\n-> Bind \"" + portal + "\" \"\"\n-> Execute \"" + portal + "\"\n"
	}
	const away, back = "SET search_path = mine, public", "SET search_path = public"
	for name, lines := range map[string]string{
		"a Query":                  "-> Query \"" + away + "\"\n-> Query \"" + back + "; DELETE FROM keyed WHERE id = 1\"",
		"a Query, in a block":      "-> Query \"" + away + "\"\n-> Query \"BEGIN; SET LOCAL search_path = public; DELETE FROM keyed WHERE id = 1; COMMIT\"",
		"a batch":                  "-> Query \"" + away + "\"\n" + run("", back) + run("", "DELETE FROM keyed WHERE id = 1") + "-> Sync\nuntil ReadyForQuery",
		"a batch that calls":       "-> Query \"" + away + "\"\n" + run("", "SELECT set_config('search_path', 'public', false)") + run("", "DELETE FROM keyed WHERE id = 1") + "-> Sync\nuntil ReadyForQuery",
		"an INSERT in a batch":     "-> Query \"" + away + "\"\n" + run("", back) + run("", "INSERT INTO plain VALUES (1)") + "-> Sync\nuntil ReadyForQuery",
		"an INSERT behind a batch": "-> Query \"" + away + "\"\n-> Parse \"\" \"" + back + "\"\n-> Bind \"p\" \"\"\n" + run("", "INSERT INTO plain VALUES (1)") + "-> Execute \"p\"\n-> Sync\nuntil ReadyForQuery\n-> Query \"INSERT INTO plain VALUES (1)\"",
		"a temporary table":        "-> Query \"CREATE TEMP TABLE keyed (id int PRIMARY KEY)\"\n-> Query \"DISCARD TEMP; DELETE FROM keyed WHERE id = 1\"",
		"a temporary table of a transaction": "-> Query \"BEGIN\"\n-> Query \"CREATE TEMP TABLE keyed (id int PRIMARY KEY)\"\n" +
			"-> Query \"ROLLBACK; DELETE FROM keyed WHERE id = 1\"",
		"a trigger made in the batch": "-> Query \"CREATE TABLE mine.new (id int)\"\n" + run("", "CREATE TRIGGER t AFTER INSERT ON mine.new FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION by_log()") +
			run("", "INSERT INTO mine.new VALUES (1)") + "-> Sync\nuntil ReadyForQuery\n-> Query \"INSERT INTO mine.new VALUES (2)\"",
	} {
		t.Run(name, func(t *testing.T) {
			db := measuredInventory(t, cluster)
			psql(t, cluster, cluster.DSN(db, cluster.Superuser), `
				CREATE SCHEMA mine AUTHORIZATION alice;
				CREATE TABLE mine.keyed (id int PRIMARY KEY); CREATE TABLE mine.plain (id int);
				CREATE TABLE keyed AS SELECT 1 AS id FROM generate_series(1, 100); CREATE TABLE plain (id int);
				CREATE TRIGGER purges AFTER INSERT ON plain FOR EACH ROW EXECUTE FUNCTION by_log()`)
			said := converse(t, r.addr, db, strings.Split(lines, "\n"))
			if left := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT (SELECT count(*) FROM keyed), (SELECT count(*) FROM accounts)"); left != "100|100" {
				t.Errorf("%s are left\n%s", left, said)
			}
		})
	}
}

// TestCodeBehindColumns: a row that is inserted, or named by its key, may call code
// without a trigger.
func TestCodeBehindColumns(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, asServed)
	for name, columns := range map[string]string{
		"default":   "id int PRIMARY KEY, x int, y int DEFAULT code(7)",
		"check":     "id int PRIMARY KEY, x int, CHECK (code(x) > 0)",
		"generated": "id int PRIMARY KEY, x int, y int GENERATED ALWAYS AS (code(x)) STORED",
		"domain":    "id int PRIMARY KEY, x checked",
		"index":     "id int PRIMARY KEY, x int); CREATE INDEX ON t (code(x)",
		"where":     "id int PRIMARY KEY, x int); CREATE INDEX ON t (id) WHERE (code(x) > 0",
		"policy":    "id int PRIMARY KEY, x int); CREATE POLICY p ON t USING (true) WITH CHECK (code(x) > 0); ALTER TABLE t ENABLE ROW LEVEL SECURITY, ADD CHECK (true",
	} {
		for statement, sql := range map[string]string{
			"INSERT": "INSERT INTO t (id, x) VALUES (7, 7)",
			"UPDATE": "UPDATE t SET x = 7 WHERE id = 1",
		} {
			if name == "default" && statement == "UPDATE" {
				sql = "UPDATE t SET y = DEFAULT WHERE id = 1"
			}
			t.Run(name+"/"+statement, func(t *testing.T) {
				db := inventory(t, cluster)
				psql(t, cluster, cluster.DSN(db, cluster.Superuser), `
					CREATE FUNCTION code(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
						IF n = 7 THEN EXECUTE 'DELETE FROM accounts WHERE id <= 11'; END IF; RETURN 1; END $$;
					CREATE DOMAIN checked AS int CHECK (code(VALUE) > 0);
					CREATE TABLE t (`+columns+`); INSERT INTO t (id, x) VALUES (1, 1); INSERT INTO accounts SELECT g, 'a' FROM generate_series(1, 11) g ON CONFLICT DO NOTHING;
					DO $$ BEGIN CREATE ROLE staff LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$;
					GRANT ALL ON t, accounts TO staff`)
				c := connectTo(t, cluster.DSNAt(r.addr, db, "staff"))
				_, err := c.Exec(t.Context(), sql)
				if left := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); left != "100" {
					t.Errorf("%s are left: %v", left, err)
				}
			})
		}
	}
}

// TestKeyComparedAsAnotherType: the values of a unique key may be equal to one
// constant once they are compared as another type is.
func TestKeyComparedAsAnotherType(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, asServed)
	for _, constant := range []string{"'a'::bpchar", "'a'::char(4)"} {
		db := inventory(t, cluster)
		psql(t, cluster, cluster.DSN(db, cluster.Superuser), `CREATE TABLE names (id varchar PRIMARY KEY);
			INSERT INTO names SELECT 'a' || repeat(' ', g) FROM generate_series(1, 60) g; GRANT ALL ON names TO alice`)
		c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
		_, err := c.Exec(t.Context(), "DELETE FROM names WHERE id = "+constant)
		if left := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM names"); left != "60" {
			t.Errorf("%s: %s are left: %v", constant, left, err)
		}
	}
}

// TestKeyComparedAsTheTypeOfAParameter: Parse and PREPARE may declare a parameter of
// another type than the key has, or what else stands in the statement may settle its
// type, so that its value is equal to many keys.
func TestKeyComparedAsTheTypeOfAParameter(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, asServed)
	const float8, float8s, bpchar = 701, 1022, 1042
	for name, c := range map[string]struct {
		key, values string // the type of the key, and sixty of its values
		sql, value  string
		declared    uint32
	}{
		"a number":              {"int8", "g + 1000000000000000000", "DELETE FROM t WHERE id = $1", "1e18", float8},
		"on the left":           {"int8", "g + 1000000000000000000", "DELETE FROM t WHERE $1 = id", "1e18", float8},
		"in a list":             {"int8", "g + 1000000000000000000", "DELETE FROM t WHERE id IN ($1)", "1e18", float8},
		"in an array":           {"int8", "g + 1000000000000000000", "DELETE FROM t WHERE id = ANY (ARRAY[$1])", "1e18", float8},
		"an array":              {"int8", "g + 1000000000000000000", "DELETE FROM t WHERE id = ANY ($1)", "{1e18}", float8s},
		"an array by the text":  {"int8", "g + 1000000000000000000", "DELETE FROM t WHERE id = ANY ($1::float8[])", "{1e18}", 0},
		"in a row":              {"int8", "g + 1000000000000000000", "DELETE FROM t WHERE (id, 1) = ($1, 1)", "1e18", float8},
		"of numeric":            {"numeric", "g + 1000000000000000000", "DELETE FROM t WHERE id = $1", "1e18", float8},
		"by the text":           {"int8", "g + 1000000000000000000", "DELETE FROM t WHERE $1::float8 > 0 AND id = $1", "1e18", 0},
		"by a WITH":             {"int8", "g + 1000000000000000000", "WITH w AS (SELECT $1::float8) DELETE FROM t WHERE id = $1", "1e18", 0},
		"by USING":              {"int8", "g + 1000000000000000000", "DELETE FROM t USING (SELECT $1::float8) x WHERE id = $1", "1e18", 0},
		"of an UPDATE":          {"int8", "g + 1000000000000000000", "UPDATE t SET gone = true WHERE id = $1", "1e18", float8},
		"explained":             {"int8", "g + 1000000000000000000", "EXPLAIN ANALYZE DELETE FROM t WHERE id = $1", "1e18", float8},
		"blanks":                {"varchar", "'a' || repeat(' ', g)", "DELETE FROM t WHERE id = $1", "a", bpchar},
		"blanks of text":        {"text", "'a' || repeat(' ', g)", "DELETE FROM t WHERE id = $1", "a", bpchar},
		"PREPARE":               {"int8", "g + 1000000000000000000", "PREPARE d(float8) AS DELETE FROM t WHERE id = $1; EXECUTE d(1e18)", "", 0},
		"PREPARE of characters": {"varchar", "'a' || repeat(' ', g)", "PREPARE d(char(4)) AS DELETE FROM t WHERE id = $1; EXECUTE d('a')", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			db := inventory(t, cluster)
			psql(t, cluster, cluster.DSN(db, cluster.Superuser), "CREATE TABLE t (id "+c.key+" PRIMARY KEY, gone bool);"+
				"INSERT INTO t SELECT ("+c.values+")::"+c.key+", false FROM generate_series(1, 60) g; GRANT ALL ON t TO alice")
			conn := connectTo(t, cluster.DSNAt(r.addr, db, "alice")).PgConn()
			var err error
			if c.value == "" {
				_, err = conn.Exec(t.Context(), c.sql).ReadAll()
			} else {
				_, err = conn.ExecParams(t.Context(), c.sql, [][]byte{[]byte(c.value)}, []uint32{c.declared}, nil, nil).Close()
			}
			if left := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM t WHERE NOT gone"); left != "60" {
				t.Errorf("%s are left: %v", left, err)
			}
		})
	}
}

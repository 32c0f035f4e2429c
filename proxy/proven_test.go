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

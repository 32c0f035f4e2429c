package proxy

import (
	"slices"
	"strings"
	"testing"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// lockedInventory has code that drops and empties, a view that is kept, and a
// partitioned table with a default partition.
func lockedInventory(t *testing.T, cluster *pgcluster.Cluster) string {
	db := measuredInventory(t, cluster)
	psql(t, cluster, cluster.DSN(db, cluster.Superuser), `
		CREATE FUNCTION drop_it() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DROP TABLE ' || 'accounts CASCADE'; RETURN 1; END $$;
		CREATE MATERIALIZED VIEW kept AS SELECT * FROM accounts; CREATE UNIQUE INDEX ON kept (id);
		ALTER MATERIALIZED VIEW kept OWNER TO alice;
		CREATE TABLE days (d int) PARTITION BY RANGE (d); CREATE TABLE other_days PARTITION OF days DEFAULT;
		INSERT INTO days SELECT 100 FROM generate_series(1, 100);
		ALTER TABLE days OWNER TO alice; ALTER TABLE other_days OWNER TO alice;
		CREATE TABLE bulky (id int, v text); INSERT INTO bulky SELECT i, repeat(md5(i::text), 500) FROM generate_series(1, 100) i;
		ALTER TABLE bulky ALTER v SET STORAGE EXTERNAL; UPDATE bulky SET v = v || 'x'; ALTER TABLE bulky OWNER TO alice;
		CREATE TABLE notes (account_id int REFERENCES accounts, line text); CREATE INDEX by_name ON accounts (name); ALTER TABLE notes OWNER TO alice;
		CREATE FUNCTION refill() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
			EXECUTE 'TRUNCATE accounts CASCADE'; EXECUTE 'INSERT INTO accounts SELECT 1'; RETURN 1; END $$;
		CREATE FUNCTION tell() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES ('told'); RETURN 1; END $$;
		CREATE TRIGGER idle AFTER INSERT ON accounts FOR EACH ROW WHEN (false) EXECUTE FUNCTION by_log(); CREATE SCHEMA aside AUTHORIZATION alice; ANALYZE`)
	return db
}

// TestHiddenLocks: a statement that passed accounts for the locks that it takes
// itself, and not for those of a DROP or TRUNCATE hidden in code behind it.
func TestHiddenLocks(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, asServed)
	for name, sql := range map[string]string{
		"CREATE TABLE, DROP":                    "CREATE TABLE new (id int); SELECT drop_it()",
		"CREATE TEMP TABLE, DROP":               "CREATE TEMP TABLE new (id int); SELECT drop_it()",
		"ADD COLUMN, DROP":                      "ALTER TABLE log ADD COLUMN x int; SELECT drop_it()",
		"COMMENT, DROP":                         "COMMENT ON TABLE accounts IS 'x'; SELECT drop_it()",
		"CREATE INDEX, TRUNCATE":                "CREATE INDEX ON accounts (name); SELECT empty_it()",
		"COMMENT, TRUNCATE":                     "COMMENT ON TABLE accounts IS 'x'; SELECT empty_it()",
		"ADD COLUMN, TRUNCATE":                  "ALTER TABLE accounts ADD COLUMN x int; SELECT empty_it()",
		"ADD COLUMN, refilled":                  "ALTER TABLE accounts ADD COLUMN x int; SELECT refill()",
		"a rewriting ALTER, TRUNCATE":           "ALTER TABLE accounts ALTER id TYPE bigint; SELECT empty_it()",
		"a rewriting ALTER, DROP":               "ALTER TABLE log ALTER line TYPE varchar(100); SELECT drop_it()",
		"one with TOAST, DROP":                  "ALTER TABLE bulky ALTER id TYPE bigint; SELECT drop_it()",
		"REFRESH, DROP":                         "REFRESH MATERIALIZED VIEW other; SELECT drop_it()",
		"DROP of what is empty, DROP":           "DROP TABLE notes; SELECT drop_it()",
		"DROP of what is not there, DROP":       "DROP TABLE IF EXISTS nothing; SELECT drop_it()",
		"DROP INDEX, DROP":                      "DROP INDEX by_name; SELECT drop_it()",
		"RENAME, TRUNCATE":                      "ALTER TABLE log RENAME TO logs; SELECT empty_it()",
		"a rewriting ALTER, a DROP in the open": "ALTER TABLE log ALTER line TYPE varchar(100); DROP TABLE accounts CASCADE",
	} {
		t.Run(name, func(t *testing.T) {
			db := lockedInventory(t, cluster)
			psql(t, cluster, cluster.DSN(db, cluster.Superuser), "DROP MATERIALIZED VIEW kept; CREATE MATERIALIZED VIEW other AS SELECT 1 AS n; ALTER MATERIALIZED VIEW other OWNER TO alice; DROP TABLE IF EXISTS notes CASCADE; CREATE TABLE notes (id int)") // it would keep accounts
			said := converse(t, r.addr, db, []string{`-> Query "` + sql + `"`})
			if left, err := psqlErr(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); err != nil || left != "100" {
				t.Errorf("%q are left\n%s", left, said)
			}
		})
	}
}

// TestLocksOfHonestWork: what locks a table by what it is for is not taken for a
// hidden TRUNCATE of it.
func TestLocksOfHonestWork(t *testing.T) {
	cluster := pgcluster.Shared(t)
	for policyName, policy := range map[string]string{"ten": tenRows, "standard": "version: 1\ninclude: standard\nrules: []\n"} {
		r := serveWith(t, cluster, policy, asServed)
		db := lockedInventory(t, cluster)
		c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
		for _, sql := range []string{
			"REFRESH MATERIALIZED VIEW kept",
			"REFRESH MATERIALIZED VIEW CONCURRENTLY kept",
			"CREATE TABLE days1 PARTITION OF days FOR VALUES FROM (1) TO (2)",
			"CREATE TABLE days2 (d int); ALTER TABLE days ATTACH PARTITION days2 FOR VALUES FROM (2) TO (3)",
			"ALTER TABLE accounts ADD COLUMN x int; SELECT tell()",
			"ALTER TABLE bulky ALTER id TYPE bigint; SELECT tell()",
			"ALTER TABLE other_days ADD CHECK (d > 0); SELECT tell()",
			"CREATE TEMP TABLE scratch AS SELECT i FROM generate_series(1, 100) i",
			"ANALYZE scratch",
			"INSERT INTO log SELECT 'x' FROM scratch LIMIT 1; DROP TABLE pg_temp.scratch",
			"SAVEPOINT_ CREATE TABLE mine AS SELECT i FROM generate_series(1, 100) i; RELEASE s; UPDATE mine SET i = 0",
			"ALTER TABLE log RENAME TO logs; ALTER TABLE logs RENAME TO log",
			"ALTER TABLE log SET SCHEMA aside",
			"DROP TABLE notes",
			"DROP INDEX by_name",
			"DROP TRIGGER idle ON accounts",
		} {
			held := []string{"DROP TRIGGER", "DROP INDEX", "ALTER TABLE bulky", "ALTER TABLE log", "SAVEPOINT_"} // by what it is
			if policyName == "ten" {
				held = []string{"DROP TABLE notes"} // nobody has asked whether it is empty
			}
			if slices.ContainsFunc(held, func(what string) bool { return strings.HasPrefix(sql, what) }) {
				continue
			}
			if rest, in := strings.CutPrefix(sql, "SAVEPOINT_"); in {
				sql = "BEGIN; SAVEPOINT s;" + rest + "; COMMIT"
			}
			if _, err := c.Exec(t.Context(), sql); err != nil {
				t.Errorf("%s, %s: %v", policyName, sql, err)
			}
		}
	}
}

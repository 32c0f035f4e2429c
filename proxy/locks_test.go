package proxy

import (
	"strings"
	"testing"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// lockedInventory has code that drops and empties, a view that is kept, and a
// partitioned table with a default partition.
func lockedInventory(t *testing.T, cluster *pgcluster.Cluster) string {
	db := measuredInventory(t, cluster)
	psql(t, cluster, cluster.DSN(db, cluster.Superuser), `
		CREATE FUNCTION drop_it() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DROP TABLE ' || 'accounts'; RETURN 1; END $$;
		CREATE MATERIALIZED VIEW kept AS SELECT * FROM accounts; CREATE UNIQUE INDEX ON kept (id);
		ALTER MATERIALIZED VIEW kept OWNER TO alice;
		CREATE TABLE days (d int) PARTITION BY RANGE (d); CREATE TABLE other_days PARTITION OF days DEFAULT;
		INSERT INTO days SELECT 100 FROM generate_series(1, 100);
		ALTER TABLE days OWNER TO alice; ALTER TABLE other_days OWNER TO alice;
		CREATE TRIGGER idle AFTER INSERT ON accounts FOR EACH ROW WHEN (false) EXECUTE FUNCTION by_log(); ANALYZE`)
	return db
}

// TestHiddenLocks: a statement that passed accounts for the locks that it takes
// itself, and not for those of a DROP or TRUNCATE hidden in code behind it.
func TestHiddenLocks(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, asServed)
	for name, sql := range map[string]string{
		"CREATE TABLE, DROP":      "CREATE TABLE new (id int); SELECT drop_it()",
		"CREATE TEMP TABLE, DROP": "CREATE TEMP TABLE new (id int); SELECT drop_it()",
		"ADD COLUMN, DROP":        "ALTER TABLE log ADD COLUMN x int; SELECT drop_it()",
		"COMMENT, DROP":           "COMMENT ON TABLE accounts IS 'x'; SELECT drop_it()",
		"CREATE INDEX, TRUNCATE":  "CREATE INDEX ON accounts (name); SELECT empty_it()",
		"COMMENT, TRUNCATE":       "COMMENT ON TABLE accounts IS 'x'; SELECT empty_it()",
	} {
		t.Run(name, func(t *testing.T) {
			db := lockedInventory(t, cluster)
			psql(t, cluster, cluster.DSN(db, cluster.Superuser), "DROP MATERIALIZED VIEW kept") // it would keep accounts
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
			"DROP TRIGGER idle ON accounts",
		} {
			if policyName == "standard" && strings.HasPrefix(sql, "DROP") { // held by what it is
				continue
			}
			if _, err := c.Exec(t.Context(), sql); err != nil {
				t.Errorf("%s, %s: %v", policyName, sql, err)
			}
		}
	}
}

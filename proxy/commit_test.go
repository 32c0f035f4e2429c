package proxy

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/policy/approval"
)

// measureAll measures every transaction and stops none.
const measureAll = `
version: 1
defaults: {allowed: allow, unparsed: allow, unknown: allow}
rules:
  - id: everything
    match: {statement: [write], rows: "> 1000000000", unmeasured: allow}
    action: hold
`

// tenRows lets no transaction change more than ten rows.
const tenRows = `
version: 1
rules:
  - id: ten
    title: More than ten rows
    match: {statement: [update, delete, merge, truncate], rows: "> 10"}
    action: hold
    approve: [{group: dba, count: 1}]
`

// asServed is how serve tries things out, without waiting on the wire: the planner
// stops nothing that is small enough to be run and measured.
func asServed(c *Config) {
	c.MaxWait, c.DryRun = 0, DryRun{Rows: 100_000, Timeout: 5 * time.Second, Show: 5}
}

// TestOracleOfMeasuring plays the conversations of TestOracle under a policy that
// measures every transaction and stops none: the client must not feel it.
func TestOracleOfMeasuring(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, measureAll, nil)
	files, err := filepath.Glob("../testdata/oracle/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no conversations: %v", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_during_copy.txt") {
			continue // who breaks the protocol there is sent away as well, in other words
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(string(b), "\n")
			direct := converse(t, cluster.Addr(), inventory(t, cluster), lines)
			// The server words this by what is around it, and here that is a block.
			direct = strings.ReplaceAll(direct, `"VACUUM cannot be executed within a pipeline" (113 bytes)`, `"VACUUM cannot run inside a transaction block" (114 bytes)`)
			if through := converse(t, r.addr, inventory(t, cluster), lines); direct != through {
				t.Errorf("directly:\n%s\nmeasured:\n%s", direct, through)
			}
		})
	}
}

// TestOverTheLimit sends what changes eleven rows and more in every way there is to
// commit it, to a policy that allows ten: nothing of it may be there afterwards.
func TestOverTheLimit(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, asServed)
	for name, lines := range map[string]string{
		"autocommit":                                `-> Query "DELETE FROM accounts WHERE id <= 11"`,
		"two statements":                            `-> Query "DELETE FROM accounts WHERE id <= 6; DELETE FROM accounts WHERE id BETWEEN 7 AND 11"`,
		"a block":                                   "-> Query \"BEGIN\"\n-> Query \"DELETE FROM accounts WHERE id <= 6\"\n-> Query \"DELETE FROM accounts WHERE id BETWEEN 7 AND 11\"\n-> Query \"COMMIT\"",
		"a block in one message":                    `-> Query "BEGIN; DELETE FROM accounts WHERE id <= 11; COMMIT"`,
		"a block behind another":                    `-> Query "BEGIN; SELECT 1; COMMIT; DELETE FROM accounts WHERE id <= 11"`,
		"behind a rollback":                         `-> Query "BEGIN; SELECT 1; ROLLBACK; DELETE FROM accounts WHERE id <= 11"`,
		"commit without a block":                    `-> Query "DELETE FROM accounts WHERE id <= 11; COMMIT; SELECT 1"`,
		"and chain":                                 "-> Query \"BEGIN\"\n-> Query \"DELETE FROM accounts WHERE id <= 11\"\n-> Query \"COMMIT AND CHAIN\"\n-> Query \"ROLLBACK\"",
		"prepare transaction":                       "-> Query \"BEGIN\"\n-> Query \"DELETE FROM accounts WHERE id <= 11\"\n-> Query \"PREPARE TRANSACTION 'x'\"",
		"ended by END":                              "-> Query \"BEGIN\"\n-> Query \"DELETE FROM accounts WHERE id <= 11\"\n-> Query \"END\"",
		"a savepoint":                               "-> Query \"BEGIN\"\n-> Query \"SAVEPOINT a\"\n-> Query \"DELETE FROM accounts WHERE id <= 11\"\n-> Query \"RELEASE a\"\n-> Query \"COMMIT\"",
		"extended":                                  "-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"extended, with a value":                    "-> Parse \"\" \"DELETE FROM accounts WHERE id <= $1\"\n-> Bind \"\" \"\" 11\n-> Execute \"\"\n-> Sync",
		"a row limit":                               "-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11 RETURNING id\"\n-> Bind \"\" \"\"\n-> Execute \"\" 1\n-> Sync",
		"a pipeline":                                "-> Parse \"\" \"DELETE FROM accounts WHERE id <= 6\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"DELETE FROM accounts WHERE id BETWEEN 7 AND 11\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"a pipeline with its block":                 "-> Parse \"\" \"BEGIN\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"COMMIT\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"a pipeline ended by COMMIT":                "-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"COMMIT\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"with Flush":                                "-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Flush\nuntil CommandComplete\n-> Sync",
		"a Query in an open batch":                  "-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Flush\nuntil CommandComplete\n-> Query \"SELECT 1\"\n-> Sync",
		"an old portal":                             "-> Query \"BEGIN\"\n-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Bind \"p\" \"\"\n-> Sync\n-> Execute \"p\"\n-> Sync\n-> Query \"COMMIT\"",
		"a portal that is fetched":                  "-> Query \"BEGIN\"\n-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11 RETURNING id\"\n-> Bind \"p\" \"\"\n-> Sync\n-> Query \"FETCH ALL FROM p\"\n-> Query \"COMMIT\"",
		"SQL PREPARE":                               "-> Query \"PREPARE d AS DELETE FROM accounts WHERE id <= 11\"\n-> Query \"EXECUTE d\"",
		"a function":                                `-> Query "SELECT purge(11)"`,
		"a DO block":                                `-> Query "DO $$ BEGIN DELETE FROM accounts WHERE id <= 11; END $$"`,
		"that commits":                              `-> Query "DO $$ BEGIN DELETE FROM accounts WHERE id <= 11; COMMIT; END $$"`,
		"that commits, in front of BEGIN":           "-> Parse \"\" \"DO $$ BEGIN DELETE FROM accounts WHERE id <= 11; COMMIT; END $$\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"BEGIN\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"that commits, in front of a block":         "-> Parse \"\" \"DO $$ BEGIN DELETE FROM accounts WHERE id <= 11; COMMIT; END $$\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"BEGIN\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"COMMIT\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"that commits, in front of ROLLBACK TO":     "-> Parse \"\" \"DO $$ BEGIN DELETE FROM accounts WHERE id <= 11; COMMIT; END $$\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"ROLLBACK TO a\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"that commits, BEGIN and Flush":             "-> Parse \"\" \"DO $$ BEGIN DELETE FROM accounts WHERE id <= 11; COMMIT; END $$\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"BEGIN\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Flush\nuntil ErrorResponse\n-> Sync",
		"a CALL in front of BEGIN":                  "-> Parse \"\" \"CALL purge_and_commit(11)\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"BEGIN\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"one behind what it commits":                "-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"DO $$ BEGIN COMMIT; END $$\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"BEGIN\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"one behind what it commits, alone":         "-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"DO $$ BEGIN COMMIT; END $$\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"one among what warns":                      "-> Parse \"\" \"SET LOCAL work_mem = 1024\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"DO $$ BEGIN COMMIT; END $$\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"one behind VACUUM":                         "-> Parse \"\" \"VACUUM log\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"DO $$ BEGIN COMMIT; END $$\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"VACUUM behind it":                          "-> Parse \"\" \"SET LOCAL work_mem = 1024\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"VACUUM log\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"VACUUM bound before it":                    "-> Parse \"\" \"VACUUM log\"\n-> Bind \"v\" \"\"\n-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Bind \"d\" \"\"\n-> Execute \"d\"\n-> Execute \"v\"\n-> Sync",
		"VACUUM behind a FETCH of it":               "-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11 RETURNING id\"\n-> Bind \"d\" \"\"\n-> Parse \"\" \"MOVE ALL FROM d\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"VACUUM log\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"VACUUM behind its planning":                "-> Parse \"\" \"SELECT when_planned(11)\"\n-> Bind \"p\" \"\"\n-> Parse \"\" \"VACUUM log\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"VACUUM behind COPY":                        "-> Parse \"\" \"COPY log FROM STDIN\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync\nuntil CopyInResponse\n-> CopyData \"purge\\n\"\n-> CopyDone\n-> Parse \"\" \"VACUUM log\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"ANALYZE behind its planning":               "-> Parse \"\" \"SELECT when_planned(11)\"\n-> Bind \"p\" \"\"\n-> Flush\nuntil BindComplete\n-> Parse \"\" \"ANALYZE\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"REINDEX behind its planning":               "-> Parse \"\" \"SELECT when_planned(11)\"\n-> Bind \"p\" \"\"\n-> Flush\nuntil BindComplete\n-> Parse \"\" \"REINDEX SCHEMA public\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"CLUSTER behind its planning":               "-> Parse \"\" \"SELECT when_planned(11)\"\n-> Bind \"p\" \"\"\n-> Flush\nuntil BindComplete\n-> Parse \"\" \"CLUSTER\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"DETACH behind its planning":                "-> Parse \"\" \"SELECT when_planned(11)\"\n-> Bind \"p\" \"\"\n-> Flush\nuntil BindComplete\n-> Parse \"\" \"ALTER TABLE parted DETACH PARTITION parted_1 CONCURRENTLY\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"a view that planning runs":                 "-> Parse \"\" \"DELETE FROM log WHERE length(line) = (SELECT n FROM planned)\"\n-> Bind \"p\" \"\"\n-> Flush\nuntil BindComplete\n-> Parse \"\" \"VACUUM log\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"a default that planning runs":              "-> Parse \"\" \"UPDATE defaulted SET b = DEFAULT WHERE a = 7\"\n-> Bind \"p\" \"\"\n-> Flush\nuntil BindComplete\n-> Parse \"\" \"VACUUM log\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"a default, and DISCARD ALL":                "-> Parse \"\" \"INSERT INTO defaulted (a) VALUES (1)\"\n-> Bind \"p\" \"\"\n-> Flush\nuntil BindComplete\n-> Parse \"\" \"DISCARD ALL\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"one that commits, and COPY data":           "-> Parse \"\" \"DO $$ BEGIN DELETE FROM accounts WHERE id <= 11; COMMIT; END $$\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> CopyData \"" + strings.Repeat("x", 3000) + "\"\n-> Sync",
		"an EXECUTE of what came later":             "-> Parse \"s\" \"SELECT 1\"\n-> Parse \"\" \"EXECUTE s\"\n-> Bind \"e\" \"\"\n-> Close S \"s\"\n-> Parse \"s\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Execute \"e\"\n-> Sync",
		"an EXECUTE of later code":                  "-> Parse \"s\" \"SELECT 1\"\n-> Parse \"\" \"EXECUTE s\"\n-> Bind \"e\" \"\"\n-> Close S \"s\"\n-> Parse \"s\" \"SELECT purge(11)\"\n-> Execute \"e\"\n-> Sync",
		"an EXECUTE of what came later, in a block": "-> Query \"BEGIN\"\n-> Parse \"s\" \"SELECT 1\"\n-> Parse \"\" \"EXECUTE s\"\n-> Bind \"e\" \"\"\n-> Close S \"s\"\n-> Sync\n-> Parse \"s\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Execute \"e\"\n-> Sync\n-> Query \"COMMIT\"",
		"a parameter of a domain: SELECT $1":        "-> Parse \"\" \"SELECT $1\" domain\n-> Bind \"\" \"\" 11\n-> Execute \"\"\n-> Sync",
		"a parameter of a domain: VALUES ($1)":      "-> Parse \"\" \"VALUES ($1)\" domain\n-> Bind \"\" \"\" 11\n-> Execute \"\"\n-> Sync",
		"a parameter of a domain: SHOW work_mem":    "-> Parse \"\" \"SHOW work_mem\" domain\n-> Bind \"\" \"\" 11\n-> Execute \"\"\n-> Sync",
		"an EXECUTE of a later COMMIT":              "-> Query \"BEGIN\"\n-> Query \"SELECT purge(11)\"\n-> Parse \"s\" \"SELECT 1\"\n-> Parse \"\" \"EXECUTE s\"\n-> Bind \"e\" \"\"\n-> Close S \"s\"\n-> Parse \"s\" \"COMMIT\"\n-> Execute \"e\"\n-> Sync",
		"an index of code behind it":                "-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"CREATE INDEX CONCURRENTLY ON log (line)\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"an index of code":                          "-> Parse \"\" \"CREATE INDEX CONCURRENTLY ON accounts (when_planned(11))\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"SELECT 1\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"its portal run behind BEGIN":               "-> Parse \"\" \"DO $$ BEGIN DELETE FROM accounts WHERE id <= 11; COMMIT; END $$\"\n-> Bind \"p\" \"\"\n-> Execute \"p\"\n-> Parse \"\" \"BEGIN\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"one that commits, extended":                "-> Parse \"\" \"DO $$ BEGIN DELETE FROM accounts WHERE id <= 11; COMMIT; END $$\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"one that commits, with Flush":              "-> Parse \"\" \"DO $$ BEGIN DELETE FROM accounts WHERE id <= 11; COMMIT; END $$\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Flush\n-> Sync",
		"a procedure":                               `-> Query "CALL purge_and_commit(11)"`,
		"a trigger":                                 `-> Query "INSERT INTO log VALUES ('purge')"`,
		"COPY into a table with a trigger":          "-> Query \"COPY log FROM STDIN\"\nuntil CopyInResponse\n-> CopyData \"purge\\n\"\n-> CopyDone",
		"extended COPY":                             "-> Parse \"\" \"COPY log FROM STDIN\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync\nuntil CopyInResponse\n-> CopyData \"purge\\n\"\n-> CopyDone\n-> Sync",
		"a deferred trigger":                        `-> Query "INSERT INTO later VALUES (1)"`,
		"a deferred trigger in a block":             "-> Query \"BEGIN\"\n-> Query \"INSERT INTO later VALUES (1)\"\n-> Query \"COMMIT\"",
		"a WITH":                                    `-> Query "WITH d AS (DELETE FROM accounts WHERE id <= 11 RETURNING id) SELECT count(*) FROM d"`,
		"a cursor":                                  "-> Query \"BEGIN\"\n-> Query \"DECLARE c CURSOR FOR SELECT purge(11)\"\n-> Query \"FETCH c\"\n-> Query \"COMMIT\"",
		"a cursor that is held":                     "-> Query \"DECLARE c CURSOR WITH HOLD FOR SELECT purge(11)\"",
		"counting off in a pipeline":                "-> Parse \"\" \"SET LOCAL track_counts = off\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"SET LOCAL track_counts = on\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"counting on again in a Query":              "-> Query \"SET track_counts = off\"\n-> Query \"DELETE FROM accounts WHERE id <= 11; SET track_counts = on\"",
		"counting on again in a block":              "-> Query \"SET track_counts = off\"\n-> Query \"BEGIN\"\n-> Query \"DELETE FROM accounts WHERE id <= 11; RESET ALL\"\n-> Query \"COMMIT\"",
		"counting off in a piece of a Query":        "-> Query \"ROLLBACK; BEGIN; SET LOCAL track_counts = off; DELETE FROM accounts WHERE id <= 11; SET LOCAL track_counts = on; COMMIT\"",
		"counting off in a Query":                   "-> Query \"SET track_counts = off; DELETE FROM accounts WHERE id <= 11; SET track_counts = on\"",
		"counting off in a function call":           "-> Parse \"\" \"SELECT set_config('track_counts', 'off', true)\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"SELECT set_config('track_counts', 'on', true)\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"counting off":                              "-> Query \"BEGIN\"\n-> Query \"SELECT set_config('track_counts', 'off', true)\"\n-> Query \"DELETE FROM accounts WHERE id <= 11\"\n-> Query \"COMMIT\"",
		"a TRUNCATE in code":                        `-> Query "SELECT empty_it()"`,
		"FunctionCall":                              `-> FunctionCall purge`,
	} {
		t.Run(name, func(t *testing.T) {
			db := measuredInventory(t, cluster)
			if name == "FunctionCall" {
				oid := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT 'purge'::regproc::oid")
				lines = "-> FunctionCall " + oid + " 11"
			}
			if strings.HasPrefix(name, "a parameter of a domain") {
				oid := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT 'checked'::regtype::oid")
				lines = strings.Replace(lines, "domain", oid, 1)
			}
			said := converse(t, r.addr, db, strings.Split(lines, "\n"))
			left := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts; SELECT count(*) FROM pg_prepared_xacts")
			if left != "100\n0" {
				t.Errorf("%q are left\n%s", left, said)
			}
		})
	}
}

// TestWhatMayHaveRunIsNotCommittedByOthers: what commits by itself runs in a block of the
// proxy's own behind what has to be measured, where it fails. Directly a server that
// knows of pipelines says so in other words, and others would commit.
func TestWhatMayHaveRunIsNotCommittedByOthers(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, asServed)
	for name, lines := range map[string]string{
		"a statement":                              "-> Parse \"\" \"DELETE FROM accounts WHERE id BETWEEN 1 AND 5\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"VACUUM log\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"a portal that is fetched":                 "-> Parse \"\" \"DELETE FROM accounts WHERE id BETWEEN 1 AND 5 RETURNING id\"\n-> Bind \"d\" \"\"\n-> Parse \"\" \"MOVE ALL FROM d\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"VACUUM log\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"an old portal":                            "-> Parse \"\" \"DELETE FROM accounts WHERE id BETWEEN 1 AND 5\"\n-> Bind \"d\" \"\"\n-> Execute \"d\"\n-> Parse \"\" \"CREATE INDEX CONCURRENTLY ON log (line)\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"what was proven, beside what was not run": "-> Parse \"\" \"DELETE FROM accounts WHERE id BETWEEN 1 AND 5\"\n-> Bind \"d\" \"\"\n-> Parse \"\" \"DELETE FROM accounts WHERE id = 6\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"VACUUM log\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"what planning may have run":               "-> Parse \"\" \"SELECT when_planned(5)\"\n-> Bind \"p\" \"\"\n-> Parse \"\" \"VACUUM log\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
	} {
		t.Run(name, func(t *testing.T) {
			db := measuredInventory(t, cluster)
			c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
			if _, err := c.Exec(t.Context(), "DELETE FROM accounts WHERE id = 7"); err != nil { // the catalogue is known then
				t.Fatal(err)
			}
			if said := converse(t, r.addr, db, strings.Split(lines, "\n")); !strings.Contains(said, "cannot run inside a transaction block") {
				t.Error(said)
			}
		})
	}
}

// measuredInventory is inventory with code that deletes.
func measuredInventory(t testing.TB, cluster *pgcluster.Cluster) string {
	db := inventory(t, cluster)
	psql(t, cluster, cluster.DSN(db, cluster.Superuser), `
		ALTER ROLE alice SUPERUSER;
		CREATE FUNCTION purge(n int) RETURNS int LANGUAGE plpgsql AS $$
			BEGIN EXECUTE 'DELETE FROM accounts WHERE id <= $1' USING n; RETURN n; END $$;
		CREATE FUNCTION when_planned(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN purge(n); END $$;
		CREATE PROCEDURE purge_and_commit(n int) LANGUAGE plpgsql AS $$
			BEGIN EXECUTE 'DELETE FROM accounts WHERE id <= $1' USING n; COMMIT; END $$;
		CREATE FUNCTION empty_it() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'TRUNCATE accounts'; RETURN 1; END $$;
		CREATE FUNCTION by_log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM purge(11); RETURN NEW; END $$;
		CREATE TRIGGER purges AFTER INSERT ON log FOR EACH ROW WHEN (NEW.line = 'purge') EXECUTE FUNCTION by_log();
		CREATE TABLE later (id int);
		CREATE CONSTRAINT TRIGGER purges AFTER INSERT ON later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION by_log();
		ALTER TABLE later OWNER TO alice;
		CREATE VIEW planned AS SELECT when_planned(11) AS n; GRANT SELECT ON planned TO alice;
		CREATE TABLE defaulted (a int, b int DEFAULT when_planned(11)); ALTER TABLE defaulted OWNER TO alice;
		CREATE DOMAIN checked AS int CHECK (purge(VALUE) > 0);
		CREATE TABLE parted (id int) PARTITION BY LIST (id); CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1)`)
	return db
}

// answer is how an Exec ended.
type answer struct {
	tag pgconn.CommandTag
	err error
}

// executing sends a statement without waiting for its end.
func executing(t *testing.T, c *pgx.Conn, sql string, args ...any) <-chan answer {
	got := make(chan answer, 1)
	go func() {
		tag, err := c.Exec(t.Context(), sql, args...)
		got <- answer{tag, err}
	}()
	return got
}

func (r *running) approve(t *testing.T, q approval.Request) {
	t.Helper()
	if _, err := r.service.Approve(t.Context(), q.ID, "bob", "psql", "as seen"); err != nil {
		t.Fatal(err)
	}
}

func TestApprovedStatementDoesWhatWasShown(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, func(c *Config) { c.DryRun = DryRun{Rows: 1000, Timeout: 5 * time.Second, Show: 2} })
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec} {
		t.Run(mode.String(), func(t *testing.T) {
			db := measuredInventory(t, cluster)
			c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
			got := executing(t, c, "DELETE FROM accounts WHERE id <= $1", mode, 20)
			q := r.request(t)
			if !strings.Contains(q.Impact, "20 deleted from public.accounts") {
				t.Errorf("the request says %q", q.Impact)
			}
			locks := psql(t, cluster, cluster.DSN(db, cluster.Superuser),
				"SELECT count(*) FROM pg_stat_activity WHERE usename = 'alice' AND state <> 'idle' OR datname = current_database() AND usename = 'alice' AND xact_start IS NOT NULL")
			if locks != "0" {
				t.Error("a transaction is open on the server while people think")
			}
			r.approve(t, q)
			if a := <-got; a.err != nil || a.tag.String() != "DELETE 20" {
				t.Errorf("got %v, %v", a.tag, a.err)
			}
			if n := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); n != "80" {
				t.Errorf("%s are left", n)
			}
			r.settledAs(t, q.ID, approval.Done, "DELETE 20")
			if a := <-executing(t, c, "DELETE FROM accounts WHERE id = $1", mode, 50); a.err != nil || a.tag.String() != "DELETE 1" {
				t.Errorf("afterwards: %v, %v", a.tag, a.err)
			}
		})
	}
}

// settledAs waits until the request has ended.
func (r *running) settledAs(t *testing.T, id int64, state approval.State, outcome string) {
	t.Helper()
	ctx, done := context.WithTimeout(t.Context(), 30*time.Second)
	defer done()
	for {
		q, err := r.service.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if q.State == approval.Used || q.State == approval.Pending {
			continue
		}
		if q.State != state || q.Outcome != outcome {
			t.Errorf("request %d is %s, %q; want %s, %q", id, q.State, q.Outcome, state, outcome)
		}
		return
	}
}

func TestApprovalIsForTheNumbersThatWereShown(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, func(c *Config) { asServed(c); c.MaxWait = time.Minute })
	db := measuredInventory(t, cluster)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	got := executing(t, c, "DELETE FROM accounts WHERE name LIKE 'a1%'")
	first := r.request(t)
	psql(t, cluster, cluster.DSN(db, cluster.Superuser), "INSERT INTO accounts SELECT g, 'a1' || g FROM generate_series(1000, 1004) g")
	r.approve(t, first)
	second := r.request(t)
	if second.ID == first.ID || !strings.Contains(second.Impact, "17 deleted from public.accounts") {
		t.Errorf("the second request is %d and says %q", second.ID, second.Impact)
	}
	r.approve(t, second)
	if a := <-got; a.err != nil || a.tag.String() != "DELETE 17" {
		t.Errorf("got %v, %v", a.tag, a.err)
	}
	r.settledAs(t, first.ID, approval.Failed, "it changed more than was approved, and was rolled back")
	r.settledAs(t, second.ID, approval.Done, "DELETE 17")
}

func TestTransactionBlockIsSentAgainOnceApproved(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, func(c *Config) { asServed(c); c.MaxWait = time.Minute })
	db := measuredInventory(t, cluster)
	send := func() error {
		c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
		tx, err := c.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for from := range 3 {
			if _, err := tx.Exec(t.Context(), "UPDATE accounts SET name = 'x' WHERE id / 5 = $1", from); err != nil {
				return fmt.Errorf("statement %d: %w", from, err)
			}
			if _, err := tx.Exec(t.Context(), "SELECT count(*) FROM accounts"); err != nil {
				return fmt.Errorf("statement %d: %w", from, err)
			}
		}
		return tx.Commit(t.Context())
	}
	err := send()
	if err == nil || !strings.Contains(err.Error(), "needs approval: rule ten opened request 1") {
		t.Fatalf("the first time: %v", err)
	}
	r.approve(t, r.request(t))
	if err := send(); err != nil {
		t.Errorf("once approved: %v", err)
	}
	if err := send(); err == nil {
		t.Error("a grant was used twice")
	}
	if n := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts WHERE name = 'x'"); n != "14" {
		t.Errorf("%s rows are changed", n)
	}
}

// TestEachTransactionIsMeasuredByItself: what an earlier one changed neither counts
// for the next nor is taken off it.
func TestEachTransactionIsMeasuredByItself(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, func(c *Config) { c.MaxWait = 0 })
	const six = "-> Parse \"\" \"DELETE FROM accounts WHERE id <= 6\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"COMMIT\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n"
	for name, test := range map[string]struct{ lines, left string }{
		"behind a batch and its COMMIT":            {six + "-> Sync\nuntil ReadyForQuery\n-> Query \"DELETE FROM accounts WHERE id BETWEEN 7 AND 17\"", "94"},
		"pipelined behind a batch and its COMMIT":  {six + "-> Sync\n-> Query \"DELETE FROM accounts WHERE id BETWEEN 7 AND 17\"", "94"},
		"behind a batch and its COMMIT, as much":   {six + "-> Sync\n-> Query \"DELETE FROM accounts WHERE id BETWEEN 7 AND 16\"", "84"},
		"in the batch, behind its COMMIT":          {six + "-> Parse \"\" \"DELETE FROM accounts WHERE id BETWEEN 7 AND 16\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync", "84"},
		"in the batch, and too much":               {six + "-> Parse \"\" \"DELETE FROM accounts WHERE id BETWEEN 7 AND 17\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync", "94"},
		"chained":                                  {"-> Query \"BEGIN\"\n-> Query \"DELETE FROM accounts WHERE id <= 6\"\n-> Query \"COMMIT AND CHAIN\"\n-> Query \"DELETE FROM accounts WHERE id BETWEEN 7 AND 16\"\n-> Query \"COMMIT\"\n-> Query \"DELETE FROM accounts WHERE id BETWEEN 17 AND 27\"", "84"},
		"behind one that failed":                   {"-> Query \"DELETE FROM accounts WHERE id <= 6 AND 1 / (6 - id) > 0\"\n-> Query \"DELETE FROM accounts WHERE id <= 10\"", "90"},
		"behind one that was rolled back":          {"-> Query \"BEGIN\"\n-> Query \"DELETE FROM accounts WHERE id <= 9\"\n-> Query \"ROLLBACK\"\n-> Query \"DELETE FROM accounts WHERE id <= 10\"", "90"},
		"a block, behind one that was rolled back": {"-> Query \"BEGIN; DELETE FROM accounts WHERE id <= 9; ROLLBACK; BEGIN; DELETE FROM accounts WHERE id <= 10; COMMIT\"", "90"},
		"behind a piece that failed":               {"-> Query \"DELETE FROM accounts WHERE id = 1; COMMIT; DELETE FROM accounts WHERE id <= 9; SELECT 1 / 0\"\n-> Query \"DELETE FROM accounts WHERE id BETWEEN 2 AND 11\"", "89"},
		"behind one that was stopped":              {"-> Query \"DELETE FROM accounts WHERE id <= 30\"\n-> Query \"DELETE FROM accounts WHERE id <= 10\"", "90"},
		"a Query behind a batch that is open":      {"-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Query \"COMMIT\"\n-> Sync", "100"},
		"a Query behind one that failed":           {"-> Parse \"\" \"DELETE FROM accounts WHERE id = 1 / 0\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Query \"COMMIT\"\n-> Sync\n-> Query \"DELETE FROM accounts WHERE id <= 10\"", "90"},
	} {
		t.Run(name, func(t *testing.T) {
			db := inventory(t, cluster)
			said := converse(t, r.addr, db, strings.Split(test.lines, "\n"))
			if left := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); left != test.left {
				t.Errorf("%s rows are left\n%s", left, said)
			}
		})
	}
}

// TestApprovalOfAStatementIsForItAlone: what people approve in a transaction block by
// itself is no leave for what the block did before and does behind.
func TestApprovalOfAStatementIsForItAlone(t *testing.T) {
	cluster := pgcluster.Shared(t)
	for _, test := range []struct {
		name, before, approved, behind string
		left                           string
	}{
		{"ten, and ten more", "DELETE FROM accounts WHERE id <= 10", "DELETE FROM log", "DELETE FROM accounts WHERE id BETWEEN 11 AND 20", "100"},
		{"ten by their keys, and one more", "DELETE FROM accounts WHERE id IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)", "DELETE FROM log", "DELETE FROM accounts WHERE id = 11", "100"},
		{"what is within the limit together", "DELETE FROM accounts WHERE id <= 5", "DELETE FROM log", "DELETE FROM accounts WHERE id BETWEEN 6 AND 10", "90"},
		{"approved by itself", "DELETE FROM accounts WHERE id <= 5", "DELETE FROM log; DELETE FROM accounts WHERE id BETWEEN 6 AND 50", "DELETE FROM accounts WHERE id BETWEEN 51 AND 55", "45"},
		{"a DROP, and another in code", "SELECT 1", "DROP TABLE log", "SELECT drop_it()", "100"},
		{"a DROP", "SELECT 1", "DROP TABLE log", "SELECT purge(10)", "90"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := serveWith(t, cluster, tenRows+`  - {id: log, match: {statement: [delete, drop_table], table: [log, "*.log"]}, action: hold, approve: [{group: dba, count: 1}]}
`, nil)
			db := lockedInventory(t, cluster)
			admin := cluster.DSN(db, cluster.Superuser)
			psql(t, cluster, admin, "INSERT INTO log SELECT 'x' FROM generate_series(1, 50); ANALYZE log; DROP MATERIALIZED VIEW kept; DROP TABLE notes")
			c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
			for _, sql := range []string{"BEGIN", test.before} {
				if _, err := c.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			got := executing(t, c, test.approved)
			r.approve(t, r.request(t))
			if a := <-got; a.err != nil {
				t.Fatal(a.err)
			}
			_, behind := c.Exec(t.Context(), test.behind)
			_, err := c.Exec(t.Context(), "COMMIT")
			if left := psql(t, cluster, admin, "SELECT count(*) FROM accounts"); left != test.left {
				t.Errorf("%s are left, want %s: %v, %v", left, test.left, behind, err)
			}
		})
	}
}

// TestGrantEndsWithItsSession: a client that leaves within its transaction has used
// its grant, and the server has rolled back what it was for.
func TestGrantEndsWithItsSession(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, holdDeletes+`  - {id: ten, match: {statement: [delete], rows: "> 10"}, action: hold, approve: [{group: dba, count: 1}]}
`, nil)
	db := inventory(t, cluster)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	if _, err := c.Exec(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	got := executing(t, c, "DELETE FROM accounts")
	q := r.request(t)
	r.approve(t, q)
	if a := <-got; a.err != nil {
		t.Fatal(a.err)
	}
	c.Close(t.Context())
	r.settledAs(t, q.ID, approval.Failed, "the session ended within the transaction")
}

// TestSlowCommit: a commit may take as long as the client lets it.
func TestSlowCommit(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, nil)
	db := measuredInventory(t, cluster)
	psql(t, cluster, cluster.DSN(db, cluster.Superuser), fmt.Sprintf(`
		CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(%f); RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON log DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()`, (askLimit+time.Second).Seconds()))
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	if _, err := c.Exec(t.Context(), "INSERT INTO log VALUES ('slow')"); err != nil {
		t.Error(err)
	}
}

// TestBudgetOfWhatWasDone: statements that name rows by their key and find none take
// nothing from a budget that has no room.
func TestBudgetOfWhatWasDone(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, `
version: 1
rules:
  - {id: flood, match: {budget: {deleted: "> 5", per: 1h, by: [user]}}, action: hold, approve: [{group: dba, count: 1}]}
`, func(c *Config) { c.MaxWait = 0 })
	db := inventory(t, cluster)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	for range 3 {
		tx, err := c.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for id := range 4 {
			if _, err := tx.Exec(t.Context(), fmt.Sprintf("DELETE FROM accounts WHERE id = %d", 1000+id)); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBudgetSpansSessions is the shell loop of the cleanup script: each DELETE in a
// session of its own.
func TestBudgetSpansSessions(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, `
version: 1
rules:
  - id: flood
    title: Many small deletes
    match: {budget: {deleted: "> 20", per: 1h, by: [user, table]}}
    action: hold
    approve: [{group: dba, count: 1}]
`, func(c *Config) { c.MaxWait = 0 })
	db := measuredInventory(t, cluster)
	left := func() string {
		return psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts")
	}
	var refused int
	for account := range 40 {
		if out, err := psqlErr(t, cluster, cluster.DSNAt(r.addr, db, "alice"), fmt.Sprintf("DELETE FROM accounts WHERE id %% 33 = %d", account)); err != nil {
			t.Fatalf("%v\n%s", err, out)
		} else if strings.Contains(out, "rule flood") {
			refused++
		}
	}
	if n := left(); n != "80" && n != "81" && n != "82" {
		t.Errorf("%s rows are left", n)
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
	before := left()
	r.approve(t, r.request(t))
	for account := range 40 {
		psqlErr(t, cluster, cluster.DSNAt(r.addr, db, "alice"), fmt.Sprintf("DELETE FROM accounts WHERE id %% 33 = %d", account))
	}
	if left() == before {
		t.Error("the approval did not lift the budget")
	}
}

// TestBudgetOfStatements counts what is sent, whatever it changes.
func TestBudgetOfStatements(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, `
version: 1
rules:
  - id: often
    title: Many deletes
    match: {statement: [delete], budget: {statements: "> 2", per: 1h, by: [user]}}
    action: hold
    approve: [{group: dba, count: 1}]
`, asServed)
	db := measuredInventory(t, cluster)
	for n := 1; n <= 4; n++ {
		c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
		var err error
		if _, err = c.Exec(t.Context(), "DELETE FROM accounts WHERE id = $1", n); (err == nil) != (n <= 2) {
			t.Errorf("DELETE %d: %v", n, err)
		}
		if n > 2 && !strings.Contains(fmt.Sprint(err), "rule often") {
			t.Errorf("DELETE %d: %v", n, err)
		}
	}
	if n := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); n != "98" {
		t.Errorf("%s rows are left", n)
	}
	r.later(2 * time.Hour)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	if _, err := c.Exec(t.Context(), "DELETE FROM accounts WHERE id = 90"); err != nil {
		t.Errorf("two hours later: %v", err)
	}
}

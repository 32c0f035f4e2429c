package proxy

import (
	"strings"
	"testing"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

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

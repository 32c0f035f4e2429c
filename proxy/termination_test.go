package proxy

import (
	"strings"
	"testing"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// TestCodeThatEndsItsTransaction: what would have worked without the proxy's own
// transaction block around it is told what to do; what the server refuses anyhow is
// told what the server says.
func TestCodeThatEndsItsTransaction(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, asServed)
	const (
		commits   = "DO $$ BEGIN DELETE FROM accounts WHERE id <= 3; COMMIT; END $$"
		rollsBack = "DO $$ BEGIN DELETE FROM accounts WHERE id <= 3; ROLLBACK; END $$"
		ours      = "ErrorResponse 2D000 \"DO not run: its code has a COMMIT or ROLLBACK of its own"
		servers   = "ErrorResponse 2D000 \"invalid transaction termination\""
	)
	extended := func(sql string) string { return "-> Parse \"\" \"" + sql + "\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n" }
	for name, c := range map[string]struct{ lines, want string }{
		"COMMIT":             {"-> Query \"" + commits + "\"", ours},
		"ROLLBACK":           {"-> Query \"" + rollsBack + "\"", ours},
		"a procedure":        {`-> Query "CALL purge_and_commit(3)"`, strings.Replace(ours, "DO not", "CALL not", 1)},
		"extended":           {extended(commits) + "-> Sync\nuntil ReadyForQuery", ours},
		"in a block":         {"-> Query \"BEGIN\"\n-> Query \"" + commits + "\"\n-> Query \"ROLLBACK\"", servers},
		"in a Query of two":  {"-> Query \"SELECT 1; " + commits + "\"", servers},
		"two in a batch":     {extended("DELETE FROM accounts WHERE id = 1") + extended(commits) + "-> Sync\nuntil ReadyForQuery", servers},
		"below a function":   {`-> Query "SELECT calls()"`, servers},
		"a plain error":      {`-> Query "DO $$ BEGIN PERFORM 1 / 0; END $$"`, "ErrorResponse 22012"},
		"an error, extended": {extended("DO $$ BEGIN PERFORM 1 / 0; END $$") + "-> Sync\nuntil ReadyForQuery", "ErrorResponse 22012"},
	} {
		t.Run(name, func(t *testing.T) {
			db := measuredInventory(t, cluster)
			psql(t, cluster, cluster.DSN(db, cluster.Superuser), `CREATE FUNCTION calls() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL purge_and_commit(3); END $$`)
			said := converse(t, r.addr, db, strings.Split(c.lines, "\n"))
			if !strings.Contains(said, c.want) || strings.Count(said, "ErrorResponse") != 1 || !strings.Contains(said, "ReadyForQuery I") {
				t.Errorf("want %s:\n%s", c.want, said)
			}
			if n := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); n != "100" {
				t.Errorf("%s are left", n)
			}
		})
	}
}

// TestApprovedCodeEndsItsTransaction: the hint of that refusal is true.
func TestApprovedCodeEndsItsTransaction(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows+`
  - id: code
    match: {statement: [do, call]}
    action: hold
    approve: [{group: dba, count: 1}]
`, nil)
	db := measuredInventory(t, cluster)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	got := executing(t, c, "CALL purge_and_commit(3)")
	r.approve(t, r.request(t))
	if a := <-got; a.err != nil {
		t.Error(a.err)
	}
	if n := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); n != "97" {
		t.Errorf("%s are left", n)
	}
}

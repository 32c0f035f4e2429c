package proxy

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// The first snapshot of a transaction in REPEATABLE READ is for all of it. A
// question may take it just before a statement that does so itself; LOCK TABLE
// takes none, so that what was committed while it waited is seen.
func TestAQuestionMovesNoSnapshot(t *testing.T) {
	cluster := pgcluster.Shared(t)
	database := inventory(t, cluster)
	r := serveWith(t, cluster, `
version: 1
defaults: {allowed: allow, unparsed: allow, unknown: allow, approve: [{group: dba}]}
rules:
  - {id: lock, match: {statement: [lock_table]}, action: warn}
  - {id: rows, match: {statement: [delete, truncate], where: [missing], empty: false}, action: block}
`, nil)
	through := connectTo(t, cluster.DSNAt(r.addr, database, cluster.Superuser))
	beside := connectTo(t, cluster.DSN(database, cluster.Superuser))
	do := func(c *pgx.Conn, sql string) {
		if _, err := c.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	count := func(want int) {
		t.Helper()
		var n int
		if err := through.QueryRow(t.Context(), "SELECT count(*) FROM accounts").Scan(&n); err != nil || n != want {
			t.Errorf("%d rows, want %d: %v", n, want, err)
		}
	}

	do(through, "BEGIN ISOLATION LEVEL REPEATABLE READ")
	do(through, "LOCK TABLE log IN EXCLUSIVE MODE")
	do(beside, "INSERT INTO accounts VALUES (1001, 'b')")
	count(101)
	do(beside, "INSERT INTO accounts VALUES (1002, 'b')")
	count(101)
	do(through, "COMMIT")

	do(through, "BEGIN ISOLATION LEVEL REPEATABLE READ")
	do(through, "LOCK TABLE log IN EXCLUSIVE MODE; INSERT INTO accounts VALUES (1003, 'b')")
	count(103)
	do(through, "ROLLBACK")

	// That the table is empty is known only if the catalogue is asked.
	do(through, "BEGIN ISOLATION LEVEL SERIALIZABLE")
	do(through, "DELETE FROM log")
	do(through, "COMMIT")
	do(through, "BEGIN")
	do(through, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
	do(through, "DELETE FROM log")
	do(through, "COMMIT")
	do(through, "BEGIN ISOLATION LEVEL SERIALIZABLE")
	do(through, "SAVEPOINT a")
	if _, err := through.Exec(t.Context(), "DELETE FROM accounts"); err == nil {
		t.Error("every row is gone")
	}
	do(through, "ROLLBACK")
}

func TestARuleForARoleIsForTheEffectiveOne(t *testing.T) {
	cluster := pgcluster.Shared(t)
	database := inventory(t, cluster)
	r := serveWith(t, cluster, `
version: 1
defaults: {allowed: allow, unparsed: allow, unknown: allow}
rules:
  - {id: alice, match: {statement: [delete], role: [alice]}, action: block}
`, nil)
	c := connectTo(t, cluster.DSNAt(r.addr, database, cluster.Superuser))
	for _, s := range []struct {
		sql  string
		runs bool
	}{
		{"DELETE FROM log", true},
		{"SET ROLE alice", true},
		{"DELETE FROM log", false},
		{"RESET ROLE", true},
		{"DELETE FROM log", true},
		{"SET SESSION AUTHORIZATION alice", true},
		{"DELETE FROM log", false},
		{"RESET SESSION AUTHORIZATION; SELECT 1", true},
		{"DELETE FROM log; SELECT 1", true},
		{"SET ROLE alice; DELETE FROM log", false}, // what a message sets is not followed
		{"SET ROLE postgres; DELETE FROM log", false},
		{"BEGIN; SET LOCAL ROLE alice", true},
		{"DELETE FROM log", false},
		{"ROLLBACK", true},
		{"DELETE FROM log", true},
	} {
		if _, err := c.Exec(t.Context(), s.sql, pgx.QueryExecModeSimpleProtocol); (err == nil) != s.runs {
			t.Errorf("%s: %v", s.sql, err)
		}
	}
}

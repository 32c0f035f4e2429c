package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/proxy/impact"
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

// A prepared statement is refined once for each answer of the catalogue, and only
// where the values that it is bound with are of no account.
func TestAPreparedStatementIsRefinedOnceForEachAnswer(t *testing.T) {
	s := gateAlone(t)
	kept := func(st *statement) [][]*policy.Facts {
		if again := s.boundAgain([]*statement{st}); again != nil {
			return again.kept.refined
		}
		return nil
	}
	withTrigger, err := impact.DecodeCatalog([]byte(strings.Replace(accountsCatalog, `"keys":`,
		`"triggers": [{"name": "t", "timing": "after", "events": ["update"], "row": true, "function": 7}], "keys":`, 1)))
	if err != nil {
		t.Fatal(err)
	}

	update := s.prepares("u", "UPDATE accounts SET balance = $1 WHERE id = $2")
	first := kept(update)
	if first == nil || first[0][0].Proven() == nil {
		t.Fatal("it is not refined")
	}
	if again := kept(update); again[0][0] != first[0][0] {
		t.Error("it is refined again for the same answer")
	}
	before := s.toServer.catalogs[keyOf("accounts")]
	s.toServer.catalogs[keyOf("accounts")] = keptCatalog{withTrigger.Kept(), time.Now()}
	if kept(update) != nil {
		t.Error("what the trigger is given is not looked at")
	}
	byKey := s.prepares("d", "DELETE FROM accounts WHERE id = $1")
	if now := kept(byKey); now == nil || now[0][0].Proven() == nil {
		t.Error("what gives nothing to a trigger is not kept")
	}
	s.toServer.catalogs[keyOf("accounts")] = keptCatalog{before.catalog, time.Now().Add(-2 * catalogKept)}
	if kept(update) != nil || kept(byKey) != nil {
		t.Error("an old answer is believed")
	}
	s.toServer.catalogs[keyOf("accounts")] = before
	if now := kept(update); now == nil || now[0][0].Proven() == nil {
		t.Error("it is not refined by a new answer")
	}
	for _, text := range []string{
		"UPDATE accounts SET balance = 0 WHERE id = $1 OR $2", "DELETE FROM accounts WHERE $1 = $2", "EXECUTE u", "PREPARE p AS DELETE FROM accounts WHERE id = $1",
		"DELETE FROM elsewhere WHERE id = $1", "SELECT $1",
	} {
		if kept(s.prepares(text, text)) != nil {
			t.Errorf("%s: values are of no account", text)
		}
	}
	if s.boundAgain([]*statement{update, byKey}) != nil {
		t.Error("one of two statements is taken for what runs")
	}
	s.toServer.moveNames()
	if kept(update) != nil {
		t.Error("names have moved, and what they meant is believed")
	}
}

package impact

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

func askLocks(t *testing.T, conn *pgconn.PgConn) *Locks {
	t.Helper()
	result := conn.ExecParams(t.Context(), LocksSQL, nil, nil, nil, nil).Read()
	if result.Err != nil {
		t.Fatal(result.Err)
	}
	l, err := DecodeLocks(result.Rows[0][0])
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A role without privileges learns what it holds and who waits, whatever stands
// before pg_catalog in its search_path, and the question itself locks nothing.
func TestLocksOfATransaction(t *testing.T) {
	clerk := database(t, `
		CREATE TABLE "a ""b" (id int PRIMARY KEY); INSERT INTO "a ""b" VALUES (1), (2); GRANT ALL ON "a ""b" TO clerk;
		CREATE TABLE looked (id int); GRANT ALL ON looked TO clerk;
		CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO clerk;
		CREATE FUNCTION evil.pg_lock_status() RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';
		CREATE FUNCTION evil.no(text, text) RETURNS bool LANGUAGE sql AS 'SELECT false';
		CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.no);
		GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA evil TO clerk`)
	run(t, clerk, `BEGIN; SELECT * FROM looked`)
	if l := askLocks(t, clerk); len(l.Held) != 0 || l.Rows || l.Blocked() != 0 {
		t.Errorf("after a read it holds %s, %v", l, l.Waiters)
	}
	run(t, clerk, `DELETE FROM "a ""b" WHERE id = 1; LOCK TABLE "a ""b" IN SHARE MODE; SET LOCAL search_path = evil, pg_catalog, public`)

	cluster := pgcluster.Shared(t)
	name := string(clerk.ExecParams(t.Context(), "SELECT current_database()", nil, nil, nil, nil).Read().Rows[0][0])
	other := connect(t, cluster.DSN(name, cluster.Superuser))
	waited := make(chan error, 1)
	go func() {
		_, err := other.Exec(t.Context(), `UPDATE "a ""b" SET id = 3 WHERE id = 1`).ReadAll()
		waited <- err
	}()
	l := askLocks(t, clerk)
	for l.Blocked() == 0 {
		l = askLocks(t, clerk)
	}
	if s := l.String(); !strings.HasSuffix(s, `UTC: ShareLock on public.a "b, and the rows that it changed`) {
		t.Errorf("it holds %s", s)
	}
	want := fmt.Sprintf("%s (process %d) since %s for RowExclusiveLock on public.a \"b", cluster.Superuser, other.PID(), clock(l.Waiters[0].Since))
	if got := l.Waiters[0].String(); got != want {
		t.Errorf("who waits is %q, want %q", got, want)
	}
	run(t, clerk, "ROLLBACK")
	if err := <-waited; err != nil {
		t.Error(err)
	}
}

func TestWhoIsNotSeenStillWaits(t *testing.T) {
	answer := `{"pid": 1, "now": 1795291083.5, "since": 1795291080, "xid": true, "held": null, "waiting": [
		{"pid": 7, "all": 3, "login": null, "since": null, "type": "transactionid", "mode": "ShareLock", "blockers": [1], "object": null},
		{"pid": 8, "all": 3, "login": null, "since": null, "type": "advisory", "mode": "ExclusiveLock", "blockers": [7, 2], "object": null},
		{"pid": 9, "all": 3, "login": "erin", "since": null, "type": "advisory", "mode": "ExclusiveLock", "blockers": [2], "object": null}]}`
	l, err := DecodeLocks([]byte(hex.EncodeToString([]byte(answer))))
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Waiters) != 2 || l.Waiters[0].String() != "another session (process 7) for the end of this transaction" ||
		l.Waiters[1].String() != "another session (process 8) for ExclusiveLock on advisory, behind process 7, 2" {
		t.Errorf("who waits: %v", l.Waiters)
	}
	if _, err := DecodeLocks([]byte("7b7d")); err == nil {
		t.Error("an answer that is none was read")
	}
}

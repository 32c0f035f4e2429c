package impact

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// batch sends the statements in the extended protocol, as one implicit
// transaction, and measures it before Sync. It all goes out in one write, with
// FlushSQL and a Sync of its own in front where clean is false.
func batch(t testing.TB, conn *pgconn.PgConn, clean bool, statements ...string) *Measurement {
	t.Helper()
	p := conn.StartPipeline(context.Background())
	if !clean {
		p.SendQueryParams(FlushSQL, nil, nil, nil, nil)
		if err := p.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range append(statements, MeasureSQL) {
		p.SendQueryParams(sql, nil, nil, nil, nil)
	}
	if err := p.Sync(); err != nil {
		t.Fatal(err)
	}
	var last *pgconn.Result
	for {
		next, err := p.GetResults()
		if err != nil {
			t.Fatal(err)
		}
		if next == nil {
			break
		}
		if reader, ok := next.(*pgconn.ResultReader); ok {
			if last = reader.Read(); last.Err != nil {
				t.Fatal(last.Err)
			}
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return decoded(t, last)
}

func delete10(n int) string { return fmt.Sprintf("DELETE FROM orders WHERE id > %d", 600-10*n) }

func TestEachTransactionOfASessionStartsFromZero(t *testing.T) {
	clerk, _ := atOffice(t)
	for n := 1; n <= 4; n++ {
		if got := said(batch(t, clerk, n > 1, delete10(n))); got != "orders -10" {
			t.Errorf("batch %d: %s", n, got)
		}
	}
	for n := 5; n <= 8; n++ {
		run(t, clerk, "BEGIN;"+delete10(n))
		if got := said(measure(t, clerk)); got != "orders -10" {
			t.Errorf("BEGIN %d: %s", n, got)
		}
		run(t, clerk, "COMMIT")
	}
}

// What was not measured is out of the way when FlushSQL goes in front, whether it
// was committed, rolled back or an error.
func TestTransactionsThatWereNotMeasuredDoNotCount(t *testing.T) {
	clerk, _ := atOffice(t)
	for n := 1; n <= 40; n++ {
		switch n % 4 {
		case 0:
			run(t, clerk, "INSERT INTO logs VALUES (1, 'b')")
		case 1:
			run(t, clerk, "BEGIN; DELETE FROM orders; ROLLBACK")
		case 2:
			if _, err := clerk.Exec(context.Background(), "DELETE FROM orders; SELECT 1 / 0").ReadAll(); err == nil {
				t.Fatal("no error")
			}
		case 3:
			run(t, clerk, "DO $$ BEGIN INSERT INTO logs VALUES (1, 'a'); COMMIT; DELETE FROM notes; ROLLBACK; END $$")
		}
		if got := said(batch(t, clerk, false, delete10(n), "INSERT INTO logs VALUES (2, 'c')")); got != "logs +1, orders -10" {
			t.Fatalf("%d: %s", n, got)
		}
	}
}

func TestSessionsCountApart(t *testing.T) {
	clerk, super := atOffice(t)
	database := run1(t, super, "SELECT current_database()")
	var wg sync.WaitGroup
	for s := range 4 {
		conn := connect(t, pgcluster.Shared(t).DSN(database, "clerk"))
		wg.Go(func() {
			for n := range 25 {
				sql := fmt.Sprintf("INSERT INTO logs SELECT 1, 'x' FROM generate_series(1, %d)", s+1)
				if got, want := said(batch(t, conn, n > 0, sql)), fmt.Sprintf("logs +%d", s+1); got != want {
					t.Errorf("session %d: %s, want %s", s, got, want)
				}
			}
		})
	}
	wg.Wait()
	if got := said(batch(t, clerk, false, "DELETE FROM logs_old")); got != "logs_old -20" {
		t.Error(got)
	}
}

func run1(t testing.TB, conn *pgconn.PgConn, sql string) string {
	t.Helper()
	result, err := conn.Exec(context.Background(), sql).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return string(result[0].Rows[0][0])
}

func TestAChainedTransactionIsMeasuredFromItsStart(t *testing.T) {
	clerk, _ := atOffice(t)
	for _, end := range []string{"ROLLBACK AND CHAIN", "COMMIT AND CHAIN"} {
		run(t, clerk, "BEGIN; DELETE FROM orders WHERE id <= 5; INSERT INTO logs VALUES (1, 'x')")
		before := measure(t, clerk)
		run(t, clerk, end)
		run(t, clerk, "DELETE FROM orders WHERE id BETWEEN 6 AND 8")
		m := measure(t, clerk)
		if got := said(m); got != "orders -8" {
			t.Errorf("%s: the server counts %s", end, got)
		}
		if got := said(m.Since(before)); got != "orders -3" {
			t.Errorf("%s: %s", end, got)
		}
		run(t, clerk, "ROLLBACK")
	}
}

func TestSinceIsNeverTooLittle(t *testing.T) {
	clerk, _ := atOffice(t)
	for _, c := range []struct{ first, then, want string }{
		{"DELETE FROM notes WHERE id < 3", "UPDATE notes SET id = id WHERE id < 5", "notes ~2"},
		{"DELETE FROM notes WHERE id < 3", "SELECT 1", ""},
		{"DELETE FROM notes WHERE id < 3", "TRUNCATE tags", "tags !"},
		{"DELETE FROM tags WHERE id < 9", "TRUNCATE tags", "tags !"},
		{"INSERT INTO tags VALUES (500, 1)", "TRUNCATE tags; INSERT INTO tags VALUES (1, 1), (2, 2)", "tags +2 !"},
		{"SAVEPOINT s; TRUNCATE tags; INSERT INTO tags VALUES (1, 1), (2, 1)", "ROLLBACK TO s; INSERT INTO tags VALUES (501, 1)", "tags +1"},
		{"TRUNCATE tags; INSERT INTO tags VALUES (1, 1), (2, 1)", "TRUNCATE tags; INSERT INTO tags VALUES (1, 1), (2, 1), (3, 1)", "tags +3 !"},
	} {
		run(t, clerk, "BEGIN;"+c.first)
		before := measure(t, clerk)
		run(t, clerk, c.then)
		if got := said(measure(t, clerk).Since(before)); got != c.want {
			t.Errorf("%s, then %s: got %s, want %s", c.first, c.then, got, c.want)
		}
		run(t, clerk, "ROLLBACK")
	}
}

// What waits for COMMIT is not counted before: the measurement says that there
// may be something, and SettleSQL makes it run.
func TestWhatWaitsForCommitIsKnown(t *testing.T) {
	clerk, super := atOffice(t)
	run(t, clerk, "BEGIN; INSERT INTO late VALUES (1), (2), (3)")
	if m := measure(t, clerk); said(m) != "late +3" || !m.Deferred {
		t.Errorf("before: %s, %v", said(m), m.Deferred)
	}
	run(t, clerk, SettleSQL)
	if got := said(measure(t, clerk)); got != "history +3, late +3" {
		t.Errorf("settled: %s", got)
	}
	run(t, clerk, "COMMIT")
	if got := said(batch(t, clerk, true, "INSERT INTO late VALUES (4)", SettleSQL)); got != "history +1, late +1" {
		t.Errorf("before Sync: %s", got)
	}
	if got := run1(t, super, "SELECT count(*) FROM history WHERE what = 'INSERT'"); got != "4" {
		t.Errorf("%s rows", got)
	}
	// A foreign key that is checked at COMMIT writes nothing.
	run(t, super, "CREATE TABLE child (id int REFERENCES notes DEFERRABLE INITIALLY DEFERRED); GRANT ALL ON child TO clerk")
	run(t, clerk, "BEGIN; INSERT INTO child VALUES (-1)")
	if m := measure(t, clerk); said(m) != "child +1" || m.Deferred {
		t.Errorf("foreign key: %s, %v", said(m), m.Deferred)
	}
	_, settling := clerk.Exec(context.Background(), SettleSQL).ReadAll()
	run(t, clerk, "ROLLBACK; BEGIN; INSERT INTO child VALUES (-1)")
	if _, committing := clerk.Exec(context.Background(), "COMMIT").ReadAll(); settling == nil || committing == nil || settling.Error() != committing.Error() {
		t.Errorf("SettleSQL: %v, COMMIT: %v", settling, committing)
	}
	// On a partition the trigger is a copy of its own.
	run(t, super, "CREATE CONSTRAINT TRIGGER e_late AFTER DELETE ON events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tell()")
	if m := batch(t, clerk, false, "DELETE FROM events_1 WHERE at = 1"); !m.Deferred {
		t.Errorf("partition: %s", said(m))
	}
}

// A cursor WITH HOLD is run to its end at COMMIT.
func TestCursorsThatOutliveTheTransactionAreToldOf(t *testing.T) {
	clerk, super := atOffice(t)
	const declare = "DECLARE c CURSOR WITH HOLD FOR SELECT wipe(500)"
	m := batch(t, clerk, false, declare)
	if said(m) != "cursor that runs on at COMMIT c" || m.Unmeasured[0].Statement != declare {
		t.Errorf("%+v", m)
	}
	if got := run1(t, super, "SELECT count(*) FROM orders"); got != "500" {
		t.Errorf("%s orders: they should have been deleted after the measurement", got)
	}
	if got := said(batch(t, clerk, false, "DELETE FROM orders WHERE id = 1")); got != "orders -1" {
		t.Errorf("the next transaction: %s", got)
	}
}

func TestWhatTheServerDoesNotCountIsSaid(t *testing.T) {
	_, super := atOffice(t)
	run(t, super, "BEGIN; SET track_counts = off; DELETE FROM notes")
	if m := measure(t, super); said(m) != "track_counts is off" || m.TrackCounts || !m.XID {
		t.Errorf("%+v", m)
	}
	run(t, super, "ROLLBACK; SET track_counts = on; CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler; CREATE TABLE other (id int) USING heap2")
	if got := said(batch(t, super, false, "INSERT INTO other VALUES (1)")); got != "other +1, table of another access method public.other" {
		t.Error(got)
	}
	run(t, super, fmt.Sprintf(`CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%d', dbname '%s');
		CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user 'clerk', password_required 'false');
		CREATE FOREIGN TABLE far_notes (id int, account_id int) SERVER far OPTIONS (table_name 'notes', schema_name 'public')`,
		pgcluster.Shared(t).Dir, pgcluster.Shared(t).Port, run1(t, super, "SELECT current_database()")))
	if m := batch(t, super, false, "DELETE FROM far_notes WHERE id = 1"); said(m) != "foreign table public.far_notes" {
		t.Errorf("%+v", m)
	}
	if got := said(batch(t, super, true, "SELECT * FROM far_notes")); got != "" {
		t.Error(got)
	}
	run(t, super, "BEGIN; SELECT lo_unlink(777001)")
	if got := said(measure(t, super)); got != "pg_catalog.pg_largeobject -1, pg_catalog.pg_largeobject_metadata -1" {
		t.Error(got)
	}
	run(t, super, "ROLLBACK; BEGIN; SELECT setval('numbers', 5)")
	if m := measure(t, super); len(m.Sequences) != 1 || m.Sequences[0].String() != "public.numbers" {
		t.Errorf("%+v", m)
	}
	run(t, super, "ROLLBACK")
}

// These are the limits: who can do that without being seen could do without
// pgsluice. The statement gate knows the names.
func TestWhatCannotBeSeen(t *testing.T) {
	clerk, super := atOffice(t)
	run(t, super, `CREATE EXTENSION dblink; CREATE FUNCTION unseen() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET track_counts = off AS
		$$ BEGIN DELETE FROM orders WHERE id > 590; END $$`)
	if m := batch(t, clerk, false, "SELECT unseen()"); said(m) != "" || !m.TrackCounts || !m.XID {
		t.Errorf("a function that turns the counters off: %+v", m)
	}
	m := batch(t, super, false, fmt.Sprintf("SELECT dblink_exec('host=%s port=%d user=clerk dbname=' || current_database(), 'DELETE FROM orders WHERE id < 11')",
		pgcluster.Shared(t).Dir, pgcluster.Shared(t).Port))
	if said(m) != "" || m.XID {
		t.Errorf("dblink: %+v", m)
	}
	if got := run1(t, super, "SELECT count(*) FROM orders"); got != "580" {
		t.Errorf("%s orders", got)
	}
}

// A statement that is kept prepared can be replaced by SQL, by its name.
func TestAPreparedMeasurementCanBeReplaced(t *testing.T) {
	clerk, _ := atOffice(t)
	if _, err := clerk.Prepare(context.Background(), "ours", MeasureSQL, nil); err != nil {
		t.Fatal(err)
	}
	run(t, clerk, "BEGIN; DELETE FROM orders; DO $$ BEGIN EXECUTE 'DEALLOCATE ours'; EXECUTE 'PREPARE ours AS SELECT ''nothing'''; END $$")
	if result := clerk.ExecPrepared(context.Background(), "ours", nil, nil, nil).Read(); result.Err != nil || string(result.Rows[0][0]) != "nothing" {
		t.Errorf("%q, %v", result.Rows, result.Err)
	}
	if got := said(measure(t, clerk)); !strings.Contains(got, "orders -600") {
		t.Errorf("parsed anew: %s", got)
	}
}

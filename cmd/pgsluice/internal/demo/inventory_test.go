package demo

import (
	"context"
	"testing"
	"time"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

func TestMain(m *testing.M) { pgcluster.Main(m) }

func TestSharesAddUpToAThousand(t *testing.T) {
	sum := 0
	for _, table := range tables {
		sum += table.share
	}
	if sum != 1000 {
		t.Errorf("the tables share out %d thousandths of the rows", sum)
	}
	if n := len(byAccount()); n != 14 {
		t.Errorf("%d tables carry account_id; the incident had 14", n)
	}
}

// loaded is a database with the demo's rows in the package's cluster.
func TestLoadedDatabaseCascadesAndNoticesALostRow(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := pgcluster.Shared(t)
	last := 0
	if err := load(ctx, c, 5000, func(done int) {
		if done <= last {
			t.Errorf("progress went from %d to %d", last, done)
		}
		last = done
	}); err != nil {
		t.Fatal(err)
	}
	db, err := connect(ctx, c.DSN(database, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	rows, err := rowCount(ctx, db)
	if err != nil || rows != last {
		t.Fatalf("%d rows, %v; progress said %d", rows, err, last)
	}
	before, err := contents(ctx, db)
	if err != nil {
		t.Fatal(err)
	}

	if err := execute(ctx, db, "BEGIN; UPDATE orders SET is_deleted = true WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	after, err := contents(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	if got := changed(before, after); len(got) != 1 || got[0] != "orders" {
		t.Errorf("one changed order shows as changes in %v", got)
	}

	if err := execute(ctx, db, "ROLLBACK; BEGIN; DELETE FROM accounts WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	after, err = contents(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	if got := changed(before, after); len(got) < 10 {
		t.Errorf("a deleted account changes only %v", got)
	}
	if err := execute(ctx, db, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	after, err = contents(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	if got := changed(before, after); got != nil {
		t.Errorf("after the rollback %v differ", got)
	}
}

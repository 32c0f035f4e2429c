package impact

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// BenchmarkMeasurement measures a transaction that changed one row, in databases
// with few and with 20,000 tables, and beside a session that holds 1,000 locks.
func BenchmarkMeasurement(b *testing.B) {
	cluster := pgcluster.Shared(b)
	for _, tables := range []int{1, 20000} {
		name := cluster.NewDatabase(b)
		super := connect(b, cluster.DSN(name, cluster.Superuser))
		for from := 1; from <= tables; from += 1000 { // each takes a lock until it commits
			run(b, super, fmt.Sprintf("DO $$ BEGIN FOR i IN %d..%d LOOP EXECUTE 'CREATE TABLE t' || i || ' (id int PRIMARY KEY, n int)'; END LOOP; END $$",
				from, min(from+999, tables)))
		}
		for _, sql := range []string{"INSERT INTO t1 VALUES (1, 1)", "VACUUM ANALYZE pg_class", "VACUUM ANALYZE pg_attribute"} {
			run(b, super, sql)
		}
		each := func(name string, measure func(*pgconn.PgConn) *pgconn.Result) {
			b.Run(fmt.Sprintf("tables=%d/%s", tables, name), func(b *testing.B) {
				run(b, super, "BEGIN; UPDATE t1 SET n = n + 1")
				before := onCPU(b, super)
				for b.Loop() {
					if result := measure(super); result.Err != nil {
						b.Fatal(result.Err)
					}
				}
				b.ReportMetric(float64(onCPU(b, super)-before)/float64(b.N)/1000, "server-µs/op")
				run(b, super, "ROLLBACK")
			})
		}
		if _, err := super.Prepare(context.Background(), "measure", MeasureSQL, nil); err != nil {
			b.Fatal(err)
		}
		anew := func(conn *pgconn.PgConn) *pgconn.Result {
			return conn.ExecParams(context.Background(), MeasureSQL, nil, nil, nil, nil).Read()
		}
		prepared := func(conn *pgconn.PgConn) *pgconn.Result {
			return conn.ExecPrepared(context.Background(), "measure", nil, nil, nil).Read()
		}
		each("nothing", func(conn *pgconn.PgConn) *pgconn.Result {
			return conn.ExecParams(context.Background(), "SELECT 1", nil, nil, nil, nil).Read()
		})
		each("anew", anew)
		each("prepared", prepared)
		if tables > 1 {
			other := connect(b, cluster.DSN(name, cluster.Superuser))
			run(b, other, "BEGIN; DO $$ BEGIN FOR i IN 2..1001 LOOP EXECUTE 'LOCK t' || i; END LOOP; END $$")
			each("anew beside 1000 locks", anew)
		}
	}
}

// onCPU is how many nanoseconds the session's server process has run.
func onCPU(b *testing.B, conn *pgconn.PgConn) (ns int64) {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", conn.PID()))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := fmt.Sscan(string(stat), &ns); err != nil {
		b.Fatal(err)
	}
	return ns
}

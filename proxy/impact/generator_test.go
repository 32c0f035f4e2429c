package impact

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

var (
	transactions = flag.Int("transactions", 120, "how many random transactions to measure")
	seed         = flag.Uint64("seed", rand.Uint64(), "what they are made from")
)

// perWorld is how many transactions share one random schema.
const perWorld = 60

// world is a random schema, and the sessions in it.
type world struct {
	*rand.Rand
	conn, super *pgconn.PgConn
	tables      int
	clean       bool
	undoes      bool // a trigger rolls a subtransaction back
	log         []string
}

// row is the identity of a row: its table, partition by partition, and a number
// that is drawn once and never changed.
type row struct{ table, id string }

// TestRandomTransactionsAreMeasured holds random transactions in random schemas
// against two other ways to know what they did: a comparison of all rows before
// and after each statement, and triggers that count what was tried.
func TestRandomTransactionsAreMeasured(t *testing.T) {
	t.Logf("-seed %d", *seed)
	var equal, statements int
	for done := 0; done < *transactions; {
		w := newWorld(t, rand.New(rand.NewPCG(*seed, uint64(done))))
		for i := 0; i < perWorld && done < *transactions; i++ {
			w.log = nil
			same, n := w.transaction(t)
			statements += n
			if same {
				equal++
			}
			if t.Failed() {
				t.Fatalf("transaction %d of -seed %d:\n%s", done, *seed, strings.Join(w.log, ";\n"))
			}
			done++
		}
		w.conn.Close(context.Background())
		w.super.Close(context.Background())
	}
	t.Logf("%d transactions of %d statements; in %d the rows compared are the rows measured", *transactions, statements, equal)
}

func newWorld(t *testing.T, r *rand.Rand) *world {
	cluster := pgcluster.Shared(t)
	name := cluster.NewDatabase(t)
	w := &world{Rand: r, super: connect(t, cluster.DSN(name, cluster.Superuser)), tables: 8}
	var b strings.Builder
	b.WriteString("DO $$ BEGIN CREATE ROLE clerk LOGIN; EXCEPTION WHEN duplicate_object THEN END $$; CREATE SEQUENCE keys; CREATE SEQUENCE ids START 1000;")
	partitioned := map[int]bool{}
	for i := range w.tables {
		reference := ""
		if i > 0 && w.IntN(4) > 0 {
			reference = fmt.Sprintf(" REFERENCES t%d ON DELETE %s ON UPDATE CASCADE", w.IntN(i), w.one("CASCADE", "CASCADE", "SET NULL", "NO ACTION"))
		}
		by := ""
		if partitioned[i] = w.IntN(4) == 0; partitioned[i] {
			by = " PARTITION BY HASH (id)"
		}
		fmt.Fprintf(&b, "CREATE TABLE t%d (u int NOT NULL DEFAULT nextval('keys'), id int PRIMARY KEY DEFAULT nextval('ids'), a int NOT NULL DEFAULT 0, r int%s)%s;", i, reference, by)
		for p := 0; partitioned[i] && p < 3; p++ {
			fmt.Fprintf(&b, "CREATE TABLE t%d_%d PARTITION OF t%[1]d FOR VALUES WITH (MODULUS 3, REMAINDER %[2]d);", i, p)
		}
		fmt.Fprintf(&b, "INSERT INTO t%d (id, r) SELECT i, i FROM generate_series(1, 40) i;", i)
	}
	for i := range w.tables - 1 {
		if w.IntN(2) == 0 {
			other := i + 1 + w.IntN(w.tables-i-1)
			body := w.one(
				fmt.Sprintf("UPDATE t%d SET a = a + 1 WHERE id %% 7 = 3", other),
				fmt.Sprintf("INSERT INTO t%d DEFAULT VALUES", other),
				fmt.Sprintf("DELETE FROM t%d WHERE id %% 11 = 5", other),
				fmt.Sprintf("BEGIN INSERT INTO t%d DEFAULT VALUES; RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END", other))
			w.undoes = w.undoes || strings.HasPrefix(body, "BEGIN")
			fmt.Fprintf(&b, `CREATE FUNCTION act%d() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %s; RETURN NULL; END $$;
				CREATE TRIGGER act AFTER %s ON t%[1]d FOR EACH %[4]s EXECUTE FUNCTION act%[1]d();`,
				i, body, w.one("INSERT", "UPDATE", "DELETE"), w.one("ROW", "STATEMENT"))
		}
	}
	b.WriteString(shadow + "GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO clerk")
	run(t, w.super, b.String())
	w.conn = connect(t, cluster.DSN(name, "clerk"))
	w.log = nil
	return w
}

func (w *world) one(choices ...string) string { return choices[w.IntN(len(choices))] }

// statement is a random one that may change rows.
func (w *world) statement() string {
	table := fmt.Sprintf("t%d", w.IntN(w.tables))
	some := fmt.Sprintf("id %% %d = %d", 2+w.IntN(12), w.IntN(3))
	switch w.IntN(14) {
	case 0, 1, 2:
		return "DELETE FROM " + table + " WHERE " + some
	case 3:
		return "DELETE FROM " + table
	case 4:
		return "UPDATE " + table + " SET a = a + 1 WHERE " + some
	case 5:
		return "UPDATE " + table + " SET a = a" // changes nothing
	case 6:
		return "UPDATE " + table + " SET id = nextval('ids') WHERE " + some // cascades, moves between partitions
	case 7, 8:
		return fmt.Sprintf("INSERT INTO %s (a) SELECT i FROM generate_series(1, %d) i", table, 1+w.IntN(20))
	case 9:
		return fmt.Sprintf("INSERT INTO %s (id) SELECT i FROM generate_series(%d, 45) i ON CONFLICT (id) DO %s", table, 30+w.IntN(9),
			w.one("NOTHING", "UPDATE SET a = 7"))
	case 10:
		return fmt.Sprintf(`MERGE INTO %s t USING (SELECT i FROM generate_series(20, 50) i) s ON t.id = s.i
			WHEN MATCHED AND t.id %% 3 = 0 THEN DELETE WHEN MATCHED AND t.id %% 3 = 1 THEN UPDATE SET a = 1 WHEN NOT MATCHED THEN INSERT (id) VALUES (s.i)`, table)
	case 11:
		return fmt.Sprintf("WITH d AS (DELETE FROM %s WHERE %s RETURNING a) INSERT INTO t%d (a) SELECT a FROM d", table, some, w.IntN(w.tables))
	case 12:
		return fmt.Sprintf("DO $$ BEGIN DELETE FROM %s WHERE %s; %s EXCEPTION WHEN division_by_zero THEN NULL; END $$", table, some,
			w.one("", "RAISE division_by_zero;"))
	default:
		if w.IntN(3) > 0 {
			return "SELECT count(*) FROM " + table
		}
		return "TRUNCATE " + table + " CASCADE"
	}
}

// transaction runs one and judges its measurement. It says whether the rows that
// were compared are exactly those that were measured.
func (w *world) transaction(t *testing.T) (same bool, statements int) {
	if w.IntN(3) == 0 { // not measured
		w.try("ALTER TABLE nowhere ADD a int")
		w.try(w.statement())
		w.clean = false
	}
	if !w.clean {
		w.try(FlushSQL)
	}
	tried, really := w.tallies(t), map[string]*[3]int64{}
	w.try("BEGIN")
	now := w.rows(t)
	undone := w.undoes // a subtransaction
	failed := false    // its triggers did not run to their end
	statements = 1 + w.IntN(8)
	for range statements {
		sql := w.statement()
		undone = undone || strings.HasPrefix(sql, "DO")
		w.try("SAVEPOINT s")
		ok := w.try(sql)
		failed = failed || !ok
		if !ok || w.IntN(5) == 0 {
			undone = true
			w.try("ROLLBACK TO s")
		} else if w.IntN(2) == 0 {
			w.try("RELEASE s")
		}
		before := now
		now = w.rows(t)
		compare(before, now, really)
	}
	m := measure(t, w.conn)
	w.log = append(w.log, "-- "+said(m))
	w.judge(t, m, tried, w.tallies(t), really, undone, failed)
	same = w.exact(m, really)
	if w.IntN(2) == 0 {
		w.try("COMMIT")
	} else {
		w.try("ROLLBACK")
	}
	w.clean = true
	return same, statements
}

// judge is the promise.
func (w *world) judge(t *testing.T, m *Measurement, before, after map[string]int64, really map[string]*[3]int64, undone, failed bool) {
	if !m.TrackCounts || len(m.Unmeasured) > 0 {
		t.Errorf("unmeasured: %v", m.Unmeasured)
	}
	listed := map[string]Table{}
	for _, table := range m.Tables {
		listed[strconv.Itoa(int(table.OID))] = table
	}
	watched := map[string]bool{}
	for key := range after {
		watched[key[len("INSERT"):]] = true // UPDATE and DELETE are as long
	}
	for oid := range watched {
		table, there := listed[oid]
		for i, op := range []string{"INSERT", "UPDATE", "DELETE"} {
			measured := [3]int64{table.Inserted, table.Updated, table.Deleted}[i]
			tried, lasted := after[op+oid]-before[op+oid], int64(0)
			if c := really[oid]; c != nil {
				lasted = c[i]
			}
			switch {
			case table.Exclusive:
			case measured < lasted:
				t.Errorf("%s %s: measured %d, really %d", table.Name, op, measured, lasted)
			case there && (measured < tried || measured > tried && !failed):
				t.Errorf("%s %s: measured %d, tried %d", table.Name, op, measured, tried)
			case !there && !undone && tried != 0:
				t.Errorf("%s %s: not listed, tried %d", oid, op, tried)
			}
		}
	}
}

func (w *world) exact(m *Measurement, really map[string]*[3]int64) bool {
	for _, table := range m.Tables {
		c := really[strconv.Itoa(int(table.OID))]
		if c == nil {
			c = new([3]int64)
		}
		if table.Kind == "r" && *c != [3]int64{table.Inserted, table.Updated, table.Deleted} {
			return false
		}
	}
	return true
}

// try runs a statement and says whether it succeeded.
func (w *world) try(sql string) bool {
	w.log = append(w.log, sql)
	_, err := w.conn.Exec(context.Background(), sql).ReadAll()
	return err == nil
}

func (w *world) tallies(t *testing.T) map[string]int64 {
	t.Helper()
	return tallied(t, w.super)
}

// rows are all rows as the transaction sees them, each with its version.
func (w *world) rows(t *testing.T) map[row]string {
	t.Helper()
	var each []string
	for i := range w.tables {
		each = append(each, fmt.Sprintf("SELECT tableoid, u, ctid FROM t%d", i))
	}
	results, err := w.conn.Exec(context.Background(), strings.Join(each, " UNION ALL ")).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	rows := map[row]string{}
	for _, r := range results[0].Rows {
		rows[row{string(r[0]), string(r[1])}] = string(r[2])
	}
	return rows
}

// compare adds what became of the rows of each table.
func compare(before, after map[row]string, sum map[string]*[3]int64) {
	count := func(table string, op int) {
		if sum[table] == nil {
			sum[table] = new([3]int64)
		}
		sum[table][op]++
	}
	for r, version := range after {
		if old, ok := before[r]; !ok {
			count(r.table, 0)
		} else if old != version {
			count(r.table, 1)
		}
	}
	for r := range before {
		if _, ok := after[r]; !ok {
			count(r.table, 2)
		}
	}
}

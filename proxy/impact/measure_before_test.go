package impact

import (
	"encoding/json"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestWhoMadeATable: a table is new where this transaction made it, in a
// subtransaction that is over too, and whatever others have done meanwhile; and not
// where another one did after this one had begun.
func TestWhoMadeATable(t *testing.T) {
	clerk, super := atOffice(t)
	run(t, clerk, "BEGIN; SAVEPOINT s; CREATE TABLE own.first (id int); RELEASE s")
	run(t, super, "CREATE TABLE theirs (id int); ALTER TABLE theirs OWNER TO clerk")
	run(t, clerk, "LOCK theirs; DO $$ BEGIN CREATE TABLE own.second (id int); EXCEPTION WHEN others THEN NULL; END $$")
	if got, want := said(measure(t, clerk)), "own.first !*, own.second !*, theirs !"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	run(t, clerk, "ROLLBACK; SELECT pg_stat_force_next_flush()")
}

// TestHowLargeATableWas: ANALYZE is stale once much was deleted, and the statistics
// are of no use where they have begun anew since.
func TestHowLargeATableWas(t *testing.T) {
	_, super := atOffice(t)
	for _, c := range []struct {
		name, before string
		rows         float64
	}{
		{"analyzed", "", 60_000},
		{"analyzed, and grown since", "INSERT INTO sized SELECT generate_series(1, 500)", 60_000},
		{"analyzed, and most of it deleted since", "DELETE FROM sized WHERE id > 500", 500},
		{"the statistics lost", "SELECT pg_stat_reset_single_table_counters('sized'::regclass)", 60_000},
		{"and some rows since", "SELECT pg_stat_reset_single_table_counters('sized'::regclass); INSERT INTO sized SELECT generate_series(1, 500)", 60_000},
	} {
		run(t, super, "CREATE TABLE sized (id int); INSERT INTO sized SELECT generate_series(1, 60000)")
		run(t, super, FlushSQL)
		run(t, super, "ANALYZE sized")
		run(t, super, FlushSQL)
		run(t, super, "BEGIN; "+c.before+"; COMMIT")
		run(t, super, FlushSQL)
		run(t, super, "BEGIN; UPDATE sized SET id = 0 WHERE id = 9")
		m := measure(t, super)
		if len(m.Tables) != 1 || m.Tables[0].Rows != c.rows {
			t.Errorf("%s: %+v, want %v rows", c.name, m.Tables, c.rows)
		}
		if rows := estimatedSize(t, super, "sized"); rows != c.rows {
			t.Errorf("%s: %v rows for an estimate, want %v", c.name, rows, c.rows)
		}
		run(t, super, "ROLLBACK; DROP TABLE sized")
		run(t, super, FlushSQL)
	}
}

// estimatedSize is how large a table is for an estimate.
func estimatedSize(t *testing.T, conn *pgconn.PgConn, table string) float64 {
	t.Helper()
	r := conn.ExecParams(t.Context(), SizesSQL, [][]byte{[]byte(`{""}`), []byte("{" + table + "}")}, nil, nil, nil).Read()
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	var all []tableSize
	if err := json.Unmarshal(r.Rows[0][0], &all); err != nil || len(all) != 1 {
		t.Fatalf("%s: %v", r.Rows[0][0], err)
	}
	return all[0].Rows
}

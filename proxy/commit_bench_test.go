package proxy

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// numbersPolicy has rules of numbers, as the standard policy does.
const numbersPolicy = `
version: 1
rules:
  - {id: many, match: {statement: [write], rows: "> 1000"}, action: hold, approve: [{group: dba, count: 1}]}
  - {id: share, match: {statement: [write], rows: ">= 50", share: "> 1%"}, action: hold, approve: [{group: dba, count: 1}]}
`

// BenchmarkCommitGate is what the gates add to a change of one row: by its key, which
// the catalogue proves to be one, and by what proves nothing, so that it is measured.
// `make bench` measures the same with pgbench and the built-in policy.
func BenchmarkCommitGate(b *testing.B) {
	cluster := pgcluster.Shared(b)
	r := serveWith(b, cluster, numbersPolicy, nil)
	db := inventory(b, cluster)
	for _, what := range []struct{ name, where string }{
		{"by key", "id = "},
		{"measured", "id >= 1 AND id < 2 AND name <> 'nobody' AND 0 < "},
	} {
		update := "UPDATE accounts SET name = 'x' WHERE " + what.where
		for _, way := range []struct{ name, addr string }{{"direct", cluster.Addr()}, {"through", r.addr}} {
			c, err := pgconn.Connect(b.Context(), cluster.DSNAt(way.addr, db, "alice"))
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close(context.Background())
			b.Run(what.name+"/simple/"+way.name, func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					if _, err := c.Exec(b.Context(), fmt.Sprint(update, i%100+1)).ReadAll(); err != nil {
						b.Fatal(err)
					}
				}
			})
			if _, err := c.Prepare(b.Context(), "u", update+"$1::int", nil); err != nil {
				b.Fatal(err)
			}
			b.Run(what.name+"/prepared/"+way.name, func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					value := strconv.AppendInt(nil, int64(i%100+1), 10)
					if _, err := c.ExecPrepared(b.Context(), "u", [][]byte{value}, nil, nil).Close(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

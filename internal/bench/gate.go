package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// changes are what the commit gate is measured with, one client each. The first
// three are known from the catalogue to change at most one row each and are not
// measured; the last two are.
var changes = []struct{ name, script string }{
	{"UPDATE by primary key", "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :a;\n"},
	{"INSERT of a row", "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, :a, 1, CURRENT_TIMESTAMP);\n"},
	{"block of ten UPDATEs", "BEGIN;\n" + strings.Repeat("UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :a;\n", 10) + "COMMIT;\n"},
	{"UPDATE of a range, measured", "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid BETWEEN :a AND :a + 1;\n"},
	{"block of ten, measured", "BEGIN;\n" + strings.Repeat("UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid BETWEEN :a AND :a + 1;\n", 10) + "COMMIT;\n"},
}

// gate measures what the two gates add to transactions that write, under the
// built-in policy.
func gate(ctx context.Context, c *pgcluster.Cluster, o options, direct, sluice target) error {
	type key struct {
		change int
		mode   string
		target string
	}
	runs := map[key][]float64{}
	started := time.Now()
	for repetition := range o.repetitions {
		for i, change := range changes {
			path := filepath.Join(c.Dir, fmt.Sprintf("change%d.sql", i))
			script := fmt.Sprintf("\\set a random(1, %d)\n%s", o.scale*100_000-1, change.script)
			if err := os.WriteFile(path, []byte(script), 0o644); err != nil {
				return fmt.Errorf("write a script: %w", err)
			}
			for _, mode := range []string{"simple", "prepared"} {
				targets := []target{direct, sluice}
				for j := range targets {
					t := targets[(j+repetition)%2]
					out, err := pgbench(ctx, c, t, kind{1, mode}, o.seconds, "-f", path)
					if err != nil {
						return err
					}
					ms, err := reported(out, "latency average = %f ms")
					if err != nil {
						return err
					}
					k := key{i, mode, t.name}
					runs[k] = append(runs[k], ms)
				}
			}
		}
		fmt.Fprintf(os.Stderr, "writes: repetition %d of %d done after %s\n", repetition+1, o.repetitions, time.Since(started).Round(time.Second))
	}
	fmt.Printf("\none client, milliseconds for a transaction that writes, fsync on\n%-28s %-9s %9s %9s %6s\n", "", "mode", "direct", "pgsluice", "by")
	for i, change := range changes {
		for _, mode := range []string{"simple", "prepared"} {
			d, s := median(runs[key{i, mode, direct.name}]), median(runs[key{i, mode, sluice.name}])
			fmt.Printf("%-28s %-9s %9.2f %9.2f %6.2f\n", change.name, mode, d, s, s/d)
		}
	}
	return nil
}

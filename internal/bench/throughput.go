package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// kind is one row of the table.
type kind struct {
	clients int
	mode    string
}

var modes = []string{"simple", "extended", "prepared"}

// throughput runs pgbench -S, reads of one row, against every target in turns.
func throughput(ctx context.Context, c *pgcluster.Cluster, o options, targets []target) error {
	var kinds []kind
	for _, clients := range []int{1, 8} {
		for _, mode := range modes {
			kinds = append(kinds, kind{clients, mode})
		}
	}
	runs := map[kind]map[string][]float64{}
	for _, k := range kinds {
		runs[k] = map[string][]float64{}
	}
	started := time.Now()
	for repetition := range o.repetitions {
		for _, k := range kinds {
			for i := range targets {
				t := targets[(i+repetition)%len(targets)] // nobody is always first
				out, err := pgbench(ctx, c, t, k, o.seconds, "-S")
				if err != nil {
					return err
				}
				tps, err := reported(out, "tps = %f")
				if err != nil {
					return err
				}
				runs[k][t.name] = append(runs[k][t.name], tps)
			}
		}
		fmt.Fprintf(os.Stderr, "reads: repetition %d of %d done after %s\n", repetition+1, o.repetitions, time.Since(started).Round(time.Second))
	}

	fmt.Printf("\npgbench -S, transactions/s\n%7s  %-9s", "clients", "mode")
	for _, t := range targets {
		fmt.Printf(" %9s", t.name)
	}
	fmt.Printf("  %s\n", "pgsluice of relay, of pgbouncer")
	for _, k := range kinds {
		fmt.Printf("%7d  %-9s", k.clients, k.mode)
		for _, t := range targets {
			fmt.Printf(" %9.0f", median(runs[k][t.name]))
		}
		s := median(runs[k]["pgsluice"])
		fmt.Printf("  %17.2f  %12.2f\n", s/median(runs[k]["relay"]), s/median(runs[k]["pgbouncer"]))
	}

	fmt.Printf("\none client, microseconds added to a round trip\n%-9s", "mode")
	for _, t := range targets[1:] {
		fmt.Printf(" %9s", t.name)
	}
	fmt.Printf("  %s\n", "pgsluice by pgbouncer")
	for _, mode := range modes {
		k := kind{1, mode}
		direct := median(runs[k]["direct"])
		added := func(name string) float64 { return 1e6/median(runs[k][name]) - 1e6/direct }
		fmt.Printf("%-9s", mode)
		for _, t := range targets[1:] {
			fmt.Printf(" %9.0f", added(t.name))
		}
		fmt.Printf("  %21.2f\n", added("pgsluice")/added("pgbouncer"))
	}
	return nil
}

// reported reads a figure from pgbench's report.
func reported(report, format string) (float64, error) {
	for line := range strings.Lines(report) {
		var n float64
		if _, err := fmt.Sscanf(line, format, &n); err == nil {
			return n, nil
		}
	}
	return 0, errors.New("pgbench did not report " + format)
}

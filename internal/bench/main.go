// Command bench measures what pgsluice costs: pgbench -S against the server
// itself, through PgBouncer and through pgsluice with its built-in policy, and
// the memory of idle sessions. `make bench` runs it.
//
// The three are measured in turns, so that a machine that grows slower is slow
// for all of them, and medians are compared.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

func main() {
	var o options
	flag.StringVar(&o.pgsluice, "pgsluice", "bin/pgsluice", "the `program` to measure")
	flag.IntVar(&o.scale, "scale", 10, "pgbench's scale")
	flag.IntVar(&o.seconds, "seconds", 5, "length of each run")
	flag.IntVar(&o.repetitions, "repetitions", 3, "runs of each kind")
	flag.IntVar(&o.sessions, "sessions", 500, "idle sessions to measure the memory of")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	pgsluice                              string
	scale, seconds, repetitions, sessions int
}

// database and role of the benchmark; the role is none of the people, as an
// application's is not.
const (
	database = "bench"
	role     = "bench"
)

func run(ctx context.Context, o options) (err error) {
	c, err := pgcluster.Start(ctx, pgcluster.Options{Settings: map[string]string{
		"max_connections": fmt.Sprint(2*o.sessions + 50),
		"shared_buffers":  "512MB",
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	if _, err := c.Psql(ctx, "-c", "CREATE ROLE bench LOGIN", "-c", "CREATE DATABASE bench OWNER bench"); err != nil {
		return err
	}
	direct := target{name: "direct", addr: c.Addr()}
	if err := initialize(ctx, c, direct, o.scale); err != nil {
		return err
	}
	bouncer, err := startPgBouncer(ctx, c, o.sessions+50)
	if err != nil {
		return err
	}
	defer bouncer.stop()
	sluice, err := startPgsluice(ctx, c, o.pgsluice)
	if err != nil {
		return err
	}
	defer sluice.stop()

	fmt.Printf("%s, %d CPUs; pgbench -S, scale %d, medians of %d runs of %d s; transactions/s\n\n",
		runtime.GOARCH, runtime.NumCPU(), o.scale, o.repetitions, o.seconds)
	if err := throughput(ctx, c, o, []target{direct, bouncer, sluice}); err != nil {
		return err
	}
	fmt.Println()
	for _, t := range []target{bouncer, sluice} {
		if err := idleMemory(ctx, c, t, o.sessions); err != nil {
			return err
		}
	}
	return nil
}

// kind is one row of the table.
type kind struct {
	clients int
	mode    string
}

func throughput(ctx context.Context, c *pgcluster.Cluster, o options, targets []target) error {
	var kinds []kind
	for _, clients := range []int{1, 8} {
		for _, mode := range []string{"simple", "extended", "prepared"} {
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
				tps, err := pgbench(ctx, c, t, k, o.seconds)
				if err != nil {
					return err
				}
				runs[k][t.name] = append(runs[k][t.name], tps)
			}
		}
		fmt.Fprintf(os.Stderr, "repetition %d of %d done after %s\n", repetition+1, o.repetitions, time.Since(started).Round(time.Second))
	}
	const row = "%7s  %-9s %9s %9s %9s  %14s %17s\n"
	fmt.Printf(row, "clients", "mode", "direct", "pgbouncer", "pgsluice", "of direct", "of pgbouncer")
	for _, k := range kinds {
		d, b, s := median(runs[k]["direct"]), median(runs[k]["pgbouncer"]), median(runs[k]["pgsluice"])
		fmt.Printf(row, fmt.Sprint(k.clients), k.mode, whole(d), whole(b), whole(s), ratio(s, d), ratio(s, b))
	}
	return nil
}

func whole(f float64) string    { return fmt.Sprintf("%.0f", f) }
func ratio(a, b float64) string { return fmt.Sprintf("%.2f", a/b) }

// tps reads the last line of pgbench's report.
func tps(report string) (float64, error) {
	for line := range strings.Lines(report) {
		var n float64
		if _, err := fmt.Sscanf(line, "tps = %f", &n); err == nil {
			return n, nil
		}
	}
	return 0, errors.New("pgbench reported no tps")
}

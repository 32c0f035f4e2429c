// Command bench measures what pgsluice costs: pgbench and large transfers against
// the server itself, through a relay that reads nothing, PgBouncer, pgpool-II (where
// it is installed) and pgsluice with its built-in policy, and the memory of idle
// sessions. `make bench` runs it.
//
// All are measured in turns in one run, so that a machine that grows slower is
// slow for all of them, and medians are compared.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

func main() {
	var o options
	flag.StringVar(&o.pgsluice, "pgsluice", "bin/pgsluice", "the `program` to measure")
	flag.IntVar(&o.scale, "scale", 10, "pgbench's scale")
	flag.IntVar(&o.seconds, "seconds", 3, "length of each run of pgbench")
	flag.IntVar(&o.repetitions, "repetitions", 5, "runs of each kind")
	flag.IntVar(&o.sessions, "sessions", 500, "idle sessions to measure the memory of")
	flag.IntVar(&o.megabytes, "megabytes", 1024, "size of what COPY transfers, in MiB")
	flag.IntVar(&o.rows, "rows", 5_000_000, "rows that SELECT transfers")
	only := flag.String("only", strings.Join(parts, ","), "`parts` to run")
	passOn := flag.String("relay", "", "be the relay that reads nothing: `listen,server`")
	flag.Parse()
	o.only = strings.Split(*only, ",")

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	if listen, server, ok := strings.Cut(*passOn, ","); ok {
		err = relay(listen, server)
	} else {
		err = run(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	pgsluice                              string
	scale, seconds, repetitions, sessions int
	megabytes, rows                       int
	only                                  []string
}

// parts are what can be measured apart.
var parts = []string{"reads", "writes", "streams", "memory"}

// database and role of the benchmark; the role is none of the people, as an
// application's is not.
const (
	database = "bench"
	role     = "bench"
)

func run(ctx context.Context, o options) (err error) {
	for _, part := range o.only {
		if !slices.Contains(parts, part) {
			return fmt.Errorf("-only: there is no part %q; the parts are %s", part, strings.Join(parts, ", "))
		}
	}
	c, err := pgcluster.Start(ctx, pgcluster.Options{Settings: map[string]string{
		"max_connections": fmt.Sprint(2*o.sessions + 100),
		"shared_buffers":  "512MB",
		"max_wal_size":    "4GB",
		"fsync":           "on", // what a commit costs is part of what the gates are compared with
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
	targets := []target{direct}
	started := map[string]target{}
	for _, start := range []func() (target, error){
		func() (target, error) { return startRelay(ctx, c) },
		func() (target, error) { return startPgBouncer(ctx, c, o.sessions+50) },
		func() (target, error) { return startPgpool(ctx, c, 10) },
		func() (target, error) { return startPgsluice(ctx, c, o.pgsluice) },
	} {
		t, err := start()
		if err != nil {
			return err
		}
		if t.stop == nil {
			fmt.Fprintln(os.Stderr, "pgpool-II is left out: its package, pgpool2, is not installed")
			continue
		}
		defer t.stop()
		targets, started[t.name] = append(targets, t), t
	}
	bouncer, sluice := started["pgbouncer"], started["pgsluice"]

	fmt.Printf("%s, %d CPUs; pgbench at scale %d; medians of %d runs, of pgbench for %d s each\n",
		runtime.GOARCH, runtime.NumCPU(), o.scale, o.repetitions, o.seconds)
	for _, part := range o.only {
		switch part {
		case "reads":
			err = throughput(ctx, c, o, targets)
		case "writes":
			err = gate(ctx, c, o, direct, sluice)
		case "streams":
			err = streaming(ctx, c, o, []target{direct, started["relay"], bouncer, sluice})
		case "memory":
			fmt.Println()
			err = errors.Join(idleMemory(ctx, c, bouncer, o.sessions), idleMemory(ctx, c, sluice, o.sessions))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

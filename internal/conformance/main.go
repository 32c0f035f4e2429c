// Command conformance runs other people's test suites against a throw-away
// PostgreSQL, once directly and once through pgsluice with a policy that allows
// everything, and reports each test that ends differently.
//
//	go run ./internal/conformance -pgsluice bin/pgsluice [-only pgx,pgbench] [-regress FOLDER]
//
// The suites are fetched by their package managers when it runs and stay out of
// the project. It promises a table of measured numbers (docs/conformance.md
// keeps one) and exits with 1 if a test passed directly and not through the
// proxy.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// result is how one test of a suite ended.
type result string

const (
	passed  result = "pass"
	failed  result = "fail"
	skipped result = "skip"
)

// suite is one collection of tests. run plays all of them against a target and
// says how each ended, and what it printed, by name.
type suite struct {
	name, version string
	run           func(context.Context, target) (map[string]outcome, error)
}

type outcome struct {
	result result
	said   string
}

func main() {
	o := options{}
	flag.StringVar(&o.pgsluice, "pgsluice", "bin/pgsluice", "the program to test")
	flag.StringVar(&o.only, "only", "", "comma-separated names of the suites to run; empty: all that can be had")
	flag.StringVar(&o.regress, "regress", "", "folder with PostgreSQL's regression SQL (src/test/regress/sql), compared line by line")
	flag.StringVar(&o.node, "node", "", "folder packages/pg of a checkout of node-postgres, with its dependencies installed")
	flag.StringVar(&o.psycopg, "psycopg", "", "folder of a checkout of psycopg, of the version that is installed")
	flag.BoolVar(&o.plain, "plain", false, "without TLS on either side: such connections are read in another way")
	flag.BoolVar(&o.verbose, "v", false, "show what a differing test printed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	differs, err := run(ctx, os.Stdout, o)
	stop()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(2)
	case differs > 0:
		os.Exit(1)
	}
}

type options struct {
	pgsluice, only, regress, node, psycopg string
	verbose, plain                         bool
}

// run plays the suites and writes a row for each. It returns how many tests
// passed directly and not through the proxy.
func run(ctx context.Context, out io.Writer, o options) (differs int, err error) {
	suites := []suite{pgxSuite(), libpqSuite(), pgbenchSuite()}
	if o.node != "" {
		suites = append(suites, nodeSuite(o.node))
	}
	if o.psycopg != "" {
		suites = append(suites, psycopgSuite(o.psycopg))
	}
	if o.regress != "" {
		suites = append(suites, regressSuite(o.regress))
	}
	if o.only != "" {
		wanted := strings.Split(o.only, ",")
		suites = slices.DeleteFunc(suites, func(s suite) bool { return !slices.Contains(wanted, s.name) })
	}
	if len(suites) == 0 {
		return 0, errors.New("there is no suite of that name")
	}
	var details strings.Builder
	for i, s := range suites {
		direct, through, server, err := both(ctx, o, s)
		if err != nil {
			return differs, fmt.Errorf("%s: %w", s.name, err)
		}
		if i == 0 {
			fmt.Fprintf(out, "Server: %s\n\n| suite | version | tests | passed directly | passed through the proxy | skipped in both | end differently |\n|---|---|---|---|---|---|---|\n", server)
		}
		names := differences(direct, through)
		for _, name := range names {
			if direct[name].result == passed {
				differs++
			}
			fmt.Fprintf(&details, "%s: %s: directly %s, through the proxy %s\n", s.name, name, direct[name].result, through[name].result)
			if o.verbose {
				fmt.Fprintf(&details, "%s\n", indent(through[name].said))
			}
		}
		fmt.Fprintf(out, "| %s | %s | %d | %d | %d | %d | %d |\n", s.name, s.version, len(direct),
			count(direct, passed), count(through, passed), skippedInBoth(direct, through), len(names))
	}
	fmt.Fprintf(out, "\n%s", details.String())
	return differs, nil
}

// both plays a suite on two clusters of the same kind, so that the two runs
// cannot meet and even OIDs are the same in both.
func both(ctx context.Context, o options, s suite) (direct, through map[string]outcome, server string, err error) {
	for _, path := range []string{"", o.pgsluice} {
		t, err := start(ctx, path, o.plain)
		if err != nil {
			return nil, nil, "", err
		}
		results, err := s.run(ctx, t)
		if err = errors.Join(err, t.stop()); err != nil {
			return nil, nil, "", err
		}
		if path == "" {
			direct, server = results, t.version
		} else {
			through = results
		}
	}
	return direct, through, server, nil
}

// differences are the tests that did not end alike, in order.
func differences(direct, through map[string]outcome) []string {
	var names []string
	for name := range direct {
		if direct[name].result != through[name].result {
			names = append(names, name)
		}
	}
	for name := range through {
		if _, known := direct[name]; !known {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func count(results map[string]outcome, r result) (n int) {
	for _, o := range results {
		if o.result == r {
			n++
		}
	}
	return n
}

func skippedInBoth(direct, through map[string]outcome) (n int) {
	for name, o := range direct {
		if o.result == skipped && through[name].result == skipped {
			n++
		}
	}
	return n
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ")
}

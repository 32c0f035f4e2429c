// Package demo shows what pgsluice is for on a PostgreSQL that is thrown away
// afterwards: an inventory database, two people, and the four incidents that
// pgsluice exists for, with real psql processes.
//
// It promises that everything it made is gone when it returns, and that Play
// succeeds only if no row was lost that nobody approved.
package demo

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// policyYAML is the policy of the demo.
//
//go:embed policy.yaml
var policyYAML []byte

// Person is someone in the demo; their password is their name.
type Person struct {
	Name   string
	Groups []string
}

// people are the demo's: alice asks, bob or carol decide.
var people = []Person{
	{Name: "alice", Groups: []string{"developers"}},
	{Name: "bob", Groups: []string{"dba"}},
	{Name: "carol", Groups: []string{"dba"}},
}

// Setup is what a proxy for the demo has to be started with.
type Setup struct {
	Dir    string // for its ledger and its audit log
	Server string // address of PostgreSQL
	Policy string // policy file
	People []Person
}

// Proxy is a running proxy.
type Proxy struct {
	Addr string
	Stop func() error
}

// Config is what the demo needs.
type Config struct {
	Rows     int // about how many rows to load
	Out      io.Writer
	Terminal bool // Out is a terminal: a bar may move

	// StartProxy starts the proxy by the same code as `pgsluice serve`.
	StartProxy func(ctx context.Context, s Setup) (*Proxy, error)
}

// stage is the demo while it runs.
type stage struct {
	Config
	cluster *pgcluster.Cluster
	proxy   *Proxy
	dir     string // where programs are run; empty: here
}

// Run shows what to type, and waits until ctx ends.
func Run(ctx context.Context, c Config) error {
	return onStage(ctx, c, func(s *stage) error {
		host, port := s.proxyHostPort()
		fmt.Fprintf(s.Out, instructions, s.Rows, host, port)
		<-ctx.Done()
		fmt.Fprintln(s.Out, "\nRemoving everything.")
		return nil
	})
}

// instructions are 80 columns wide and fit one screen.
const instructions = `
A PostgreSQL with about %[1]d rows runs behind pgsluice. alice owns the tables
and works on them; bob and carol are DBAs. Passwords for the database pgsluice
are the names.

Terminal 1, alice:

  psql "host=%[2]s port=%[3]s user=alice dbname=inventory"

  SELECT count(*) FROM orders;            -- reads pass
  BEGIN;
  UPDATE orders SET is_deleted = true;    -- held: no WHERE. It waits.

Terminal 2, bob:

  psql "host=%[2]s port=%[3]s user=bob dbname=pgsluice password=bob"

  SHOW REQUESTS;
  SHOW REQUEST 1;
  APPROVE 1 'checked';                    -- or: DENY 1 'where is the WHERE?';

alice gets her answer in terminal 1, and may still COMMIT or ROLLBACK.
Ctrl-C here ends the demo and removes everything.
`

// onStage puts the cluster, its rows and the proxy up, and takes all of it down
// again whatever happens in between.
func onStage(ctx context.Context, c Config, act func(*stage) error) (err error) {
	s := &stage{Config: c}
	fmt.Fprintln(s.Out, "Starting a throw-away PostgreSQL")
	if s.cluster, err = pgcluster.Start(ctx, pgcluster.Options{}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.cluster.Stop()) }()

	bar := newBar(s.Out, s.Terminal, s.Rows)
	if err := load(ctx, s.cluster, s.Rows, bar.show); err != nil {
		return err
	}
	bar.end()

	// In the cluster's folder, so that its watchdog removes them too.
	dir := filepath.Join(s.cluster.Dir, "pgsluice")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("make a folder for the ledger: %w", err)
	}
	policy := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(policy, policyYAML, 0o600); err != nil {
		return fmt.Errorf("write the demo's policy: %w", err)
	}
	if s.proxy, err = c.StartProxy(ctx, Setup{Dir: dir, Server: s.cluster.Addr(), Policy: policy, People: people}); err != nil {
		return fmt.Errorf("start the proxy: %w", err)
	}
	defer func() { err = errors.Join(err, s.proxy.Stop()) }()
	return act(s)
}

// bar tells how far the loading is: a moving bar on a terminal, a line for each
// quarter elsewhere.
type bar struct {
	out      io.Writer
	terminal bool
	total    int
	quarter  int
	started  time.Time
}

func newBar(out io.Writer, terminal bool, total int) *bar {
	return &bar{out: out, terminal: terminal, total: max(total, 1), started: time.Now()}
}

func (b *bar) show(done int) {
	percent := min(100, done*100/b.total)
	if b.terminal {
		const width = 40
		full := percent * width / 100
		fmt.Fprintf(b.out, "\rLoading rows [%-*s] %3d %% %9d", width, fill[:full], percent, done)
		return
	}
	if quarter := percent / 25; quarter > b.quarter {
		b.quarter = quarter
		fmt.Fprintf(b.out, "Loading rows: %d %%, %d\n", percent, done)
	}
}

const fill = "########################################"

func (b *bar) end() {
	if b.terminal {
		fmt.Fprintln(b.out)
	}
	fmt.Fprintf(b.out, "Loaded in %.1f s\n", time.Since(b.started).Seconds())
}

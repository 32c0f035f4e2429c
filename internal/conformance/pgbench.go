package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// pipelined is a pgbench script of pipelines: writes, reads, and several
// segments in flight.
const pipelined = `\set aid random(1, 100000)
\set delta random(-5000, 5000)
\startpipeline
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, :aid, :delta, CURRENT_TIMESTAMP);
END;
SELECT count(*) FROM pgbench_branches;
\endpipeline
`

// pgbenchSuite is PostgreSQL's own load generator in its three protocol modes,
// with its built-in scripts and with pipelines. A run passes when no client was
// aborted and every transaction asked for was counted.
func pgbenchSuite() suite {
	return suite{"pgbench", "the client's", func(ctx context.Context, t target) (map[string]outcome, error) {
		results := map[string]outcome{}
		if err := t.database(ctx, "bench"); err != nil {
			return nil, err
		}
		script := filepath.Join(t.cluster.Dir, "pipeline.sql")
		if err := os.WriteFile(script, []byte(pipelined), 0o644); err != nil {
			return nil, fmt.Errorf("write the script: %w", err)
		}
		run := func(name string, args ...string) {
			cmd := exec.CommandContext(ctx, t.cluster.Bin("pgbench"), append(args, "-d", t.dsn("bench", "postgres"))...)
			cmd.Env = pgcluster.CleanEnv()
			out, err := cmd.CombinedOutput()
			o := outcome{result: passed, said: string(out)}
			if err != nil {
				o.result = failed
			}
			results[name] = o
		}
		run("initialize", "-i", "-q", "-s", "1")
		for _, mode := range []string{"simple", "extended", "prepared"} {
			for _, script := range []string{"tpcb-like", "simple-update", "select-only"} {
				run(mode+" "+script, "-n", "-M", mode, "-b", script, "-c", "8", "-j", "2", "-t", "200")
			}
			if mode != "simple" { // pgbench has no pipelines in simple mode
				run(mode+" pipeline", "-n", "-M", mode, "-f", script, "-c", "8", "-j", "2", "-t", "200")
			}
		}
		return results, nil
	}}
}

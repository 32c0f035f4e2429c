package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// idleMemory opens sessions that have run a statement and now wait, and divides
// what the process grew by.
func idleMemory(ctx context.Context, c *pgcluster.Cluster, t target, sessions int) error {
	before, err := residentKiB(t.pid)
	if err != nil {
		return err
	}
	for range sessions {
		conn, err := connect(ctx, t)
		if err != nil {
			return fmt.Errorf("open an idle session through %s: %w", t.name, err)
		}
		defer conn.Close(context.WithoutCancel(ctx))
		if _, err := conn.Exec(ctx, "SELECT abalance FROM pgbench_accounts WHERE aid = 1").ReadAll(); err != nil {
			return fmt.Errorf("use an idle session through %s: %w", t.name, err)
		}
	}
	after, err := residentKiB(t.pid)
	if err != nil {
		return err
	}
	fmt.Printf("%-9s %d idle sessions: %d -> %d KiB resident, %.1f KiB each\n",
		t.name, sessions, before, after, float64(after-before)/float64(sessions))
	return nil
}

// residentKiB is VmRSS, see proc_pid_status(5).
func residentKiB(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read a process's memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		var n int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &n); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("process %d reports no VmRSS", pid)
}

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// target is something that pgbench connects to.
type target struct {
	name string
	addr string
	pid  int    // of a proxy
	stop func() // of a proxy
}

// startPgBouncer starts the distribution's PgBouncer with session pooling, which
// is the only kind that can be compared: a session keeps its server connection.
func startPgBouncer(ctx context.Context, c *pgcluster.Cluster, clients int) (target, error) {
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path = "/usr/sbin/pgbouncer" // Debian's place, outside of most users' PATH
	}
	port, err := pgcluster.FreePort()
	if err != nil {
		return target{}, err
	}
	ini := filepath.Join(c.Dir, "pgbouncer.ini")
	if err := os.WriteFile(ini, fmt.Appendf(nil, `[databases]
%s = host=127.0.0.1 port=%d user=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = session
max_client_conn = %d
default_pool_size = %d
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
`, database, c.Port, role, port, clients, clients), 0o644); err != nil {
		return target{}, fmt.Errorf("write pgbouncer.ini: %w", err)
	}
	return startProxy(ctx, "pgbouncer", port, c.Command(context.Background(), path, "-q", ini))
}

// startPgsluice starts the program as its users do, with the built-in policy.
func startPgsluice(ctx context.Context, c *pgcluster.Cluster, path string) (target, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return target{}, err
	}
	port, err := pgcluster.FreePort()
	if err != nil {
		return target{}, err
	}
	dir := filepath.Join(c.Dir, "pgsluice")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return target{}, fmt.Errorf("make a folder for pgsluice: %w", err)
	}
	// The built-in policy is refused unless somebody could approve what it holds.
	password := exec.CommandContext(ctx, path, "password")
	password.Stdin = strings.NewReader("not used here\n")
	verifier, err := password.Output()
	if err != nil {
		return target{}, fmt.Errorf("pgsluice password: %w", err)
	}
	config := filepath.Join(dir, "pgsluice.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `listen: 127.0.0.1:%d
server: {address: %q, tls: {mode: disable}}
ledger: sqlite:%s/ledger.db
audit: {dir: %s/audit}
people:
  - {name: alice, groups: [developers], logins: [alice]}
  - {name: bob, groups: [dba], logins: [bob], password: %q}
`, port, c.Addr(), dir, dir, strings.TrimSpace(string(verifier))), 0o600); err != nil {
		return target{}, fmt.Errorf("write pgsluice.yaml: %w", err)
	}
	cmd := exec.Command(path, "serve", "--config", config)
	cmd.Dir = dir
	return startProxy(ctx, "pgsluice", port, cmd)
}

// startProxy starts a process and waits until it answers.
func startProxy(ctx context.Context, name string, port int, cmd *exec.Cmd) (target, error) {
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		return target{}, fmt.Errorf("start %s: %w", name, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // cmd.ProcessState says it too
		close(ended)
	}()
	t := target{name: name, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), pid: cmd.Process.Pid}
	t.stop = func() {
		_ = cmd.Process.Signal(syscall.SIGKILL) // it holds nothing worth keeping
		<-ended
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		conn, err := connect(ctx, t)
		if err == nil {
			return t, conn.Close(ctx)
		}
		select {
		case <-ended:
			return target{}, fmt.Errorf("start %s: it ended, %s: %s", name, cmd.ProcessState, log.String())
		case <-ctx.Done():
			t.stop()
			return target{}, fmt.Errorf("start %s: not ready: %w: %s", name, err, log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func connect(ctx context.Context, t target) (*pgconn.PgConn, error) {
	return pgconn.Connect(ctx, "postgres://"+role+"@"+t.addr+"/"+database+"?sslmode=disable")
}

func initialize(ctx context.Context, c *pgcluster.Cluster, t target, scale int) error {
	out, err := command(ctx, c, t, "-i", "-q", "-s", strconv.Itoa(scale)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("pgbench -i: %w: %s", err, out)
	}
	return nil
}

func pgbench(ctx context.Context, c *pgcluster.Cluster, t target, k kind, seconds int) (float64, error) {
	clients := strconv.Itoa(k.clients)
	threads := strconv.Itoa(min(k.clients, 2))
	out, err := command(ctx, c, t, "-n", "-S", "-M", k.mode, "-c", clients, "-j", threads, "-T", strconv.Itoa(seconds)).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("pgbench through %s: %w: %s", t.name, err, out)
	}
	return tps(string(out))
}

func command(ctx context.Context, c *pgcluster.Cluster, t target, args ...string) *exec.Cmd {
	host, port, _ := net.SplitHostPort(t.addr) // ours: well-formed
	cmd := exec.CommandContext(ctx, c.Bin("pgbench"), append(args, "-h", host, "-p", port, "-U", role, database)...)
	cmd.Env = append(pgcluster.CleanEnv(), "PGSSLMODE=disable")
	return cmd
}

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

func median(runs []float64) float64 {
	sorted := slices.Sorted(slices.Values(runs))
	return sorted[len(sorted)/2]
}

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
// is the only kind that can be compared: a session keeps its server connection. That
// has served others before, unlike those of the other targets: a server process that
// has run for a while has its caches and its pages of shared memory.
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

// startPgpool starts the distribution's pgpool-II, which parses statements, too.
// It is none, with a nil error, where the package is not installed: installing it
// would start it as a service.
func startPgpool(ctx context.Context, c *pgcluster.Cluster, clients int) (target, error) {
	path, err := exec.LookPath("pgpool")
	if err != nil {
		path = "/usr/sbin/pgpool"
		if _, err := os.Stat(path); err != nil {
			return target{}, nil
		}
	}
	ports := [2]int{}
	for i := range ports {
		if ports[i], err = pgcluster.FreePort(); err != nil {
			return target{}, err
		}
	}
	conf := filepath.Join(c.Dir, "pgpool.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, `backend_clustering_mode = 'raw'
listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = '%[2]s'
pcp_listen_addresses = ''
pcp_port = %[3]d
pcp_socket_dir = '%[2]s'
backend_hostname0 = '127.0.0.1'
backend_port0 = %[4]d
num_init_children = %[5]d
max_pool = 1
sr_check_period = 0
enable_pool_hba = off
pid_file_name = '%[2]s/pgpool.pid'
logdir = '%[2]s'
work_dir = '%[2]s'
`, ports[0], c.Dir, ports[1], c.Port, clients), 0o644); err != nil {
		return target{}, fmt.Errorf("write pgpool.conf: %w", err)
	}
	return startProxy(ctx, "pgpool", ports[0], c.Command(context.Background(), path, "-n", "-f", conf))
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
	if cmd.SysProcAttr == nil { // as pgcluster does: pgpool has a process for each session
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
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
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it holds nothing worth keeping
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

// pgbench returns pgbench's report.
func pgbench(ctx context.Context, c *pgcluster.Cluster, t target, k kind, seconds int, script ...string) (string, error) {
	args := append([]string{"-n", "-M", k.mode, "-c", strconv.Itoa(k.clients), "-j", strconv.Itoa(min(k.clients, 2)),
		"-T", strconv.Itoa(seconds)}, script...)
	out, err := command(ctx, c, t, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("pgbench through %s: %w: %s", t.name, err, out)
	}
	return string(out), nil
}

func command(ctx context.Context, c *pgcluster.Cluster, t target, args ...string) *exec.Cmd {
	host, port, _ := net.SplitHostPort(t.addr) // ours: well-formed
	cmd := exec.CommandContext(ctx, c.Bin("pgbench"), append(args, "-h", host, "-p", port, "-U", role, database)...)
	cmd.Env = append(pgcluster.CleanEnv(), "PGSSLMODE=disable")
	return cmd
}

func median(runs []float64) float64 {
	sorted := slices.Sorted(slices.Values(runs))
	return sorted[len(sorted)/2]
}

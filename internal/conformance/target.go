package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// target is where a suite connects to: a cluster, or pgsluice in front of one.
type target struct {
	cluster *pgcluster.Cluster
	port    string
	version string // of the server
	proxy   *exec.Cmd
	ended   chan struct{}
}

// The roles and methods that the suites log in with; the last line believes
// everybody, the superuser too, because the suites run as one: on a machine with
// other users the cluster must not live longer than the run.
var hba = []string{
	"host all pgx_md5 127.0.0.1/32 md5",
	"host all pgx_scram 127.0.0.1/32 scram-sha-256",
	"host all pgx_pw 127.0.0.1/32 password",
	"hostssl all pgx_ssl 127.0.0.1/32 scram-sha-256",
	"host all pqgomd5 127.0.0.1/32 md5",
	"host all pqgopassword 127.0.0.1/32 password",
	"host all pqgoscram 127.0.0.1/32 scram-sha-256",
	"hostnossl all pqgossl 127.0.0.1/32 reject",
	"hostnossl all pqgosslcert 127.0.0.1/32 reject",
	"hostssl all pqgossl 127.0.0.1/32 trust",
	"local all all trust",
	"host all all 127.0.0.1/32 trust",
	"host replication all 127.0.0.1/32 trust",
}

// start starts a cluster and, where path is not empty, pgsluice in front of it
// with a policy that allows everything; plain: without TLS on either side.
func start(ctx context.Context, path string, plain bool) (t target, err error) {
	t.cluster, err = pgcluster.Start(ctx, pgcluster.Options{TLS: !plain, HBA: hba, Settings: map[string]string{
		"max_prepared_transactions": "10", "wal_level": "logical", "max_connections": "200",
	}})
	if err != nil {
		return t, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.stop())
		}
	}()
	out, err := t.cluster.Psql(ctx, "-At", "-c", "SHOW server_version")
	if err != nil {
		return t, err
	}
	t.version = "PostgreSQL " + strings.TrimSpace(string(out))
	t.port = strconv.Itoa(t.cluster.Port)
	if path == "" {
		return t, nil
	}
	return t, t.startProxy(ctx, path, plain)
}

func (t *target) startProxy(ctx context.Context, path string, plain bool) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("find pgsluice: %w", err)
	}
	port, err := pgcluster.FreePort()
	if err != nil {
		return err
	}
	dir := t.cluster.Dir
	secured := ""
	if !plain {
		key := filepath.Join(dir, "proxy.key")
		secret, err := os.ReadFile(filepath.Join(dir, "server.key"))
		if err == nil {
			err = os.WriteFile(key, secret, 0o600)
		}
		if err != nil {
			return fmt.Errorf("copy the server's key: %w", err)
		}
		// The server's own certificate, so that channel binding goes through.
		secured = fmt.Sprintf("tls: {cert: %q, key: %q}\n", t.cluster.CAFile, key)
	}
	for name, content := range map[string]string{
		filepath.Join(dir, "policy.yaml"): `version: 1
defaults: {allowed: allow, unparsed: allow, unknown: allow}
rules: []
`,
		filepath.Join(dir, "pgsluice.yaml"): fmt.Sprintf(`listen: 127.0.0.1:%d
server: {address: %q, tls: {mode: prefer}}
%spolicy: %s/policy.yaml
ledger: sqlite:%s/ledger.db
audit: {dir: %s/audit}
`, port, t.cluster.Addr(), secured, dir, dir, dir),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return fmt.Errorf("write what pgsluice needs: %w", err)
		}
	}
	var log strings.Builder
	t.proxy = exec.Command(path, "serve", "--config", filepath.Join(dir, "pgsluice.yaml"))
	t.proxy.Dir, t.proxy.Stdout, t.proxy.Stderr = dir, &log, &log
	if err := t.proxy.Start(); err != nil {
		return fmt.Errorf("start pgsluice: %w", err)
	}
	t.ended, t.port = make(chan struct{}), strconv.Itoa(port)
	go func() {
		_ = t.proxy.Wait() // stop says how it ended
		close(t.ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		conn, err := pgconn.Connect(ctx, t.dsn("postgres", "postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-t.ended:
			return fmt.Errorf("start pgsluice: it ended: %s", log.String())
		case <-ctx.Done():
			return fmt.Errorf("start pgsluice: not ready: %w: %s", err, log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// dsn connects as a role that needs no password, or the superuser.
func (t *target) dsn(database, user string) string {
	return t.cluster.DSNAt(net.JoinHostPort("127.0.0.1", t.port), database, user)
}

func (t *target) stop() error {
	var err error
	if t.ended != nil {
		select {
		case <-t.ended:
			err = fmt.Errorf("pgsluice ended by itself: %s", t.proxy.ProcessState)
		default:
			_ = t.proxy.Process.Signal(syscall.SIGKILL) // it holds nothing worth keeping
			<-t.ended
		}
	}
	return errors.Join(err, t.cluster.Stop())
}

// database makes one for a suite, with the SQL it wants to find done in it.
func (t *target) database(ctx context.Context, name string, setup ...string) error {
	if _, err := t.cluster.Psql(ctx, "-c", "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		return err
	}
	for _, sql := range setup {
		if _, err := t.cluster.Psql(ctx, "-d", name, "-c", sql); err != nil {
			return err
		}
	}
	return nil
}

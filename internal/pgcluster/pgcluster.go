// Package pgcluster starts throw-away PostgreSQL clusters for tests and for
// `pgsluice demo`.
//
// It promises that a cluster listens on the loopback address and on a socket in
// its own folder only, that nobody but who started it can be its superuser, that
// the server never runs as root, and that neither the server nor its folder
// outlives the process that started it, however that process ends. It promises
// nothing about the data: fsync is off.
package pgcluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Options says what kind of cluster to start. The zero value is one without
// TLS, with the superuser "postgres", that believes every other role.
type Options struct {
	// HBA are the lines of pg_hba.conf, after one that lets the superuser in
	// through the socket. Empty: the superuser needs its password over TCP,
	// other roles need none.
	HBA []string
	// Settings are added to postgresql.conf.
	Settings map[string]string
	// TLS turns ssl on with a certificate of its own for 127.0.0.1 and localhost.
	TLS bool
	// Superuser is the bootstrap role; empty means "postgres".
	Superuser string
	// Password is the superuser's; empty means a random one.
	Password string
}

// Cluster is a running PostgreSQL server with its own data folder.
type Cluster struct {
	Port      int
	Dir       string // holds the data folder, the socket and the log; gone after Stop
	Superuser string
	Password  string // the superuser's
	CAFile    string // the certificate of the server, for sslrootcert; empty without TLS

	bin string
	who account

	mu       sync.Mutex
	server   *process
	watchdog *process
	stopped  bool
}

// readyWithin bounds the wait for a server that has been started: a loaded
// machine with two cores needs a few seconds at most.
const readyWithin = 60 * time.Second

// Start makes a data folder and starts a server on it. The caller must Stop it.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	bin, err := BinDir()
	if err != nil {
		return nil, err
	}
	who, err := unprivileged()
	if err != nil {
		return nil, err
	}
	c := &Cluster{Superuser: o.Superuser, Password: o.Password, bin: bin, who: who}
	if c.Superuser == "" {
		c.Superuser = "postgres"
	}
	if c.Password == "" {
		c.Password = randomName()
	}
	if c.Dir, err = who.tempDir(); err != nil {
		return nil, err
	}
	if err := c.create(ctx, o); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) create(ctx context.Context, o Options) error {
	var err error
	if c.watchdog, err = c.startWatchdog(); err != nil {
		return err
	}
	if err := c.initdb(ctx); err != nil {
		return err
	}
	if err := c.configure(o); err != nil {
		return err
	}
	// Between finding a free port and PostgreSQL's bind another process may
	// take it. PostgreSQL says so at once, and another port is tried.
	for attempt := 1; ; attempt++ {
		if c.Port, err = FreePort(); err != nil {
			return err
		}
		err = c.startServer(ctx)
		if err == nil || attempt == 5 || !strings.Contains(c.Log(), "could not bind") {
			return err
		}
	}
}

func (c *Cluster) initdb(ctx context.Context) error {
	pw := filepath.Join(c.Dir, "superuser")
	if err := c.who.writeFile(pw, []byte(c.Password+"\n")); err != nil {
		return err
	}
	defer os.Remove(pw)
	cmd := c.Command(ctx, c.Bin("initdb"), "--pgdata", c.data(), "--username", c.Superuser, "--pwfile", pw,
		"--no-sync", "--no-instructions", "--encoding", "UTF8", "--locale", "C.UTF-8",
		"--auth-local", "trust", "--auth-host", "scram-sha-256")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

func (c *Cluster) configure(o Options) error {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": c.Dir,
		// The data are thrown away, so nothing waits for the disk.
		"fsync":              "off",
		"synchronous_commit": "off",
		"full_page_writes":   "off",
		"shared_buffers":     "64MB",
		"max_wal_size":       "1GB",
		"log_min_messages":   "warning",
	}
	if o.TLS {
		if err := c.certify(); err != nil {
			return err
		}
		settings["ssl"] = "on"
		settings["ssl_cert_file"] = c.CAFile
		settings["ssl_key_file"] = c.keyFile()
	}
	for k, v := range o.Settings {
		settings[k] = v
	}
	var conf strings.Builder
	for k, v := range settings {
		fmt.Fprintf(&conf, "%s = '%s'\n", k, strings.ReplaceAll(v, "'", "''"))
	}
	f, err := os.OpenFile(filepath.Join(c.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("open postgresql.conf: %w", err)
	}
	_, err = f.WriteString(conf.String())
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write postgresql.conf: %w", err)
	}
	// On a machine with other users, "trust" over TCP would make each of them
	// superuser here and, through COPY TO PROGRAM, the account that started it.
	hba := []string{"host all " + quote(c.Superuser) + " 127.0.0.1/32 scram-sha-256", "local all all trust", "host all all 127.0.0.1/32 trust"}
	if len(o.HBA) > 0 {
		hba = o.HBA
	}
	hba = append([]string{"local all " + quote(c.Superuser) + " trust"}, hba...)
	return c.who.writeFile(filepath.Join(c.data(), "pg_hba.conf"), []byte(strings.Join(hba, "\n")+"\n"))
}

func (c *Cluster) startServer(ctx context.Context) error {
	log, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the server's log: %w", err)
	}
	defer log.Close()
	cmd := c.Command(context.Background(), c.Bin("postgres"), "-D", c.data(), "-p", strconv.Itoa(c.Port))
	cmd.Stdout, cmd.Stderr = log, log
	server, err := start(cmd)
	if err != nil {
		return err
	}
	c.server = server
	if err := c.watch(strconv.Itoa(cmd.Process.Pid)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		conn, err := pgconn.Connect(ctx, c.dsn(c.Dir, strconv.Itoa(c.Port), "postgres", c.Superuser))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-server.ended:
			return fmt.Errorf("start postgres: it ended: %w: %s", server.err, c.Log())
		case <-ctx.Done():
			server.signal(syscall.SIGQUIT)
			<-server.ended
			return fmt.Errorf("start postgres: not ready: %w: %s", err, c.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Restart stops the server, closing every connection, and starts it again on
// the same data and port.
func (c *Cluster) Restart(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return errors.New("restart postgres: the cluster has been stopped")
	}
	c.server.signal(syscall.SIGINT) // "fast": sessions are ended, not waited for
	<-c.server.ended
	if err := c.watch(""); err != nil {
		return err
	}
	return c.startServer(ctx)
}

// Stop ends the server at once and removes its folder. Only the first call
// does something.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	c.stopped = true
	if c.server != nil {
		c.server.signal(syscall.SIGQUIT) // "immediate": the data are thrown away
		<-c.server.ended
	}
	err := os.RemoveAll(c.Dir)
	if c.watchdog != nil {
		err = errors.Join(err, c.watch(""), c.watchdog.stdin.Close())
		<-c.watchdog.ended
	}
	if err != nil {
		return fmt.Errorf("stop the cluster: %w", err)
	}
	return nil
}

// Addr is the server's TCP address.
func (c *Cluster) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port)) }

// DSN is the connection string over TCP to the database as the user; it holds
// the password of the superuser and of nobody else.
func (c *Cluster) DSN(database, user string) string { return c.DSNAt(c.Addr(), database, user) }

// DSNAt is DSN for another address, that of a proxy before the server.
func (c *Cluster) DSNAt(addr, database, user string) string {
	host, port, _ := net.SplitHostPort(addr)
	return c.dsn(host, port, database, user)
}

func (c *Cluster) dsn(host, port, database, user string) string {
	u := url.URL{Scheme: "postgres", User: url.User(user), Path: "/" + database}
	if user == c.Superuser {
		u.User = url.UserPassword(user, c.Password)
	}
	u.RawQuery = url.Values{"host": {host}, "port": {port}}.Encode()
	return u.String()
}

// Psql runs psql as the superuser through the socket, stopping at the first
// error, without the user's psqlrc, and gives back what it printed.
func (c *Cluster) Psql(ctx context.Context, args ...string) ([]byte, error) {
	args = append([]string{"-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", c.Dir, "-p", strconv.Itoa(c.Port), "-U", c.Superuser}, args...)
	if !slices.Contains(args, "-d") {
		args = append(args, "-d", "postgres")
	}
	cmd := exec.CommandContext(ctx, c.Bin("psql"), args...)
	cmd.Env = CleanEnv()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return out, fmt.Errorf("psql: %w: %s", err, out)
	}
	return out, nil
}

// Bin is the path of a program of PostgreSQL ("psql", "pg_dump", "pgbench"), of
// the server's version where its folder has it. Some builds hold the server
// alone; psql and pgbench of another version speak to it as well.
func (c *Cluster) Bin(program string) string {
	path := filepath.Join(c.bin, program)
	if !isFile(path) {
		if dir := newest(packaged(), func(dir string) bool { return isFile(filepath.Join(dir, program)) }); dir != "" {
			return filepath.Join(dir, program)
		}
	}
	return path
}

// Log is what the server has logged since it was last started.
func (c *Cluster) Log() string {
	b, err := os.ReadFile(c.logFile())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (c *Cluster) data() string    { return filepath.Join(c.Dir, "data") }
func (c *Cluster) logFile() string { return filepath.Join(c.Dir, "log") }
func (c *Cluster) keyFile() string { return filepath.Join(c.Dir, "server.key") }

// CleanEnv is the environment without the variables that libpq would take a
// host, a user or a service from.
func CleanEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "PG") && !strings.HasPrefix(v, "PGSLUICE_")
	})
}

// FreePort is a port of the loopback address that nobody listens on just now.
func FreePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func randomName() string {
	var b [12]byte
	rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}

// quote writes a name or a value of pg_hba.conf.
func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

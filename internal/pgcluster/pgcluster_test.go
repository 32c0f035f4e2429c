package pgcluster

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// startAndHang in the environment makes the test binary start a cluster, print
// its folder and process, and wait to be killed.
const startAndHang = "PGSLUICE_TEST_START_AND_HANG"

func TestMain(m *testing.M) {
	if os.Getenv(startAndHang) != "" {
		c, err := Start(context.Background(), Options{})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(c.Dir, c.server.cmd.Process.Pid)
		select {}
	}
	Main(m)
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func startCluster(t *testing.T, o Options) *Cluster {
	t.Helper()
	c, err := Start(deadline(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func query(t *testing.T, dsn, sql string) string {
	t.Helper()
	conn, err := pgconn.Connect(deadline(t), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	results, err := conn.Exec(deadline(t), sql).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return string(results[0].Rows[0][0])
}

func TestSharedIsOneClusterAndDatabasesAreFresh(t *testing.T) {
	c := Shared(t)
	if Shared(t) != c {
		t.Fatal("a second cluster was started")
	}
	one, two := c.NewDatabase(t), c.NewDatabase(t)
	if one == two {
		t.Fatalf("both databases are %s", one)
	}
	if got := query(t, c.DSN(one, c.Superuser), "SELECT current_database()"); got != one {
		t.Errorf("connected to %s, want %s", got, one)
	}
	if got := query(t, c.DSN(one, c.Superuser), "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"); got != "0" {
		t.Errorf("a fresh database holds %s relations", got)
	}
}

func TestServerIsNotRootAndListensOnLoopbackOnly(t *testing.T) {
	c := Shared(t)
	info, err := os.Stat(fmt.Sprintf("/proc/%d", c.server.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if info.Sys().(*syscall.Stat_t).Uid == 0 {
		t.Error("the server runs as root")
	}
	if got := query(t, c.DSN("postgres", c.Superuser), "SHOW listen_addresses"); got != "127.0.0.1" {
		t.Errorf("listen_addresses = %s", got)
	}
}

func TestSuperuserNeedsItsPasswordOverTCPAndOthersDoNot(t *testing.T) {
	c := startCluster(t, Options{Superuser: "boss"})
	if _, err := c.Psql(deadline(t), "-c", "CREATE ROLE alice LOGIN"); err != nil {
		t.Fatal(err)
	}
	if got := query(t, c.DSN("postgres", "alice"), "SELECT current_user"); got != "alice" {
		t.Errorf("logged in as %s", got)
	}
	if got := query(t, c.DSN("postgres", "boss"), "SELECT current_user"); got != "boss" {
		t.Errorf("logged in as %s", got)
	}
	_, err := pgconn.Connect(deadline(t), strings.Replace(c.DSN("postgres", "boss"), c.Password, "guess", 1))
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "28P01" {
		t.Errorf("a wrong password gives %v, want 28P01", err)
	}
}

func TestHBAAndSettingsOfTheCallerCount(t *testing.T) {
	c := startCluster(t, Options{
		HBA:      []string{"host all all 127.0.0.1/32 reject"},
		Settings: map[string]string{"application_name": "it's me"},
	})
	if _, err := pgconn.Connect(deadline(t), c.DSN("postgres", c.Superuser)); err == nil {
		t.Error("connected in spite of reject")
	}
	for setting, want := range map[string]string{"fsync": "off", "application_name": "it's me"} {
		out, err := c.Psql(deadline(t), "-Atc", "SELECT setting FROM pg_file_settings WHERE applied AND name = '"+setting+"'")
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%s: %q, %v; want %s", setting, out, err, want)
		}
	}
}

func TestTLSWithTheCertificateOfTheCluster(t *testing.T) {
	c := startCluster(t, Options{TLS: true})
	config, err := pgconn.ParseConfig(c.DSN("postgres", c.Superuser) + "&sslmode=verify-full&sslrootcert=" + c.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgconn.ConnectConfig(deadline(t), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, ok := conn.Conn().(*tls.Conn); !ok {
		t.Errorf("the connection is a %T", conn.Conn())
	}
}

func TestRestartKeepsDataAndPortAndEndsSessions(t *testing.T) {
	c := startCluster(t, Options{})
	if _, err := c.Psql(deadline(t), "-c", "CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)"); err != nil {
		t.Fatal(err)
	}
	old, err := pgconn.Connect(deadline(t), c.DSN("postgres", c.Superuser))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close(context.Background())
	port := c.Port
	if err := c.Restart(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if c.Port != port {
		t.Errorf("the port went from %d to %d", port, c.Port)
	}
	if got := query(t, c.DSN("postgres", c.Superuser), "SELECT id FROM kept"); got != "7" {
		t.Errorf("the row reads %s", got)
	}
	if _, err := old.Exec(deadline(t), "SELECT 1").ReadAll(); err == nil {
		t.Error("a session survived the restart")
	}
}

func TestPsqlStopsAtTheFirstError(t *testing.T) {
	out, err := Shared(t).Psql(deadline(t), "-c", "SELECT nonsense")
	if err == nil || !strings.Contains(err.Error(), `column "nonsense" does not exist`) {
		t.Errorf("psql said %q, %v", out, err)
	}
}

func TestStopLeavesNothing(t *testing.T) {
	c := startCluster(t, Options{})
	server := c.server
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	select {
	case <-server.ended:
	default:
		t.Error("the server still runs")
	}
	if err := c.Stop(); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
	if err := c.Restart(deadline(t)); err == nil {
		t.Error("a stopped cluster was restarted")
	}
}

func TestAKilledProcessLeavesNoServerAndNoFolder(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), startAndHang+"=1")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var dir string
	var pid int
	if _, err := fmt.Sscan(line, &dir, &pid); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // "signal: killed"
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) && !running(pid) {
			return
		}
		select {
		case <-deadline(t).Done():
			t.Fatalf("server %d running: %v; folder %s: %v", pid, running(pid), dir, err)
		case <-tick.C:
		}
	}
}

// running tells whether a process runs; one that ended and was not reaped by
// the container's first process does not.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestAServerThatCannotStartSaysWhyAndLeavesNoFolder(t *testing.T) {
	// Not t.TempDir, whose parent the server's account may not enter.
	dir, err := os.MkdirTemp("", "pgsluice-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	_, err = Start(deadline(t), Options{Settings: map[string]string{"no_such_setting": "1"}})
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("Start says %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestTheNewestVersionIsTaken(t *testing.T) {
	dirs := []string{"/usr/lib/postgresql/9.6/bin", "/usr/lib/postgresql/18/bin", "/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/junk/bin"}
	usable := func(string) bool { return true }
	if got := newest(dirs, usable); got != dirs[1] {
		t.Errorf("took %s", got)
	}
	if got := newest(dirs, func(dir string) bool { return dir != dirs[1] }); got != dirs[2] {
		t.Errorf("of the usable ones took %s", got)
	}
}

func TestAFolderWithoutServerNamesThePackage(t *testing.T) {
	t.Setenv("PGSLUICE_PG_BINDIR", t.TempDir())
	_, err := BinDir()
	if err == nil || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("BinDir says %v", err)
	}
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/proxy"
)

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"pgsluice": main})
}

// tests are run with the cluster that some of them share.
type tests struct{ m *testing.M }

func (t tests) Run() (code int) {
	pgcluster.Main(t.keep(&code))
	return code
}

func (t tests) keep(code *int) interface{ Run() int } {
	return runs(func() int { *code = t.m.Run(); return *code })
}

type runs func() int

func (r runs) Run() int { return r() }

// TestCLI runs the scripts that need no server.
func TestCLI(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "../../testdata/cli",
		RequireExplicitExec: true,
		Setup:               verifiers,
	})
}

// TestCLILive runs the scripts with a PostgreSQL and a pgsluice serve before it.
func TestCLILive(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "../../testdata/cli/live",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			tb := scriptTB{e, t}
			cluster := pgcluster.Shared(t)
			e.Setenv("SERVER", cluster.Addr())
			e.Setenv("DATABASE", cluster.NewDatabase(tb))
			e.Setenv("DSN", cluster.DSN(e.Getenv("DATABASE"), cluster.Superuser))
			return verifiers(e)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"serve": serveCommand,
			"held":  heldCommand,
		},
	})
}

// scriptTB is what pgcluster needs of a test, with cleanup at the script's end.
type scriptTB struct {
	env *testscript.Env
	t   *testing.T
}

func (s scriptTB) Helper()                   { s.t.Helper() }
func (s scriptTB) Fatalf(f string, a ...any) { s.t.Errorf(f, a...) }
func (s scriptTB) Cleanup(f func())          { s.env.Defer(f) }

// verifiers gives a script $VERIFIER, of the password in $PGPASSWORD.
func verifiers(e *testscript.Env) error {
	const password = "correct horse"
	v, err := proxy.NewSCRAMVerifier(password)
	if err != nil {
		return err
	}
	e.Setenv("VERIFIER", v)
	e.Setenv("PGPASSWORD", password)
	return nil
}

// serveCommand is "serve ARGS...": starts pgsluice serve and waits until it
// listens. It sets $PGHOST and $PGPORT, writes the log to serve.log, and stops it
// with SIGTERM at the end of the script, which must be its end.
func serveCommand(ts *testscript.TestScript, _ bool, args []string) {
	c := exec.Command("pgsluice", append([]string{"serve", "--listen", "127.0.0.1:0", "--log-format", "json"}, args...)...)
	c.Dir = ts.Getenv("WORK")
	c.Env = append(os.Environ(), "PGSLUICE_SERVER_ADDRESS="+ts.Getenv("SERVER"))
	stderr, err := c.StderrPipe()
	ts.Check(err)
	log, err := os.Create(filepath.Join(c.Dir, "serve.log"))
	ts.Check(err)
	ts.Check(c.Start())

	listening := make(chan string, 1)
	done := make(chan error, 1)
	go func() {
		defer close(listening)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			fmt.Fprintln(log, lines.Text())
			var said struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &said) == nil && said.Msg == "listening" {
				listening <- said.Address
			}
		}
		done <- c.Wait()
	}()
	address, ok := <-listening
	if !ok {
		text, _ := os.ReadFile(log.Name())
		ts.Fatalf("pgsluice serve does not listen: %v\n%s", <-done, text)
	}
	host, port, err := net.SplitHostPort(address)
	ts.Check(err)
	ts.Setenv("PGHOST", host)
	ts.Setenv("PGPORT", port)
	ts.Setenv("SERVE_PID", fmt.Sprint(c.Process.Pid))
	ts.Defer(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		for range listening { // until the log has ended
		}
		if err := <-done; err != nil {
			text, _ := os.ReadFile(log.Name())
			ts.Fatalf("pgsluice serve ended with %v\n%s", err, text)
		}
	})
}

// heldCommand is "held PERSON": waits until a request is pending.
func heldCommand(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgconn.Connect(ctx, fmt.Sprintf("host=%s port=%s user=%s password='%s' dbname=pgsluice sslmode=disable",
		ts.Getenv("PGHOST"), ts.Getenv("PGPORT"), args[0], ts.Getenv("PGPASSWORD")))
	ts.Check(err)
	defer conn.Close(ctx)
	for {
		result := conn.ExecParams(ctx, "SHOW REQUESTS", nil, nil, nil, nil).Read()
		ts.Check(result.Err)
		for _, row := range result.Rows {
			if strings.HasPrefix(string(row[1]), "pending") {
				return
			}
		}
	}
}

package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// aManager is the socket on which systemd would listen.
func aManager(t *testing.T) (*net.UnixConn, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, path
}

// told is the next message, line by line; heartbeats are left out unless they
// are what is waited for.
func told(t *testing.T, manager *net.UnixConn, first string) []string {
	t.Helper()
	if err := manager.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	for {
		n, err := manager.Read(b)
		if err != nil {
			t.Fatalf("waiting for %s: %v", first, err)
		}
		lines := strings.Split(string(b[:n]), "\n")
		if lines[0] == "WATCHDOG=1" && first != lines[0] {
			continue
		}
		if lines[0] != first {
			t.Fatalf("want %s, got %q", first, lines)
		}
		return lines
	}
}

func TestSystemdIsToldHowTheServiceStands(t *testing.T) {
	manager, path := aManager(t)
	c := aConfig(t)
	p := serveProcess(t, c, func(cmd *exec.Cmd) {
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=100000")
	})
	if ready := told(t, manager, "READY=1"); !strings.HasPrefix(ready[1], "STATUS=0 sessions") {
		t.Errorf("ready with %q", ready)
	}
	told(t, manager, "WATCHDOG=1")
	told(t, manager, "WATCHDOG=1")

	p.signal(t, syscall.SIGHUP)
	if reload := told(t, manager, "RELOADING=1"); len(reload) != 2 || !strings.HasPrefix(reload[1], "MONOTONIC_USEC=") {
		t.Errorf("reloading with %q", reload)
	}
	told(t, manager, "READY=1")
	if err := os.WriteFile(c.Policy, []byte("{"), 0o600); err != nil { // a bad reload ends, too
		t.Fatal(err)
	}
	p.signal(t, syscall.SIGHUP)
	told(t, manager, "RELOADING=1")
	told(t, manager, "READY=1")

	p.signal(t, syscall.SIGTERM)
	told(t, manager, "STOPPING=1")
	p.endsWell(t)
}

// A watchdog that was meant for the parent, or none at all, wants nothing of us.
func TestWatchdogOfAnotherProcess(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "1000000")
	t.Setenv("WATCHDOG_PID", "1")
	if m := managerFromEnvironment(); m.watchdog != 0 {
		t.Errorf("heartbeats every %s", m.watchdog)
	}
	t.Setenv("WATCHDOG_PID", "")
	if m := managerFromEnvironment(); m.watchdog != time.Second {
		t.Errorf("heartbeats every %s", m.watchdog)
	}
	t.Setenv("LISTEN_PID", "1")
	t.Setenv("LISTEN_FDS", "1")
	if l, err := passedListener(); l != nil || err != nil {
		t.Errorf("a socket of another process was taken: %v, %v", l, err)
	}
}

func TestSocketsThatSystemdPasses(t *testing.T) {
	cluster := pgcluster.Shared(t)
	for names, clients := range map[string]int{"pgsluice.socket": 0, "console:clients": 1, "clients:console": 0, "a:b": -1, "clients:clients": -1} {
		t.Run(names, func(t *testing.T) {
			c := aConfig(t)
			c.Server.Address = cluster.Addr()
			var addresses []string
			p := serveProcess(t, c, func(cmd *exec.Cmd) {
				for range strings.Split(names, ":") {
					l, err := net.Listen("tcp", "127.0.0.1:0")
					if err != nil {
						t.Fatal(err)
					}
					defer l.Close()
					addresses = append(addresses, l.Addr().String())
					f, err := l.(*net.TCPListener).File()
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { f.Close() })
					cmd.ExtraFiles = append(cmd.ExtraFiles, f)
				}
				// The process ID is known only in the child.
				serve := append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, cmd.Args...)
				sh := exec.Command("sh", serve...)
				sh.ExtraFiles = cmd.ExtraFiles
				sh.Env = append(os.Environ(), "LISTEN_FDS="+string(rune('0'+len(addresses))), "LISTEN_FDNAMES="+names)
				*cmd = *sh
			})
			if clients < 0 {
				for p.lines.Scan() {
					p.log = append(p.log, p.lines.Text())
				}
				p.ended = true
				if err := p.Wait(); err == nil || !slices.ContainsFunc(p.log, func(l string) bool { return strings.Contains(l, "FileDescriptorName=clients") }) {
					t.Errorf("it started, or did not say why not: %v\n%s", err, strings.Join(p.log, "\n"))
				}
				return
			}
			if got := p.said(t, "listening"); got != addresses[clients] {
				t.Errorf("it listens on %s, not on %s", got, addresses[clients])
			}
			conn, err := pgconn.Connect(t.Context(), cluster.DSNAt(addresses[clients], "postgres", cluster.Superuser))
			if err != nil {
				t.Fatal(err)
			}
			conn.Close(context.Background())
			p.signal(t, syscall.SIGTERM)
			p.endsWell(t)
		})
	}
}

// The units in contrib say what the code expects.
func TestUnits(t *testing.T) {
	for file, lines := range map[string][]string{
		"pgsluice.service": {"Type=notify", "WatchdogSec=", "ExecStart=/usr/bin/pgsluice serve --config "},
		"pgsluice.socket":  {"FileDescriptorName=" + passedName, "ListenStream=" + defaultConfig().Listen},
	} {
		text, err := os.ReadFile(filepath.Join("../../contrib", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if !strings.Contains(string(text), "\n"+l) {
				t.Errorf("%s does not say %s", file, l)
			}
		}
	}
}

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// BenchmarkIdleTLS is what 5,000 idle sessions cost in memory, in a process of
// their own, with TLS towards clients, and with TLS on both legs: each after a
// query, and each after it has changed rows under the built-in policy, too. With TLS
// towards clients it is to be less than 300 MB; see bulkBuffers in proxy/server.go for
// what it took.
func BenchmarkIdleTLS(b *testing.B) {
	for _, server := range []string{"disable", "require"} {
		for _, ran := range []struct {
			name string
			sql  []string
		}{
			{"read", []string{"SELECT 1"}},
			{"written", []string{
				"SELECT name FROM accounts WHERE id = 1",
				"UPDATE accounts SET name = 'x' WHERE id = %d",
				"UPDATE accounts SET name = 'y' WHERE id BETWEEN %[1]d AND %[1]d",
			}},
		} {
			b.Run("server="+server+"/"+ran.name, func(b *testing.B) {
				for b.Loop() {
					idleTLS(b, server, ran.sql)
				}
			})
		}
	}
}

func idleTLS(b *testing.B, serverMode string, statements []string) {
	const sessions = 5000
	_, cert, key := pki(b, "proxy.example")
	own, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		b.Fatal(err)
	}
	cluster := pgcluster.Shared(b)
	db := cluster.NewDatabase(b)
	if _, err := cluster.Psql(b.Context(), "-d", db, "-c", `DO $$ BEGIN CREATE ROLE alice LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
		CREATE TABLE accounts (id int PRIMARY KEY, name text); GRANT ALL ON accounts TO alice;
		INSERT INTO accounts SELECT g FROM generate_series(1, 5000) g; ANALYZE accounts`); err != nil {
		b.Fatal(err)
	}
	c := aConfig(b)
	c.Policy = ""
	server := &idleServer{to: cluster.Addr(), offered: &tls.Config{Certificates: []tls.Certificate{own}}, backends: map[string]net.Conn{}}
	c.Server.Address = server.listen(b)
	p := serveProcess(b, c, func(cmd *exec.Cmd) {
		cmd.Args = append(cmd.Args, "--tls-cert", cert, "--tls-key", key, "--server-tls-mode", serverMode,
			"--limits-sessions", "6000", "--limits-before-login", "1000")
	})
	address := p.said(b, "listening")
	before := resident(b, p.Process.Pid)

	conns := make(chan net.Conn, sessions)
	var all sync.WaitGroup
	for worker := range 20 {
		all.Go(func() {
			for n := worker; n < sessions; n += 20 {
				name := strconv.Itoa(n)
				conn, err := idleClient(address, db, name, statements, n+1)
				if err != nil {
					b.Error(err)
					return
				}
				server.release(name)
				conns <- conn
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(before)/1024, "MB-empty")
	after := resident(b, p.Process.Pid)
	b.ReportMetric(float64(after)/1024, "MB-in-all")
	b.ReportMetric(float64(after-before)/sessions, "KB/session")
	if serverMode == "disable" && after > 300<<10 {
		b.Errorf("%d sessions take %d MB", sessions, after>>10)
	}
	close(conns)
	for conn := range conns {
		conn.Close()
	}
	p.signal(b, os.Interrupt)
	p.endsWell(b)
}

// resident is the memory of a process in KB.
func resident(b *testing.B, pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte("VmRSS:"))
	kb, err := strconv.Atoi(string(bytes.Fields(rest)[0]))
	if err != nil {
		b.Fatal(err)
	}
	return kb
}

var sslRequest = binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, 80877103)

// idleClient logs in over TLS and runs statements, of the account that is its own.
func idleClient(address, database, name string, statements []string, account int) (net.Conn, error) {
	raw, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	if _, err := raw.Write(sslRequest); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(raw, make([]byte, 1)); err != nil {
		return nil, err
	}
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	client := pgproto3.NewFrontend(conn, conn)
	client.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30,
		Parameters: map[string]string{"user": "alice", "database": database, "application_name": name}})
	if err := untilReady(client); err != nil {
		return nil, err
	}
	for _, sql := range statements {
		if strings.Contains(sql, "%") {
			sql = fmt.Sprintf(sql, account)
		}
		client.Send(&pgproto3.Query{String: sql})
		if err := untilReady(client); err != nil {
			return nil, fmt.Errorf("%s: %w", sql, err)
		}
	}
	return conn, nil
}

func untilReady(client *pgproto3.Frontend) error {
	if err := client.Flush(); err != nil {
		return err
	}
	for {
		m, err := client.Receive()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			return errors.New(m.Message)
		case *pgproto3.ReadyForQuery:
			return nil
		}
	}
}

// idleServer is a PostgreSQL whose sessions stay when their processes are let go:
// 5,000 of those are more than a machine for tests has memory for.
type idleServer struct {
	to      string
	offered *tls.Config

	mu       sync.Mutex
	backends map[string]net.Conn // by application_name
}

// release lets a session's process go. The session says no more.
func (s *idleServer) release(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backends[name].Close()
	delete(s.backends, name)
}

func (s *idleServer) listen(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	b.Cleanup(func() { stop(); l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { conn.Close() })
			go func() {
				defer conn.Close()
				s.serve(conn)
			}()
		}
	}()
	return l.Addr().String()
}

func (s *idleServer) serve(conn net.Conn) {
	for {
		first, err := pgproto3.NewBackend(conn, conn).ReceiveStartupMessage()
		if err != nil {
			return
		}
		if start, ok := first.(*pgproto3.StartupMessage); ok {
			s.relay(conn, start)
			return
		}
		if _, err := conn.Write([]byte{'S'}); err != nil {
			return
		}
		conn = tls.Server(conn, s.offered)
	}
}

// relay passes on what both sides say, the end of the server's process excepted.
func (s *idleServer) relay(conn net.Conn, start *pgproto3.StartupMessage) {
	backend, err := net.Dial("tcp", s.to)
	if err != nil {
		return
	}
	defer backend.Close()
	said, err := start.Encode(nil)
	if err != nil {
		return
	}
	if _, err := backend.Write(said); err != nil {
		return
	}
	s.mu.Lock()
	s.backends[start.Parameters["application_name"]] = backend
	s.mu.Unlock()
	go func() { _, _ = io.Copy(conn, unspliced{backend}) }()
	_, _ = io.Copy(backend, unspliced{conn})
	_, _ = io.Copy(io.Discard, conn)
}

// unspliced hides from io.Copy what it would take a pipe for: two more open files.
type unspliced struct{ io.Reader }

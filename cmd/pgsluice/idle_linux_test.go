package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// BenchmarkIdleTLS is what 5,000 idle sessions cost in memory, in a process of
// their own, each after one query: with TLS towards clients, and with TLS on both
// legs. The aim is 300 MB; see bulkBuffers in proxy/server.go for what it took.
func BenchmarkIdleTLS(b *testing.B) {
	for _, server := range []string{"disable", "require"} {
		b.Run("server="+server, func(b *testing.B) {
			for b.Loop() {
				idleTLS(b, server)
			}
		})
	}
}

func idleTLS(b *testing.B, serverMode string) {
	const sessions = 5000
	_, cert, key := pki(b, "proxy.example")
	own, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		b.Fatal(err)
	}
	c := aConfig(b)
	c.Server.Address = idleServer(b, &tls.Config{Certificates: []tls.Certificate{own}})
	p := serveProcess(b, c, func(cmd *exec.Cmd) {
		cmd.Args = append(cmd.Args, "--tls-cert", cert, "--tls-key", key, "--server-tls-mode", serverMode,
			"--limits-sessions", "6000", "--limits-before-login", "1000")
	})
	address := p.said(b, "listening")
	before := resident(b, p.Process.Pid)

	conns := make(chan net.Conn, sessions)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range sessions / 20 {
				conn, err := idleClient(address)
				if err != nil {
					b.Error(err)
					return
				}
				conns <- conn
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(before)/1024, "MB-empty")
	b.ReportMetric(float64(resident(b, p.Process.Pid))/1024, "MB-in-all")
	b.ReportMetric(float64(resident(b, p.Process.Pid)-before)/sessions, "KB/session")
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

// idleClient logs in over TLS and runs one query.
func idleClient(address string) (net.Conn, error) {
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
	client.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "alice", "database": "shop"}})
	for range 2 {
		if err := client.Flush(); err != nil {
			return nil, err
		}
		for {
			m, err := client.Receive()
			if err != nil {
				return nil, err
			}
			if _, ready := m.(*pgproto3.ReadyForQuery); ready {
				break
			}
		}
		client.Send(&pgproto3.Query{String: "SELECT 1"})
	}
	return conn, nil
}

// idleServer answers every query with nothing, as a server would.
func idleServer(b *testing.B, offered *tls.Config) string {
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
				serveIdle(conn, offered)
			}()
		}
	}()
	return l.Addr().String()
}

func serveIdle(conn net.Conn, offered *tls.Config) {
	server := pgproto3.NewBackend(conn, conn)
	for {
		first, err := server.ReceiveStartupMessage()
		if err != nil {
			return
		}
		if _, asked := first.(*pgproto3.SSLRequest); !asked {
			break
		}
		if _, err := conn.Write([]byte{'S'}); err != nil {
			return
		}
		conn = tls.Server(conn, offered)
		server = pgproto3.NewBackend(conn, conn)
	}
	server.Send(&pgproto3.AuthenticationOk{})
	for name, value := range map[string]string{"client_encoding": "UTF8", "standard_conforming_strings": "on"} {
		server.Send(&pgproto3.ParameterStatus{Name: name, Value: value})
	}
	server.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte("key!")})
	for {
		server.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if server.Flush() != nil {
			return
		}
		if _, err := server.Receive(); err != nil {
			return
		}
		server.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 0")})
	}
}

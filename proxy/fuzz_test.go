package proxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
	"github.com/pgsluice/pgsluice/policy/approval/ledger"
	"github.com/pgsluice/pgsluice/policy/audit"
)

// fuzzProxy serves with a policy that blocks everything; dialled gets the
// server's end of each session.
func fuzzProxy(f *testing.F) (*Proxy, chan *memConn) {
	f.Helper()
	p, err := policy.Parse("policy.yaml", []byte(`
version: 1
defaults: {allowed: block, unparsed: block, unknown: block}
rules:
  - id: nothing
    match: {statement: [write]}
    action: block
`), nil)
	if err != nil {
		f.Fatal(err)
	}
	dialled := make(chan *memConn, 1)
	return testProxy(f, p, func(context.Context) (net.Conn, error) {
		near, far := memPipe()
		dialled <- far
		return near, nil
	}), dialled
}

// testProxy is a proxy with a ledger and an audit log of its own.
func testProxy(tb testing.TB, p *policy.Policy, dial func(context.Context) (net.Conn, error)) *Proxy {
	tb.Helper()
	l, err := ledger.OpenSQLite(filepath.Join(tb.TempDir(), "ledger.db"))
	if err != nil {
		tb.Fatal(err)
	}
	log, err := audit.Open(filepath.Join(tb.TempDir(), "audit"))
	if err != nil {
		tb.Fatal(err)
	}
	service, err := approval.New(approval.Config{Ledger: l, Recorder: log, Now: time.Now,
		People: approval.NewPeople(wirePeople, wireGroups)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { service.Close(); l.Close(); log.Close() })
	proxy, err := New(Config{
		Server: "server", Policy: func() *policy.Policy { return p }, Reader: policy.NewReader(),
		Approvals: service, MaxWait: 0, Log: zap.NewNop(), Dial: dial,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return proxy
}

// startupBytes is what a client sends first, helloBytes what a server answers.
var startupBytes, helloBytes = func() (startup, hello []byte) {
	body := []byte("\x00\x03\x00\x00user\x00alice\x00database\x00shop\x00\x00")
	startup = append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)
	for _, m := range []string{"R\x00\x00\x00\x00", "Sclient_encoding\x00UTF8\x00",
		"Sstandard_conforming_strings\x00on\x00", "K\x00\x00\x00\x07key!", "ZI"} {
		hello = appendFrame(hello, m[0], func(b []byte) []byte { return append(b, m[1:]...) })
	}
	return startup, hello
}()

var readyBytes = []byte("Z\x00\x00\x00\x05I")

// FuzzClientBytes: whatever a client sends, nothing that could run reaches the
// server past a policy that blocks everything, and the session ends with the
// client.
func FuzzClientBytes(f *testing.F) {
	p, dialled := fuzzProxy(f)
	for _, script := range []string{
		`Query "DELETE FROM t"`, `Parse "" "DELETE FROM t"`, `Bind "" ""`, `Execute ""`, `Sync`, `Flush`,
		`FunctionCall 964`, `CopyData "x"`, `CopyDone`, `CopyFail "x"`, `Close S "x"`, `Describe P ""`, `Terminate`,
		`Query "SELECT 1; DROP TABLE t"`, `Query "PREPARE d AS DELETE FROM t; EXECUTE d"`,
	} {
		b, err := scriptMessage(script)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("Q\x00\x00\x00\x03"))
	f.Add([]byte("P\x7f\xff\xff\xff"))
	f.Add([]byte("Q\x00\x00\x00\x10DELETE FROM"))
	f.Fuzz(func(t *testing.T, said []byte) {
		near, far := memPipe()
		near.Write(startupBytes)
		near.Write(said)
		near.CloseWrite()
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.serveConn(t.Context(), far)
		}()
		server := <-dialled
		server.Write(helloBytes)
		got := refuseAll(server)
		server.Close()
		<-done
		whole, _ := splitFrames(got)
		for _, frame := range whole {
			switch frame[0] {
			case 'Q':
				read := p.c.Reader.Read(queryText(frame), policy.Lexing{Encoding: "UTF8", StandardConformingStrings: true, Known: true})
				if len(read) > 0 && !bytes.HasPrefix(frame[headerLen:], []byte("pgsluice refused")) {
					t.Errorf("a Query went through: %q", frame)
				}
			case 'B':
				if bytes.Count(frame[headerLen:], []byte{0}) > 1 { // it names a portal and a statement
					t.Errorf("a Bind went through: %q", frame)
				}
			case 'F':
				if len(frame) >= headerLen+4 && !bytes.Equal(frame[headerLen:headerLen+4], []byte{0, 0, 0, 0}) {
					t.Errorf("a FunctionCall went through: %q", frame)
				}
			}
		}
	})
}

// refuseAll is a server that refuses what it is sent as PostgreSQL refuses a
// poison, and returns all of it. It goes away when the proxy asks it a question
// of its own, or breaks the protocol.
func refuseAll(server *memConn) (got []byte) {
	startup := make([]byte, len(startupBytes))
	if _, err := io.ReadFull(server, startup); err != nil {
		return nil
	}
	for skipping := false; ; {
		frame, err := readFrame(server)
		if err != nil || bytes.Contains(frame, []byte("pgsluice_ask")) {
			return got // the client, or the proxy, has said all it will
		}
		got = append(got, frame...)
		var answer []byte
		switch typ := frame[0]; {
		case typ == 'S':
			skipping, answer = false, readyBytes
		case skipping || typ == 'd' || typ == 'c' || typ == 'f' || typ == 'X' || typ == 'H' && len(frame) == headerLen:
		case typ == 'F':
			answer = append(violated(errors.New("")).frame("ERROR"), readyBytes...)
			answer = bytes.Replace(answer, []byte(codeProtocol), []byte("42883"), 1)
		case typ == 'Q':
			answer = append(bytes.Replace(violated(errors.New("")).frame("ERROR"), []byte(codeProtocol), []byte("42601"), 1), readyBytes...)
		default:
			answer, skipping = bytes.Replace(violated(errors.New("")).frame("ERROR"), []byte(codeProtocol), []byte("42601"), 1), true
		}
		server.Write(answer)
	}
}

// FuzzServerBytes: whatever a server sends, the session ends without a panic.
func FuzzServerBytes(f *testing.F) {
	p, dialled := fuzzProxy(f)
	f.Add([]byte("C\x00\x00\x00\x0dSELECT 1\x00Z\x00\x00\x00\x05I"))
	f.Add([]byte("E\x00\x00\x00\x10SERROR\x00C42601\x00\x00Z\x00\x00\x00\x05I"))
	f.Add([]byte("D\x7f\xff\xff\xff"))
	f.Add([]byte("Z\x00\x00\x00\x04"))
	f.Add([]byte("S\x00\x00\x00\x05x"))
	f.Fuzz(func(t *testing.T, said []byte) {
		near, far := memPipe()
		near.Write(startupBytes)
		query, err := scriptMessage(`Query "SELECT"`)
		if err != nil {
			t.Fatal(err)
		}
		near.Write(query)
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.serveConn(t.Context(), far)
		}()
		server := <-dialled
		server.Write(helloBytes)
		server.Write(said)
		server.CloseWrite()
		if _, err := io.ReadAll(near); err != nil {
			t.Fatal(err)
		}
		near.Close()
		<-done
		server.Close()
	})
}

// FuzzStartup: whatever comes first, the answer is one that PostgreSQL could
// give, and nothing is dialled before a complete StartupMessage.
func FuzzStartup(f *testing.F) {
	p, dialled := fuzzProxy(f)
	f.Add([]byte("\x00\x00\x00\x08\x04\xd2\x16\x2f"))
	f.Add([]byte("\x00\x00\x00\x08\x04\xd2\x16\x30"))
	f.Add([]byte("\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x00\x07key!"))
	f.Add(startupBytes)
	f.Add([]byte("\x00\x00\x00\x08\x00\x02\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x04"))
	f.Add([]byte("\x00\x00\x27\x11\x00\x03\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x23\x00\x03\x27\x0fuser\x00a\x00_pq_.grease\x00x\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, said []byte) {
		near, far := memPipe()
		near.Write(said)
		near.CloseWrite()
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.serveConn(t.Context(), far)
		}()
		select {
		case server := <-dialled:
			server.CloseWrite() // nobody logs in: what is said too early waits no longer
			packet, err := io.ReadAll(server)
			if err != nil {
				t.Fatal(err)
			}
			if len(packet) > 0 {
				whole := len(packet) > 8 && int(binary.BigEndian.Uint32(packet)) <= len(packet)
				if !whole || packet[binary.BigEndian.Uint32(packet)-1] != 0 {
					t.Errorf("a startup packet that is none went through: %q", packet)
				}
			}
			server.Close()
			<-done
		case <-done:
			select {
			case server := <-dialled:
				server.Close()
			default:
			}
		}
		far.Close()
	})
}

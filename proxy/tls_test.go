package proxy

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// secured asks the proxy for TLS, if ask is set, and makes the handshake.
func secured(t *testing.T, addr string, ask bool, c *tls.Config) (*tls.Conn, error) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	if ask {
		conn.Write(sslRequest)
		var answer [1]byte
		if _, err := io.ReadFull(conn, answer[:]); err != nil || answer[0] != 'S' {
			t.Fatalf("answer to SSLRequest: %q, %v", answer, err)
		}
	}
	c = c.Clone()
	c.InsecureSkipVerify = true
	over := tls.Client(conn, c)
	return over, over.Handshake()
}

var sslRequest = binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, codeSSLRequest)

// startsUp says over conn who it is, and reports whether a session follows.
func startsUp(conn net.Conn, version uint32, more ...string) (*pgproto3.Frontend, error) {
	b := binary.BigEndian.AppendUint32(make([]byte, 4), version)
	for _, s := range append([]string{"user", "alice", "database", "postgres"}, more...) {
		b = appendCString(b, s)
	}
	b = append(b, 0)
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	if _, err := conn.Write(b); err != nil {
		return nil, err
	}
	f := pgproto3.NewFrontend(conn, conn)
	for {
		m, err := f.Receive()
		if err != nil {
			return nil, err
		}
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			return nil, errors.New(m.Message)
		case *pgproto3.ReadyForQuery:
			return f, nil
		}
	}
}

// TestDirectTLS: a handshake may come first if it names the protocol, whatever the
// server's version; a client of another protocol gets nowhere.
func TestDirectTLS(t *testing.T) {
	cluster := pgcluster.Shared(t)
	inventory(t, cluster)
	r := serveWith(t, cluster, allowAll, func(c *Config) { c.ClientTLS, c.RequireClientTLS = selfSigned(t), true })
	for _, c := range []struct {
		what   string
		ask    bool
		protos []string
		ok     bool
	}{
		{"direct", false, []string{"postgresql"}, true},
		{"direct, among others", false, []string{"http/1.1", "postgresql"}, true},
		{"direct without a name", false, nil, false},
		{"direct with another name", false, []string{"http/1.1"}, false},
		{"asked for", true, []string{"postgresql"}, true},
		{"asked for without a name", true, nil, true},
		{"asked for with another name", true, []string{"h2"}, false},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			conn, err := secured(t, r.addr, c.ask, &tls.Config{NextProtos: c.protos, MaxVersion: version})
			if err == nil {
				_, err = startsUp(conn, 3<<16)
			}
			if (err == nil) != c.ok {
				t.Errorf("%s, TLS %x: %v", c.what, version, err)
			}
		}
	}
	plain := serveWith(t, cluster, allowAll, nil)
	if _, err := secured(t, plain.addr, false, &tls.Config{NextProtos: []string{"postgresql"}}); err == nil {
		t.Error("a proxy without a certificate made a direct handshake")
	}
	if _, err := secured(t, r.addr, true, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is good enough")
	}
	over, err := secured(t, r.addr, true, &tls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	over.Write(sslRequest)
	if said, _ := io.ReadAll(over); !strings.Contains(string(said), "unsupported frontend protocol 1234.5679") {
		t.Errorf("SSLRequest inside TLS: %q", said)
	}
}

// TestNothingBeforeTLSCounts: what somebody in between put before the handshake is
// not taken for something said inside it (CVE-2021-23214, CVE-2021-23222).
func TestNothingBeforeTLSCounts(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, allowAll, func(c *Config) { c.ClientTLS = selfSigned(t) })
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	conn.Write(append(append([]byte{}, sslRequest...), startupBytes...))
	said, err := io.ReadAll(conn)
	if len(said) == 0 || said[0] != 'S' || strings.Contains(string(said), "alice") || len(said) > 1+7 { // a TLS alert has seven bytes
		t.Errorf("a startup packet behind SSLRequest is answered with %q, %v", said, err)
	}
	if n := len(r.proxy.Sessions()); n != 0 {
		t.Errorf("%d sessions began", n)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			server, err := l.Accept()
			if err != nil {
				return
			}
			io.ReadFull(server, make([]byte, 8))
			server.Write(append([]byte{'S'}, helloBytes...))
			io.Copy(io.Discard, server)
			server.Close()
		}
	}()
	for _, required := range []bool{true, false} {
		e := serveWith(t, cluster, allowAll, func(c *Config) {
			c.Dial = func(ctx context.Context) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
			}
			c.ServerTLS = ServerTLS{Config: &tls.Config{InsecureSkipVerify: true}, Required: required}
		})
		conn, err := net.Dial("tcp", e.addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(time.Minute))
		if _, err := startsUp(conn, 3<<16); err == nil || !strings.Contains(err.Error(), "cannot connect to its server") {
			t.Errorf("messages behind the server's S: %v", err)
		}
		conn.Close()
	}
}

// TestSetTLS: what is swapped counts for who comes then, and for nobody before;
// what cannot be in force leaves what is.
func TestSetTLS(t *testing.T) {
	cluster := pgcluster.Shared(t)
	inventory(t, cluster)
	before, after := selfSigned(t), selfSigned(t)
	r := serveWith(t, cluster, allowAll, func(c *Config) { c.ClientTLS = before })
	shown := func() []byte {
		t.Helper()
		conn, err := secured(t, r.addr, true, &tls.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return conn.ConnectionState().PeerCertificates[0].Raw
	}
	open, err := secured(t, r.addr, true, &tls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := startsUp(open, 3<<16)
	if err != nil {
		t.Fatal(err)
	}
	if got := shown(); string(got) != string(before.Certificates[0].Certificate[0]) {
		t.Error("another certificate is shown than was given")
	}
	if err := r.proxy.SetTLS(TLS{ClientTLS: after, RequireClientTLS: true}); err != nil {
		t.Fatal(err)
	}
	for what, wrong := range map[string]TLS{
		"nothing to offer":               {RequireClientTLS: true},
		"no certificate":                 {ClientTLS: &tls.Config{}},
		"names of whom nobody verifies":  {ClientTLS: after, ClientCertUser: true},
		"names without TLS":              {ClientCertUser: true},
		"direct without TLS":             {ServerTLS: ServerTLS{Direct: true}},
		"direct that might be plaintext": {ServerTLS: ServerTLS{Direct: true, Config: &tls.Config{}}},
	} {
		if r.proxy.SetTLS(wrong) == nil {
			t.Errorf("%s: taken", what)
		}
	}
	if got := shown(); string(got) != string(after.Certificates[0].Certificate[0]) {
		t.Error("the new certificate is not shown")
	}
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := startsUp(conn, 3<<16); err == nil || !strings.Contains(err.Error(), "only TLS") {
		t.Errorf("TLS is required now: %v", err)
	}
	f.Send(&pgproto3.Query{String: "SELECT 1"})
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	if m, err := f.Receive(); err != nil {
		t.Errorf("the session from before got %T, %v", m, err)
	}
}

// TestEndPoint is RFC 5929, section 4.1: SHA-256 in place of MD5 and SHA-1, else the
// hash of the signature, and no binding where there is none.
func TestEndPoint(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for algorithm, size := range map[x509.SignatureAlgorithm]int{
		x509.SHA256WithRSA: 32, x509.SHA384WithRSA: 48, x509.SHA512WithRSA: 64, x509.SHA512WithRSAPSS: 64, x509.PureEd25519: 0,
	} {
		var key crypto.Signer = rsaKey
		if algorithm == x509.PureEd25519 {
			key = edKey
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, SignatureAlgorithm: algorithm}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(endPoint(c)); got != size {
			t.Errorf("%v: a hash of %d bytes, not %d", algorithm, got, size)
		}
	}
	for _, weak := range []x509.SignatureAlgorithm{x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1} {
		if got := len(endPoint(&x509.Certificate{SignatureAlgorithm: weak})); got != 32 {
			t.Errorf("%v: a hash of %d bytes", weak, got)
		}
	}
}

// TestDirectTLSToTheServer: no SSLRequest goes out, and a server that does not name
// the protocol is none.
func TestDirectTLSToTheServer(t *testing.T) {
	cluster := pgcluster.Shared(t)
	for _, protos := range [][]string{{"postgresql"}, nil} {
		own := selfSigned(t)
		own.NextProtos = protos
		l, err := tls.Listen("tcp", "127.0.0.1:0", own)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			server, err := l.Accept()
			if err != nil {
				return
			}
			defer server.Close()
			if code, _, err := readStartupPacket(server); err == nil && code == 3<<16 {
				server.Write(helloBytes)
				io.Copy(io.Discard, server)
			}
		}()
		r := serveWith(t, cluster, allowAll, func(c *Config) {
			c.Dial = func(ctx context.Context) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
			}
			c.ServerTLS = ServerTLS{Config: insecure.Config, Required: true, Direct: true}
		})
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(time.Minute))
		if _, err := startsUp(conn, 3<<16); (err == nil) != (protos != nil) {
			t.Errorf("a server that names %v: %v", protos, err)
		}
	}
}

// TestProtocolBehindSCRAM: what the client speaks is settled with the proxy, before
// the server is asked, and whatever version that has.
func TestProtocolBehindSCRAM(t *testing.T) {
	h := newAuthHouse(t)
	r := serveWith(t, h.Cluster, allowAll, func(c *Config) { c.Auth.File = h.verifiers(t) })
	for version, told := range map[uint32]bool{3 << 16: false, 3<<16 | 2: false, 3<<16 | 9999: true} {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(time.Minute))
		b := binary.BigEndian.AppendUint32(make([]byte, 4), version)
		for _, s := range []string{"user", "app", "database", "postgres"} {
			b = appendCString(b, s)
		}
		b = append(b, 0)
		binary.BigEndian.PutUint32(b, uint32(len(b)))
		conn.Write(b)
		got := ""
		x := scramClient{keys: func(salt []byte, n int) (loginKeys, error) { return keysOf("secret", salt, n) }}
		for got == "" || got[len(got)-1] != 'Z' {
			typ, body, err := readServerFrame(conn)
			if err != nil {
				t.Fatalf("%x: after %q: %v", version, got, err)
			}
			if typ == 'E' {
				t.Fatalf("%x: %q", version, body)
			}
			if typ != 'R' {
				got += string(typ)
				continue
			}
			kind := binary.BigEndian.Uint32(body)
			got += string('0' + byte(kind%10))
			switch kind {
			case authenticationSASL:
				answer, err := x.initialResponse(body[4:], false)
				if err != nil {
					t.Fatal(err)
				}
				conn.Write(appendFrame(nil, 'p', func(b []byte) []byte { return append(b, answer...) }))
			case authenticationSASLContinue:
				answer, err := x.respond(string(body[4:]))
				if err != nil {
					t.Fatal(err)
				}
				conn.Write(appendFrame(nil, 'p', func(b []byte) []byte { return append(b, answer...) }))
			case authenticationSASLFinal:
				if err := x.conclude(string(body[4:])); err != nil {
					t.Error(err)
				}
			}
		}
		if want := map[bool]string{true: "v0120S", false: "0120S"}[told]; !strings.HasPrefix(got, want) || strings.Count(got, "v") > strings.Count(want, "v") {
			t.Errorf("%x: messages %q, not %s...", version, got, want)
		}
	}
}

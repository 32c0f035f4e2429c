package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/proxy"
)

const testPassword = "correct horse"

// aConfig is a configuration with bob of group dba and a state of its own.
func aConfig(t testing.TB) *config {
	t.Helper()
	verifier, err := proxy.NewSCRAMVerifier(testPassword)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := defaultConfig()
	c.Listen = "127.0.0.1:0"
	c.Ledger = "sqlite:" + filepath.Join(dir, "state", "ledger.db")
	c.AuditDir = filepath.Join(dir, "state", "audit")
	c.Policy = filepath.Join(dir, "policy.yaml")
	writePolicy(t, c, "first")
	c.People = []personConfig{
		{Name: "bob", Groups: []string{"dba"}, Logins: []string{"bob"}, Password: verifier},
		{Name: "carol", Groups: []string{"dba"}, Password: verifier},
	}
	return c
}

func writePolicy(t testing.TB, c *config, rule string) {
	t.Helper()
	text := "version: 1\nrules:\n  - {id: " + rule + ", match: {statement: [truncate]}, action: hold, approve: [{group: dba, count: 1}]}\n"
	if err := os.WriteFile(c.Policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func started(t *testing.T, c *config) *running {
	t.Helper()
	r, err := startProxy(t.Context(), c, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestStoppedProxyLeavesNothingBehind(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	c := aConfig(t)
	for range 2 { // the second finds ledger and audit log free, and its state in order
		r := started(t, c)
		conn, err := net.Dial("tcp", r.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if err := r.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		if conn, err := net.Dial("tcp", r.Addr().String()); err == nil {
			conn.Close()
			t.Error("it still listens")
		}
	}
	goleak.VerifyNone(t, leaks)
}

func TestStopEndsSessionsOfTheConsole(t *testing.T) {
	r := started(t, aConfig(t))
	conn := console(t, r.Addr().String(), "bob")
	drained, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Stop(drained); err != nil {
		t.Fatal(err)
	}
	if drained.Err() != nil {
		t.Error("the session had to be cut off")
	}
	if _, err := conn.Exec(context.Background(), "SHOW HELP").ReadAll(); err == nil {
		t.Error("the session goes on")
	}
}

// With all sessions taken, and all held, people still get in to decide.
func TestConsoleHasRoomWhenAllSessionsAreTaken(t *testing.T) {
	cluster := pgcluster.Shared(t)
	c := aConfig(t)
	c.Server.Address = cluster.Addr()
	c.Limits.Sessions = 1
	r := started(t, c)
	defer r.Stop(context.Background())
	dsn := cluster.DSNAt(r.Addr().String(), "postgres", cluster.Superuser)
	only, err := pgconn.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer only.Close(context.Background())
	if _, err := pgconn.Connect(t.Context(), dsn); err == nil {
		t.Error("there is room for a second session")
	}
	if _, err := console(t, r.Addr().String(), "bob").Exec(t.Context(), "SHOW SESSIONS").ReadAll(); err != nil {
		t.Error(err)
	}
}

func console(t *testing.T, address, person string) *pgconn.PgConn {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=%s port=%s user=%s password='%s' dbname=pgsluice sslmode=disable", host, port, person, testPassword))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func TestStartSaysWhatIsMissing(t *testing.T) {
	for what, break_ := range map[string]func(c *config){
		"nobody":             func(c *config) { c.People = nil },
		"no password":        func(c *config) { c.People[0].Password, c.People[1].Password = "", "" },
		"no server":          func(c *config) { c.Server.Address = "" },
		"no policy there":    func(c *config) { c.Policy = "/there/is/none" },
		"no ledger possible": func(c *config) { c.Ledger = "sqlite:/dev/null/ledger.db" },
		"no audit log":       func(c *config) { c.AuditDir = "/dev/null/audit" },
		"a taken address":    func(c *config) { c.Listen = "192.0.2.1:1" },
		"a zero config":      func(c *config) { *c = config{} },
	} {
		t.Run(what, func(t *testing.T) {
			leaks := goleak.IgnoreCurrent()
			c := aConfig(t)
			break_(c)
			r, err := startProxy(t.Context(), c, zap.NewNop())
			if err == nil {
				t.Errorf("it started: %v", r.Stop(t.Context()))
			}
			goleak.VerifyNone(t, leaks)
		})
	}
}

func TestReloadWithAMistakeChangesNothing(t *testing.T) {
	c := aConfig(t)
	r := started(t, c)
	defer r.Stop(t.Context())
	before := r.inForce.Load()

	if err := os.WriteFile(c.Policy, []byte("version: 1\nrulez: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := r.reload(t.Context(), "bob")
	var findings policy.Findings
	if !errors.As(err, &findings) || findings[0].Line != 2 {
		t.Errorf("want a finding in line 2, got %v", err)
	}
	writePolicy(t, c, "second")
	c.reread = func() (*config, error) { return nil, policy.Findings{{File: "c", Line: 1, Column: 1, Message: "no"}} }
	if r.reload(t.Context(), "bob") == nil {
		t.Error("a configuration with a mistake was taken")
	}
	if r.inForce.Load() != before {
		t.Error("something changed")
	}

	c.reread = nil
	if err := r.reload(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	if got := r.policy().Rules()[0].ID; got != "second" {
		t.Errorf("the rule in force is %s", got)
	}
}

// process is pgsluice serve as an operator runs it.
type process struct {
	*exec.Cmd
	lines *bufio.Scanner
	log   []string
	ended bool
}

func serveProcess(t testing.TB, c *config, edit ...func(*exec.Cmd)) *process {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pgsluice.yaml")
	text := fmt.Sprintf("listen: 127.0.0.1:0\nserver: {address: %q}\npolicy: %s\nledger: %s\naudit: {dir: %s}\ndrain: %s\nlog: {format: json}\npeople:\n",
		c.Server.Address, c.Policy, c.Ledger, c.AuditDir, c.Drain)
	for _, p := range c.People {
		text += fmt.Sprintf("  - {name: %s, groups: [dba], logins: [%s], password: %q}\n", p.Name, strings.Join(p.Logins, ", "), p.Password)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command("pgsluice", "serve", "--config", file)}
	for _, f := range edit {
		f(p.Cmd)
	}
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(stderr)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !p.ended {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
	})
	return p
}

// said waits until the log has the message, and returns its address.
func (p *process) said(t testing.TB, msg string) string {
	t.Helper()
	for p.lines.Scan() {
		p.log = append(p.log, p.lines.Text())
		var line struct{ Msg, Address string }
		if err := json.Unmarshal(p.lines.Bytes(), &line); err != nil {
			t.Fatalf("the log is not JSON: %s", p.lines.Text())
		}
		if line.Msg == msg {
			return line.Address
		}
	}
	t.Fatalf("it never said %q, but\n%s", msg, strings.Join(p.log, "\n"))
	return ""
}

func (p *process) signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// endsWell waits for the end, which has to be exit code 0.
func (p *process) endsWell(t testing.TB) {
	t.Helper()
	p.said(t, "stopped")
	for p.lines.Scan() {
	}
	p.ended = true
	if err := p.Wait(); err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestServeObeysSignals(t *testing.T) {
	c := aConfig(t)
	p := serveProcess(t, c)
	conn := console(t, p.said(t, "listening"), "bob")

	writePolicy(t, c, "second")
	p.signal(t, syscall.SIGHUP)
	p.said(t, "reloaded")
	results, err := conn.Exec(t.Context(), "SHOW POLICY").ReadAll()
	if err != nil || string(results[0].Rows[0][0]) != "second" {
		t.Errorf("after SIGHUP: %v, %v", results, err)
	}
	if err := os.WriteFile(c.Policy, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.signal(t, syscall.SIGHUP)
	p.said(t, "reload refused; what was in force stays")

	p.signal(t, syscall.SIGTERM)
	p.endsWell(t)
}

func TestSecondSignalStopsWhatIsBusy(t *testing.T) {
	cluster := pgcluster.Shared(t)
	c := aConfig(t)
	c.Server.Address = cluster.Addr()
	p := serveProcess(t, c)
	address := p.said(t, "listening")
	bob := console(t, address, "bob")

	busy, err := pgconn.Connect(t.Context(), cluster.DSNAt(address, "postgres", cluster.Superuser))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close(context.Background())
	slept := make(chan error, 1)
	go func() {
		_, err := busy.Exec(context.Background(), "SELECT pg_sleep(600)").ReadAll()
		slept <- err
	}()
	for active := false; !active; {
		r := bob.ExecParams(t.Context(), "SHOW SESSIONS", nil, nil, nil, nil).Read()
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		for _, row := range r.Rows {
			active = active || string(row[5]) == "active"
		}
	}
	p.signal(t, syscall.SIGTERM)
	p.said(t, "draining; a second signal stops at once")
	select {
	case err := <-slept:
		t.Errorf("a busy session was not left alone: %v", err)
	default:
	}
	p.signal(t, syscall.SIGTERM)
	p.endsWell(t)
	if err := <-slept; err == nil {
		t.Error("the busy session went on")
	}
}

// pki writes a CA and a certificate for host that it has signed.
func pki(t testing.TB, host string) (ca, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	caTemplate := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, caTemplate, caTemplate, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	ownKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	ownDER, err := x509.CreateCertificate(rand.Reader, own, caTemplate, ownKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(ownKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write("ca.pem", "CERTIFICATE", caDER), write("cert.pem", "CERTIFICATE", ownDER), write("key.pem", "PRIVATE KEY", keyDER)
}

// What libpq's documentation says of its sslmodes, handshake by handshake.
func TestServerTLSModes(t *testing.T) {
	ca, cert, key := pki(t, "db.example")
	other, _, _ := pki(t, "db.example")
	serverSide := defaultConfig()
	serverSide.TLS.Cert, serverSide.TLS.Key = cert, key
	offered, err := clientTLS(serverSide)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mode, ca, host string
		required, ok   bool
	}{
		{"prefer", "", "db.example", false, true},
		{"prefer", other, "db.example", false, false},
		{"require", "", "elsewhere.example", true, true},
		{"require", ca, "elsewhere.example", true, true},
		{"require", other, "db.example", true, false},
		{"verify-ca", ca, "elsewhere.example", true, true},
		{"verify-ca", other, "db.example", true, false},
		{"verify-full", ca, "db.example", true, true},
		{"verify-full", ca, "elsewhere.example", true, false},
		{"verify-full", other, "db.example", true, false},
		{"verify-full", "system", "db.example", true, false},
	} {
		conf := defaultConfig()
		conf.Server.Address = c.host + ":5432"
		conf.Server.TLS.Mode, conf.Server.TLS.CA = c.mode, c.ca
		s, err := serverTLS(conf)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if s.Required != c.required {
			t.Errorf("%+v: required %v", c, s.Required)
		}
		here, there := net.Pipe()
		go func() { _ = tls.Server(there, offered).Handshake(); there.Close() }()
		err = tls.Client(here, s.Config).Handshake()
		here.Close()
		if (err == nil) != c.ok {
			t.Errorf("%+v: handshake: %v", c, err)
		}
	}
	disabled := defaultConfig()
	disabled.Server.TLS.Mode = "disable"
	if s, err := serverTLS(disabled); err != nil || s.Config != nil || s.Required {
		t.Errorf("disable: %+v, %v", s, err)
	}
}

func TestClientsNeedTheCertificateThatIsAskedFor(t *testing.T) {
	ca, cert, key := pki(t, "proxy.example")
	c := defaultConfig()
	c.TLS.Cert, c.TLS.Key, c.TLS.ClientCA = cert, key, ca
	offered, err := clientTLS(c)
	if err != nil {
		t.Fatal(err)
	}
	own, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	_, strangeCert, strangeKey := pki(t, "proxy.example")
	strange, err := tls.LoadX509KeyPair(strangeCert, strangeKey)
	if err != nil {
		t.Fatal(err)
	}
	for what, shown := range map[string]struct {
		certificates []tls.Certificate
		version      uint16
		ok           bool
	}{
		"none":    {nil, tls.VersionTLS13, false},
		"own":     {[]tls.Certificate{own}, tls.VersionTLS13, true},
		"strange": {[]tls.Certificate{strange}, tls.VersionTLS13, false},
		"TLS 1.1": {[]tls.Certificate{own}, tls.VersionTLS11, false},
	} {
		here, there := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- tls.Server(there, offered).Handshake(); there.Close() }()
		client := tls.Client(here, &tls.Config{InsecureSkipVerify: true, Certificates: shown.certificates, MinVersion: tls.VersionTLS10, MaxVersion: shown.version})
		go func() { _ = client.Handshake(); _, _ = io.Copy(io.Discard, client) }()
		if err := <-done; (err == nil) != shown.ok {
			t.Errorf("%s: %v", what, err)
		}
		here.Close()
	}
}

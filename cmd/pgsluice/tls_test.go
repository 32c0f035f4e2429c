package main

import (
	"bytes"
	"crypto/tls"
	"os"
	"testing"
)

// shownTo is the certificate that a client is shown which begins with TLS.
func shownTo(t *testing.T, address string) []byte {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Raw
}

// TestReloadTakesCertificates from the files they are in; with a file that cannot be
// used all stays as it was, the policy too.
func TestReloadTakesCertificates(t *testing.T) {
	ca, cert, key := pki(t, "proxy.example")
	_, newCert, newKey := pki(t, "proxy.example")
	c := aConfig(t)
	c.TLS.Cert, c.TLS.Key = cert, key
	c.Server.TLS.Mode, c.Server.TLS.CA = "verify-ca", ca
	r := started(t, c)
	defer r.Stop(t.Context())
	copied := func(from, to string) {
		t.Helper()
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first := shownTo(t, r.Addr().String())
	before := r.inForce.Load()

	copied(newCert, cert) // and not its key
	if err := r.reload(t.Context(), "bob"); err == nil {
		t.Error("a certificate without its key was taken")
	}
	copied(newKey, key)
	if err := os.WriteFile(ca, []byte("no certificate\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.reload(t.Context(), "bob"); err == nil {
		t.Error("roots that are none were taken")
	}
	if got := shownTo(t, r.Addr().String()); !bytes.Equal(got, first) || r.inForce.Load() != before {
		t.Error("a reload that was refused changed something")
	}

	copied(cert, ca)
	if err := r.reload(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(shownTo(t, r.Addr().String()), first) {
		t.Error("the new certificate is not shown")
	}
}

// TestTLSNeedsNoRestart: all of it counts from a reload on, which must not say
// otherwise.
func TestTLSNeedsNoRestart(t *testing.T) {
	a, b := defaultConfig(), defaultConfig()
	b.TLS.Cert, b.TLS.Required, b.Server.TLS.Mode = "cert", true, "require"
	if needsRestart(a, b) {
		t.Error("TLS needs a restart")
	}
	b.Auth.Method = authSCRAM
	if !needsRestart(a, b) {
		t.Error("auth needs none")
	}
}

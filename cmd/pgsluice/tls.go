package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/pgsluice/pgsluice/proxy"
)

var tlsModes = []string{"disable", "prefer", "require", "verify-ca", "verify-full"}

// serverTLS is server.tls as libpq defines its modes ("SSL Support", table 32.1):
// prefer and require trust any certificate unless there is a CA to check it by,
// verify-ca wants a trusted one, verify-full one for the host too.
func serverTLS(c *config) (proxy.ServerTLS, error) {
	mode, ca := c.Server.TLS.Mode, c.Server.TLS.CA
	if mode == "disable" {
		return proxy.ServerTLS{}, nil
	}
	if strings.HasPrefix(c.Server.Address, "/") {
		if mode == "prefer" {
			return proxy.ServerTLS{}, nil // libpq never uses TLS on a Unix-domain socket
		}
		return proxy.ServerTLS{}, fmt.Errorf("server.tls.mode %s is not possible on a Unix-domain socket", mode)
	}
	direct := c.Server.TLS.Negotiation == "direct"
	if direct && mode == "prefer" {
		return proxy.ServerTLS{}, errors.New("server.tls.negotiation direct needs server.tls.mode require or more: there is no going back to plain text")
	}
	verify := strings.HasPrefix(mode, "verify-")
	switch {
	case verify && ca == "":
		return proxy.ServerTLS{}, fmt.Errorf("server.tls.mode %s needs server.tls.ca: a file, or \"system\"", mode)
	case ca == "system" && mode != "verify-full":
		return proxy.ServerTLS{}, errors.New("server.tls.ca \"system\" needs server.tls.mode verify-full: anybody can have a certificate of theirs")
	}
	host, _, err := net.SplitHostPort(c.Server.Address)
	if err != nil {
		return proxy.ServerTLS{}, errors.New("server.address has to be host:port")
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if c.Server.TLS.Cert != "" {
		own, err := tls.LoadX509KeyPair(c.Server.TLS.Cert, c.Server.TLS.Key)
		if err != nil {
			return proxy.ServerTLS{}, fmt.Errorf("server.tls.cert cannot be used: %w", err)
		}
		t.Certificates = []tls.Certificate{own}
	}
	if ca != "" && ca != "system" {
		if t.RootCAs, err = readCAs(ca); err != nil {
			return proxy.ServerTLS{}, fmt.Errorf("server.tls.ca cannot be used: %w", err)
		}
	}
	// crypto/tls has no way to leave out the host alone, or to take it from the
	// common name as libpq does where there is no other name.
	t.InsecureSkipVerify = true
	t.VerifyConnection = func(s tls.ConnectionState) error {
		if ca != "" {
			if err := verifyChain(s, t.RootCAs); err != nil {
				return err
			}
		}
		if mode == "verify-full" {
			return verifyHost(s.PeerCertificates[0], host)
		}
		return nil
	}
	return proxy.ServerTLS{Config: t, Required: mode != "prefer", Direct: direct}, nil
}

// verifyHost checks for which host a certificate is. The manual's own example of a
// certificate ("Creating Certificates") has the host as its common name alone.
func verifyHost(c *x509.Certificate, host string) error {
	if len(c.DNSNames)+len(c.IPAddresses) == 0 && c.Subject.CommonName != "" {
		named := *c
		if ip := net.ParseIP(c.Subject.CommonName); ip != nil {
			named.IPAddresses = []net.IP{ip}
		} else {
			named.DNSNames = []string{c.Subject.CommonName}
		}
		c = &named
	}
	return c.VerifyHostname(host)
}

// verifyChain checks who signed the certificate, and not for which host.
func verifyChain(s tls.ConnectionState, roots *x509.CertPool) error {
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(o)
	return err
}

// bothTLS is what both legs speak TLS with, read anew from its files.
func bothTLS(c *config) (proxy.TLS, error) {
	server, err := serverTLS(c)
	if err != nil {
		return proxy.TLS{}, err
	}
	client, err := clientTLS(c)
	if err != nil {
		return proxy.TLS{}, err
	}
	both := proxy.TLS{
		ClientTLS: client, RequireClientTLS: c.TLS.Required || c.TLS.ClientCA != "",
		ClientCertUser: c.TLS.ClientCert == "verify-full", ServerTLS: server,
	}
	return both, both.Check() // before a reload has changed anything
}

// clientTLS is what clients are offered; nil: nothing.
func clientTLS(c *config) (*tls.Config, error) {
	if c.TLS.Cert == "" || c.TLS.Key == "" {
		return nil, nil
	}
	own, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key)
	if err != nil {
		return nil, fmt.Errorf("tls.cert cannot be used: %w", err)
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}}
	if c.TLS.ClientCA != "" {
		if t.ClientCAs, err = readCAs(c.TLS.ClientCA); err != nil {
			return nil, fmt.Errorf("tls.client_ca cannot be used: %w", err)
		}
		t.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return t, nil
}

func readCAs(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return pool, nil
}

package proxy

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
)

// TLS is what the proxy speaks TLS with on both legs. SetTLS swaps it as one
// while the proxy runs; a connection keeps what it began with.
type TLS struct {
	// ClientTLS is offered to clients; nil answers SSLRequest with N. It needs
	// Certificates: what a client is bound to is read from there.
	ClientTLS *tls.Config
	// RequireClientTLS refuses sessions without TLS.
	RequireClientTLS bool
	// ClientCertUser demands that the common name of the client's certificate is
	// the user it logs in as (clientcert=verify-full of pg_hba.conf).
	ClientCertUser bool
	// ServerTLS is how the proxy speaks TLS to the server.
	ServerTLS ServerTLS
}

// ServerTLS is how the proxy speaks TLS to the server. The zero value never
// does ("disable").
type ServerTLS struct {
	// Config is nil for "disable".
	Config *tls.Config
	// Required refuses to go on in plain text when the server answers N
	// ("require", "verify-ca", "verify-full"); false is "prefer".
	Required bool
	// Direct begins with the TLS handshake and no SSLRequest (PostgreSQL 17 on).
	Direct bool
}

// alpnPostgreSQL is the name of the protocol in TLS (manual, "SSL Session
// Encryption"): with it a connection may begin without SSLRequest.
const alpnPostgreSQL = "postgresql"

// Check reports what of t contradicts itself.
func (t TLS) Check() error {
	switch {
	case t.ClientTLS != nil && len(t.ClientTLS.Certificates) == 0:
		return errors.New("there is no certificate to offer to clients")
	case t.ClientTLS == nil && (t.RequireClientTLS || t.ClientCertUser):
		return errors.New("TLS is required of clients, but there is no certificate to offer")
	case t.ClientCertUser && t.ClientTLS.ClientAuth != tls.RequireAndVerifyClientCert:
		return errors.New("the name in clients' certificates counts, but the certificates are not verified")
	case t.ServerTLS.Direct && (t.ServerTLS.Config == nil || !t.ServerTLS.Required):
		return errors.New("direct TLS to the server needs TLS to be required")
	}
	return nil
}

// SetTLS puts t in force for connections that begin from now on. With an error
// what was in force stays.
func (p *Proxy) SetTLS(t TLS) error {
	if err := t.Check(); err != nil {
		return fmt.Errorf("proxy configuration: %w", err)
	}
	if t.ClientTLS != nil {
		t.ClientTLS = t.ClientTLS.Clone()
		t.ClientTLS.NextProtos = []string{alpnPostgreSQL}
		t.ClientTLS.MinVersion = max(t.ClientTLS.MinVersion, tls.VersionTLS12)
	}
	if t.ServerTLS.Config != nil {
		t.ServerTLS.Config = t.ServerTLS.Config.Clone()
		t.ServerTLS.Config.NextProtos = []string{alpnPostgreSQL}
		t.ServerTLS.Config.MinVersion = max(t.ServerTLS.Config.MinVersion, tls.VersionTLS12)
	}
	p.tls.Store(&t)
	return nil
}

// accept is the handshake with a client. read is what has been read of it: the
// start of a direct handshake, which has to name the protocol, so that nobody can
// make a client of another protocol speak this one (ALPACA attack).
func (t *TLS) accept(h *hello, read []byte) error {
	conn := h.conn
	if len(read) > 0 {
		conn = &begunConn{Conn: conn, read: read}
	}
	secured := tls.Server(conn, t.ClientTLS)
	if err := secured.Handshake(); err != nil {
		return fmt.Errorf("tls handshake with client: %w", err)
	}
	if len(read) > 0 && secured.ConnectionState().NegotiatedProtocol != alpnPostgreSQL {
		return errors.New("direct tls handshake with client: it did not name the protocol (ALPN)")
	}
	h.conn, h.tls = secured, true
	if leaf, err := leafOf(t.ClientTLS.Certificates[0]); err == nil && len(t.ClientTLS.Certificates) == 1 {
		h.binding = endPoint(leaf)
	}
	if peers := secured.ConnectionState().PeerCertificates; len(peers) > 0 {
		h.certified = peers[0].Subject.CommonName
	}
	return nil
}

// admits is what pg_hba.conf says with hostssl and clientcert.
func (t *TLS) admits(h *hello) error {
	user := serverName([]byte(h.start.parameters["user"]))
	switch {
	case t.RequireClientTLS && !h.tls:
		return tlsRequired()
	case t.ClientCertUser && h.start.parameters["database"] != consoleDatabase && h.certified != user:
		return otherCertificate(user)
	}
	return nil
}

// begunConn is a connection of which something has been read already.
type begunConn struct {
	net.Conn
	read []byte
}

func (c *begunConn) Read(p []byte) (int, error) {
	if len(c.read) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.read)
	c.read = c.read[n:]
	return n, nil
}

// NetConn is the connection under it, as tls.Conn's is.
func (c *begunConn) NetConn() net.Conn { return c.Conn }

func leafOf(c tls.Certificate) (*x509.Certificate, error) {
	if c.Leaf != nil {
		return c.Leaf, nil
	}
	return x509.ParseCertificate(c.Certificate[0])
}

// peerEndPoint is what a connection to the server can be bound to.
func peerEndPoint(conn net.Conn) []byte {
	secured, ok := conn.(*tls.Conn)
	if !ok {
		return nil
	}
	peers := secured.ConnectionState().PeerCertificates
	if len(peers) == 0 {
		return nil
	}
	return endPoint(peers[0])
}

// endPoint is the channel binding tls-server-end-point: the certificate's hash by
// the hash function of its signature, SHA-256 in place of weaker ones (RFC 5929,
// section 4.1). A signature that has no one hash function (Ed25519) has no such
// binding: nil.
func endPoint(c *x509.Certificate) []byte {
	var hash crypto.Hash
	switch c.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1,
		x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256, x509.DSAWithSHA256:
		hash = crypto.SHA256
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		hash = crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		hash = crypto.SHA512
	default:
		return nil
	}
	h := hash.New()
	h.Write(c.Raw)
	return h.Sum(nil)
}

package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// The codes a start-up packet can carry in place of a version (manual, "Message
// Formats").
const (
	codeCancelRequest = 80877102
	codeSSLRequest    = 80877103
	codeGSSENCRequest = 80877104
)

const (
	// newestProtocol is the newest protocol whose framing is read here. A newer
	// one is negotiated down: the server must not switch on what the proxy
	// cannot read.
	newestProtocol = 3<<16 | 2

	maxStartup     = 10_004 // MAX_STARTUP_PACKET_LENGTH of PostgreSQL, and the length itself
	tlsHandshake   = 0x16   // the first byte of a TLS handshake, and of no startup packet
	startupTimeout = time.Minute
)

// startup is a StartupMessage. frame is what goes to the server: the client's
// own bytes, in its own order, but for what is negotiated down.
type startup struct {
	frame      []byte
	parameters map[string]string // the last of equal names wins, as on the server
	requested  uint32            // protocol version the client asked for
	stripped   []string          // _pq_ options not passed on
}

// negotiated reports whether the client must be told with
// NegotiateProtocolVersion that it did not get what it asked for.
func (s *startup) negotiated() bool { return s.requested > newestProtocol || len(s.stripped) > 0 }

// cancelRequest is the body of a CancelRequest.
type cancelRequest struct {
	pid uint32
	key []byte
}

// hello is the outcome of the first exchange with a client: one of start and
// cancel is set.
type hello struct {
	conn      net.Conn // with TLS, if that was agreed
	tls       bool
	binding   []byte // tls-server-end-point of the certificate shown; nil: none
	certified string // common name of the client's certificate
	start     *startup
	cancel    *cancelRequest
	until     time.Time // by when the client must have logged in
}

// greet reads what a client sends first: a TLS handshake, or at most one
// GSSENCRequest and one SSLRequest, then a StartupMessage or CancelRequest. It
// reads exact sizes from the socket, so that nothing sent before TLS can be taken
// for something said inside it (CVE-2021-23214).
func (p *Proxy) greet(conn net.Conn) (hello, error) {
	h := hello{conn: conn}
	t := p.tls.Load()
	var askedSSL, askedGSS bool
	var length [4]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return h, fmt.Errorf("read length of startup packet: %w", err)
	}
	said := io.MultiReader(bytes.NewReader(length[:]), conn)
	if length[0] == tlsHandshake {
		if t.ClientTLS == nil {
			return h, errors.New("direct tls handshake with client: there is no certificate to offer")
		}
		if err := t.accept(&h, length[:]); err != nil {
			return h, err
		}
		said = h.conn
	}
	for ; ; said = h.conn {
		code, body, err := readStartupPacket(said)
		if err != nil {
			return h, err
		}
		switch {
		case code == codeSSLRequest && !askedSSL && !h.tls:
			askedSSL = true
			answer := byte('S')
			if t.ClientTLS == nil {
				answer = 'N'
			}
			if _, err := h.conn.Write([]byte{answer}); err != nil {
				return h, fmt.Errorf("answer SSLRequest: %w", err)
			}
			if t.ClientTLS != nil {
				if err := t.accept(&h, nil); err != nil {
					return h, err
				}
			}
		case code == codeGSSENCRequest && !askedGSS && !h.tls:
			askedGSS = true
			if _, err := h.conn.Write([]byte{'N'}); err != nil {
				return h, fmt.Errorf("answer GSSENCRequest: %w", err)
			}
		case code == codeCancelRequest:
			if len(body) < 5 || len(body) > 4+256 {
				return h, &protocolError{"invalid length of cancel request"}
			}
			h.cancel = &cancelRequest{pid: binary.BigEndian.Uint32(body), key: body[4:]}
			return h, nil
		case code>>16 == 3:
			if h.start, err = parseStartup(code, body); err != nil {
				return h, err
			}
			return h, t.admits(&h)
		default:
			return h, &refusal{code: codeUnsupported, message: fmt.Sprintf(
				"unsupported frontend protocol %d.%d: server supports 3.0 to 3.2", code>>16, code&0xffff)}
		}
	}
}

// readStartupPacket reads one packet that has no type byte.
func readStartupPacket(r io.Reader) (code uint32, body []byte, err error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return 0, nil, fmt.Errorf("read length of startup packet: %w", err)
	}
	n := binary.BigEndian.Uint32(length[:])
	if n < 8 || n > maxStartup {
		return 0, nil, errors.New("invalid length of startup packet") // PostgreSQL, too, tells nobody but its log
	}
	packet := make([]byte, n-4)
	if _, err := io.ReadFull(r, packet); err != nil {
		return 0, nil, fmt.Errorf("read startup packet: %w", err)
	}
	return binary.BigEndian.Uint32(packet), packet[4:], nil
}

// parseStartup looks at the parameters. Protocol options (_pq_.) are not passed
// on: a future one could change the framing.
func parseStartup(version uint32, body []byte) (*startup, error) {
	s := &startup{parameters: map[string]string{}, requested: version}
	rest := body
	var kept []byte
	for {
		name, after, err := cstring(rest)
		if err != nil {
			return nil, &protocolError{"invalid startup packet layout: expected terminator as last byte"}
		}
		if len(name) == 0 {
			if len(after) != 0 {
				return nil, &protocolError{"invalid startup packet layout: expected terminator as last byte"}
			}
			break
		}
		value, after, err := cstring(after)
		if err != nil {
			return nil, &protocolError{"invalid startup packet layout: expected terminator as last byte"}
		}
		if strings.HasPrefix(string(name), "_pq_.") {
			s.stripped = append(s.stripped, string(name))
		} else {
			s.parameters[string(name)] = string(value)
			kept = append(kept, rest[:len(rest)-len(after)]...)
		}
		rest = after
	}
	if s.parameters["user"] == "" {
		return nil, &refusal{code: "28000", message: "no PostgreSQL user name specified in startup packet"}
	}
	if s.parameters["database"] == "" {
		s.parameters["database"] = s.parameters["user"]
	}
	sent := min(version, newestProtocol)
	s.frame = binary.BigEndian.AppendUint32(nil, uint32(len(kept)+9))
	s.frame = binary.BigEndian.AppendUint32(s.frame, sent)
	s.frame = append(append(s.frame, kept...), 0)
	return s, nil
}

// wantsReplication reports whether the server would start a walsender, which
// runs plain SQL and replication commands alike.
func (s *startup) wantsReplication() bool {
	v, asked := s.parameters["replication"]
	if !asked {
		return false
	}
	switch strings.ToLower(v) {
	case "false", "off", "no", "0", "f", "n":
		return false
	}
	return true
}

// negotiateFrame is a NegotiateProtocolVersion with the newest version that the
// server takes and the options that nobody here knows.
func negotiateFrame(version uint32, options []string) []byte {
	return appendFrame(nil, 'v', func(b []byte) []byte {
		b = binary.BigEndian.AppendUint32(b, version)
		b = binary.BigEndian.AppendUint32(b, uint32(len(options)))
		for _, o := range options {
			b = appendCString(b, o)
		}
		return b
	})
}

// mergeNegotiated adds the options that were not passed on to the server's own
// NegotiateProtocolVersion.
func mergeNegotiated(frame []byte, stripped []string) ([]byte, error) {
	body := frame[headerLen:]
	if len(body) < 8 {
		return nil, errShort
	}
	version := binary.BigEndian.Uint32(body)
	var options []string
	rest := body[8:]
	for range binary.BigEndian.Uint32(body[4:]) {
		o, after, err := cstring(rest)
		if err != nil {
			return nil, err
		}
		options, rest = append(options, string(o)), after
	}
	return negotiateFrame(version, append(options, stripped...)), nil
}

// connect opens the connection to the server, with TLS as configured.
func (p *Proxy) connect(ctx context.Context) (_ net.Conn, secured bool, err error) {
	conn, err := p.c.Dial(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("connect to server: %w", err)
	}
	t := p.tls.Load().ServerTLS
	if t.Config == nil {
		return conn, false, nil
	}
	raw := conn
	defer func() {
		if err != nil {
			raw.Close()
		}
	}()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, false, fmt.Errorf("set deadline: %w", err)
		}
	}
	if secured, err = t.agreed(conn); err != nil {
		return nil, false, err
	}
	if secured {
		over := tls.Client(conn, t.Config)
		if err := over.HandshakeContext(ctx); err != nil {
			return nil, false, fmt.Errorf("tls handshake with server: %w", err)
		}
		if t.Direct && over.ConnectionState().NegotiatedProtocol != alpnPostgreSQL {
			return nil, false, errors.New("direct tls handshake with server: it did not name the protocol (ALPN)")
		}
		conn = over
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, false, fmt.Errorf("clear deadline: %w", err)
	}
	return conn, secured, nil
}

// agreed asks the server for TLS. It reads one byte: what a stranger puts behind
// it ends up in the handshake, which fails (CVE-2021-23222).
func (t ServerTLS) agreed(conn net.Conn) (bool, error) {
	if t.Direct {
		return true, nil
	}
	if _, err := conn.Write(binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, codeSSLRequest)); err != nil {
		return false, fmt.Errorf("send SSLRequest: %w", err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return false, fmt.Errorf("read answer to SSLRequest: %w", err)
	}
	switch {
	case answer[0] == 'S':
		return true, nil
	case answer[0] == 'N' && !t.Required:
		return false, nil
	case answer[0] == 'N':
		return false, errors.New("server has no TLS, but the configuration requires it")
	}
	return false, fmt.Errorf("server answered %q to SSLRequest", answer[0])
}

// Error makes a refusal an error, for refusals before there is a session.
func (r *refusal) Error() string { return r.message }

// fatal writes err to the client as PostgreSQL would before it closes: a
// refusal or a breach of the protocol is told, anything else is not the
// client's business.
func fatal(w io.Writer, err error) {
	var r *refusal
	var breach *protocolError
	switch {
	case errors.As(err, &r):
	case errors.As(err, &breach):
		r = violated(breach)
	default:
		return
	}
	_, _ = w.Write(r.frame("FATAL")) // the connection ends either way
}

// isLoopback reports whether the other end of conn is on this machine.
func isLoopback(conn net.Conn) bool {
	switch a := conn.RemoteAddr().(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// cancelPacket is the CancelRequest as it goes to the server.
func cancelPacket(r cancelRequest) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(12+len(r.key)))
	b = binary.BigEndian.AppendUint32(b, codeCancelRequest)
	b = binary.BigEndian.AppendUint32(b, r.pid)
	return append(b, r.key...)
}

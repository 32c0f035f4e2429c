package proxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/zap"
)

// The kinds of an authentication request that matter here (manual, "Message
// Formats").
const (
	authenticationOk           = 0
	authenticationCleartext    = 3
	authenticationMD5          = 5
	authenticationGSS          = 7
	authenticationSSPI         = 9
	authenticationSASL         = 10
	authenticationSASLContinue = 11
	authenticationSASLFinal    = 12
)

// wantsAnswer reports whether the server waits for the client behind a request of
// this kind. Of GSSAPI the last token needs none, and looks like the others.
func wantsAnswer(kind uint32) bool {
	switch kind {
	case authenticationCleartext, authenticationMD5, authenticationGSS, authenticationSSPI, authenticationSASL, authenticationSASLContinue:
		return true
	}
	return false
}

const (
	maxServerError = 30_000 // as libpq: an error before the log-in
	// maxRequests bounds the log-in to the server: SCRAM takes four.
	maxRequests = 8
)

// authenticatedClient is a client that has proved who it is.
type authenticatedClient struct {
	keys   loginKeys
	answer string // the server's signature, which the client waits for
}

// authenticate is the server's side of SCRAM with a client, if that is the proxy's
// business. It ends before the answer that says so: that goes out when the server
// has let the session in.
func (s *session) authenticate(ctx context.Context) (authenticatedClient, error) {
	if s.p.verifiers == nil {
		return authenticatedClient{}, nil
	}
	client := s.client // which is another one later
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	user := s.toServer.session.User
	v, known, err := s.p.verifiers.verifier(ctx, user)
	why := "wrong password"
	switch {
	case errors.Is(err, errMD5):
		why, known = "its password is stored as md5", false
	case err != nil:
		s.p.c.Log.Error("verifier not found out", zap.String("user", visible(user)), zap.Error(err))
		return authenticatedClient{}, noVerifiers()
	case !known:
		why = "no such login, or it has no password"
	}
	if !known {
		v = madeUpVerifier(user, s.p.verifiers.iterations())
	}
	x := scramServer{verifier: v, known: known, binding: s.binding}

	var out []byte
	if s.start.negotiated() {
		out = negotiateFrame(newestProtocol, s.start.stripped)
	}
	out = appendFrame(out, 'R', func(b []byte) []byte {
		b = binary.BigEndian.AppendUint32(b, authenticationSASL)
		for _, m := range x.mechanisms() {
			b = appendCString(b, m)
		}
		return append(b, 0)
	})
	first, err := s.saslResponse(out)
	if err != nil {
		return authenticatedClient{}, err
	}
	message, err := s.initialResponse(&x, first)
	if err != nil {
		return authenticatedClient{}, err
	}
	challenge, err := x.challenge(message)
	if err != nil {
		return authenticatedClient{}, err
	}
	final, err := s.saslResponse(saslFrame(nil, authenticationSASLContinue, challenge))
	if err != nil {
		return authenticatedClient{}, err
	}
	keys, answer, err := x.prove(string(final))
	if errors.Is(err, errProof) {
		s.p.c.Log.Warn("login failed", zap.String("user", visible(user)),
			zap.Stringer("address", s.client.RemoteAddr()), zap.String("why", why))
		return authenticatedClient{}, wrongPassword(user)
	}
	return authenticatedClient{keys: keys, answer: answer}, err
}

// saslResponse sends a request and reads the client's answer to it.
func (s *session) saslResponse(request []byte) ([]byte, error) {
	if _, err := s.client.Write(request); err != nil {
		return nil, fmt.Errorf("write to client: %w", err)
	}
	var head [headerLen]byte
	if _, err := io.ReadFull(s.client, head[:]); err != nil {
		return nil, fmt.Errorf("read from client: %w", err)
	}
	if head[0] != 'p' {
		return nil, &protocolError{fmt.Sprintf("expected SASL response, got message type %d", head[0])}
	}
	n := bodyLen(head[:])
	if n < 0 || n > maxSASL {
		return nil, &protocolError{"invalid message length"}
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(s.client, body); err != nil {
		return nil, fmt.Errorf("read from client: %w", err)
	}
	return body, nil
}

// initialResponse reads a SASLInitialResponse. A client may leave its message out
// and send it when asked.
func (s *session) initialResponse(x *scramServer, body []byte) (string, error) {
	mechanism, rest, err := cstring(body)
	if err != nil || len(rest) < 4 {
		return "", &protocolError{"invalid message format"}
	}
	if err := x.choose(string(mechanism)); err != nil {
		return "", err
	}
	n, message := int32(binary.BigEndian.Uint32(rest)), rest[4:]
	switch {
	case n == -1 && len(message) == 0:
		message, err = s.saslResponse(saslFrame(nil, authenticationSASLContinue, ""))
		return string(message), err
	case int(n) != len(message):
		return "", &protocolError{"invalid message format"}
	}
	return string(message), nil
}

func saslFrame(b []byte, kind uint32, message string) []byte {
	return appendFrame(b, 'R', func(b []byte) []byte {
		return append(binary.BigEndian.AppendUint32(b, kind), message...)
	})
}

// logIn sends the startup packet. Where the proxy has authenticated the client it
// logs in in its place, and then tells it that it is in.
func (s *session) logIn(c authenticatedClient) error {
	if s.p.verifiers == nil {
		if _, err := s.server.Write(s.start.frame); err != nil {
			return fmt.Errorf("send startup packet: %w", err)
		}
		return nil
	}
	if err := s.server.SetDeadline(time.Now().Add(startupTimeout)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	x := scramClient{keys: c.keys.unchanged}
	err := logInToServer(s.server, s.serverTLS, s.start.frame, &x)
	var refused *serverError
	switch {
	case errors.As(err, &refused):
		if s.hintAtLogin(&refused.said, false) {
			if refused.frame, err = refused.said.Encode(nil); err != nil {
				return fmt.Errorf("ErrorResponse: %w", err)
			}
			err = refused
		}
		if _, werr := s.client.Write(refused.frame); werr != nil {
			return fmt.Errorf("write to client: %w", werr)
		}
		return err
	case errors.Is(err, errOtherVerifier):
		s.p.c.Log.Warn("the server has another verifier than pgsluice was given", zap.String("user", visible(s.toServer.session.User)))
		return otherVerifier(s.toServer.session.User)
	case err != nil:
		s.p.c.Log.Error("log in to server", zap.String("user", visible(s.toServer.session.User)), zap.Error(err))
		return noLogin()
	}
	if err := s.server.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("clear deadline: %w", err)
	}
	in := saslFrame(nil, authenticationSASLFinal, c.answer)
	in = saslFrame(in, authenticationOk, "")
	if _, err := s.client.Write(in); err != nil {
		return fmt.Errorf("write to client: %w", err)
	}
	close(s.ready)
	return nil
}

// withoutChannelBinding is an AuthenticationSASL without the mechanisms that
// bind to a TLS channel.
func withoutChannelBinding(frame []byte) []byte {
	return appendFrame(nil, 'R', func(b []byte) []byte {
		b = append(b, frame[headerLen:headerLen+4]...)
		for rest := frame[headerLen+4:]; len(rest) > 1; {
			mechanism, after, err := cstring(rest)
			if err != nil {
				break
			}
			if !bytes.HasSuffix(mechanism, []byte("-PLUS")) {
				b = appendCString(b, string(mechanism))
			}
			rest = after
		}
		return append(b, 0)
	})
}

// errOtherVerifier says that keys do not fit what the server keeps.
var errOtherVerifier = errors.New("the server's verifier has another salt or another number of iterations")

// unchanged gives the keys if the server still keeps the verifier they fit.
func (k loginKeys) unchanged(salt []byte, iterations int) (loginKeys, error) {
	if iterations != k.iterations || string(salt) != string(k.salt) {
		return loginKeys{}, errOtherVerifier
	}
	return k, nil
}

// serverError is an ErrorResponse of the server in place of a log-in.
type serverError struct {
	frame []byte
	said  pgproto3.ErrorResponse
}

func (e *serverError) Error() string {
	return fmt.Sprintf("server refused the log-in: %s (%s)", e.said.Message, e.said.Code)
}

// logInToServer sends a start-up packet and goes through the authentication up to
// AuthenticationOk, reading not a byte more. A server that trusts whoever comes
// from here asks for nothing.
func logInToServer(conn net.Conn, secured bool, start []byte, x *scramClient) error {
	x.binding = peerEndPoint(conn)
	if _, err := conn.Write(start); err != nil {
		return fmt.Errorf("send startup packet: %w", err)
	}
	begun := false
	for range maxRequests {
		typ, body, err := readServerFrame(conn)
		if err != nil {
			return err
		}
		switch {
		case typ == 'v': // the client has been told what the proxy speaks
			continue
		case typ == 'E':
			e := &serverError{frame: appendFrame(nil, 'E', func(b []byte) []byte { return append(b, body...) })}
			if err := e.said.Decode(body); err != nil {
				return fmt.Errorf("ErrorResponse: %w", err)
			}
			return e
		case typ != 'R' || len(body) < 4:
			return fmt.Errorf("server sent %q in place of an authentication request", typ)
		}
		kind, data := binary.BigEndian.Uint32(body), body[4:]
		var answer []byte
		switch {
		case kind == authenticationOk && (!begun || x.concluded):
			return nil
		case kind == authenticationOk:
			return errors.New("server ended SCRAM without proving that it knows the verifier")
		case kind == authenticationSASL && !begun:
			begun = true
			if answer, err = x.initialResponse(data, secured); err != nil {
				return err
			}
		case kind == authenticationSASLContinue && begun:
			response, err := x.respond(string(data))
			if err != nil {
				return err
			}
			answer = []byte(response)
		case kind == authenticationSASLFinal && begun:
			if err := x.conclude(string(data)); err != nil {
				return err
			}
			continue
		default:
			return fmt.Errorf("server asks for %s, and only SCRAM-SHA-256 can be answered: pg_hba.conf has to say scram-sha-256 for connections from pgsluice", methodName(kind))
		}
		if _, err := conn.Write(appendFrame(nil, 'p', func(b []byte) []byte { return append(b, answer...) })); err != nil {
			return fmt.Errorf("answer the server: %w", err)
		}
	}
	return errors.New("server asks on and on")
}

// initialResponse is the body of the SASLInitialResponse to an offer.
func (x *scramClient) initialResponse(offer []byte, secured bool) ([]byte, error) {
	var mechanisms []string
	for len(offer) > 1 {
		m, rest, err := cstring(offer)
		if err != nil {
			return nil, fmt.Errorf("AuthenticationSASL: %w", err)
		}
		mechanisms, offer = append(mechanisms, string(m)), rest
	}
	mechanism, message, err := x.first(mechanisms, secured)
	if err != nil {
		return nil, err
	}
	b := appendCString(nil, mechanism)
	b = binary.BigEndian.AppendUint32(b, uint32(len(message)))
	return append(b, message...), nil
}

func methodName(kind uint32) string {
	switch kind {
	case authenticationCleartext:
		return "a password in clear"
	case authenticationMD5:
		return "an md5 password"
	case 7, 8, 9:
		return "GSSAPI or SSPI"
	}
	return fmt.Sprintf("authentication method %d", kind)
}

func readServerFrame(conn net.Conn) (typ byte, body []byte, err error) {
	var head [headerLen]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return 0, nil, fmt.Errorf("read from server: %w", err)
	}
	n := bodyLen(head[:])
	if n < 0 || n > maxServerError {
		return 0, nil, fmt.Errorf("server sent a message %q of %d bytes in place of an authentication request", head[0], n)
	}
	body = make([]byte, n)
	if _, err := io.ReadFull(conn, body); err != nil {
		return 0, nil, fmt.Errorf("read from server: %w", err)
	}
	return head[0], body, nil
}

package proxy

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A message is a type byte, a length that counts itself, and a body (manual:
// "Overview of Messages"). Messages are relayed as the bytes they came in;
// only what matters is decoded.
const headerLen = 5

// Bounds on what a client may announce. The first two are PostgreSQL's own
// (PQ_SMALL_MESSAGE_LIMIT and PQ_LARGE_MESSAGE_LIMIT of libpq.h); maxJudged
// bounds what has to be in memory to be judged.
const (
	smallMessage = 10_000
	largeMessage = 1<<30 - 2
	maxJudged    = 256 << 20
)

// errShort says that a field runs past the end of its message.
var errShort = errors.New("message is too short for its fields")

// protocolError is a breach of the protocol that ends the session, as
// PostgreSQL ends it.
type protocolError struct{ what string }

func (e *protocolError) Error() string { return e.what }

// bodyLen returns the announced length of the body of the message that starts
// at b, which holds at least a header.
func bodyLen(b []byte) int64 {
	return int64(binary.BigEndian.Uint32(b[1:headerLen])) - 4
}

// checkClientFrame refuses what PostgreSQL refuses before it reads a body:
// unknown types and lengths that lie. What is too long for the gate only, is not
// its matter.
func checkClientFrame(typ byte, body int64) error {
	var limit int64
	switch typ {
	case 'Q', 'P', 'B', 'F', 'd', 'f':
		limit = largeMessage
	case 'p', 'D', 'C', 'E', 'S', 'H', 'X', 'c':
		limit = smallMessage
		if typ == 'p' {
			limit = 65_536 // SASL responses and GSS tokens: PG_MAX_AUTH_TOKEN_LENGTH
		}
	default:
		return &protocolError{fmt.Sprintf("invalid frontend message type %d", typ)}
	}
	if body < 0 || body > limit {
		return &protocolError{fmt.Sprintf("invalid message length for message type %q", typ)}
	}
	return nil
}

// judged reports whether a message passes the statement gate.
func judged(typ byte) bool { return typ == 'Q' || typ == 'P' || typ == 'B' || typ == 'F' }

// breach is a message that PostgreSQL ends the session for, whatever version it
// is of: either the type is unknown to it, or the length is.
func breach(typ byte) []byte { return []byte{typ, 0, 0, 0, 3} }

// cstring returns the bytes of b up to its first NUL, and what follows it.
func cstring(b []byte) (s, rest []byte, err error) {
	for i, c := range b {
		if c == 0 {
			return b[:i], b[i+1:], nil
		}
	}
	return nil, nil, errShort
}

// queryText is the text of a Query message as the server reads it: up to the
// first NUL.
func queryText(frame []byte) string {
	text, _, err := cstring(frame[headerLen:])
	if err != nil {
		text = frame[headerLen:] // the server answers 08P01; what it could have run is judged all the same
	}
	return string(text)
}

// appendFrame appends a message of the given type to b. The body is what build
// appends.
func appendFrame(b []byte, typ byte, build func([]byte) []byte) []byte {
	b = append(b, typ, 0, 0, 0, 0)
	at := len(b) - 4
	b = build(b)
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at))
	return b
}

func appendCString(b []byte, s string) []byte { return append(append(b, s...), 0) }

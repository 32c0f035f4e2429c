package proxy

import (
	"errors"
	"net"

	"go.uber.org/zap"
)

// reading reads as Read of net.Conn does; or fails with errNothing where it does not
// wait.
type reading = func([]byte) (int, error)

// errNothing says that there is nothing to read now.
var errNothing = errors.New("nothing to read")

// joinLoop gives both connections to the event loop. With TLS on one of them there is
// nothing to gain: crypto/tls waits for whole records by itself.
func (s *session) joinLoop() error {
	if s.clientTLS || s.serverTLS {
		return nil
	}
	for _, conn := range []*net.Conn{&s.client, &s.server} {
		var err error
		if *conn, err = s.loop.take(*conn); err != nil {
			s.p.c.Log.Warn("outside the event loop", zap.String("session", s.id), zap.Error(err))
		}
	}
	return s.client.SetDeadline(s.until) // the connection that was taken had it
}

// pump lets step read from conn and work on what it has read, until it says that it
// is over: in the event loop, or in this goroutine.
func (s *session) pump(conn net.Conn, step func(reading) (over bool, err error)) error {
	inLoop, err := serve(conn, func(read reading) (over bool, err error) {
		err = s.recovered(func() (err error) {
			over, err = step(read)
			return err
		})
		return over, err
	})
	for over := inLoop; !over && err == nil; {
		over, err = step(conn.Read)
	}
	return err
}

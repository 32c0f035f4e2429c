package proxy

import (
	"errors"
	"os"
	"time"
)

// ahead reads the client while one of its statements is held: that is how a
// client that leaves is noticed, also with more of its messages in the pipe.
type ahead struct {
	left, full chan struct{}
	ended      chan struct{}
	stopped    bool
}

// lookAhead starts reading into the session's buffer. Until stop the buffer
// belongs to the goroutine started here.
func (s *session) lookAhead() *ahead {
	a := &ahead{left: make(chan struct{}), full: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(a.ended)
		if s.recovered(func() error { s.readAhead(a); return nil }) != nil {
			close(a.left)
		}
	}()
	return a
}

// readAhead reads until stop, the client's end, or too much.
func (s *session) readAhead(a *ahead) {
	t := &s.toServer
	seen := t.r
	for {
		// A Terminate behind the held message means the same as leaving.
		for t.w-seen >= headerLen && int64(t.w-seen) >= headerLen+bodyLen(t.in[seen:]) {
			body := bodyLen(t.in[seen:])
			if t.in[seen] == 'X' || checkClientFrame(t.in[seen], body) != nil {
				close(a.left)
				return
			}
			seen += headerLen + int(body)
		}
		if t.w == len(t.in) {
			if t.w-t.r >= maxLookahead {
				close(a.full)
				return
			}
			bigger := make([]byte, 2*len(t.in))
			copy(bigger, t.in[:t.w])
			t.giveBack()
			t.in = bigger
		}
		n, err := s.client.Read(t.in[t.w:])
		t.w += n
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if n > 0 {
				continue
			}
			return
		default:
			close(a.left)
			return
		}
	}
}

// stop ends the reading and gives the buffer back.
func (a *ahead) stop(s *session) {
	if a.stopped {
		return
	}
	a.stopped = true
	s.wakeClientReader()
	<-a.ended
	if err := s.client.SetReadDeadline(time.Time{}); err != nil {
		s.client.Close()
	}
}

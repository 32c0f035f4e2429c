package proxy

import (
	"context"
	"crypto/subtle"
	"time"

	"go.uber.org/zap"
)

// cancel does what a CancelRequest asks: a held statement is withdrawn here and
// the server never hears of it; else the request goes to the server, but only
// while the session is busy, since a late one would hit the next statement. No
// answer is sent, whatever comes of it.
func (p *Proxy) cancel(ctx context.Context, r cancelRequest) {
	p.mu.Lock()
	s := p.cancels[r.pid]
	p.mu.Unlock()
	if s == nil || subtle.ConstantTimeCompare(s.key, r.key) != 1 {
		return
	}
	// What is held is withdrawn here, and so is a question of the proxy's own that
	// its statement waits for.
	if held := s.cancelHold(); held && !s.asks() || !held && !s.busy() {
		return
	}
	p.cancelServer(ctx, s)
}

// cancelServer sends the server a CancelRequest for what a session runs.
func (p *Proxy) cancelServer(ctx context.Context, s *session) {
	r := cancelRequest{pid: s.pid, key: s.key}
	ctx, done := context.WithTimeout(ctx, 10*time.Second)
	defer done()
	conn, _, err := p.connect(ctx)
	if err != nil {
		p.c.Log.Warn("cancel request not delivered", zap.String("session", s.id), zap.Error(err))
		return
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return
	}
	if _, err := conn.Write(cancelPacket(r)); err != nil {
		p.c.Log.Warn("cancel request not delivered", zap.String("session", s.id), zap.Error(err))
		return
	}
	// The server closes once it has signalled; a client that waits for our close
	// then knows that the signal is out.
	var b [1]byte
	conn.Read(b[:]) //nolint:errcheck // EOF is the answer, and any other is none
}

package proxy

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sort"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Proxy accepts clients and gives each a session.
type Proxy struct {
	c Config

	mu       sync.Mutex
	open     int // connections accepted and not yet closed
	sessions map[string]*session
	cancels  map[uint32]*session // by the server's process ID
	next     uint64

	draining chan struct{} // closed when Drain begins
	drain    sync.Once
	all      sync.WaitGroup
}

const defaultMaxSessions = 2000

// New checks the configuration; the error names the field that is missing.
func New(c Config) (*Proxy, error) {
	for _, f := range []struct {
		name string
		ok   bool
	}{
		{"Server", c.Server != ""}, {"Dial", c.Dial != nil}, {"Policy", c.Policy != nil},
		{"Reader", c.Reader != nil}, {"Approvals", c.Approvals != nil}, {"Log", c.Log != nil},
	} {
		if !f.ok {
			return nil, fmt.Errorf("proxy configuration: %s is missing", f.name)
		}
	}
	if c.RequireClientTLS && c.ClientTLS == nil {
		return nil, errors.New("proxy configuration: TLS is required of clients, but there is no certificate to offer")
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = defaultMaxSessions
	}
	return &Proxy{
		c: c, sessions: map[string]*session{}, cancels: map[uint32]*session{},
		draining: make(chan struct{}),
	}, nil
}

// Serve accepts clients on l until ctx ends or Drain is called, then waits for
// the sessions to end. When ctx ends their connections are closed at once.
func (p *Proxy) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.all.Add(1)
	go func() {
		defer p.all.Done()
		select {
		case <-ctx.Done():
		case <-p.draining:
		}
		l.Close()
	}()
	var pause time.Duration
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				break
			}
			// Out of file descriptors, most likely: those that are open go on.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			p.c.Log.Warn("accept", zap.Error(err), zap.Duration("pause", pause))
			select {
			case <-time.After(pause):
				continue
			case <-ctx.Done():
			case <-p.draining:
			}
			break
		}
		pause = 0
		p.mu.Lock()
		p.open++
		full := p.open > p.c.MaxSessions
		p.mu.Unlock()
		p.all.Add(1)
		go func() {
			defer p.all.Done()
			p.serveConn(ctx, conn, full)
		}()
	}
	p.Drain()
	p.all.Wait()
	return nil
}

// Drain refuses new clients, turns held statements into tickets, closes idle
// sessions and lets busy ones finish. It does not wait; Serve returns when all
// have ended.
func (p *Proxy) Drain() {
	p.drain.Do(func() {
		close(p.draining)
		for _, s := range p.list() {
			s.drain()
		}
	})
}

func (p *Proxy) isDraining() bool {
	select {
	case <-p.draining:
		return true
	default:
		return false
	}
}

// serveConn is one connection, start to end. A panic ends it and no other.
func (p *Proxy) serveConn(ctx context.Context, conn net.Conn, full bool) {
	defer func() {
		p.mu.Lock()
		p.open--
		p.mu.Unlock()
	}()
	defer conn.Close()
	defer func() {
		if r := recover(); r != nil {
			p.c.Log.Error("panic in a session", zap.Any("panic", r), zap.ByteString("stack", debug.Stack()))
		}
	}()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	if err := conn.SetDeadline(time.Now().Add(startupTimeout)); err != nil {
		return
	}
	h, err := p.greet(conn)
	switch {
	case err != nil:
		fatal(h.conn, err)
		p.c.Log.Debug("client did not start up", zap.Stringer("address", conn.RemoteAddr()), zap.Error(err))
		return
	case h.cancel != nil:
		p.cancel(ctx, *h.cancel)
		return
	case p.c.RequireClientTLS && !h.tls:
		fatal(h.conn, tlsRequired())
		return
	case p.isDraining():
		fatal(h.conn, stopping())
		return
	case full:
		fatal(h.conn, tooManySessions(p.c.MaxSessions))
		return
	case h.start.wantsReplication():
		fatal(h.conn, replicationRefused())
		return
	case h.start.parameters["database"] == consoleDatabase:
		p.serveConsole(ctx, h)
		return
	}
	s := newSession(p, h)
	if err := s.run(ctx); err != nil {
		p.c.Log.Info("session ended", zap.String("session", s.id), zap.Error(err))
	}
}

// consoleDatabase is the database in which the proxy is itself the server.
const consoleDatabase = "pgsluice"

func (p *Proxy) serveConsole(ctx context.Context, h hello) {
	if p.c.Console == nil {
		fatal(h.conn, noConsole())
		return
	}
	if h.start.negotiated() {
		if _, err := h.conn.Write(negotiateFrame(newestProtocol, h.start.stripped)); err != nil {
			return
		}
	}
	ctx, done := context.WithCancel(ctx)
	defer done()
	ended := make(chan struct{})
	defer close(ended)
	p.all.Add(1)
	go func() {
		defer p.all.Done()
		select {
		case <-p.draining:
			done()
		case <-ended:
		}
	}()
	if err := h.conn.SetDeadline(time.Time{}); err != nil {
		return
	}
	if err := p.c.Console.serve(ctx, h.conn, h.start.parameters, h.tls || isLoopback(h.conn)); err != nil {
		p.c.Log.Info("console session ended", zap.Error(err))
	}
}

// SessionInfo is what SHOW SESSIONS shows of a session.
type SessionInfo struct {
	ID, User, Database, Application, Address string

	State   string // "starting", "idle", "active", "held"
	Request int64  // the request it is held by, or 0
	Since   time.Time
	PID     uint32 // process ID of the server's backend
}

// Sessions lists the sessions in the order they began.
func (p *Proxy) Sessions() []SessionInfo {
	list := p.list()
	infos := make([]SessionInfo, 0, len(list))
	for _, s := range list {
		infos = append(infos, s.info())
	}
	sort.Slice(infos, func(i, j int) bool { return infos[i].Since.Before(infos[j].Since) })
	return infos
}

// list returns the sessions, for the caller to use without p.mu: a session's
// mutex is taken before it and never after.
func (p *Proxy) list() []*session {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]*session, 0, len(p.sessions))
	for _, s := range p.sessions {
		list = append(list, s)
	}
	return list
}

func (p *Proxy) register(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions[s.id] = s
}

// registerKey lets CancelRequests find the session. Process ID and key are the
// server's own: the client must see the pid that pg_backend_pid() returns.
func (p *Proxy) registerKey(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancels[s.pid] = s
}

func (p *Proxy) unregister(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sessions, s.id)
	if p.cancels[s.pid] == s {
		delete(p.cancels, s.pid)
	}
}

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

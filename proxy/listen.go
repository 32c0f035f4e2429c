package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Proxy accepts clients and gives each a session.
type Proxy struct {
	c         Config
	tls       atomic.Pointer[TLS]
	verifiers verifiers // nil: the server authenticates clients
	loops     []eventLoop

	mu       sync.Mutex
	open     int                      // sessions, those that still log in included
	consoles int                      // sessions of the console
	starting map[netip.Prefix]*comers // by where they come from
	sessions map[string]*session
	cancels  map[uint32]*session // by the server's process ID
	next     uint64

	draining chan struct{} // closed when Drain begins
	empty    chan struct{} // closed when the last session has ended after that
	all      sync.WaitGroup
}

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
	c.Limits = c.Limits.orDefaults()
	p := &Proxy{
		c: c, sessions: map[string]*session{}, cancels: map[uint32]*session{}, starting: map[netip.Prefix]*comers{},
		draining: make(chan struct{}), empty: make(chan struct{}),
		loops: make([]eventLoop, max(1, runtime.GOMAXPROCS(0)/2)), // the other half is for what waits, TLS and the runtime
	}
	if err := p.SetTLS(c.TLS); err != nil {
		return nil, err
	}
	var err error
	if p.verifiers, err = p.verifiersOf(c.Auth); err != nil {
		return nil, err
	}
	return p, nil
}

// Serve accepts clients on l until ctx ends, or until all sessions have ended
// after Drain. While it drains it goes on accepting: a CancelRequest must find
// what still runs, and a client is told why it is refused. When ctx ends all
// connections are closed at once.
func (p *Proxy) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.all.Add(1)
	go func() {
		defer p.all.Done()
		select {
		case <-ctx.Done():
		case <-p.empty:
			cancel() // those that have not said what they want
		}
		l.Close()
	}()
	p.accept(ctx, l)
	p.Drain()
	p.all.Wait()
	for i := range p.loops {
		p.loops[i].close()
	}
	if p.verifiers != nil {
		p.verifiers.close()
	}
	return nil
}

// accept gives each connection a goroutine, until l is closed.
func (p *Proxy) accept(ctx context.Context, l net.Listener) {
	var pause time.Duration
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			p.all.Add(1)
			go func() {
				defer p.all.Done()
				p.serveConn(ctx, conn)
			}()
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		// Out of file descriptors, most likely: those that are open go on.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		p.c.Log.Warn("accept", zap.Error(err), zap.Duration("pause", pause))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// Drain refuses new clients, turns held statements into tickets, closes idle
// sessions and lets busy ones finish what they do, their transaction included. It
// does not wait; Serve returns when all have ended.
func (p *Proxy) Drain() {
	if !p.beginDraining() {
		return
	}
	for _, s := range p.list() {
		s.drain()
	}
}

func (p *Proxy) beginDraining() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isDraining() {
		return false
	}
	close(p.draining)
	if p.open+p.consoles == 0 {
		close(p.empty)
	}
	return true
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
func (p *Proxy) serveConn(ctx context.Context, raw net.Conn) {
	defer raw.Close()
	defer func() {
		if r := recover(); r != nil {
			p.c.Log.Error("panic in a session", zap.Any("panic", r), zap.ByteString("stack", debug.Stack()))
		}
	}()
	var s *session
	aside(func() { s = p.welcome(ctx, raw) })
	if s == nil {
		return
	}
	defer s.loggedIn()
	defer p.leaves(false)
	if err := s.run(ctx); err != nil {
		s.logEnd(err)
	}
}

// welcome hears what a client wants and does it, a session for it excepted: that it
// returns, counted.
func (p *Proxy) welcome(ctx context.Context, raw net.Conn) (s *session) {
	stopRaw := context.AfterFunc(ctx, func() { raw.Close() })
	defer stopRaw() // from then on the session says what is to be said before it closes
	keepAliveOf(raw)

	onThisMachine := isLoopback(raw)
	conn, err := p.relayed(raw)
	if err != nil {
		p.c.Log.Warn("connection refused", zap.Stringer("address", conn.RemoteAddr()), zap.Error(err))
		return nil
	}
	onThisMachine = onThisMachine && isLoopback(conn)
	loggedIn, r := p.comes(conn.RemoteAddr())
	if r != nil {
		fatal(conn, r)
		return nil
	}
	defer func() {
		if s == nil {
			loggedIn()
		}
	}()
	until := time.Now().Add(startupTimeout)
	if err := conn.SetDeadline(until); err != nil {
		return nil
	}
	h, err := p.greet(conn)
	h.until = until
	switch {
	case err != nil:
		fatal(h.conn, err)
		p.c.Log.Debug("client did not start up", zap.Stringer("address", conn.RemoteAddr()), zap.Error(err))
		return nil
	case h.cancel != nil:
		p.cancel(ctx, *h.cancel)
		return nil
	case !p.mayReplicate(h.start):
		fatal(h.conn, replicationRefused())
		return nil
	}
	forConsole := h.start.parameters["database"] == consoleDatabase
	if r := p.admit(forConsole); r != nil {
		fatal(h.conn, r)
		p.c.Log.Info("session refused", zap.Stringer("address", conn.RemoteAddr()), zap.Error(r))
		return nil
	}
	defer func() {
		if s == nil {
			p.leaves(forConsole)
		}
	}()
	if !forConsole {
		return newSession(p, h, loggedIn)
	}
	p.serveConsole(ctx, h, loggedIn, h.tls || onThisMachine)
	return nil
}

// aside runs f on a goroutine of its own and waits for it. A stack does not shrink
// to what it was, and the handshake of TLS takes 16 KiB of it: the goroutine that
// serves a session as long as that lives does not keep them.
func aside(f func()) {
	var panicked any
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() {
			if r := recover(); r != nil {
				panicked = fmt.Sprintf("%v\n%s", r, debug.Stack())
			}
		}()
		f()
	}()
	<-ended
	if panicked != nil {
		panic(panicked)
	}
}

// consoleDatabase is the database in which the proxy is itself the server.
const consoleDatabase = "pgsluice"

func (p *Proxy) serveConsole(ctx context.Context, h hello, loggedIn func(), secure bool) {
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
	if err := p.c.Console.serve(ctx, h.conn, h.start.parameters, secure, loggedIn); err != nil {
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

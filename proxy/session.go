package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
)

// session is one client connection with its own server connection.
//
// Two goroutines serve it: one reads the client and writes to the server
// (client.go, gate.go, hold.go), the other reads the server and writes to the
// client (server.go). What both need is under mu. One owner goroutine with two
// readers that hand over by channel would be simpler to reason about, but the
// hops cost 15 % of a round trip with two clients and 5 % with eight (BenchmarkJoin
// in bench_test.go). Without TLS neither waits by itself: an event loop lends them
// its goroutine while there is something to read (eventloop_linux.go), so "the
// client goroutine" is whoever has its turn.
type session struct {
	p     *Proxy
	id    string
	began time.Time
	start *startup

	loop                 *eventLoop // reads both connections, if neither has TLS
	client, server       net.Conn
	clientTLS, serverTLS bool
	binding              []byte // of the client's TLS connection, for SCRAM
	certified            string // the common name of the client's certificate

	until      time.Time   // by when the client must have logged in
	loggedIn   func()      // it has: it is no longer one of those who might never
	stopCutOff func() bool // cutOff is not called any more

	toServer stage         // the client goroutine's
	gone     chan struct{} // closed when the server goroutine has ended
	ready    chan struct{} // closed at AuthenticationOk: the client may speak
	prompts  chan struct{} // holds a token once the server has asked for a password

	clientWrite sync.Mutex // held while writing whole messages to the client

	mu        sync.Mutex
	q         owedQueue
	known     names
	asked     int           // how often the server has asked for a password, less the answers
	tx        byte          // status of the last ReadyForQuery: I, T or E
	settled   chan struct{} // not nil while the client goroutine waits until q holds settledAt entries or fewer
	settledAt int
	question  *question // the proxy's own, while it is under way
	settings  settings
	kept      *withheld // not nil while answers are kept back
	copying   bool      // COPY data is awaited by a statement whose effect is measured
	failure   string    // SQLSTATE of an error since the last ReadyForQuery
	failed    string    // and before it
	ended     bool      // the server has said that it ends the session
	segments  uint64    // answers that have ended with ReadyForQuery
	idles     uint64    // ReadyForQuerys outside a transaction, to the proxy's own too
	tag       []byte    // last command tag since then, with its NUL

	pid     uint32
	key     []byte
	holding *hold // not nil while a statement is held
	drained bool
}

// settings are what the server reports with ParameterStatus and the gate needs.
type settings struct {
	encoding    string
	conforming  bool // standard_conforming_strings
	application string
	searchPath  string // reported from PostgreSQL 18 on
}

func newSession(p *Proxy, h hello, loggedIn func()) *session {
	p.mu.Lock()
	p.next++
	id, loop := strconv.FormatUint(p.next, 10), &p.loops[p.next%uint64(len(p.loops))]
	p.mu.Unlock()
	now := time.Now()
	s := &session{
		p: p, id: now.UTC().Format("20060102T150405") + "-" + id, began: now, start: h.start,
		loop: loop, client: h.conn, clientTLS: h.tls, binding: h.binding, certified: h.certified, until: h.until, loggedIn: loggedIn,
		gone: make(chan struct{}), ready: make(chan struct{}), prompts: make(chan struct{}, 1),
		known: names{},
	}
	s.settings.application = h.start.parameters["application_name"]
	s.toServer.session = policy.Session{
		User: serverName([]byte(h.start.parameters["user"])), Database: serverName([]byte(h.start.parameters["database"])),
		Application: s.settings.application,
	}
	s.toServer.session.Person = p.c.Approvals.PersonOf(s.toServer.session.User)
	s.toServer.session.Address = ipOf(h.conn.RemoteAddr())
	return s
}

// run is one session, start to end. It returns after both directions have.
func (s *session) run(ctx context.Context) error {
	defer s.leave()
	var err error
	if aside(func() { err = s.enter(ctx) }); err != nil {
		return err
	}
	serverDone := make(chan error, 1)
	go func() {
		err := s.recovered(s.fromServer)
		close(s.gone)
		s.client.Close() // wakes the other direction
		serverDone <- err
	}()
	clientErr := s.recovered(func() error { return s.fromClient(ctx) })
	switch {
	case clientErr == nil:
		// Terminate or a half-close: the server gets what PostgreSQL would get,
		// and may still finish what it was doing.
		s.closeWrite()
	default:
		select {
		case <-s.gone: // the server went first, and the client has all it said
		default:
			s.sayFatal(clientErr)
		}
		s.server.Close()
	}
	serverErr := <-serverDone
	s.abandon(context.WithoutCancel(ctx))
	if clientErr != nil && !quiet(clientErr) {
		return clientErr
	}
	if serverErr != nil && !quiet(serverErr) {
		return serverErr
	}
	return nil
}

// enter is the session up to where its two directions begin.
func (s *session) enter(ctx context.Context) error {
	client, err := s.authenticate(ctx)
	if err != nil {
		fatal(s.client, err)
		return err
	}
	connecting, cancel := context.WithTimeout(ctx, startupTimeout)
	server, secured, err := s.p.connect(connecting)
	cancel()
	if err != nil {
		fatal(s.client, noServer(s.p.c.Server))
		return err
	}
	s.server, s.serverTLS = server, secured
	if err := s.joinLoop(); err != nil {
		return err
	}
	s.stopCutOff = context.AfterFunc(ctx, s.cutOff)

	s.p.register(s)
	if s.p.isDraining() { // Drain may have looked before this session was there
		s.drain()
	}
	s.q.sentOne(owed{sent: startUp, for_: forward})
	if err := s.logIn(client); err != nil {
		fatal(s.client, err)
		return err
	}
	s.p.c.Log.Debug("session began", zap.String("session", s.id),
		zap.String("user", s.toServer.session.User), zap.String("database", s.toServer.session.Database),
		zap.Stringer("address", s.client.RemoteAddr()))
	return nil
}

// leave undoes what enter did.
func (s *session) leave() {
	if s.server == nil {
		return
	}
	if s.stopCutOff != nil {
		s.p.unregister(s)
		s.stopCutOff()
	}
	s.server.Close()
	s.client.Close()
}

func (s *session) logEnd(err error) {
	s.p.c.Log.Info("session ended", zap.String("session", s.id), zap.Error(err))
}

// cutOff ends the session whatever it does: the server rolls back what is open. A
// client that waits for nothing is told why; in the midst of an answer nothing
// can be said.
func (s *session) cutOff() {
	s.mu.Lock()
	waits := s.q.empty() && s.tx != 0 && s.holding == nil
	s.mu.Unlock()
	if waits {
		s.tell(stopping().frame("FATAL"))
	}
	s.server.Close()
	s.client.Close()
}

// recovered makes an error of a panic: it ends this session and no other.
func (s *session) recovered(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.p.c.Log.Error("panic", zap.String("session", s.id), zap.Any("panic", r), zap.ByteString("stack", debug.Stack()))
			err = errors.New("internal error")
		}
	}()
	return f()
}

// quiet reports whether an error only says that a connection has ended.
func quiet(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded)
}

// closeWrite tells the server that the client will say no more, as the client's
// own end of file would.
func (s *session) closeWrite() {
	if c, ok := s.server.(interface{ CloseWrite() error }); ok {
		if c.CloseWrite() == nil {
			return
		}
	}
	s.server.Close()
}

// sayFatal tells the client why its session ends, if it is its fault.
func (s *session) sayFatal(err error) {
	// The other direction may be stuck in a write that nobody reads.
	if s.client.SetWriteDeadline(time.Now().Add(recordTimeout)) != nil {
		return
	}
	s.clientWrite.Lock()
	defer s.clientWrite.Unlock()
	fatal(s.client, err)
}

// abandon records that what was running on a grant has no known outcome: the
// session ended before the server said.
func (s *session) abandon(ctx context.Context) {
	s.mu.Lock()
	running := append(s.q.lost, s.toServer.grants...)
	for _, o := range s.q.entries[s.q.head:] {
		if o.owedMore != nil {
			running = append(running, o.grants...)
		}
	}
	for _, o := range s.toServer.owed {
		if o.owedMore != nil {
			running = append(running, o.grants...)
		}
	}
	open := s.tx != 'I' && s.q.empty() && s.question == nil
	s.mu.Unlock()
	if open { // and the server has rolled it back
		s.settleWork(ctx, approval.Failed, "the session ended within the transaction")
	}
	for _, g := range append(running, s.toServer.work.grants...) {
		s.finish(ctx, finished{g, approval.OutcomeUnknown, "the session ended before the server answered"})
	}
}

// finish records the outcome of what ran on a grant.
func (s *session) finish(ctx context.Context, f finished) {
	s.loop.mayWait()
	if err := f.grant.Finish(ctx, f.state, f.outcome); err != nil {
		s.p.c.Log.Error("outcome not recorded", zap.Int64("request", f.grant.Request().ID), zap.Error(err))
	}
}

// busy reports whether the server owes an answer, so that a CancelRequest can
// mean something.
func (s *session) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.q.empty() || s.q.skipping || s.question != nil
}

// asks reports whether a question of the proxy's own is under way.
func (s *session) asks() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.question != nil
}

func (s *session) info() SessionInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := SessionInfo{
		ID: s.id, User: s.start.parameters["user"], Database: s.start.parameters["database"],
		Application: s.settings.application, Address: s.client.RemoteAddr().String(),
		Since: s.began, PID: s.pid, State: "active",
	}
	switch {
	case s.holding != nil:
		i.State, i.Request = "held", s.holding.request
	case s.tx == 0:
		i.State = "starting"
	case s.q.empty() && s.tx == 'I':
		i.State = "idle"
	case s.q.empty():
		i.State = "idle in transaction"
	}
	return i
}

// drain asks the session to end when it is idle. A held one learns of it from
// the proxy's draining channel.
func (s *session) drain() {
	s.mu.Lock()
	s.drained = true
	idle := s.idleLocked()
	s.mu.Unlock()
	if idle {
		s.wakeClientReader()
	}
}

// idleLocked reports whether nothing is under way: the moment at which
// PostgreSQL, too, would end a session on shutdown.
func (s *session) idleLocked() bool {
	return s.q.empty() && s.tx == 'I' && s.holding == nil
}

func (s *session) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.idleLocked()
}

// wakeClientReader makes a Read of the client return with a time-out.
func (s *session) wakeClientReader() {
	if err := s.client.SetReadDeadline(time.Unix(1, 0)); err != nil {
		s.client.Close()
	}
}

// noteParameter follows ParameterStatus. Callers hold mu.
func (s *session) noteParameter(frame []byte) error {
	name, rest, err := cstring(frame[headerLen:])
	if err != nil {
		return fmt.Errorf("ParameterStatus: %w", err)
	}
	value, _, err := cstring(rest)
	if err != nil {
		return fmt.Errorf("ParameterStatus: %w", err)
	}
	switch strings.ToLower(string(name)) {
	case "client_encoding":
		s.settings.encoding = string(value)
	case "standard_conforming_strings":
		s.settings.conforming = string(value) == "on"
	case "application_name":
		s.settings.application = string(value)
	case "search_path":
		s.settings.searchPath = string(value)
	}
	return nil
}

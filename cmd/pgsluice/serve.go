package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
	"github.com/pgsluice/pgsluice/policy/approval/ledger"
	"github.com/pgsluice/pgsluice/policy/audit"
	"github.com/pgsluice/pgsluice/proxy"
)

func newServe() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run the proxy",
		Long: `Run the proxy. SIGTERM and SIGINT drain it: new clients are refused, held
statements become tickets, idle sessions are closed, busy ones finish their
statement and their transaction. After the time that the key drain gives, or with
a second signal, what is left is closed and the server rolls it back.
SIGHUP reads policy, people and certificates anew; with a mistake in them the old
ones stay.

Under systemd it tells when it is ready, reloads and stops, answers a watchdog,
and takes a socket that was passed in place of listen.

` + precedence,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := loadConfig(c.Flags())
			if err != nil {
				return err
			}
			log := newLogger(conf)
			defer func() { _ = log.Sync() }()
			return serve(c.Context(), conf, log)
		},
	}
	addConfigFlags(c.Flags())
	return c
}

// serve runs until it is told to stop.
func serve(ctx context.Context, conf *config, log *zap.Logger) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)

	r, err := startProxy(ctx, conf, log)
	if err != nil {
		return err
	}
	drain, atOnce := context.WithCancel(ctx)
	defer atOnce()
	stopped := make(chan error, 1)
	stopping := false
	stop := func() {
		stopping = true
		if conf.Drain > 0 {
			time.AfterFunc(conf.Drain, atOnce)
		}
		go func() { stopped <- r.Stop(drain) }()
	}
	var heartbeat <-chan time.Time
	if every := r.manager.watchdog / 2; every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		heartbeat = t.C
	}
	for {
		select {
		case s := <-signals:
			switch {
			case s == syscall.SIGHUP:
				_ = r.reload(ctx, "SIGHUP") // it has logged what is wrong
			case stopping:
				log.Info("stopping at once", zap.Stringer("signal", s))
				atOnce()
			default:
				log.Info("draining; a second signal stops at once", zap.Stringer("signal", s), zap.Duration("limit", conf.Drain))
				stop()
			}
		case <-heartbeat: // from here, so that it ends when nobody obeys signals any more
			r.tell("WATCHDOG=1", r.status())
		case <-r.served:
			if !stopping {
				stop()
			}
		case err := <-stopped:
			log.Info("stopped")
			return err
		}
	}
}

// tell tells systemd how the service stands.
func (r *running) tell(lines ...string) {
	if err := r.manager.tell(lines...); err != nil {
		r.log.Warn("systemd was not told", zap.Error(err))
	}
}

// status counts the sessions. That needs the locks of all of them, so it is also
// what the watchdog watches.
func (r *running) status() string {
	sessions, held := r.proxy.Sessions(), 0
	for _, s := range sessions {
		if s.State == "held" {
			held++
		}
	}
	return fmt.Sprintf("STATUS=%d sessions, %d of them held, policy %s", len(sessions), held, r.policy().Name())
}

// running is a proxy that startProxy has started.
type running struct {
	log       *zap.Logger
	manager   manager
	listener  net.Listener
	proxy     *proxy.Proxy
	approvals *approval.Service
	closers   []func() error // in the order they were opened

	mu      sync.Mutex // held over a reload
	conf    *config
	inForce atomic.Pointer[inForce]

	abandon context.CancelFunc // closes all sessions at once
	served  chan struct{}      // closed once Serve has returned
	expired chan struct{}      // closed once the expiry has ended
}

// inForce is what one reading of the configuration put in force, swapped as one.
type inForce struct {
	policy *policy.Policy
	people *proxy.ConsolePeople
}

// startProxy opens ledger and audit log and begins to serve; the caller must
// Stop what it returns. The end of ctx closes all sessions at once.
func startProxy(ctx context.Context, c *config, log *zap.Logger) (_ *running, err error) {
	if c == nil || log == nil {
		return nil, errors.New("start the proxy: configuration or logger is missing")
	}
	r := &running{log: log, conf: c, manager: managerFromEnvironment(), served: make(chan struct{}), expired: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	now, err := readPolicy(c)
	if err != nil {
		return nil, err
	}
	r.inForce.Store(now)

	if err := r.openApprovals(c, now); err != nil {
		return nil, err
	}
	dial, err := dialer(c.Server.Address)
	if err != nil {
		return nil, err
	}
	legs, err := bothTLS(c)
	if err != nil {
		return nil, err
	}
	console := &proxy.Console{
		Approvals:   r.approvals,
		Policy:      r.policy,
		People:      func() *proxy.ConsolePeople { return r.inForce.Load().people },
		Sessions:    func() []proxy.SessionInfo { return r.proxy.Sessions() },
		Reload:      r.reload,
		ReloadGroup: c.Console.ReloadGroup,
		Version:     version(),
		Log:         log.Named("console"),
	}
	r.listener, err = listen(c.Listen)
	if err != nil {
		return nil, err
	}
	r.closers = append(r.closers, func() error { return closed(r.listener) })
	r.proxy, err = proxy.New(proxy.Config{
		Server:         c.Server.Address,
		Dial:           dial,
		TLS:            legs,
		Auth:           c.auth(),
		Policy:         r.policy,
		Reader:         policy.NewReader(),
		Approvals:      r.approvals,
		Console:        console,
		MaxWait:        c.Hold.MaxWait,
		DryRun:         proxy.DryRun{Rows: float64(c.DryRun.Rows), Show: c.DryRun.Show, Timeout: c.DryRun.Timeout},
		Where:          consoleCommand(r.Addr()),
		Replication:    c.Replication,
		Limits:         c.Limits,
		TrustedProxies: c.Trusted,
		Log:            log,
	})
	if err != nil {
		return nil, err
	}
	if err := r.approvals.Note(ctx, approval.Event{Kind: "start", PolicyHash: now.policy.Hash(), Detail: "pgsluice " + version()}); err != nil {
		return nil, fmt.Errorf("put the start on record: %w", err)
	}

	serving, abandon := context.WithCancel(ctx)
	r.abandon = abandon
	go func() {
		defer close(r.served)
		if err := r.proxy.Serve(serving, r.listener); err != nil {
			log.Error("serve", zap.Error(err))
		}
	}()
	go func() {
		defer close(r.expired)
		r.expire()
	}()
	r.announce()
	r.tell("READY=1", r.status())
	return r, nil
}

// openApprovals opens the audit log, then the ledger, then the service on both.
func (r *running) openApprovals(c *config, now *inForce) error {
	if err := os.MkdirAll(c.AuditDir, 0o700); err != nil {
		return fmt.Errorf("make the audit log's folder: %w", err)
	}
	recorder, err := audit.Open(c.AuditDir)
	if err != nil {
		return fmt.Errorf("open the audit log: %w", err)
	}
	r.closers = append(r.closers, recorder.Close)

	path := strings.TrimPrefix(c.Ledger, "sqlite:")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the ledger's folder: %w", err)
	}
	requests, err := ledger.OpenSQLite(path)
	if err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	r.closers = append(r.closers, requests.Close)

	r.approvals, err = approval.New(approval.Config{
		Ledger: requests, Recorder: recorder, Now: time.Now,
		People: now.people.People, Window: c.Hold.Window, PendingFor: c.Hold.PendingFor,
	})
	if err != nil {
		return err
	}
	r.closers = append(r.closers, func() error { r.approvals.Close(); return nil })
	return nil
}

// expire ends requests whose time has passed, until Serve has returned: until
// then a session may wait for it.
func (r *running) expire() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-r.served:
			return
		case <-tick.C:
		}
		err := r.approvals.Expire(context.Background())
		if err != nil && !failing {
			r.log.Error("requests cannot be ended in time; nothing held is released while the ledger or the audit log cannot be written", zap.Error(err))
		} else if err == nil && failing {
			r.log.Info("requests are ended in time again")
		}
		failing = err != nil
	}
}

func (r *running) policy() *policy.Policy { return r.inForce.Load().policy }

// Addr is where clients are accepted.
func (r *running) Addr() net.Addr { return r.listener.Addr() }

// Stop drains: new clients are refused, held statements become tickets, idle
// sessions are closed, busy ones finish. When ctx ends first, all are closed. It
// returns when all is closed.
func (r *running) Stop(ctx context.Context) error {
	r.tell("STOPPING=1", "STATUS=draining")
	r.proxy.Drain()
	select {
	case <-r.served:
	case <-ctx.Done():
		r.log.Warn("closing sessions that were not done; the server rolls back what they had open", zap.Int("sessions", len(r.proxy.Sessions())))
		r.abandon()
		<-r.served
	}
	r.abandon()
	<-r.expired
	return r.close()
}

func (r *running) close() error {
	var errs []error
	for i := len(r.closers) - 1; i >= 0; i-- {
		errs = append(errs, r.closers[i]())
	}
	r.closers = nil
	return errors.Join(errs...)
}

// reload puts policy, people and certificates of a new reading in force, on behalf of a person
// or of SIGHUP. With a mistake anywhere in it nothing changes, and the error says
// where the mistake is. Other keys need a restart.
func (r *running) reload(ctx context.Context, by string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell(reloading()...)
	defer func() { r.tell("READY=1", r.status()) }()
	err := func() error {
		c := r.conf
		if c.reread != nil {
			var err error
			if c, err = c.reread(); err != nil {
				return err
			}
		}
		next, err := readPolicy(c)
		if err != nil {
			return err
		}
		certified := *c
		certified.Server.Address = r.conf.Server.Address // which stays, and with it the name in the server's certificate
		legs, err := bothTLS(&certified)
		if err != nil {
			return err
		}
		before := r.policy().Hash()
		note := approval.Event{Kind: "reload", Person: by, PolicyHash: next.policy.Hash(), Detail: "policy before: " + before}
		if err := r.approvals.Note(ctx, note); err != nil {
			return fmt.Errorf("put the reload on record: %w", err)
		}
		r.approvals.SetPeople(next.people.People)
		r.inForce.Store(next)
		if err := r.proxy.SetTLS(legs); err != nil {
			return err
		}
		if needsRestart(r.conf, c) {
			r.log.Warn("reload: other keys than policy, people and TLS have changed; they count from the next start")
		}
		r.log.Info("reloaded", zap.String("by", by), zap.String("policy", next.policy.Name()),
			zap.String("hash", next.policy.Hash()), zap.String("before", before))
		return nil
	}()
	if err != nil {
		r.log.Error("reload refused; what was in force stays", zap.String("by", by), zap.Error(err))
	}
	return err
}

// needsRestart tells whether keys differ that a reload does not take.
func needsRestart(before, after *config) bool {
	a, b := *before, *after
	for _, c := range []*config{&a, &b} {
		c.Policy, c.People, c.reread, c.place = "", nil, nil, nil
		c.TLS, c.Server.TLS = config{}.TLS, config{}.Server.TLS
	}
	return fmt.Sprintf("%+v", a) != fmt.Sprintf("%+v", b)
}

// announce says what a proxy that has just started will do.
func (r *running) announce() {
	now := r.inForce.Load()
	r.log.Info("listening", zap.String("address", r.Addr().String()), zap.String("server", r.conf.Server.Address),
		zap.String("policy", now.policy.Name()), zap.String("hash", now.policy.Hash()), zap.Int("people", len(r.conf.People)))
	for _, f := range now.policy.Cautions() {
		r.log.Warn("policy: " + f.Error())
	}
	if len(r.conf.People) == 0 {
		r.log.Warn("there are no people: nobody can log in to the database pgsluice")
	}
	if r.conf.Console.Listen != "" {
		r.log.Warn("console.listen is set, and this version has no web console: nothing listens there")
	}
}

// dialer opens connections to the server: host:port, or a Unix-domain socket.
func dialer(address string) (func(context.Context) (net.Conn, error), error) {
	if address == "" {
		return nil, errors.New("server.address is missing")
	}
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	d := net.Dialer{Timeout: 10 * time.Second, KeepAliveConfig: proxy.KeepAlive}
	return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, network, address) }, nil
}

// newLogger writes to stderr: text for people, JSON for machines.
func newLogger(c *config) *zap.Logger {
	encoding := zap.NewProductionEncoderConfig()
	encoding.EncodeTime = zapcore.RFC3339TimeEncoder
	encoder := zapcore.NewJSONEncoder(encoding)
	if c.Log.Format == "text" || c.Log.Format == "auto" && term.IsTerminal(int(os.Stderr.Fd())) {
		encoding.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(encoding)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), c.logLevel()))
}

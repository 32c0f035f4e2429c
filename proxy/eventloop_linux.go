package proxy

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// eventLoop reads many connections in one goroutine, which waits for their bytes in
// epoll_wait(2) itself and works on them in place. Where the runtime waits instead,
// each message costs two goroutine switches, the wake-up of a thread that looks for
// more to do and finds nothing, and one of the runtime's monitor: more than all that
// is done to an allowed statement. With one client a SELECT by pgbench took
// 246 us before and 179 so, where PgBouncer took 163; with eight, whose threads rarely
// sleep, there was little between them ("Speed" in README.md).
//
// Who is in the midst of a turn must not keep the others waiting. So whoever is about
// to wait for anything says so (mayWait): then another goroutine leads, and the one
// that waits goes on by itself until its turn is over. What did not say so is noticed
// by watch.
//
// Reading is edge-triggered (epoll(7)).
//
// It starts with the first connection that it takes.
type eventLoop struct {
	starting sync.Once
	started  atomic.Bool
	failed   error // to start

	epoll int
	stop  int // an eventfd: readable once the loop is closed

	waiting atomic.Bool // somebody is in next, who owns the three below
	events  [32]unix.EpollEvent
	left    int // of them, at their end
	n       int

	taken  atomic.Uint64 // events
	calls  chan struct{} // for leaders that wait to be called up
	spare  atomic.Int32  // how many do
	woke   atomic.Bool   // a turn has let another goroutine go on
	asleep atomic.Bool   // watch waits for work
	work   chan struct{} // wakes it

	closed chan struct{}
	all    sync.WaitGroup

	mu    sync.Mutex
	conns map[int32]*loopConn // by descriptor
}

// stalled is how long a turn may go on without having said that it may wait, until
// another goroutine leads: once to twice this.
const stalled = 10 * time.Millisecond

func (l *eventLoop) start() (err error) {
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("create epoll: %w", err)
	}
	if l.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return errors.Join(fmt.Errorf("create eventfd: %w", err), unix.Close(l.epoll))
	}
	if err := l.wait(l.stop, unix.EPOLLIN); err != nil {
		return errors.Join(err, unix.Close(l.epoll), unix.Close(l.stop))
	}
	l.calls, l.closed = make(chan struct{}), make(chan struct{})
	l.work, l.conns = make(chan struct{}, 1), map[int32]*loopConn{}
	l.started.Store(true)
	l.all.Add(2)
	go l.lead()
	go l.watch()
	return nil
}

// wait lets epoll report events of a descriptor.
func (l *eventLoop) wait(fd int, events uint32) error {
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("add to epoll: %w", err)
	}
	return nil
}

// close ends the loop. All of its connections must have been closed.
func (l *eventLoop) close() {
	if !l.started.CompareAndSwap(true, false) {
		return
	}
	close(l.closed)
	if _, err := unix.Write(l.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		return // it cannot fail; and who waits must not lose the descriptors
	}
	l.all.Wait()
	_ = unix.Close(l.stop) // nothing is lost with them
	_ = unix.Close(l.epoll)
}

// lead takes events and works on them, until somebody else does. Then it waits until
// it is called up again, for it has its stack already.
func (l *eventLoop) lead() {
	defer l.all.Done()
	for l.leads() {
		if l.spare.Add(1) > maxSpare {
			l.spare.Add(-1)
			return
		}
		select {
		case <-l.calls:
			l.spare.Add(-1)
		case <-l.closed:
			return
		}
	}
}

// leads reports false once the loop is closed.
func (l *eventLoop) leads() bool {
	for l.waiting.CompareAndSwap(false, true) {
		event, err := l.next()
		l.waiting.Store(false)
		if err != nil || int(event.Fd) == l.stop {
			return false
		}
		if l.taken.Add(1)%yieldEvery == 0 {
			runtime.Gosched()
		}
		if l.asleep.Load() {
			l.wakeWatch()
		}
		l.mu.Lock()
		c := l.conns[event.Fd]
		l.mu.Unlock()
		if c != nil {
			c.happened(event.Events)
		}
		if l.woke.Load() && l.woke.CompareAndSwap(true, false) {
			runtime.Gosched()
		}
	}
	return true
}

// wakes says that this turn lets another goroutine go on. The leader makes room for it
// before it waits: its processor is nobody else's while it does.
func (l *eventLoop) wakes() { l.woke.Store(true) }

// maxSpare is how many leaders wait to be called up.
const maxSpare = 4

// yieldEvery is after how many events the leader goes through the scheduler. One that
// never does has its processor taken away at each system call after 10 ms, by a
// monitor that wakes up every 20 us to do so (sysmon and retake in the runtime).
const yieldEvery = 64

// next takes an event. What is left when its caller is about to wait, the next leader
// takes.
func (l *eventLoop) next() (unix.EpollEvent, error) {
	for l.left == 0 {
		n, err := unix.EpollWait(l.epoll, l.events[:], -1)
		switch {
		case err == nil:
			l.n, l.left = n, n
		case !errors.Is(err, unix.EINTR):
			return unix.EpollEvent{}, fmt.Errorf("wait for events: %w", err)
		}
	}
	l.left--
	return l.events[l.n-l.left-1], nil
}

// mayWait is called by whoever is about to wait, or to be busy for long: it sees to
// it that somebody takes events meanwhile.
func (l *eventLoop) mayWait() {
	if !l.started.Load() || l.waiting.Load() {
		return
	}
	select {
	case l.calls <- struct{}{}:
	default:
		l.all.Add(1)
		go l.lead()
	}
}

// watch finds turns that go on for long, and sleeps while nothing happens.
func (l *eventLoop) watch() {
	defer l.all.Done()
	tick := time.NewTicker(stalled)
	defer tick.Stop()
	var last uint64
	for {
		select {
		case <-tick.C:
		case <-l.closed:
			return
		}
		now := l.taken.Load()
		same := now == last
		last = now
		switch {
		case !same:
		case !l.waiting.Load():
			l.mayWait()
		default:
			l.asleep.Store(true)
			if l.taken.Load() != now || !l.waiting.Load() {
				l.asleep.Store(false)
				continue
			}
			tick.Stop()
			select {
			case <-l.work:
			case <-l.closed:
				return
			}
			tick.Reset(stalled)
		}
	}
}

func (l *eventLoop) wakeWatch() {
	if l.asleep.CompareAndSwap(true, false) {
		select {
		case l.work <- struct{}{}:
		default:
		}
	}
}

// take makes conn one of the loop's, if it is a bare connection of the kernel's; what
// it was is closed then. With an error conn is as it was.
func (l *eventLoop) take(conn net.Conn) (net.Conn, error) {
	under := conn
	if passedOn, ok := conn.(*relayedConn); ok {
		under = passedOn.Conn
	}
	bare, ok := under.(syscall.Conn)
	if !ok {
		return conn, nil
	}
	if l.starting.Do(func() { l.failed = l.start() }); l.failed != nil {
		return conn, l.failed
	}
	raw, err := bare.SyscallConn()
	if err != nil {
		return conn, fmt.Errorf("find the descriptor: %w", err)
	}
	fd := -1
	if cerr := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); cerr != nil {
		err = cerr
	}
	if err != nil {
		return conn, fmt.Errorf("duplicate the descriptor: %w", err)
	}
	c := newLoopConn(l, fd, conn)
	l.mu.Lock()
	l.conns[int32(fd)] = c
	l.mu.Unlock()
	if err := l.wait(fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLPRI|unix.EPOLLET); err != nil {
		return conn, errors.Join(err, c.Close())
	}
	conn.Close() // which takes it from the runtime's epoll
	return c, nil
}

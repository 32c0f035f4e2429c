package proxy

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// loopConn is a connection whose bytes an eventLoop waits for. It is a net.Conn;
// besides, serve works on what comes within the loop.
type loopConn struct {
	loop          *eventLoop
	fd            int
	local, remote net.Addr

	users    atomic.Int64  // of the descriptor, and closing
	closed   chan struct{} // by Close
	readable chan struct{} // a token: there may be something to read
	writable chan struct{} // a token: there may be room to write
	ended    atomic.Bool   // the other side will say no more, it is an error, or reads stop short
	reading  deadline
	writing  deadline
	write    sync.Mutex

	turn func() bool // works on what there is to read; false: it is over
	at   atomic.Int32
	more atomic.Bool // the last read may have left something
}

func newLoopConn(l *eventLoop, fd int, was net.Conn) *loopConn {
	return &loopConn{
		loop: l, fd: fd, local: was.LocalAddr(), remote: was.RemoteAddr(),
		closed: make(chan struct{}), readable: make(chan struct{}, 1), writable: make(chan struct{}, 1),
		reading: deadline{over: make(chan struct{})}, writing: deadline{over: make(chan struct{})},
	}
}

// closing in users says that the descriptor is closed once nobody uses it: its
// number may then be another connection's.
const closing = math.MinInt64

// The states of turns.
const (
	notServed int32 = iota
	isWaiting       // for something to read
	isWorking
	isWorkingAgain // and something has come meanwhile
)

// happened is called by the loop with what epoll reports.
func (c *loopConn) happened(events uint32) {
	// Reads stop short of an urgent byte, which is left out (tcp(7)), whatever is behind it.
	const end = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR | unix.EPOLLPRI
	if events&end != 0 {
		c.ended.Store(true)
	}
	if events&(unix.EPOLLOUT|end) != 0 {
		put(c.writable)
	}
	if events&(unix.EPOLLIN|end) == 0 {
		return
	}
	put(c.readable)
	if c.begin() {
		c.work()
	}
}

// put puts a token where none is.
func put(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// begin takes the turn. Whoever has it goes on for what has come now.
func (c *loopConn) begin() bool {
	for {
		switch at := c.at.Load(); at {
		case isWaiting:
			if c.at.CompareAndSwap(at, isWorking) {
				return true
			}
		case isWorking:
			if c.at.CompareAndSwap(at, isWorkingAgain) {
				return false
			}
		default:
			return false
		}
	}
}

// work works until nothing is left to do. The caller has the turn.
func (c *loopConn) work() {
	for c.turn() {
		if c.at.CompareAndSwap(isWorking, isWaiting) {
			return
		}
		c.at.Store(isWorking)
	}
	c.at.Store(notServed)
}

// manyReads is how often a turn reads until it is taken for one that goes on: what
// streams must not keep others waiting.
const manyReads = 4

// serve serves conn, if it is a loop's.
func serve(conn net.Conn, step func(reading) (over bool, err error)) (served bool, err error) {
	if c, ok := conn.(*loopConn); ok {
		return true, c.serve(step)
	}
	return false, nil
}

// serve calls step, with what reads without waiting, whenever there may be something
// to read, a deadline has passed or the connection was closed. It returns when step
// says that it is over.
func (c *loopConn) serve(step func(reading) (over bool, err error)) error {
	result := make(chan error, 1)
	read := c.readNow
	c.turn = func() bool {
		for reads := 1; ; reads++ {
			over, err := step(read)
			if over || err != nil {
				result <- err
				return false
			}
			if !c.more.Load() {
				return true
			}
			if reads == manyReads {
				c.loop.mayWait()
			}
		}
	}
	c.at.Store(isWorking)
	c.work()
	return <-result
}

// poke gives step a turn although nothing has come.
func (c *loopConn) poke() {
	if c.begin() {
		c.loop.all.Add(1)
		go func() {
			defer c.loop.all.Done()
			c.work()
		}()
	}
}

// use keeps the descriptor open until release.
func (c *loopConn) use() bool {
	for {
		n := c.users.Load()
		if n < 0 {
			return false
		}
		if c.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (c *loopConn) release() {
	if c.users.Add(-1) == closing {
		_ = unix.Close(c.fd) // who wrote has heard of errors
	}
}

// readNow reads without waiting.
func (c *loopConn) readNow(b []byte) (int, error) {
	c.more.Store(true)
	if c.reading.passed() {
		return 0, c.failed("read", os.ErrDeadlineExceeded)
	}
	if !c.use() {
		return 0, c.failed("read", net.ErrClosed)
	}
	n, err := unix.Read(c.fd, b)
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Read(c.fd, b)
	}
	c.release()
	switch {
	case err == unix.EAGAIN:
		c.more.Store(false)
		return 0, errNothing
	case err != nil:
		return 0, c.failed("read", os.NewSyscallError("read", err))
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	// Fewer bytes than there is room for were all (epoll(7), "Questions and answers");
	// what comes behind them, the end too, is an event of its own.
	c.more.Store(n == len(b) || c.ended.Load())
	return n, nil
}

// Read waits for bytes.
func (c *loopConn) Read(b []byte) (int, error) {
	for {
		n, err := c.readNow(b)
		if !errors.Is(err, errNothing) {
			if c.more.Load() {
				put(c.readable) // for whoever else reads
			}
			return n, err
		}
		c.loop.mayWait()
		select {
		case <-c.readable:
		case <-c.reading.wait():
		case <-c.closed:
		}
	}
}

// Write waits until the kernel has taken all of b.
func (c *loopConn) Write(b []byte) (int, error) {
	if !c.write.TryLock() {
		c.loop.mayWait()
		c.write.Lock()
	}
	defer c.write.Unlock()
	sent := 0
	for {
		if c.writing.passed() {
			return sent, c.failed("write", os.ErrDeadlineExceeded)
		}
		if !c.use() {
			return sent, c.failed("write", net.ErrClosed)
		}
		n, err := unix.Write(c.fd, b[sent:])
		c.release()
		switch {
		case err == nil:
			if sent += n; sent == len(b) {
				return sent, nil
			}
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			c.loop.mayWait()
			select {
			case <-c.writable:
			case <-c.writing.wait():
			case <-c.closed:
			}
		default:
			return sent, c.failed("write", os.NewSyscallError("write", err))
		}
	}
}

func (c *loopConn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// Close closes the connection; who waits for it is woken.
func (c *loopConn) Close() error {
	if !c.use() {
		return c.failed("close", net.ErrClosed)
	}
	if c.users.Or(closing) < 0 {
		c.release()
		return c.failed("close", net.ErrClosed)
	}
	close(c.closed)
	c.loop.mu.Lock()
	delete(c.loop.conns, int32(c.fd))
	c.loop.mu.Unlock()
	c.reading.set(time.Time{}, nil)
	c.writing.set(time.Time{}, nil)
	c.release() // the kernel takes it from epoll with its last user
	c.poke()
	return nil
}

// CloseWrite tells the other side that nothing more will be written.
func (c *loopConn) CloseWrite() error {
	if !c.use() {
		return c.failed("close", net.ErrClosed)
	}
	defer c.release()
	if err := unix.Shutdown(c.fd, unix.SHUT_WR); err != nil {
		return c.failed("close", os.NewSyscallError("shutdown", err))
	}
	return nil
}

// control calls f with the descriptor, if it is still open.
func (c *loopConn) control(f func(fd uintptr)) {
	if c.use() {
		f(uintptr(c.fd))
		c.release()
	}
}

// LocalAddr is the address of this end.
func (c *loopConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the address of the other end; where a balancer has said it, that.
func (c *loopConn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *loopConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline bounds reads, also those under way; zero is no bound.
func (c *loopConn) SetReadDeadline(t time.Time) error {
	c.reading.set(t, c.poke)
	return c.stillOpen()
}

// SetWriteDeadline bounds writes, also those under way; zero is no bound.
func (c *loopConn) SetWriteDeadline(t time.Time) error {
	c.writing.set(t, nil)
	return c.stillOpen()
}

func (c *loopConn) stillOpen() error {
	if c.users.Load() < 0 {
		return c.failed("set", net.ErrClosed)
	}
	return nil
}

// deadline is a moment from which on something fails.
type deadline struct {
	is    atomic.Bool // it has passed
	mu    sync.Mutex
	timer *time.Timer
	over  chan struct{} // closed when it has passed
}

func (d *deadline) passed() bool { return d.is.Load() }

// wait gives what is closed when the deadline passes.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

// set moves the deadline; then is called once it passes, if it is not nil.
func (d *deadline) set(t time.Time, then func()) {
	d.mu.Lock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.is.CompareAndSwap(true, false) {
		d.over = make(chan struct{})
	}
	left := time.Until(t)
	switch {
	case t.IsZero():
	case left <= 0:
		d.pass()
		d.mu.Unlock()
		if then != nil {
			then()
		}
		return
	default:
		var timer *time.Timer
		timer = time.AfterFunc(left, func() {
			d.mu.Lock()
			current := d.timer == timer
			if current {
				d.timer = nil
				d.pass()
			}
			d.mu.Unlock()
			if current && then != nil {
				then()
			}
		})
		d.timer = timer
	}
	d.mu.Unlock()
}

// pass is called with mu held.
func (d *deadline) pass() {
	d.is.Store(true)
	close(d.over)
}

package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// memConn is one end of a connection in memory with a buffer of any size, so
// that nobody blocks on writing (net.Pipe deadlocks easily) and synctest knows
// when everybody waits. Real sockets do not work in a synctest bubble.
type memConn struct {
	in, out *memBuffer
	local   net.Addr
	remote  net.Addr
}

type memBuffer struct {
	mu       sync.Mutex
	data     []byte
	eof      bool // the writer has closed its side
	broken   bool // the reader has gone
	deadline time.Time
	changed  chan struct{}
}

func newMemBuffer() *memBuffer { return &memBuffer{changed: make(chan struct{})} }

// memPipe returns the two ends of a connection.
func memPipe() (a, b *memConn) {
	x, y := newMemBuffer(), newMemBuffer()
	here := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40001}
	there := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 6432}
	return &memConn{x, y, here, there}, &memConn{y, x, there, here}
}

func (b *memBuffer) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
	close(b.changed)
	b.changed = make(chan struct{})
}

func (c *memConn) Read(p []byte) (int, error) {
	for {
		b := c.in
		b.mu.Lock()
		switch {
		case b.broken:
			b.mu.Unlock()
			return 0, net.ErrClosed
		case !b.deadline.IsZero() && !time.Now().Before(b.deadline):
			b.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(b.data) > 0:
			n := copy(p, b.data)
			b.data = b.data[n:]
			b.mu.Unlock()
			return n, nil
		case b.eof:
			b.mu.Unlock()
			return 0, io.EOF
		}
		changed, deadline := b.changed, b.deadline
		b.mu.Unlock()
		if deadline.IsZero() {
			<-changed
			continue
		}
		timer := time.NewTimer(time.Until(deadline))
		select {
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (c *memConn) Write(p []byte) (int, error) {
	b := c.out
	b.mu.Lock()
	gone := b.eof || b.broken
	b.mu.Unlock()
	if gone {
		return 0, errors.New("broken pipe")
	}
	b.change(func() { b.data = append(b.data, p...) })
	return len(p), nil
}

func (c *memConn) CloseWrite() error {
	c.out.change(func() { c.out.eof = true })
	return nil
}

func (c *memConn) Close() error {
	c.out.change(func() { c.out.eof = true })
	c.in.change(func() { c.in.broken = true })
	return nil
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.in.change(func() { c.in.deadline = t })
	return nil
}
func (c *memConn) SetWriteDeadline(time.Time) error { return nil }
func (c *memConn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *memConn) LocalAddr() net.Addr              { return c.local }
func (c *memConn) RemoteAddr() net.Addr             { return c.remote }

// take returns what is in the buffer now, and whether the writer has closed.
func (c *memConn) take() (data []byte, eof bool) {
	b := c.in
	b.mu.Lock()
	defer b.mu.Unlock()
	data, b.data = b.data, nil
	return data, b.eof
}

// memListener hands out the connections it is given.
type memListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemListener() *memListener {
	return &memListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 6432} }

package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/net/nettest"
	"golang.org/x/sys/unix"

	"github.com/pgsluice/pgsluice/policy"
)

// tcpPipe gives the two ends of a TCP connection.
func tcpPipe(t testing.TB) (here, there net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if there, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if here, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		here.Close()
		there.Close()
	})
	return here, there
}

// looped gives the two ends of a TCP connection, the first of them the loop's.
func looped(t testing.TB, l *eventLoop) (*loopConn, *net.TCPConn) {
	t.Helper()
	here, there := tcpPipe(t)
	c, err := l.take(here)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*loopConn), there.(*net.TCPConn)
}

// started is a loop that ends with the test, after its connections.
func started(t testing.TB) *eventLoop {
	t.Helper()
	l := &eventLoop{}
	t.Cleanup(l.close)
	return l
}

// TestLoopConn: a connection of the loop's behaves as every net.Conn must.
func TestLoopConn(t *testing.T) {
	l := started(t)
	for _, both := range []bool{false, true} {
		nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
			here, there := looped(t, l)
			var other net.Conn = there
			if both {
				var err error
				if other, err = l.take(there); err != nil {
					return nil, nil, nil, err
				}
			}
			return here, other, func() { here.Close(); other.Close() }, nil
		})
	}
}

// served serves a connection with step, and says how that ended.
func served(c *loopConn, step func(reading) (bool, error)) <-chan error {
	done := make(chan error, 1)
	go func() { done <- c.serve(step) }()
	return done
}

// collect reads into heard what comes, until the end.
func collect(heard chan<- byte, size int) func(reading) (bool, error) {
	buf := make([]byte, size)
	return func(read reading) (bool, error) {
		n, err := read(buf)
		for _, b := range buf[:n] {
			heard <- b
		}
		if errors.Is(err, errNothing) {
			err = nil
		}
		return errors.Is(err, io.EOF), err
	}
}

// TestServeMissesNothing: whatever way bytes and the end come in, and however small
// the reader's buffer is, each byte is worked on, in order, and then the end.
func TestServeMissesNothing(t *testing.T) {
	l := started(t)
	for _, size := range []int{1, 3, 4096} {
		c, there := looped(t, l)
		if _, err := there.Write([]byte{0}); err != nil { // before anybody serves
			t.Fatal(err)
		}
		heard := make(chan byte, 1<<16)
		done := served(c, collect(heard, size))
		next := byte(0)
		hears := func(to byte) {
			for ; next <= to; next++ {
				if got := <-heard; got != next {
					t.Fatalf("size %d: got %d, want %d", size, got, next)
				}
			}
		}
		for i := byte(1); i < 200; i++ {
			if _, err := there.Write([]byte{i}); err != nil {
				t.Fatal(err)
			}
			if i%7 == 0 { // although nothing more comes
				hears(i)
			}
		}
		if err := there.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, io.EOF) {
			t.Errorf("size %d: it ended with %v", size, err)
		}
		hears(199)
	}
}

// TestUrgentByte: what a client sends behind an urgent byte is worked on at once, too.
// The urgent byte itself is left out, as it is where PostgreSQL reads.
func TestUrgentByte(t *testing.T) {
	l := started(t)
	for range 20 {
		c, there := looped(t, l)
		raw, err := there.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range []byte("a!b") {
			if cerr := raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), []byte{b}, i%2*unix.MSG_OOB, nil) }); cerr != nil || err != nil {
				t.Fatal(cerr, err)
			}
		}
		heard := make(chan byte, 3)
		done := served(c, collect(heard, 10))
		if first, second := <-heard, <-heard; first != 'a' || second != 'b' {
			t.Fatalf("got %c and %c", first, second)
		}
		c.Close()
		<-done
	}
}

// TestWhoeverWaitsLetsOthersWork: a turn that waits for a second connection's bytes,
// or writes to one that does not read, is not in the way of anybody: whether it says
// so, as reads and writes do, or not.
func TestWhoeverWaitsLetsOthersWork(t *testing.T) {
	for name, wait := range map[string]func(c *loopConn, over chan struct{}){
		"a read":               func(c *loopConn, _ chan struct{}) { c.Read(make([]byte, 1)) },
		"a write":              func(c *loopConn, _ chan struct{}) { c.Write(make([]byte, 64<<20)) },
		"what it did not tell": func(_ *loopConn, over chan struct{}) { <-over },
		"work without end": func(_ *loopConn, over chan struct{}) {
			for {
				select {
				case <-over:
					return
				default:
					runtime.Gosched()
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := started(t)
			stuck, poker := looped(t, l)
			blocked, _ := looped(t, l)
			other, speaker := looped(t, l)
			over, began := make(chan struct{}), make(chan struct{})
			first := served(stuck, func(read reading) (bool, error) {
				if _, err := read(make([]byte, 8)); errors.Is(err, errNothing) {
					return false, nil
				}
				close(began)
				wait(blocked, over)
				return true, nil
			})
			heard := make(chan byte, 100)
			second := served(other, collect(heard, 10))
			if _, err := poker.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			<-began
			for i := range byte(100) {
				if _, err := speaker.Write([]byte{i}); err != nil {
					t.Fatal(err)
				}
				if got := <-heard; got != i {
					t.Fatalf("got %d, want %d", got, i)
				}
			}
			close(over)
			blocked.Close()
			if err := <-first; err != nil {
				t.Error(err)
			}
			other.Close()
			if err := <-second; !errors.Is(err, net.ErrClosed) {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

// TestManyMessagesLetOthersWork: judging many short messages that came at once takes as
// long as judging a long one, so others are let work before it, not only once watch
// has noticed.
func TestManyMessagesLetOthersWork(t *testing.T) {
	p := testProxy(t, policy.Standard(), func(context.Context) (net.Conn, error) { return nil, net.ErrClosed })
	l := &p.loops[0]
	stuck, poker := looped(t, l)
	other, speaker := looped(t, l)
	server, _ := tcpPipe(t)
	s := newSession(p, hello{conn: stuck, start: &startup{}}, func() {})
	s.server, s.tx = server, 'I'
	close(s.ready)
	s.loop = l
	s.toServer.in = bytes.Repeat([]byte{'H', 0, 0, 0, 4}, longMessage/headerLen+1)
	s.toServer.w = len(s.toServer.in)

	close(l.closed) // which ends watch
	over := make(chan struct{})
	first := served(stuck, func(read reading) (bool, error) {
		if _, err := read(make([]byte, 8)); errors.Is(err, errNothing) {
			return false, nil
		}
		_, err := s.clientSaid(t.Context())
		<-over
		return true, err
	})
	heard := make(chan byte, 1)
	second := served(other, collect(heard, 1))
	for stuck.at.Load() != isWaiting || other.at.Load() != isWaiting {
		runtime.Gosched()
	}
	if _, err := poker.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for stuck.at.Load() == isWaiting {
		runtime.Gosched()
	}
	if _, err := speaker.Write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != 'y' {
		t.Errorf("got %c", got)
	}
	close(over)
	if err := <-first; err != nil {
		t.Error(err)
	}
	other.Close()
	<-second
	if _, err := unix.Write(l.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	l.all.Wait()
	unix.Close(l.stop)
	unix.Close(l.epoll)
}

// TestServeIsWoken: by a deadline, one of the past and one that comes, as often as one
// is set; and by Close.
func TestServeIsWoken(t *testing.T) {
	l := started(t)
	c, _ := looped(t, l)
	woken := make(chan struct{})
	done := served(c, func(read reading) (bool, error) {
		_, err := read(make([]byte, 8))
		switch {
		case errors.Is(err, errNothing):
			return false, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			if err := c.SetReadDeadline(time.Time{}); err != nil {
				return true, err
			}
			woken <- struct{}{}
			return false, nil
		}
		return true, err
	})
	for _, after := range []time.Duration{-time.Hour, time.Millisecond, -time.Second, time.Microsecond} {
		if err := c.SetReadDeadline(time.Now().Add(after)); err != nil {
			t.Fatal(err)
		}
		<-woken
	}
	c.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("it ended with %v", err)
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
}

// TestDeadlineOfTheLogIn: a client that stops in the midst of its log-in is sent away
// when it would have been, had the loop not taken its connection.
func TestDeadlineOfTheLogIn(t *testing.T) {
	p := testProxy(t, policy.Standard(), func(context.Context) (net.Conn, error) { return nil, net.ErrClosed })
	t.Cleanup(p.loops[0].close)
	client, _ := tcpPipe(t)
	server, _ := tcpPipe(t)
	s := newSession(p, hello{conn: client, start: &startup{}, until: time.Now().Add(time.Millisecond)}, func() {})
	s.server = server
	if err := s.joinLoop(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.client.Close() })
	t.Cleanup(func() { s.server.Close() })
	if _, err := s.client.(*loopConn).Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestNothingStaysOpen: of a session whose client is gone before the loop takes it.
func TestNothingStaysOpen(t *testing.T) {
	client, _ := tcpPipe(t)
	server, _ := tcpPipe(t)
	p := testProxy(t, policy.Standard(), func(context.Context) (net.Conn, error) { return server, nil })
	t.Cleanup(p.loops[0].close)
	s := newSession(p, hello{conn: client, start: &startup{}, until: time.Now().Add(time.Minute)}, func() {})
	client.Close()
	if err := s.run(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("it ended with %v", err)
	}
	if err := s.server.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed only now: %v", err)
	}
}

// TestStreamsShareTheLoop: who sends without a pause is worked on beside others.
func TestStreamsShareTheLoop(t *testing.T) {
	l := started(t)
	var all []<-chan error
	for range 4 {
		from, source := looped(t, l)
		to, sink := looped(t, l)
		buf := make([]byte, 4096)
		all = append(all, served(from, func(read reading) (bool, error) {
			n, err := read(buf)
			if _, werr := to.Write(buf[:n]); werr != nil {
				return true, werr
			}
			switch {
			case errors.Is(err, io.EOF):
				return true, to.CloseWrite()
			case errors.Is(err, errNothing):
				return false, nil
			}
			return false, err
		}))
		sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
		go func() {
			source.Write(sent)
			source.CloseWrite()
		}()
		got := make(chan error, 1)
		all = append(all, got)
		go func() {
			received, err := io.ReadAll(sink)
			if err == nil && !bytes.Equal(received, sent) {
				err = errors.New("what came is not what was sent")
			}
			got <- err
		}()
	}
	for _, done := range all {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestDescriptorOutlivesItsUsers: nobody reads or writes a descriptor that was closed
// under them, and whose number is another connection's by then.
func TestDescriptorOutlivesItsUsers(t *testing.T) {
	l := started(t)
	for range 200 {
		c, _ := looped(t, l)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				if _, err := c.Write([]byte("secret")); err != nil {
					return
				}
			}
		}()
		c.Close()
		d, there := looped(t, l) // likely under the same number
		<-done
		d.Close()
		if got, err := io.ReadAll(there); err != nil || len(got) > 0 {
			t.Fatalf("another connection got %q, %v", got, err)
		}
	}
}

// BenchmarkHop compares a relay that the runtime wakes up with one in the event loop,
// where client, server and relay are one process: so it shows what the loop costs
// others in it, whose processor the leader keeps while it waits, until the runtime's
// monitor takes it. AMD EPYC, 2 cores, us a round trip:
//
//	                    GOMAXPROCS=2            GOMAXPROCS=3
//	                2 clients  8 clients    3 clients  12 clients
//	two goroutines         34         30           23          19
//	event loop             72         22           30          21
//
// As processes of their own, see "Speed" in README.md. There it makes no difference: four
// clients with TLS beside four without, pgbench -S on two cores (Intel Xeon, 2026-11-22),
// did 14,300 to 25,700 and 6,900 to 21,500 transactions/s with GOMAXPROCS=2, and 11,800
// to 18,200 and 15,200 to 23,500 with 3 (six runs of 3 s each).
//
//	go test ./proxy -run '^$' -bench Hop -count 5
func BenchmarkHop(b *testing.B) {
	server := fakeServer(b)
	query := messages(b, `Query "`+pgbenchSelect+`"`)
	l := started(b)
	inLoop := func(client, server net.Conn) {
		c, err := l.take(client)
		if err != nil {
			b.Error(err)
			return
		}
		s, err := l.take(server)
		if err != nil {
			b.Error(err)
			return
		}
		relay := func(from, to net.Conn) func(reading) (bool, error) {
			buf, n := make([]byte, 8192), 0
			return func(read reading) (bool, error) {
				m, err := read(buf[n:])
				n += m
				k := scanned(buf[:n])
				if _, werr := to.Write(buf[:k]); werr != nil {
					return true, werr
				}
				n = copy(buf, buf[k:n])
				if errors.Is(err, errNothing) {
					return false, nil
				}
				return false, err
			}
		}
		answers := served(s.(*loopConn), relay(s, c))
		<-served(c.(*loopConn), relay(c, s))
		s.Close()
		<-answers
		c.Close()
	}
	for _, c := range []struct {
		name string
		join func(c, s net.Conn)
	}{{"two goroutines", twoGoroutines}, {"event loop", inLoop}} {
		addr := through(b, server, c.join)
		for _, clients := range []int{1, 4} {
			b.Run(c.name+map[int]string{1: " c=2", 4: " c=8"}[clients], func(b *testing.B) {
				b.SetParallelism(clients)
				roundTrips(b, addr, nil, query, len(answers['Q']))
			})
		}
	}
}

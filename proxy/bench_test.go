package proxy

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/pgsluice/pgsluice/policy"
)

// The benchmarks below are round trips over loopback TCP to a server that
// answers at once, so what they show is what stands in between. Compare within
// one run only:
//
//	go test ./proxy -run '^$' -bench 'Join|Relay' -count 5
//
// Joining the two halves of a session (Join), AMD EPYC, 2 cores, otherwise idle,
// us a round trip:
//
//	                                             2 clients   8 clients
//	no relay at all                                   13.3        12.3
//	two goroutines, each reads one side and
//	writes the other, state under a mutex             27.1        25.9
//	one owner, two readers that hand over
//	by channel                                        31.0        27.2
//
// so the session has two goroutines and a mutex.

// answers is what the fake server says to a query of each kind.
var answers = func() map[byte][]byte {
	row := appendFrame(nil, 'D', func(b []byte) []byte { return append(b, 0, 1, 0, 0, 0, 2, '4', '2') })
	done := appendFrame(nil, 'C', func(b []byte) []byte { return appendCString(b, "SELECT 1") })
	ready := []byte{'Z', 0, 0, 0, 5, 'I'}
	columns, err := scriptMessage(`RowDescription "abalance"`)
	if err != nil {
		panic(err)
	}
	join := func(parts ...[]byte) (b []byte) {
		for _, p := range parts {
			b = append(b, p...)
		}
		return b
	}
	return map[byte][]byte{
		'Q': join(columns, row, done, ready),
		'S': join([]byte{'2', 0, 0, 0, 4}, columns, row, done, ready),
		'P': join([]byte{'1', 0, 0, 0, 4}, ready),
		0:   join(appendFrame(nil, 'D', func(b []byte) []byte { return append(b, "\x00\x01\x00\x00\x00\x05false"...) }), ready),
	}
}()

// fakeServer answers like PostgreSQL would answer pgbench -S.
func fakeServer(b *testing.B) string {
	b.Helper()
	return listen(b, func(c net.Conn) {
		if _, _, err := readStartupPacket(c); err != nil {
			return
		}
		c.Write(helloBytes)
		buf := make([]byte, 8192)
		for n := 0; ; {
			m, err := c.Read(buf[n:])
			if err != nil {
				return
			}
			n += m
			whole, rest := splitFrames(buf[:n])
			var out []byte
			for i, f := range whole {
				switch {
				case f[0] == 'S' && i > 0 && whole[i-1][0] == 'C': // the proxy asks what is hidden
					out = append(out, answers[0]...)
				case f[0] == 'Q', f[0] == 'S' && i > 0 && whole[i-1][0] == 'E':
					out = append(out, answers[f[0]]...)
				case f[0] == 'S':
					out = append(out, answers['P']...)
				}
			}
			n = copy(buf, rest)
			c.Write(out)
		}
	})
}

func listen(b *testing.B, serve func(net.Conn)) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

// scanned walks the messages, as any relay that keeps count must.
func scanned(buf []byte) int {
	at := 0
	for len(buf)-at >= headerLen {
		n := headerLen + int(bodyLen(buf[at:]))
		if len(buf)-at < n {
			break
		}
		at += n
	}
	return at
}

// through forwards to server, joined by join.
func through(b *testing.B, server string, join func(client, server net.Conn)) string {
	return listen(b, func(c net.Conn) {
		s, err := net.Dial("tcp", server)
		if err != nil {
			return
		}
		defer s.Close()
		if _, err := io.CopyN(s, c, int64(len(startupBytes))); err != nil {
			return
		}
		join(c, s)
	})
}

func twoGoroutines(c, s net.Conn) {
	pump := func(from, to net.Conn) {
		defer to.Close()
		buf := make([]byte, 8192)
		for n := 0; ; {
			m, err := from.Read(buf[n:])
			if err != nil {
				return
			}
			n += m
			k := scanned(buf[:n])
			if _, err := to.Write(buf[:k]); err != nil {
				return
			}
			n = copy(buf, buf[k:n])
		}
	}
	go pump(c, s)
	pump(s, c)
}

func oneOwner(c, s net.Conn) {
	read := func(from net.Conn, hand chan<- []byte, back <-chan struct{}) {
		defer close(hand)
		buf := make([]byte, 8192)
		for n := 0; ; {
			m, err := from.Read(buf[n:])
			if err != nil {
				return
			}
			n += m
			k := scanned(buf[:n])
			if k == 0 {
				continue
			}
			hand <- buf[:k]
			<-back
			n = copy(buf, buf[k:n])
		}
	}
	fromC, fromS := make(chan []byte), make(chan []byte)
	backC, backS := make(chan struct{}, 1), make(chan struct{}, 1)
	go read(c, fromC, backC)
	go read(s, fromS, backS)
	for fromC != nil || fromS != nil {
		select {
		case m, ok := <-fromC:
			if !ok {
				fromC = nil
				s.Close()
				continue
			}
			s.Write(m)
			backC <- struct{}{}
		case m, ok := <-fromS:
			if !ok {
				fromS = nil
				c.Close()
				continue
			}
			c.Write(m)
			backS <- struct{}{}
		}
	}
}

// roundTrips sends the same burst again and again and waits for its
// ReadyForQuery.
func roundTrips(b *testing.B, addr string, first, burst []byte, answer int) {
	b.Helper()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		buf := make([]byte, 8192)
		ask := func(say []byte, bytes int) bool {
			if _, err := c.Write(say); err != nil {
				b.Error(err)
				return false
			}
			for got := 0; got < bytes; {
				n, err := c.Read(buf)
				if err != nil {
					b.Error(err)
					return false
				}
				got += n
			}
			return true
		}
		if !ask(startupBytes, len(helloBytes)) || len(first) > 0 && !ask(first, len(answers['P'])) {
			return
		}
		for pb.Next() {
			if !ask(burst, answer) {
				return
			}
		}
	})
}

func messages(b *testing.B, lines ...string) (burst []byte) {
	b.Helper()
	for _, l := range lines {
		m, err := scriptMessage(l)
		if err != nil {
			b.Fatal(err)
		}
		burst = append(burst, m...)
	}
	return burst
}

const pgbenchSelect = "SELECT abalance FROM pgbench_accounts WHERE aid = 424242;"

// BenchmarkJoin compares two ways to join the halves of a session, before any
// work is done in them.
func BenchmarkJoin(b *testing.B) {
	server := fakeServer(b)
	query := messages(b, `Query "`+pgbenchSelect+`"`)
	for _, c := range []struct {
		name string
		join func(c, s net.Conn)
	}{{"two goroutines", twoGoroutines}, {"one owner", oneOwner}} {
		addr := through(b, server, c.join)
		for _, clients := range []int{1, 4} {
			b.Run(c.name+map[int]string{1: " c=2", 4: " c=8"}[clients], func(b *testing.B) {
				b.SetParallelism(clients)
				roundTrips(b, addr, nil, query, len(answers['Q']))
			})
		}
	}
}

// BenchmarkRelay is the session under the standard policy beside a relay that
// reads nothing.
func BenchmarkRelay(b *testing.B) {
	server := fakeServer(b)
	p := testProxy(b, policy.Standard(), func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", server)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go p.Serve(b.Context(), l)
	bare := through(b, server, twoGoroutines)
	for _, c := range []struct {
		name         string
		first, burst []byte
		answer       int
	}{
		{"simple", nil, messages(b, `Query "`+pgbenchSelect+`"`), len(answers['Q'])},
		{"prepared", messages(b, `Parse "P0" "SELECT abalance FROM pgbench_accounts WHERE aid = $1;"`, `Sync`),
			messages(b, `Bind "" "P0" 424242`, `Describe P ""`, `Execute ""`, `Sync`), len(answers['S'])},
	} {
		for _, to := range []struct{ name, addr string }{{"bare", bare}, {"session", l.Addr().String()}} {
			b.Run(c.name+" "+to.name, func(b *testing.B) {
				b.SetParallelism(4)
				roundTrips(b, to.addr, c.first, c.burst, c.answer)
			})
		}
	}
}

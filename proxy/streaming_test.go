package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// TestStreamsAreNotKept: what goes by in bulk, either way, is never kept: while
// 200 MB do, everything in this process, the clients of the test with it, asks for
// less than 8 MB of memory.
func TestStreamsAreNotKept(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	r := serveWith(t, cluster, allowAll, nil)
	line := append(bytes.Repeat([]byte("x"), 999), '\n')
	data := appendFrame(nil, 'd', func(b []byte) []byte { return append(b, bytes.Repeat(line, 64)...) })
	for name, c := range map[string]struct {
		sql   string
		lines int // sent as COPY data, 64 in a message
	}{
		"COPY out":              {sql: "COPY (SELECT repeat('x', 999) FROM generate_series(1, 200000)) TO STDOUT"},
		"rows":                  {sql: "SELECT g, repeat('x', 380) FROM generate_series(1, 500000) g"},
		"a row of 60 MB":        {sql: "SELECT repeat('x', 60000000) FROM generate_series(1, 4)"},
		"COPY in, and no rows ": {sql: "COPY log FROM STDIN WHERE false", lines: 200_000},
	} {
		t.Run(name, func(t *testing.T) {
			conn, reader := loggedIn(t, r.addr, db)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			query, err := scriptMessage("Query " + `"` + c.sql + `"`)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(query); err != nil {
				t.Fatal(err)
			}
			for i := 0; i < c.lines; i += 64 {
				if _, err := conn.Write(data); err != nil {
					t.Fatal(err)
				}
			}
			if c.lines > 0 {
				if _, err := conn.Write([]byte{'c', 0, 0, 0, 4}); err != nil {
					t.Fatal(err)
				}
			}
			received := skipUntilReady(t, reader)
			runtime.ReadMemStats(&after)
			if asked := after.TotalAlloc - before.TotalAlloc; asked > 8<<20 {
				t.Errorf("%d MB of memory were asked for", asked>>20)
			}
			if received+int64(c.lines)*1000 < 190e6 {
				t.Errorf("only %d bytes went by", received)
			}
		})
	}
}

// loggedIn is a session of alice, ready for a query.
func loggedIn(t *testing.T, addr, database string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(startupPacketOf(3<<16, "user", "alice", "database", database, "")); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	skipUntilReady(t, reader)
	return conn, reader
}

// skipUntilReady reads past ReadyForQuery without keeping anything.
func skipUntilReady(t *testing.T, r *bufio.Reader) (n int64) {
	t.Helper()
	head := make([]byte, headerLen)
	for {
		if _, err := io.ReadFull(r, head); err != nil {
			t.Fatal(err)
		}
		if head[0] == 'E' {
			t.Fatal("the server reports an error")
		}
		passed, err := r.Discard(int(bodyLen(head)))
		if err != nil {
			t.Fatal(err)
		}
		n += int64(passed)
		if head[0] == 'Z' {
			return n
		}
	}
}

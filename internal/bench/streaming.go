package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// chunk is the size of one CopyData message: what psql sends at most.
const chunk = 64 << 10

// stream is one large transfer. What the client does is the least that can be
// done, so that the proxy is what is measured.
type stream struct {
	name string
	run  func(ctx context.Context, t target, o options) error
}

var streams = []stream{
	{"COPY out", func(ctx context.Context, t target, _ options) error {
		return asked(ctx, t, "COPY wide TO STDOUT")
	}},
	{"SELECT of rows", func(ctx context.Context, t target, o options) error {
		return asked(ctx, t, fmt.Sprintf("SELECT n, n FROM generate_series(1, %d) n", o.rows))
	}},
	{"COPY in", copyIn},
}

// streaming moves a large table out, many rows, and a large table in, through
// every target in turns.
func streaming(ctx context.Context, c *pgcluster.Cluster, o options, targets []target) error {
	// Rows of about a kilobyte, which do not compress to nothing in the server's cache.
	fill := fmt.Sprintf("CREATE UNLOGGED TABLE wide AS SELECT n, repeat(md5(n::text), 31) AS filler FROM generate_series(1, %d) n", o.megabytes<<10)
	for _, sql := range []string{fill, "CREATE UNLOGGED TABLE narrow (line text)", "ALTER TABLE wide OWNER TO bench", "ALTER TABLE narrow OWNER TO bench", "VACUUM ANALYZE wide"} {
		if _, err := c.Psql(ctx, "-d", database, "-c", sql); err != nil {
			return err
		}
	}
	seconds := map[string]map[string][]float64{}
	grown := map[string]int{}
	started := time.Now()
	for repetition := range o.repetitions {
		for _, s := range streams {
			if seconds[s.name] == nil {
				seconds[s.name] = map[string][]float64{}
			}
			for i := range targets {
				t := targets[(i+repetition)%len(targets)]
				if _, err := c.Psql(ctx, "-d", database, "-c", "TRUNCATE narrow", "-c", "CHECKPOINT"); err != nil {
					return err
				}
				before := time.Now()
				if err := s.run(ctx, t, o); err != nil {
					return fmt.Errorf("%s through %s: %w", s.name, t.name, err)
				}
				seconds[s.name][t.name] = append(seconds[s.name][t.name], time.Since(before).Seconds())
				if t.pid != 0 {
					kib, err := residentKiB(t.pid)
					if err != nil {
						return err
					}
					grown[t.name] = max(grown[t.name], kib)
				}
			}
		}
		fmt.Fprintf(os.Stderr, "streams: repetition %d of %d done after %s\n", repetition+1, o.repetitions, time.Since(started).Round(time.Second))
	}
	fmt.Printf("\n%d MiB, %d rows; seconds\n%-15s", o.megabytes, o.rows, "")
	for _, t := range targets {
		fmt.Printf(" %9s", t.name)
	}
	fmt.Printf("  %s\n", "speed, of pgbouncer's")
	for _, s := range streams {
		fmt.Printf("%-15s", s.name)
		for _, t := range targets {
			fmt.Printf(" %9.2f", median(seconds[s.name][t.name]))
		}
		fmt.Printf("  %21.2f\n", median(seconds[s.name]["pgbouncer"])/median(seconds[s.name]["pgsluice"]))
	}
	fmt.Printf("most memory after any of them: pgbouncer %d KiB, pgsluice %d KiB\n", grown["pgbouncer"], grown["pgsluice"])
	return nil
}

// hijacked is a session from which the driver has been taken.
func hijacked(ctx context.Context, t target) (net.Conn, error) {
	conn, err := connect(ctx, t)
	if err != nil {
		return nil, err
	}
	h, err := conn.Hijack()
	if err != nil {
		return nil, fmt.Errorf("take the connection: %w", err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := h.Conn.SetDeadline(deadline); err != nil {
			return nil, fmt.Errorf("bound the transfer: %w", err)
		}
	}
	return h.Conn, nil
}

// query is a Query message.
func query(sql string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{'Q'}, uint32(4+len(sql)+1))
	return append(append(b, sql...), 0)
}

// ready is ReadyForQuery outside a transaction block, which ends every answer.
var ready = []byte{'Z', 0, 0, 0, 5, 'I'}

// asked sends a Query and reads its answer to the end.
func asked(ctx context.Context, t target, sql string) error {
	conn, err := hijacked(ctx, t)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(query(sql)); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	return drained(conn)
}

// drained reads until the server is ready again.
func drained(conn net.Conn) error {
	buf := make([]byte, 256<<10)
	tail := 0
	for {
		n, err := conn.Read(buf[tail:])
		if err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		got := buf[:tail+n]
		if bytes.HasSuffix(got, ready) {
			if got[0] == 'E' {
				return errors.New("the server answered with an error")
			}
			return nil
		}
		tail = copy(buf, got[max(0, len(got)-len(ready)+1):])
	}
}

// copyIn sends lines of a kilobyte.
func copyIn(ctx context.Context, t target, o options) error {
	conn, err := hijacked(ctx, t)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(query("COPY narrow FROM STDIN")); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	started := make([]byte, 5)
	if _, err := io.ReadFull(conn, started); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if started[0] != 'G' {
		return fmt.Errorf("begin: the server answered with %q", started[0])
	}
	if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(started[1:]))-4); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	line := append(bytes.Repeat([]byte{'x'}, 1023), '\n')
	message := binary.BigEndian.AppendUint32([]byte{'d'}, 4+chunk)
	message = append(message, bytes.Repeat(line, chunk/len(line))...)
	for range o.megabytes << 20 / chunk {
		if _, err := conn.Write(message); err != nil {
			return fmt.Errorf("send rows: %w", err)
		}
	}
	if _, err := conn.Write([]byte{'c', 0, 0, 0, 4}); err != nil {
		return fmt.Errorf("end: %w", err)
	}
	return drained(conn)
}

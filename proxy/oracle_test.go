package proxy

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// TestOracle sends the same client lines to PostgreSQL with and without the
// proxy, under a policy that allows everything, and wants the same transcript.
// In testdata/oracle/*.txt lines in a row are one write; "until X" reads until a
// message of that name has come.
func TestOracle(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, allowAll, nil)
	files, err := filepath.Glob("../testdata/oracle/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no conversations: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(string(b), "\n")
			direct := converse(t, cluster.Addr(), inventory(t, cluster), lines)
			for how, chop := range map[string]int{"": 1 << 20, ", a byte at a time": 1, ", seven bytes at a time": 7} {
				through := converseIn(t, r.addr, inventory(t, cluster), lines, chop)
				if direct != through {
					t.Errorf("directly:\n%s\nthrough the proxy%s:\n%s", direct, how, through)
				}
			}
		})
	}
}

// TestOracleOfSizes sends and fetches what is larger than any buffer.
func TestOracleOfSizes(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, allowAll, nil)
	large := strings.Repeat("0123456789abcdef", 200_000) // 3.2 MB
	lines := []string{
		`-> Query "SELECT length('` + large + `')"`,
		`-> Parse "" "SELECT length($1), $1"`, `-> Bind "" "" ` + large, `-> Execute ""`, `-> Sync`,
		`-> Query "SELECT repeat('x', 5000000)"`, `-> Query "SELECT repeat('y', g % 100) FROM generate_series(1, 20000) g"`,
		`-> Query "COPY log FROM STDIN"`, `until CopyInResponse`,
		`-> CopyData "` + large + `\n"`, `-> CopyData "short\n"`, `-> CopyDone`, `until ReadyForQuery`,
		`-> Query "COPY log TO STDOUT"`,
		`-> Query "DO $$ BEGIN RAISE NOTICE '%', repeat('n', 100000); END $$"`,
	}
	direct := converse(t, cluster.Addr(), inventory(t, cluster), lines)
	through := converse(t, r.addr, inventory(t, cluster), lines)
	if direct != through {
		t.Errorf("%d bytes directly, %d through the proxy", len(direct), len(through))
	}
	if !strings.Contains(direct, "3200000") {
		t.Error("the conversation is not what it is meant to be")
	}
}

// temporarySchema is numbered by the server process.
var temporarySchema = regexp.MustCompile(`pg_temp_\d+`)

// converse logs in as alice, plays the lines and returns what was received.
func converse(t testing.TB, addr, database string, lines []string) string {
	t.Helper()
	return converseIn(t, addr, database, lines, 1<<20)
}

// converseIn is converse with each write cut into pieces of chop bytes.
func converseIn(t testing.TB, addr, database string, lines []string, chop int) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	body := []byte{0, 3, 0, 0}
	for _, p := range []string{"user", "alice", "database", database, "application_name", "oracle", ""} {
		body = appendCString(body, p)
	}
	write := func(b []byte) {
		for piece := range slices.Chunk(b, chop) {
			if _, err := conn.Write(piece); err != nil {
				return // the transcript shows it
			}
		}
	}
	write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...))

	var said strings.Builder
	reader := bufio.NewReader(conn)
	until := func(name string) {
		for {
			frame, err := readFrame(reader)
			if err != nil {
				said.WriteString("closed\n") // by an end of file or a reset, which is chance
				return
			}
			line := fmt.Sprintf("%s (%d bytes)", rendered(frame, true), len(temporarySchema.ReplaceAll(frame, []byte("pg_temp"))))
			said.WriteString(line + "\n")
			if strings.HasPrefix(line, name) {
				return
			}
		}
	}
	until("ReadyForQuery")
	var pending []byte
	for _, line := range lines {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "-> "):
			b, err := scriptMessage(line[3:])
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			pending = append(pending, b...)
		case strings.HasPrefix(line, "until "):
			write(pending)
			pending = nil
			until(strings.TrimPrefix(line, "until "))
		default:
			t.Fatalf("what is %q?", line)
		}
	}
	write(append(pending, 'X', 0, 0, 0, 4))
	until("no message has this name")
	return said.String()
}

// readFrame reads one message; a length that lies is an end of file, as it is to
// PostgreSQL.
func readFrame(r io.Reader) ([]byte, error) {
	head := make([]byte, headerLen)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	if bodyLen(head) < 0 {
		return nil, io.EOF
	}
	frame := append(head, make([]byte, bodyLen(head))...)
	if _, err := io.ReadFull(r, frame[headerLen:]); err != nil {
		return nil, err
	}
	return frame, nil
}

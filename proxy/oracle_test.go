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
			through := converse(t, r.addr, inventory(t, cluster), lines)
			if direct != through {
				t.Errorf("directly:\n%s\nthrough the proxy:\n%s", direct, through)
			}
		})
	}
}

// secrets are what differs from one connection to the next.
var secrets = regexp.MustCompile(`BackendKeyData.*`)

// converse logs in as alice, plays the lines and returns what was received.
func converse(t testing.TB, addr, database string, lines []string) string {
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
	conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...))

	var said strings.Builder
	reader := bufio.NewReader(conn)
	until := func(name string) {
		for {
			frame, err := readFrame(reader)
			if err != nil {
				fmt.Fprintf(&said, "%v\n", err)
				return
			}
			line := secrets.ReplaceAllString(rendered(frame, true), "BackendKeyData")
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
			conn.Write(pending)
			pending = nil
			until(strings.TrimPrefix(line, "until "))
		default:
			t.Fatalf("what is %q?", line)
		}
	}
	conn.Write(append(pending, 'X', 0, 0, 0, 4))
	until("no message has this name")
	return said.String()
}

func readFrame(r io.Reader) ([]byte, error) {
	head := make([]byte, headerLen)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	frame := append(head, make([]byte, bodyLen(head))...)
	if _, err := io.ReadFull(r, frame[headerLen:]); err != nil {
		return nil, err
	}
	return frame, nil
}

package proxy

import (
	"bufio"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// TestOracleOfNoPassword answers something else than a password where one is asked
// for: the client is sent away at once, in the server's words, whoever asks it.
func TestOracleOfNoPassword(t *testing.T) {
	cluster, err := pgcluster.Start(t.Context(), pgcluster.Options{HBA: []string{
		"local all all trust",
		"host all plain 127.0.0.1/32 password",
		"host all digest 127.0.0.1/32 md5",
		"host all all 127.0.0.1/32 scram-sha-256",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Stop() })
	if out, err := cluster.Psql(t.Context(), "-c", "CREATE ROLE plain LOGIN PASSWORD 'secret'; CREATE ROLE scram LOGIN PASSWORD 'secret'",
		"-c", "SET password_encryption = md5", "-c", "CREATE ROLE digest LOGIN PASSWORD 'secret'"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	through := serveWith(t, cluster, allowAll, nil)
	h := &authHouse{cluster}
	ended := serveWith(t, cluster, allowAll, func(c *Config) { c.Auth = Auth{File: h.verifiers(t)} })

	initial := appendFrame(nil, 'p', func(b []byte) []byte {
		const message = "n,,n=,r=abcdefghijklmnopqrstuvwx"
		return append(append(appendCString(b, "SCRAM-SHA-256"), 0, 0, 0, byte(len(message))), message...)
	})
	wrong := map[string][]byte{
		"Query":      appendFrame(nil, 'Q', func(b []byte) []byte { return appendCString(b, "SELECT 1") }),
		"Sync":       {'S', 0, 0, 0, 4},
		"CopyData":   {'d', 0, 0, 0, 5, 'x'},
		"no message": {'?', 0, 0, 0, 4},
		"Terminate":  {'X', 0, 0, 0, 4},
	}
	for _, user := range []string{"plain", "digest", "scram"} {
		for name, message := range wrong {
			steps := map[string][][]byte{"first": {message}, "pipelined": {nil, message}}
			if user == "scram" {
				steps["in the middle"] = [][]byte{initial, message}
			}
			for when, answers := range steps {
				t.Run(user+"/"+name+"/"+when, func(t *testing.T) {
					direct := sentAway(t, cluster.Addr(), user, answers)
					if !strings.Contains(direct, "08P01") {
						t.Errorf("directly:\n%s", direct)
					}
					if got := sentAway(t, through.addr, user, answers); got != direct {
						t.Errorf("directly:\n%s\nthrough the proxy:\n%s", direct, got)
					}
					if user != "scram" {
						return
					}
					if got := sentAway(t, ended.addr, user, answers); got != direct {
						t.Errorf("directly:\n%s\nto the proxy:\n%s", direct, got)
					}
				})
			}
		}
	}
}

// sentAway logs in with these answers to what the server asks, without waiting where
// the first is empty, and returns the error with which the session ends.
func sentAway(t *testing.T, addr, user string, answers [][]byte) (said string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(startupTimeout / 2)); err != nil {
		t.Fatal(err)
	}
	out := startupPacketOf(3<<16, "user", user, "database", "postgres", "")
	reader := bufio.NewReader(conn)
	for _, answer := range answers {
		if answer == nil {
			continue
		}
		if answers[0] != nil {
			if _, err := conn.Write(out); err != nil {
				t.Fatal(err)
			}
			out = nil
			if _, err := readFrame(reader); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, answer...)
	}
	if _, err := conn.Write(out); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := readFrame(reader)
		switch {
		case err != nil:
			if e := net.Error(nil); errors.As(err, &e) && e.Timeout() {
				said += "still open\n"
			}
			return said
		case frame[0] == 'E':
			said += rendered(frame, true) + "\n"
		}
	}
}

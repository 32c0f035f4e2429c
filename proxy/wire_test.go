package proxy

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"golang.org/x/tools/txtar"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
	"github.com/pgsluice/pgsluice/policy/approval/ledger"
	"github.com/pgsluice/pgsluice/policy/audit"
)

var update = flag.Bool("update", false, "rewrite the <- lines of the wire scripts")

// TestWire plays testdata/wire/*.txtar: who sends what (->) and must receive
// what (<-), with the server played by the script. Each file is one synctest
// bubble, so that "nothing" is a proof and an hour costs no time.
//
//	alice connects application=psql   start-up, up to the first ReadyForQuery
//	alice -> Query "..."              lines in a row are one write
//	server <- Query "..."             the server of the first client; bob.server of another
//	bob approves 1 "why"              also: denies; alice cancels, closes, half-closes
//	after 60s                         time goes by
//	server falls-silent               it no longer answers what the proxy asks by itself
//	request 1 is used                 the ledger says so
func TestWire(t *testing.T) {
	files, err := filepath.Glob("../testdata/wire/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no wire scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) { playWire(t, file, a, dir) })
		})
	}
}

// wire is one script being played.
type wire struct {
	*testing.T
	proxy     *Proxy
	service   *approval.Service
	recorder  *recorder
	policies  map[string]*policy.Policy
	policy    atomic.Pointer[policy.Policy]
	listener  *memListener
	dialled   chan *memConn
	ends      map[string]*wireEnd
	first     string // the first client
	nextPID   uint32
	rewritten []string
}

// wireEnd is one end that the script plays.
type wireEnd struct {
	conn       *memConn
	fromServer bool // what it receives was said by the server
	got        [][]byte
	rest       []byte
	eof        bool
	pending    []byte
	pid        uint32
	silent     bool
}

// recorder fails on demand; otherwise it is the real audit log.
type recorder struct {
	log    *audit.Log
	broken atomic.Bool
}

func (r *recorder) Record(ctx context.Context, e approval.Event) error {
	if r.broken.Load() {
		return errors.New("no space left on device")
	}
	return r.log.Record(ctx, e)
}

var wirePeople = []approval.Person{
	{Name: "alice", Logins: []string{"alice"}},
	{Name: "bob", Groups: []string{"dba"}, Logins: []string{"bob"}},
	{Name: "carol", Groups: []string{"dba", "owners"}, Logins: []string{"carol"}},
}

var wireGroups = map[string][]string{"dba": {"bob", "carol"}, "owners": {"carol"}}

func playWire(t *testing.T, file string, a *txtar.Archive, dir string) {
	w := &wire{T: t, ends: map[string]*wireEnd{}, dialled: make(chan *memConn, 1), nextPID: 100,
		policies: map[string]*policy.Policy{}, listener: newMemListener()}
	maxWait := 10 * time.Minute
	w.policy.Store(policy.Standard())
	for _, f := range a.Files {
		switch {
		case strings.HasSuffix(f.Name, ".yaml"):
			p, err := policy.Parse(f.Name, f.Data, wireGroups)
			if err != nil {
				t.Fatal(err)
			}
			w.policies[f.Name] = p
		case f.Name == "max_wait":
			d, err := time.ParseDuration(strings.TrimSpace(string(f.Data)))
			if err != nil {
				t.Fatal(err)
			}
			maxWait = d
		default:
			t.Fatalf("%s: section %s means nothing", file, f.Name)
		}
	}
	if p := w.policies["policy.yaml"]; p != nil {
		w.policy.Store(p)
	}
	l, err := ledger.OpenSQLite(filepath.Join(dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	log, err := audit.Open(filepath.Join(dir, "audit"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	w.recorder = &recorder{log: log}
	w.service, err = approval.New(approval.Config{Ledger: l, Recorder: w.recorder, Now: time.Now,
		People: approval.NewPeople(wirePeople, wireGroups)})
	if err != nil {
		t.Fatal(err)
	}
	defer w.service.Close()
	logger := zap.NewNop()
	if testing.Verbose() {
		logger = zaptest.NewLogger(t)
	}
	w.proxy, err = New(Config{
		Server: "server:5432", Policy: w.policy.Load, Reader: policy.NewReader(), Approvals: w.service,
		MaxWait: maxWait, Where: "psql -d pgsluice", Log: logger,
		Dial: func(context.Context) (net.Conn, error) {
			near, far := memPipe()
			w.dialled <- far
			return near, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- w.proxy.Serve(ctx, w.listener) }()

	lines := strings.Split(strings.TrimRight(string(a.Comment), "\n"), "\n")
	for i, line := range lines {
		if !w.play(file, i+1, strings.TrimSpace(line)) {
			break
		}
	}
	w.flush()
	synctest.Wait()
	for name, e := range w.ends {
		e.collect()
		for _, f := range e.got {
			w.Errorf("%s: %s was also sent: %s", file, name, rendered(f, e.fromServer))
		}
	}
	for _, e := range w.ends {
		e.conn.Close()
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if *update && len(w.rewritten) > 0 {
		a.Comment = []byte(strings.Join(w.rewritten, "\n") + "\n")
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// play does one line of the script. It returns false when going on would make
// no sense.
func (w *wire) play(file string, n int, line string) bool {
	where := fmt.Sprintf("%s:%d", file, n)
	keep := func(s string) { w.rewritten = append(w.rewritten, s) }
	if line == "" || strings.HasPrefix(line, "#") {
		keep(line)
		return true
	}
	if name, message, ok := strings.Cut(line, " -> "); ok {
		keep(line)
		e := w.end(name)
		if e == nil {
			w.Errorf("%s: nobody is called %s", where, name)
			return false
		}
		if len(e.pending) == 0 {
			w.flush()
		}
		b, err := scriptMessage(message)
		if err != nil {
			w.Errorf("%s: %v", where, err)
			return false
		}
		e.pending = append(e.pending, b...)
		return true
	}
	w.flush()
	w.answerOwn()
	if name, want, ok := strings.Cut(line, " <- "); ok {
		e := w.end(name)
		if e == nil {
			w.Errorf("%s: nobody is called %s", where, name)
			return false
		}
		got := e.next()
		keep(name + " <- " + got)
		if got != want && !*update {
			w.Errorf("%s: %s\n got %s\nwant %s", where, name, got, want)
			return false
		}
		return true
	}
	keep(line)
	if err := w.act(line); err != nil {
		w.Errorf("%s: %v", where, err)
		return false
	}
	w.answerOwn()
	return true
}

// act does a line that is no message.
func (w *wire) act(line string) error {
	f, err := words(line)
	if err != nil {
		return err
	}
	rest := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	switch {
	case f[0] == "after":
		d, err := time.ParseDuration(rest(1))
		if err != nil {
			return err
		}
		for end := time.Now().Add(d); time.Now().Before(end); { // as serve does it
			time.Sleep(min(time.Second, time.Until(end)))
			if err := w.service.Expire(w.Context()); err != nil && !w.recorder.broken.Load() {
				return err
			}
			w.answerOwn()
		}
		return nil
	case f[0] == "drain":
		w.proxy.Drain()
		return nil
	case f[0] == "policy":
		w.policy.Store(w.policies[rest(1)])
		return nil
	case f[0] == "audit" && rest(2) == "fails":
		w.recorder.broken.Store(true)
		return nil
	case f[0] == "audit" && rest(2) == "works":
		w.recorder.broken.Store(false)
		return nil
	case f[0] == "request" && rest(2) == "is":
		id, err := strconv.ParseInt(rest(1), 10, 64)
		if err != nil {
			return err
		}
		r, err := w.service.Get(w.Context(), id)
		if err != nil {
			return err
		}
		if string(r.State) != rest(3) {
			return fmt.Errorf("request %d is %s", id, r.State)
		}
		return nil
	}
	switch rest(1) {
	case "connects":
		return w.connect(f[0], f[2:])
	case "closes":
		w.end(f[0]).conn.Close()
		return nil
	case "half-closes":
		return w.end(f[0]).conn.CloseWrite()
	case "cancels":
		return w.cancel(f[0])
	case "falls-silent":
		w.end(f[0]).silent = true
		return nil
	case "approves", "denies":
		id, err := strconv.ParseInt(rest(2), 10, 64)
		if err != nil {
			return err
		}
		if rest(1) == "approves" {
			_, err = w.service.Approve(w.Context(), id, f[0], "psql", rest(3))
		} else {
			_, err = w.service.Deny(w.Context(), id, f[0], "psql", rest(3))
		}
		if rest(4) == "refused" {
			var r *approval.Refusal
			if !errors.As(err, &r) {
				return fmt.Errorf("want a refusal, got %w", cmp.Or(err, errors.New("none")))
			}
			return nil
		}
		return err
	}
	return fmt.Errorf("nobody knows how to: %s", line)
}

func (w *wire) end(name string) *wireEnd {
	if name == "server" {
		name = w.first + ".server"
	}
	return w.ends[name]
}

// flush writes what the script has said since it last waited.
func (w *wire) flush() {
	for _, e := range w.ends {
		if len(e.pending) > 0 {
			e.conn.Write(e.pending)
			e.pending = nil
		}
	}
}

// connect starts a session up to its first ReadyForQuery.
func (w *wire) connect(name string, parameters []string) error {
	near, far := memPipe()
	w.listener.conns <- far
	body := []byte{0, 3, 0, 0}
	set := map[string]string{"user": strings.TrimRight(name, "0123456789"), "database": "shop"}
	for _, p := range parameters {
		k, v, _ := strings.Cut(p, "=")
		set[k] = v
	}
	for k, v := range set {
		body = appendCString(appendCString(body, k), v)
	}
	body = append(body, 0)
	near.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...))
	server := &wireEnd{conn: <-w.dialled}
	synctest.Wait()
	server.conn.take() // the start-up packet
	w.nextPID++
	client := &wireEnd{conn: near, fromServer: true, pid: w.nextPID}
	w.ends[name], w.ends[name+".server"] = client, server
	if w.first == "" {
		w.first = name
	}
	hello := appendFrame(nil, 'R', func(b []byte) []byte { return append(b, 0, 0, 0, 0) })
	for _, m := range []string{`ParameterStatus "client_encoding" "UTF8"`, `ParameterStatus "standard_conforming_strings" "on"`} {
		b, err := scriptMessage(m)
		if err != nil {
			return err
		}
		hello = append(hello, b...)
	}
	hello = appendFrame(hello, 'K', func(b []byte) []byte {
		return append(binary.BigEndian.AppendUint32(b, w.nextPID), "key!"...)
	})
	hello = append(hello, 'Z', 0, 0, 0, 5, 'I')
	server.conn.Write(hello)
	synctest.Wait()
	client.conn.take()
	return nil
}

func (w *wire) cancel(name string) error {
	near, far := memPipe()
	w.listener.conns <- far
	near.Write(cancelPacket(cancelRequest{pid: w.ends[name].pid, key: []byte("key!")}))
	synctest.Wait()
	select {
	case toServer := <-w.dialled: // the proxy passed it on
		w.ends[name+".cancel"] = &wireEnd{conn: toServer}
	default:
	}
	return nil
}

// answerOwn answers, as a server would, what the proxy asks by itself: its
// questions about the session, and the Sync that keeps a held session alive.
// (How a real server takes them is for the tests with one.)
func (w *wire) answerOwn() {
	for again := true; again; {
		again = false
		synctest.Wait()
		for name, e := range w.ends {
			if e.fromServer || !strings.HasSuffix(name, ".server") {
				continue
			}
			e.collect()
			if e.silent {
				continue
			}
			if answer := w.ownAnswer(name, e); answer != nil {
				e.conn.Write(answer)
				again = true
			}
		}
	}
}

// ownAnswer takes the proxy's own messages off e and returns their answer.
func (w *wire) ownAnswer(name string, e *wireEnd) []byte {
	var said []string
	for _, f := range e.got {
		said = append(said, rendered(f, false))
	}
	status := w.statusOf(strings.TrimSuffix(name, ".server"))
	ready := append([]byte{'Z', 0, 0, 0, 5}, status)
	at := slices.IndexFunc(said, func(m string) bool {
		return strings.HasPrefix(m, `Close P "pgsluice_ask"`) || strings.HasPrefix(m, `Parse "pgsluice_ask"`)
	})
	switch {
	case at < 0 && len(said) == 1 && said[0] == "Sync" && status != 0 && w.isHeld(name):
		e.got = nil
		return ready
	case at < 0:
		return nil
	}
	var answer []byte
	var asked string
	for i, m := range said[at:] {
		switch {
		case strings.HasPrefix(m, "Parse"):
			asked = m
			answer = append(answer, '1', 0, 0, 0, 4)
		case strings.HasPrefix(m, "Bind"):
			answer = append(answer, '2', 0, 0, 0, 4)
		case strings.HasPrefix(m, "Execute"):
			if strings.Contains(asked, "SELECT") || strings.Contains(asked, "SHOW") || strings.Contains(asked, "EXPLAIN") {
				says := `"read committed"` // whatever was asked for
				if strings.Contains(asked, "json_build_object") || strings.Contains(asked, "EXPLAIN") {
					says = `"{}"` // a catalogue that knows nothing, and no plan
				}
				if strings.Contains(asked, "track_counts") { // a transaction that has done nothing
					says = `"` + hex.EncodeToString([]byte(`{"track_counts": true, "large_objects": [0, 0, 0, 0, 0, 0]}`)) + `"`
				}
				if strings.Contains(asked, "pg_relation_size(c.oid") {
					says = `"3 tables that hold about 100 rows"`
				}
				row, err := scriptMessage("DataRow " + says)
				if err != nil {
					w.Fatal(err)
				}
				answer = append(answer, row...)
			}
			answer = appendFrame(answer, 'C', func(b []byte) []byte { return appendCString(b, "OK") })
		case strings.HasPrefix(m, "Close"):
			answer = append(answer, '3', 0, 0, 0, 4)
		case m == "Sync" || m == "Flush":
			e.got = slices.Delete(e.got, at, at+i+1)
			if m == "Sync" {
				answer = append(answer, ready...)
			}
			return answer
		}
	}
	w.Fatalf("the proxy's question has no end: %q", said[at:])
	return nil
}

// sessionOf is the proxy's session of a client.
func (w *wire) sessionOf(name string) *session {
	for _, s := range w.proxy.list() {
		s.mu.Lock()
		pid := s.pid
		s.mu.Unlock()
		if pid == w.ends[strings.TrimSuffix(name, ".server")].pid {
			return s
		}
	}
	return nil
}

func (w *wire) statusOf(name string) byte {
	s := w.sessionOf(name)
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tx
}

func (w *wire) isHeld(name string) bool {
	s := w.sessionOf(name)
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holding != nil
}

func (e *wireEnd) collect() {
	data, eof := e.conn.take()
	e.eof = eof
	var whole [][]byte
	whole, e.rest = splitFrames(append(e.rest, data...))
	for _, f := range whole {
		e.got = append(e.got, append([]byte(nil), f...))
	}
}

// next is the next message received, rendered; "nothing" or "closed" if there
// is none.
func (e *wireEnd) next() string {
	e.collect()
	if len(e.got) == 0 {
		if len(e.rest) > 0 {
			return fmt.Sprintf("Bytes %q", e.rest)
		}
		if e.eof {
			return "closed"
		}
		return "nothing"
	}
	f := e.got[0]
	e.got = e.got[1:]
	return rendered(f, e.fromServer)
}

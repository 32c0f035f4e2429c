package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgsluice/pgsluice/policy/approval"
)

const (
	// serverBuffer is what an idle session keeps for reading.
	serverBuffer = 2 << 10
	// bulkBuffer is what is read into while the server sends more than that: COPY
	// out and large results go through in fewer reads.
	bulkBuffer = 128 << 10
	// maxWhole bounds the messages of the server that are looked at as a whole
	// (errors, notices, notifications, parameters).
	maxWhole = 16 << 20
)

// serverReader is the state of the server goroutine.
type serverReader struct {
	buf  []byte
	lent *[]byte // buf, if it is one of bulkBuffers
	w    int     // end of what has been read into buf
	rest int64   // bytes still to come of a message that is passed on unseen

	altered bool   // something must not go to the client as it came
	out     []byte // what goes instead, when altered
	from    int    // start of the bytes of buf that go as they came

	sasl       bool // the server has asked for SASL
	negotiated bool // NegotiateProtocolVersion has been dealt with
	finished   []finished
	signalled  []uint32 // process IDs that pg_cancel_backend has reached
	poke       bool     // the client's goroutine has something to do
	fatal      bool     // the server ends the session
	send       []byte   // what the client is to get of what was read
	writing    bool     // clientWrite is held for that already
}

// finished is a grant whose statement the server has answered.
type finished struct {
	grant   *approval.Grant
	state   approval.State
	outcome string
}

// fromServer relays the server to the client until one of them ends. Rows go
// through as runs of whole messages without being decoded.
func (s *session) fromServer() error {
	r := serverReader{buf: make([]byte, serverBuffer), negotiated: s.p.verifiers != nil}
	return s.pump(s.server, func(read reading) (over bool, err error) { return false, s.readServer(&r, read) })
}

// readServer reads once and works on what has come.
func (s *session) readServer(r *serverReader, read reading) error {
	n, err := read(r.buf[r.w:])
	if n > 0 {
		full := r.w+n == len(r.buf)
		r.w += n
		owes, err := s.relay(r)
		if err != nil {
			return err
		}
		r.resize(full, owes)
	}
	if err != nil && !errors.Is(err, errNothing) {
		return fmt.Errorf("read from server: %w", err)
	}
	return nil
}

// bulkBuffers are lent to sessions whose server sends much, or whose client sends
// much COPY data. Most of what an idle session keeps is buffers and stacks: with 8 and
// 4 KiB of its own for reading client and server, and on a stack that had seen the
// handshake (aside), 5,000 with TLS towards clients took 308 MB in all after a read
// and 375 after writes, too; with 2 KiB each and on a fresh one 227 and 291. With TLS
// to the server, too, 403 and 294 after a read (BenchmarkIdleTLS in cmd/pgsluice).
// Collecting garbage at half of what is in use (GOGC=50) made that 209, 244 and 259,
// and short writes 5 % slower: it is left to whoever needs it.
var bulkBuffers = sync.Pool{New: func() any { b := make([]byte, bulkBuffer); return &b }}

// resize lets the buffer follow the traffic. full says that the last read filled
// it, owes that the server has more to say.
func (r *serverReader) resize(full, owes bool) {
	switch {
	case full && len(r.buf) < bulkBuffer:
		r.lent = bulkBuffers.Get().(*[]byte)
		copy(*r.lent, r.buf[:r.w])
		r.buf = *r.lent
	case !owes && len(r.buf) > serverBuffer && r.w <= serverBuffer/2 && r.rest == 0:
		kept := append(make([]byte, 0, serverBuffer), r.buf[:r.w]...)[:serverBuffer]
		r.giveBack()
		r.buf = kept
	}
}

// giveBack ends the loan of a bulk buffer, if there is one.
func (r *serverReader) giveBack() {
	if r.lent != nil {
		bulkBuffers.Put(r.lent)
		r.lent, r.buf = nil, nil
	}
}

func (r *serverReader) grow(size int) {
	bigger := make([]byte, size)
	copy(bigger, r.buf[:r.w])
	r.giveBack()
	r.buf = bigger
}

// relay sends on what has been read. It reports whether the server owes more.
func (s *session) relay(r *serverReader) (owes bool, err error) {
	r.altered, r.from, r.out, r.poke = false, 0, r.out[:0], false
	pos := 0
	if r.rest > 0 {
		pos = int(min(r.rest, int64(r.w)))
		r.rest -= int64(pos)
	}
	pos, settled, owes, err := s.scanned(r, pos)
	s.withdrawSignalled(r)
	if err != nil {
		return owes, fmt.Errorf("the server's messages do not fit what it was asked: %w", err)
	}
	if len(r.send) > 0 {
		if !r.writing {
			s.lockClient()
		}
		_, err := s.client.Write(r.send)
		s.clientWrite.Unlock()
		if err != nil {
			return owes, fmt.Errorf("write to client: %w", err)
		}
	}
	if settled != nil {
		s.loop.wakes()
		close(settled) // only now: what the client is told next must come after this
	}
	r.w = copy(r.buf, r.buf[pos:r.w])
	for _, f := range r.finished {
		s.finish(context.Background(), f)
	}
	r.finished = nil
	if r.poke {
		s.wakeClientReader()
	}
	return owes, nil
}

// scanned is scanServer with the lock taken, and given back also by a panic: others
// need it to see how the session ends. It returns what to close once the client
// has what it was sent.
func (s *session) scanned(r *serverReader, pos int) (_ int, settled chan struct{}, owes bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pos, err = s.scanServer(r, pos)
	if s.settled != nil && (s.q.len() <= s.settledAt || s.q.copyIn) {
		settled, s.settled = s.settled, nil
	}
	r.send, r.writing = r.buf[r.from:pos], false
	if r.altered {
		r.out = append(r.out, r.send...)
		r.send = r.out
	}
	if s.kept != nil && err == nil {
		s.keep(r)
	}
	return pos, settled, !s.q.empty(), err
}

// keep keeps back what was read. The caller holds mu.
func (s *session) keep(r *serverReader) {
	if r.fatal {
		s.kept.without("CIsZ")
		r.send, s.kept = append(s.kept.frames, r.send...), nil
		return
	}
	// What the client may see comes before whatever the other goroutine gives it,
	// once it has seen that the answer is complete.
	if r.send = s.kept.add(r.send, r.rest); len(r.send) > 0 {
		s.lockClient()
		r.writing = true
	}
	r.poke = r.poke || s.copying && (s.q.empty() || s.q.copyIn)
}

// scanServer walks the whole messages from pos on and returns where they end.
// The caller holds mu.
func (s *session) scanServer(r *serverReader, pos int) (int, error) {
	for r.w-pos >= headerLen {
		typ, body := r.buf[pos], bodyLen(r.buf[pos:])
		if body < 0 {
			return pos, fmt.Errorf("message %q announces a negative length", typ)
		}
		total := headerLen + body
		if s.question == nil && streamed(typ) && !(typ == 'D' && s.signals()) {
			if typ != 'D' && typ != 'd' {
				if _, _, err := s.q.answered(typ); err != nil {
					return pos, err
				}
			}
			if have := int64(r.w - pos); have < total {
				r.rest = total - have
				return r.w, nil
			}
			pos += int(total)
			continue
		}
		if int64(r.w-pos) < total {
			if total > maxWhole {
				return pos, fmt.Errorf("message %q of %d bytes is too long to look at", typ, total)
			}
			if int(total) > len(r.buf) {
				r.grow(int(total))
			}
			return pos, nil
		}
		next := pos + int(total)
		if q := s.question; q != nil {
			own, err := q.answers(s, r.buf[pos:next])
			if err != nil {
				return pos, err
			}
			if own {
				r.replace(pos, next, nil)
				pos = next
				continue
			}
		}
		if err := s.serverSays(r, typ, pos, next); err != nil {
			return pos, err
		}
		pos = next
	}
	return pos, nil
}

// streamed reports whether a message goes through without being looked at as a
// whole: rows, COPY data and descriptions, which can be long.
func streamed(typ byte) bool {
	switch typ {
	case 'D', 'd', 'T', 't', 'V', 'c':
		return true
	}
	return false
}

// replace puts with, which may be empty, in the place of r.buf[at:next] for the
// client.
func (r *serverReader) replace(at, next int, with []byte) {
	r.altered = true
	r.out = append(append(r.out, r.buf[r.from:at]...), with...)
	r.from = next
}

// serverSays deals with one whole message, r.buf[at:next]. The caller holds mu.
func (s *session) serverSays(r *serverReader, typ byte, at, next int) error {
	frame := r.buf[at:next]
	if s.tx == 0 && !r.negotiated && typ != 'E' {
		r.negotiated = true
		if s.start.negotiated() {
			if typ == 'v' {
				merged, err := mergeNegotiated(frame, s.start.stripped)
				if err != nil {
					return fmt.Errorf("NegotiateProtocolVersion: %w", err)
				}
				r.replace(at, next, merged)
				return nil
			}
			r.replace(at, at, negotiateFrame(min(s.start.requested, newestProtocol), s.start.stripped))
		}
	}
	switch typ {
	case 'N', 'A', 'v':
		return nil
	case 'S':
		return s.noteParameter(frame)
	case 'R':
		return s.authentication(r, frame, at, next)
	case 'K':
		if len(frame) < headerLen+8 {
			return errShort
		}
		s.pid = binary.BigEndian.Uint32(frame[headerLen:])
		s.key = append([]byte(nil), frame[headerLen+4:]...)
		s.p.registerKey(s)
		return nil
	case 'E':
		return s.serverFailed(r, frame, at, next)
	case 'D':
		return s.signalAnswered(r, frame)
	case 'G', 'H', 'W':
		return s.copyStarted(typ)
	}
	o, done, err := s.q.answered(typ)
	if err != nil {
		return err
	}
	if o.owedMore != nil && o.notice != nil {
		r.replace(at, at, o.notice)
		o.notice = nil
	}
	if typ == 'C' {
		s.tag = append(s.tag[:0], frame[headerLen:]...)
	}
	if done {
		return s.completed(r, o, frame, at, next)
	}
	return nil
}

// authentication follows the log-in only to know when it is over; what is said
// in it is between client and server.
func (s *session) authentication(r *serverReader, frame []byte, at, next int) error {
	if len(frame) < headerLen+4 {
		return errShort
	}
	kind := binary.BigEndian.Uint32(frame[headerLen:])
	if wantsAnswer(kind) {
		s.asked++
		select {
		case s.prompts <- struct{}{}:
		default:
		}
	}
	switch kind {
	case authenticationOk:
		select {
		case <-s.ready:
			return fmt.Errorf("server authenticated the client twice")
		default:
			close(s.ready)
		}
	case authenticationSASL:
		r.sasl = true
		if !s.clientTLS && s.serverTLS {
			// The server sees TLS and offers channel binding; a client without TLS
			// takes that offer for an attack.
			r.replace(at, next, withoutChannelBinding(frame))
		}
	}
	return nil
}

// hintAtLogin says what can be done about a log-in that fails because the proxy is
// in between, if that is why; sasl tells that the client went through SCRAM.
func (s *session) hintAtLogin(e *pgproto3.ErrorResponse, sasl bool) bool {
	switch {
	case e.Code != "28000" || e.Hint != "":
		return false
	case sasl && s.clientTLS && s.serverTLS:
		e.Hint = channelBindingHint
	case !sasl && strings.Contains(e.Message, "certificate"):
		e.Hint = certificateHint
	default:
		return false
	}
	return true
}

func (s *session) copyStarted(typ byte) error {
	if _, _, err := s.q.answered(typ); err != nil && typ != 'W' {
		return err
	}
	switch typ {
	case 'G':
		s.q.copyInStarted()
	case 'W':
		if !s.start.wantsReplication() {
			return errors.New("server began CopyBoth outside replication")
		}
		s.q.copyInStarted() // as to what the client sends
	}
	return nil
}

// completed does what the end of an answer means.
func (s *session) completed(r *serverReader, o owed, frame []byte, at, next int) error {
	switch o.sent {
	case 'P':
		if o.owedMore == nil || o.defines == nil {
			return fmt.Errorf("server took a Parse that has no end")
		}
		s.known.define(o.name, o.defines)
	case 'C':
		if o.owedMore != nil {
			delete(s.known, o.name)
		}
	}
	if !o.segmentEnd() {
		return nil
	}
	if len(frame) != headerLen+1 {
		return fmt.Errorf("ReadyForQuery of %d bytes", len(frame))
	}
	status := frame[headerLen]
	if o.for_ == swallow {
		if status != s.tx {
			return fmt.Errorf("transaction status changed from %c to %c by itself", s.tx, status)
		}
		r.replace(at, next, nil)
	} else {
		if o.owedMore != nil && o.effects != nil {
			s.known.ran(o.effects, s.failure != "")
		}
		s.finishRunning(r, o)
		s.failed, s.failure, s.tag = s.failure, "", s.tag[:0]
	}
	s.readyIn(status)
	s.segments++
	if o.sent == startUp {
		// Logged in: the deadline for that is over.
		s.loggedIn()
		if err := s.client.SetDeadline(time.Time{}); err != nil {
			return fmt.Errorf("clear deadline: %w", err)
		}
	}
	if s.q.empty() {
		r.poke = s.drained && s.idleLocked()
	}
	return nil
}

// readyIn notes the transaction status of a ReadyForQuery. The caller holds mu.
func (s *session) readyIn(status byte) {
	if s.tx = status; status == 'I' {
		s.idles++
	}
}

// finishRunning notes the outcome of what ran on a grant in the segment that
// has just ended, and of what the server discarded before it.
func (s *session) finishRunning(r *serverReader, o owed) {
	for _, g := range s.q.lost {
		r.finished = append(r.finished, finished{g, approval.Failed, "discarded after an earlier error"})
	}
	s.q.lost = nil
	if o.owedMore == nil {
		return
	}
	for _, g := range o.grants {
		f := finished{grant: g, state: approval.Done, outcome: strings.TrimRight(string(s.tag), "\x00")}
		if s.failure != "" {
			f.state, f.outcome = approval.Failed, "SQLSTATE "+s.failure
		}
		r.finished = append(r.finished, f)
	}
}

// serverFailed deals with an ErrorResponse: the answer to a poison is rewritten,
// any other goes through; either way PostgreSQL's error rule applies.
func (s *session) serverFailed(r *serverReader, frame []byte, at, next int) error {
	var e pgproto3.ErrorResponse
	if err := e.Decode(frame[headerLen:]); err != nil {
		return fmt.Errorf("ErrorResponse: %w", err)
	}
	severity := e.SeverityUnlocalized
	if severity == "" {
		severity = e.Severity
	}
	if severity == "FATAL" || severity == "PANIC" {
		if s.tx == 0 && s.hintAtLogin(&e, r.sasl) {
			hinted, err := e.Encode(nil)
			if err != nil {
				return fmt.Errorf("ErrorResponse: %w", err)
			}
			r.replace(at, next, hinted)
		}
		r.fatal, s.ended = true, true
		return nil // the server closes; its end of file ends the session
	}
	first := s.q.first()
	if first == nil {
		return fmt.Errorf("server sent an error (%s), nothing was owed", e.Code)
	}
	s.failure = e.Code
	switch first.for_ {
	case author:
		if raisedBy(first.sent, e.Code) {
			s.failure = first.refusal.code
			r.replace(at, next, first.refusal.frame("ERROR"))
		}
	case forward:
	default:
		return fmt.Errorf("server answered the proxy's own message with an error (%s)", e.Code)
	}
	s.q.failed()
	return nil
}

package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/pgsluice/pgsluice/policy"
)

const (
	clientBuffer = 8 << 10
	// maxStaged bounds what is kept back of an open batch while more of it is
	// surely coming, so that a statement in it can be held before any of it has
	// reached the server.
	maxStaged = 1 << 20
	// maxOwed bounds the answers owed: a client that pipelines without end
	// waits, as it would for the server's buffers.
	maxOwed = 1 << 18
)

// stage is what the client goroutine collects before it goes to the server. No
// other goroutine touches it.
type stage struct {
	in   []byte // client bytes; [r:w] is unread
	r, w int
	rest int64 // bytes still to come of COPY data that is passed on unseen

	out  []byte
	owed []stagedOwed
	held []held // statements in out that need approval before any of it goes

	// The open batch: extended messages since the last Sync, Query or
	// FunctionCall.
	batch     bool    // there is one
	batchOut  int     // where it begins in out
	batchOwed int     // and in owed
	batchSent bool    // part of it is on the server
	now       txState // what the transaction may be at this point of the batch

	portals map[string][]*statement // what Execute would run, for the names it defines

	// discarding is true after a refusal in the extended protocol, until Sync:
	// the server skips these messages, and they are not even sent.
	discarding bool

	session policy.Session // reused for each decision

	// What was answered for the whole session, when it is a restore.
	restore        policy.RestoreWatch
	restoreGranted string   // id of the rule it was granted under
	restoreRefused *refusal // set once refused: the rest is refused too
}

// stagedOwed is an entry for the queue of answers owed, and where its message
// begins in out.
type stagedOwed struct {
	owed
	at int
}

// txState is the set of states that the transaction may be in.
type txState uint8

const (
	outside txState = 1 << iota // no transaction block
	inside                      // in a transaction block
	broken                      // in a failed one: the server refuses all but its end
)

func stateOf(status byte) txState {
	switch status {
	case 'I':
		return outside
	case 'T':
		return inside
	case 'E':
		return broken
	}
	return outside | inside | broken
}

// fromClient relays the client to the server until one of them ends. It returns
// nil when the client said Terminate or closed its side.
func (s *session) fromClient(ctx context.Context) error {
	t := &s.toServer
	t.in = make([]byte, clientBuffer)
	for {
		n, err := s.client.Read(t.in[t.w:])
		t.w += n
		if n > 0 {
			terminated, err := s.clientSaid(ctx)
			if err != nil || terminated {
				return err
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			if err := s.woken(); err != nil {
				return err
			}
		default:
			return fmt.Errorf("read from client: %w", err)
		}
	}
}

// woken is called when a Read timed out: the log-in took too long, or the
// session is being drained.
func (s *session) woken() error {
	s.mu.Lock()
	drained, idle, starting := s.drained, s.idleLocked() && s.toServer.r == s.toServer.w, s.tx == 0
	s.mu.Unlock()
	switch {
	case drained && idle:
		return stopping()
	case starting:
		return &protocolError{"canceling authentication due to timeout"}
	}
	if err := s.client.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("clear deadline: %w", err)
	}
	return nil
}

// clientSaid works through what has been read: each whole message is staged or
// refused, and what may go goes to the server in one write.
func (s *session) clientSaid(ctx context.Context) (terminated bool, err error) {
	t := &s.toServer
	for {
		if t.rest > 0 {
			if err := s.passCopyData(); err != nil {
				return false, err
			}
		}
		if t.w-t.r < headerLen {
			break
		}
		typ, body := t.in[t.r], bodyLen(t.in[t.r:])
		if err := checkClientFrame(typ, body); err != nil {
			return false, s.flushThen(err)
		}
		if !s.authenticated() {
			if typ != 'p' && typ != 'X' {
				if err := s.waitReady(); err != nil {
					return false, err
				}
			} else if int64(t.w-t.r) >= headerLen+body {
				frame := t.in[t.r : t.r+headerLen+int(body)]
				t.out = append(t.out, frame...)
				t.r += len(frame)
				if err := s.flush(); err != nil || typ == 'X' {
					return typ == 'X', err
				}
				continue
			}
		} else if typ == 'p' {
			return false, s.flushThen(&protocolError{fmt.Sprintf("invalid frontend message type %d", typ)})
		}
		if typ == 'd' {
			if err := s.decideHeld(ctx); err != nil {
				return false, err
			}
			t.rest = headerLen + body
			continue
		}
		if int64(t.w-t.r) < headerLen+body {
			break
		}
		frame := t.in[t.r : t.r+headerLen+int(body)]
		t.r += len(frame)
		if typ == 'X' {
			t.dropHeld()
			t.out = append(t.out, frame...)
			return true, s.flush()
		}
		if err := s.message(ctx, typ, frame); err != nil {
			return false, err
		}
	}
	// Part of a message is left, so more is coming: an open batch may wait for
	// it. PostgreSQL answers nothing before Flush or Sync but errors.
	waits := t.batch && t.w > t.r && len(t.out) < maxStaged
	if len(t.held) > 0 {
		waits = len(t.out) < maxStaged
	}
	if !waits {
		if err := s.decideHeld(ctx); err != nil {
			return false, err
		}
		if err := s.flush(); err != nil {
			return false, err
		}
	}
	t.makeRoom()
	return false, nil
}

// makeRoom moves what is left to the start of the buffer and lets the buffer be
// as large as the message under way, growing with the data and never on the
// word of a header.
func (t *stage) makeRoom() {
	left := t.in[t.r:t.w]
	switch {
	case t.w-t.r == len(t.in):
		bigger := make([]byte, 2*len(t.in))
		copy(bigger, left)
		t.in = bigger
	case len(t.in) > clientBuffer && len(left) <= clientBuffer/2:
		t.in = append(make([]byte, 0, clientBuffer), left...)[:clientBuffer]
	default:
		copy(t.in, left)
	}
	t.r, t.w = 0, len(left)
	if cap(t.out) > 4*clientBuffer && len(t.out) == 0 {
		t.out = nil
	}
}

func (s *session) authenticated() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

// waitReady waits until the server has authenticated the client: what the
// client says before is read only then, as PostgreSQL does it.
func (s *session) waitReady() error {
	select {
	case <-s.ready:
		return nil
	case <-s.gone:
		return io.EOF
	}
}

// passCopyData relays COPY data as it comes, without keeping it.
func (s *session) passCopyData() error {
	t := &s.toServer
	n := int(min(t.rest, int64(t.w-t.r)))
	data := t.in[t.r : t.r+n]
	t.r += n
	t.rest -= int64(n)
	if t.discarding {
		return nil
	}
	if len(data) < 1024 {
		t.out = append(t.out, data...)
		if len(t.out) < clientBuffer {
			return nil
		}
		return s.flush()
	}
	if err := s.flush(); err != nil {
		return err
	}
	if _, err := s.server.Write(data); err != nil {
		return fmt.Errorf("write to server: %w", err)
	}
	return nil
}

// message stages one whole message, or what stands for it.
func (s *session) message(ctx context.Context, typ byte, frame []byte) error {
	t := &s.toServer
	if t.discarding && typ != 'S' {
		return nil
	}
	switch typ {
	case 'Q':
		return s.query(ctx, frame)
	case 'P':
		return s.parse(ctx, frame)
	case 'B':
		return s.bind(ctx, frame)
	case 'F':
		return s.functionCall(ctx, frame)
	case 'D':
		s.inBatch()
		t.put(frame, owed{sent: 'D', for_: forward})
	case 'C':
		s.inBatch()
		t.put(frame, closing(frame))
	case 'E':
		s.inBatch()
		t.put(frame, s.executing(frame))
	case 'H':
		s.inBatch()
		if err := s.decideHeld(ctx); err != nil {
			return err
		}
		if !t.discarding {
			t.out = append(t.out, frame...)
		}
		return s.flush()
	case 'S':
		if err := s.decideHeld(ctx); err != nil {
			return err
		}
		t.discarding = false
		t.put(frame, owed{sent: 'S', for_: forward})
		t.endBatch()
	case 'c', 'f':
		if err := s.decideHeld(ctx); err != nil || t.discarding {
			return err
		}
		t.put(frame, owed{sent: copyDone, for_: forward})
	default:
		return &protocolError{fmt.Sprintf("invalid frontend message type %d", typ)}
	}
	return nil
}

// put stages a message and the answer it will be owed.
func (t *stage) put(frame []byte, o owed) {
	t.owed = append(t.owed, stagedOwed{owed: o, at: len(t.out)})
	t.out = append(t.out, frame...)
}

// inBatch opens a batch if there is none.
func (s *session) inBatch() {
	t := &s.toServer
	if t.batch {
		return
	}
	t.batch, t.batchSent = true, false
	t.batchOut, t.batchOwed = len(t.out), len(t.owed)
	t.now = s.transaction(len(t.owed) == 0)
}

// transaction is what the transaction may be once everything sent so far has
// been answered: known only when nothing is owed.
func (s *session) transaction(nothingStaged bool) txState {
	s.mu.Lock()
	defer s.mu.Unlock()
	if nothingStaged && s.q.empty() && !s.q.skipping {
		return stateOf(s.tx)
	}
	return outside | inside
}

func (t *stage) endBatch() {
	t.batch, t.batchSent = false, false
	t.batchOut, t.batchOwed = len(t.out), len(t.owed)
	t.now = 0
}

// closing is what a Close is owed, and forgets once answered.
func closing(frame []byte) owed {
	o := owed{sent: 'C', for_: forward}
	if len(frame) > headerLen && frame[headerLen] == 'S' {
		if name, _, err := cstring(frame[headerLen+1:]); err == nil {
			o.owedMore = &owedMore{name: string(name)}
		}
	}
	return o
}

// executing is what an Execute is owed, with what its statement does to names
// and to the transaction.
func (s *session) executing(frame []byte) owed {
	t := &s.toServer
	o := owed{sent: 'E', for_: forward}
	portal, _, err := cstring(frame[headerLen:])
	if err != nil {
		return o
	}
	for _, st := range t.portals[string(portal)] {
		for _, f := range st.facts {
			t.now = after(t.now, f.Transaction)
		}
		if hasEffects(st.facts) {
			if o.owedMore == nil {
				o.owedMore = &owedMore{}
			}
			o.effects = append(o.effects, st.facts...)
		}
	}
	return o
}

// after is what the transaction may be once a statement has run.
func after(now txState, e policy.TransactionEffect) txState {
	switch e {
	case policy.TransactionBegin, policy.TransactionCommitAndChain,
		policy.TransactionRollbackAndChain, policy.TransactionRollbackTo:
		return inside
	case policy.TransactionCommit, policy.TransactionRollback:
		return outside
	}
	return now
}

// flush sends what is staged.
func (s *session) flush() error {
	t := &s.toServer
	if err := s.send(len(t.out), len(t.owed)); err != nil {
		return err
	}
	t.batchSent = t.batch
	return nil
}

// send writes the first n staged bytes, with the first entries owed for them.
func (s *session) send(n, entries int) error {
	t := &s.toServer
	if n == 0 {
		return nil
	}
	if len(t.held) > 0 && n > t.held[0].at {
		return errors.New("a held message was about to be sent without an answer") // no path leads here
	}
	s.mu.Lock()
	if err := s.waitOwed(maxOwed); err != nil {
		s.mu.Unlock()
		return err
	}
	for _, o := range t.owed[:entries] {
		if s.q.sentOne(o.owed) && o.owedMore != nil && o.unsettles {
			s.settings.stale = true
		}
	}
	s.mu.Unlock()
	if _, err := s.server.Write(t.out[:n]); err != nil {
		return fmt.Errorf("write to server: %w", err)
	}
	t.out = t.out[:copy(t.out, t.out[n:])]
	kept := copy(t.owed, t.owed[entries:])
	clear(t.owed[kept:])
	t.owed = t.owed[:kept]
	for i := range t.owed {
		t.owed[i].at -= n
	}
	for i := range t.held {
		t.held[i].at -= n
	}
	t.batchOut, t.batchOwed = max(t.batchOut-n, 0), max(t.batchOwed-entries, 0)
	return nil
}

// waitOwed waits until no more than most answers are owed. The caller holds mu,
// which is given up meanwhile.
func (s *session) waitOwed(most int) error {
	for s.q.len() > most {
		settled := make(chan struct{})
		s.settled, s.settledAt = settled, most
		s.mu.Unlock()
		var err error
		select {
		case <-settled:
		case <-s.gone:
			err = io.EOF
		}
		s.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

// settle sends everything before the open batch and waits until the server has
// answered it, so that the transaction, the settings and the names are known
// for certain. It cannot when part of the batch is on the server already, and
// then reports false.
func (s *session) settle() (bool, error) {
	t := &s.toServer
	if t.batchSent {
		return false, nil
	}
	if err := s.send(t.batchOut, t.batchOwed); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.waitOwed(0); err != nil {
		return false, err
	}
	return !s.q.skipping, nil
}

// flushThen lets what was staged before a breach reach the server, as it would
// have without the proxy, and returns the breach. Held statements do not.
func (s *session) flushThen(err error) error {
	s.toServer.dropHeld()
	if flushed := s.flush(); flushed != nil {
		return flushed
	}
	return err
}

// dropHeld takes back what is staged from the first held message on: the client
// ends before anybody was asked.
func (t *stage) dropHeld() {
	if len(t.held) > 0 {
		t.cut(t.held[0].at)
		t.held = nil
	}
}

// functionOID is the function that a FunctionCall names.
func functionOID(frame []byte) (uint32, error) {
	if len(frame) < headerLen+4 {
		return 0, errShort
	}
	return binary.BigEndian.Uint32(frame[headerLen:]), nil
}

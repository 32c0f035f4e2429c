package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// clientBuffer is what an idle session keeps for reading.
	clientBuffer = 2 << 10
	// copyBuffer is how much COPY data that comes in small messages goes to the
	// server in one write.
	copyBuffer = 8 << 10
	// maxStaged bounds what is kept back of an open batch while more of it is
	// surely coming, so that a statement in it can be held before any of it has
	// reached the server.
	maxStaged = 256 << 10
	// longMessage is from where on a message, or what has come at once, may take so
	// long to judge that other sessions had to wait for it: 10 KiB of SQL take about a
	// millisecond, in short statements several. It fills the buffer of an idle session.
	longMessage = clientBuffer
	// pause is how long an open batch waits for its Sync. What has been sent of it can
	// neither be held nor run again, so where a client's writes end must not decide
	// that; and who waits for an error without Flush or Sync has it soon.
	pause = 10 * time.Millisecond
	// maxOwed bounds the answers owed: a client that pipelines without end
	// waits, as it would for the server's buffers.
	maxOwed = 1 << 18
)

// fromClient relays the client to the server until one of them ends. It returns
// nil when the client said Terminate or closed its side.
func (s *session) fromClient(ctx context.Context) error {
	s.toServer.in = make([]byte, clientBuffer)
	return s.pump(s.client, func(read reading) (over bool, err error) { return s.readClient(ctx, read) })
}

// readClient reads once and works on what has come.
func (s *session) readClient(ctx context.Context, read reading) (over bool, err error) {
	t := &s.toServer
	n, err := read(t.in[t.w:])
	t.w += n
	if n > 0 {
		if err := s.endPause(); err != nil {
			return true, err
		}
		if t.w-t.r == n && len(t.out) == 0 && s.p.isDraining() && s.idle() {
			return true, stopping() // else a client that never pauses would never be drained
		}
		terminated, err := s.clientSaid(ctx)
		if err != nil || terminated {
			return true, err
		}
	}
	switch {
	case err == nil, errors.Is(err, errNothing):
		return false, nil
	case errors.Is(err, io.EOF):
		if t.pausing { // the server would have read it, and said what is wrong with it
			return true, s.sendOn(ctx)
		}
		return true, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false, s.woken(ctx)
	}
	return true, fmt.Errorf("read from client: %w", err)
}

// woken is called when a Read timed out: the log-in took too long, the session is
// being drained, or the server does not wait for COPY data any more.
func (s *session) woken(ctx context.Context) error {
	// First: who wakes it from here on is heard.
	if err := s.client.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("clear deadline: %w", err)
	}
	s.mu.Lock()
	t := &s.toServer
	drained, idle, starting := s.drained, s.idleLocked() && t.r == t.w && len(t.out) == 0, s.tx == 0
	s.mu.Unlock()
	switch {
	case drained && idle:
		return stopping()
	case starting:
		return &protocolError{"canceling authentication due to timeout"}
	}
	if t.following != nil {
		return s.resume(ctx)
	}
	if t.pausing {
		t.pausing = false
		return s.sendOn(ctx)
	}
	return nil
}

// endPause is called when more of a batch has come.
func (s *session) endPause() error {
	if !s.toServer.pausing {
		return nil
	}
	s.toServer.pausing = false
	if err := s.client.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("clear deadline: %w", err)
	}
	return nil
}

// clientSaid works through what has been read: each whole message is staged or
// refused, and what may go goes to the server in one write.
func (s *session) clientSaid(ctx context.Context) (terminated bool, err error) {
	t := &s.toServer
	if t.w-t.r >= longMessage {
		s.loop.mayWait()
	}
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
		if checkClientFrame(typ, body) != nil {
			return true, s.breached(typ)
		}
		if !s.authenticated() {
			if typ != 'p' && typ != 'X' {
				if asked, err := s.waitReady(); err != nil {
					return false, err
				} else if asked { // the server says so at once
					return true, s.breached(typ)
				}
			} else if int64(t.w-t.r) >= headerLen+body {
				frame := t.in[t.r : t.r+headerLen+int(body)]
				t.out = append(t.out, frame...)
				t.r += len(frame)
				s.mu.Lock()
				s.asked--
				s.mu.Unlock()
				if err := s.flush(); err != nil || typ == 'X' {
					return typ == 'X', err
				}
				continue
			}
		} else if typ == 'p' {
			return true, s.breached(typ)
		}
		if judged(typ) && body > maxJudged {
			if !t.discarding {
				s.inBatch()
				s.refuse(typ, poisonName, tooLarge(body))
			}
			t.rest, t.dropping = headerLen+body, true
			continue
		}
		if typ == 'd' {
			if err := s.decideHeld(ctx); err != nil {
				return false, err
			}
			if err := s.beforeSync(); err != nil { // long data go by themselves
				return false, err
			}
			if !t.discarding {
				t.put(nil, owed{sent: copyData, for_: forward})
			}
			t.rest, t.bulk = headerLen+body, true
			continue
		}
		if int64(t.w-t.r) < headerLen+body {
			break
		}
		frame := t.in[t.r : t.r+headerLen+int(body)]
		t.r += len(frame)
		t.bulk = false
		if typ == 'X' {
			t.dropHeld()
			t.out = append(t.out, frame...)
			return true, s.flush()
		}
		if err := s.message(ctx, typ, frame); errors.Is(err, errDuringCopy) {
			return true, s.breached(typ)
		} else if err != nil {
			return false, err
		}
	}
	// Part of a message is left, so more is coming: an open batch may wait for
	// it. PostgreSQL answers nothing before Flush or Sync but errors.
	waits := (t.batch && t.w > t.r || len(t.held) > 0) && len(t.out) < maxStaged
	if !waits && t.batch && !t.batchSent && len(t.out) > 0 && len(t.out) < maxStaged {
		if err := s.client.SetReadDeadline(time.Now().Add(pause)); err != nil {
			return false, fmt.Errorf("set deadline: %w", err)
		}
		waits, t.pausing = true, true
	}
	if !waits {
		if err := s.sendOn(ctx); err != nil {
			return false, err
		}
	}
	t.makeRoom()
	return false, nil
}

// sendOn sends what is staged, though it may be part of a batch.
func (s *session) sendOn(ctx context.Context) error {
	if err := s.decideHeld(ctx); err != nil {
		return err
	}
	if err := s.beforeSync(); err != nil {
		return err
	}
	return s.flush()
}

// makeRoom moves what is left to the start of the buffer and lets the buffer be
// as large as the message under way, growing with the data and never on the
// word of a header. COPY data that fills it gets one that is lent.
func (t *stage) makeRoom() {
	left := t.in[t.r:t.w]
	switch {
	case t.bulk && t.w == len(t.in) && len(t.in) < bulkBuffer:
		lent := bulkBuffers.Get().(*[]byte)
		copy(*lent, left)
		t.in, t.lent = *lent, lent
	case len(left) == len(t.in):
		bigger := make([]byte, max(2*len(t.in), copyBuffer))
		copy(bigger, left)
		t.giveBack()
		t.in = bigger
	case len(t.in) > clientBuffer && len(left) <= clientBuffer/2 && !t.bulk:
		kept := append(make([]byte, 0, clientBuffer), left...)[:clientBuffer]
		t.giveBack()
		t.in = kept
	default:
		copy(t.in, left)
	}
	t.r, t.w = 0, len(left)
	if cap(t.out) > clientBuffer && len(t.out) == 0 && !t.bulk {
		t.out = nil
	}
}

// giveBack ends the loan of a bulk buffer, if there is one.
func (t *stage) giveBack() {
	if t.lent != nil {
		bulkBuffers.Put(t.lent)
		t.lent, t.in = nil, nil
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
// client says before is read only then, as PostgreSQL does it. The client is not
// read meanwhile, so the deadline of its log-in is kept here. It reports true where
// the server asks for a password that has not been given.
func (s *session) waitReady() (asked bool, err error) {
	late := time.NewTimer(startupTimeout)
	defer late.Stop()
	s.loop.mayWait()
	for {
		select {
		case <-s.ready:
			return false, nil
		case <-s.prompts:
			s.mu.Lock()
			asked = s.asked > 0
			s.mu.Unlock()
			if asked {
				return true, nil
			}
		case <-s.gone:
			return false, io.EOF
		case <-late.C:
			return false, &protocolError{"canceling authentication due to timeout"}
		}
	}
}

// passCopyData relays COPY data as it comes, without keeping it.
func (s *session) passCopyData() error {
	t := &s.toServer
	n := int(min(t.rest, int64(t.w-t.r)))
	data := t.in[t.r : t.r+n]
	t.r += n
	t.rest -= int64(n)
	if t.discarding || t.dropping {
		t.dropping = t.dropping && t.rest > 0
		return nil
	}
	if len(data) < 1024 {
		t.out = append(t.out, data...)
		if len(t.out) < copyBuffer {
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
	if t.following != nil {
		return s.whileCopying(ctx, typ, frame)
	}
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
		t.put(frame, t.closing(frame))
	case 'E':
		s.inBatch()
		if e := t.endBy(frame); e != endsNothing {
			if refused, err := s.beforeCommit(ctx, e); refused || err != nil {
				return err
			}
		}
		t.put(frame, t.executing(frame))
	case 'H':
		s.inBatch()
		if err := s.decideHeld(ctx); err != nil {
			return err
		}
		if err := s.beforeSync(); err != nil {
			return err
		}
		switch {
		case t.discarding:
		case len(frame) > headerLen: // the server answers 08P01
			t.put(frame, owed{sent: 'H', for_: forward})
		default:
			t.out = append(t.out, frame...)
		}
		return s.flush()
	case 'S':
		if err := s.decideHeld(ctx); err != nil {
			return err
		}
		if (t.batch || t.carried) && !t.discarding && t.toMeasure(nil) {
			return s.followBatch(ctx, frame)
		}
		t.carried = t.carried && !t.discarding // the error has ended the COPY
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

// breached ends the session for a message that breaks the protocol. The server
// is made to do it, with a message that it ends a session for in any case: it
// answers what came before, says what it has to say, and closes. Held statements
// do not reach it.
func (s *session) breached(typ byte) error {
	s.toServer.dropHeld()
	s.toServer.out = append(s.toServer.out, breach(typ)...)
	return s.flush()
}

// functionOID is the function that a FunctionCall names.
func functionOID(frame []byte) (uint32, error) {
	if len(frame) < headerLen+4 {
		return 0, errShort
	}
	return binary.BigEndian.Uint32(frame[headerLen:]), nil
}

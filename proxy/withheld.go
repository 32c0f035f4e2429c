package proxy

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// While the effect of a statement is being measured its answer is kept back: the
// client must not read "DELETE 5" of what may be rolled back, and where nothing
// of it has been seen the statement can be run again.

// maxWithheld bounds what is kept of an answer. Beyond it the rows go to the
// client as they come, and only the end of the answer waits; the statement then
// cannot run a second time.
const maxWithheld = 1 << 20

// withheld is an answer that is kept back. The session's mu guards it.
type withheld struct {
	frames []byte // whole messages, and perhaps the beginning of one
	begun  int64  // bytes to come of a message whose beginning the client has
	shown  bool   // the client has seen part of the answer
}

// withhold begins to keep the server's answers back. Nothing may be owed.
func (s *session) withhold() {
	s.mu.Lock()
	s.kept = &withheld{}
	s.mu.Unlock()
}

// add keeps b back, of which the last message still lacks rest bytes, and
// returns what the client may see now.
func (w *withheld) add(b []byte, rest int64) []byte {
	n := min(w.begun, int64(len(b)))
	w.begun -= n
	show := b[:n:n]
	w.frames = append(w.frames, b[n:]...)
	if len(w.frames) <= maxWithheld {
		return show
	}
	at := w.ending()
	if rest > 0 {
		at, w.begun = len(w.frames), rest
	}
	w.shown = w.shown || at > 0
	show = append(show, w.frames[:at]...)
	w.frames = append([]byte(nil), w.frames[at:]...)
	return show
}

// ending is where the messages begin that say that the answer is complete: the
// last CommandComplete, and ReadyForQuery.
func (w *withheld) ending() int {
	at, ending := 0, -1
	for len(w.frames)-at >= headerLen {
		next := at + headerLen + int(bodyLen(w.frames[at:]))
		if next > len(w.frames) {
			break
		}
		switch w.frames[at] {
		case 'C', 'I', 's', 'Z', 'N', 'S', 'A':
			if ending < 0 {
				ending = at
			}
		default:
			ending = -1
		}
		at = next
	}
	if ending < 0 {
		return at
	}
	return ending
}

// without drops the messages of these types from the end of the answer on.
func (w *withheld) without(types string) {
	kept := w.frames[:w.ending()]
	rest, _ := splitFrames(w.frames[len(kept):])
	for _, frame := range rest {
		drop := false
		for i := range len(types) {
			drop = drop || frame[0] == types[i]
		}
		if !drop {
			kept = append(kept, frame...)
		}
	}
	w.frames = kept
}

// tags are the command tags of the answer, each without its NUL.
func (w *withheld) tags() []string {
	var tags []string
	whole, _ := splitFrames(w.frames)
	for _, frame := range whole {
		if tag, _, err := cstring(frame[headerLen:]); frame[0] == 'C' && err == nil {
			tags = append(tags, string(tag))
		}
	}
	return tags
}

// lastTag is the last command tag of the answer.
func (w *withheld) lastTag() string {
	if tags := w.tags(); len(tags) > 0 {
		return tags[len(tags)-1]
	}
	return ""
}

// ready puts the transaction status into the ReadyForQuery, and what the server has
// said behind that, as it committed or rolled back, where it would have stood: all
// before ReadyForQuery, and notices before the last command tag of a Query, which
// is sent once that is committed.
func (w *withheld) ready(status byte, simple bool) {
	answer, behind, ok := w.cutReady()
	if !ok {
		return
	}
	tag := len(answer)
	if simple {
		tag = lastTagIn(answer)
	}
	var notices, others [][]byte
	for _, frame := range behind {
		if frame[0] == 'N' {
			notices = append(notices, frame)
		} else {
			others = append(others, frame)
		}
	}
	w.frames = slices.Concat(slices.Concat(answer[:tag]...), slices.Concat(notices...), slices.Concat(answer[tag:]...),
		slices.Concat(others...), []byte{'Z', 0, 0, 0, 5, status})
}

// uncommitted drops what the server would not have sent, had it failed to commit
// by itself: ReadyForQuery, and the last command tag of a Query.
func (w *withheld) uncommitted(simple bool) {
	answer, behind, ok := w.cutReady()
	if !ok {
		return
	}
	if tag := lastTagIn(answer); simple && tag < len(answer) {
		answer = slices.Delete(answer, tag, tag+1)
	}
	w.frames = slices.Concat(slices.Concat(answer...), slices.Concat(behind...))
}

// fails puts a refusal in the place of the server's error.
func (w *withheld) fails(r *refusal) {
	whole, _ := splitFrames(w.frames)
	for i, frame := range whole {
		if frame[0] == 'E' {
			whole[i] = r.frame("ERROR")
		}
	}
	w.frames = slices.Concat(whole...)
}

// cutReady gives the messages before and behind the last ReadyForQuery.
func (w *withheld) cutReady() (before, behind [][]byte, ok bool) {
	whole, _ := splitFrames(w.frames)
	for i, frame := range slices.Backward(whole) {
		if frame[0] == 'Z' {
			return whole[:i], whole[i+1:], true
		}
	}
	return nil, nil, false
}

// lastTagIn is the place of the last command tag, or the end.
func lastTagIn(whole [][]byte) int {
	for i, frame := range slices.Backward(whole) {
		if frame[0] == 'C' || frame[0] == 'I' {
			return i
		}
	}
	return len(whole)
}

// keptTags are the command tags of what is kept back. Here and below the lock is
// needed also where the server has answered all: it may say something by itself.
func (s *session) keptTags() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.tags()
}

func (s *session) keptTag() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.lastTag()
}

func (s *session) keptReady(status byte, simple bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept.ready(status, simple)
}

func (s *session) keptFailure(r *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept.fails(r)
}

// keptShown reports whether the client has seen part of the answer.
func (s *session) keptShown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.shown
}

// takeWithheld ends the keeping back and returns what was kept. The server must
// owe nothing.
func (s *session) takeWithheld() *withheld {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.kept
	s.kept = nil
	if w == nil {
		w = &withheld{}
	}
	return w
}

// askForData gives the client what was kept back up to the server's wish for COPY
// data, and goes on keeping back what comes behind it. It reports false where the
// server does not wait for data any more.
func (s *session) askForData() (bool, error) {
	s.mu.Lock()
	if !s.q.copyIn {
		s.mu.Unlock()
		return false, nil
	}
	w := s.kept
	s.kept, s.copying = &withheld{shown: true}, true
	s.mu.Unlock()
	return true, s.toClient(w.frames)
}

// unanswerable waits for the end of a session whose server owes nothing more, though
// it has not answered all: a client that breaks the protocol among COPY data has had
// its Sync read as one of them, and the server ends the session for it. It reports
// nothing where there is still something owed, or the answer has come meanwhile.
func (s *session) unanswerable(r *run) error {
	s.mu.Lock()
	waiting := s.q.empty() && !s.q.copyIn && s.segments < r.expected
	s.mu.Unlock()
	if !waiting {
		return nil
	}
	limit := time.NewTimer(askLimit)
	defer limit.Stop()
	s.loop.mayWait()
	select {
	case <-s.gone:
		return io.EOF
	case <-limit.C:
		return errors.New("the server owes nothing more, and has not ended its answer")
	}
}

// showKept ends the keeping back and gives the client what was kept.
func (s *session) showKept() error { return s.toClient(s.takeWithheld().frames) }

// toClient writes whole messages to the client. Nobody else may be about to.
func (s *session) toClient(frames []byte) error {
	if len(frames) == 0 {
		return nil
	}
	s.lockClient()
	defer s.clientWrite.Unlock()
	if _, err := s.client.Write(frames); err != nil {
		return fmt.Errorf("write to client: %w", err)
	}
	return nil
}

// lockClient takes clientWrite, which somebody has for long where the client does not
// read.
func (s *session) lockClient() {
	if !s.clientWrite.TryLock() {
		s.loop.mayWait()
		s.clientWrite.Lock()
	}
}

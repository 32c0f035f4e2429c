package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// The proxy asks the server questions of its own in the client's session, since
// only there a name means what it means to the client (search_path, temporary
// tables, what the transaction has not committed yet). It does so with nothing
// owed, in the extended protocol and under a name of its own: a simple Query would
// destroy the client's unnamed statement. A query is asked only at ReadyForQuery,
// and inside a transaction behind a savepoint, so that one that fails does not
// abort the client's work; SHOW may also be asked in the midst of an open batch.
// Question and answer are never seen by the client.

// question is one under way.
type question struct {
	rows    [][]byte // the first column of each row
	code    string   // SQLSTATE, if it failed
	failure []byte   // and the ErrorResponse
	routine string   // of the server, that raised the error
	late    bool     // the proxy has cancelled it itself
	sync    bool     // a ReadyForQuery ends it
	closes  int      // CloseCompletes to come, where no ReadyForQuery will
	mayFail bool
	patient bool          // it is the client's own doing, and may take as long as that
	zeroing bool          // the answer to zeroing comes first, with a ReadyForQuery of its own
	settled chan struct{} // nil where nobody waits for the answer
}

// errNotNow says that nothing can be asked at this point of the session.
var errNotNow = errors.New("nothing can be asked at this point of the session")

// errFailed says that the server answered with an error.
var errFailed = errors.New("the server answered with an error")

// errSyntax says that the server's lexer or its grammar refused the text, before
// anything was looked up or done.
var errSyntax = errors.New("a syntax error")

// errCancelled says that the server stopped a question by itself: the client has
// cancelled, or a time limit of the session is over.
var errCancelled = errors.New("cancelled by the client")

const (
	// askLimit is how long a question may take before it is cancelled.
	askLimit = 5 * time.Second

	askName      = "pgsluice_ask"
	askSavepoint = "pgsluice_ask"
)

// inquire runs one query with text parameters and returns the first column of
// its rows. Nothing but the open batch may be staged, and nothing be under way.
func (s *session) inquire(sql string, parameters [][]byte) ([][]byte, error) {
	s.mu.Lock()
	status, ready := s.tx, !s.q.skipping && s.question == nil
	s.mu.Unlock()
	if !ready || status == 'E' || status == 0 {
		return nil, errNotNow
	}
	if s.toServer.batchSent {
		return nil, errNotNow
	}
	return s.putApart(status, execution(nil, sql, parameters))
}

// putApart sends messages of the proxy's own, inside a transaction behind a
// savepoint.
func (s *session) putApart(status byte, messages []byte) ([][]byte, error) {
	if status == 'I' {
		return s.put(messages)
	}
	back := execution(nil, "ROLLBACK TO SAVEPOINT "+askSavepoint, nil)
	back = execution(back, "RELEASE SAVEPOINT "+askSavepoint, nil)
	question := append(execution(nil, "SAVEPOINT "+askSavepoint, nil), messages...)
	rows, err := s.put(append(question, back...))
	if err == nil || !errors.Is(err, errFailed) && !errors.Is(err, errCancelled) {
		return rows, err
	}
	if _, again := s.put(back); again != nil {
		return nil, fmt.Errorf("go back to before the question: %w", errors.Join(again, err))
	}
	return nil, err
}

// refusesSyntax asks whether the text of a Query is a syntax error to the server.
// The server's own grammar is the only one that is certainly its own: the parser
// here is one version's, and servers are of several.
//
// The text is sent as a Parse, with two statements put behind it. A Parse of
// several is an error as soon as the grammar has read them, so that nothing is
// looked up, locked or run, whatever the text is. Where the text alone is good to
// the lexer and the grammar, it is so with a semicolon and more statements behind
// it; so if the lexer or the grammar refuses the whole, it refuses the text.
func (s *session) refusesSyntax(text string) (bool, error) {
	s.mu.Lock()
	status, ready := s.tx, !s.q.skipping && s.question == nil
	s.mu.Unlock()
	if !ready || status == 'E' || status == 0 || s.toServer.batchSent || strings.IndexByte(text, 0) >= 0 {
		return false, nil
	}
	_, err := s.putApart(status, appendFrame(nil, 'P', func(b []byte) []byte {
		return append(appendCString(appendCString(b, askName), text+"\n;\nSELECT 1;\nSELECT 1"), 0, 0)
	}))
	switch {
	case errors.Is(err, errSyntax):
		return true, nil
	case errors.Is(err, errFailed):
		return false, nil
	case err == nil:
		return false, errors.New("the server took several statements in one Parse")
	}
	return false, err
}

// closesPerExecution is how many CloseComplete an execution is answered with.
const closesPerExecution = 4

// show asks for the values of settings. SHOW takes neither a snapshot nor a
// savepoint: it fails only if it is cancelled.
func (s *session) show(names []string) ([]string, error) {
	s.mu.Lock()
	status, ready := s.tx, !s.q.skipping && s.question == nil
	s.mu.Unlock()
	if !ready || status == 'E' || status == 0 {
		return nil, errNotNow
	}
	var messages []byte
	for _, n := range names {
		messages = execution(messages, "SHOW "+n, nil)
	}
	var rows [][]byte
	var err error
	if s.toServer.batchSent {
		rows, err = s.inOpenBatch(messages, &question{closes: closesPerExecution * len(names)})
	} else {
		rows, err = s.put(messages)
	}
	if err == nil && len(rows) != len(names) {
		err = fmt.Errorf("%d of %d settings shown", len(rows), len(names))
	}
	values := make([]string, len(rows))
	for i, r := range rows {
		values[i] = string(r)
	}
	return values, err
}

// flushFrame is a Flush.
var flushFrame = [...]byte{'H', 0, 0, 0, 4}

// awaitOpenBatch waits until what is on the server of the open batch has been
// answered, and reports whether it has failed.
func (s *session) awaitOpenBatch() (failed bool, err error) {
	s.mu.Lock()
	unanswered := !s.q.empty()
	s.mu.Unlock()
	if unanswered {
		if _, err := s.server.Write(flushFrame[:]); err != nil {
			return false, fmt.Errorf("write to server: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.waitOwed(0)
	return s.q.skipping, err
}

// awaitData waits until what is on the server of the open batch has been answered,
// or reads COPY data, and reports whether it does.
func (s *session) awaitData() (data bool, err error) {
	s.mu.Lock()
	unanswered := !s.q.empty() && !s.q.copyIn
	s.mu.Unlock()
	if unanswered { // a server that reads COPY data ignores it
		if _, err := s.server.Write(flushFrame[:]); err != nil {
			return false, fmt.Errorf("write to server: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waitOwedOrData(0)
}

// inOpenBatch asks within the client's own open batch, of which part is on the
// server already. A question that may fail takes the batch along: the server then
// discards what comes up to Sync.
func (s *session) inOpenBatch(messages []byte, q *question) ([][]byte, error) {
	failed, err := s.awaitOpenBatch()
	switch {
	case err != nil:
		return nil, err
	case failed:
		return nil, errNotNow
	}
	return s.ask(append(messages, flushFrame[:]...), q)
}

// execution appends the messages that run one statement and leave nothing behind.
func execution(b []byte, sql string, parameters [][]byte) []byte {
	b = closeAsked(b)
	b = appendFrame(b, 'P', func(b []byte) []byte {
		return append(appendCString(appendCString(b, askName), sql), 0, 0)
	})
	b = appendFrame(b, 'B', func(b []byte) []byte {
		b = appendCString(appendCString(b, askName), askName) // portal, statement
		b = append(b, 0, 0)                                   // all in text
		b = binary.BigEndian.AppendUint16(b, uint16(len(parameters)))
		for _, p := range parameters {
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
		}
		return append(b, 0, 0)
	})
	return executed(b)
}

// executed appends the messages that run what has been bound, and forget it.
func executed(b []byte) []byte {
	b = appendFrame(b, 'E', func(b []byte) []byte { return append(appendCString(b, askName), 0, 0, 0, 0) })
	return closeAsked(b)
}

// closeAsked appends the Closes of a question's portal and statement. They come
// first, too: a question that failed has left both behind.
func closeAsked(b []byte) []byte {
	b = appendFrame(b, 'C', func(b []byte) []byte { return appendCString(append(b, 'P'), askName) })
	return appendFrame(b, 'C', func(b []byte) []byte { return appendCString(append(b, 'S'), askName) })
}

// put sends messages of the proxy's own, with a Sync, and waits for the answer.
func (s *session) put(messages []byte) ([][]byte, error) {
	return s.ask(append(messages, 'S', 0, 0, 0, 4), &question{sync: true, mayFail: true})
}

// ask sends a question and waits for its answer, which ends with the ReadyForQuery or
// as many CloseComplete as q says.
func (s *session) ask(messages []byte, q *question) ([][]byte, error) {
	if q.sync {
		messages = s.zeroed(messages, q)
	}
	q.settled = make(chan struct{})
	s.puts(q)
	if _, err := s.server.Write(messages); err != nil {
		return nil, fmt.Errorf("write to server: %w", err)
	}
	// A catalogue that somebody has locked would hold the client up for ever.
	limit := time.NewTimer(askLimit)
	defer limit.Stop()
	for answered := false; !answered; {
		s.loop.mayWait()
		select {
		case <-q.settled:
			answered = true
		case <-s.gone:
			return nil, io.EOF
		case <-limit.C:
			if q.patient {
				continue
			}
			if q.late {
				return nil, errors.New("the server answers neither the proxy's question nor its cancel")
			}
			q.late = true
			s.p.cancelServer(context.Background(), s)
			limit.Reset(askLimit)
		}
	}
	if q.code == "" {
		return q.rows, nil
	}
	if q.code == "42601" && q.routine == "scanner_yyerror" {
		return nil, fmt.Errorf("%w: %w", errFailed, errSyntax)
	}
	return nil, &questionFailed{q.code, q.failure, q.code == "57014" && !q.late}
}

// puts makes the server's next messages the answer to a question.
func (s *session) puts(q *question) {
	s.mu.Lock()
	s.question = q
	s.mu.Unlock()
}

// questionFailed is errFailed, or errCancelled, with what the server said.
type questionFailed struct {
	code      string
	frame     []byte
	cancelled bool
}

func (e *questionFailed) Error() string { return fmt.Sprintf("%v: SQLSTATE %s", e.Unwrap(), e.code) }
func (e *questionFailed) Unwrap() error {
	if e.cancelled {
		return errCancelled
	}
	return errFailed
}

// answers takes a message of the server for the question that is under way. It
// reports whether the message was part of the answer: notices, notifications
// and parameters are the client's. The caller holds mu.
func (q *question) answers(s *session, frame []byte) (bool, error) {
	switch frame[0] {
	case 'N':
		var n pgproto3.NoticeResponse
		if err := n.Decode(frame[headerLen:]); err != nil {
			return true, fmt.Errorf("NoticeResponse: %w", err)
		}
		// With client_min_messages at debug the server tells of each step.
		// SET CONSTRAINTS warns outside a transaction block, and is obeyed.
		own := strings.HasPrefix(n.SeverityUnlocalized, "DEBUG") || n.SeverityUnlocalized == "LOG" || n.Code == "25P01"
		return own, nil
	case 'A', 'S':
		return false, nil
	case '3':
		if q.closes > 0 {
			if q.closes--; q.closes == 0 {
				q.end(s)
			}
		}
		return true, nil
	case '1', '2', 'C', 'n', 'T', 'I':
		return true, nil
	case 'D':
		var row pgproto3.DataRow
		if err := row.Decode(frame[headerLen:]); err != nil || len(row.Values) == 0 {
			return true, errShort
		}
		if !q.zeroing {
			q.rows = append(q.rows, append([]byte(nil), row.Values[0]...))
		}
		return true, nil
	case 'E':
		var e pgproto3.ErrorResponse
		if err := e.Decode(frame[headerLen:]); err != nil {
			return true, fmt.Errorf("ErrorResponse: %w", err)
		}
		if e.Severity == "FATAL" || e.SeverityUnlocalized == "FATAL" || e.SeverityUnlocalized == "PANIC" {
			return false, nil // the client must hear why its session ends
		}
		if q.zeroing { // by a CancelRequest: the counters are then too high, never too low
			return true, nil
		}
		q.code, q.routine, q.failure = e.Code, e.Routine, append([]byte(nil), frame...)
		switch {
		case q.closes > 0 && q.mayFail:
			s.q.skipping = true
			q.end(s)
		case q.closes > 0:
			return true, fmt.Errorf("the proxy's own question failed in an open batch (%s)", e.Code)
		}
		return true, nil
	case 'Z':
		if len(frame) != headerLen+1 {
			return true, errShort
		}
		s.readyIn(frame[headerLen])
		if q.zeroing && q.sync {
			q.zeroing = false
			return true, nil
		}
		q.end(s)
		return true, nil
	}
	return true, fmt.Errorf("server sent %q in answer to the proxy's own question", frame[0])
}

func (q *question) end(s *session) {
	s.question = nil
	if q.settled != nil {
		s.loop.wakes()
		close(q.settled)
	}
}

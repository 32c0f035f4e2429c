package proxy

import (
	"fmt"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
)

// whose says whom the answer to a message is for. The zero value is no one, and
// meeting it ends the session.
type whose uint8

const (
	forward whose = iota + 1 // the client asked
	swallow                  // the proxy asked, the client must not see the answer
	author                   // the proxy's poison: its error is rewritten, in its place
)

// owed is one answer the server owes: an entry for each message sent to it that
// will be answered, in the order sent. Together with what the server sends, the
// queue of these is half of the session's state; PgBouncer, PgDog and others
// came to the same shape.
type owed struct {
	// sent is the type of the message: Q P B D C E S F, H only for a malformed
	// Flush, or one of the marks
	// below.
	sent      byte
	for_      whose
	*owedMore // nil for most messages
}

// owedMore is what only some messages carry.
type owedMore struct {
	name    string            // of the statement that a Parse or Close names
	defines *statement        // by Parse, once ParseComplete has come
	effects []*policy.Facts   // of a Query or Bind, for the names they define
	grants  []*approval.Grant // what runs on a grant and ends with this message's ReadyForQuery
	refusal *refusal          // what an author entry says
	notice  []byte            // sent to the client before the first answer
	cancels uint32            // process ID that a Query or Execute is to cancel
}

const (
	startUp     byte = 0   // the start-up packet: owed is everything up to ReadyForQuery
	copyData    byte = 'd' // COPY data went by: no answer
	copyDone    byte = 'c' // CopyDone or CopyFail went by: no answer
	ignoredSync byte = 's' // a Sync among COPY data: no answer, unless the data fails
)

// segmentEnd reports whether the server answers the message with ReadyForQuery.
func (o owed) segmentEnd() bool {
	return o.sent == 'Q' || o.sent == 'S' || o.sent == 'F' || o.sent == startUp
}

// definesNames reports whether the message may define a prepared statement.
func (o owed) definesNames() bool {
	return o.owedMore != nil && (o.defines != nil || o.effects != nil)
}

// with makes room for what only some messages carry.
func (o owed) with() owed {
	if o.owedMore == nil {
		o.owedMore = &owedMore{}
	}
	return o
}

// owedQueue is the FIFO of answers owed, with what PostgreSQL's error rule
// ("discards messages until a Sync is reached") makes of it. Its first entry is
// never a mark, so it is empty exactly when the server owes nothing.
type owedQueue struct {
	entries []owed
	head    int

	// skipping is true from an error in the extended protocol until a Sync
	// reaches the server, when none was under way: nothing sent meanwhile is
	// answered.
	skipping bool
	// copyIn is true while the server reads COPY data and the client has not
	// ended it: the server ignores Sync then. dataSent is true once data has
	// been sent.
	copyIn, dataSent bool
	// defining counts entries that define a prepared statement, so that looking
	// up a name costs nothing when there is none.
	defining int
	// lost are grants of messages that the server discarded unread.
	lost []*approval.Grant
}

func (q *owedQueue) empty() bool { return q.head == len(q.entries) }
func (q *owedQueue) len() int    { return len(q.entries) - q.head }

// sentOne records that a message has been sent. It returns false when the
// server will not answer it.
func (q *owedQueue) sentOne(o owed) bool {
	if q.copyIn {
		switch o.sent {
		case copyData:
			q.dataSent = true
			return false
		case copyDone:
			q.copyIn, q.dataSent = false, false
			q.drop(ignoredSync)
			return false
		case 'S':
			if !q.dataSent {
				return false
			}
			o.sent = ignoredSync
		}
	}
	if q.skipping {
		if o.sent != 'S' {
			return false
		}
		q.skipping = false
	}
	if q.empty() {
		q.entries, q.head = q.entries[:0], 0
		if o.sent == copyData || o.sent == copyDone {
			return false // outside COPY the server ignores them
		}
	}
	if o.sent == copyData && q.entries[len(q.entries)-1].sent == copyData {
		return false // one mark says it
	}
	q.entries = append(q.entries, o)
	if o.definesNames() {
		q.defining++
	}
	return true
}

// drop removes all marks of one kind.
func (q *owedQueue) drop(mark byte) {
	kept := q.entries[:q.head]
	for _, o := range q.entries[q.head:] {
		if o.sent != mark {
			kept = append(kept, o)
		}
	}
	clear(q.entries[len(kept):])
	q.entries = kept
}

// first is the entry the next answer belongs to; nil when nothing is owed.
func (q *owedQueue) first() *owed {
	if q.empty() {
		return nil
	}
	return &q.entries[q.head]
}

// pop removes the first entry, and the marks behind it.
func (q *owedQueue) pop() owed {
	o := q.take()
	for !q.empty() && q.entries[q.head].isMark() {
		q.take()
	}
	if q.empty() && cap(q.entries) > 64 {
		q.entries, q.head = nil, 0
	}
	return o
}

func (q *owedQueue) take() owed {
	o := q.entries[q.head]
	q.entries[q.head] = owed{}
	q.head++
	if o.definesNames() {
		q.defining--
	}
	return o
}

func (o owed) isMark() bool {
	return o.sent == copyData || o.sent == copyDone || o.sent == ignoredSync
}

// failed applies PostgreSQL's error rule after an ErrorResponse: within the
// extended protocol everything up to the next Sync is discarded, Query and
// FunctionCall included; a simple Query or FunctionCall only ends. COPY data
// that failed ends the COPY, and a Sync sent after it counts again.
func (q *owedQueue) failed() {
	q.copyIn, q.dataSent = false, false
	for i := range q.entries[q.head:] {
		if o := &q.entries[q.head+i]; o.sent == ignoredSync {
			o.sent = 'S'
		}
	}
	first := q.first()
	if first == nil || first.segmentEnd() {
		return
	}
	for !q.empty() {
		if q.first().sent == 'S' {
			return
		}
		if o := q.take(); o.owedMore != nil {
			q.lost = append(q.lost, o.grants...)
		}
	}
	q.skipping = true
}

// copyInStarted applies what CopyInResponse means for what was already sent:
// the server ignores each Sync up to the end of the data.
func (q *owedQueue) copyInStarted() {
	q.copyIn, q.dataSent = true, false
	kept := q.entries[:q.head+1]
	for _, o := range q.entries[q.head+1:] {
		switch {
		case !q.copyIn:
			kept = append(kept, o)
		case o.sent == copyDone:
			q.copyIn, q.dataSent = false, false
			n := q.head + 1
			for _, before := range kept[n:] {
				if before.sent != ignoredSync {
					kept[n] = before
					n++
				}
			}
			kept = kept[:n]
		case o.sent == copyData:
			q.dataSent = true
		case o.sent == 'S' && !q.dataSent:
		case o.sent == 'S':
			kept = append(kept, owed{sent: ignoredSync, for_: o.for_, owedMore: o.owedMore})
		default:
			kept = append(kept, o)
		}
	}
	clear(q.entries[len(kept):])
	q.entries = kept
}

// answered matches a message from the server, by its type, with the entry it
// answers. It returns that entry, with done true when the answer is complete.
// Messages that may come at any time (N, S, A) must not be given to it.
func (q *owedQueue) answered(typ byte) (o owed, done bool, err error) {
	first := q.first()
	if first == nil {
		return owed{}, false, fmt.Errorf("server sent %q, nothing was owed", typ)
	}
	if first.for_ == 0 {
		return owed{}, false, fmt.Errorf("server sent %q for a message of nobody", typ)
	}
	var completes bool
	switch typ {
	case 'Z':
		completes = first.segmentEnd()
		if !completes {
			return owed{}, false, fmt.Errorf("server is ready for a query, but owes the answer to %q", first.sent)
		}
	case '1':
		completes = first.sent == 'P'
	case '2':
		completes = first.sent == 'B'
	case '3':
		completes = first.sent == 'C'
	case 'n', 'T':
		completes = first.sent == 'D'
	case 'C', 'I', 's':
		completes = first.sent == 'E'
	case 't', 'D', 'd', 'c', 'G', 'H', 'V', 'E':
	default:
		return *first, false, nil // a message of a newer server: whose it is, is all we know
	}
	if !completes && !first.mayGet(typ) {
		return owed{}, false, fmt.Errorf("server sent %q, but owes the answer to %q", typ, first.sent)
	}
	if completes {
		return q.pop(), true, nil
	}
	return *first, false, nil
}

// mayGet reports whether a message of type typ may be part of the answer to o
// without ending it.
func (o owed) mayGet(typ byte) bool {
	switch typ {
	case 'E':
		return true
	case '1', '2', '3', 'n', 's':
		return false
	case 'T', 'C', 'I':
		return o.sent == 'Q'
	case 't':
		return o.sent == 'D'
	case 'V':
		return o.sent == 'F'
	}
	return o.sent == 'Q' || o.sent == 'E' // rows and COPY
}

package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
	"github.com/pgsluice/pgsluice/proxy/impact"
)

// stage is what the client goroutine collects before it goes to the server. No
// other goroutine touches it.
type stage struct {
	in   []byte  // client bytes; [r:w] is unread
	lent *[]byte // in, if it is one of bulkBuffers
	r, w int
	rest int64 // bytes still to come of a message that is passed on unseen
	bulk bool  // the last message was COPY data

	pausing bool // the open batch waits for its Sync, until the client's deadline

	dropping bool // they are dropped instead

	out  []byte
	owed []stagedOwed
	held []held // statements in out that need approval before any of it goes

	// The open batch: extended messages since the last Sync, Query or
	// FunctionCall.
	batch     bool    // there is one
	batchOut  int     // where it begins in out
	batchOwed int     // and in owed
	batchSent bool    // part of it is on the server
	based     bool    // all before it has been answered
	now       txState // what the transaction may be at this point of the batch

	// bound are the portals bound in the open batch, with what executing them may
	// do to the transaction. Of any other portal that is unknown: it may be of an
	// earlier batch, or a cursor.
	bound map[string]effectSet
	// executes are the prepared statements that portals bound to an EXECUTE name.
	// The server looks the name up when such a portal runs, by Execute, FETCH or
	// MOVE, so while one may exist a new statement of that name is judged as if
	// it ran.
	executes map[string]bool
	// prepares is what portals bound to a PREPARE would make of a name, by
	// Execute at any time while the portal is there.
	prepares names

	// What the open transaction has done, for the commit gate.
	work        work
	risky       bool           // something in the open batch has to be measured before it commits
	standing    portion        // what standing grants let through in it
	looseBefore []*policy.Rule // work.loose before it
	carried     bool           // a batch that reads COPY data goes on behind its Sync
	controls    bool           // something in it begins or ends transactions
	noBlock     bool           // something in it does otherwise in a transaction block
	setsTx      bool           // it binds what setsTransaction
	measures    bool           // it binds what has to be measured behind others, too; planning may have run it
	bindsCommit bool           // it binds what could commit by itself
	committing  bool           // that runs, perhaps outside of a transaction block, and there is something to be measured
	// batchMoves is true once something in the open batch may change what names mean:
	// what the server says of them is then of before that.
	batchMoves bool
	dirty      bool                // something has changed rows that the session's counters still hold
	unclean    bool                // and so it was before the open batch
	zero       bool                // they are to begin at zero with what is sent next
	last       *impact.Measurement // the last one
	following  *run                // not nil while the client sends COPY data for it
	// cancelPortal is the portal that was bound last in the open batch, and cancels
	// the process ID that it cancels when it runs.
	cancelPortal string
	cancels      uint32

	defining   int               // entries of owed that may define a prepared statement
	unsettling bool              // something in the open batch ran, and may have changed how text is read
	grants     []*approval.Grant // to end with the segment that is staged next

	// discarding is true after a refusal in the extended protocol, until Sync:
	// the server skips these messages, and they are not even sent.
	discarding bool

	session    policy.Session                    // reused for each decision
	catalogs   map[string]keptCatalog            // by the names asked about
	lenders    map[*policy.Facts]*keptRefinement // by policy.Facts.Lender
	looks      map[string]look                   // by policy.Facts.Hiding
	few        map[string]time.Time              // when the planner expected few rows, by text without constants
	namesMoved bool                              // the transaction may have changed what names mean

	// What was answered for the whole session, when it is a restore.
	restore        policy.RestoreWatch
	restoreAsked   bool            // the server has said what it goes over
	restoredOver   string          // in words; empty for nothing
	restoreGranted string          // hash of the policy that it was granted under
	restoreQuorum  []approval.Need // and those who granted it
	restoreRefused *refusal        // set once refused: the rest is refused too
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

	anyState = outside | inside | broken
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
	return anyState
}

// put stages a message and the answer it will be owed.
func (t *stage) put(frame []byte, o owed) {
	if o.segmentEnd() && len(t.grants) > 0 {
		o = o.with()
		o.grants, t.grants = t.grants, nil
	}
	if o.definesNames() {
		t.defining++
	}
	t.owed = append(t.owed, stagedOwed{owed: o, at: len(t.out)})
	t.out = append(t.out, frame...)
}

// grantLast makes the grants end with the message staged last, which ends its
// segment.
func (t *stage) grantLast() {
	if last := len(t.owed) - 1; last >= 0 && len(t.grants) > 0 && t.owed[last].segmentEnd() {
		t.owed[last].owed = t.owed[last].with()
		t.owed[last].grants, t.grants = t.grants, nil
	}
}

// inBatch opens a batch if there is none.
func (s *session) inBatch() {
	t := &s.toServer
	if t.batch {
		return
	}
	t.batch, t.batchSent = true, false
	t.batchOut, t.batchOwed = len(t.out), len(t.owed)
	t.setsTx, t.bindsCommit, t.committing = false, false, false
	t.unsettling, t.controls, t.noBlock, t.batchMoves, t.unclean = false, false, false, false, t.dirty
	t.carried = t.carried && s.busy()
	t.batchSent = t.carried
	t.risky = t.risky && t.carried
	t.measures = t.risky
	t.work.code = t.work.code && t.carried
	clear(t.bound)
	t.now = s.transaction(len(t.owed) == 0)
	t.based = t.now != anyState
	if t.now == outside {
		clear(t.executes) // portals end with their transaction, and what they made stays
		s.keepPrepared()
		if t.work.digest != nil || t.work.risky || t.work.uncounted {
			s.settleWork(context.Background(), approval.Failed, "rolled back")
		}
	}
	t.standing, t.looseBefore = portion{}, t.work.loose
	t.work.unlooked = t.work.risky && !t.work.looked
}

// keepPrepared counts what bound PREPAREs may have made among the known names.
func (s *session) keepPrepared() {
	t := &s.toServer
	if len(t.prepares) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, made := range t.prepares {
		for _, st := range made {
			s.known.add(name, st)
		}
	}
	clear(t.prepares)
}

// transaction is what the transaction may be once everything sent so far has
// been answered: known only when nothing is owed.
func (s *session) transaction(nothingStaged bool) txState {
	s.mu.Lock()
	defer s.mu.Unlock()
	if nothingStaged && s.q.empty() && !s.q.skipping {
		return stateOf(s.tx)
	}
	return anyState
}

func (t *stage) endBatch() {
	t.batch, t.batchSent = false, false
	t.batchOut, t.batchOwed = len(t.out), len(t.owed)
	t.now, t.cancels = 0, 0
}

// closing is what a Close is owed, and forgets once answered.
func (t *stage) closing(frame []byte) owed {
	o := owed{sent: 'C', for_: forward}
	if len(frame) <= headerLen {
		return o // the server answers 08P01
	}
	name, _, err := cstring(frame[headerLen+1:])
	switch {
	case err != nil:
	case frame[headerLen] == 'S':
		o.owedMore = &owedMore{name: serverName(name)}
	case t.bound != nil:
		delete(t.bound, serverName(name))
	}
	return o
}

// executing follows what an Execute may do to the transaction.
func (t *stage) executing(frame []byte) owed {
	o := owed{sent: 'E', for_: forward}
	portal, _, err := cstring(frame[headerLen:])
	if err != nil {
		return o // the server answers 08P01
	}
	t.standing.executed(frame)
	t.unsettling = true // by a function behind a view, if by nothing else
	if t.cancels != 0 && serverName(portal) == t.cancelPortal {
		o.owedMore = &owedMore{cancels: t.cancels}
	}
	effects, known := t.bound[serverName(portal)]
	alone := effects&mayCommitAlone != 0 || !known && t.bindsCommit
	t.committing = t.committing || alone && t.measures && t.now&outside != 0
	if !known {
		t.now = anyState
		t.standing.others = true
		t.moveNames()
		return o
	}
	var now txState
	for e := range transactionEffects {
		if effects&(1<<e) != 0 {
			now |= after(t.now, e)
		}
	}
	t.now = now
	if effects&movesPortals != 0 {
		clear(t.bound)
	}
	return o
}

// effectSet is a set of policy.TransactionEffect: of the statements of which a
// portal is one.
type effectSet uint16

// transactionEffects is how many there is room for in a set.
const transactionEffects policy.TransactionEffect = 14

const (
	// movesPortals is in the set of a statement after which a name may be another
	// portal's.
	movesPortals effectSet = 1 << 15
	// mayCommitAlone is in that of what could commit by itself where it is in no
	// transaction block: code, VACUUM and the like.
	mayCommitAlone effectSet = 1 << 14
)

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
	out := t.out[:n]
	if t.zero && entries > 0 {
		q := &question{}
		if out = s.zeroed(out, q); q.zeroing {
			s.puts(q)
		}
	}
	if err := s.owe(entries); err != nil {
		return err
	}
	if _, err := s.server.Write(out); err != nil {
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

// owe notes the answers owed for the first staged entries.
func (s *session) owe(entries int) error {
	t := &s.toServer
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.waitOwed(maxOwed); err != nil {
		return err
	}
	for _, o := range t.owed[:entries] {
		if o.definesNames() {
			t.defining--
		}
		s.q.sentOne(o.owed)
	}
	return nil
}

// errDuringCopy says that the client sends something else while the server reads
// COPY data: the server ends the session for it.
var errDuringCopy = errors.New("unexpected message during COPY from stdin")

// waitOwed waits until no more than most answers are owed. The caller holds mu,
// which is given up meanwhile.
func (s *session) waitOwed(most int) error {
	data, err := s.waitOwedOrData(most)
	if err == nil && data { // only the client can end it, and it has said something else
		err = errDuringCopy
	}
	return err
}

// waitOwedOrData waits as waitOwed does, or until the server wants COPY data.
func (s *session) waitOwedOrData(most int) (data bool, err error) {
	for s.q.len() > most {
		if s.q.copyIn {
			return true, nil
		}
		settled := make(chan struct{})
		s.settled, s.settledAt = settled, most
		s.mu.Unlock()
		s.loop.mayWait()
		select {
		case <-settled:
		case <-s.gone:
			err = io.EOF
		}
		s.mu.Lock()
		if err != nil {
			return false, err
		}
	}
	return false, nil
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
	t.based = !s.q.skipping
	return t.based, nil
}

// dropHeld takes back what is staged from the first held message on: the client
// ends before anybody was asked.
func (t *stage) dropHeld() {
	if len(t.held) > 0 {
		t.cut(t.held[0].at)
		t.held = nil
	}
}

// cut takes back what is staged from at on.
func (t *stage) cut(at int) {
	t.out = t.out[:at]
	for i, o := range t.owed {
		if o.at < at {
			continue
		}
		for _, o := range t.owed[i:] {
			if o.definesNames() {
				t.defining--
			}
		}
		clear(t.owed[i:])
		t.owed = t.owed[:i]
		break
	}
	t.batchOut, t.batchOwed = min(t.batchOut, at), min(t.batchOwed, len(t.owed))
}

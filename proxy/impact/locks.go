package impact

import (
	_ "embed"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// LocksSQL asks, inside a transaction, which locks it holds and who waits for them,
// in PostgreSQL 15 to 18 and as any role. It has no parameters; its one row has one
// column, for DecodeLocks.
//
//go:embed locks.sql
var LocksSQL string

// maxWaiters bounds how many of those who wait are named.
const maxWaiters = 10

// Locks are what an open transaction holds and who waits for it. Its JSON is kept in
// the ledger.
type Locks struct {
	Since   time.Time  `json:"since"` // the transaction began: none of the locks is older
	Seen    time.Time  `json:"seen"`  // the server was asked
	Held    []HeldLock `json:"held"`
	Others  int        `json:"others"` // relations that are locked besides
	Rows    bool       `json:"rows"`   // rows are locked, as changing them does
	Waiters []Waiter   `json:"waiters"`
	More    int        `json:"more"` // who wait besides
}

// HeldLock is the strongest lock on one relation.
type HeldLock struct {
	Relation string `json:"relation"`
	Mode     string `json:"mode"`
}

// Waiter is a session that cannot go on before the transaction has ended.
type Waiter struct {
	PID    int       `json:"pid"`
	Login  string    `json:"login"` // empty where this role may not see it
	Since  time.Time `json:"since"` // zero where it is not known
	For    string    `json:"for"`
	Behind []int     `json:"behind"` // others of them, for which it waits first
}

// DecodeLocks reads the answer to LocksSQL.
func DecodeLocks(hexadecimal []byte) (*Locks, error) {
	var a locksAnswer
	if err := decode(hexadecimal, &a); err != nil {
		return nil, fmt.Errorf("read the locks: %w", err)
	}
	if a.PID == 0 {
		return nil, fmt.Errorf("read the locks: it is not the answer to the question")
	}
	l := &Locks{Since: *seconds(&a.Since), Seen: *seconds(&a.Now), Rows: a.XID}
	for _, h := range a.Held {
		l.Held = append(l.Held, HeldLock{name(h.Object).String(), h.Mode})
		l.Others = h.All - len(a.Held)
	}
	blocked := a.blocked()
	for _, w := range a.Waiting {
		if !blocked[w.PID] {
			continue
		}
		if len(l.Waiters) == maxWaiters {
			l.More++
			continue
		}
		l.Waiters = append(l.Waiters, w.waiter(a.PID))
	}
	return l, nil
}

type locksAnswer struct {
	PID        int
	Now, Since float64
	XID        bool
	Held       []struct {
		All    int
		Mode   string
		Object []string
	}
	Waiting []waitingLock
}

// waitingLock is a lock that somebody waits for.
type waitingLock struct {
	PID      int
	Login    *string
	Since    *float64
	Type     string
	Mode     string
	Blockers []int
	Object   []string
}

// blocked are those who wait for this session, and those who wait for them.
func (a *locksAnswer) blocked() map[int]bool {
	blocked := map[int]bool{}
	for grown := true; grown; {
		grown = false
		for _, w := range a.Waiting {
			if !blocked[w.PID] && slices.ContainsFunc(w.Blockers, func(pid int) bool { return pid == a.PID || blocked[pid] }) {
				blocked[w.PID], grown = true, true
			}
		}
	}
	return blocked
}

func (l *waitingLock) waiter(holder int) Waiter {
	w := Waiter{PID: l.PID, For: "the end of this transaction"}
	if l.Login != nil {
		w.Login = *l.Login
	}
	if since := seconds(l.Since); since != nil {
		w.Since = *since
	}
	if !slices.Contains(l.Blockers, holder) {
		w.Behind = l.Blockers
	}
	switch relation := name(l.Object); {
	case l.Type == "relation" && relation != Name{}:
		w.For = l.Mode + " on " + relation.String()
	case relation != Name{}:
		w.For = "a row of " + relation.String()
	case l.Type != "transactionid" && l.Type != "virtualxid":
		w.For = fmt.Sprintf("%s on %s", l.Mode, l.Type)
	}
	return w
}

// seconds is a time in seconds since 1970.
func seconds(epoch *float64) *time.Time {
	if epoch == nil {
		return nil
	}
	whole, part := math.Modf(*epoch)
	t := time.Unix(int64(whole), int64(part*1e9)).UTC().Truncate(time.Microsecond)
	return &t
}

// Blocked is how many sessions wait for the transaction.
func (l *Locks) Blocked() int { return len(l.Waiters) + l.More }

// String says what is held: "since 2026-11-21 12:00:01 UTC: RowExclusiveLock on
// public.accounts, and rows".
func (l *Locks) String() string {
	var parts []string
	for _, h := range l.Held {
		parts = append(parts, h.Mode+" on "+h.Relation)
	}
	if l.Others > 0 {
		parts = append(parts, fmt.Sprintf("locks on %d other relations", l.Others))
	}
	if l.Rows {
		parts = append(parts, "and the rows that it changed")
	}
	return "since " + clock(l.Since) + ": " + strings.Join(parts, ", ")
}

// String says who waits for what: "process 4711 of bob since 2026-11-21 12:00:03
// UTC for a row of public.accounts".
func (w Waiter) String() string {
	said := fmt.Sprintf("another session (process %d)", w.PID)
	if w.Login != "" {
		said = fmt.Sprintf("%s (process %d)", w.Login, w.PID)
	}
	if !w.Since.IsZero() {
		said += " since " + clock(w.Since)
	}
	said += " for " + w.For
	if len(w.Behind) > 0 {
		said += ", behind process " + strings.Trim(strings.ReplaceAll(fmt.Sprint(w.Behind), " ", ", "), "[]")
	}
	return said
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

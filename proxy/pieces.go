package proxy

import (
	"slices"
	"strings"

	"github.com/pgsluice/pgsluice/policy"
)

// piece is a part of a run that is answered with one ReadyForQuery. A Query that
// ends transactions is cut there: what comes before has to be measured first.
type piece struct {
	frames []byte
	owed   []stagedOwed // at is the place in frames
	facts  []*policy.Facts
	risky  bool
	begins bool // it leaves a transaction block open
	ends   bool // it ends one
}

// maxPieces bounds how often a Query is cut.
const maxPieces = 64

// cutQuery cuts a Query before and behind each statement that ends a
// transaction. Every piece keeps the place of its text, so that the positions in
// the server's errors are the client's. It returns nil where the text cannot be
// cut.
func cutQuery(whole piece) []piece {
	if len(whole.facts) == 1 || !slices.ContainsFunc(whole.facts, endsBlock) {
		whole.begins = slices.ContainsFunc(whole.facts, beginsBlock)
		whole.ends = slices.ContainsFunc(whole.facts, endsBlock)
		return []piece{whole}
	}
	text := queryText(whole.frames)
	var pieces []piece
	at, from := 0, 0 // the end of the last statement, the start of the piece
	var open []*policy.Facts
	add := func(to int, facts []*policy.Facts) {
		if len(facts) == 0 {
			return
		}
		p := piece{facts: facts, risky: whole.risky}
		p.frames = appendFrame(nil, 'Q', func(b []byte) []byte {
			b = append(b, strings.Repeat(" ", from)...)
			return appendCString(b, text[from:to])
		})
		o := owed{sent: 'Q', for_: forward}
		if hasEffects(facts) {
			o = o.with()
			o.effects = facts
		}
		if first := whole.owed[0].owedMore; len(pieces) == 0 && first != nil && first.notice != nil {
			o = o.with()
			o.notice = first.notice
		}
		p.owed = []stagedOwed{{owed: o}}
		p.begins = slices.ContainsFunc(facts, beginsBlock)
		p.ends = slices.ContainsFunc(facts, endsBlock)
		pieces, from = append(pieces, p), to
	}
	for _, f := range whole.facts {
		start := at
		for start < len(text) && strings.IndexByte(" \t\r\n\f\v;", text[start]) >= 0 {
			start++
		}
		if f.Text == "" || !strings.HasPrefix(text[start:], f.Text) {
			return nil
		}
		if endsBlock(f) {
			add(at, open)
			open = nil
			add(start+len(f.Text), []*policy.Facts{f})
		} else {
			open = append(open, f)
		}
		at = start + len(f.Text)
	}
	add(len(text), open)
	if len(pieces) > maxPieces || len(pieces)*len(text) > 64<<20 {
		return nil
	}
	return pieces
}

func beginsBlock(f *policy.Facts) bool { return f.Transaction == policy.TransactionBegin }

// endsBlock reports whether the statement commits or rolls back.
func endsBlock(f *policy.Facts) bool {
	switch f.Transaction {
	case policy.TransactionCommit, policy.TransactionCommitAndChain,
		policy.TransactionRollback, policy.TransactionRollbackAndChain:
		return true
	}
	return false
}

// chains reports whether the statement begins the next transaction as it ends one.
func chains(f *policy.Facts) bool {
	return f.Transaction == policy.TransactionCommitAndChain || f.Transaction == policy.TransactionRollbackAndChain
}

func commits(f *policy.Facts) bool {
	return f.Transaction == policy.TransactionCommit || f.Transaction == policy.TransactionCommitAndChain
}

// join sends the next piece together with the end of the transaction that comes
// behind it, outside a transaction block: there ROLLBACK takes the piece back, AND
// CHAIN fails and takes it along, and only COMMIT leaves it.
func (r *run) join() {
	p := &r.pieces[r.next]
	if p.begins || p.ends || r.next+1 == len(r.pieces) {
		return
	}
	end := &r.pieces[r.next+1]
	if slices.ContainsFunc(end.facts, func(f *policy.Facts) bool { return f.Transaction == policy.TransactionCommit }) {
		return
	}
	text := queryText(p.frames)
	text += queryText(end.frames)[len(text):]
	end.frames = appendFrame(nil, 'Q', func(b []byte) []byte { return appendCString(b, text) })
	end.facts = append(slices.Clone(p.facts), end.facts...)
	end.owed = p.owed
	if hasEffects(end.facts) {
		end.owed[0].owed = end.owed[0].with()
		end.owed[0].effects = end.facts
	}
	r.next++
}

// inBlock reports whether a piece is an error outside a transaction block, and so
// changes nothing there: SAVEPOINT and the like. Within the proxy's own it would be
// none.
func (p *piece) inBlock() bool {
	return slices.ContainsFunc(p.facts, func(f *policy.Facts) bool {
		return f.Transaction == policy.TransactionSavepoint || f.Transaction == policy.TransactionRollbackTo
	})
}

// otherInBlock reports whether a statement does otherwise in a transaction block than
// outside of it.
func otherInBlock(f *policy.Facts) bool {
	switch f.Class {
	case "set_constraints", "set_transaction", "lock_table", "lock_table_shared", "declare_cursor":
		return true // these warn outside (25P01), or fail
	}
	return forcesCommit(f) || f.Class == "set" && slices.ContainsFunc(f.Settings, func(s policy.Setting) bool { return s.Local })
}

// forcesCommit reports whether a statement fails in a transaction block (25001), and
// outside of one commits what a pipeline has done, if the server lets it run behind
// others at all (manual, Pipelining).
func forcesCommit(f *policy.Facts) bool {
	switch f.Class {
	case "vacuum", "vacuum_full", "reindex_concurrently", "create_index_concurrently", "drop_index_concurrently",
		"create_database", "drop_database", "create_tablespace", "drop_tablespace", "alter_system",
		"create_subscription", "alter_subscription", "drop_subscription", "commit_prepared", "rollback_prepared":
		return true
	case "cluster": // of all tables
		return !slices.ContainsFunc(f.Actions, func(a policy.Action) bool { return len(a.Tables) > 0 })
	case "discard":
		return f.DeallocatesAll
	}
	return false
}

// mayForceCommit reports whether a statement is or may be one that forcesCommit, which
// the text does not always show (of partitioned tables, CONCURRENTLY), or commits by
// itself without failing in a block (ANALYZE of several tables).
func mayForceCommit(f *policy.Facts) bool {
	switch f.Class {
	case "cluster", "reindex", "alter_table_detach_partition", "alter_database", "analyze":
		return true
	}
	return forcesCommit(f)
}

// endsByItself gives the CALL or DO that a run is, which may end its transaction by
// itself where the proxy puts none around it; or nil. Among others in one message, or
// behind others in one batch, it may not.
func (r *run) endsByItself() *policy.Facts {
	p := &r.pieces[0]
	if len(r.pieces) > 1 || r.sent == 'Q' && len(p.facts) > 1 || p.binds() > 1 {
		return nil
	}
	i := slices.IndexFunc(p.facts, func(f *policy.Facts) bool { return f.Class == "call" || f.Class == "do" })
	if i < 0 {
		return nil
	}
	return p.facts[i]
}

// takesLook reports whether a look at what there is may be opened in front of a piece:
// it is one statement, and takes a snapshot at once.
func (p *piece) takesLook() bool {
	return len(p.facts) == 1 && p.binds() <= 1 && !otherInBlock(p.facts[0])
}

// binds is how many Binds a piece holds.
func (p *piece) binds() int {
	n := 0
	whole, _ := splitFrames(p.frames)
	for _, frame := range whole {
		if frame[0] == 'B' {
			n++
		}
	}
	return n
}

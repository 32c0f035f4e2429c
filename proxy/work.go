package proxy

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
	"github.com/pgsluice/pgsluice/proxy/impact"
)

// maxTold bounds the text of a transaction that people are shown. What stands
// behind it is bound by the digest all the same.
const maxTold = 64 << 10

// work is what the open transaction has done, as far as the commit gate has to
// know of it. Outside a transaction block it is that of the open batch or Query.
type work struct {
	// risky is true once something may have changed rows of which the facts do not
	// prove how many. counted is what they prove of the rest.
	// charged is true where a budget is charged with that.
	risky   bool
	counted policy.Impact
	charged bool
	// seen is the least that was changed, by the server's command tags.
	seen policy.Impact

	facts *policy.Facts // the first that was risky, for messages
	// code is true once something ran that could end its transaction by itself, if
	// it is in none: DO and CALL.
	code bool
	// uncounted is true once counting was switched in it: it may have been off before,
	// or for a while.
	uncounted bool
	// hidesHeld is true once a cursor was declared of what hides code: if it is WITH
	// HOLD, that runs at COMMIT, behind the measurement.
	hidesHeld bool
	locks     locks // that statements passed by the statement gate account for
	// calls is true once something ran that is code, or calls it in the open. looked is
	// true where a look at what there was before was to be opened, and unlooked where it
	// is too late for that. opened is the answer to when that was, until it is read, and
	// before what it said.
	calls, looked, unlooked bool
	opened                  [][]byte
	before                  *impact.Before

	// approved is what people have let through in this transaction, and grants are
	// what they gave for it. exact is true where they have seen the numbers of the
	// whole of it.
	approved policy.Impact
	exact    bool
	decided  policy.Decision // that they were asked about
	grants   []*approval.Grant

	spent []*approval.Spending // what budgets were charged with for it

	// standing is what standing grants let through, parts what of it was measured
	// apart, and loose are the grants of which something was not.
	standing portion
	parts    []part
	loose    []*policy.Rule

	// since is what the counters held when the transaction began, if another ended
	// with no idle moment between them: they have not begun at zero then. idles is
	// how many idle moments there were by then.
	since *impact.Measurement
	idles uint64

	// What ran, for a request: reads are left out, since clients send some by
	// themselves.
	told   []string
	length int
	digest hash.Hash
}

// noteWork keeps what the commit gate must know of a message that was judged and
// is about to be staged. asked is true when people are, about this very message.
// grants are those of its statements that standing grants let through.
func (s *session) noteWork(sent byte, frame []byte, all [][]*policy.Facts, asked bool, grants map[*policy.Facts]standing) {
	pol := s.p.c.Policy()
	if !pol.Measures() {
		return
	}
	t := &s.toServer
	w := &t.work
	counted := false
	for _, facts := range all {
		for _, f := range facts {
			w.uncounted = w.uncounted || switchesCounting(f)
			if f.ReadOnly() {
				t.standing.others = true // it may be a FETCH
				continue
			}
			w.tell(s, f)
			w.locks.note(f, asked, sent == 'Q' && t.now == inside)
			t.dirty = true
			w.code = w.code || t.risky && codeAlone(f)
			t.stands(f, grants[f], asked)
			if !pol.NeedsImpact(&t.session, f) {
				proven := f.Proven()
				if proven == nil {
					continue
				}
				w.counted.Add(proven)
				counted = true
				w.charged = w.charged || len(pol.Budgets(&t.session, proven)) > 0
				if !w.charged || t.now == inside {
					continue
				}
			}
			w.code = w.code || codeAlone(f)
			w.calls = w.calls || calls(f)
			w.hidesHeld = w.hidesHeld || f.Hides() && f.Class == "declare_cursor"
			// What only commits by itself is not measured where it is alone.
			t.measures = t.measures || !forcesCommit(f) || writesOrCalls(f)
			if asked {
				continue
			}
			if w.facts == nil {
				w.facts = f
			}
			w.risky, t.risky = true, true
		}
	}
	if counted && !w.risky && !pol.DecideImpact(&t.session, &w.counted).Verdict.Runs() {
		// Each proves to be small, and together they may not be.
		w.risky, t.risky, w.facts = true, true, all[0][0]
	}
	t.measures = t.measures || counted && w.risky // it is measured with the others
	if sent == 'B' && len(t.standing.rules) > 0 {
		t.standing.bound(frame)
	}
	if w.digest != nil {
		switch values := frame[headerLen:]; sent {
		case 'B':
			for range 2 { // drivers number portals and statements
				if _, rest, err := cstring(values); err == nil {
					values = rest
				}
			}
			w.add('B', values)
		case 'F':
			w.add('F', values)
		}
	}
}

// continues notes a piece of a Query that stands behind the end of the transaction
// for which the whole of it was noted.
func (w *work) continues(s *session, p *piece) {
	if w.digest != nil {
		return
	}
	s.toServer.looseBefore = nil
	for _, f := range p.facts {
		w.uncounted = w.uncounted || switchesCounting(f)
		w.hidesHeld = w.hidesHeld || f.Hides() && f.Class == "declare_cursor"
		if !f.ReadOnly() && !endsBlock(f) {
			w.tell(s, f)
			w.locks.note(f, false, false)
			w.calls = w.calls || p.risky && calls(f)
			w.stands(f, s.toServer.standing.by[f], false)
			w.risky = w.risky || p.risky
			if w.facts == nil && !beginsBlock(f) {
				w.facts = f
			}
		}
	}
}

// tell adds a statement to what people are shown.
func (w *work) tell(s *session, f *policy.Facts) {
	if w.digest == nil {
		w.digest = sha256.New()
	}
	texts := []string{f.Text}
	if f.Executes != "" {
		for _, st := range s.candidates(f.Executes) {
			texts = append(texts, "-- EXECUTE "+f.Executes+" runs: "+st.text)
		}
	}
	for _, text := range texts {
		w.add('Q', []byte(text))
		if n := len(w.told); n > 0 && w.told[n-1] == text {
			continue
		}
		if w.length += len(text); w.length > maxTold && len(w.told) > 0 {
			text = "-- and more, which is bound by its digest"
			if w.told[len(w.told)-1] == text {
				continue
			}
		}
		w.told = append(w.told, text)
	}
}

func (w *work) add(kind byte, b []byte) {
	var room [24]byte
	w.digest.Write(append(strconv.AppendInt(append(room[:0], kind), int64(len(b)), 10), ':')) // a hash never fails
	w.digest.Write(b)
}

// sees counts what command tags say a message has changed.
func (w *work) sees(tags []string, facts []*policy.Facts) {
	table := policy.Table{Name: "?"}
	for _, f := range facts {
		for i := range f.Actions {
			if a := &f.Actions[i]; len(a.Tables) > 0 && !a.Class.In("read") {
				table = a.Tables[0]
			}
		}
	}
	for _, tag := range tags {
		var rows, zero int64
		i := policy.TableImpact{Table: table, Rows: -1}
		switch {
		case scan(tag, "DELETE %d", &rows):
			i.Deleted = rows
		case scan(tag, "UPDATE %d", &rows), scan(tag, "MERGE %d", &rows):
			i.Updated = rows
		case scan(tag, "INSERT %d %d", &zero, &rows), scan(tag, "COPY %d", &rows):
			i.Inserted = rows
		default:
			continue
		}
		w.seen.Add(&policy.Impact{Tables: []policy.TableImpact{i}})
	}
}

// switchesCounting reports whether a statement sets track_counts.
func switchesCounting(f *policy.Facts) bool {
	return slices.ContainsFunc(f.Settings, func(set policy.Setting) bool { return set.Name == "track_counts" || set.Name == "all" })
}

func scan(tag, format string, into ...any) bool {
	n, err := fmt.Sscanf(tag, format, into...)
	return err == nil && n == len(into)
}

// statement is what people are shown.
func (w *work) statement() string { return strings.Join(w.told, ";\n") }

// codeAlone reports whether a statement could commit what it does by itself, run
// outside a transaction block (manual, Transaction Management in PL/pgSQL).
func codeAlone(f *policy.Facts) bool {
	return slices.ContainsFunc(f.Actions, func(a policy.Action) bool {
		return a.Class == "do" || a.Class == "call" || a.Class == policy.ClassUnknown || a.Class == policy.ClassUnparsed
	})
}

// approve notes what a statement did that people have approved by itself. It is no
// leave for what else the transaction did.
func (w *work) approve(did *policy.Impact) {
	w.approved.Tables = slices.Clone(w.approved.Tables) // the approved numbers may be shown elsewhere
	w.approved.Add(did)
	w.exact = false
}

// beyond is what was changed beyond what people have approved already. What cannot be
// measured stays: the approval was of another such statement.
func beyond(i, approved *policy.Impact) *policy.Impact {
	return i.Less(&policy.Impact{Tables: approved.Tables})
}

// coveredBy reports whether an impact is nowhere more than what was approved.
func coveredBy(i, approved *policy.Impact) bool {
	left := beyond(i, approved)
	if len(approved.Tables) == 0 {
		left = i
	}
	for _, t := range left.Tables {
		if t.Inserted+t.Updated+t.Deleted > 0 || t.Locked {
			return false
		}
	}
	for _, u := range i.Unmeasured {
		if !slices.Contains(approved.Unmeasured, u) {
			return false
		}
	}
	return true
}

// countStatements charges the budgets of statements with what is about to be
// staged. Where one has no room it returns what to hold, or refuses.
func (s *session) countStatements(ctx context.Context, g gated, all [][]*policy.Facts) (waits *held, refused bool, err error) {
	t := &s.toServer
	pol := s.p.c.Policy()
	var budgets []policy.Charge
	var about []*policy.Facts
	var charges []approval.Charge
	for _, facts := range all {
		for _, f := range facts {
			for _, c := range pol.StatementBudgets(&t.session, f) {
				charge := approval.Charge{Budget: c.Key, Amount: c.Amount, Per: c.Per}
				if !c.Rule.Action.Runs() {
					charge.May = func(spent int64) bool { return !c.Over(spent) }
				}
				budgets, about, charges = append(budgets, c), append(about, f), append(charges, charge)
			}
		}
	}
	if len(charges) == 0 {
		return nil, false, nil
	}
	s.loop.mayWait()
	_, over, err := s.p.c.Approvals.Spend(ctx, charges)
	switch {
	case err != nil:
		s.p.c.Log.Error("budget not charged", zap.String("session", s.id), zap.Error(err))
		s.refuse(g.sent, "", notOnRecord(policy.Decision{Rule: budgets[0].Rule}, about[0]))
		return nil, true, nil
	case over == nil:
		return nil, false, nil
	}
	d, f := budgets[over.Charge].Decision(over.Spent), about[over.Charge]
	if d.Verdict == policy.Block {
		return nil, true, s.refuseRecorded(ctx, g, judgement{Decision: d, facts: f}, blocked(d, f))
	}
	g.alternatives = func() [][]*policy.Facts { return all }
	return &held{gated: g, decision: d, decided: f, waits: []waiting{{d, f}}, all: all, now: t.now}, false, nil
}

package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/zap"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
	"github.com/pgsluice/pgsluice/proxy/impact"
)

// The commit gate: before what a transaction did becomes permanent, the server is
// asked what that was, and the policy whether it may. The statement gate judges
// what a statement looks like; only here it is known what it was.

// A verdictOf is what the commit gate makes of a transaction.
type verdictOf struct {
	policy.Decision
	waits  []waiting
	impact *policy.Impact    // all that the transaction did
	lifts  []approval.Charge // what an approval gives back to a budget that has no room

	atCommit time.Duration // how long it may be held at its COMMIT
}

// endsBlock has a transaction block held, where its rules let it, before it ends.
func (v verdictOf) endsBlock(s *session) verdictOf {
	var waits []policy.Decision
	for _, w := range v.waits {
		waits = append(waits, w.Decision)
	}
	v.atCommit = s.atCommit(v.Decision, waits)
	return v
}

// begin opens a transaction block around a piece.
func (s *session) begin(p *piece) error {
	w := &s.toServer.work
	messages := execution(nil, "BEGIN", nil)
	if w.calls && p.takesLook() {
		messages = opening(messages)
	}
	rows, err := s.put(messages)
	if tx, _ := s.status(); err != nil && tx == 'E' { // it is open, and was no more than begun
		if again := s.rollback(); again != nil {
			return again
		}
		if !errors.Is(err, errCancelled) { // a cursor of the client's has that name, perhaps
			rows, err = s.put(execution(nil, "BEGIN", nil))
		}
	}
	w.opened, w.before, w.looked = rows, nil, true
	return err
}

// zeroing makes the session report its counters and begin at zero: as soon as it
// has handled the Sync, whatever waits behind it.
var zeroing = append(execution(nil, impact.FlushSQL, nil), 'S', 0, 0, 0, 4)

// zeroed puts zeroing in front of what is about to be sent, if that is due and the
// session is idle. Its answer is q's, and is left out.
func (s *session) zeroed(messages []byte, q *question) []byte {
	t := &s.toServer
	if !t.zero || t.batchSent {
		return messages
	}
	s.mu.Lock()
	idle := s.tx == 'I' && s.q.empty() && !s.q.skipping
	s.mu.Unlock()
	if !idle {
		return messages
	}
	t.zero, q.zeroing = false, true
	return append(slices.Clone(zeroing), messages...)
}

// commit ends it. The ErrorResponse is that of a commit that failed. It may wait
// for a standby, however long.
func (s *session) commit() (failure []byte, err error) {
	sync := []byte{'S', 0, 0, 0, 4}
	_, err = s.ask(append(execution(nil, "COMMIT", nil), sync...), &question{sync: true, mayFail: true, patient: true})
	return failureOf(err)
}

// rollback takes back what the transaction did. A server that does not do so has
// ended the session; but a CancelRequest may come late and hit the ROLLBACK.
func (s *session) rollback() error {
	_, err := s.put(execution(nil, "ROLLBACK", nil))
	if errors.Is(err, errCancelled) {
		_, err = s.put(execution(nil, "ROLLBACK", nil))
	}
	if err != nil {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}

// codeOf is the SQLSTATE of an ErrorResponse.
func codeOf(failure []byte) string {
	var e pgproto3.ErrorResponse
	if err := e.Decode(failure[headerLen:]); err != nil {
		return "XX000"
	}
	return e.Code
}

// failureOf takes the server's own error, which is the client's, out of err.
func failureOf(err error) ([]byte, error) {
	if failed := (*questionFailed)(nil); errors.As(err, &failed) {
		return failed.frame, nil
	}
	return nil, err
}

// measured asks the server what the open transaction has done so far, and the
// policy what it makes of that. Before a commit, what is deferred to it is done
// first: it would be done behind the measurement otherwise. A failure of that is
// the client's, as it would have been at its commit.
func (s *session) measured(ending bool) (v verdictOf, failure []byte, err error) {
	i, failure, err := s.soFar(ending)
	if failure != nil || err != nil {
		return v, failure, err
	}
	return s.judged(i), nil, nil
}

// soFar asks the server what the open transaction has done so far.
func (s *session) soFar(ending bool) (i *policy.Impact, failure []byte, err error) {
	m, failure, err := s.measurement(execution(nil, impact.MeasureSQL, nil), &question{closes: closesPerExecution})
	if m != nil && ending && m.Deferred {
		settling := execution(nil, impact.SettleSQL, nil)
		m, failure, err = s.measurement(execution(settling, impact.MeasureSQL, nil), &question{closes: 2 * closesPerExecution, patient: true})
	}
	if failure != nil || err != nil {
		return nil, failure, err
	}
	t := &s.toServer
	t.dirty, t.last = false, m
	if t.work.since != nil && t.work.idles == s.idleMoments() {
		m = m.Since(t.work.since)
	}
	if m, err = s.named(m); err != nil {
		return nil, nil, err
	}
	return s.impact(m), nil, nil
}

// measurement asks q, which ends with so many CloseComplete in an open batch.
func (s *session) measurement(messages []byte, q *question) (*impact.Measurement, []byte, error) {
	var rows [][]byte
	var err error
	q.mayFail = true
	if s.toServer.batchSent {
		rows, err = s.inOpenBatch(messages, q)
	} else {
		q.closes, q.sync = 0, true
		rows, err = s.ask(append(messages, 'S', 0, 0, 0, 4), q)
	}
	failure, err := failureOf(err)
	if failure != nil || err != nil {
		return nil, failure, err
	}
	if len(rows) != 1 {
		return nil, nil, fmt.Errorf("ask what the transaction did: %d rows", len(rows))
	}
	m, err := impact.DecodeMeasurement(rows[0])
	return m, nil, err
}

// judged asks the policy what it makes of an impact.
func (s *session) judged(i *policy.Impact) verdictOf {
	t := &s.toServer
	granted := t.work.granted(i)
	i = i.WithGranted(granted)
	left := i
	switch {
	case t.work.shown(i):
		left = &policy.Impact{}
	case t.work.exact: // what people saw is all that they approved
	default:
		left = beyond(i, &t.work.approved)
	}
	pol := s.p.c.Policy()
	t.session.Now = time.Now()
	v := verdictOf{impact: i, Decision: pol.DecideImpact(&t.session, left)}
	for _, d := range pol.WaitingImpact(&t.session, left) {
		v.waits = append(v.waits, waiting{d, t.work.about()})
	}
	if t.work.exact && left == i && v.Verdict.Runs() && t.work.decided.Rule != nil {
		v.Decision = t.work.decided
		v.Reason = "it now changes more than was approved: " + i.String()
		v.waits = []waiting{{v.Decision, t.work.about()}}
	}
	return v
}

// charge takes from the budgets what is about to be committed. One that has no
// room makes it wait for people: their approval lets it through, and gives the
// budget its limit once more for as long as it looks back. What they have seen
// the numbers of is charged without being asked about again.
func (s *session) charge(ctx context.Context, v *verdictOf) error {
	t := &s.toServer
	seen := t.work.shown(v.impact)
	budgets := s.p.c.Policy().Budgets(&t.session, v.impact)
	own := len(budgets)
	budgets = append(budgets, s.p.c.Policy().StandingCharges(&t.session, t.work.onGrants(v.impact, seen))...)
	var charges []approval.Charge
	for k, c := range budgets {
		charge := approval.Charge{Budget: c.Key, Amount: c.Amount, Per: c.Per}
		if (!seen || k >= own) && !c.Verdict().Runs() {
			charge.May = func(spent int64) bool { return !c.Over(spent) }
		}
		charges = append(charges, charge)
	}
	s.loop.mayWait()
	spent, refused, err := s.p.c.Approvals.Spend(ctx, charges)
	switch {
	case err != nil:
		return err
	case refused == nil:
		t.work.spent = append(t.work.spent, spent)
		return nil
	}
	c := budgets[refused.Charge]
	v.Decision = c.Decision(refused.Spent)
	v.waits = []waiting{{v.Decision, t.work.about()}}
	if c.Rule.Action != policy.Allow { // a standing grant is not given twice
		v.lifts = []approval.Charge{{Budget: c.Key, Amount: -int64(max(c.Limit, 0)), Per: c.Per}}
	}
	return nil
}

// mayCommit judges an open transaction that is about to be committed, and charges
// what it did.
func (s *session) mayCommit(ctx context.Context) (v verdictOf, failure []byte, err error) {
	t := &s.toServer
	if !t.work.risky {
		v = s.judged(&t.work.counted)
		if failure := s.charged(ctx, &v); failure != nil || v.Verdict.Runs() {
			return v, failure, nil
		}
		// It may have changed less than the facts allow.
	}
	if v, failure, err = s.measured(true); failure != nil || err != nil || !v.Verdict.Runs() {
		return v, failure, err
	}
	return v, s.charged(ctx, &v), nil
}

// charged charges what may be committed. The failure is that this cannot be put on
// record.
func (s *session) charged(ctx context.Context, v *verdictOf) (failure []byte) {
	if !v.Verdict.Runs() {
		return nil
	}
	if err := s.charge(ctx, v); err != nil {
		s.p.c.Log.Error("budget not charged", zap.String("session", s.id), zap.Error(err))
		return notOnRecord(v.Decision, s.toServer.work.about()).tookBack(v.impact).frame("ERROR")
	}
	return nil
}

// impact is a measurement in the policy's words. Tables that the transaction has
// made are left out: nobody else has seen their rows.
func (s *session) impact(m *impact.Measurement) *policy.Impact {
	accounted := s.toServer.work.locks
	i, later := &policy.Impact{}, 0
	if m.TrackCounts && s.toServer.work.uncounted {
		i.Unmeasured = append(i.Unmeasured, "track_counts was set in it")
	}
	for _, g := range m.Unmeasured {
		if g.Kind != impact.GapHeldCursor || !s.readsOnly(g.Statement) {
			i.Unmeasured = append(i.Unmeasured, g.String())
		}
	}
	for _, t := range m.Tables {
		if t.Created {
			continue
		}
		if t.Later {
			if !accounted.cover(t) {
				later++
			}
			continue
		}
		table := policy.Table{Schema: t.Schema, Name: t.Name.Name, Temporary: t.Temporary}
		if t.Temporary {
			table.Schema = "pg_temp"
		}
		if table.Name == "" {
			table.Name = fmt.Sprintf("the relation that had the OID %d", t.OID)
		}
		i.Add(&policy.Impact{Tables: []policy.TableImpact{{
			Table: table, Inserted: t.Inserted, Updated: t.Updated, Deleted: t.Deleted,
			Locked: t.Exclusive && !accounted.cover(t), Rows: t.Rows,
		}}})
	}
	if later > 0 { // they have other OIDs each time; people approve of so many
		table := policy.Table{Name: fmt.Sprintf("what was not there before (%d relations)", later)}
		i.Add(&policy.Impact{Tables: []policy.TableImpact{{Table: table, Locked: true, Rows: -1}}})
	}
	return i
}

// readsOnly reports whether a statement that the server tells of does no more than
// read.
func (s *session) readsOnly(statement string) bool {
	if s.toServer.work.hidesHeld {
		return false
	}
	for _, f := range s.p.c.Reader.Read(statement, s.lexing()) {
		for i := range f.Actions {
			if c := f.Actions[i].Class; c != "declare_cursor" && !c.In("read") {
				return false
			}
		}
	}
	return true
}

// fromZero has the counters begin at zero for a transaction block that the
// client is about to begin, where they hold what was not measured.
func (s *session) fromZero(all [][]*policy.Facts) error {
	t := &s.toServer
	if !t.unclean || t.batchSent || t.now&outside == 0 || !s.p.c.Policy().Measures() ||
		!slices.ContainsFunc(all, func(facts []*policy.Facts) bool { return slices.ContainsFunc(facts, beginsBlock) }) {
		return nil
	}
	settled, err := s.settle()
	if tx, _ := s.status(); !settled || err != nil || tx != 'I' {
		return err
	}
	t.unclean, t.dirty, t.zero = false, false, true
	return nil
}

// about is the statement that messages are about.
func (w *work) about() *policy.Facts {
	if w.facts != nil {
		return w.facts
	}
	return &policy.Facts{Class: "commit", Actions: []policy.Action{{Class: "commit"}}}
}

// over asks for the approval of what a transaction did, which has been rolled
// back, is about to be, or is held at its COMMIT. It returns a grant, or stages the
// refusal.
func (s *session) over(ctx context.Context, sent byte, v verdictOf, again bool) (granted bool, err error) {
	t := &s.toServer
	g := gated{sent: sent, text: t.work.statement()}
	about := t.work.about()
	if v.Verdict == policy.Block {
		return false, s.refuseRecorded(ctx, g, judgement{Decision: v.Decision, facts: about}, blocked(v.Decision, about).tookBack(v.impact))
	}
	h := held{
		gated: g, decision: v.Decision, decided: about, waits: v.waits,
		now: t.now, at: len(t.out), measured: v.impact, ticket: !again && v.atCommit == 0, atCommit: v.atCommit,
	}
	if h.atCommit > 0 {
		h.now = inside
	}
	t.held = append(t.held, h)
	before := len(t.grants)
	if err := s.decideHeld(ctx); err != nil {
		return false, err
	}
	if len(t.grants) == before {
		return false, nil
	}
	grant := t.grants[before]
	t.grants = t.grants[:before]
	t.work.grants = append(t.work.grants, grant)
	approved, err := impactOf(grant.Request())
	if err != nil {
		return false, err
	}
	t.work.approved, t.work.exact, t.work.decided = *approved, true, v.Decision
	t.work.answered()
	if _, _, err := s.p.c.Approvals.Spend(ctx, v.lifts); err != nil {
		s.p.c.Log.Error("budget not lifted", zap.String("session", s.id), zap.Error(err))
	}
	return true, nil
}

// impactOf is what the people who approved a request were shown.
func impactOf(r approval.Request) (*policy.Impact, error) {
	i := &policy.Impact{}
	if len(r.Measured) == 0 {
		return i, nil
	}
	if err := json.Unmarshal(r.Measured, i); err != nil {
		return nil, fmt.Errorf("read what was approved with request %d: %w", r.ID, err)
	}
	return i, nil
}

// warnOver tells the client, on record, that a rule has something against what it
// did. The failure is that it cannot be put on record.
func (s *session) warnOver(ctx context.Context, v verdictOf) (failure []byte, err error) {
	t := &s.toServer
	if v.Verdict != policy.Warn {
		return nil, nil
	}
	if s.record(ctx, approval.KindWarned, v.Decision, t.work.statement()) != nil {
		return notOnRecord(v.Decision, t.work.about()).tookBack(v.impact).frame("ERROR"), nil
	}
	return nil, s.toClient(warned(v.Decision, t.work.about()))
}

// settleWork notes how what ran on grants has ended, and takes back what budgets
// were charged with for what was not committed.
func (s *session) settleWork(ctx context.Context, state approval.State, outcome string) {
	t := &s.toServer
	ctx = context.WithoutCancel(ctx)
	for _, g := range t.work.grants {
		s.finish(ctx, finished{g, state, outcome})
	}
	for _, spent := range t.work.spent {
		if state != approval.Failed {
			break
		}
		if err := spent.Back(ctx); err != nil {
			s.p.c.Log.Error("budget stays charged", zap.String("session", s.id), zap.Error(err))
		}
	}
	t.work = work{}
}

// next is the work of a transaction that begins as another one ends.
func (s *session) next() work { return work{since: s.toServer.last, idles: s.idleMoments()} }

// idleMoments is how often the session was ready for a query outside a
// transaction: the server then reports its counters.
func (s *session) idleMoments() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.idles
}

// settleEnded is settleWork where the server has ended the transaction, in one way
// or the other.
func (s *session) settleEnded(ctx context.Context) {
	if tag := s.keptTag(); tag != "ROLLBACK" {
		s.settleWork(ctx, approval.Done, tag)
		return
	}
	s.settleWork(ctx, approval.Failed, "rolled back")
}

// unseen says in the log what must not happen: something was committed that the
// commit gate has not seen.
func (s *session) unseen(why string) {
	s.p.c.Log.Error("committed without having been measured", zap.String("session", s.id), zap.String("why", why))
}

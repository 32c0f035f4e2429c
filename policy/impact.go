package policy

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Impact is rows per table: those that one statement is estimated to change, or
// those that a transaction was measured to have changed. The zero value has
// changed nothing.
type Impact struct {
	Tables []TableImpact

	// Unmeasured says in words what the server could not count ("foreign table
	// public.remote", "track_counts is off"). A measured impact with any counts as
	// over every limit, for rules that do not say `unmeasured: allow`. It has no
	// meaning in an estimate.
	Unmeasured []string

	// Estimated is true for what the planner expects. An estimate may stop a
	// statement, and never lets one pass the commit gate.
	Estimated bool

	granted []Granted // see WithGranted
}

// TableImpact is what happened to the rows of one table. Tables that a foreign
// key, a trigger or a function took along stand under their own names, a partition
// under its own. A table that the transaction itself has made does not belong
// here: nobody else has seen its rows.
type TableImpact struct {
	Table Table // with its schema; pg_temp for every temporary table of the session

	Inserted, Updated, Deleted int64 // rows

	// Locked is true where the transaction holds an AccessExclusiveLock that no
	// statement seen by the statement gate accounts for: a TRUNCATE, DROP or ALTER
	// hidden in code. All rows of the table count as deleted then.
	Locked bool

	// Rows is how many rows the table held before, by the smaller of the server's
	// own estimates that are not outdated; -1 where it has none.
	Rows float64

	ByCascade bool // no statement named the table
}

// Add adds what another part of the same transaction has changed.
func (i *Impact) Add(other *Impact) {
	for _, t := range other.Tables {
		i.add(t)
	}
	for _, u := range other.Unmeasured {
		if !slices.Contains(i.Unmeasured, u) {
			i.Unmeasured = append(i.Unmeasured, u)
		}
	}
	i.Estimated = i.Estimated || other.Estimated
}

// Rows is how many rows are inserted, updated and deleted, over all tables.
func (i *Impact) Rows() float64 {
	sum := 0.0
	for k := range i.Tables {
		sum += i.Tables[k].changed(countInserted | countUpdated | countDeleted)
	}
	return sum
}

// add adds to what is there for the table. The size is that before the first.
func (i *Impact) add(t TableImpact) {
	for k := range i.Tables {
		if have := &i.Tables[k]; have.Table.Schema == t.Table.Schema && have.Table.Name == t.Table.Name {
			have.Inserted += t.Inserted
			have.Updated += t.Updated
			have.Deleted += t.Deleted
			have.Rows = rowsOfBoth(have, &t)
			have.Locked = have.Locked || t.Locked
			have.ByCascade = have.ByCascade && t.ByCascade
			return
		}
	}
	i.Tables = append(i.Tables, t)
}

// rowsOfBoth is the size of a table that stands twice. They may be two, of which one was
// called so before the other: what may be gone of both counts, and what nobody knows.
func rowsOfBoth(a, b *TableImpact) float64 {
	switch {
	case a.Locked && a.Rows < 0 || b.Locked && b.Rows < 0:
		return -1
	case a.Locked && b.Locked:
		return a.Rows + b.Rows
	case a.Locked || b.Locked:
		return max(a.Rows, b.Rows)
	case a.Rows < 0:
		return b.Rows
	}
	return a.Rows
}

// counters are the kinds of changes that a rule of numbers is about.
type counters uint8

const (
	countInserted counters = 1 << iota
	countUpdated
	countDeleted
	countLocked

	countAll = countInserted | countUpdated | countDeleted | countLocked
)

// countersOf gives the counters that the classes of a statement condition move.
// Without one all do.
func countersOf(c *statementCondition) counters {
	if c == nil {
		return countAll
	}
	var n counters
	for class, counts := range classCounters {
		if c.classes[class] {
			n |= counts
		}
	}
	return n
}

// classCounters are the classes that a rule of numbers can name.
var classCounters = map[Class]counters{
	classInsert: countInserted, "copy_from": countInserted, "copy_from_file": countInserted, "copy_from_program": countInserted,
	"select_into": countInserted, "create_table_as": countInserted,
	classUpdate: countUpdated, classDelete: countDeleted, classMerge: countUpdated | countDeleted,
	"truncate": countLocked, "drop_table": countLocked,
}

// changed is how many rows of the table the counters count. It is infinite where a
// table of unknown size may be gone.
func (t *TableImpact) changed(n counters) float64 {
	rows := 0.0
	if n&countInserted != 0 {
		rows += float64(t.Inserted)
	}
	if n&countUpdated != 0 {
		rows += float64(t.Updated)
	}
	if n&countDeleted != 0 {
		rows += float64(t.Deleted)
	}
	if n&countLocked != 0 && t.Locked {
		if t.Rows < 0 {
			return math.Inf(1)
		}
		rows += t.Rows
	}
	return rows
}

// WithImpact gives the facts with what the statement would do, by the planner's
// estimate or by a run that was rolled back, so that rules of numbers have something
// to judge before it runs.
func (f *Facts) WithImpact(i *Impact) *Facts {
	if i == nil {
		return f
	}
	g := *f
	g.impact = i
	return &g
}

// Impact is what WithImpact gave, or nil.
func (f *Facts) Impact() *Impact { return f.impact }

// DecideImpact says what happens to a transaction that has changed this many rows.
// Only rules with rows or share have a say, and final allow rules before them that
// are about nothing but tables, classes of statements and the session: what those
// allow counts no further. Where no rule matches it is allowed. Budgets are decided
// apart; see Budgets.
func (p *Policy) DecideImpact(s *Session, i *Impact) Decision {
	d, _ := p.decideImpact(s, i, math.MaxInt)
	return d
}

// decideImpact lets the rules before a place in the policy decide. It also gives
// that place of the rule.
func (p *Policy) decideImpact(s *Session, i *Impact, before int) (Decision, bool) {
	var decided Decision
	found := false
	p.judgeImpact(s, i, before, func(r *Rule, w weighed) bool {
		if !w.matched || found && r.Action >= decided.Verdict {
			return true
		}
		decided, found = Decision{Verdict: r.Action, Rule: r, Reason: w.reason(i)}, true
		return r.Action != Block
	})
	if !found {
		return Decision{Verdict: Allow, Reason: p.defaults.allowed.ID}, false
	}
	return decided, true
}

// WaitingImpact lists every decision to hold or ticket that the impact meets; see
// Waiting.
func (p *Policy) WaitingImpact(s *Session, i *Impact) []Decision {
	return p.waitingImpact(s, i, math.MaxInt)
}

func (p *Policy) waitingImpact(s *Session, i *Impact, before int) []Decision {
	var all []Decision
	p.judgeImpact(s, i, before, func(r *Rule, w weighed) bool {
		if w.matched && (r.Action == Hold || r.Action == Ticket) {
			all = append(all, Decision{Verdict: r.Action, Rule: r, Reason: w.reason(i)})
		}
		return true
	})
	return all
}

// ExplainImpact judges every rule of numbers by the impact, in order.
func (p *Policy) ExplainImpact(s *Session, i *Impact) []RuleResult {
	var all []RuleResult
	p.judgeImpact(s, i, math.MaxInt, func(r *Rule, w weighed) bool {
		all = append(all, RuleResult{Rule: r, Matched: w.matched, Doubt: w.matched && w.unmeasured, Reason: w.explain(r, i)})
		return true
	})
	return all
}

// judgeImpact gives each rule of numbers, and what it makes of the impact, to
// judged, until that answers false.
func (p *Policy) judgeImpact(s *Session, i *Impact, before int, judged func(*Rule, weighed) bool) {
	var exempt []*Rule
	for _, r := range p.numeric {
		if r.order >= before {
			return
		}
		if r.numbers == nil {
			if r.matchSession(s) {
				exempt = append(exempt, r)
			}
			continue
		}
		w := weighed{unmet: r.sessionUnmet(s)}
		if w.unmet == "" {
			counted := p.countedBy(r, i)
			w = r.numbers.weigh(counted, exempt)
			if c := r.numbers.when; w.matched && c != nil && c.metBy(s, counted, w) == no {
				w.matched, w.unmet = false, c.String()+" is not met: the expression is false"
			}
		}
		if !judged(r, w) {
			return
		}
	}
}

// sessionUnmet says which condition over the session the rule certainly does not
// meet, or "".
func (r *Rule) sessionUnmet(s *Session) string {
	for _, c := range r.matches {
		if c.met(s, nil, nil) == no {
			return fmt.Sprintf("%s is not met: %s", c, c.found(s, nil, nil))
		}
	}
	return ""
}

// matchSession says whether an exempting rule's conditions over the session are
// met for certain. Its condition over tables is looked at table by table.
func (r *Rule) matchSession(s *Session) bool {
	for _, c := range r.matches {
		if _, is := c.(*tableCondition); !is && c.met(s, nil, nil) != yes {
			return false
		}
	}
	return true
}

// exempts says whether the rule allows these changes of a table for certain.
func (r *Rule) exempts(t Table) counters {
	for _, c := range r.matches {
		if c, is := c.(*tableCondition); is && c.globs.match(t.Schema, t.Name) != yes {
			return 0
		}
	}
	return r.counts
}

// String is the impact in words: "1,200 rows: 600 deleted from public.a, 600 from public.b".
func (i *Impact) String() string {
	var parts []string
	for k := range i.Tables {
		t := &i.Tables[k]
		for _, c := range []struct {
			n    int64
			verb string
		}{{t.Inserted, "inserted into"}, {t.Updated, "updated in"}, {t.Deleted, "deleted from"}} {
			if c.n > 0 {
				parts = append(parts, fmt.Sprintf("%s %s %s", count(float64(c.n)), c.verb, t.Table))
			}
		}
		if t.Locked {
			parts = append(parts, fmt.Sprintf("%s is locked as TRUNCATE, DROP or ALTER do", t.Table))
		}
	}
	parts = append(parts, i.Unmeasured...)
	switch {
	case len(parts) == 0:
		return "no rows"
	case i.Estimated:
		return "about " + strings.Join(parts, ", ") + " (estimated)"
	}
	return strings.Join(parts, ", ")
}

// count writes a number of rows with its thousands apart: 12,000,000.
func count(n float64) string {
	if math.IsInf(n, 0) || n >= math.MaxInt64 {
		return "an unknown number of"
	}
	s := strconv.FormatInt(int64(n), 10)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// ofNumbers says that the rule is judged by how much is changed, and not by what
// the text says.
func (r *Rule) ofNumbers() bool { return r.numbers != nil || r.budget != nil }

// conditions lists all but the statement condition as they could stand in a file.
func (r *Rule) conditions() []fmt.Stringer {
	var all []fmt.Stringer
	for _, c := range r.matches {
		all = append(all, c)
	}
	tables := (*tableCondition)(nil)
	switch {
	case r.numbers != nil:
		all, tables = append(all, r.numbers), r.numbers.tables
		if r.numbers.when != nil {
			all = append(all, r.numbers.when)
		}
	case r.budget != nil:
		all, tables = append(all, r.budget), r.budget.tables
	}
	if tables != nil {
		all = append(all, tables)
	}
	return all
}

// sessionOnly says that the condition is over the session alone, and so has the
// same answer for all that a transaction did.
func sessionOnly(c condition) bool {
	switch c.(type) {
	case *nameCondition, *addressCondition, *timeCondition, *transactionCondition, *restoreCondition:
		return true
	}
	return false
}

// exemption says whether a final allow rule can be looked at without a text.
func (r *Rule) exemption() bool {
	return r.Final && !r.ofNumbers() && r.counts != 0 &&
		!slices.ContainsFunc(r.matches, func(c condition) bool {
			_, table := c.(*tableCondition)
			return !table && !sessionOnly(c)
		})
}

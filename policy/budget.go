package policy

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// budget is `budget: {deleted: "> 5000", per: 10m, by: [user, table]}`: how much
// may be done within any span of that length by everything that has the same user
// and the same table. It spans transactions, sessions and, with a shared ledger,
// proxies; what has been spent is kept by the caller. See Charge.
type budget struct {
	counts     counters // what counts; 0 for a budget of statements
	rows       *limit   // of rows or of statements
	share      *limit   // of one table; with rows both must be exceeded
	per        time.Duration
	by         []string // in the order of budgetDims
	unmeasured bool     // allowed
	tables     *tableCondition
}

// budgetDims are what a budget can be kept apart by.
var budgetDims = []string{"person", "user", "application", "address", "database", "table"}

// budgetCounts are what a budget can count.
var budgetCounts = map[string]counters{
	"deleted":    countDeleted | countLocked,
	"changed":    countUpdated | countDeleted | countLocked,
	"inserted":   countInserted,
	"statements": 0,
}

// A Charge is what one transaction or statement takes from one budget. Whoever
// keeps the sums asks Over with what the key has been charged with in the last Per,
// and adds Amount to it once the transaction is committed.
type Charge struct {
	Rule *Rule

	// Key names the budget: the rule and what its sums are kept apart by. Equal
	// budgets have equal keys, and no free text in one can imitate another.
	Key string

	Amount int64         // rows, or statements
	Limit  float64       // that may be spent within Per; -1 where nothing may
	Per    time.Duration // the length of the window, which slides

	// Unmeasured is true where the transaction did what could not be counted: it is
	// over whatever was spent.
	Unmeasured bool

	inclusive bool // Limit itself is over
	what      string
}

// Over says whether the charge goes over the limit, when the key has been charged
// with so much in the last Per.
func (c Charge) Over(spent int64) bool {
	sum := float64(spent) + float64(c.Amount)
	return c.Unmeasured || sum > c.Limit || c.inclusive && sum == c.Limit
}

// Decision is the answer for a charge that is over its limit.
func (c Charge) Decision(spent int64) Decision {
	d := Decision{Verdict: c.Verdict(), Rule: c.Rule}
	if g := c.Rule.standing; g != nil {
		d.Reason = g.over(c, spent)
		return d
	}
	if c.Unmeasured {
		d.Reason = fmt.Sprintf("what cannot be counted counts as over the limit of %s in %s", c.limit(), c.Per)
		return d
	}
	d.Reason = fmt.Sprintf("%s %s, with %s before in the last %s; the limit is %s",
		count(float64(c.Amount)), c.what, count(float64(spent)), c.Per, c.limit())
	return d
}

func (c Charge) limit() string { return count(max(math.Floor(c.Limit), 0)) }

// Budgets lists what a transaction takes from the budgets of rows. Each charge has
// a key of its own.
func (p *Policy) Budgets(s *Session, i *Impact) []Charge {
	if !p.budgets {
		return nil
	}
	var all []Charge
	var exempt []*Rule
	for _, r := range p.numeric {
		switch {
		case r.numbers == nil && r.budget == nil:
			if r.matchSession(s) {
				exempt = append(exempt, r)
			}
		case r.budget == nil || r.budget.counts == 0 || r.sessionUnmet(s) != "":
		default:
			all = append(all, r.budget.charges(r, s, p.countedBy(r, i), exempt)...)
		}
	}
	return all
}

func (b *budget) charges(r *Rule, s *Session, i *Impact, exempt []*Rule) []Charge {
	n := numbersCondition{rows: &limit{}, counts: b.counts, tables: b.tables, unmeasured: b.unmeasured}
	w := n.weigh(i, exempt)
	if !slices.Contains(b.by, "table") {
		if w.total == 0 && !w.unmeasured {
			return nil
		}
		return []Charge{b.charge(r, s, "", tableShare{rows: w.total, size: -1}, w.unmeasured)}
	}
	var all []Charge
	if w.unmeasured {
		all = append(all, b.charge(r, s, "", tableShare{size: -1}, true))
	}
	for _, t := range w.tables {
		all = append(all, b.charge(r, s, t.table.String(), t, false))
	}
	return all
}

func (b *budget) charge(r *Rule, s *Session, table string, t tableShare, unmeasured bool) Charge {
	c := Charge{Rule: r, Key: b.key(r, s, table), Per: b.per, Unmeasured: unmeasured,
		Amount: int64(min(math.Ceil(t.rows), 1<<53)), Limit: -1, what: "rows"}
	if table != "" {
		c.what += " of " + table
	}
	if b.rows != nil {
		c.Limit, c.inclusive = b.rows.number, b.rows.inclusive
	}
	if b.share != nil && t.size >= 0 {
		// Both must be exceeded, and so the larger of the two.
		if share := b.share.number / 100 * t.size; share > c.Limit || share == c.Limit && !b.share.inclusive {
			c.Limit, c.inclusive = share, b.share.inclusive
		}
	}
	return c
}

// StatementBudgets lists what a statement takes from the budgets of statements.
// They are to be charged before it runs.
func (p *Policy) StatementBudgets(s *Session, f *Facts) []Charge {
	if !p.statementBudgets {
		return nil
	}
	var all []Charge
	for _, r := range p.numeric {
		if r.budget == nil || r.budget.counts != 0 {
			continue
		}
		seen := make(map[string]bool)
		for i := range f.Actions {
			a := &f.Actions[i]
			if !r.statement.classes[a.Class] || !r.match(s, f, a) {
				continue
			}
			tables := []string{""}
			if slices.Contains(r.budget.by, "table") && len(a.Tables) > 0 {
				tables = tables[:0]
				for _, t := range a.Tables {
					tables = append(tables, t.String())
				}
			}
			for _, t := range tables {
				if !seen[t] {
					seen[t] = true
					c := r.budget.charge(r, s, t, tableShare{rows: 1, size: -1}, false)
					c.what = "statements"
					all = append(all, c)
				}
			}
		}
	}
	return all
}

// key names the budget for this session and table.
func (b *budget) key(r *Rule, s *Session, table string) string {
	var k strings.Builder
	fmt.Fprintf(&k, "rule=%s", r.ID)
	for _, dim := range b.by {
		var value string
		switch dim {
		case "person":
			value = s.person()
		case "user":
			value = s.User
		case "application":
			value = s.Application
		case "address":
			if s.Address.IsValid() {
				value = s.Address.Unmap().WithZone("").String()
			}
		case "database":
			value = s.Database
		case "table": // of that name there may be one in every database
			value = s.Database + "." + table
		}
		fmt.Fprintf(&k, " %s=%q", dim, value)
	}
	return k.String()
}

// person is who the session counts for: a login of nobody is somebody of its own.
func (s *Session) person() string {
	if s.Person != "" {
		return "person " + s.Person
	}
	return "login " + s.User
}

func (b *budget) String() string {
	var parts []string
	for _, word := range []string{"deleted", "changed", "inserted", "statements"} {
		if budgetCounts[word] == b.counts && b.rows != nil {
			parts = append(parts, fmt.Sprintf("%s: %q", word, b.rows))
		}
	}
	if b.share != nil {
		parts = append(parts, fmt.Sprintf("share: %q", b.share))
	}
	parts = append(parts, fmt.Sprintf("per: %s", b.per), "by: "+list(b.by))
	line := "budget: {" + strings.Join(parts, ", ") + "}"
	if b.unmeasured {
		line += ", unmeasured: allow"
	}
	return line
}

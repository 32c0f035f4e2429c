package policy

import "math"

// What the proxy must ask the server about, so that rules of numbers can be judged.

// changes is what an action of a class can do to rows.
type changes uint8

const (
	changesNothing changes = iota
	changesRows            // those of the tables that it names, and what follows from that
	changesUnknown         // whatever it likes: code
)

// changesOf holds every class that a policy knows.
var changesOf = func() map[Class]changes {
	m := make(map[Class]changes)
	for _, c := range append(Classes(), ClassUnparsed, ClassUnknown) {
		switch {
		case c.In("read"), c.In("transaction"), c.In("session"), c == classSelectForUpdate, c == "lock_table", c == "lock_table_shared",
			c == "vacuum", c == "analyze", c == "cancel_backend", c == "terminate_backend", c == classSetval:
			m[c] = changesNothing
		case c == classInsert, c == classUpdate, c == classDelete, c == classMerge:
			m[c] = changesRows
		default:
			m[c] = changesUnknown
		}
	}
	return m
}()

// Measures says whether any rule asks for what transactions have done.
func (p *Policy) Measures() bool {
	if len(p.standing) > 0 {
		return true
	}
	for _, r := range p.numeric {
		if r.measures() {
			return true
		}
	}
	return false
}

// hasNumbers says whether any rule has rows or share, which an estimate can meet.
func (p *Policy) hasNumbers() bool {
	for _, r := range p.numeric {
		if r.numbers != nil {
			return true
		}
	}
	return false
}

// NeedsEstimate says whether the statement should be estimated before it runs: a
// rule with rows or share could stop it by that, and the facts do not prove that it
// stays within the limit. What an estimate can tell of is rows that INSERT, UPDATE,
// DELETE and MERGE find by a query. Rows by a unique key need no planner, and are
// asked about only where what foreign keys take along with them is over a limit. Of
// what a standing grant lets through the size is no news.
func (p *Policy) NeedsEstimate(s *Session, f *Facts) bool {
	if len(p.numeric) == 0 || f.changesNothing() || f.TakenBack || f.findsNothing() || !f.Plannable() || p.Standing(s, f) != nil {
		return false
	}
	byKeys := f.EstimateByKeys()
	for _, r := range p.numeric {
		if r.numbers != nil && r.couldMeet(s) && r.numbers.counts&f.moves() != 0 &&
			(byKeys == nil || r.numbers.weigh(byKeys, nil).matched) {
			return true
		}
	}
	return false
}

// findsNothing says that all that changes rows is known to find none.
func (f *Facts) findsNothing() bool {
	for i := range f.Actions {
		if a := &f.Actions[i]; !a.Empty && changesOf[a.Class] != changesNothing {
			return false
		}
	}
	return true
}

// Plannable says that EXPLAIN can be put before the text of the statement.
func (f *Facts) Plannable() bool {
	if f.Text == "" {
		return false
	}
	switch f.Class {
	case classInsert, classUpdate, classDelete, classMerge, classSelect, "values":
		return true
	}
	return false
}

// moves gives the counters that the statement can move by what its text says.
func (f *Facts) moves() counters {
	var moved counters
	for i := range f.Actions {
		moved |= classCounters[f.Actions[i].Class]
	}
	return moved
}

// measures says that the rule is judged at the commit gate.
func (r *Rule) measures() bool {
	return r.numbers != nil || r.budget != nil && r.budget.counts != 0
}

// NeedsImpact says whether what this statement does must be measured before it
// commits, because a rule of numbers may stop it, a budget is charged or a standing
// grant lets it through. It is false
// only where the text, or the catalogue, shows that no such rule can have anything to
// say: for reads, and where Proven gives so few rows that no rule of rows or share is
// met. What Proven gives is for the caller to add up over the transaction and to
// charge to the budgets: a thousand statements of one row each are a thousand rows.
//
// A read is what its text calls nothing but built-in functions that are harmless. A
// view that hides a call is seen through where the catalogue was asked: see Hiding.
func (p *Policy) NeedsImpact(s *Session, f *Facts) bool {
	if len(p.numeric) == 0 && len(p.standing) == 0 || f.changesNothing() || f.TakenBack {
		return false
	}
	if p.MayStand(s, f) {
		return true
	}
	proven := f.Proven()
	for _, r := range p.numeric {
		if r.measures() && r.couldMeet(s) && (proven == nil || r.numbers != nil && r.numbers.weigh(proven, nil).matched) {
			return true
		}
	}
	return false
}

// ChangesNothing says that nothing the statement does changes rows, as far as it is
// known what it does.
func (f *Facts) ChangesNothing() bool { return f.changesNothing() }

func (f *Facts) changesNothing() bool {
	if f.hides {
		return false
	}
	for i := range f.Actions {
		if changed, known := changesOf[f.Actions[i].Class]; !known || changed != changesNothing {
			return false
		}
	}
	return len(f.Actions) > 0
}

// InsertsPlainly gives the facts of a statement that only reads and inserts, with
// the knowledge that its tables do no more than take the rows: they have no
// triggers, rules or partitions, and no code behind a default, a check or an index.
func (f *Facts) InsertsPlainly() *Facts {
	g := *f
	g.plain = true
	return &g
}

// Proven gives the most that the statement can change, where the catalogue proves
// it: UPDATE and DELETE that name rows by a unique key, of tables without rules, foreign
// keys that take others along, and triggers that do more than look at the row or fill
// in columns of it; and INSERT, of as many rows as you
// like, into tables that only take them. It is nil for every other statement.
//
// A catalogue that was kept counts here. What makes it untrue is DDL of another
// session within the seconds for which it is kept, and the rows of one statement by
// a former key are what that could hide.
func (f *Facts) Proven() *Impact {
	if f.Class == ClassUnparsed || f.Class == ClassUnknown || len(f.Actions) == 0 || f.hides {
		return nil
	}
	i := &Impact{}
	for k := range f.Actions {
		a := &f.Actions[k]
		changed, known := changesOf[a.Class]
		switch {
		case known && changed == changesNothing:
		case f.plain && (a.Class == classInsert || a.Class == "copy_from") && len(a.Tables) == 1:
			i.add(TableImpact{Table: a.Tables[0], Rows: -1, Inserted: math.MaxInt32})
		case !known || changed != changesRows || !a.provenRows():
			return nil
		case a.Class == classUpdate:
			i.add(TableImpact{Table: a.Tables[0], Rows: -1, Updated: int64(a.byKeyRows())})
		default:
			i.add(TableImpact{Table: a.Tables[0], Rows: -1, Deleted: int64(a.byKeyRows())})
		}
	}
	return i
}

func (a *Action) byKeyRows() int { return max(a.AtMostRows, a.byKey) }

// provenRows says that byKeyRows is all that the action changes. What stands in a
// body may run more than once.
func (a *Action) provenRows() bool {
	return (a.Carrier == "" || a.Carrier == "EXPLAIN ANALYZE" || a.Carrier == "EXECUTE") && a.byKeyRows() > 0 &&
		!a.calls && len(a.Triggers) == a.idle && len(a.Cascades) == 0 && !a.CascadesCut &&
		len(a.Tables) == 1 && (a.Class == classUpdate || a.Class == classDelete)
}

// couldMeet says that nothing that stays as it is for the whole session keeps the
// rule away.
func (r *Rule) couldMeet(s *Session) bool {
	for _, c := range r.matches {
		switch c := c.(type) {
		case *nameCondition:
			if (c.key == "user" || c.key == "database") && c.met(s, nil, nil) == no {
				return false
			}
		case *addressCondition:
			if c.met(s, nil, nil) == no {
				return false
			}
		}
	}
	return true
}

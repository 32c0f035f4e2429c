package policy

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A standing grant is an allow rule with `up_to: {rows: 50000, per: 24h}`: a known
// job, named by its shape, that changes no more than it always does. At the
// statement gate it is an allow rule like others. At the commit gate rules of
// numbers and budgets behind it do not count what it has let through; that is
// charged to a budget of the rule and the login instead, and what has no room there
// waits for people.
type standing struct {
	rows int64
	per  time.Duration
}

func (g *standing) String() string {
	return fmt.Sprintf("up_to: {rows: %d, per: %s}", g.rows, shortTime(g.per))
}

// shortTime is a duration without the parts that are nought: 24h, 1h30m.
func shortTime(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Limit is what a standing grant allows, in words: "50,000 rows in 24h". It is empty
// for any other rule.
func (r *Rule) Limit() string {
	if r.standing == nil {
		return ""
	}
	return fmt.Sprintf("%s rows in %s", count(float64(r.standing.rows)), shortTime(r.standing.per))
}

// waits says whether people may be asked on account of the rule.
func (r *Rule) waits() bool { return r.Action == Hold || r.Action == Ticket || r.standing != nil }

// Standing gives the standing grant that lets the statement through for this
// session, or nil: the first that matches all of it that changes anything, but for
// what no text says and no rows show; see shapeCondition.
func (p *Policy) Standing(s *Session, f *Facts) *Rule {
	if f.TakenBack {
		return nil
	}
	for _, r := range p.standing {
		if r.couldMeet(s) && r.covers(s, f) {
			return r
		}
	}
	return nil
}

func (r *Rule) covers(s *Session, f *Facts) bool {
	covered := false
	for i := range f.Actions {
		a := &f.Actions[i]
		if changed, known := changesOf[a.Class]; known && changed == changesNothing || a.unwritten && !a.ofRows() {
			continue
		}
		if r.statement != nil && !r.statement.classes[a.Class] || !r.match(s, f, a) {
			return false
		}
		covered = true
	}
	return covered
}

// MayStand says whether the statement has the shape of a standing grant, which may
// let it through once more is known of it.
func (p *Policy) MayStand(s *Session, f *Facts) bool {
	return slices.ContainsFunc(p.standing, func(r *Rule) bool {
		return r.couldMeet(s) && slices.ContainsFunc(r.matches, func(c condition) bool {
			shape, is := c.(*shapeCondition)
			return is && shape.names(f)
		})
	})
}

// ofRows says that what the action does is what the commit gate measures.
func (a *Action) ofRows() bool { return changesOf[a.Class] == changesRows }

// A Granted is what a transaction did on a standing grant.
type Granted struct {
	Rule   *Rule
	Impact *Impact
}

// WithGranted gives the impact with the parts of it that were done on standing
// grants: rules of numbers behind a grant do not count its part.
func (i *Impact) WithGranted(parts []Granted) *Impact {
	if len(parts) == 0 {
		return i
	}
	g := *i
	g.granted = parts
	return &g
}

// countedBy is the impact without what rules before this one have granted. A rule of
// a policy that is no longer in force has granted nothing.
func (p *Policy) countedBy(r *Rule, i *Impact) *Impact {
	for _, g := range i.granted {
		if g.Rule.order < r.order && p.rules[g.Rule.order] == g.Rule {
			i = i.Less(g.Impact)
		}
	}
	return i
}

// Less is the impact without a part of it.
func (i *Impact) Less(part *Impact) *Impact {
	left := &Impact{Estimated: i.Estimated, granted: i.granted}
	for _, u := range i.Unmeasured {
		if !slices.Contains(part.Unmeasured, u) {
			left.Unmeasured = append(left.Unmeasured, u)
		}
	}
	for _, t := range i.Tables {
		for _, p := range part.Tables {
			if p.Table.Schema == t.Table.Schema && p.Table.Name == t.Table.Name {
				t.Inserted = max(t.Inserted-p.Inserted, 0)
				t.Updated = max(t.Updated-p.Updated, 0)
				t.Deleted = max(t.Deleted-p.Deleted, 0)
				t.Locked = t.Locked && !p.Locked
			}
		}
		if t.Inserted+t.Updated+t.Deleted > 0 || t.Locked {
			left.Tables = append(left.Tables, t)
		}
	}
	return left
}

// StandingCharges lists what standing grants are charged with for what was done on
// them, each grant once. All rows count, those that are inserted too. A table that
// is locked as TRUNCATE does was emptied by code, and counts as what cannot be
// counted.
func (p *Policy) StandingCharges(s *Session, parts []Granted) []Charge {
	var all []Charge
	for _, g := range parts {
		locked := slices.ContainsFunc(g.Impact.Tables, func(t TableImpact) bool { return t.Locked })
		c := Charge{
			Rule: g.Rule, Key: fmt.Sprintf("rule=%s up_to user=%q", g.Rule.ID, s.User),
			Amount: int64(min(g.Impact.Rows(), 1<<53)), Limit: float64(g.Rule.standing.rows), Per: g.Rule.standing.per,
			Unmeasured: len(g.Impact.Unmeasured) > 0 || locked, what: "rows",
		}
		same := slices.IndexFunc(all, func(o Charge) bool { return o.Rule == c.Rule })
		switch {
		case c.Amount == 0 && !c.Unmeasured:
		case same < 0:
			all = append(all, c)
		default:
			all[same].Amount += c.Amount
			all[same].Unmeasured = all[same].Unmeasured || c.Unmeasured
		}
	}
	return all
}

// Verdict is what happens to a transaction of which a charge is over its limit.
func (c Charge) Verdict() Verdict {
	if c.Rule.standing != nil {
		return Hold
	}
	return c.Rule.Action
}

// over says how much more a standing grant is asked for than is left of it.
func (g *standing) over(c Charge, spent int64) string {
	if c.Unmeasured {
		return fmt.Sprintf("not all that it did can be counted, and it is granted up to %s rows in %s", count(float64(g.rows)), shortTime(g.per))
	}
	return fmt.Sprintf("%s rows were measured, and %s of %s in %s were left",
		count(float64(c.Amount)), count(math.Max(float64(g.rows-spent), 0)), count(float64(g.rows)), shortTime(g.per))
}

// shapeCondition is `shape: "sha256:..."`. It is about what the client has written:
// what triggers, rules and functions do stands in no text that anybody could have
// granted. Where the rule is a standing grant their rows are measured, and are
// within it; anything else that they do is not. No grant is for a restore.
type shapeCondition struct {
	shapes   []string
	measured bool // the rule is a standing grant
}

func (c *shapeCondition) names(f *Facts) bool {
	return f != nil && slices.Contains(c.shapes, f.Shape().ID)
}

func (c *shapeCondition) met(s *Session, f *Facts, a *Action) truth {
	if s.Restore || a == nil || a.unwritten && !(c.measured && a.ofRows()) {
		return no
	}
	return truthOf(c.names(f))
}

func (c *shapeCondition) found(s *Session, f *Facts, a *Action) string {
	shape := f.Shape()
	switch {
	case s.Restore:
		return "the session looks like the restore of a dump"
	case shape.None != "":
		return "it has no shape: " + shape.None
	case a.unwritten && !(c.measured && a.ofRows()):
		return "this stands in no text of the statement"
	}
	return "its shape is " + shape.ID
}

func (c *shapeCondition) String() string { return "shape: " + list(c.shapes) }

package policy

import (
	"math"
	"slices"
	"strings"
)

// unknownAction stands for what a statement without actions does.
var unknownAction = Action{Class: ClassUnknown}

// Decide says what happens to a statement with these facts, sent by that
// session.
//
// Each action of the statement is decided by itself, and the strictest of the
// answers is the statement's: what one rule allows of a statement never carries
// the rest of it along. For one action:
//
//   - The rules are looked at in order, and of those that match the strictest
//     decides; of equals the first.
//   - An allow rule with `final: true` that matches ends the search: the rules
//     behind it are not looked at. What matched before it still counts.
//   - Where no rule matches, `defaults.allowed` decides. An allow rule without
//     final is of use only there: it keeps a stricter default away.
//   - Text that cannot be read and statements that nobody has classified get
//     `defaults.unparsed` or `defaults.unknown` at least, whatever rules say;
//     only a final allow rule ends the search before that, too.
//
// A rule whose conditions cannot be judged counts as its action; see truth.
//
// Rules with rows, share or a budget are no part of this: they are judged by what
// was measured (DecideImpact, Budgets), and before by an estimate, where the facts
// have one (WithImpact) and no final rule has ended the search before.
//
// Decide does not allocate for statements that are allowed.
func (p *Policy) Decide(s *Session, f *Facts) Decision {
	d := p.decideText(s, f)
	if f != nil && f.impact != nil && !f.TakenBack && d.Verdict != Block {
		if e, found := p.decideImpact(s, f.impact, p.ended(s, f)); found &&
			(e.Verdict < d.Verdict || e.Verdict == d.Verdict && (d.Rule == nil || e.Rule.order < d.Rule.order)) {
			d = e
		}
	}
	if p.defaults.measure && d.Verdict.Runs() && f.opaque() {
		d.Measure = true
	}
	return d
}

// opaque says that it is not known what the statement does when it runs.
func (f *Facts) opaque() bool {
	if f == nil || len(f.Actions) == 0 || f.Class == ClassUnparsed || f.Class == ClassUnknown {
		return true
	}
	for i := range f.Actions {
		switch f.Actions[i].Class {
		case "do", "call", classFunctionCall, classSQLFunctionCall, ClassUnparsed, ClassUnknown:
			return true
		}
	}
	return false
}

// ended is the place of the rule behind which rules of numbers have no say about
// what the statement writes: the final rule that ended the search for everything, or
// a standing grant.
func (p *Policy) ended(s *Session, f *Facts) int {
	last := -1
	for i := range f.Actions {
		a := &f.Actions[i]
		if changesOf[a.Class] == changesNothing && a.Class != "" {
			continue
		}
		at := math.MaxInt
		for _, r := range p.byClass[a.Class] {
			if (r.Final || r.standing != nil) && r.match(s, f, a) {
				at = r.order
				break
			}
		}
		last = max(last, at)
	}
	if last < 0 {
		return math.MaxInt
	}
	return last
}

// decideText decides by what the statement says.
func (p *Policy) decideText(s *Session, f *Facts) Decision {
	if f == nil || len(f.Actions) == 0 {
		if f == nil {
			f = &Facts{}
		}
		v, r := p.decide(s, f, &unknownAction)
		return p.decision(v, r, s, f, &unknownAction)
	}
	verdict, rule, action := Allow, (*Rule)(nil), &f.Actions[0]
	for i := range f.Actions {
		a := &f.Actions[i]
		v, r := p.decide(s, f, a)
		if v < verdict || v == verdict && r != nil && (rule == nil || r.order < rule.order) {
			verdict, rule, action = v, r, a
		}
	}
	if f.Class == ClassUnparsed && action.Class != ClassUnparsed {
		// Whoever made such facts, text that could not be read is not outweighed
		// by actions that could.
		a := Action{Class: ClassUnparsed}
		if v, r := p.decide(s, f, &a); v < verdict {
			return p.decision(v, r, s, f, &a)
		}
	}
	return p.decision(verdict, rule, s, f, action)
}

// decide answers for one action. The rule is nil where the default allows.
func (p *Policy) decide(s *Session, f *Facts, a *Action) (Verdict, *Rule) {
	rules, classified := p.byClass[a.Class]
	if !classified {
		u := *a
		u.Class = ClassUnknown
		return p.decide(s, f, &u)
	}
	var decided *Rule
	for _, r := range rules {
		if decided != nil && r.Action >= decided.Action && !r.Final {
			continue // could not change the answer
		}
		if !r.match(s, f, a) {
			continue
		}
		if decided == nil || r.Action < decided.Action {
			decided = r
		}
		if r.Final {
			return decided.Action, decided
		}
		if r.Action == Block {
			return Block, r
		}
	}
	if floor := p.floor(a.Class); floor != nil && (decided == nil || floor.Action < decided.Action) {
		return floor.Action, floor
	}
	if decided == nil {
		if p.defaults.allowed.Action == Allow {
			return Allow, nil
		}
		decided = p.defaults.allowed
	}
	return decided.Action, decided
}

// floor is the default below which an action of the class does not get, or nil.
func (p *Policy) floor(c Class) *Rule {
	switch c {
	case ClassUnparsed:
		return p.defaults.unparsed
	case ClassUnknown:
		return p.defaults.unknown
	}
	return nil
}

// decision puts the answer into words, where anybody will read them.
func (p *Policy) decision(v Verdict, r *Rule, s *Session, f *Facts, a *Action) Decision {
	switch {
	case r == nil:
		return Decision{Verdict: v, Reason: p.defaults.allowed.ID}
	case v == Allow:
		return Decision{Verdict: v, Rule: r, Reason: r.ID}
	}
	return Decision{Verdict: v, Rule: r, Reason: reason(r, s, f, a)}
}

// Waiting lists every decision to hold or ticket that some action of the
// statement meets, each rule once: its approval needs what all of them ask for.
// It is for statements that Decide has held or ticketed.
func (p *Policy) Waiting(s *Session, f *Facts) []Decision {
	var all []Decision
	seen := map[*Rule]bool{}
	add := func(r *Rule, a *Action) {
		if r != nil && !r.Action.Runs() && r.Action != Block && !seen[r] {
			seen[r] = true
			all = append(all, p.decision(r.Action, r, s, f, a))
		}
	}
	actions := f.Actions
	if len(actions) == 0 {
		actions = []Action{unknownAction}
	}
	for i := range actions {
		a := actions[i]
		if _, classified := p.byClass[a.Class]; !classified {
			a.Class = ClassUnknown
		}
		final := false
		for _, r := range p.byClass[a.Class] {
			if r.match(s, f, &a) {
				add(r, &a)
				if final = r.Final; final {
					break
				}
			}
		}
		if final {
			continue
		}
		add(p.floor(a.Class), &a)
		if v, r := p.decide(s, f, &a); v == Hold || v == Ticket {
			add(r, &a) // the default
		}
	}
	if f.impact != nil && !f.TakenBack {
		all = append(all, p.waitingImpact(s, f.impact, p.ended(s, f))...)
	}
	return all
}

// reason says what about the statement met the rule: what it does to what,
// inside what, and the proof. It holds names and no literals.
func reason(r *Rule, s *Session, f *Facts, a *Action) string {
	var b strings.Builder
	b.WriteString(a.describe())
	var why []string
	if a.Where != WhereNone && a.Where != WherePresent || a.Class == ClassUnparsed || a.Class == ClassUnknown {
		switch {
		case a.Proof != "":
			why = append(why, a.Proof)
		case f.Problem != "":
			why = append(why, f.Problem)
		case a.Where == WhereMissing:
			why = append(why, "no WHERE")
		case whereWords[a.Where] != "":
			why = append(why, "the WHERE is "+strings.ReplaceAll(whereWords[a.Where], "_", " "))
		}
	}
	for _, c := range r.matches {
		switch c.(type) {
		case *whereCondition, *tableCondition, *functionCondition: // said already
		case *temporaryCondition, *emptyCondition, *toolTableCondition, *takenBackCondition: // that nothing excuses it says nothing
		case *cascadeCondition:
			why = append(why, "CASCADE")
		default:
			why = append(why, c.found(s, f, a))
		}
	}
	if len(why) > 0 {
		b.WriteString(": ")
		b.WriteString(strings.Join(slices.Compact(why), "; "))
	}
	return b.String()
}

// words is the class as people say it: "drop table".
func (c Class) words() string {
	if c == "" {
		c = ClassUnknown
	}
	return strings.ReplaceAll(string(c), "_", " ")
}

// describe says what the action does to what: "delete on public.orders, inside
// WITH".
func (a *Action) describe() string {
	var b strings.Builder
	b.WriteString(a.Class.words())
	switch names := tableNames(a.Tables); {
	case names == "":
	case strings.HasPrefix(string(a.Class), "drop_"), strings.HasPrefix(string(a.Class), "create_"):
		b.WriteString(" " + names)
	default:
		b.WriteString(" on " + names)
	}
	if len(a.Functions) > 0 {
		b.WriteString(" of " + strings.Join(a.Functions[:min(len(a.Functions), 4)], ", "))
	}
	if a.Carrier != "" {
		b.WriteString(", inside " + a.Carrier)
	}
	return b.String()
}

// MayStop reports whether any rule, or default, could do more to the statement
// than allow it, whatever the session and whatever else is known of it.
func (p *Policy) MayStop(f *Facts) bool {
	if p.defaults.allowed.Action != Allow {
		return true
	}
	for i := range f.Actions {
		if len(p.numeric) > 0 && changesOf[f.Actions[i].Class] != changesNothing && p.hasNumbers() {
			return true
		}
		for _, r := range p.byClass[f.Actions[i].Class] {
			if r.Action != Allow {
				return true
			}
		}
	}
	return false
}

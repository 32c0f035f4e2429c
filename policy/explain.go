package policy

import (
	"fmt"
	"slices"
)

// RuleResult says of one rule whether it matched one action of a statement, and
// why.
type RuleResult struct {
	Rule    *Rule
	Action  int    // the place of the action in Facts.Actions; of those that matched the first
	Matched bool   // all conditions are met, as far as can be told
	Doubt   bool   // matched, but not every condition is met for certain
	Other   bool   // not matched: the rule is about other statements
	Reason  string // the conditions met, or the first that is not
	Ended   bool   // an earlier final rule had ended the search
}

// Explain judges every rule of the policy, in order, and then the default where
// it has a say.
func (p *Policy) Explain(s *Session, f *Facts) []RuleResult {
	actions := []Action{unknownAction}
	if f == nil {
		f = &Facts{}
	}
	if len(f.Actions) > 0 {
		actions = slices.Clone(f.Actions)
	}
	for i := range actions {
		if _, classified := p.byClass[actions[i].Class]; !classified {
			actions[i].Class = ClassUnknown
		}
	}
	ended := make([]bool, len(actions))
	matchedAny := make([]bool, len(actions))
	var all []RuleResult
	impact := p.explainNumbers(s, f)
	for _, r := range p.rules {
		if r.ofNumbers() {
			all = append(all, impact(r))
			continue
		}
		result := RuleResult{Rule: r, Ended: true, Other: true}
		for i := range actions {
			if ended[i] {
				continue
			}
			result.Ended = false
			matched, doubt, why := r.explain(s, f, &actions[i])
			// Of the actions that it did not match, the words are about one that the
			// rule is about.
			better := result.Reason == "" || result.Other && r.about(f, &actions[i])
			result.Other = result.Other && !r.about(f, &actions[i])
			if matched {
				matchedAny[i] = true
				ended[i] = r.Final
				if !result.Matched {
					result.Action, result.Matched, result.Doubt, result.Reason = i, true, doubt, why
				}
			} else if !result.Matched && better {
				result.Action, result.Reason = i, why
			}
		}
		if result.Ended {
			result.Other = false
			result.Reason = "not looked at: a final rule has ended the search"
		}
		all = append(all, result)
	}
	return append(all, p.explainDefaults(actions, ended, matchedAny)...)
}

// explainNumbers gives what is to be said of the rules of numbers.
func (p *Policy) explainNumbers(s *Session, f *Facts) func(*Rule) RuleResult {
	judged := make(map[*Rule]RuleResult)
	before, standing := p.ended(s, f), p.Standing(s, f)
	if f.impact != nil {
		for _, r := range p.ExplainImpact(s, f.impact) {
			judged[r.Rule] = r
		}
	}
	return func(r *Rule) RuleResult {
		result, estimated := judged[r]
		switch {
		case standing != nil && r.order > standing.order:
			return RuleResult{Rule: r, Ended: true, Reason: "what standing grant " + standing.ID + " lets through does not count"}
		case r.order >= before:
			return RuleResult{Rule: r, Ended: true, Reason: "not looked at: a final rule has ended the search"}
		case estimated:
			return result
		case f.changesNothing():
			return RuleResult{Rule: r, Other: true, Reason: "it changes no rows"}
		case r.budget != nil:
			return RuleResult{Rule: r, Reason: "judged by what was spent before, once it is known what this takes"}
		}
		return RuleResult{Rule: r, Reason: r.numbers.String() + " is judged by what is measured, before it commits"}
	}
}

// explainDefaults adds the defaults that have a say, each once.
func (p *Policy) explainDefaults(actions []Action, ended, matchedAny []bool) []RuleResult {
	var all []RuleResult
	add := func(r *Rule, action int, reason string) {
		if !slices.ContainsFunc(all, func(have RuleResult) bool { return have.Rule == r }) {
			all = append(all, RuleResult{Rule: r, Action: action, Matched: true, Reason: reason})
		}
	}
	for i := range actions {
		class := actions[i].Class
		switch floor := p.floor(class); {
		case ended[i]:
		case floor != nil:
			add(floor, i, "default for what is "+string(class))
		case !matchedAny[i]:
			add(p.defaults.allowed, i, "default, since no rule matches the "+class.words())
		}
	}
	return all
}

// explain is match in words.
func (r *Rule) explain(s *Session, f *Facts, a *Action) (matched, doubt bool, why string) {
	if r.statement != nil && !r.statement.classes[a.Class] {
		return false, false, fmt.Sprintf("%s is not in %s", a.Class, r.statement)
	}
	least := cannotTell
	if r.Action == Allow {
		least = yes
	}
	words := a.describe()
	for _, c := range r.matches {
		t := c.met(s, f, a)
		if t < least {
			if t == cannotTell {
				return false, true, fmt.Sprintf("%s cannot be told for certain, and an allow rule needs that: %s", c, c.found(s, f, a))
			}
			return false, false, fmt.Sprintf("%s is not met: %s", c, c.found(s, f, a))
		}
		if t == cannotTell {
			doubt = true
		}
		words += "; " + c.found(s, f, a)
	}
	return true, doubt, words
}

// about says whether the rule is about this kind of statement at all.
func (r *Rule) about(f *Facts, a *Action) bool {
	if r.statement != nil && !r.statement.classes[a.Class] {
		return false
	}
	for _, c := range r.matches {
		if _, is := c.(*settingCondition); is && len(f.Settings) == 0 && !unread(a) {
			return false
		}
	}
	return true
}

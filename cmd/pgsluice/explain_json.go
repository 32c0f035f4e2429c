package main

import "github.com/pgsluice/pgsluice/policy"

// explanation is one statement in the JSON of explain.
type explanation struct {
	Statement string           `json:"statement"`
	Class     string           `json:"class"`
	Problem   string           `json:"problem,omitempty"`
	Actions   []actionJSON     `json:"actions"`
	Settings  []string         `json:"settings,omitempty"`
	Executes  string           `json:"executes,omitempty"`
	Rules     []ruleResultJSON `json:"rules"`
	Verdict   string           `json:"verdict"`
	Rule      string           `json:"rule"`
	Title     string           `json:"title,omitempty"`
	Reason    string           `json:"reason"`
	Hint      string           `json:"hint,omitempty"`
	Scope     string           `json:"scope,omitempty"`
	Approve   []needJSON       `json:"approve,omitempty"`
	Policy    string           `json:"policy"`
	Hash      string           `json:"policy_hash"`
}

type needJSON struct {
	Group string `json:"group"`
	Count int    `json:"count"`
}

type actionJSON struct {
	Class     string   `json:"class"`
	Carrier   string   `json:"carrier,omitempty"`
	Tables    []string `json:"tables,omitempty"`
	Where     string   `json:"where,omitempty"`
	Proof     string   `json:"proof,omitempty"`
	Cascade   bool     `json:"cascade,omitempty"`
	Functions []string `json:"functions,omitempty"`
}

type ruleResultJSON struct {
	ID      string `json:"id"`
	Verdict string `json:"verdict"`
	Matched bool   `json:"matched"`
	Doubt   bool   `json:"doubt,omitempty"`
	Reason  string `json:"reason"`
	File    string `json:"file"`
	Line    int    `json:"line"`
}

func explainJSON(p *policy.Policy, outcomes []policy.Outcome) []explanation {
	all := make([]explanation, len(outcomes))
	for i, o := range outcomes {
		d := o.Decision
		e := explanation{
			Statement: o.Facts.Text, Class: string(o.Facts.Class), Problem: o.Facts.Problem, Executes: o.Facts.Executes,
			Verdict: d.Verdict.String(), Rule: d.ID(), Reason: d.Reason, Policy: p.Name(), Hash: p.Hash(),
		}
		if d.Rule != nil {
			e.Title, e.Hint = d.Rule.Title, d.Rule.Hint
			if len(d.Rule.Approve) > 0 {
				e.Scope = d.Rule.Scope
			}
			for _, n := range d.Rule.Approve {
				e.Approve = append(e.Approve, needJSON{Group: n.Group, Count: n.Count})
			}
		}
		for _, a := range o.Facts.Actions {
			e.Actions = append(e.Actions, actionJSON{
				Class: string(a.Class), Carrier: a.Carrier, Tables: tableStrings(a.Tables),
				Where: a.Where.String(), Proof: a.Proof, Cascade: a.Cascade, Functions: a.Functions,
			})
		}
		for _, s := range o.Facts.Settings {
			e.Settings = append(e.Settings, s.Name)
		}
		for _, r := range p.Explain(&o.Session, o.Facts) {
			e.Rules = append(e.Rules, ruleResultJSON{
				ID: r.Rule.ID, Verdict: r.Rule.Action.String(), Matched: r.Matched, Doubt: r.Doubt,
				Reason: r.Reason, File: r.Rule.File, Line: r.Rule.Line,
			})
		}
		all[i] = e
	}
	return all
}

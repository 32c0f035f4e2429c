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
	Shape     string           `json:"shape,omitempty"`
	ShapeOf   string           `json:"shape_of,omitempty"`
	Rules     []ruleResultJSON `json:"rules"`
	Verdict   string           `json:"verdict"`
	Rule      string           `json:"rule"`
	Title     string           `json:"title,omitempty"`
	Reason    string           `json:"reason"`
	Hint      string           `json:"hint,omitempty"`
	Scope     string           `json:"scope,omitempty"`
	Approve   []needJSON       `json:"approve,omitempty"`
	Standing  *standingJSON    `json:"standing_grant,omitempty"`
	Policy    string           `json:"policy"`
	Hash      string           `json:"policy_hash"`
}

// standingJSON is the standing grant that lets a statement through.
type standingJSON struct {
	Rule    string     `json:"rule"`
	UpTo    string     `json:"up_to"`
	Approve []needJSON `json:"approve"`
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

	AtMostRows  int           `json:"at_most_rows,omitempty"`
	Empty       bool          `json:"empty,omitempty"`
	Tool        string        `json:"tool,omitempty"`
	Triggers    []string      `json:"triggers,omitempty"`
	Cascades    []cascadeJSON `json:"cascades,omitempty"`
	CascadesCut bool          `json:"cascades_cut,omitempty"`
}

type cascadeJSON struct {
	Table  string   `json:"table"`
	From   string   `json:"from"`
	Via    string   `json:"via,omitempty"`
	Effect string   `json:"effect"`
	Depth  int      `json:"depth"`
	Rows   *float64 `json:"estimated_rows,omitempty"`
	PerRow *float64 `json:"estimated_per_row,omitempty"`
	AtMost *float64 `json:"estimated_at_most,omitempty"`
}

func needsJSON(r *policy.Rule) []needJSON {
	var all []needJSON
	for _, n := range r.Approve {
		all = append(all, needJSON{Group: n.Group, Count: n.Count})
	}
	return all
}

func cascadesJSON(cascades []policy.Cascade) []cascadeJSON {
	all := make([]cascadeJSON, len(cascades))
	for i, x := range cascades {
		all[i] = cascadeJSON{Table: x.Table.String(), From: x.From.String(), Via: x.Via, Effect: x.Effect, Depth: x.Depth}
		if x.Rows >= 0 {
			all[i].Rows = &x.Rows
		}
		if x.PerRow >= 0 {
			all[i].PerRow, all[i].AtMost = &x.PerRow, &x.AtMost
		}
	}
	return all
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
			e.Approve = needsJSON(d.Rule)
		}
		if !o.Facts.ChangesNothing() {
			shape := o.Facts.Shape()
			e.Shape, e.ShapeOf = shape.ID, shape.Text
		}
		if r := p.Standing(&o.Session, o.Facts); r != nil && d.Verdict.Runs() {
			e.Standing = &standingJSON{Rule: r.ID, UpTo: r.Limit(), Approve: needsJSON(r)}
		}
		for _, a := range o.Facts.Actions {
			e.Actions = append(e.Actions, actionJSON{
				Class: string(a.Class), Carrier: a.Carrier, Tables: tableStrings(a.Tables),
				Where: a.Where.String(), Proof: a.Proof, Cascade: a.Cascade, Functions: a.Functions,
				AtMostRows: a.AtMostRows, Empty: a.Empty, Tool: a.Tool, Triggers: a.Triggers,
				Cascades: cascadesJSON(a.Cascades), CascadesCut: a.CascadesCut,
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

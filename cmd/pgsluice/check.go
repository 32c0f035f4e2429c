package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
	"github.com/pgsluice/pgsluice/proxy"
)

func newCheck() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "check [--config FILE]",
		Short: "Check configuration and policy, as serve would read them",
		Long: `Check configuration and policy, as serve would read them. Each finding has its
place. Exit code 0: serve would start with them; 1: it would not.

` + precedence,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			conf, err := loadConfig(c.Flags())
			var now *inForce
			if err == nil {
				now, err = readPolicy(conf)
			}
			var findings policy.Findings
			if err != nil && !errors.As(err, &findings) {
				return err
			}
			if perr := printChecked(c.OutOrStdout(), format, conf, now, findings); perr != nil {
				return perr
			}
			if len(findings) > 0 {
				return errFindings
			}
			return nil
		},
	}
	addConfigFlags(c.Flags())
	addFormatFlag(c, &format)
	return c
}

// readPolicy reads the policy of a configuration and its people. The error is
// policy.Findings.
func readPolicy(c *config) (*inForce, error) {
	groups := map[string][]string{}
	var persons []approval.Person
	passwords := map[string]proxy.Password{}
	for _, p := range c.People {
		for _, g := range p.Groups {
			if !slices.Contains(groups[g], p.Name) {
				groups[g] = append(groups[g], p.Name)
			}
		}
		persons = append(persons, approval.Person{Name: p.Name, Groups: p.Groups, Logins: p.Logins})
		if p.Password == "" {
			continue
		}
		password, err := proxy.ParsePassword(p.Password)
		if err != nil {
			at := p.at
			at.Message = fmt.Sprintf("the password of %q is %v", p.Name, err)
			return nil, policy.Findings{at}
		}
		passwords[p.Name] = password
	}
	loaded, err := policy.Load(c.Policy, groups)
	if err != nil {
		return nil, err
	}
	people := approval.NewPeople(persons, loaded.Groups())
	if findings := unreleasable(loaded, people, passwords); len(findings) > 0 {
		return nil, findings
	}
	return &inForce{policy: loaded, people: &proxy.ConsolePeople{People: people, Passwords: passwords}}, nil
}

// unreleasable are the rules that could hold statements which nobody could ever
// release: too few of those whom they need are people of the configuration, or
// have a password to log in with. Rules of one file with one reason are one
// finding, at the first of them.
func unreleasable(p *policy.Policy, people *approval.People, passwords map[string]proxy.Password) policy.Findings {
	type cause struct{ file, why string }
	rules := map[cause][]*policy.Rule{}
	var causes []cause
	for _, rule := range append(p.Rules(), defaultRules(p)...) {
		if len(rule.Approve) == 0 {
			continue
		}
		var quorum []approval.Need
		for _, n := range rule.Approve {
			quorum = append(quorum, approval.Need{Group: n.Group, Count: n.Count})
		}
		var able []string
		eligible := people.Eligible(quorum, nil)
		for _, name := range eligible {
			if _, ok := passwords[name]; ok {
				able = append(able, name)
			}
		}
		c := cause{file: rule.File}
		switch {
		case len(eligible) == 0:
			c.why = "are in the configuration"
		case len(people.Missing(quorum, able)) > 0:
			c.why = "have a password to log in with (pgsluice password makes one)"
		default:
			continue
		}
		if rules[c] == nil {
			causes = append(causes, c)
		}
		rules[c] = append(rules[c], rule)
	}
	var findings policy.Findings
	for _, c := range causes {
		first := rules[c][0]
		which, held := "rule "+first.ID, "it holds"
		if more := len(rules[c]) - 1; more > 0 {
			which, held = fmt.Sprintf("rule %s and %d more", first.ID, more), "they hold"
		}
		findings = append(findings, policy.Finding{File: first.File, Line: first.Line, Column: 1, Message: fmt.Sprintf(
			"%s: nothing that %s could ever be released: too few of the people needed %s", which, held, c.why)})
	}
	return findings
}

// defaultRules are the policy's answers to what it cannot judge, which may hold
// too and are not among its rules: they decide about a statement that nobody has
// seen and about text that is no SQL.
func defaultRules(p *policy.Policy) []*policy.Rule {
	cannot := append(policy.NewReader().Read("DELETE (", policy.Lexing{}), policy.UnknownStatement(""))
	var rules []*policy.Rule
	for _, f := range cannot {
		if d := p.Decide(&policy.Session{}, f); d.Rule != nil && !slices.Contains(p.Rules(), d.Rule) {
			rules = append(rules, d.Rule)
		}
	}
	return rules
}

package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// write gives the findings in one of the formats.
func (l *linter) write(w io.Writer, format string) error {
	switch format {
	case "json":
		return writeJSON(w, map[string]any{
			"findings": append([]lintFinding{}, l.findings...), "statements": l.statements, "stopped": l.stopped,
			"policy": l.policy.Name(), "policy_hash": l.policy.Hash(),
		})
	case "sarif":
		return writeJSON(w, l.sarif())
	case "github":
		return l.github(w)
	}
	return l.text(w)
}

func (f *lintFinding) message() string {
	var b strings.Builder
	if f.Title != "" {
		b.WriteString(f.Title + ": ")
	}
	b.WriteString(f.Reason)
	if f.Hint != "" {
		b.WriteString(". " + f.Hint)
	}
	return b.String()
}

func (l *linter) text(w io.Writer) error {
	hinted := make(map[string]bool) // by rule: the hint once is enough for a reader
	for _, f := range l.findings {
		if hinted[f.Rule] {
			f.Hint = ""
		}
		hinted[f.Rule] = true
		rule := ""
		if f.Rule != "" {
			rule = " " + f.Rule
		}
		if _, err := fmt.Fprintf(w, "%s:%d:%d: %s%s: %s\n", f.File, f.Line, f.Column, f.Verdict, rule, f.message()); err != nil {
			return fmt.Errorf("write the findings: %w", err)
		}
	}
	if _, err := fmt.Fprintf(w, "%d statements judged by %s, %d would be stopped\n", l.statements, l.policy.Name(), l.stopped); err != nil {
		return fmt.Errorf("write the findings: %w", err)
	}
	return nil
}

// github writes workflow commands, which GitHub shows beside the lines of a pull
// request: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
func (l *linter) github(w io.Writer) error {
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	for _, f := range l.findings {
		command := map[string]string{"notice": "notice", "warn": "warning"}[f.Verdict]
		if command == "" {
			command = "error"
		}
		if _, err := fmt.Fprintf(w, "::%s file=%s,line=%d,col=%d,title=%s::%s\n", command, property.Replace(f.File), f.Line, f.Column,
			property.Replace(strings.TrimSpace(f.Verdict+" "+f.Rule)), data.Replace(f.message())); err != nil {
			return fmt.Errorf("write the findings: %w", err)
		}
	}
	return nil
}

// sarif is the findings in the Static Analysis Results Interchange Format, 2.1.0.
func (l *linter) sarif() map[string]any {
	results := []map[string]any{}
	rules := []map[string]any{}
	known := make(map[string]bool)
	for _, f := range l.findings {
		id := f.Rule
		if id == "" {
			id = "not-judged"
		}
		if !known[id] {
			known[id] = true
			rule := map[string]any{"id": id}
			if f.Title != "" {
				rule["shortDescription"] = map[string]any{"text": f.Title}
			}
			if f.Hint != "" {
				rule["help"] = map[string]any{"text": f.Hint}
			}
			rules = append(rules, rule)
		}
		level := map[string]string{"notice": "note", "warn": "warning"}[f.Verdict]
		if level == "" {
			level = "error"
		}
		results = append(results, map[string]any{
			"ruleId": id, "level": level, "message": map[string]any{"text": f.message()},
			"locations": []map[string]any{{"physicalLocation": map[string]any{
				"artifactLocation": map[string]any{"uri": filepath.ToSlash(f.File)},
				"region":           map[string]any{"startLine": f.Line, "startColumn": f.Column},
			}}},
		})
	}
	return map[string]any{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"version": "2.1.0",
		"runs": []map[string]any{{
			"tool":       map[string]any{"driver": map[string]any{"name": "pgsluice", "rules": rules}},
			"columnKind": "unicodeCodePoints",
			"results":    results,
		}},
	}
}

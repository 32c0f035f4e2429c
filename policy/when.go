package policy

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/goccy/go-yaml/ast"
	"github.com/google/cel-go/cel"
)

// maxWhenCost bounds one evaluation, in CEL's own units of which a comparison is
// about one. An expression that costs more counts as one that cannot be evaluated.
const maxWhenCost = 10_000

// sessionNames are what an expression may ask of the session.
var sessionNames = []cel.EnvOption{
	cel.Variable("user", cel.StringType),
	cel.Variable("role", cel.StringType), // empty where it is not known
	cel.Variable("database", cel.StringType),
	cel.Variable("application", cel.StringType),
	cel.Variable("address", cel.StringType), // empty where there is none
	cel.Variable("in_transaction", cel.BoolType),
	cel.Variable("restore", cel.BoolType),
	cel.Variable("now", cel.TimestampType),
	cel.Variable("tables", cel.ListType(cel.StringType)), // "schema.name", acted upon or changed
}

// Of a rule over statements an expression may ask what the facts say of one action
// as well, and of a rule with rows or share how many rows count.
var (
	whenAction = sync.OnceValues(func() (*cel.Env, error) {
		return cel.NewEnv(append([]cel.EnvOption{
			cel.Variable("class", cel.StringType),
			cel.Variable("groups", cel.ListType(cel.StringType)),
			cel.Variable("carrier", cel.StringType),
			cel.Variable("where", cel.StringType), // missing, always_true, ..., present; empty where there can be none
			cel.Variable("functions", cel.ListType(cel.StringType)),
			cel.Variable("cascades", cel.ListType(cel.StringType)), // tables that foreign keys, triggers and rules take along
			cel.Variable("triggers", cel.ListType(cel.StringType)),
			cel.Variable("settings", cel.ListType(cel.StringType)),
			cel.Variable("cascade", cel.BoolType),
			cel.Variable("empty", cel.BoolType),
			cel.Variable("at_most_rows", cel.IntType), // 0 where nothing is known
		}, sessionNames...)...)
	})
	whenNumbers = sync.OnceValues(func() (*cel.Env, error) {
		return cel.NewEnv(append([]cel.EnvOption{
			cel.Variable("rows", cel.DoubleType),
			cel.Variable("estimated", cel.BoolType),
		}, sessionNames...)...)
	})
)

// whenCondition is `when: size(tables) > 0 && user != 'etl'`, a CEL expression. It is
// looked at last, when everything else is met. One that cannot be evaluated is a
// doubt, which counts against the statement.
type whenCondition struct {
	text    string
	program cel.Program
}

// when reads the expression of a rule whose conditions have been read.
func (d *document) when(r *Rule, n ast.Node) {
	text, ok := d.text(n, "when")
	if !ok {
		return
	}
	env, err := whenAction()
	switch {
	case r.budget != nil && r.budget.counts != 0:
		d.at(n, "when has no meaning beside a budget of rows")
		return
	case r.numbers != nil:
		env, err = whenNumbers()
	}
	if err != nil {
		d.at(n, "when cannot be read: %v", err)
		return
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		for _, e := range issues.Errors() {
			d.whenAt(n, e.Location.Line(), e.Location.Column(), "when: "+e.Message)
		}
		return
	}
	if checked.OutputType() != cel.BoolType {
		d.at(n, "when must be true or false, and this is %s", checked.OutputType())
		return
	}
	program, err := env.Program(checked, cel.CostLimit(maxWhenCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		d.at(n, "when: %v", err)
		return
	}
	c := &whenCondition{text: text, program: program}
	if r.numbers != nil {
		r.numbers.when = c
	} else {
		r.matches = append(r.matches, c)
	}
}

// whenAt notes a finding at a place within an expression: lines from 1, columns from
// 0. Where YAML has folded the text only its beginning is known.
func (d *document) whenAt(n ast.Node, line, column int, message string) {
	message, _, _ = strings.Cut(message, "\n")
	pos := start(n).Position
	f := Finding{File: d.file, Line: pos.Line, Column: pos.Column, Message: message}
	if s, ok := n.(*ast.StringNode); ok && line == 1 {
		f.Column += column
		if o := s.Token.Origin; strings.HasPrefix(strings.TrimSpace(o), `"`) || strings.HasPrefix(strings.TrimSpace(o), "'") {
			f.Column++
		}
	}
	d.findings = append(d.findings, f)
}

// eval evaluates the expression.
func (c *whenCondition) eval(names map[string]any) (t truth) {
	defer func() {
		if recover() != nil { // a defect of the evaluator must not end the proxy, nor let anything pass
			t = cannotTell
		}
	}()
	value, _, err := c.program.Eval(names)
	if err != nil {
		return cannotTell
	}
	b, ok := value.Value().(bool)
	if !ok {
		return cannotTell
	}
	return truthOf(b)
}

// names gives what an expression may ask of the session.
func (s *Session) names() map[string]any {
	address := ""
	if s.Address.IsValid() {
		address = s.Address.Unmap().WithZone("").String()
	}
	names := map[string]any{
		"user": s.User, "role": s.Role, "database": s.Database, "application": s.Application, "address": address,
		"in_transaction": s.InTransaction, "restore": s.Restore,
	}
	if !s.Now.IsZero() {
		names["now"] = s.Now
	}
	return names
}

func (c *whenCondition) met(s *Session, f *Facts, a *Action) truth {
	if unread(a) {
		return cannotTell
	}
	names := s.names()
	tables, functions, triggers := []string{}, a.Functions, a.Triggers
	for _, t := range a.Tables {
		tables = append(tables, t.String())
	}
	cascades, settings := []string{}, []string{}
	for i := range a.Cascades {
		if !a.Cascades[i].direct() {
			cascades = append(cascades, a.Cascades[i].Table.String())
		}
	}
	for i := range f.Settings {
		settings = append(settings, f.Settings[i].Name)
	}
	names["class"], names["groups"], names["carrier"], names["where"] = string(a.Class), membership[a.Class], a.Carrier, a.Where.String()
	names["tables"], names["functions"], names["cascades"] = tables, functions, cascades
	names["triggers"], names["settings"], names["cascade"] = triggers, settings, a.Cascade
	names["empty"], names["at_most_rows"] = a.Empty, a.AtMostRows
	return c.eval(names)
}

// metBy is met for an impact of which so much counts.
func (c *whenCondition) metBy(s *Session, i *Impact, w weighed) truth {
	names := s.names()
	tables := []string{}
	for _, t := range w.tables {
		tables = append(tables, t.table.String())
	}
	names["tables"], names["rows"], names["estimated"] = tables, w.total, i.Estimated
	return c.eval(names)
}

func (c *whenCondition) found(s *Session, f *Facts, a *Action) string {
	switch c.met(s, f, a) {
	case yes:
		return "the expression is true"
	case no:
		return "the expression is false"
	}
	return "the expression cannot be evaluated"
}

func (c *whenCondition) String() string { return fmt.Sprintf("when: %s", strconv.Quote(c.text)) }

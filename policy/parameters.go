package policy

import (
	"math"
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// A Parameter is the value that a Bind message gives to one parameter of a
// prepared statement.
type Parameter struct {
	Null bool
	// Text is true for a value in the text format. Of the binary format only
	// booleans, integers and text are read, and only if Type says that it is one.
	Text bool
	// Type is the OID of the type that Parse declared, 0 where the server chose it.
	Type  uint32
	Value []byte
}

// TakesParameters says whether the values of parameters can change what is known
// of the statement. Most statements do not ask: no $n of theirs stands where
// facts are made of it, or it cannot widen what another condition narrows.
func (f *Facts) TakesParameters() bool {
	return slices.ContainsFunc(f.Actions, func(a Action) bool { return a.takesParameters() })
}

func (a *Action) takesParameters() bool {
	return a.call != nil || slices.ContainsFunc(a.judged, func(j judged) bool { return j.takesParameters() })
}

// takesParameters says whether values could change what a WHERE is. They cannot
// where one of its parts narrows it whatever they are: one without parameters, or
// a comparison of a column with one.
func (j *judged) takesParameters() bool {
	if len(j.statement.parameters) == 0 || j.statement.body || j.where == nil {
		return false
	}
	takes := false
	others := scope{statement: j.statement, columns: j.columns}
	for _, n := range j.from {
		others.declare(n)
	}
	prover := j.prover(new(int))
	for _, part := range conjuncts(j.where, nil) {
		switch {
		case comparesColumn(part):
			if others.mentionsTarget(part) {
				return false
			}
			takes = true
		case holdsParameter(part):
			takes = true
		default:
			*prover.steps = maxSteps
			if prover.prove(part) == notProven && others.mentionsTarget(part) {
				return false
			}
		}
	}
	return takes
}

// comparesColumn recognises a column compared with a parameter: whatever the
// value, no such comparison is true for every row by its text.
func comparesColumn(n *pg.Node) bool {
	e := n.GetAExpr()
	if e.GetKind() != pg.A_Expr_Kind_AEXPR_OP || orderings[operatorName(e.Name)] == (ordering{}) {
		return false
	}
	return e.Lexpr.GetColumnRef() != nil && isParameter(e.Rexpr) || isParameter(e.Lexpr) && e.Rexpr.GetColumnRef() != nil
}

// isParameter recognises $n, and a cast of it.
func isParameter(n *pg.Node) bool {
	if c := n.GetTypeCast(); c != nil {
		n = c.Arg
	}
	return n.GetParamRef() != nil
}

func holdsParameter(n *pg.Node) bool {
	return n.GetParamRef() != nil || n.GetNode() != nil && slices.ContainsFunc(childNodes(n), holdsParameter)
}

// WithParameters gives the facts of a prepared statement with the values of its
// parameters put in, $1 first. What the catalogue said of the statement stays.
func (r *Reader) WithParameters(f *Facts, values []Parameter) *Facts {
	if !f.TakesParameters() {
		return f
	}
	return f.withParameters(values)
}

func (f *Facts) withParameters(values []Parameter) *Facts {
	g := *f
	g.Actions = slices.Clone(f.Actions)
	for i := range g.Actions {
		a := &g.Actions[i]
		if a.call != nil {
			g.called(a, values)
		}
		if a.takesParameters() {
			*a = a.judgedAgain(func(j *judged) { j.values = values })
		}
	}
	return &g
}

// A call is a call of set_config, pg_cancel_backend or pg_terminate_backend that
// is given parameters.
type call struct {
	function  string
	arguments []*pg.Node
	setting   int // the place of set_config among Facts.Settings
}

// called puts values into the call that an action is.
func (f *Facts) called(a *Action, values []Parameter) {
	c := a.call
	a.call = nil
	argument := func(i int) (string, bool) { return valueText(c.arguments[i], values) }
	switch c.function {
	case "set_config":
		set := setConfigOf(argument)
		f.Settings = slices.Clone(f.Settings)
		f.Settings[c.setting] = set
		if set.Name != "" && a.Class == classFunctionCall {
			a.Class, a.Functions = classSet, nil
			a.Carrier = within(a.Carrier, "set_config")
		}
	default:
		if pid, ok := processID(argument(0)); ok {
			a.Class = signalClasses[c.function]
			f.Signals = append(slices.Clone(f.Signals), pid)
		}
	}
}

// setConfigOf reads the arguments of set_config.
func setConfigOf(argument func(int) (string, bool)) (set Setting) {
	set.Name, _ = argument(0)
	set.Name = strings.ToLower(set.Name)
	set.Value, set.Known = argument(1)
	local, _ := argument(2)
	set.Local, _ = booleanText(local)
	return set
}

// processID reads the number of a session.
func processID(text string, known bool) (int32, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return int32(n), known && err == nil && n >= math.MinInt32 && n <= math.MaxInt32
}

// valueText is constantText with the values of parameters. A null has no text.
func valueText(n *pg.Node, values []Parameter) (string, bool) {
	if c := n.GetTypeCast(); c != nil {
		return valueText(c.Arg, values)
	}
	p := n.GetParamRef()
	if p == nil {
		return constantText(n)
	}
	if p.Number < 1 || int(p.Number) > len(values) || values[p.Number-1].Null {
		return "", false
	}
	return values[p.Number-1].read()
}

// argumentsOf gives the arguments of EXECUTE as the values of parameters, whose
// types the statement that it executes settles.
func argumentsOf(list []*pg.Node) []Parameter {
	all := make([]Parameter, len(list))
	for i, n := range list {
		text, ok := constantText(n)
		all[i] = Parameter{Null: isNullConstant(n), Text: ok, Type: someType, Value: []byte(text)}
	}
	return all
}

func isNullConstant(n *pg.Node) bool {
	if c := n.GetTypeCast(); c != nil {
		return isNullConstant(c.Arg)
	}
	return n.GetAConst().GetIsnull()
}

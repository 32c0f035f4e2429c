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

// Declared gives the facts of statements whose Parse has declared these types of
// their parameters, by their OIDs, $1 first; 0 leaves one to the server.
func Declared(facts []*Facts, types []uint32) []*Facts {
	if !slices.ContainsFunc(types, func(oid uint32) bool { return oid != 0 }) {
		return facts
	}
	all := make([]*Facts, len(facts))
	for i, f := range facts {
		all[i] = f.declared(types)
	}
	return all
}

// madeByPeople says of an OID that it is not built in (FirstNormalObjectId). The checks
// of a domain run when a value is bound, whatever the statement does with it.
func madeByPeople(oid uint32) bool { return oid >= 16384 }

func (f *Facts) declared(types []uint32) *Facts {
	g := *f
	if slices.ContainsFunc(types, madeByPeople) {
		g.hiding = slices.Clone(f.hiding)
		for _, oid := range types {
			if madeByPeople(oid) {
				g.hide(Name{Name: strconv.FormatUint(uint64(oid), 10), Kind: NameDeclared})
			}
		}
		g.hidden()
	}
	g.Actions = slices.Clone(f.Actions)
	for i := range g.Actions {
		a := &g.Actions[i]
		a.judged = slices.Clone(a.judged)
		for k := range a.judged {
			a.judged[k].types = types
		}
	}
	return &g
}

// TakesParameters says whether the values of parameters can change what is known
// of the statement. Most statements do not ask: no $n of theirs stands where
// facts are made of it, or it cannot widen what another condition narrows.
func (f *Facts) TakesParameters() bool {
	return slices.ContainsFunc(f.Actions, func(a Action) bool { return a.takesParameters() })
}

// TakesParametersUnder is TakesParameters where this catalogue was asked: what a
// statement gives to functions, triggers and rules is of no account where there are
// none. No catalogue stands for tables that do no more than take rows.
func (f *Facts) TakesParametersUnder(c *Catalog) bool {
	return slices.ContainsFunc(f.Actions, func(a Action) bool {
		a.given.takes = a.given.takes && c.setsOffCode()
		return a.takesParameters()
	})
}

// setsOffCode says whether there is anything that could be given values.
func (c *Catalog) setsOffCode() bool {
	return c != nil && (len(c.Functions) > 0 ||
		slices.ContainsFunc(c.Relations, func(r Relation) bool { return len(r.Triggers)+len(r.Rules) > 0 }))
}

func (a *Action) takesParameters() bool {
	return a.call != nil || a.given.takes || slices.ContainsFunc(a.judged, func(j judged) bool { return j.takesParameters() })
}

// takesParameters says whether values could change what a WHERE is. They cannot
// where one of its parts narrows it whatever they are. A range may be that of all
// values, which only the catalogue can tell.
func (j *judged) takesParameters() bool {
	if len(j.statement.parameters) == 0 || j.statement.body || j.where == nil {
		return false
	}
	others := j.others(new(int))
	takes := false
	for _, part := range conjuncts(j.where, nil) {
		if equatesColumn(part) && others.mentionsTarget(part) {
			return false
		}
		takes = takes || holdsParameter(part)
	}
	return takes
}

// equatesColumn recognises a column that is to be equal to a constant or a
// parameter: whatever the value, that is not true for every row by its text.
func equatesColumn(n *pg.Node) bool {
	e := n.GetAExpr()
	if e.GetKind() != pg.A_Expr_Kind_AEXPR_OP || operatorName(e.Name) != "=" {
		return false
	}
	value := func(n *pg.Node) bool { return n.GetAConst() != nil || isParameter(n) }
	return e.Lexpr.GetColumnRef() != nil && value(e.Rexpr) || value(e.Lexpr) && e.Rexpr.GetColumnRef() != nil
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

func holdsColumn(n *pg.Node) bool {
	return n.GetColumnRef() != nil || n.GetNode() != nil && slices.ContainsFunc(childNodes(n), holdsColumn)
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
		if a.given.takes {
			a.given.values = values
		}
		if slices.ContainsFunc(a.judged, func(j judged) bool { return j.takesParameters() }) {
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

// argumentsOf gives the arguments of EXECUTE as the values of parameters. They are
// assigned to the types of those: a whole number or a string as its text would be
// read, while 0.7 is rounded for an integer.
func argumentsOf(list []*pg.Node) []Parameter {
	all := make([]Parameter, len(list))
	for i, n := range list {
		text, ok := constantText(n)
		all[i] = Parameter{Null: isNullConstant(n), Text: ok, Value: []byte(text)}
		if c := n.GetAConst(); c.GetIval() == nil && c.GetSval() == nil {
			all[i].Type = someType
		}
	}
	return all
}

// typedBy gives the arguments the types that PREPARE declared for the parameters;
// those of the others are settled by what stands beside them.
func typedBy(arguments []Parameter, types []uint32) []Parameter {
	all := slices.Clone(arguments)
	for i := range all {
		if i < len(types) && types[i] != 0 && all[i].Type == 0 {
			all[i].Type = types[i]
		}
	}
	return all
}

// declaredTypes are the types of PREPARE name (type, ...).
func declaredTypes(list []*pg.Node) []uint32 {
	all := make([]uint32, len(list))
	for i, n := range list {
		t := n.GetTypeName()
		all[i] = someType
		parts := words(t.GetNames())
		if len(parts) == 0 || len(parts) == 2 && parts[0] != "pg_catalog" || len(t.Typmods) > 0 || len(t.ArrayBounds) > 0 {
			continue
		}
		for oid, name := range typeNames {
			if name == parts[len(parts)-1] {
				all[i] = oid
			}
		}
		if parts[len(parts)-1] == "unknown" {
			all[i] = 0
		}
	}
	return all
}

func isNullConstant(n *pg.Node) bool {
	if c := n.GetTypeCast(); c != nil {
		return isNullConstant(c.Arg)
	}
	return n.GetAConst().GetIsnull()
}

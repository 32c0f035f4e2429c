package policy

import (
	"math"
	"slices"
	"strconv"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// A proof is what can be shown of a condition from its text.
type proof uint8

const (
	notProven            proof = iota
	provenTrue                 // for every row
	provenTrueUnlessNull       // for every row whose columns and parameters are not null
	provenNeverTrue            // for no row
)

// Bounds on the work of one proof: assignments to try, and steps in all.
const (
	maxAssignments = 200_000
	maxSteps       = 2_000_000
	maxStepsInAll  = 10_000_000 // of all proofs for one WHERE
)

// A logical is a truth value of SQL.
type logical uint8

const (
	isFalse logical = iota
	isUnknown
	isTrue
)

func logicalOf(b bool) logical {
	if b {
		return isTrue
	}
	return isFalse
}

// A prover proves conditions. A condition becomes a formula over variables with
// few values each: how a column compares with a constant, whether a LIKE
// matches, whether a column is null. Everything that the text does not settle is
// a variable of its own. A condition that is true for all assignments is true
// for all rows; the opposite need not be so, because variables that depend on
// each other are tried as if they did not.
//
// The proofs take operators for those of pg_catalog, and a column for a simple
// value: without a catalogue neither can be known.
type prover struct {
	target  string   // the name that qualifies columns of the target
	columns []Column // of the target, nil where they are not known
	steps   *int     // what is left
	testing bool     // within what a null test asks for

	table    *pg.RangeVar // the target as written
	relation *Relation    // what it is, nil where that is not known
	catalog  *Catalog     // nil where none was asked

	values   []Parameter // of $1, $2, ...
	mentions *mentions   // of the statement that values are for
	given    []operand   // elements of an array among values; see elementsOf

	variables []variable
	byName    map[string]int
	numbers   []*formula // all of formulaNumber
	facts     []*formula // what is never false: CHECK constraints and the like
	made      int        // see serial
}

// A variable takes the values 0 to size-1. One that stands for a column or a
// parameter being null is an input: 1 says null.
type variable struct {
	size  int
	input bool
	// tested is an input whose being null IS NOT NULL asks for, and the catalogue
	// says that it may be.
	tested bool
	// numbers are the constants that a column is compared with, in order; the
	// places 0, 1, 2, ... then mean below the first, equal to it, between it and
	// the second, and so on. places lists those that the span leaves open.
	numbers []point
	span    span
	places  []int
}

// settle finds the places that a variable of numbers may take.
func (v *variable) settle() {
	slices.SortFunc(v.numbers, point.compare)
	v.numbers = slices.CompactFunc(v.numbers, func(a, b point) bool { return a.compare(b) == 0 })
	v.places = v.places[:0]
	var before point
	for i, n := range v.numbers {
		if v.span.holdsBetween(before, n) {
			v.places = append(v.places, 2*i)
		}
		if v.span.holds(n) {
			v.places = append(v.places, 2*i+1)
		}
		before = n
	}
	if last := 2 * len(v.numbers); v.span.holdsBetween(before, point{}) {
		v.places = append(v.places, last)
	}
	v.size = len(v.places)
}

// prove judges one condition, by itself and then by what the table's constraints
// say of its columns.
func (p *prover) prove(n *pg.Node) proof {
	if p.leavesOpen(n) {
		return notProven
	}
	proof := p.proveBy(n, nil)
	if proof == notProven && p.relation != nil {
		if known := p.catalog.knownOf(p.relation, n); len(known) > 0 {
			return p.proveBy(n, known)
		}
	}
	return proof
}

// leavesOpen recognises what most statements have, a column that is to be equal to a
// constant, where it is plain that it is true for some values and not for others:
// nothing is known of the column, or it holds integers, the constant is one of them,
// and the table has no constraints. It spares the proof that would find nothing.
func (p *prover) leavesOpen(n *pg.Node) bool {
	e := n.GetAExpr()
	if e.GetKind() != pg.A_Expr_Kind_AEXPR_OP || len(e.Name) != 1 || e.Name[0].GetString_().GetSval() != "=" {
		return false
	}
	fields, c := e.Lexpr.GetColumnRef().GetFields(), e.Rexpr.GetAConst()
	if len(fields) == 0 || c == nil {
		return false
	}
	name := fields[len(fields)-1].GetString_().GetSval()
	if name == "" || neverNull[name] {
		return false
	}
	integer, isInteger := c.Val.(*pg.A_Const_Ival)
	if p.catalog == nil {
		_, isText := c.Val.(*pg.A_Const_Sval)
		return isInteger || isText
	}
	if !isInteger || p.relation == nil || len(p.relation.known) > 0 || len(fields) > 1 || name == p.target {
		return false
	}
	i := slices.IndexFunc(p.columns, func(c Column) bool { return c.Name == name })
	return i >= 0 && len(p.columns[i].Labels) == 0 && withinType(p.columns[i].Type, integer.Ival.GetIval())
}

// withinType says whether an integer type has the value, and values on both sides of it.
func withinType(kind string, n int32) bool {
	switch kind {
	case "int2":
		return n > math.MinInt16 && n < math.MaxInt16
	case "int4":
		return n > math.MinInt32 && n < math.MaxInt32
	}
	return kind == "int8"
}

func (p *prover) proveBy(n *pg.Node, known []*pg.Node) proof {
	p.variables, p.byName, p.numbers, p.given, p.facts = p.variables[:0], make(map[string]int), nil, p.given[:0], nil
	f := p.condition(n)
	for _, k := range known {
		p.facts = append(p.facts, p.condition(k))
	}
	for i := range p.variables {
		if v := &p.variables[i]; v.numbers != nil {
			if v.settle(); v.size == 0 {
				return notProven // no row has such a value
			}
		}
	}
	for _, g := range p.numbers {
		g.place, _ = slices.BinarySearchFunc(p.variables[g.variable].numbers, g.number, point.compare)
	}
	always, never := p.enumerate(f, func(v *variable) bool { return !v.input })
	switch {
	case always:
		if always, _ = p.enumerate(f, anyVariable); always {
			return provenTrue
		}
		// Who asks whether a column is null that may be knows what for.
		if always, _ = p.enumerate(f, func(v *variable) bool { return !v.input || v.tested }); !always {
			return notProven
		}
		return provenTrueUnlessNull
	case never:
		if _, never = p.enumerate(f, anyVariable); never {
			return provenNeverTrue
		}
	}
	return notProven
}

func anyVariable(*variable) bool { return true }

// enumerate tries every assignment to the variables that are free; those that are
// not say that their input is not null. It says whether the formula was always or
// never true; both are false if it gave up, or nothing was possible.
func (p *prover) enumerate(f *formula, free func(*variable) bool) (always, never bool) {
	a := &assignment{values: make([]int, len(p.variables)), variables: make([]variable, len(p.variables))}
	total := 1
	for i, v := range p.variables {
		if !free(&v) {
			v.size = 1
		}
		a.variables[i] = v
		if total *= v.size; total > maxAssignments {
			return false, false
		}
	}
	defer func() { *p.steps -= a.steps }()
	always, never = true, true
	possible := false
	for {
		if !slices.ContainsFunc(p.facts, func(g *formula) bool { return g.value(a) == isFalse }) {
			possible = true
			if f.value(a) == isTrue {
				never = false
			} else {
				always = false
			}
		}
		if a.steps > min(maxSteps, *p.steps) {
			return false, false
		}
		if !always && !never || !a.next() {
			return always && possible, never && possible
		}
	}
}

// An assignment gives every variable a value.
type assignment struct {
	values    []int
	variables []variable
	steps     int
}

func (a *assignment) next() bool {
	for i := range a.values {
		if a.values[i]++; a.values[i] < a.variables[i].size {
			return true
		}
		a.values[i] = 0
	}
	return false
}

// variable gives the variable of that name, made on first use.
func (p *prover) variable(name string, v variable) int {
	if i, ok := p.byName[name]; ok {
		return i
	}
	p.byName[name] = len(p.variables)
	p.variables = append(p.variables, v)
	return len(p.variables) - 1
}

// unsettled is a formula of which nothing is known: a variable that nothing
// else refers to.
func (p *prover) unsettled(size int) *formula {
	i := p.variable("?"+strconv.Itoa(len(p.variables)), variable{size: size})
	return settledBy(i, size)
}

// A formula is a condition in three-valued logic.
type formula struct {
	kind formulaKind
	args []*formula

	constant logical // formulaConstant
	variable int     // formulaVariable, formulaNumber
	values   []logical
	number   point    // formulaNumber: the constant
	place    int      // formulaNumber: its place among the variable's numbers
	order    ordering // formulaNumber, formulaOrder: what the comparison makes of <, = and >
}

type formulaKind uint8

const (
	formulaConstant formulaKind = iota
	formulaVariable             // values[variable]
	formulaNumber               // a column compared with a constant
	formulaOrder                // two conditions compared: false is less than true
	formulaNot
	formulaAnd
	formulaOr
	formulaIsTrue    // two-valued: the argument is true
	formulaIsUnknown // two-valued: the argument is unknown
	formulaIf        // args[1] if args[0] is true, else args[2]
	formulaNullable  // unknown if args[0] is true, else args[1]
)

// An ordering says what a comparison answers for less, equal and greater.
type ordering [3]logical

var orderings = map[string]ordering{
	"=":  {isFalse, isTrue, isFalse},
	"<>": {isTrue, isFalse, isTrue},
	"<":  {isTrue, isFalse, isFalse},
	"<=": {isTrue, isTrue, isFalse},
	">":  {isFalse, isFalse, isTrue},
	">=": {isFalse, isTrue, isTrue},
}

// turned is the ordering with the operands exchanged.
func (o ordering) turned() ordering { return ordering{o[2], o[1], o[0]} }

func constantly(l logical) *formula { return &formula{kind: formulaConstant, constant: l} }

func settledBy(variable, size int) *formula {
	values := []logical{isFalse, isTrue, isUnknown}[:size]
	return &formula{kind: formulaVariable, variable: variable, values: values}
}

func not(f *formula) *formula { return &formula{kind: formulaNot, args: []*formula{f}} }

func all(f ...*formula) *formula { return &formula{kind: formulaAnd, args: f} }

func anyOf(f ...*formula) *formula { return &formula{kind: formulaOr, args: f} }

func truly(f *formula) *formula { return &formula{kind: formulaIsTrue, args: []*formula{f}} }

func unknown(f *formula) *formula { return &formula{kind: formulaIsUnknown, args: []*formula{f}} }

func either(condition, yes, no *formula) *formula {
	return &formula{kind: formulaIf, args: []*formula{condition, yes, no}}
}

// unlessNull is f, but unknown where null is true. A nil null is never true.
func unlessNull(null, f *formula) *formula {
	if null == nil {
		return f
	}
	return &formula{kind: formulaNullable, args: []*formula{null, f}}
}

func (f *formula) value(a *assignment) logical {
	a.steps++
	switch f.kind {
	case formulaConstant:
		return f.constant
	case formulaVariable:
		return f.values[a.values[f.variable]]
	case formulaNumber:
		switch at := a.variables[f.variable].places[a.values[f.variable]]; {
		case at < 2*f.place+1:
			return f.order[0]
		case at == 2*f.place+1:
			return f.order[1]
		default:
			return f.order[2]
		}
	case formulaOrder:
		l, r := f.args[0].value(a), f.args[1].value(a)
		switch {
		case l == isUnknown || r == isUnknown:
			return isUnknown
		case l < r:
			return f.order[0]
		case l > r:
			return f.order[2]
		}
		return f.order[1]
	case formulaNot:
		return isTrue - f.args[0].value(a)
	case formulaAnd:
		result := isTrue
		for _, g := range f.args {
			if result = min(result, g.value(a)); result == isFalse {
				break
			}
		}
		return result
	case formulaOr:
		result := isFalse
		for _, g := range f.args {
			if result = max(result, g.value(a)); result == isTrue {
				break
			}
		}
		return result
	case formulaIsTrue:
		return logicalOf(f.args[0].value(a) == isTrue)
	case formulaIsUnknown:
		return logicalOf(f.args[0].value(a) == isUnknown)
	case formulaIf:
		if f.args[0].value(a) == isTrue {
			return f.args[1].value(a)
		}
		return f.args[2].value(a)
	case formulaNullable:
		if f.args[0].value(a) == isTrue {
			return isUnknown
		}
		return f.args[1].value(a)
	}
	return isUnknown
}

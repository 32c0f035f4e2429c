package policy

import (
	"math/big"
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// totalFunctions give null only for null, whatever the types of their arguments.
var totalFunctions = func() map[string]bool {
	m := make(map[string]bool)
	for _, name := range strings.Fields(`lower upper initcap length char_length character_length octet_length
		bit_length cardinality strpos position ascii sign sqrt mod trunc pg_column_size starts_with
		abs md5 now transaction_timestamp statement_timestamp btrim ltrim rtrim reverse
		date_trunc round floor ceil ceiling left right like_escape similar_to_escape`) {
		m[name] = true
	}
	return m
}()

func (p *prover) function(c *pg.FuncCall) (operand, bool) {
	name := named(words(c.Funcname))
	if kindOf(name) != functionSteady || len(c.AggOrder) > 0 || c.AggFilter != nil || c.Over != nil ||
		c.AggStar || c.AggDistinct || c.FuncVariadic || c.AggWithinGroup {
		return operand{}, false
	}
	if p.catalog != nil && slices.ContainsFunc(p.catalog.functions(name), func(f *Function) bool { return !f.BuiltIn }) {
		return operand{}, false
	}
	key := "function " + name.Name
	var null *formula
	args := make([]operand, 0, len(c.Args))
	for _, a := range c.Args {
		o, ok := p.operand(a)
		if !ok {
			return operand{}, false
		}
		key = pair(key, o.key, "")
		null = either2(null, o.null)
		args = append(args, o)
	}
	if totalFunctions[name.Name] {
		o := operand{key: key, same: key, null: null}
		p.called(name.Name, args, &o)
		return o, true
	}
	return p.result(key, nil), true // not every function is strict
}

func (p *prover) coalesce(c *pg.CoalesceExpr) (operand, bool) {
	o := operand{key: "coalesce"}
	typed := "" // the one argument that may settle the type
	mixed := false
	nulls := make([]*formula, 0, len(c.Args))
	for _, n := range c.Args {
		a, ok := p.operand(n)
		if !ok {
			return operand{}, false
		}
		o.branches = append(o.branches, branch{not(truly(orFalse(a.null))), a})
		if !a.plain {
			mixed = mixed || typed != "" && typed != a.key
			typed = a.key
		}
		o.key = pair(o.key, a.key, "")
		nulls = append(nulls, orFalse(a.null))
	}
	o.null, o.same = all(nulls...), o.key
	o.branches[len(o.branches)-1].when = nil
	if mixed && !alike(o.branches) {
		o.branches = nil
	}
	return o, true
}

// alike says whether all values have one known type, constants aside that take it.
func alike(branches []branch) bool {
	kind := ""
	for i := range branches {
		v := &branches[i].value
		switch {
		case v.untyped, v.null != nil && v.null.kind == formulaConstant:
		case v.span.kind == "" || kind != "" && kind != v.span.kind:
			return false
		default:
			kind = v.span.kind
		}
	}
	return kind != ""
}

// chosen is CASE that gives a value.
func (p *prover) chosen(c *pg.CaseExpr) (operand, bool) {
	var o operand
	last := operand{key: "null", same: "null", null: constantly(isTrue), constant: true, plain: true}
	if c.Defresult != nil {
		var ok bool
		if last, ok = p.operand(c.Defresult); !ok {
			return operand{}, false
		}
	}
	for _, a := range c.Args {
		w := a.GetCaseWhen()
		value, ok := p.operand(w.GetResult())
		if !ok {
			return operand{}, false
		}
		o.branches = append(o.branches, branch{p.when(c, w), value})
	}
	o.branches = append(o.branches, branch{nil, last})
	if !alike(o.branches) {
		return operand{}, false
	}
	null := truly(orFalse(last.null))
	for i := len(o.branches) - 2; i >= 0; i-- {
		b := &o.branches[i]
		null = either(b.when, truly(orFalse(b.value.null)), null)
	}
	o.key = "case " + strconv.Itoa(p.serial())
	o.same, o.null = o.key, null
	return o, true
}

// serial numbers what no other expression is taken to be equal to.
func (p *prover) serial() int {
	p.made++
	return p.made
}

// when is the condition of a branch of CASE.
func (p *prover) when(c *pg.CaseExpr, w *pg.CaseWhen) *formula {
	if c.Arg != nil {
		return p.compare("=", c.Arg, w.GetExpr())
	}
	return p.condition(w.GetExpr())
}

// extreme is GREATEST or LEAST, which pass over nulls.
func (p *prover) extreme(e *pg.MinMaxExpr) (operand, bool) {
	o := operand{key: e.Op.String(), greatest: e.Op == pg.MinMaxOp_IS_GREATEST}
	var values []branch
	nulls := make([]*formula, len(e.Args))
	for i, n := range e.Args {
		a, ok := p.operand(n)
		if !ok {
			return operand{}, false
		}
		values = append(values, branch{nil, a})
		o.choices = append(o.choices, a)
		o.key = pair(o.key, a.key, "")
		nulls[i] = orFalse(a.null)
	}
	if !alike(values) {
		o.choices = nil
	}
	o.null, o.same = all(nulls...), o.key
	return o, true
}

// nullIf is NULLIF: its first argument, or null where both are equal.
func (p *prover) nullIf(e *pg.A_Expr) (operand, bool) {
	l, okL := p.operand(e.Lexpr)
	r, okR := p.operand(e.Rexpr)
	if !okL || !okR || l.branches != nil || l.choices != nil || l.at.known() || !l.span.number() || !p.usual("=") {
		return operand{}, false
	}
	l.null = either2(l.null, truly(p.compareOperands("=", l, r)))
	l.key = pair("nullif", l.key, r.key)
	return l, true
}

// calculate says what values integers give. A result that its type cannot hold is
// an error.
func (p *prover) calculate(name string, binary bool, l, r, o *operand) {
	if !r.span.number() || binary && !l.span.number() {
		p.dated(name, l, r, o)
		return
	}
	if !r.span.integer() || binary && !l.span.integer() {
		if binary && l.span.exact() && r.span.exact() && name != "^" {
			o.span = spans["numeric"]
		}
		return
	}
	if name == "^" {
		return
	}
	kind := r.span.kind
	if binary && (l.span.kind == "int8" || l.span.kind == "int4" && kind == "int2") {
		kind = l.span.kind
	}
	o.span = spans[kind]
	rl, rg := r.span.least.at, r.span.greatest.at
	minus := func(a *big.Rat) *big.Rat { return new(big.Rat).Neg(a) }
	bounds := func(at ...*big.Rat) {
		least, greatest := slices.MinFunc(at, (*big.Rat).Cmp), slices.MaxFunc(at, (*big.Rat).Cmp)
		o.span = o.span.within(point{at: least}, point{at: greatest})
	}
	if !binary {
		switch name {
		case "-":
			bounds(minus(rl), minus(rg))
		case "+":
			bounds(rl, rg)
		}
		return
	}
	ll, lg := l.span.least.at, l.span.greatest.at
	times := func(a, b *big.Rat) *big.Rat { return new(big.Rat).Mul(a, b) }
	switch name {
	case "+":
		bounds(new(big.Rat).Add(ll, rl), new(big.Rat).Add(lg, rg))
		shifted(o, l, r, false)
	case "-":
		bounds(new(big.Rat).Sub(ll, rg), new(big.Rat).Sub(lg, rl))
		if l.same == r.same {
			bounds(new(big.Rat))
		}
		shifted(o, l, r, true)
	case "*":
		bounds(times(ll, rl), times(ll, rg), times(lg, rl), times(lg, rg))
	case "%":
		// The result has the sign of the first and is smaller than the second.
		most := slices.MaxFunc([]*big.Rat{new(big.Rat).Abs(rl), new(big.Rat).Abs(rg)}, (*big.Rat).Cmp)
		if most.Sign() > 0 {
			most = new(big.Rat).Sub(most, big.NewRat(1, 1))
		}
		low, high := minus(most), most
		if ll.Sign() >= 0 {
			low = new(big.Rat)
		}
		if lg.Sign() <= 0 {
			high = new(big.Rat)
		}
		bounds(low, high)
	case "&":
		switch {
		case ll.Sign() >= 0 && rl.Sign() >= 0:
			bounds(new(big.Rat), slices.MinFunc([]*big.Rat{lg, rg}, (*big.Rat).Cmp))
		case ll.Sign() >= 0:
			bounds(new(big.Rat), lg)
		case rl.Sign() >= 0:
			bounds(new(big.Rat), rg)
		}
	}
}

// shifted notes that an integer differs from another by a constant.
func shifted(o, l, r *operand, minus bool) {
	base, by := l, r
	if l.at.known() && !minus {
		base, by = r, l
	}
	if !by.at.known() || base.at.known() {
		return
	}
	shift := new(big.Rat).Set(by.at.at)
	if minus {
		shift.Neg(shift)
	}
	if base.base != nil {
		shift.Add(shift, base.shift)
		base = base.base
	}
	kept := *base
	o.base, o.shift = &kept, shift
}

// dated is a date and a number of days, or the days between two dates.
func (p *prover) dated(name string, l, r, o *operand) {
	switch {
	case l.span.kind == "date" && r.span.integer() && (name == "+" || name == "-"), name == "+" && l.span.integer() && r.span.kind == "date":
		o.span = spans["date"]
	case l.span.kind == "date" && r.span.kind == "date" && name == "-":
		o.span = spans["int4"]
	}
}

// neverNegative are functions that count something.
var neverNegative = func() map[string]bool {
	m := make(map[string]bool)
	for _, name := range strings.Fields("length char_length character_length octet_length bit_length cardinality strpos position ascii pg_column_size") {
		m[name] = true
	}
	return m
}()

// called says what values a built-in function gives.
func (p *prover) called(name string, args []operand, o *operand) {
	if len(args) == 0 {
		return
	}
	first := &args[0]
	switch {
	case name == "length" && !first.span.textual() && first.span.kind != "bpchar" && first.span.kind != "bytea":
		o.span = spans["float8"].within(whole(0), point{}) // that of a path is one
	case neverNegative[name]:
		o.span = spans["int4"].within(whole(0), point{})
	case name == "sqrt":
		if first.span.number() {
			o.span = spans["float8"].within(whole(0), point{})
		}
	case name == "mod" && len(args) == 2:
		p.calculate("%", true, first, &args[1], o)
	case name == "abs" && first.span.integer():
		// The least integer has no absolute value: an error.
		negative := operand{key: pair("operator -", "", first.key), null: first.null}
		negative.same = negative.key
		p.calculate("-", false, nil, first, &negative)
		o.span = spans[first.span.kind].within(whole(0), point{})
		negative.span = negative.span.within(whole(0), point{})
		o.branches = []branch{{p.compareOperands(">=", *first, zero), *first}, {nil, negative}}
		if first.span.least.compare(whole(0)) >= 0 {
			o.span = first.span
		}
	case name == "abs" && first.span.number():
		o.span = spans[first.span.kind].within(whole(0), point{})
	case (name == "lower" || name == "upper" || name == "initcap" || name == "left" || name == "right" || name == "reverse" ||
		name == "btrim" || name == "ltrim" || name == "rtrim") && first.span.textual(), name == "md5":
		o.span = spans["text"]
	}
}

var zero = operand{key: "number 0", same: "number 0", constant: true, plain: true, number: new(big.Rat), at: whole(0), span: span{kind: "int4", least: whole(0), greatest: whole(0), discrete: true}}

package policy

import "math/big"

// compareConditions compares two booleans; false is less than true.
func (p *prover) compareConditions(name string, l, r *formula) *formula {
	order, ok := orderings[name]
	if !ok || !p.usual(name) {
		return p.unsettled(3)
	}
	return &formula{kind: formulaOrder, order: order, args: []*formula{l, r}}
}

// compareOperands compares two values.
func (p *prover) compareOperands(name string, l, r operand) *formula {
	order, ok := orderings[name]
	if !ok || !p.usual(name) {
		return p.unsettled(3)
	}
	switch {
	case l.key != r.key && l.branches != nil:
		return p.compareBranches(name, l, r)
	case l.key != r.key && l.choices != nil:
		return p.compareExtreme(name, l, r)
	case l.key != r.key && (r.branches != nil || r.choices != nil):
		for turned, o := range orderings {
			if o == order.turned() {
				return p.compareOperands(turned, r, l)
			}
		}
	}
	null := either2(l.null, r.null)
	if l.same == r.same {
		return unlessNull(null, constantly(order[1]))
	}
	if l.number != nil && r.number != nil {
		return constantly(order[l.number.Cmp(r.number)+1])
	}
	if l.at.known() && r.at.known() && (l.span.takes(&r.span, r.at) || r.span.takes(&l.span, l.at)) {
		return unlessNull(null, constantly(order[sign(l.at.compare(r.at))+1]))
	}
	if place, shift := l.based(); l.span.integer() && r.span.integer() {
		if other, by := r.based(); place.same == other.same && !place.at.known() && !other.at.known() {
			return unlessNull(null, constantly(order[shift.Cmp(by)+1]))
		}
	}
	for _, side := range []struct {
		value, constant *operand
		order           ordering
	}{{&l, &r, order}, {&r, &l, order.turned()}} {
		v := side.value
		if v.at.known() || v.constant {
			continue
		}
		if v.span.kind != "" {
			if at, ok := p.placed(&v.span, side.constant); ok {
				return unlessNull(null, p.compareAt(v, at, side.order))
			}
		} else if n := side.constant.number; ordinary(n) && v.number == nil && v.text == nil {
			return unlessNull(null, p.compareAt(v, point{at: n}, side.order))
		}
	}
	left, right := p.beside(&l, &r), p.beside(&r, &l)
	if left > right {
		left, right, order = right, left, order.turned()
	}
	i := p.variable(pair("order", left, right), variable{size: 3})
	return unlessNull(null, &formula{kind: formulaVariable, variable: i, values: order[:]})
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

// beside is the name of a value where it is compared with another: to a text it is
// the same whether a constant is cast to text or not.
func (p *prover) beside(o, other *operand) string {
	if other.span.textual() && !other.constant && o.constant && o.text != nil && (o.castTo == "text" || o.castTo == "varchar") && o.span.textual() {
		return "text " + *o.text
	}
	return o.place()
}

// compareBranches compares COALESCE or CASE: coalesce(a, b) = x is a = x, or b = x
// where a is null.
func (p *prover) compareBranches(name string, l, r operand) *formula {
	f := constantly(isUnknown)
	for i := len(l.branches) - 1; i >= 0; i-- {
		b := &l.branches[i]
		if b.when == nil {
			f = p.compareOperands(name, b.value, r)
		} else {
			f = either(b.when, p.compareOperands(name, b.value, r), f)
		}
	}
	return f
}

// compareExtreme compares GREATEST or LEAST: the greatest is above x where one of
// them is, and below x where all of them are.
func (p *prover) compareExtreme(name string, l, r operand) *formula {
	some := l.greatest == (name == ">" || name == ">=")
	given, others := []*formula{}, []*formula{}
	for _, c := range l.choices {
		null := truly(orFalse(c.null))
		given = append(given, either(null, constantly(isFalse), p.compareOperands(name, c, r)))
		others = append(others, either(null, constantly(isTrue), p.compareOperands(name, c, r)))
	}
	null := either2(l.null, r.null)
	switch {
	case name == "=" || name == "<>":
		below, above := p.compareExtreme("<=", l, r), p.compareExtreme(">=", l, r)
		if name == "=" {
			return all(below, above)
		}
		return not(all(below, above))
	case some:
		return unlessNull(null, anyOf(given...))
	}
	return unlessNull(null, all(others...))
}

// ordinary says whether a number keeps its place among others whatever the type
// of the column is: an oid takes -1 for its greatest value.
func ordinary(n *big.Rat) bool { return n != nil && n.Sign() >= 0 }

// based is the value from which an integer differs by a constant.
func (o *operand) based() (*operand, *big.Rat) {
	if o.base != nil {
		return o.base, o.shift
	}
	return o, new(big.Rat)
}

// compareAt compares a value with a constant.
func (p *prover) compareAt(o *operand, at point, order ordering) *formula {
	if base, shift := o.based(); o.base != nil && at.rank == 0 {
		at, o = point{at: new(big.Rat).Sub(at.at, shift)}, base
	}
	i := p.variable("number "+o.place(), variable{numbers: []point{}, span: o.span})
	p.variables[i].numbers = append(p.variables[i].numbers, at)
	f := &formula{kind: formulaNumber, variable: i, number: at, order: order}
	p.numbers = append(p.numbers, f)
	return f
}

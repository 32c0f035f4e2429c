package policy

import (
	"math/big"
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// An operand is a value that is the same each time it is asked for within one
// row: a column, a constant, a parameter, or what built-in functions and
// operators that are not volatile make of those.
type operand struct {
	// key names the value: equal keys are equal values. Different keys say
	// nothing: '1' and '1.0' may be equal, and so may two columns.
	key string
	// same is key without what changes nothing for = (x + 0, x || '').
	same string
	// null is true where the value is null; nil means never.
	null *formula

	constant bool     // written as a constant, or a value that reads like one
	plain    bool     // it takes the type of what stands beside it, or loses nothing of that
	untyped  bool     // a string that takes the type of what stands beside it
	number   *big.Rat // of a constant number
	text     *string  // of a constant string

	span   span       // what values it can have
	at     point      // of a constant that has a place among others of its type
	castTo string     // the type that a constant string is cast to
	raw    *Parameter // of a parameter that takes the type of what stands beside it
	base   *operand   // of an integer that differs from another by shift
	shift  *big.Rat

	branches []branch  // of COALESCE and CASE: the first that applies
	choices  []operand // of GREATEST and LEAST: all of one type
	greatest bool
}

// A branch is a value, and when it is the one: nil for the last.
type branch struct {
	when  *formula
	value operand
}

// place is the name by which a value is compared with others. What changes nothing
// is left out of it where the type is known: a text loses its trailing blanks to
// char(n), and its comparison changes.
func (o *operand) place() string {
	if o.span.number() || o.span.kind == "date" || o.span.kind == "timestamp" {
		return o.same
	}
	return o.key
}

// pair is a name that no other pair of keys shares.
func pair(name, l, r string) string {
	return name + " " + strconv.Itoa(len(l)) + ":" + l + " " + r
}

// either2 is true where one of two is; nil is never.
func either2(a, b *formula) *formula {
	switch {
	case a == nil:
		return b
	case b == nil || a == b:
		return a
	}
	return anyOf(a, b)
}

// input is a value that a row or a client gives and that may be null.
func (p *prover) input(key string) operand {
	i := p.variable("null "+key, variable{size: 2, input: true})
	if p.testing && p.nullable(key) {
		p.variables[i].tested = true
	}
	return operand{key: key, same: key, null: settledBy(i, 2)}
}

// result is a value that may be null though its operands are not.
func (p *prover) result(key string, null *formula) operand {
	i := p.variable("null "+key, variable{size: 2})
	return operand{key: key, same: key, null: either2(null, settledBy(i, 2))}
}

// operand reads an expression; false means that its value may differ from one
// time to the next, or is not understood.
func (p *prover) operand(n *pg.Node) (operand, bool) {
	switch e := n.GetNode().(type) {
	case *pg.Node_ColumnRef:
		return p.column(e.ColumnRef)
	case *pg.Node_ParamRef:
		return p.parameter(e.ParamRef.Number), true
	case *pg.Node_AConst:
		return constantOperand(e.AConst)
	case *pg.Node_TypeCast:
		return p.cast(e.TypeCast)
	case *pg.Node_CollateClause:
		o, ok := p.operand(e.CollateClause.Arg)
		key := pair("collate", dotted(e.CollateClause.Collname), o.key)
		return operand{key: key, same: key, null: o.null}, ok
	case *pg.Node_AExpr:
		switch e.AExpr.Kind {
		case pg.A_Expr_Kind_AEXPR_OP:
			return p.calculation(e.AExpr)
		case pg.A_Expr_Kind_AEXPR_NULLIF:
			return p.nullIf(e.AExpr)
		}
	case *pg.Node_FuncCall:
		return p.function(e.FuncCall)
	case *pg.Node_SqlvalueFunction:
		key := "value " + e.SqlvalueFunction.Op.String() + strconv.Itoa(int(e.SqlvalueFunction.Typmod))
		if e.SqlvalueFunction.Op == pg.SQLValueFunctionOp_SVFOP_CURRENT_SCHEMA {
			return p.result(key, nil), true
		}
		return operand{key: key, same: key}, true
	case *pg.Node_CoalesceExpr:
		return p.coalesce(e.CoalesceExpr)
	case *pg.Node_CaseExpr:
		return p.chosen(e.CaseExpr)
	case *pg.Node_MinMaxExpr:
		return p.extreme(e.MinMaxExpr)
	}
	return operand{}, false
}

// neverNull are the columns that every table has.
var neverNull = map[string]bool{"ctid": true, "tableoid": true, "xmin": true, "xmax": true, "cmin": true, "cmax": true}

// column is a column of the target or of another relation. A qualified and an
// unqualified name of the target's are the same column: were there another of
// that name in sight, the server would call the unqualified one ambiguous.
func (p *prover) column(c *pg.ColumnRef) (operand, bool) {
	parts := words(c.Fields)
	if len(parts) != len(c.Fields) || len(parts) == 1 && parts[0] == p.target {
		return operand{}, false // a star, or the row as a whole
	}
	if n := len(parts); n >= 2 && parts[n-2] == p.target {
		parts = parts[n-1:]
	}
	key := "column"
	for _, p := range parts {
		key += " " + strconv.Quote(p)
	}
	if neverNull[parts[len(parts)-1]] {
		o := operand{key: key, same: key}
		if len(parts) == 1 {
			o.span = p.system(parts[0])
		}
		return o, true
	}
	if len(parts) == 1 {
		for i := range p.columns {
			c := &p.columns[i]
			switch {
			case c.Name != parts[0]:
			case c.NotNull:
				return operand{key: key, same: key, span: c.span()}, true
			default:
				o := p.input(key)
				o.span = c.span()
				return o, true
			}
		}
	}
	return p.input(key), true
}

// nullable says whether an input is a column of the target that may be null, as
// far as the catalogue knows.
func (p *prover) nullable(key string) bool {
	return slices.ContainsFunc(p.columns, func(c Column) bool { return !c.NotNull && key == "column "+strconv.Quote(c.Name) })
}

// maxDigits is how many digits of two numbers are told apart by every numeric
// type: a float8 keeps 15.
const maxDigits = 15

func constantOperand(c *pg.A_Const) (operand, bool) {
	if c.Isnull {
		return operand{key: "null", same: "null", null: constantly(isTrue), constant: true, plain: true}, true
	}
	text, ok := constantText(&pg.Node{Node: &pg.Node_AConst{AConst: c}})
	if !ok {
		return operand{}, false // a bit string
	}
	var o operand
	switch c.Val.(type) {
	case *pg.A_Const_Ival, *pg.A_Const_Fval:
		o.key = "number " + text
		if len(strings.Trim(text, "-.")) <= maxDigits && !strings.ContainsAny(text, "eE_xX") {
			if r, ok := new(big.Rat).SetString(text); ok {
				o.number, o.key = r, "number "+r.RatString()
			}
		}
		if at, ok := readNumber(text, true); ok {
			o.at, o.span = at, spans["numeric"]
			for _, kind := range []string{"int4", "int8"} {
				if s := spans[kind]; o.span.kind == "numeric" && !strings.Contains(text, ".") && s.holds(at) {
					o.span = s
				}
			}
			o.span.least, o.span.greatest = at, at
		}
	case *pg.A_Const_Sval:
		o.text, o.key, o.untyped = &text, "text "+text, true
	default:
		o.key = "boolean " + text
	}
	o.same, o.constant, o.plain = o.key, true, true
	return o, true
}

// textTypes are types that a cast to never makes null of something.
var textTypes = map[string]bool{"text": true, "varchar": true, "bpchar": true, "name": true}

// plainTypes are types to which a column of another type loses nothing that = would
// see, where COALESCE makes one type of both. A text loses its trailing blanks to
// char(n), a numeric its digits to float4.
var plainTypes = map[string]bool{
	"int2": true, "int4": true, "int8": true, "numeric": true, "float8": true, "bool": true, "text": true, "varchar": true,
	"uuid": true, "date": true, "timestamp": true, "timestamptz": true,
}

func (p *prover) cast(c *pg.TypeCast) (operand, bool) {
	o, ok := p.operand(c.Arg)
	if !ok {
		return operand{}, false
	}
	name := c.TypeName
	kind := strings.TrimPrefix(dotted(name.GetNames()), "pg_catalog.")
	for _, m := range append(append([]*pg.Node{}, name.GetTypmods()...), name.GetArrayBounds()...) {
		text, ok := constantText(m)
		if !ok {
			return operand{}, false
		}
		kind += "," + text
	}
	if !o.constant && o.span.keeps(kind) {
		o.span = spans[kind].within(o.span.least, o.span.greatest)
		return o, true
	}
	key := pair("cast", kind, o.key)
	cast := operand{key: key, same: key, null: o.null}
	switch {
	case textTypes[kind]:
		cast.text = o.text
	case !o.constant && (o.span.kind == "" || o.span.kind == "record" || spans[kind].kind == ""):
		// From jsonb, or to a domain, null may come of what is not null.
		cast = p.result(key, o.null)
	}
	cast.constant = o.constant && o.text != nil
	if cast.span = spans[kind]; cast.constant {
		cast.text, cast.castTo = o.text, dotted(name.GetNames()[len(name.GetNames())-1:])
	}
	cast.at = p.castPoint(&cast.span, &o)
	cast.plain = plainTypes[kind] && (c.Arg.GetAConst() != nil || c.Arg.GetParamRef() != nil)
	return cast, true
}

// keeps says whether a cast of every value of the span to a type gives the same
// value, or an error.
func (s *span) keeps(kind string) bool {
	switch {
	case s.kind == "":
		return false
	case s.kind == kind:
		return true
	case s.integer():
		t := spans[kind]
		return t.integer() || kind == "numeric" || kind == "float8" && s.kind != "int8"
	}
	switch s.kind {
	case "float4":
		return kind == "float8"
	case "date":
		return kind == "timestamp"
	case "oid", "regclass":
		return kind == "oid" || kind == "regclass"
	}
	return s.textual() && (kind == "text" || kind == "varchar")
}

// castPoint is the place of a constant after a cast.
func (p *prover) castPoint(s *span, o *operand) point {
	if s.kind == "" || !o.constant && !o.at.known() {
		return point{}
	}
	at, ok := p.placed(s, o)
	if !ok || s.integer() && at.rank == 0 && !at.at.IsInt() { // it is rounded
		return point{}
	}
	return at
}

// calculation is an operator that gives a value.
func (p *prover) calculation(e *pg.A_Expr) (operand, bool) {
	name := operatorName(e.Name)
	if name == "" || !p.usual(name) {
		return operand{}, false
	}
	l, ok := operand{}, true
	if e.Lexpr != nil {
		l, ok = p.operand(e.Lexpr)
	}
	r, okR := p.operand(e.Rexpr)
	if !ok || !okR {
		return operand{}, false
	}
	key := pair("operator "+name, l.key, r.key)
	null := either2(l.null, r.null)
	o := operand{key: key, same: key, null: null}
	switch name {
	case "||":
		// An array keeps its elements when a null is added to it.
		if null != nil {
			o.null = all(null, p.result(key, nil).null)
		}
		if l.text != nil && r.text != nil {
			text := *l.text + *r.text
			o.text = &text
		}
		o.same = withoutEffect(name, l, r, key)
		if l.span.textual() && (r.span.textual() || r.untyped) || r.span.textual() && l.untyped {
			o.span = spans["text"]
		}
		return o, true
	case "+", "-", "*", "/", "%", "^":
		if e.Lexpr != nil {
			o.same = withoutEffect(name, l, r, key)
		}
		p.calculate(name, e.Lexpr != nil, &l, &r, &o)
		return o, true
	case "&":
		o = p.result(key, null)
		if l.span.integer() && r.span.integer() {
			o.null = null
			p.calculate(name, true, &l, &r, &o)
		}
		return o, true
	}
	return p.result(key, null), true
}

// withoutEffect gives the operand that x + 0, x * 1, x / 1 and x with an empty string appended are equal
// to, or key if it is none of those. jsonb - 0 is not x.
func withoutEffect(name string, l, r operand, key string) string {
	number := func(o operand, n int64) bool { return o.number != nil && o.number.Cmp(big.NewRat(n, 1)) == 0 }
	empty := func(o operand) bool { return o.text != nil && *o.text == "" }
	switch {
	case name == "+" && number(r, 0), name == "*" && number(r, 1), name == "/" && number(r, 1), name == "||" && empty(r):
		return l.same
	case name == "+" && number(l, 0), name == "*" && number(l, 1), name == "||" && empty(l):
		return r.same
	}
	return key
}

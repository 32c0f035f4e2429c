package policy

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// condition makes a formula of an expression that stands where a boolean is
// expected.
func (p *prover) condition(n *pg.Node) *formula {
	switch e := n.GetNode().(type) {
	case *pg.Node_AConst:
		return p.constant(e.AConst)
	case *pg.Node_TypeCast:
		if f, ok := p.truth(n); ok {
			return f
		}
		if name := dotted(e.TypeCast.GetTypeName().GetNames()); name == "bool" || name == "pg_catalog.bool" {
			if e.TypeCast.Arg.GetAConst() != nil {
				return p.constant(e.TypeCast.Arg.GetAConst())
			}
		}
		return p.flag(n)
	case *pg.Node_ParamRef:
		if f, ok := p.truth(n); ok {
			return f
		}
		return p.flag(n)
	case *pg.Node_ColumnRef:
		return p.flag(n)
	case *pg.Node_BoolExpr:
		args := make([]*formula, len(e.BoolExpr.Args))
		for i, a := range e.BoolExpr.Args {
			args[i] = p.condition(a)
		}
		switch e.BoolExpr.Boolop {
		case pg.BoolExprType_AND_EXPR:
			return all(args...)
		case pg.BoolExprType_OR_EXPR:
			return anyOf(args...)
		case pg.BoolExprType_NOT_EXPR:
			return not(args[0])
		}
	case *pg.Node_NullTest:
		defer p.test()()
		null := p.isNull(e.NullTest.Arg)
		if e.NullTest.Nulltesttype == pg.NullTestType_IS_NULL {
			return null
		}
		if row := e.NullTest.Arg.GetRowExpr(); row != nil {
			// A row is not null when each field is; that is no negation.
			fields := make([]*formula, len(row.Args))
			for i, a := range row.Args {
				fields[i] = not(p.isNull(a))
			}
			return all(fields...)
		}
		return not(null)
	case *pg.Node_BooleanTest:
		if t := e.BooleanTest.Booltesttype; t == pg.BoolTestType_IS_UNKNOWN || t == pg.BoolTestType_IS_NOT_UNKNOWN {
			defer p.test()()
		}
		arg := p.condition(e.BooleanTest.Arg)
		switch e.BooleanTest.Booltesttype {
		case pg.BoolTestType_IS_TRUE:
			return truly(arg)
		case pg.BoolTestType_IS_NOT_TRUE:
			return not(truly(arg))
		case pg.BoolTestType_IS_FALSE:
			return truly(not(arg))
		case pg.BoolTestType_IS_NOT_FALSE:
			return not(truly(not(arg)))
		case pg.BoolTestType_IS_UNKNOWN:
			return unknown(arg)
		case pg.BoolTestType_IS_NOT_UNKNOWN:
			return not(unknown(arg))
		}
	case *pg.Node_CaseExpr:
		return p.whens(e.CaseExpr)
	case *pg.Node_CoalesceExpr:
		f := constantly(isUnknown)
		for i := len(e.CoalesceExpr.Args) - 1; i >= 0; i-- {
			arg := p.condition(e.CoalesceExpr.Args[i])
			f = either(unknown(arg), f, arg)
		}
		return f
	case *pg.Node_AExpr:
		return p.expression(e.AExpr)
	case *pg.Node_SubLink:
		if e.SubLink.SubLinkType == pg.SubLinkType_EXISTS_SUBLINK {
			return p.unsettled(2)
		}
	case *pg.Node_FuncCall:
		if o, ok := p.operand(n); ok {
			return settledBy(p.variable("call "+o.key, variable{size: 3}), 3)
		}
	}
	return p.unsettled(3)
}

// constant reads a constant as boolin does.
func (p *prover) constant(c *pg.A_Const) *formula {
	if c.Isnull {
		return constantly(isUnknown)
	}
	switch v := c.Val.(type) {
	case *pg.A_Const_Boolval:
		return constantly(logicalOf(v.Boolval.Boolval))
	case *pg.A_Const_Sval:
		if b, ok := booleanText(v.Sval.Sval); ok {
			return constantly(logicalOf(b))
		}
	}
	return p.unsettled(3) // an error at the server
}

// booleanText is boolin: unique prefixes of true, false, yes, no, and on, off,
// 1, 0, with white space around them.
func booleanText(text string) (value, ok bool) {
	text = strings.ToLower(strings.Trim(text, " \t\n\r\v\f"))
	switch {
	case text == "":
		return false, false
	case strings.HasPrefix("true", text), strings.HasPrefix("yes", text), text == "on", text == "1":
		return true, true
	case strings.HasPrefix("false", text), strings.HasPrefix("no", text), text == "of", text == "off", text == "0":
		return false, true
	}
	return false, false
}

// flag is a column, a parameter or a cast of one that is used as a boolean.
func (p *prover) flag(n *pg.Node) *formula {
	o, ok := p.operand(n)
	if !ok {
		return p.unsettled(3)
	}
	return unlessNull(o.null, settledBy(p.variable("flag "+o.key, variable{size: 2}), 2))
}

// test begins what a null test asks for; what it returns ends it.
func (p *prover) test() (done func()) {
	was := p.testing
	p.testing = true
	return func() { p.testing = was }
}

// isNull is IS NULL: true or false.
func (p *prover) isNull(n *pg.Node) *formula {
	if row := n.GetRowExpr(); row != nil {
		fields := make([]*formula, len(row.Args))
		for i, a := range row.Args {
			fields[i] = p.isNull(a)
		}
		return all(fields...)
	}
	if p.isBoolean(n) && n.GetColumnRef() == nil {
		return unknown(p.condition(n))
	}
	o, ok := p.operand(n)
	switch {
	case !ok, o.span.kind == "record": // which is null when each of its columns is
		return p.unsettled(2)
	case o.null == nil:
		return constantly(isFalse)
	}
	return truly(o.null)
}

// isBoolean says whether an expression is surely a boolean.
func (p *prover) isBoolean(n *pg.Node) bool {
	switch e := n.GetNode().(type) {
	case *pg.Node_BoolExpr, *pg.Node_NullTest, *pg.Node_BooleanTest:
		return true
	case *pg.Node_AConst:
		return e.AConst.GetBoolval() != nil
	case *pg.Node_SubLink:
		return e.SubLink.SubLinkType == pg.SubLinkType_EXISTS_SUBLINK
	case *pg.Node_TypeCast:
		kind := strings.TrimPrefix(dotted(e.TypeCast.GetTypeName().GetNames()), "pg_catalog.")
		return kind == "bool" && len(e.TypeCast.TypeName.ArrayBounds) == 0
	case *pg.Node_ColumnRef:
		o, ok := p.operand(n)
		return ok && o.span.kind == "bool"
	case *pg.Node_CaseExpr:
		return p.isBoolean(e.CaseExpr.Defresult) ||
			slices.ContainsFunc(e.CaseExpr.Args, func(w *pg.Node) bool { return p.isBoolean(w.GetCaseWhen().GetResult()) })
	case *pg.Node_CoalesceExpr:
		return slices.ContainsFunc(e.CoalesceExpr.Args, p.isBoolean)
	case *pg.Node_AExpr:
		switch e.AExpr.Kind {
		case pg.A_Expr_Kind_AEXPR_OP:
			name := operatorName(e.AExpr.Name)
			_, ok := orderings[name]
			return ok && p.usual(name)
		case pg.A_Expr_Kind_AEXPR_NULLIF:
			return false
		}
		return true
	}
	return false
}

// operatorName gives the name of an operator that is taken for the built-in one,
// or "".
func operatorName(name []*pg.Node) string {
	parts := words(name)
	if len(parts) == 2 && parts[0] == "pg_catalog" {
		parts = parts[1:]
	}
	if len(parts) != 1 || !operators[parts[0]] {
		return ""
	}
	return parts[0]
}

func (p *prover) whens(c *pg.CaseExpr) *formula {
	f := constantly(isUnknown)
	if c.Defresult != nil {
		f = p.condition(c.Defresult)
	}
	for i := len(c.Args) - 1; i >= 0; i-- {
		w := c.Args[i].GetCaseWhen()
		f = either(p.when(c, w), p.condition(w.GetResult()), f)
	}
	return f
}

// expression is an operator, or one of the key words that the grammar turns into
// operators.
func (p *prover) expression(e *pg.A_Expr) *formula {
	name := operatorName(e.Name)
	list := e.Rexpr.GetList().GetItems()
	switch e.Kind {
	case pg.A_Expr_Kind_AEXPR_OP:
		return p.operation(name, e)
	case pg.A_Expr_Kind_AEXPR_LIKE, pg.A_Expr_Kind_AEXPR_ILIKE:
		return p.match(name, e.Lexpr, e.Rexpr)
	case pg.A_Expr_Kind_AEXPR_SIMILAR:
		if c := e.Rexpr.GetFuncCall(); c != nil && len(c.Args) == 1 {
			if o, ok := p.operand(c.Args[0]); ok && o.text != nil && onlyPercent(*o.text) {
				return p.matchesAll(strings.HasPrefix(name, "!"), e.Lexpr)
			}
		}
		return p.match(name, e.Lexpr, e.Rexpr)
	case pg.A_Expr_Kind_AEXPR_IN:
		// x IN (a, b) is x = a OR x = b, x NOT IN (a, b) is x <> a AND x <> b.
		parts := make([]*formula, len(list))
		for i, v := range list {
			parts[i] = p.compare(name, e.Lexpr, v)
		}
		if name == "<>" {
			return all(parts...)
		}
		return anyOf(parts...)
	case pg.A_Expr_Kind_AEXPR_OP_ANY, pg.A_Expr_Kind_AEXPR_OP_ALL:
		elements, null, ok := p.elementsOf(e.Rexpr)
		if !ok {
			break
		}
		if null {
			return constantly(isUnknown)
		}
		parts := make([]*formula, len(elements))
		for i, v := range elements {
			parts[i] = p.operation(name, &pg.A_Expr{Kind: pg.A_Expr_Kind_AEXPR_OP, Name: e.Name, Lexpr: e.Lexpr, Rexpr: v})
		}
		if e.Kind == pg.A_Expr_Kind_AEXPR_OP_ALL {
			return all(parts...)
		}
		return anyOf(parts...)
	case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN:
		if len(list) != 2 {
			break
		}
		f := all(p.compare(">=", e.Lexpr, list[0]), p.compare("<=", e.Lexpr, list[1]))
		if e.Kind == pg.A_Expr_Kind_AEXPR_NOT_BETWEEN {
			return not(f)
		}
		return f
	case pg.A_Expr_Kind_AEXPR_DISTINCT:
		return p.distinct(e.Lexpr, e.Rexpr)
	case pg.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		return not(p.distinct(e.Lexpr, e.Rexpr))
	}
	return p.unsettled(3)
}

// operation is a binary or prefix operator.
func (p *prover) operation(name string, e *pg.A_Expr) *formula {
	switch name {
	case "":
		return p.unsettled(3)
	}
	if !p.usual(name) {
		return p.unsettled(3)
	}
	switch name {
	case "~~", "!~~", "~~*", "!~~*", "~", "!~", "~*", "!~*":
		if e.Lexpr != nil {
			return p.match(name, e.Lexpr, e.Rexpr)
		}
	}
	if _, ok := orderings[name]; ok {
		return p.compare(name, e.Lexpr, e.Rexpr)
	}
	// Any other operator is settled by its operands, whatever it says.
	l, okL := operand{}, true
	if e.Lexpr != nil {
		l, okL = p.operand(e.Lexpr)
	}
	r, okR := p.operand(e.Rexpr)
	if !okL || !okR {
		return p.unsettled(3)
	}
	return settledBy(p.variable(pair(name, l.key, r.key), variable{size: 3}), 3)
}

// match is LIKE, ILIKE, SIMILAR TO or a regular expression.
func (p *prover) match(name string, text, pattern *pg.Node) *formula {
	l, okL := p.operand(text)
	q, okP := p.operand(pattern)
	if !okL || !okP || !p.usual(name) {
		return p.unsettled(3)
	}
	negated := strings.HasPrefix(name, "!")
	name = strings.TrimPrefix(name, "!")
	if q.text != nil && (strings.HasPrefix(name, "~~") && onlyPercent(*q.text) || !strings.HasPrefix(name, "~~") && matchesAnything[*q.text]) {
		return p.matchesAll(negated, text)
	}
	f := unlessNull(either2(l.null, q.null), settledBy(p.variable(pair(name, l.key, q.key), variable{size: 2}), 2))
	if negated {
		return not(f)
	}
	return f
}

// matchesAll is a match that succeeds for all that is not null.
func (p *prover) matchesAll(negated bool, text *pg.Node) *formula {
	l, ok := p.operand(text)
	if !ok {
		return p.unsettled(3)
	}
	return unlessNull(l.null, constantly(logicalOf(!negated)))
}

func onlyPercent(pattern string) bool {
	return pattern != "" && strings.Trim(pattern, "%") == ""
}

// matchesAnything lists regular expressions that match whatever they are given:
// in PostgreSQL a dot matches a newline, too.
var matchesAnything = map[string]bool{
	"": true, "^": true, "$": true, ".*": true, "^.*": true, ".*$": true, "^.*$": true, "(.*)": true, "^(.*)$": true,
	".*?": true, "^.*?$": true,
}

// distinct is IS DISTINCT FROM, which is never unknown.
func (p *prover) distinct(left, right *pg.Node) *formula {
	if left.GetAConst().GetIsnull() || right.GetAConst().GetIsnull() {
		defer p.test()()
	}
	if p.isBoolean(left) || p.isBoolean(right) {
		f, g := p.condition(left), p.condition(right)
		return either(unknown(f), not(unknown(g)), either(unknown(g), constantly(isTrue), p.compareConditions("<>", f, g)))
	}
	l, okL := p.operand(left)
	r, okR := p.operand(right)
	if !okL || !okR {
		return p.unsettled(2)
	}
	nullL, nullR := truly(orFalse(l.null)), truly(orFalse(r.null))
	return either(nullL, not(nullR), either(nullR, constantly(isTrue), p.compareOperands("<>", l, r)))
}

func orFalse(f *formula) *formula {
	if f == nil {
		return constantly(isFalse)
	}
	return f
}

// compare is one of the six comparisons.
func (p *prover) compare(name string, left, right *pg.Node) *formula {
	if l, r := left.GetRowExpr(), right.GetRowExpr(); l != nil || r != nil {
		return p.compareRows(name, l, r)
	}
	if p.isBoolean(left) || p.isBoolean(right) {
		return p.compareConditions(name, p.condition(left), p.condition(right))
	}
	l, okL := p.operand(left)
	r, okR := p.operand(right)
	if !okL || !okR {
		return p.unsettled(3)
	}
	return p.compareOperands(name, l, r)
}

func (p *prover) compareRows(name string, l, r *pg.RowExpr) *formula {
	if l == nil || r == nil || len(l.Args) != len(r.Args) || name != "=" && name != "<>" {
		return p.unsettled(3)
	}
	parts := make([]*formula, len(l.Args))
	for i := range l.Args {
		parts[i] = p.compare(name, l.Args[i], r.Args[i])
	}
	if name == "<>" {
		return anyOf(parts...)
	}
	return all(parts...)
}

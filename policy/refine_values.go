package policy

import (
	"math/big"
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// A value is what an expression of a body gives, as far as that is known. The zero
// value is not known.
type value struct {
	kind knownKind
	text string // of knownText
	// open is true of text in which something stands that is not known.
	open   bool
	number *big.Rat // of knownNumber
	truth  bool     // of knownTruth
}

type knownKind uint8

const (
	notKnown knownKind = iota
	knownNull
	knownText
	knownNumber
	knownTruth
)

func textValue(s string) value { return value{kind: knownText, text: s} }

func truthValue(b bool) value { return value{kind: knownTruth, truth: b} }

// knownValues are the values of names in a body: columns of NEW and OLD, what a
// trigger is told, and parameters.
type knownValues struct {
	// rows are the rows that the body is run for, each with the names whose values
	// are known. None means one row of which nothing is known.
	rows []map[string]value

	body *body // that they are used in
}

// in gives the values for use in a body, where those that it assigns to itself are
// not known.
func (k knownValues) in(b *body) knownValues {
	k.body = b
	return k
}

// reaches says whether a step with these guards may run for some row.
func (k knownValues) reaches(guards []premise) bool {
	if len(guards) == 0 || len(k.rows) == 0 && k.body.set == nil {
		return true
	}
	return slices.ContainsFunc(k.each(), func(row map[string]value) bool {
		e := evaluation{row: row, body: k.body}
		return !slices.ContainsFunc(guards, func(g premise) bool {
			v := e.value(g.node)
			if g.negated {
				return v.kind == knownTruth && v.truth
			}
			return v.kind == knownNull || v.kind == knownTruth && !v.truth
		})
	})
}

func (k knownValues) each() []map[string]value {
	if len(k.rows) == 0 {
		return []map[string]value{nil}
	}
	return k.rows
}

// sql gives the texts that an expression may give to EXECUTE. It says that there
// are others where not all could be told, or are known for certain only in part.
func (k knownValues) sql(n *pg.Node) (texts []value, others bool) {
	for _, row := range k.each() {
		e := evaluation{row: row, body: k.body, writes: true}
		switch v := e.value(n); {
		case v.kind == knownNull: // an error
		case v.kind != knownText:
			others = true
		default:
			others = others || v.open
			if !slices.ContainsFunc(texts, func(t value) bool { return t.text == v.text }) {
				texts = append(texts, v)
			}
		}
		if len(texts) > maxTexts {
			return texts, true
		}
	}
	return texts, others
}

// maxTexts bounds the texts that are read for one EXECUTE.
const maxTexts = 20

// An evaluation computes expressions of a body for one row.
type evaluation struct {
	row    map[string]value
	body   *body
	writes bool // it writes SQL: what is not known may have a place in it
	depth  int
}

// unknownName stands in SQL for a name that is not known; read, it is unknownWord.
const (
	unknownName = `"` + unknownWord + `"`
	unknownWord = "?"
)

// value computes an expression. Two texts that differ in no more than case or
// spaces are neither equal nor unequal for certain: that is up to the collation
// and the type.
func (e *evaluation) value(n *pg.Node) value {
	if e.depth++; e.depth > 200 {
		return value{}
	}
	defer func() { e.depth-- }()
	switch x := n.GetNode().(type) {
	case *pg.Node_AConst:
		return constantValue(x.AConst)
	case *pg.Node_ColumnRef:
		if parts := words(x.ColumnRef.Fields); len(parts) == len(x.ColumnRef.Fields) && !strings.HasPrefix(parts[0], "$") {
			return e.named(strings.Join(parts, "."))
		}
	case *pg.Node_ParamRef:
		return e.named("$" + strconv.Itoa(int(x.ParamRef.Number)))
	case *pg.Node_TypeCast:
		return castTo(e.value(x.TypeCast.Arg), x.TypeCast.TypeName)
	case *pg.Node_BoolExpr:
		return e.logic(x.BoolExpr)
	case *pg.Node_NullTest:
		if v := e.value(x.NullTest.Arg); v.kind != notKnown && !v.open {
			return truthValue((v.kind == knownNull) == (x.NullTest.Nulltesttype == pg.NullTestType_IS_NULL))
		}
	case *pg.Node_BooleanTest:
		return booleanTest(e.value(x.BooleanTest.Arg), x.BooleanTest.Booltesttype)
	case *pg.Node_CoalesceExpr:
		for _, a := range x.CoalesceExpr.Args {
			if v := e.value(a); v.kind != knownNull {
				return v
			}
		}
		return value{kind: knownNull}
	case *pg.Node_AExpr:
		return e.operation(x.AExpr)
	case *pg.Node_FuncCall:
		return e.function(x.FuncCall)
	}
	return value{}
}

// named gives the value of a variable: of a column of NEW unless the body assigns
// to it, and of a variable of the body that is assigned to once.
func (e *evaluation) named(name string) value {
	whole, _, _ := strings.Cut(name, ".")
	if e.body.assigned[""] == 0 && e.body.assigned[whole] == 0 && e.body.assigned[name] == 0 {
		if _, declared := e.body.assigned[name]; !declared {
			return e.row[name]
		}
	}
	if set := e.body.set[name]; set != nil && e.writes && e.body.assigned[""] == 0 && e.body.assigned[name] == 1 {
		return e.value(set) // before that it is null, and no SQL
	}
	return value{}
}

func constantValue(c *pg.A_Const) value {
	switch v := c.Val.(type) {
	case *pg.A_Const_Sval:
		return textValue(v.Sval.Sval)
	case *pg.A_Const_Ival:
		return value{kind: knownNumber, number: big.NewRat(int64(v.Ival.Ival), 1)}
	case *pg.A_Const_Fval:
		if r, ok := numberOf(v.Fval.Fval); ok {
			return value{kind: knownNumber, number: r}
		}
	case *pg.A_Const_Boolval:
		return truthValue(v.Boolval.Boolval)
	}
	if c.Isnull {
		return value{kind: knownNull}
	}
	return value{}
}

// numberOf reads a number that has no exponent to make it huge.
func numberOf(text string) (*big.Rat, bool) {
	text = strings.TrimSpace(text)
	if len(text) > maxDigits || strings.ContainsAny(text, "eE/_xXoObB") {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

// castTo gives a value cast to a type that changes nothing about it.
func castTo(v value, to *pg.TypeName) value {
	parts := words(to.GetNames())
	if v.kind == knownNull {
		return v
	}
	if len(parts) == 0 || len(to.GetArrayBounds()) > 0 || len(to.GetTypmods()) > 0 {
		return value{}
	}
	switch parts[len(parts)-1] {
	case "text", "varchar":
		return v.asText()
	case "bool":
		return v.as("bool")
	case "int2", "int4", "int8", "numeric":
		return v.as("num")
	}
	return value{}
}

func (v value) asText() value {
	switch {
	case v.kind == knownNumber && v.number.IsInt():
		return textValue(v.number.Num().String())
	case v.kind == knownText, v.kind == knownNull:
		return v
	}
	return value{}
}

// as gives a value as a column of the kind keeps it, where that is certain.
func (v value) as(kind string) value {
	if v.kind == knownNull {
		return v
	}
	switch kind {
	case "text":
		return v.asText()
	case "num":
		if v.kind == knownText && !v.open {
			if r, ok := numberOf(v.text); ok {
				v = value{kind: knownNumber, number: r}
			}
		}
		if v.kind == knownNumber && v.number.IsInt() && v.number.Num().BitLen() <= 24 { // float4 keeps it, too
			return v
		}
	case "bool":
		if v.kind == knownText && !v.open {
			if b, ok := booleanText(v.text); ok {
				return truthValue(b)
			}
		}
		if v.kind == knownTruth {
			return v
		}
	}
	return value{}
}

func (e *evaluation) logic(b *pg.BoolExpr) value {
	if b.Boolop == pg.BoolExprType_NOT_EXPR {
		if v := e.value(b.Args[0]).as("bool"); v.kind == knownTruth {
			return truthValue(!v.truth)
		} else if v.kind == knownNull {
			return v
		}
		return value{}
	}
	decides := b.Boolop == pg.BoolExprType_OR_EXPR // of OR one true argument, of AND one false
	result := truthValue(!decides)
	for _, a := range b.Args {
		switch v := e.value(a).as("bool"); {
		case v.kind == knownTruth && v.truth == decides:
			return v
		case v.kind == notKnown:
			result = v
		case v.kind == knownNull && result.kind != notKnown:
			result = v
		}
	}
	return result
}

func booleanTest(v value, test pg.BoolTestType) value {
	if v = v.as("bool"); v.kind == notKnown {
		return v
	}
	isTrue, isFalse := v.kind == knownTruth && v.truth, v.kind == knownTruth && !v.truth
	switch test {
	case pg.BoolTestType_IS_TRUE:
		return truthValue(isTrue)
	case pg.BoolTestType_IS_NOT_TRUE:
		return truthValue(!isTrue)
	case pg.BoolTestType_IS_FALSE:
		return truthValue(isFalse)
	case pg.BoolTestType_IS_NOT_FALSE:
		return truthValue(!isFalse)
	case pg.BoolTestType_IS_UNKNOWN:
		return truthValue(v.kind == knownNull)
	case pg.BoolTestType_IS_NOT_UNKNOWN:
		return truthValue(v.kind != knownNull)
	}
	return value{}
}

func (e *evaluation) operation(x *pg.A_Expr) value {
	name := operatorName(x.Name)
	switch x.Kind {
	case pg.A_Expr_Kind_AEXPR_OP:
		l, r := e.value(x.Lexpr), e.value(x.Rexpr)
		if name == "||" {
			return joined(l, r)
		}
		return compared(name, l, r)
	case pg.A_Expr_Kind_AEXPR_DISTINCT, pg.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		same := x.Kind == pg.A_Expr_Kind_AEXPR_NOT_DISTINCT
		l, r := e.value(x.Lexpr), e.value(x.Rexpr)
		if l.kind == knownNull && r.kind == knownNull {
			return truthValue(same)
		}
		if (l.kind == knownNull && r.kind > knownNull) || (r.kind == knownNull && l.kind > knownNull) {
			return truthValue(!same)
		}
		if v := compared("=", l, r); v.kind == knownTruth {
			return truthValue(v.truth == same)
		}
	case pg.A_Expr_Kind_AEXPR_IN:
		of := &pg.BoolExpr{Boolop: pg.BoolExprType_OR_EXPR}
		if name == "<>" {
			of.Boolop = pg.BoolExprType_AND_EXPR
		}
		for _, item := range x.Rexpr.GetList().GetItems() {
			of.Args = append(of.Args, &pg.Node{Node: &pg.Node_AExpr{AExpr: &pg.A_Expr{
				Kind: pg.A_Expr_Kind_AEXPR_OP, Name: x.Name, Lexpr: x.Lexpr, Rexpr: item,
			}}})
		}
		return e.logic(of)
	}
	return value{}
}

func joined(l, r value) value {
	if l.kind == knownNull || r.kind == knownNull {
		return value{kind: knownNull}
	}
	if l, r = l.asText(), r.asText(); l.kind != knownText && r.kind != knownText {
		return value{}
	}
	return value{kind: knownText, text: l.orUnknown() + r.orUnknown(), open: l.open || r.open || l.kind != r.kind}
}

// orUnknown is the text of a value, and a name in the place of one that is not
// known.
func (v value) orUnknown() string {
	if v.kind != knownText {
		return unknownName
	}
	return v.text
}

// compared compares two values as =, <>, <, ... do.
func compared(operator string, l, r value) value {
	order, ok := orderings[operator]
	if operator == "!=" {
		order, ok = orderings["<>"]
	}
	if !ok || l.kind == notKnown || r.kind == notKnown || l.open || r.open {
		return value{}
	}
	if l.kind == knownNull || r.kind == knownNull {
		return value{kind: knownNull}
	}
	switch {
	case l.kind == knownText && r.kind == knownNumber:
		l = l.as("num")
	case l.kind == knownNumber && r.kind == knownText:
		r = r.as("num")
	case l.kind == knownTruth:
		r = r.as("bool")
	case r.kind == knownTruth:
		l = l.as("bool")
	}
	of := func(i int) value { return truthValue(order[i] == isTrue) }
	switch {
	case l.kind != r.kind:
	case l.kind == knownNumber:
		return of(l.number.Cmp(r.number) + 1)
	case order[0] != order[2]: // texts are ordered by a collation
	case l.kind == knownTruth && l.truth == r.truth, l.kind == knownText && l.text == r.text:
		return of(1)
	case l.kind == knownTruth:
		return of(0)
	case l.kind == knownText && !strings.EqualFold(strings.TrimSpace(l.text), strings.TrimSpace(r.text)):
		return of(0)
	}
	return value{}
}

// function computes the functions that SQL is put together with.
func (e *evaluation) function(c *pg.FuncCall) value {
	name := named(words(c.Funcname))
	if name.Schema != "" && name.Schema != "pg_catalog" || !e.writes || c.FuncVariadic || len(c.Args) == 0 {
		return value{}
	}
	switch name.Name {
	case "quote_ident", "quote_literal", "quote_nullable":
		if len(c.Args) == 1 {
			return quotedBy(name.Name, e.value(c.Args[0]))
		}
	case "concat":
		all := textValue("")
		for _, a := range c.Args {
			if v := e.value(a); v.kind != knownNull {
				all = joined(all, v)
			}
		}
		return all
	case "format":
		return e.format(e.value(c.Args[0]), c.Args[1:])
	}
	return value{}
}

// quotedBy writes a value as a name or as a constant in SQL. One that is not known
// takes the place of one: whatever it is, it stays within.
func quotedBy(function string, v value) value {
	known := v.asText()
	switch {
	case v.kind == knownNull && function == "quote_nullable":
		return textValue("NULL")
	case v.kind == knownNull:
		return v
	case function == "quote_ident" && (known.kind != knownText || known.open):
		return textValue(unknownName)
	case function == "quote_ident":
		return textValue(`"` + strings.ReplaceAll(known.text, `"`, `""`) + `"`)
	case known.kind != knownText || known.open:
		return textValue("$1") // a value of which nothing is known
	}
	return textValue(quotedText(known.text))
}

func quotedText(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// format does what the function of that name does with %s, %I, %L and %%, without
// positions and widths.
func (e *evaluation) format(template value, args []*pg.Node) value {
	if template.kind != knownText || template.open {
		return value{}
	}
	result := textValue("")
	for rest := template.text; ; {
		before, after, found := strings.Cut(rest, "%")
		result.text += before
		if !found {
			return result
		}
		if after == "" {
			return value{}
		}
		var v value
		kind := after[0]
		rest = after[1:]
		if strings.IndexByte("sIL", kind) >= 0 {
			if len(args) == 0 {
				return value{}
			}
			v, args = e.value(args[0]), args[1:]
		}
		switch kind {
		case '%':
			v = textValue("%")
		case 's':
			if v.kind == knownNull {
				v = textValue("")
			}
		case 'I':
			v = quotedBy("quote_ident", v)
		case 'L':
			v = quotedBy("quote_nullable", v)
		default:
			return value{}
		}
		if v.kind == knownNull {
			return v
		}
		if result = joined(result, v); result.kind != knownText {
			return value{}
		}
	}
}

package policy

import (
	"encoding/binary"
	"math/big"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// OIDs of types whose values can be read (pg_type.dat).
const (
	typeBool    = 16
	typeName    = 19
	typeInt8    = 20
	typeInt2    = 21
	typeInt4    = 23
	typeText    = 25
	typeUnknown = 705
	typeBpchar  = 1042
	typeVarchar = 1043

	// someType is a type that is not known: no type has this OID.
	someType = ^uint32(0)
)

// read gives the text form of a value that is not null, and false for one that
// cannot be read.
func (v *Parameter) read() (string, bool) {
	if v.Text {
		return string(v.Value), true
	}
	switch size := len(v.Value); v.Type {
	case typeBool:
		if size == 1 {
			return strconv.FormatBool(v.Value[0] != 0), true
		}
	case typeInt2:
		if size == 2 {
			return strconv.Itoa(int(int16(binary.BigEndian.Uint16(v.Value)))), true
		}
	case typeInt4:
		if size == 4 {
			return strconv.Itoa(int(int32(binary.BigEndian.Uint32(v.Value)))), true
		}
	case typeInt8:
		if size == 8 {
			return strconv.FormatInt(int64(binary.BigEndian.Uint64(v.Value)), 10), true
		}
	case typeText, typeVarchar, typeBpchar, typeName, typeUnknown:
		return string(v.Value), true
	}
	return "", false
}

// parameter reads $n. A value in the text format of a parameter whose type the
// server chooses, and that stands nowhere else in the statement, is read as a
// string constant in its place would be: the server gives both the same type.
// Where the type was declared, or another $n of the same number settles it, equal
// texts need not be equal values, so that the value goes by the parameter's name;
// but a null is null, and a pattern a pattern, whatever their type.
func (p *prover) parameter(number int32) operand {
	if number < 0 {
		return p.given[-number-1]
	}
	key := "$" + strconv.Itoa(int(number))
	if number == 0 || int(number) > len(p.values) {
		return p.input(key)
	}
	v := &p.values[number-1]
	free := (v.Type == 0 || v.Type == typeUnknown) && p.mentions.parameters[number] == 1
	plain := free
	switch v.Type {
	case typeBool, typeInt2, typeInt4, typeInt8, typeText, typeVarchar:
		plain = true
	}
	if v.Null {
		return operand{key: "null", same: "null", null: constantly(isTrue), constant: true, plain: plain}
	}
	o := operand{key: key, same: key, plain: plain}
	o.span = spans[typeNames[v.Type]]
	at, placed := pointOfBytes(o.span.kind, v.Value)
	if v.Text {
		at, placed = p.readPoint(&o.span, string(v.Value))
	}
	if placed {
		o.at = at
	}
	if free {
		o.raw = v
	}
	text, ok := v.read()
	if !ok {
		return o
	}
	o.text = &text
	switch {
	case v.Type == typeInt2, v.Type == typeInt4, v.Type == typeInt8:
		if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil && len(text) <= maxDigits {
			o.text, o.number = nil, big.NewRat(n, 1)
			o.same = "number " + o.number.RatString()
		}
	case v.Text && free:
		o.key, o.same, o.constant = "text "+text, "text "+text, true
	}
	return o
}

// truth reads a parameter that stands where a boolean is expected: one that is
// none is an error there.
func (p *prover) truth(n *pg.Node) (*formula, bool) {
	if c := n.GetTypeCast(); c != nil {
		if name := dotted(c.GetTypeName().GetNames()); name != "bool" && name != "pg_catalog.bool" || len(c.TypeName.ArrayBounds) > 0 {
			return nil, false
		}
		n = c.Arg
	}
	if n.GetParamRef() == nil {
		return nil, false
	}
	o := p.parameter(n.GetParamRef().Number)
	if o.null != nil && o.null.kind == formulaConstant {
		return constantly(isUnknown), true
	}
	if o.text == nil {
		return nil, false
	}
	b, ok := booleanText(*o.text)
	return constantly(logicalOf(b)), ok
}

// maxElements is how many elements of an array are looked at. A proof over more
// would be given up.
const maxElements = 64

// elementsOf gives the elements of the array in ANY or ALL. An array that is null
// has none and null is true.
func (p *prover) elementsOf(n *pg.Node) (elements []*pg.Node, null, ok bool) {
	if a := n.GetAArrayExpr(); a != nil {
		for _, e := range a.Elements {
			if e.GetAArrayExpr() != nil {
				return nil, false, false // of more than one dimension
			}
		}
		return a.Elements, false, len(a.Elements) > 0
	}
	arg, kind := n, (*pg.TypeName)(nil)
	if c := n.GetTypeCast(); c != nil {
		if len(c.GetTypeName().GetArrayBounds()) == 0 {
			return nil, false, false
		}
		kind = &pg.TypeName{Names: c.TypeName.Names, Typmods: c.TypeName.Typmods}
		arg = c.Arg
	}
	if arg.GetAConst() == nil && arg.GetParamRef() == nil {
		return nil, false, false
	}
	o, ok := p.operand(arg)
	if !ok {
		return nil, false, false
	}
	if o.null != nil && o.null.kind == formulaConstant {
		return nil, true, true
	}
	if o.text == nil {
		return nil, false, false
	}
	texts, ok := arrayElements(*o.text)
	if !ok {
		return nil, false, false
	}
	for _, t := range texts {
		elements = append(elements, p.element(t, o, kind))
	}
	return elements, false, true
}

// element makes an expression of an element of the array that stands as a string
// in o and is cast to an array of kind.
func (p *prover) element(text *string, o operand, kind *pg.TypeName) *pg.Node {
	c := &pg.A_Const{Isnull: true}
	if text != nil {
		c = &pg.A_Const{Val: &pg.A_Const_Sval{Sval: &pg.String{Sval: *text}}}
	}
	n := &pg.Node{Node: &pg.Node_AConst{AConst: c}}
	switch {
	case text == nil:
	case !o.constant:
		key := pair("element", o.key, *text)
		p.given = append(p.given, operand{key: key, same: key, text: text})
		n = &pg.Node{Node: &pg.Node_ParamRef{ParamRef: &pg.ParamRef{Number: -int32(len(p.given))}}}
	case kind != nil:
		n = &pg.Node{Node: &pg.Node_TypeCast{TypeCast: &pg.TypeCast{Arg: n, TypeName: kind}}}
	}
	return n
}

// arrayElements reads an array of one dimension as array_in does: {1,"a, b",NULL}.
// A nil element is null.
func arrayElements(text string) (elements []*string, ok bool) {
	text = strings.Trim(text, " \t\n\r\v\f")
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return nil, false
	}
	text = text[1 : len(text)-1]
	if strings.Trim(text, " \t\n\r\v\f") == "" {
		return nil, true
	}
	for i := 0; ; i++ {
		var b strings.Builder
		quoted, escaped, end := false, false, 0 // end is after the last byte that counts
		for i < len(text) && isSpace(text[i]) {
			i++
		}
		for inside := false; i < len(text) && (inside || text[i] != ','); i++ {
			switch c := text[i]; {
			case c == '"':
				if !inside && (quoted || b.Len() > 0) {
					return nil, false // servers differ on {a"b"}
				}
				inside, quoted = !inside, true
				end = b.Len()
				continue
			case (c == '{' || c == '}') && !inside:
				return nil, false
			case c == '\\':
				if i++; i == len(text) {
					return nil, false
				}
				escaped = true
			case isSpace(c) && !inside:
				b.WriteByte(c)
				continue
			case quoted && !inside:
				return nil, false
			}
			b.WriteByte(text[i])
			end = b.Len()
		}
		element := b.String()[:end]
		switch {
		case element == "" && !quoted:
			return nil, false
		case strings.EqualFold(element, "null") && !quoted && !escaped:
			elements = append(elements, nil)
		default:
			elements = append(elements, &element)
		}
		if len(elements) > maxElements {
			return nil, false
		}
		if i >= len(text) {
			return elements, true
		}
	}
}

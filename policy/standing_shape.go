package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// A standing grant is for one statement that is sent again and again with other
// values in it. The statement is named by its shape: the digest of its tokens, all
// of them as they stand but for those constants that do no more than choose rows.
//
// What is left out is said by name, and everything else counts: a number or a plain
// string that a column, or an expression of columns, is compared with by = <> < <=
// > >=, BETWEEN, IN, IS DISTINCT FROM or = ANY, by itself, under a cast to a type of
// plain values, or among + and -. How many rows such a value chooses is measured.
// So there count, among others: LIMIT, LIKE and its pattern, whatever a function is
// given (dblink_exec, set_config), what SET and VALUES write, NULL, TRUE, and both
// sides of a comparison that has no column on one of them (1 = 1, id + 0 = id).
// Nothing is left out of a statement whose WHERE the text shows to be other than one
// that chooses rows.
//
// A parameter is open: whoever grants the shape sees $1 in it. It may stand where a
// constant is left out, and where SET and VALUES write it. A statement with one
// elsewhere has no shape, since its value could make another statement of it (LIMIT
// $1, $1 IS NULL OR id = $1).

// A Shape names what statements have in common that differ in the values by which
// they choose rows.
type Shape struct {
	ID   string // "sha256:" and the digest; empty where the statement has none
	Text string // what it is the digest of: with $number and $text for what is left out
	None string // why there is none
}

// Placeholders are no tokens of SQL.
const (
	anyNumber = "$number"
	anyText   = "$text"
)

// maxShaped bounds the text of a statement that has a shape.
const maxShaped = 1 << 20

// A lazyShape is made when a rule first asks for it.
type lazyShape struct {
	text string
	once sync.Once
	made Shape
}

// Shape is the shape of the statement. Reads have none, since their facts are those
// of other texts as well; nor has what runs a text that stands elsewhere.
func (f *Facts) Shape() Shape {
	switch {
	case f.ReadOnly():
		return Shape{None: "it only reads"}
	case f.Executes != "" || f.Prepared != nil:
		return Shape{None: "what is prepared under a name may be any statement"}
	case f.Class == "declare_cursor":
		return Shape{None: "what it does is done by FETCH"}
	case f.shape == nil:
		return Shape{None: "its text cannot be read"}
	}
	f.shape.once.Do(func() { f.shape.made = shapeOf(f.shape.text) })
	return f.shape.made
}

func shapeOf(text string) (s Shape) {
	defer func() {
		if recover() != nil { // a defect here must not let a statement through
			s = Shape{None: "its text cannot be read"}
		}
	}()
	switch {
	case len(text) > maxShaped:
		return Shape{None: "its text is longer than 1 MiB"}
	case outOfBounds(text) != "":
		return Shape{None: "its text cannot be read"}
	}
	tree, err := pg.Parse(text)
	if err != nil || len(tree.Stmts) != 1 {
		return Shape{None: "its text cannot be read"}
	}
	statement := tree.Stmts[0].Stmt
	v := &openValues{constants: make(map[int32]bool), parameters: make(map[*pg.ParamRef]bool)}
	v.statement(statement)
	if hasOtherParameter(statement, v.parameters) {
		return Shape{None: "a parameter stands where its value could make another statement of it"}
	}
	for _, a := range factsOf(statement, "").Actions {
		if a.Where != WhereNone && a.Where != WherePresent {
			v.constants = nil
		}
	}
	s.Text = v.without(text)
	sum := sha256.Sum256([]byte(s.Text))
	s.ID = "sha256:" + hex.EncodeToString(sum[:])
	return s
}

// openValues are the places of a statement that its shape leaves open.
type openValues struct {
	constants  map[int32]bool // where they begin in the text
	parameters map[*pg.ParamRef]bool
}

// without writes the tokens of the text with one blank between them, without
// comments, and words as PostgreSQL folds them. That tells any two statements apart:
// where a token begins and ends in it is as certain as in the text itself.
func (v *openValues) without(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	s := scanner{text: text}
	for t := s.next(); t.kind != tokenEnd; t = s.next() {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		at := s.pos - len(t.text)
		switch {
		case t.kind == tokenWord:
			b.WriteString(foldedASCII(t.text))
		case v.constants[int32(at)] && t.kind == tokenNumber && strings.Trim(t.text, "0123456789.") == "":
			b.WriteString(anyNumber)
		case v.constants[int32(at)] && t.kind == tokenString && t.text[0] == '\'' && plainString(text, at) == s.pos:
			b.WriteString(anyText)
		default:
			b.WriteString(t.text)
		}
	}
	return b.String()
}

// foldedASCII folds a name as the server does in every encoding of more than one
// byte: other letters stay as they are, and so tell names apart.
func foldedASCII(word string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, word)
}

// statement finds the open values of a query, at whatever depth of WITH, FROM and
// WHERE. A statement of any other kind has none.
func (v *openValues) statement(n *pg.Node) {
	switch s := n.GetNode().(type) {
	case *pg.Node_SelectStmt:
		v.query(s.SelectStmt)
	case *pg.Node_InsertStmt:
		v.with(s.InsertStmt.WithClause)
		v.statement(s.InsertStmt.SelectStmt)
		for _, row := range s.InsertStmt.SelectStmt.GetSelectStmt().GetValuesLists() {
			v.written(row.GetList().GetItems())
		}
		if c := s.InsertStmt.OnConflictClause; c != nil {
			v.written(c.TargetList)
			v.condition(c.WhereClause)
		}
	case *pg.Node_UpdateStmt:
		v.with(s.UpdateStmt.WithClause)
		v.written(s.UpdateStmt.TargetList)
		v.from(s.UpdateStmt.FromClause)
		v.condition(s.UpdateStmt.WhereClause)
	case *pg.Node_DeleteStmt:
		v.with(s.DeleteStmt.WithClause)
		v.from(s.DeleteStmt.UsingClause)
		v.condition(s.DeleteStmt.WhereClause)
	case *pg.Node_MergeStmt:
		v.with(s.MergeStmt.WithClause)
		v.from([]*pg.Node{s.MergeStmt.SourceRelation})
		v.condition(s.MergeStmt.JoinCondition)
		for _, w := range s.MergeStmt.MergeWhenClauses {
			v.condition(w.GetMergeWhenClause().GetCondition())
			v.written(w.GetMergeWhenClause().GetTargetList())
			v.written(w.GetMergeWhenClause().GetValues())
		}
	}
}

func (v *openValues) query(q *pg.SelectStmt) {
	if q == nil {
		return
	}
	v.with(q.WithClause)
	v.query(q.Larg)
	v.query(q.Rarg)
	v.from(q.FromClause)
	v.condition(q.WhereClause)
	v.condition(q.HavingClause)
}

func (v *openValues) with(c *pg.WithClause) {
	for _, q := range c.GetCtes() {
		v.statement(q.GetCommonTableExpr().GetCtequery())
	}
}

func (v *openValues) from(list []*pg.Node) {
	for _, n := range list {
		switch e := n.GetNode().(type) {
		case *pg.Node_JoinExpr:
			v.from([]*pg.Node{e.JoinExpr.Larg, e.JoinExpr.Rarg})
			v.condition(e.JoinExpr.Quals)
		case *pg.Node_RangeSubselect:
			v.statement(e.RangeSubselect.Subquery)
		}
	}
}

// written finds the parameters that are written as they come. A constant that is
// written stays: is_admin = 't' is another change than is_admin = 'f'.
func (v *openValues) written(list []*pg.Node) {
	for _, n := range list {
		if t := n.GetResTarget(); t != nil {
			n = t.Val
		}
		if c := n.GetTypeCast(); c != nil && plainType(c.TypeName) {
			n = c.Arg
		}
		if p := n.GetParamRef(); p != nil {
			v.parameters[p] = true
		}
	}
}

// condition finds the comparisons of a WHERE.
func (v *openValues) condition(n *pg.Node) {
	switch e := n.GetNode().(type) {
	case *pg.Node_BoolExpr:
		for _, arg := range e.BoolExpr.Args {
			v.condition(arg)
		}
	case *pg.Node_SubLink:
		v.statement(e.SubLink.Subselect)
	case *pg.Node_AExpr:
		v.comparison(e.AExpr)
	}
}

func (v *openValues) comparison(e *pg.A_Expr) {
	v.condition(e.Lexpr) // a sub-select may stand on either side
	v.condition(e.Rexpr)
	name := operatorName(e.Name)
	switch e.Kind {
	case pg.A_Expr_Kind_AEXPR_OP:
		if !slices.Contains([]string{"=", "<>", "<", "<=", ">", ">="}, name) {
			return
		}
		if holdsColumn(e.Lexpr) && !holdsColumn(e.Rexpr) {
			v.value(e.Rexpr)
		} else if holdsColumn(e.Rexpr) && !holdsColumn(e.Lexpr) {
			v.value(e.Lexpr)
		}
	case pg.A_Expr_Kind_AEXPR_OP_ANY: // = ANY of an empty list finds nothing, <> ALL of one everything
		if name == "=" && holdsColumn(e.Lexpr) {
			v.constant(e.Rexpr, true)
		}
	case pg.A_Expr_Kind_AEXPR_IN, pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN,
		pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		for _, item := range e.Rexpr.GetList().GetItems() {
			if holdsColumn(e.Lexpr) && !holdsColumn(item) {
				v.value(item)
			}
		}
	case pg.A_Expr_Kind_AEXPR_DISTINCT, pg.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		if holdsColumn(e.Lexpr) && !holdsColumn(e.Rexpr) {
			v.value(e.Rexpr)
		}
	}
}

// value finds what is open in an expression without columns: now() - interval '30
// days'. What a function in it is given is not.
func (v *openValues) value(n *pg.Node) {
	if e := n.GetAExpr(); e != nil && e.Kind == pg.A_Expr_Kind_AEXPR_OP {
		if name := operatorName(e.Name); name == "+" || name == "-" {
			v.value(e.Lexpr)
			v.value(e.Rexpr)
		}
		return
	}
	v.constant(n, false)
}

func (v *openValues) constant(n *pg.Node, array bool) {
	if c := n.GetTypeCast(); c != nil {
		if !plainType(c.TypeName) || len(c.TypeName.ArrayBounds) > 0 && !array {
			return
		}
		n = c.Arg
	}
	if p := n.GetParamRef(); p != nil {
		v.parameters[p] = true
	}
	switch c := n.GetAConst(); {
	case c == nil || c.Isnull || c.Location <= 0:
	case c.GetIval() != nil, c.GetFval() != nil, c.GetSval() != nil:
		v.constants[c.Location] = true
	}
}

// plainType recognises the types whose values are no more than that. A regclass
// names a table.
func plainType(t *pg.TypeName) bool {
	parts := words(t.GetNames())
	if len(parts) == 2 && parts[0] == "pg_catalog" {
		parts = parts[1:]
	}
	return len(parts) == 1 && !t.GetSetof() && slices.Contains([]string{"int2", "int4", "int8", "float4", "float8", "numeric",
		"text", "varchar", "bpchar", "uuid", "date", "time", "timetz", "timestamp", "timestamptz", "interval"}, parts[0])
}

// hasOtherParameter says whether there is a parameter that is not among the known.
func hasOtherParameter(n *pg.Node, known map[*pg.ParamRef]bool) bool {
	if p := n.GetParamRef(); p != nil {
		return !known[p]
	}
	return n.GetNode() != nil && slices.ContainsFunc(childNodes(n), func(m *pg.Node) bool { return hasOtherParameter(m, known) })
}

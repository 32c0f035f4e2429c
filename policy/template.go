package policy

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// A template is the tree of one plain INSERT, UPDATE or DELETE. That of any other text
// of its shape is the same tree with other constants in it: the grammar goes by what
// a token is, and texts of one shape have the same tokens but for the values of plain
// constants. So the C parser is spared: the facts are read from the tree with the
// constants of this very text in their places, and judged anew, but where they can
// make no difference: see lendable.
//
// A text has a template only where that is beyond doubt: each of its constants stands
// in the tree once, with its place and its value, below nothing but the nodes that
// substitution knows, and putting the same constants back gives an equal tree. What
// the grammar computes (-5, float(24), 'a' 'b' on two lines, 1e-5) is not found so.
// The locations in a tree made from a template are those of the first text.
//
// What it spares is measured at the gate as a whole: see BenchmarkGate in ../proxy.
type template struct {
	statement  *pg.Node
	constants  []constantKind // of the text, in order
	order      []int          // which of them each constant of the tree is, as substitution meets those; -1 for none
	head, tail int            // the bytes before and behind the statement
	first      *Facts         // of the first text, where they are lent to others; see lendable
}

// A constant is a plain one that a shape leaves out.
type constant struct {
	start, end int32
	kind       constantKind
}

// constants are those of a text, in order. One with more has no template.
type constants struct {
	list [32]constant
	n    int
}

func (c *constants) all() []constant { return c.list[:min(c.n, len(c.list))] }

func (c *constants) add(start, end int, kind constantKind) {
	if c.n < len(c.list) {
		c.list[c.n] = constant{int32(start), int32(end), kind}
	}
	c.n++
}

type constantKind uint8

const (
	plainInteger constantKind = iota // within int4
	largeInteger
	plainDecimal // with a point
	plainText
)

// number adds the digits of text from start to end, or the number with a point that
// they are part of.
func (c *constants) number(text string, start, end int) {
	kind := plainInteger
	digits := strings.TrimLeft(text[start:end], "0")
	if len(digits) > len(greatestInteger) || len(digits) == len(greatestInteger) && digits > greatestInteger {
		kind = largeInteger
	}
	if start > 0 && text[start-1] == '.' {
		if last := c.n - 1; last >= 0 && last < len(c.list) && int(c.list[last].end) == start && c.list[last].kind == plainDecimal {
			start, c.n = int(c.list[last].start), last
		} else {
			start--
		}
		kind = plainDecimal
	}
	if end < len(text) && text[end] == '.' {
		kind = plainDecimal
		end++
	}
	c.add(start, end, kind)
}

const greatestInteger = "2147483647"

// value is what the parser makes of the constant.
func (c constant) value(text string) *pg.A_Const {
	text = text[c.start:c.end]
	switch c.kind {
	case plainInteger:
		if n, err := strconv.ParseInt(text, 10, 32); err == nil {
			return &pg.A_Const{Val: &pg.A_Const_Ival{Ival: &pg.Integer{Ival: int32(n)}}}
		}
	case largeInteger, plainDecimal:
		return &pg.A_Const{Val: &pg.A_Const_Fval{Fval: &pg.Float{Fval: text}}}
	case plainText:
		return &pg.A_Const{Val: &pg.A_Const_Sval{Sval: &pg.String{Sval: strings.ReplaceAll(text[1:len(text)-1], "''", "'")}}}
	}
	return &pg.A_Const{}
}

// isWrite says whether a message is one statement that may have a template.
func isWrite(facts []*Facts) bool {
	return len(facts) == 1 && (facts[0].Class == classInsert || facts[0].Class == classUpdate || facts[0].Class == classDelete)
}

// newTemplate gives the template of a text that has been parsed, or nil.
func newTemplate(text string, tree *pg.ParseResult, facts *Facts, leftOut *constants) *template {
	if tree == nil || len(tree.Stmts) != 1 || len(text) >= bulkText || leftOut.n > len(leftOut.list) {
		return nil
	}
	raw := tree.Stmts[0]
	t := &template{statement: raw.Stmt, head: int(raw.StmtLocation)}
	if raw.StmtLen > 0 {
		t.tail = len(text) - t.head - int(raw.StmtLen)
	}
	constants := slices.Clone(leftOut.all()) // those of the caller can stay on its stack
	at := make(map[int32]int)
	for i, c := range constants {
		at[c.start] = i
		t.constants = append(t.constants, c.kind)
	}
	found := 0
	s := substitution{put: func(c *pg.A_Const) *pg.A_Const {
		i, ok := at[c.Location]
		if !ok {
			t.order = append(t.order, -1)
			return c
		}
		found++
		t.order = append(t.order, i)
		delete(at, c.Location)
		put := constants[i].value(text)
		put.Location = c.Location
		return put
	}}
	if !proto.Equal(s.node(raw.Stmt), raw.Stmt) || found != len(constants) || countConstants(raw.Stmt) != len(t.order) {
		return nil
	}
	if facts.lendable() {
		t.first = facts
	}
	return t
}

func countConstants(n *pg.Node) int {
	if n.GetAConst() != nil {
		return 1
	}
	if n.GetNode() == nil {
		return 0
	}
	all := 0
	for _, c := range childNodes(n) {
		all += countConstants(c)
	}
	return all
}

// facts gives the facts of a text of the same shape, or nil where the template is not
// for its constants.
func (t *template) facts(text string, leftOut *constants) *Facts {
	if t == nil || leftOut.n != len(t.constants) || len(text) >= bulkText || !utf8.ValidString(text) {
		return nil
	}
	for i, kind := range t.constants {
		if leftOut.list[i].kind != kind {
			return nil
		}
	}
	if t.first != nil {
		return t.lend(text)
	}
	return t.read(text, leftOut)
}

// read reads the facts of a text from the tree with its constants.
func (t *template) read(text string, leftOut *constants) (f *Facts) {
	defer func() {
		if recover() != nil { // it is parsed, then
			f = nil
		}
	}()
	constants := slices.Clone(leftOut.all())
	met := 0
	s := substitution{put: func(c *pg.A_Const) *pg.A_Const {
		i := t.order[met]
		met++
		if i < 0 {
			return c
		}
		put := constants[i].value(text)
		put.Location = c.Location
		return put
	}}
	return factsOfText(s.node(t.statement), text[t.head:len(text)-t.tail])
}

// A substitution copies what is above the constants of a tree that it puts others in
// the place of; all else is shared.
type substitution struct {
	put func(*pg.A_Const) *pg.A_Const
}

func (s *substitution) node(n *pg.Node) *pg.Node {
	switch e := n.GetNode().(type) {
	case *pg.Node_AConst:
		if c := s.put(e.AConst); c != e.AConst {
			return &pg.Node{Node: &pg.Node_AConst{AConst: c}}
		}
	case *pg.Node_AExpr:
		x := e.AExpr
		if l, r := s.node(x.Lexpr), s.node(x.Rexpr); l != x.Lexpr || r != x.Rexpr {
			return &pg.Node{Node: &pg.Node_AExpr{AExpr: &pg.A_Expr{Kind: x.Kind, Name: x.Name, Lexpr: l, Rexpr: r, Location: x.Location}}}
		}
	case *pg.Node_BoolExpr:
		x := e.BoolExpr
		if args, changed := s.list(x.Args); changed {
			return &pg.Node{Node: &pg.Node_BoolExpr{BoolExpr: &pg.BoolExpr{Boolop: x.Boolop, Args: args, Location: x.Location}}}
		}
	case *pg.Node_TypeCast:
		x := e.TypeCast
		if arg := s.node(x.Arg); arg != x.Arg {
			return &pg.Node{Node: &pg.Node_TypeCast{TypeCast: &pg.TypeCast{Arg: arg, TypeName: x.TypeName, Location: x.Location}}}
		}
	case *pg.Node_List:
		if items, changed := s.list(e.List.Items); changed {
			return &pg.Node{Node: &pg.Node_List{List: &pg.List{Items: items}}}
		}
	case *pg.Node_ResTarget:
		x := e.ResTarget
		if val := s.node(x.Val); val != x.Val {
			return &pg.Node{Node: &pg.Node_ResTarget{ResTarget: &pg.ResTarget{Name: x.Name, Indirection: x.Indirection, Val: val, Location: x.Location}}}
		}
	case *pg.Node_UpdateStmt:
		x := e.UpdateStmt
		targets, changed := s.list(x.TargetList)
		if where := s.node(x.WhereClause); changed || where != x.WhereClause {
			return &pg.Node{Node: &pg.Node_UpdateStmt{UpdateStmt: &pg.UpdateStmt{
				Relation: x.Relation, TargetList: targets, WhereClause: where, FromClause: x.FromClause,
				ReturningList: x.ReturningList, WithClause: x.WithClause,
			}}}
		}
	case *pg.Node_DeleteStmt:
		x := e.DeleteStmt
		if where := s.node(x.WhereClause); where != x.WhereClause {
			return &pg.Node{Node: &pg.Node_DeleteStmt{DeleteStmt: &pg.DeleteStmt{
				Relation: x.Relation, UsingClause: x.UsingClause, WhereClause: where, ReturningList: x.ReturningList, WithClause: x.WithClause,
			}}}
		}
	case *pg.Node_InsertStmt:
		x := e.InsertStmt
		if query := s.node(x.SelectStmt); query != x.SelectStmt {
			return &pg.Node{Node: &pg.Node_InsertStmt{InsertStmt: &pg.InsertStmt{
				Relation: x.Relation, Cols: x.Cols, SelectStmt: query, OnConflictClause: x.OnConflictClause,
				ReturningList: x.ReturningList, WithClause: x.WithClause, Override: x.Override,
			}}}
		}
	case *pg.Node_SelectStmt: // VALUES
		x := e.SelectStmt
		if rows, changed := s.list(x.ValuesLists); changed {
			return &pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: &pg.SelectStmt{ValuesLists: rows, LimitOption: x.LimitOption, Op: x.Op}}}
		}
	}
	return n
}

// list gives the list itself where nothing in it is changed.
func (s *substitution) list(nodes []*pg.Node) (put []*pg.Node, changed bool) {
	put = nodes
	for i, n := range nodes {
		m := s.node(n)
		if m == n {
			continue
		}
		if !changed {
			put, changed = slices.Clone(nodes), true
		}
		put[i] = m
	}
	return put, changed
}

package policy

import (
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// setval is what loaders and people repair a sequence with whose table has rows of
// higher numbers. Set back, INSERTs fail or take numbers that are in use; set to
// the end, there is none left. So it is let through where the catalogue shows
// that it goes forward by a step that is small beside the numbers given so far,
// or where it goes to the highest number in the very table that the sequence is
// for.

// A sequenceMove is where setval sets a sequence to.
type sequenceMove struct {
	to int64 // the last number given from then on; 0 where it is that of a table

	// of is the table whose highest number it is.
	of Table
}

// maxStep is how far a sequence may go forward without being asked about: that
// many, or a tenth of what it has given.
const maxStep = 1000

// setval adds a call of setval. Two are two actions.
func (w *walker) setval(c *pg.FuncCall, name, carrier string) {
	a := Action{Class: classSetval, Carrier: carrier}
	a.Tables, a.moves = moveOf(c, w.from)
	if a.moves == nil || a.moves.of.Schema == "" && w.mentions.queries[a.moves.of.Name] { // a query of WITH
		w.merged(Action{Class: classSetval, Carrier: carrier}, name)
		return
	}
	a.Functions = []string{name}
	w.add(a)
}

// moveOf reads the arguments of setval, or gives nil where they are neither a
// number nor the highest one of the sequence's own table. from is the table of the
// SELECT that the call stands in, if it reads one table whole.
func moveOf(c *pg.FuncCall, from *pg.RangeVar) ([]Table, *sequenceMove) {
	if len(c.Args) < 2 || len(c.Args) > 3 {
		return nil, nil
	}
	called := len(c.Args) == 2 || isConstantTrue(c.Args[2])
	if text, ok := constantText(c.Args[1]); ok {
		n, err := strconv.ParseInt(text, 10, 64)
		sequence, named := relationText(c.Args[0])
		if err != nil || n <= 0 || !named || !called {
			return nil, nil
		}
		return []Table{sequence}, &sequenceMove{to: n}
	}
	h := highest{from: from}
	if !h.read(c.Args[1]) || h.table == nil || h.column == "" {
		return nil, nil
	}
	if !called && !h.next && !isNotNull(c.Args[2]) {
		return nil, nil
	}
	of := Table{Schema: h.table.Schemaname, Name: h.table.Relname}
	sequence, named := relationText(c.Args[0])
	if !named {
		sequence, named = serialSequence(c.Args[0], of, h.column)
	}
	if !named || sequence.Schema != of.Schema || sequence.Name != of.Name+"_"+h.column+"_seq" {
		return nil, nil
	}
	return []Table{sequence}, &sequenceMove{of: of}
}

// highest reads max(c), coalesce(max(c), 1), max(c) + 1 and (SELECT max(c) FROM t).
type highest struct {
	from   *pg.RangeVar
	table  *pg.RangeVar
	column string
	next   bool // one more than the highest
}

func (h *highest) read(n *pg.Node) bool {
	switch e := n.GetNode().(type) {
	case *pg.Node_FuncCall:
		f := e.FuncCall
		column := ""
		if len(f.Args) == 1 {
			if fields := f.Args[0].GetColumnRef().GetFields(); len(fields) == 1 {
				column = fields[0].GetString_().GetSval()
			}
		}
		if t := named(words(f.Funcname)); t.Name != "max" || t.Schema != "" && t.Schema != "pg_catalog" || f.AggFilter != nil || f.Over != nil || f.AggWithinGroup || len(f.AggOrder) > 0 {
			return false
		}
		h.table, h.column = h.from, column
		return column != ""
	case *pg.Node_CoalesceExpr:
		args := e.CoalesceExpr.Args
		if len(args) != 2 {
			return false
		}
		_, constant := constantText(args[1])
		return constant && h.read(args[0])
	case *pg.Node_AExpr:
		one, _ := constantText(e.AExpr.Rexpr)
		if dotted(e.AExpr.Name) != "+" || one != "1" || h.next {
			return false
		}
		h.next = true
		return h.read(e.AExpr.Lexpr)
	case *pg.Node_SubLink:
		q := e.SubLink.Subselect.GetSelectStmt()
		if e.SubLink.SubLinkType != pg.SubLinkType_EXPR_SUBLINK || len(q.GetTargetList()) != 1 {
			return false
		}
		if h.from = wholeTable(q); h.from == nil {
			return false
		}
		return h.read(q.TargetList[0].GetResTarget().GetVal())
	}
	return false
}

// wholeTable gives the table of a SELECT that reads one and leaves out none of its
// rows, or nil.
func wholeTable(q *pg.SelectStmt) *pg.RangeVar {
	if q == nil || len(q.FromClause) != 1 || q.WhereClause != nil || len(q.GroupClause) > 0 || q.HavingClause != nil || q.WithClause != nil ||
		q.LimitCount != nil || q.LimitOffset != nil || q.Op > pg.SetOperation_SETOP_NONE {
		return nil
	}
	if v := q.FromClause[0].GetRangeVar(); v.GetInh() {
		return v
	}
	return nil
}

// isNotNull recognises max(c) IS NOT NULL, by which a sequence is set back to
// its start where the table is empty.
func isNotNull(n *pg.Node) bool {
	t := n.GetNullTest()
	return t.GetNulltesttype() == pg.NullTestType_IS_NOT_NULL && new(highest).read(t.GetArg())
}

func isConstantTrue(n *pg.Node) bool {
	text, _ := constantText(n)
	b, ok := booleanText(text)
	return ok && b
}

// relationText reads a constant that names a relation, 'public."T"'.
func relationText(n *pg.Node) (Table, bool) {
	text, ok := constantText(n)
	if !ok {
		return Table{}, false
	}
	var parts []string
	s := scanner{text: text}
	for {
		t := s.next()
		switch {
		case t.kind == tokenWord:
			parts = append(parts, t.word())
		case t.kind == tokenQuoted && t.text[0] == '"':
			parts = append(parts, strings.ReplaceAll(t.text[1:len(t.text)-1], `""`, `"`))
		default:
			return Table{}, false
		}
		if t = s.next(); t.kind == tokenEnd {
			return named(parts), !s.unterminated && len(parts) <= 2
		} else if t.text != "." {
			return Table{}, false
		}
	}
}

// serialSequence reads pg_get_serial_sequence('t', 'c') of that very table and
// column. The sequence has the name that such a one is made with, or the move is
// not found in the catalogue.
func serialSequence(n *pg.Node, of Table, column string) (Table, bool) {
	f := n.GetFuncCall()
	if t := named(words(f.GetFuncname())); t.Name != "pg_get_serial_sequence" || t.Schema != "" && t.Schema != "pg_catalog" || len(f.Args) != 2 {
		return Table{}, false
	}
	table, ok := relationText(f.Args[0])
	name, _ := constantText(f.Args[1])
	return Table{Schema: of.Schema, Name: of.Name + "_" + column + "_seq"}, ok && table == of && name == column
}

// forward says whether the catalogue shows that a setval does no harm.
func (c *Catalog) forward(a *Action) bool {
	if a.moves == nil || !c.sameNames || !c.sameRows || len(a.Tables) != 1 {
		return false
	}
	sequence := c.relationNamed(a.Tables[0])
	if sequence == nil || sequence.Kind != "S" || sequence.Temporary {
		return false
	}
	if of := a.moves.of; of.Name != "" {
		t := c.relationNamed(of)
		return t != nil && slices.Contains([]string{"r", "p"}, t.Kind) && !t.Temporary && !t.RowSecurity && t.Schema == sequence.Schema
	}
	last := sequence.LastValue
	return last != nil && *last > 0 && a.moves.to >= *last && a.moves.to-*last <= max(maxStep, *last/10)
}

package policy

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// visit walks an expression, a query or anything else below a statement and
// adds what it does. Statements that change rows are statements wherever they
// stand; a SELECT below another statement adds nothing of itself.
//
// The nodes that make up most of any tree are named here; every other node is
// walked field by field, so that none can be forgotten.
func (w *walker) visit(n *pg.Node, carrier string) {
	switch e := n.GetNode().(type) {
	case *pg.Node_ParamRef:
		w.mentions.parameter(e.ParamRef.Number)
	case nil, *pg.Node_AConst, *pg.Node_String_, *pg.Node_Integer, *pg.Node_SetToDefault, *pg.Node_AStar, *pg.Node_CurrentOfExpr:
	case *pg.Node_RangeVar:
		w.hides(NameRelation, tableOf(e.RangeVar))
	case *pg.Node_TypeName:
		w.typed(e.TypeName)
	case *pg.Node_ColumnRef:
		if len(e.ColumnRef.Fields) > 1 {
			w.attribute(e.ColumnRef.Fields)
		}
	case *pg.Node_AIndirection:
		for i := range e.AIndirection.Indirection {
			w.attribute(e.AIndirection.Indirection[i : i+1])
		}
		w.visit(e.AIndirection.Arg, carrier)
		w.list(e.AIndirection.Indirection, carrier)
	case *pg.Node_InsertStmt, *pg.Node_UpdateStmt, *pg.Node_DeleteStmt, *pg.Node_MergeStmt:
		w.statement(n, carrier)
	case *pg.Node_SelectStmt:
		w.query(e.SelectStmt, carrier)
	case *pg.Node_List:
		w.list(e.List.Items, carrier)
	case *pg.Node_ResTarget:
		w.list(e.ResTarget.Indirection, carrier)
		w.visit(e.ResTarget.Val, carrier)
	case *pg.Node_AExpr:
		w.operators()
		switch e.AExpr.Kind {
		case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN,
			pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
			// The name is BETWEEN; the server makes <= and >= of it.
		default:
			w.operator(e.AExpr.Name, carrier)
		}
		w.visit(e.AExpr.Lexpr, carrier)
		w.visit(e.AExpr.Rexpr, carrier)
	case *pg.Node_BoolExpr:
		w.list(e.BoolExpr.Args, carrier)
	case *pg.Node_TypeCast:
		w.typed(e.TypeCast.TypeName)
		w.visit(e.TypeCast.Arg, carrier)
	case *pg.Node_FuncCall:
		w.call(e.FuncCall, carrier)
		w.list(e.FuncCall.Args, carrier)
		w.list(e.FuncCall.AggOrder, carrier)
		w.visit(e.FuncCall.AggFilter, carrier)
		if e.FuncCall.Over != nil {
			w.children(e.FuncCall.Over.ProtoReflect(), carrier)
		}
	case *pg.Node_CaseExpr:
		w.operators()
		w.visit(e.CaseExpr.Arg, carrier)
		w.list(e.CaseExpr.Args, carrier)
		w.visit(e.CaseExpr.Defresult, carrier)
	case *pg.Node_SubLink:
		w.operators()
		w.operator(e.SubLink.OperName, carrier)
		w.visit(e.SubLink.Testexpr, carrier)
		w.visit(e.SubLink.Subselect, carrier)
	case *pg.Node_SortBy:
		w.operator(e.SortBy.UseOp, carrier)
		w.visit(e.SortBy.Node, carrier)
	case *pg.Node_RangeSubselect:
		w.visit(e.RangeSubselect.Subquery, carrier)
	case *pg.Node_RangeTableSample:
		// A sampling method is a function; the built-in ones read.
		if m := words(e.RangeTableSample.Method); len(m) != 1 || m[0] != "system" && m[0] != "bernoulli" {
			w.opaque(dotted(e.RangeTableSample.Method), carrier)
		}
		w.list(e.RangeTableSample.Args, carrier)
		w.visit(e.RangeTableSample.Repeatable, carrier)
		w.visit(e.RangeTableSample.Relation, carrier)
	case *pg.Node_JoinExpr:
		w.visit(e.JoinExpr.Larg, carrier)
		w.visit(e.JoinExpr.Rarg, carrier)
		w.visit(e.JoinExpr.Quals, carrier)
	case *pg.Node_NullTest:
		w.visit(e.NullTest.Arg, carrier)
	case *pg.Node_CommonTableExpr:
		w.mentions.query(e.CommonTableExpr.Ctename)
		if q := e.CommonTableExpr.Ctequery; q.GetSelectStmt() != nil {
			w.visit(q, carrier)
		} else {
			w.statement(q, within(carrier, "WITH"))
		}
	default:
		w.children(statementMessage(n), carrier)
	}
}

func (w *walker) list(nodes []*pg.Node, carrier string) {
	for _, n := range nodes {
		w.visit(n, carrier)
	}
}

func (w *walker) with(c *pg.WithClause, carrier string) { w.list(c.GetCtes(), carrier) }

// children visits the nodes in every field of a message.
func (w *walker) children(m protoreflect.Message, carrier string) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.MessageKind:
		case f.IsList():
			for i := range v.List().Len() {
				w.message(v.List().Get(i).Message(), carrier)
			}
		default:
			w.message(v.Message(), carrier)
		}
		return true
	})
}

func (w *walker) message(m protoreflect.Message, carrier string) {
	switch n := m.Interface().(type) {
	case *pg.Node:
		w.visit(n, carrier)
	case *pg.SelectStmt:
		w.query(n, carrier)
	case *pg.TypeName:
		w.typed(n)
	case *pg.FuncCall:
		w.visit(&pg.Node{Node: &pg.Node_FuncCall{FuncCall: n}}, carrier)
	default:
		w.children(m, carrier)
	}
}

// query walks a SELECT at any depth.
func (w *walker) query(s *pg.SelectStmt, carrier string) {
	for s.GetOp() != pg.SetOperation_SETOP_NONE && s.GetOp() != pg.SetOperation_SET_OPERATION_UNDEFINED {
		// UNION leans to the left: walk down there, recurse to the right.
		w.with(s.WithClause, carrier)
		w.tail(s, carrier)
		w.query(s.Rarg, carrier)
		s = s.Larg
	}
	if s == nil {
		return
	}
	w.with(s.WithClause, carrier)
	w.list(s.DistinctClause, carrier)
	around := w.from
	w.from = wholeTable(s)
	w.list(s.TargetList, carrier)
	w.from = around
	w.list(s.FromClause, carrier)
	w.visit(s.WhereClause, carrier)
	w.list(s.GroupClause, carrier)
	w.visit(s.HavingClause, carrier)
	w.list(s.WindowClause, carrier)
	w.list(s.ValuesLists, carrier)
	w.tail(s, carrier)
}

// tail walks what a SELECT and a UNION both may end in.
func (w *walker) tail(s *pg.SelectStmt, carrier string) {
	w.list(s.SortClause, carrier)
	w.visit(s.LimitOffset, carrier)
	w.visit(s.LimitCount, carrier)
	if len(s.LockingClause) > 0 {
		w.lockRows(s, carrier)
	}
}

// lockRows adds SELECT ... FOR UPDATE, NO KEY UPDATE, SHARE or KEY SHARE.
func (w *walker) lockRows(s *pg.SelectStmt, carrier string) {
	a := Action{Class: classSelectForUpdate, Carrier: carrier}
	var from []*pg.RangeVar
	for _, n := range s.FromClause {
		from = append(from, rangeVars(n)...)
	}
	for _, n := range s.LockingClause {
		locked := n.GetLockingClause().GetLockedRels()
		for _, r := range from {
			if len(locked) == 0 || slices.ContainsFunc(locked, func(l *pg.Node) bool {
				return l.GetRangeVar().GetRelname() == visibleName(r)
			}) {
				if t := tableOf(r); !slices.Contains(a.Tables, t) {
					a.Tables = append(a.Tables, t)
				}
			}
		}
	}
	switch {
	case len(from) == 1 && len(s.FromClause) == 1 && s.LimitCount == nil:
		w.judgedBy(&a, from[0], nil, s.WhereClause)
	default:
		a.Where, a.Proof = WherePresent, "a join or LIMIT narrows it"
	}
	w.add(a)
}

// rangeVars lists the relations of an item of FROM, those of joins included.
func rangeVars(n *pg.Node) []*pg.RangeVar {
	switch e := n.GetNode().(type) {
	case *pg.Node_RangeVar:
		return []*pg.RangeVar{e.RangeVar}
	case *pg.Node_JoinExpr:
		return append(rangeVars(e.JoinExpr.Larg), rangeVars(e.JoinExpr.Rarg)...)
	case *pg.Node_RangeTableSample:
		return rangeVars(e.RangeTableSample.Relation)
	}
	return nil
}

// visibleName is the name under which the rest of a statement knows a relation.
func visibleName(r *pg.RangeVar) string {
	if r.GetAlias() != nil {
		return r.Alias.Aliasname
	}
	return r.GetRelname()
}

package policy

import (
	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// childNodes lists the nodes directly below a node, whatever it is. A SELECT
// that stands in a field of its own type is given as a node.
func childNodes(n *pg.Node) []*pg.Node {
	switch e := n.GetNode().(type) {
	case *pg.Node_AExpr:
		return []*pg.Node{e.AExpr.Lexpr, e.AExpr.Rexpr}
	case *pg.Node_BoolExpr:
		return e.BoolExpr.Args
	case *pg.Node_List:
		return e.List.Items
	case *pg.Node_ResTarget:
		return append([]*pg.Node{e.ResTarget.Val}, e.ResTarget.Indirection...)
	case *pg.Node_TypeCast:
		return []*pg.Node{e.TypeCast.Arg}
	case *pg.Node_ColumnRef:
		return e.ColumnRef.Fields
	case *pg.Node_RangeVar, *pg.Node_AConst, *pg.Node_ParamRef, *pg.Node_String_, *pg.Node_Integer:
		return nil
	}
	var all []*pg.Node
	if m := statementMessage(n); m != nil {
		all = collect(m, nil)
	}
	return all
}

func collect(m protoreflect.Message, all []*pg.Node) []*pg.Node {
	add := func(c protoreflect.Message) {
		switch v := c.Interface().(type) {
		case *pg.Node:
			all = append(all, v)
		case *pg.SelectStmt:
			all = append(all, &pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: v}})
		default:
			all = collect(c, all)
		}
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.MessageKind:
		case f.IsList():
			for i := range v.List().Len() {
				add(v.List().Get(i).Message())
			}
		default:
			add(v.Message())
		}
		return true
	})
	return all
}

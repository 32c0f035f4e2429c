package policy

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// tables gives the relation, if there is one, as a list.
func tables(r *pg.RangeVar) []Table {
	if r == nil {
		return nil
	}
	return []Table{tableOf(r)}
}

// tableOf names a relation. A temporary one that is about to be made is in
// pg_temp, whatever else its name says.
func tableOf(r *pg.RangeVar) Table {
	t := Table{Schema: r.Schemaname, Name: r.Relname}
	if r.Relpersistence == "t" && t.Schema == "" {
		t.Schema = "pg_temp"
	}
	return t
}

// words gives the strings of a list of names.
func words(list []*pg.Node) []string {
	all := make([]string, 0, len(list))
	for _, n := range list {
		if s := n.GetString_(); s != nil {
			all = append(all, s.Sval)
		}
	}
	return all
}

// named splits a qualified name; a database in front is left out.
func named(parts []string) Table {
	switch n := len(parts); n {
	case 0:
		return Table{}
	case 1:
		return Table{Name: parts[0]}
	default:
		return Table{Schema: parts[n-2], Name: parts[n-1]}
	}
}

func dotted(list []*pg.Node) string { return strings.Join(words(list), ".") }

// objectOf names the object of a DROP or an ALTER, which the grammar writes in
// several ways.
func objectOf(kind pg.ObjectType, n *pg.Node) Table {
	switch o := n.GetNode().(type) {
	case *pg.Node_String_:
		return Table{Name: o.String_.Sval}
	case *pg.Node_RangeVar:
		return tableOf(o.RangeVar)
	case *pg.Node_TypeName:
		return named(words(o.TypeName.Names))
	case *pg.Node_ObjectWithArgs:
		return named(words(o.ObjectWithArgs.Objname))
	case *pg.Node_List:
		parts := words(o.List.Items)
		switch kind {
		case pg.ObjectType_OBJECT_TRIGGER, pg.ObjectType_OBJECT_RULE, pg.ObjectType_OBJECT_POLICY:
			// The name comes last; what it hangs on is what is acted upon.
			if len(parts) > 1 {
				return named(parts[:len(parts)-1])
			}
		}
		return named(parts)
	}
	return Table{}
}

// targetNames gives the columns that the SET of an UPDATE names.
func targetNames(list []*pg.Node) []string {
	all := make([]string, 0, len(list))
	for _, n := range list {
		all = append(all, n.GetResTarget().GetName())
	}
	return all
}

func objects(kind pg.ObjectType, list []*pg.Node) []Table {
	all := make([]Table, 0, len(list))
	for _, n := range list {
		all = append(all, objectOf(kind, n))
	}
	return all
}

func relations(list []*pg.Node) []Table {
	all := make([]Table, 0, len(list))
	for _, n := range list {
		switch r := n.GetNode().(type) {
		case *pg.Node_RangeVar:
			all = append(all, tableOf(r.RangeVar))
		case *pg.Node_VacuumRelation:
			all = append(all, tables(r.VacuumRelation.Relation)...)
		}
	}
	return all
}

func roles(list []*pg.Node) []Table {
	all := make([]Table, 0, len(list))
	for _, n := range list {
		all = append(all, Table{Name: n.GetRoleSpec().GetRolename()})
	}
	return all
}

// objectsOf names what a statement acts upon, and says whether it cascades.
func objectsOf(n *pg.Node) (_ []Table, cascade bool) {
	const cascades = pg.DropBehavior_DROP_CASCADE
	switch s := n.GetNode().(type) {
	case *pg.Node_DropStmt:
		return objects(s.DropStmt.RemoveType, s.DropStmt.Objects), s.DropStmt.Behavior == cascades
	case *pg.Node_TruncateStmt:
		return relations(s.TruncateStmt.Relations), s.TruncateStmt.Behavior == cascades
	case *pg.Node_DropdbStmt:
		return []Table{{Name: s.DropdbStmt.Dbname}}, false
	case *pg.Node_DropRoleStmt:
		return roles(s.DropRoleStmt.Roles), false
	case *pg.Node_DropOwnedStmt:
		return roles(s.DropOwnedStmt.Roles), s.DropOwnedStmt.Behavior == cascades
	case *pg.Node_ReassignOwnedStmt:
		return roles(s.ReassignOwnedStmt.Roles), false
	case *pg.Node_DropTableSpaceStmt:
		return []Table{{Name: s.DropTableSpaceStmt.Tablespacename}}, false
	case *pg.Node_DropSubscriptionStmt:
		return []Table{{Name: s.DropSubscriptionStmt.Subname}}, s.DropSubscriptionStmt.Behavior == cascades
	case *pg.Node_DropUserMappingStmt:
		return []Table{{Name: s.DropUserMappingStmt.Servername}}, false
	case *pg.Node_RenameStmt:
		if s.RenameStmt.Relation != nil {
			return tables(s.RenameStmt.Relation), s.RenameStmt.Behavior == cascades
		}
		if s.RenameStmt.Object == nil {
			return []Table{{Name: s.RenameStmt.Subname}}, false
		}
		return []Table{objectOf(s.RenameStmt.RenameType, s.RenameStmt.Object)}, false
	case *pg.Node_AlterObjectSchemaStmt:
		if s.AlterObjectSchemaStmt.Relation != nil {
			return tables(s.AlterObjectSchemaStmt.Relation), false
		}
		return []Table{objectOf(s.AlterObjectSchemaStmt.ObjectType, s.AlterObjectSchemaStmt.Object)}, false
	case *pg.Node_AlterOwnerStmt:
		if s.AlterOwnerStmt.Relation != nil {
			return tables(s.AlterOwnerStmt.Relation), false
		}
		return []Table{objectOf(s.AlterOwnerStmt.ObjectType, s.AlterOwnerStmt.Object)}, false
	case *pg.Node_GrantStmt:
		return objects(s.GrantStmt.Objtype, s.GrantStmt.Objects), s.GrantStmt.Behavior == cascades
	case *pg.Node_LockStmt:
		return relations(s.LockStmt.Relations), false
	case *pg.Node_VacuumStmt:
		return relations(s.VacuumStmt.Rels), false
	case *pg.Node_ReindexStmt:
		if s.ReindexStmt.Relation == nil {
			return []Table{{Name: s.ReindexStmt.Name}}, false
		}
		return tables(s.ReindexStmt.Relation), false
	case *pg.Node_CreateForeignTableStmt:
		return tables(s.CreateForeignTableStmt.BaseStmt.GetRelation()), false
	case *pg.Node_ViewStmt:
		return tables(s.ViewStmt.View), false
	case *pg.Node_CreateSeqStmt:
		return tables(s.CreateSeqStmt.Sequence), false
	case *pg.Node_AlterSeqStmt:
		return tables(s.AlterSeqStmt.Sequence), false
	case *pg.Node_AlterEnumStmt:
		return []Table{named(words(s.AlterEnumStmt.TypeName))}, false
	case *pg.Node_AlterDomainStmt:
		return []Table{named(words(s.AlterDomainStmt.TypeName))}, s.AlterDomainStmt.Behavior == cascades
	case *pg.Node_CreateFunctionStmt:
		return []Table{named(words(s.CreateFunctionStmt.Funcname))}, false
	case *pg.Node_CreatePolicyStmt:
		return tables(s.CreatePolicyStmt.Table), false
	case *pg.Node_AlterPolicyStmt:
		return tables(s.AlterPolicyStmt.Table), false
	case *pg.Node_CreatedbStmt:
		return []Table{{Name: s.CreatedbStmt.Dbname}}, false
	case *pg.Node_AlterDatabaseStmt:
		return []Table{{Name: s.AlterDatabaseStmt.Dbname}}, false
	case *pg.Node_AlterDatabaseSetStmt:
		return []Table{{Name: s.AlterDatabaseSetStmt.Dbname}}, false
	case *pg.Node_CreateRoleStmt:
		return []Table{{Name: s.CreateRoleStmt.Role}}, false
	case *pg.Node_AlterRoleStmt:
		return []Table{{Name: s.AlterRoleStmt.Role.GetRolename()}}, false
	case *pg.Node_AlterRoleSetStmt:
		return []Table{{Name: s.AlterRoleSetStmt.Role.GetRolename()}}, false
	case *pg.Node_CreateExtensionStmt:
		return []Table{{Name: s.CreateExtensionStmt.Extname}}, false
	}
	// CREATE TABLE, CREATE INDEX, CREATE TRIGGER, CLUSTER, ...: all call it so.
	if m := statementMessage(n); m != nil {
		if f := m.Descriptor().Fields().ByName("relation"); f != nil && m.Has(f) {
			if r, ok := m.Get(f).Message().Interface().(*pg.RangeVar); ok {
				return tables(r), false
			}
		}
	}
	return nil, false
}

// statementMessage gives the message inside a node.
func statementMessage(n *pg.Node) protoreflect.Message {
	m := n.ProtoReflect()
	f := m.WhichOneof(nodeOneof)
	if f == nil {
		return nil
	}
	return m.Get(f).Message()
}

var nodeOneof = (&pg.Node{}).ProtoReflect().Descriptor().Oneofs().ByName("node")

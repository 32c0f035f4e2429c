package policy

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// classOf classifies a statement node. Forms that only the tree below the node
// can tell apart (EXPLAIN ANALYZE, COPY) are told apart here too; ALTER TABLE is
// not, its commands have classes of their own. A node that is no statement, or
// that a later grammar adds, is ClassUnknown: a test walks every node the
// grammar has.
func classOf(n *pg.Node) Class {
	switch s := n.GetNode().(type) {
	case *pg.Node_SelectStmt:
		switch {
		case intoOf(s.SelectStmt) != nil:
			return "select_into"
		case len(s.SelectStmt.ValuesLists) > 0:
			return "values"
		}
		return classSelect
	case *pg.Node_InsertStmt:
		return classInsert
	case *pg.Node_UpdateStmt:
		return classUpdate
	case *pg.Node_DeleteStmt:
		return classDelete
	case *pg.Node_MergeStmt:
		return classMerge
	case *pg.Node_TruncateStmt:
		return "truncate"
	case *pg.Node_CopyStmt:
		return copyClass(s.CopyStmt)

	case *pg.Node_TransactionStmt:
		return transactionClass(s.TransactionStmt.Kind)
	case *pg.Node_ConstraintsSetStmt:
		return "set_constraints"
	case *pg.Node_VariableSetStmt:
		return setClass(s.VariableSetStmt)
	case *pg.Node_VariableShowStmt:
		return "show"
	case *pg.Node_DiscardStmt:
		return "discard"
	case *pg.Node_ListenStmt:
		return "listen"
	case *pg.Node_UnlistenStmt:
		return "unlisten"
	case *pg.Node_NotifyStmt:
		return "notify"
	case *pg.Node_PrepareStmt:
		return "prepare"
	case *pg.Node_ExecuteStmt:
		return "execute"
	case *pg.Node_DeallocateStmt:
		return "deallocate"
	case *pg.Node_DeclareCursorStmt:
		return "declare_cursor"
	case *pg.Node_FetchStmt:
		if s.FetchStmt.Ismove {
			return "move"
		}
		return "fetch"
	case *pg.Node_ClosePortalStmt:
		return "close"
	case *pg.Node_ExplainStmt:
		return "explain"
	case *pg.Node_LockStmt:
		// Up to SHARE UPDATE EXCLUSIVE (4 in lockdefs.h) neither readers nor writers
		// wait; pg_dump takes ACCESS SHARE on every table.
		if s.LockStmt.Mode <= 4 {
			return "lock_table_shared"
		}
		return "lock_table"

	case *pg.Node_VacuumStmt:
		switch {
		case !s.VacuumStmt.IsVacuumcmd:
			return "analyze"
		case switchedOn(s.VacuumStmt.Options, "full"):
			return "vacuum_full"
		}
		return "vacuum"
	case *pg.Node_ClusterStmt:
		return "cluster"
	case *pg.Node_ReindexStmt:
		return concurrently("reindex", switchedOn(s.ReindexStmt.Params, "concurrently"))
	case *pg.Node_RefreshMatViewStmt:
		return concurrently("refresh_materialized_view", s.RefreshMatViewStmt.Concurrent)
	case *pg.Node_CheckPointStmt:
		return "checkpoint"
	case *pg.Node_LoadStmt:
		return "load"
	case *pg.Node_AlterSystemStmt:
		return "alter_system"

	case *pg.Node_DoStmt:
		return "do"
	case *pg.Node_CallStmt:
		return "call"

	case *pg.Node_DropStmt:
		return dropClass(s.DropStmt)
	case *pg.Node_DropdbStmt:
		return "drop_database"
	case *pg.Node_DropRoleStmt:
		return "drop_role"
	case *pg.Node_DropOwnedStmt:
		return "drop_owned"
	case *pg.Node_DropTableSpaceStmt:
		return "drop_tablespace"
	case *pg.Node_DropSubscriptionStmt:
		return "drop_subscription"
	case *pg.Node_DropUserMappingStmt:
		return "drop_user_mapping"

	case *pg.Node_GrantStmt:
		if s.GrantStmt.IsGrant {
			return "grant"
		}
		return "revoke"
	case *pg.Node_GrantRoleStmt:
		if s.GrantRoleStmt.IsGrant {
			return "grant_role"
		}
		return "revoke_role"
	case *pg.Node_AlterDefaultPrivilegesStmt:
		return "alter_default_privileges"
	case *pg.Node_ReassignOwnedStmt:
		return "reassign_owned"
	case *pg.Node_SecLabelStmt:
		return "security_label"
	case *pg.Node_CommentStmt:
		return "comment"
	}
	if c := createClass(n); c != "" {
		return c
	}
	if c := alterClass(n); c != "" {
		return c
	}
	return ClassUnknown
}

// intoOf gives the INTO of a SELECT; that of a UNION stands in its first SELECT.
func intoOf(s *pg.SelectStmt) *pg.IntoClause {
	for s.Larg != nil {
		s = s.Larg
	}
	return s.IntoClause
}

// createClass classifies the statements that make something; it returns "" for
// any other.
func createClass(n *pg.Node) Class {
	switch s := n.GetNode().(type) {
	case *pg.Node_CreateStmt:
		return "create_table"
	case *pg.Node_CreateForeignTableStmt:
		return "create_foreign_table"
	case *pg.Node_CreateTableAsStmt:
		if s.CreateTableAsStmt.Objtype == pg.ObjectType_OBJECT_MATVIEW {
			return "create_materialized_view"
		}
		return "create_table_as"
	case *pg.Node_ViewStmt:
		return orReplace("view", s.ViewStmt.Replace)
	case *pg.Node_IndexStmt:
		return concurrently("create_index", s.IndexStmt.Concurrent)
	case *pg.Node_CreateSeqStmt:
		return "create_sequence"
	case *pg.Node_CreateSchemaStmt:
		return "create_schema"
	case *pg.Node_CompositeTypeStmt, *pg.Node_CreateEnumStmt, *pg.Node_CreateRangeStmt:
		return "create_type"
	case *pg.Node_CreateDomainStmt:
		return "create_domain"
	case *pg.Node_CreateFunctionStmt:
		if s.CreateFunctionStmt.IsProcedure {
			return orReplace("procedure", s.CreateFunctionStmt.Replace)
		}
		return orReplace("function", s.CreateFunctionStmt.Replace)
	case *pg.Node_DefineStmt:
		return defineClass(s.DefineStmt)
	case *pg.Node_CreateOpClassStmt:
		return "create_operator_class"
	case *pg.Node_CreateOpFamilyStmt:
		return "create_operator_family"
	case *pg.Node_CreateTrigStmt:
		return orReplace("trigger", s.CreateTrigStmt.Replace)
	case *pg.Node_CreateEventTrigStmt:
		return "create_event_trigger"
	case *pg.Node_RuleStmt:
		return orReplace("rule", s.RuleStmt.Replace)
	case *pg.Node_CreatePolicyStmt:
		return "create_policy"
	case *pg.Node_CreateExtensionStmt:
		return "create_extension"
	case *pg.Node_CreateConversionStmt:
		return "create_conversion"
	case *pg.Node_CreateCastStmt:
		return "create_cast"
	case *pg.Node_CreateTransformStmt:
		return orReplace("transform", s.CreateTransformStmt.Replace)
	case *pg.Node_CreatePlangStmt:
		return orReplace("language", s.CreatePlangStmt.Replace)
	case *pg.Node_CreateStatsStmt:
		return "create_statistics"
	case *pg.Node_CreatePublicationStmt:
		return "create_publication"
	case *pg.Node_CreateSubscriptionStmt:
		return "create_subscription"
	case *pg.Node_CreateForeignServerStmt:
		return "create_server"
	case *pg.Node_CreateFdwStmt:
		return "create_foreign_data_wrapper"
	case *pg.Node_CreateUserMappingStmt:
		return "create_user_mapping"
	case *pg.Node_CreateAmStmt:
		return "create_access_method"
	case *pg.Node_CreateRoleStmt:
		return "create_role"
	case *pg.Node_CreatedbStmt:
		return "create_database"
	case *pg.Node_CreateTableSpaceStmt:
		return "create_tablespace"
	case *pg.Node_ImportForeignSchemaStmt:
		return "import_foreign_schema"
	}
	return ""
}

func orReplace(what string, replace bool) Class {
	if replace {
		return Class("create_or_replace_" + what)
	}
	return Class("create_" + what)
}

func concurrently(c Class, yes bool) Class {
	if yes {
		return c + "_concurrently"
	}
	return c
}

// defineClass classifies CREATE AGGREGATE and the others of its syntax.
func defineClass(s *pg.DefineStmt) Class {
	if s.Kind == pg.ObjectType_OBJECT_AGGREGATE {
		return orReplace("aggregate", s.Replace)
	}
	if name := objectNames[s.Kind]; name != "" {
		return Class("create_" + name)
	}
	return ClassUnknown
}

func copyClass(s *pg.CopyStmt) Class {
	class := "copy_to"
	if s.IsFrom {
		class = "copy_from"
	}
	switch {
	case s.IsProgram:
		class += "_program"
	case s.Filename != "":
		class += "_file"
	}
	return Class(class)
}

func dropClass(s *pg.DropStmt) Class {
	name := objectNames[s.RemoveType]
	if name == "" {
		return ClassUnknown
	}
	return concurrently(Class("drop_"+name), s.Concurrent)
}

// objectNames are the words of the manual for the kinds of objects that CREATE,
// ALTER and DROP name.
var objectNames = map[pg.ObjectType]string{
	pg.ObjectType_OBJECT_ACCESS_METHOD:   "access_method",
	pg.ObjectType_OBJECT_AGGREGATE:       "aggregate",
	pg.ObjectType_OBJECT_CAST:            "cast",
	pg.ObjectType_OBJECT_COLLATION:       "collation",
	pg.ObjectType_OBJECT_CONVERSION:      "conversion",
	pg.ObjectType_OBJECT_DATABASE:        "database",
	pg.ObjectType_OBJECT_DOMAIN:          "domain",
	pg.ObjectType_OBJECT_EVENT_TRIGGER:   "event_trigger",
	pg.ObjectType_OBJECT_EXTENSION:       "extension",
	pg.ObjectType_OBJECT_FDW:             "foreign_data_wrapper",
	pg.ObjectType_OBJECT_FOREIGN_SERVER:  "server",
	pg.ObjectType_OBJECT_FOREIGN_TABLE:   "foreign_table",
	pg.ObjectType_OBJECT_FUNCTION:        "function",
	pg.ObjectType_OBJECT_INDEX:           "index",
	pg.ObjectType_OBJECT_LANGUAGE:        "language",
	pg.ObjectType_OBJECT_LARGEOBJECT:     "large_object",
	pg.ObjectType_OBJECT_MATVIEW:         "materialized_view",
	pg.ObjectType_OBJECT_OPCLASS:         "operator_class",
	pg.ObjectType_OBJECT_OPERATOR:        "operator",
	pg.ObjectType_OBJECT_OPFAMILY:        "operator_family",
	pg.ObjectType_OBJECT_POLICY:          "policy",
	pg.ObjectType_OBJECT_PROCEDURE:       "procedure",
	pg.ObjectType_OBJECT_PUBLICATION:     "publication",
	pg.ObjectType_OBJECT_ROLE:            "role",
	pg.ObjectType_OBJECT_ROUTINE:         "routine",
	pg.ObjectType_OBJECT_RULE:            "rule",
	pg.ObjectType_OBJECT_SCHEMA:          "schema",
	pg.ObjectType_OBJECT_SEQUENCE:        "sequence",
	pg.ObjectType_OBJECT_STATISTIC_EXT:   "statistics",
	pg.ObjectType_OBJECT_SUBSCRIPTION:    "subscription",
	pg.ObjectType_OBJECT_TABLE:           "table",
	pg.ObjectType_OBJECT_TABLESPACE:      "tablespace",
	pg.ObjectType_OBJECT_TRANSFORM:       "transform",
	pg.ObjectType_OBJECT_TRIGGER:         "trigger",
	pg.ObjectType_OBJECT_TSCONFIGURATION: "text_search_configuration",
	pg.ObjectType_OBJECT_TSDICTIONARY:    "text_search_dictionary",
	pg.ObjectType_OBJECT_TSPARSER:        "text_search_parser",
	pg.ObjectType_OBJECT_TSTEMPLATE:      "text_search_template",
	pg.ObjectType_OBJECT_TYPE:            "type",
	pg.ObjectType_OBJECT_USER_MAPPING:    "user_mapping",
	pg.ObjectType_OBJECT_VIEW:            "view",
}

// option returns the last of the options of that name: of several, PostgreSQL
// lets the last win.
func option(options []*pg.Node, name string) *pg.DefElem {
	var last *pg.DefElem
	for _, o := range options {
		if d := o.GetDefElem(); d != nil && strings.EqualFold(d.Defname, name) {
			last = d
		}
	}
	return last
}

// switchedOn says whether an option that takes a boolean is on, as defGetBoolean
// reads it. What the server would refuse counts as on.
func switchedOn(options []*pg.Node, name string) bool {
	d := option(options, name)
	if d == nil {
		return false
	}
	switch v := d.GetArg().GetNode().(type) {
	case *pg.Node_Integer:
		return v.Integer.Ival != 0
	case *pg.Node_Boolean:
		return v.Boolean.Boolval
	case *pg.Node_String_:
		return !strings.EqualFold(v.String_.Sval, "false") && !strings.EqualFold(v.String_.Sval, "off")
	}
	return true
}

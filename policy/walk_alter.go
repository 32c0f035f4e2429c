package policy

import pg "github.com/pganalyze/pg_query_go/v6"

// alterClass classifies the statements that alter something, except for the
// commands of ALTER TABLE; it returns "" for any other.
func alterClass(n *pg.Node) Class {
	switch s := n.GetNode().(type) {
	case *pg.Node_AlterTableStmt:
		return "alter_table_set" // replaced by the classes of its commands
	case *pg.Node_RenameStmt:
		return renameClass(s.RenameStmt)
	case *pg.Node_AlterObjectSchemaStmt:
		if isTable(s.AlterObjectSchemaStmt.ObjectType) {
			return "alter_table_set_schema"
		}
		return "alter_object_set_schema"
	case *pg.Node_AlterOwnerStmt:
		return "alter_object_owner"
	case *pg.Node_AlterObjectDependsStmt:
		return "alter_object_depends_on_extension"
	case *pg.Node_AlterTableMoveAllStmt:
		return "alter_all_in_tablespace"
	case *pg.Node_AlterSeqStmt:
		if option(s.AlterSeqStmt.Options, "restart") != nil {
			return "alter_sequence_restart"
		}
		return "alter_sequence"
	case *pg.Node_AlterDomainStmt:
		// The letters are those of AlterDomainStmt in parsenodes.h.
		switch s.AlterDomainStmt.Subtype {
		case "X":
			return "alter_domain_drop_constraint"
		case "N":
			return "alter_domain_drop_not_null"
		}
		return "alter_domain"
	case *pg.Node_AlterEnumStmt:
		if s.AlterEnumStmt.OldVal != "" {
			return "alter_type_rename_value"
		}
		return "alter_type_add_value"
	case *pg.Node_AlterTypeStmt:
		return "alter_type"
	case *pg.Node_AlterFunctionStmt:
		if name := objectNames[s.AlterFunctionStmt.Objtype]; name != "" {
			return Class("alter_" + name)
		}
		return "alter_function"
	case *pg.Node_AlterOperatorStmt:
		return "alter_operator"
	case *pg.Node_AlterOpFamilyStmt:
		return "alter_operator_family"
	case *pg.Node_AlterCollationStmt:
		return "alter_collation"
	case *pg.Node_AlterEventTrigStmt:
		return "alter_event_trigger"
	case *pg.Node_AlterPolicyStmt:
		return "alter_policy"
	case *pg.Node_AlterExtensionStmt, *pg.Node_AlterExtensionContentsStmt:
		return "alter_extension"
	case *pg.Node_AlterStatsStmt:
		return "alter_statistics"
	case *pg.Node_AlterPublicationStmt:
		return "alter_publication"
	case *pg.Node_AlterSubscriptionStmt:
		return "alter_subscription"
	case *pg.Node_AlterForeignServerStmt:
		return "alter_server"
	case *pg.Node_AlterFdwStmt:
		return "alter_foreign_data_wrapper"
	case *pg.Node_AlterUserMappingStmt:
		return "alter_user_mapping"
	case *pg.Node_AlterTsdictionaryStmt:
		return "alter_text_search_dictionary"
	case *pg.Node_AlterTsconfigurationStmt:
		return "alter_text_search_configuration"
	case *pg.Node_AlterRoleStmt:
		return "alter_role"
	case *pg.Node_AlterRoleSetStmt:
		return "alter_role_set"
	case *pg.Node_AlterDatabaseStmt, *pg.Node_AlterDatabaseRefreshCollStmt:
		return "alter_database"
	case *pg.Node_AlterDatabaseSetStmt:
		return "alter_database_set"
	case *pg.Node_AlterTableSpaceOptionsStmt:
		return "alter_tablespace"
	}
	return ""
}

// isTable says whether ALTER TABLE's classes are meant: dropping a column of a
// foreign table is as final as that of a table.
func isTable(t pg.ObjectType) bool {
	return t == pg.ObjectType_OBJECT_TABLE || t == pg.ObjectType_OBJECT_FOREIGN_TABLE
}

func renameClass(s *pg.RenameStmt) Class {
	switch s.RenameType {
	case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_FOREIGN_TABLE:
		return "alter_table_rename"
	case pg.ObjectType_OBJECT_COLUMN:
		switch s.RelationType {
		case pg.ObjectType_OBJECT_VIEW:
			return "alter_view_rename_column"
		case pg.ObjectType_OBJECT_MATVIEW:
			return "alter_materialized_view_rename_column"
		}
		return "alter_table_rename_column"
	case pg.ObjectType_OBJECT_TABCONSTRAINT:
		return "alter_table_rename_constraint"
	case pg.ObjectType_OBJECT_ATTRIBUTE:
		return "alter_type_rename_attribute"
	case pg.ObjectType_OBJECT_ROLE:
		return "alter_role"
	case pg.ObjectType_OBJECT_SCHEMA, pg.ObjectType_OBJECT_VIEW, pg.ObjectType_OBJECT_INDEX,
		pg.ObjectType_OBJECT_SEQUENCE, pg.ObjectType_OBJECT_MATVIEW, pg.ObjectType_OBJECT_TYPE,
		pg.ObjectType_OBJECT_DATABASE, pg.ObjectType_OBJECT_TABLESPACE:
		return Class("alter_" + objectNames[s.RenameType] + "_rename")
	}
	return "alter_object_rename"
}

// commandClasses are the classes of the commands of ALTER TABLE. Commands that
// only the server's own analysis makes (AT_ReAddIndex and the like) are absent
// and so unknown.
var commandClasses = map[pg.AlterTableType]Class{
	pg.AlterTableType_AT_AddColumn:                 "alter_table_add_column",
	pg.AlterTableType_AT_ColumnDefault:             "alter_table_set_default",
	pg.AlterTableType_AT_DropNotNull:               "alter_table_drop_not_null",
	pg.AlterTableType_AT_SetNotNull:                "alter_table_set_not_null",
	pg.AlterTableType_AT_SetExpression:             "alter_table_set_expression",
	pg.AlterTableType_AT_DropExpression:            "alter_table_drop_expression",
	pg.AlterTableType_AT_SetStatistics:             "alter_table_set_statistics",
	pg.AlterTableType_AT_SetOptions:                "alter_table_set_attribute_options",
	pg.AlterTableType_AT_ResetOptions:              "alter_table_set_attribute_options",
	pg.AlterTableType_AT_SetStorage:                "alter_table_set_storage",
	pg.AlterTableType_AT_SetCompression:            "alter_table_set_compression",
	pg.AlterTableType_AT_DropColumn:                "alter_table_drop_column",
	pg.AlterTableType_AT_AddIndex:                  "alter_table_add_constraint",
	pg.AlterTableType_AT_AddConstraint:             "alter_table_add_constraint",
	pg.AlterTableType_AT_AddIndexConstraint:        "alter_table_add_constraint",
	pg.AlterTableType_AT_AlterConstraint:           "alter_table_alter_constraint",
	pg.AlterTableType_AT_ValidateConstraint:        "alter_table_validate_constraint",
	pg.AlterTableType_AT_DropConstraint:            "alter_table_drop_constraint",
	pg.AlterTableType_AT_AlterColumnType:           "alter_table_set_data_type",
	pg.AlterTableType_AT_AlterColumnGenericOptions: "alter_table_options",
	pg.AlterTableType_AT_GenericOptions:            "alter_table_options",
	pg.AlterTableType_AT_ChangeOwner:               "alter_table_owner",
	pg.AlterTableType_AT_ClusterOn:                 "alter_table_cluster_on",
	pg.AlterTableType_AT_DropCluster:               "alter_table_set_without_cluster",
	pg.AlterTableType_AT_SetLogged:                 "alter_table_set_logged",
	pg.AlterTableType_AT_SetUnLogged:               "alter_table_set_unlogged",
	pg.AlterTableType_AT_DropOids:                  "alter_table_set_without_oids",
	pg.AlterTableType_AT_SetAccessMethod:           "alter_table_set_access_method",
	pg.AlterTableType_AT_SetTableSpace:             "alter_table_set_tablespace",
	pg.AlterTableType_AT_SetRelOptions:             "alter_table_set",
	pg.AlterTableType_AT_ReplaceRelOptions:         "alter_table_set",
	pg.AlterTableType_AT_ResetRelOptions:           "alter_table_reset",
	pg.AlterTableType_AT_EnableTrig:                "alter_table_enable_trigger",
	pg.AlterTableType_AT_EnableTrigAll:             "alter_table_enable_trigger",
	pg.AlterTableType_AT_EnableTrigUser:            "alter_table_enable_trigger",
	pg.AlterTableType_AT_EnableAlwaysTrig:          "alter_table_enable_always_trigger",
	pg.AlterTableType_AT_EnableReplicaTrig:         "alter_table_enable_replica_trigger",
	pg.AlterTableType_AT_DisableTrig:               "alter_table_disable_trigger",
	pg.AlterTableType_AT_DisableTrigAll:            "alter_table_disable_trigger",
	pg.AlterTableType_AT_DisableTrigUser:           "alter_table_disable_trigger",
	pg.AlterTableType_AT_EnableRule:                "alter_table_enable_rule",
	pg.AlterTableType_AT_EnableAlwaysRule:          "alter_table_enable_rule",
	pg.AlterTableType_AT_EnableReplicaRule:         "alter_table_enable_replica_rule",
	pg.AlterTableType_AT_DisableRule:               "alter_table_disable_rule",
	pg.AlterTableType_AT_AddInherit:                "alter_table_inherit",
	pg.AlterTableType_AT_DropInherit:               "alter_table_no_inherit",
	pg.AlterTableType_AT_AddOf:                     "alter_table_of",
	pg.AlterTableType_AT_DropOf:                    "alter_table_not_of",
	pg.AlterTableType_AT_ReplicaIdentity:           "alter_table_replica_identity",
	pg.AlterTableType_AT_EnableRowSecurity:         "alter_table_enable_row_security",
	pg.AlterTableType_AT_DisableRowSecurity:        "alter_table_disable_row_security",
	pg.AlterTableType_AT_ForceRowSecurity:          "alter_table_force_row_security",
	pg.AlterTableType_AT_NoForceRowSecurity:        "alter_table_no_force_row_security",
	pg.AlterTableType_AT_AttachPartition:           "alter_table_attach_partition",
	pg.AlterTableType_AT_DetachPartition:           "alter_table_detach_partition",
	pg.AlterTableType_AT_DetachPartitionFinalize:   "alter_table_detach_partition",
	pg.AlterTableType_AT_AddIdentity:               "alter_table_add_identity",
	pg.AlterTableType_AT_SetIdentity:               "alter_table_set_identity",
	pg.AlterTableType_AT_DropIdentity:              "alter_table_drop_identity",
}

// commandClass classifies one command of ALTER TABLE, ALTER VIEW, ALTER INDEX,
// ... The same commands on something that is no table have the class of that
// thing: they move no rows.
func commandClass(kind pg.ObjectType, c *pg.AlterTableCmd) Class {
	class, known := commandClasses[c.Subtype]
	if !known {
		return ClassUnknown
	}
	switch kind {
	case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_FOREIGN_TABLE:
		switch c.Subtype {
		case pg.AlterTableType_AT_ColumnDefault:
			if c.Def == nil {
				return "alter_table_drop_default"
			}
		case pg.AlterTableType_AT_SetIdentity:
			if option(c.Def.GetList().GetItems(), "restart") != nil {
				return "alter_table_restart_identity"
			}
		}
		return class
	case pg.ObjectType_OBJECT_TYPE:
		switch c.Subtype {
		case pg.AlterTableType_AT_AddColumn:
			return "alter_type_add_attribute"
		case pg.AlterTableType_AT_DropColumn:
			return "alter_type_drop_attribute"
		case pg.AlterTableType_AT_AlterColumnType:
			return "alter_type_alter_attribute"
		}
		return "alter_type"
	}
	if c.Subtype == pg.AlterTableType_AT_ChangeOwner {
		return "alter_object_owner"
	}
	if name := objectNames[kind]; name != "" {
		return Class("alter_" + name)
	}
	return ClassUnknown
}

// commandForm gives the second class of a command of ALTER TABLE whose form
// matters, or "".
func commandForm(kind pg.ObjectType, c *pg.AlterTableCmd) Class {
	switch column := c.GetDef().GetColumnDef(); {
	case !isTable(kind):
	case c.Subtype == pg.AlterTableType_AT_AlterColumnType && column.GetRawDefault() != nil:
		return "alter_table_set_data_type_using"
	case c.Subtype == pg.AlterTableType_AT_AddColumn && rewrites(column):
		return "alter_table_add_column_rewrite"
	}
	return ""
}

// rewrites says whether adding the column writes every row anew: a default that
// is volatile, a stored generated column, an identity or a serial. Functions
// that are not known count as volatile.
func rewrites(c *pg.ColumnDef) bool {
	if c == nil {
		return false
	}
	if names := c.TypeName.GetNames(); len(names) > 0 {
		switch names[len(names)-1].GetString_().GetSval() {
		case "serial", "serial2", "serial4", "serial8", "smallserial", "bigserial":
			return true
		}
	}
	for _, n := range c.Constraints {
		k := n.GetConstraint()
		switch k.GetContype() {
		case pg.ConstrType_CONSTR_GENERATED, pg.ConstrType_CONSTR_IDENTITY:
			return true
		case pg.ConstrType_CONSTR_DEFAULT:
			if !steady(k.RawExpr) {
				return true
			}
		}
	}
	return false
}

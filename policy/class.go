package policy

import (
	"slices"
	"strings"
)

// Class is the kind of a statement or of an action: the name of the statement
// in PostgreSQL's manual, in snake case, with the form where the form matters
// ("copy_from_program", "alter_table_drop_column").
type Class string

// The classes that the code itself speaks of. The others are only passed on;
// Classes lists them all.
const (
	// ClassUnparsed is text that cannot be read as the server would read it.
	ClassUnparsed Class = "unparsed"
	// ClassUnparsedRead is text that the grammar does not know, but that has no
	// word in it which could change anything.
	ClassUnparsedRead Class = "unparsed_read"
	// ClassUnknown is a statement nobody has classified, and a prepared
	// statement nobody has seen. It is the meaning of the zero value, too.
	ClassUnknown Class = "unknown"

	classSelect          Class = "select"
	classSelectForUpdate Class = "select_for_update"
	classInsert          Class = "insert"
	classUpdate          Class = "update"
	classDelete          Class = "delete"
	classMerge           Class = "merge"
	classSetval          Class = "setval"
	classSet             Class = "set"
	classFunctionCall    Class = "function_call"
	classDoPlain         Class = "do_plain" // DO of a block that does no more than its statements
	classSQLFunctionCall Class = "sql_function_call"
	classServerFunction  Class = "server_function"
)

// groups are the groups of classes that a rule can name. A class may be in
// several; each is also a group of itself.
var groups = map[string]string{
	// Gives rows or text and changes nothing.
	"read": `select values show explain copy_to declare_cursor fetch move close
		large_object_read unparsed_read`,

	// Changes rows, sequences or large objects.
	"write": `insert update delete merge truncate copy_from copy_from_file
		copy_from_program setval select_into create_table_as
		refresh_materialized_view large_object_create large_object_write
		large_object_drop`,

	// Changes the catalogue.
	"ddl": `create_or_replace_function create_or_replace_procedure
		create_or_replace_view create_or_replace_rule create_or_replace_trigger
		create_or_replace_aggregate create_or_replace_language
		create_or_replace_transform create_table create_foreign_table create_table_as select_into create_view
		create_materialized_view create_index create_index_concurrently
		create_sequence create_schema create_type create_domain create_function
		create_procedure create_aggregate create_operator create_operator_class
		create_operator_family create_trigger create_event_trigger create_rule
		create_policy create_extension create_collation create_conversion
		create_cast create_transform create_language create_statistics
		create_publication create_subscription create_server
		create_foreign_data_wrapper create_user_mapping create_access_method
		create_text_search_parser create_text_search_dictionary
		create_text_search_template create_text_search_configuration
		import_foreign_schema comment security_label
		` + alterTableClasses + `
		alter_index alter_view alter_materialized_view alter_sequence
		alter_sequence_restart alter_schema alter_type alter_type_add_attribute
		alter_type_alter_attribute alter_type_drop_attribute alter_type_add_value
		alter_type_rename_value alter_type_rename alter_type_rename_attribute
		alter_domain alter_domain_drop_constraint alter_domain_drop_not_null
		alter_function alter_procedure alter_routine alter_aggregate alter_operator
		alter_operator_class alter_operator_family alter_trigger
		alter_event_trigger alter_rule alter_policy alter_extension alter_collation
		alter_conversion alter_language alter_statistics alter_publication
		alter_subscription alter_server alter_foreign_data_wrapper
		alter_user_mapping alter_large_object
		alter_text_search_parser alter_text_search_dictionary
		alter_text_search_template alter_text_search_configuration
		alter_object_rename alter_object_set_schema alter_object_owner
		alter_object_depends_on_extension alter_schema_rename alter_view_rename
		alter_index_rename alter_sequence_rename alter_materialized_view_rename
		alter_view_rename_column alter_materialized_view_rename_column
		` + dropClasses,

	// Takes an object, a column or a database away, with what it holds.
	"drop": dropClasses + ` drop_database drop_tablespace drop_role drop_owned
		alter_table_drop_column alter_type_drop_attribute
		alter_table_detach_partition large_object_drop`,

	// Changes who may do what.
	"privilege": `grant revoke grant_role revoke_role alter_default_privileges
		create_role alter_role alter_role_set drop_role drop_owned reassign_owned
		alter_object_owner alter_table_owner security_label create_policy
		alter_policy drop_policy alter_table_enable_row_security
		alter_table_disable_row_security alter_table_force_row_security
		alter_table_no_force_row_security create_user_mapping alter_user_mapping
		drop_user_mapping`,

	// Reaches past the database: the whole server, its files, other servers,
	// code loaded into it.
	"server": `alter_system checkpoint create_database drop_database
		alter_database alter_database_rename alter_database_set
		create_tablespace drop_tablespace alter_tablespace
		alter_tablespace_rename alter_all_in_tablespace copy_from_file copy_to_file
		copy_from_program copy_to_program load create_extension alter_extension
		drop_extension create_language create_subscription alter_subscription
		drop_subscription create_server alter_server drop_server
		import_foreign_schema server_function`,

	// Takes a strong lock on a table or locks rows.
	"lock": `lock_table lock_table_shared select_for_update vacuum_full cluster reindex
		refresh_materialized_view`,

	"transaction": `begin commit rollback savepoint release_savepoint
		rollback_to_savepoint prepare_transaction commit_prepared
		rollback_prepared set_transaction set_constraints`,

	"session": `set reset set_role set_session_authorization discard listen
		unlisten notify prepare execute deallocate`,

	// Does what the text does not show.
	"opaque": `do call function_call sql_function_call create_function
		create_procedure create_or_replace_function create_or_replace_procedure
		unparsed unknown`,
}

// ungrouped are the classes that are in no group but their own.
const ungrouped = `do_plain cancel_backend terminate_backend vacuum analyze reindex_concurrently
	refresh_materialized_view_concurrently`

// alterTableClasses are the commands of ALTER TABLE, one class each; ALTER
// FOREIGN TABLE has the same ones.
const alterTableClasses = `alter_table_add_column alter_table_add_column_rewrite alter_table_set_default
	alter_table_drop_default alter_table_drop_not_null alter_table_set_not_null
	alter_table_set_expression alter_table_drop_expression
	alter_table_set_statistics alter_table_set_attribute_options
	alter_table_set_storage alter_table_set_compression alter_table_drop_column
	alter_table_set_data_type alter_table_set_data_type_using
	alter_table_add_constraint alter_table_alter_constraint
	alter_table_validate_constraint alter_table_drop_constraint
	alter_table_owner alter_table_cluster_on alter_table_set_without_cluster
	alter_table_set_logged alter_table_set_unlogged alter_table_set_without_oids
	alter_table_set_access_method alter_table_set_tablespace alter_table_set
	alter_table_reset alter_table_enable_trigger alter_table_enable_always_trigger
	alter_table_enable_replica_trigger alter_table_disable_trigger
	alter_table_enable_rule alter_table_enable_replica_rule
	alter_table_disable_rule alter_table_inherit alter_table_no_inherit
	alter_table_of alter_table_not_of alter_table_replica_identity
	alter_table_enable_row_security alter_table_disable_row_security
	alter_table_force_row_security alter_table_no_force_row_security
	alter_table_options alter_table_attach_partition alter_table_detach_partition
	alter_table_add_identity alter_table_set_identity alter_table_restart_identity
	alter_table_drop_identity alter_table_rename alter_table_rename_column
	alter_table_rename_constraint alter_table_set_schema`

// dropClasses are the statements that drop an object of a database.
const dropClasses = `drop_table drop_view drop_materialized_view drop_index
	drop_index_concurrently drop_sequence drop_foreign_table drop_schema drop_type
	drop_domain drop_function drop_procedure drop_routine drop_aggregate
	drop_operator drop_operator_class drop_operator_family drop_trigger
	drop_event_trigger drop_rule drop_policy drop_extension drop_collation
	drop_conversion drop_cast drop_transform drop_language drop_statistics
	drop_publication drop_subscription drop_server drop_foreign_data_wrapper
	drop_user_mapping drop_access_method drop_text_search_parser
	drop_text_search_dictionary drop_text_search_template
	drop_text_search_configuration`

// membership holds for each class the groups that it is in.
var membership = func() map[Class][]string {
	m := make(map[Class][]string)
	for name, members := range groups {
		for _, c := range strings.Fields(members) {
			m[Class(c)] = append(m[Class(c)], name)
		}
	}
	for _, c := range strings.Fields(ungrouped) {
		m[Class(c)] = nil
	}
	return m
}()

// In says whether the class is in the group of that name, or is the class of
// that name. A zero Class is ClassUnknown.
func (c Class) In(group string) bool {
	if c == "" {
		c = ClassUnknown
	}
	return string(c) == group || slices.Contains(membership[c], group)
}

// Classes lists every class, sorted.
func Classes() []Class {
	all := make([]Class, 0, len(membership))
	for c := range membership {
		all = append(all, c)
	}
	slices.Sort(all)
	return all
}

// Groups lists the names of the groups, sorted.
func Groups() []string {
	all := make([]string, 0, len(groups))
	for g := range groups {
		all = append(all, g)
	}
	slices.Sort(all)
	return all
}

package policy

import (
	_ "embed"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// What a function does is known by its name alone. A name without a schema is
// taken for the built-in function of that name if there is one: a function of
// the same name that stands earlier in search_path is not seen here, and nothing
// in the text could show it.

//go:generate go run ./internal/builtins -server "host=/tmp user=postgres" -functions functions_builtin.txt -operators operators_builtin.txt

// The files list the functions of pg_catalog and information_schema of which no
// variant is volatile, and the operators of pg_catalog, of PostgreSQL 15; the
// program in internal/builtins writes them. What later versions add is below.
var (
	//go:embed functions_builtin.txt
	builtinFunctions string
	//go:embed operators_builtin.txt
	builtinOperators string
)

// laterFunctions are the non-volatile functions that PostgreSQL 16, 17 and 18
// added (release notes, section "Functions").
const laterFunctions = `any_value array_reverse array_sort casefold crc32 crc32c
	date_add date_subtract erf erfc gamma has_largeobject_privilege
	icu_unicode_version lgamma pg_available_wal_summaries pg_basetype
	pg_column_toast_chunk_id pg_get_acl pg_get_aios pg_get_loaded_modules
	pg_get_wal_summarizer_state pg_input_error_info pg_input_is_valid
	pg_numa_available pg_split_walfile_name pg_stat_get_io
	pg_wal_summary_contents system_user to_bin to_oct unicode_assigned
	unicode_version uuid_extract_timestamp uuid_extract_version xmltext`

// harmlessVolatile are the volatile functions that change no rows, no files and
// no other session. nextval is one of them: it moves a sequence on, as every
// INSERT with a default does.
const harmlessVolatile = `amvalidate array_sample array_shuffle bernoulli
	brin_desummarize_range brin_summarize_new_values brin_summarize_range
	clock_timestamp current_query currtid2 currval gen_random_uuid
	gin_clean_pending_list lastval lo_close lo_get lo_lseek lo_lseek64 lo_open
	lo_tell lo_tell64 loread nextval pg_advisory_lock pg_advisory_lock_shared
	pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared
	pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_blocking_pids
	pg_collation_actual_version pg_control_checkpoint pg_control_init
	pg_control_recovery pg_control_system pg_current_logfile
	pg_current_wal_flush_lsn pg_current_wal_insert_lsn pg_current_wal_lsn
	pg_database_collation_actual_version pg_database_size pg_export_snapshot
	pg_get_backend_memory_contexts pg_get_multixact_members
	pg_get_shmem_allocations pg_get_shmem_allocations_numa pg_get_wait_events
	pg_get_wal_replay_pause_state pg_get_wal_resource_managers pg_hba_file_rules
	pg_ident_file_mappings pg_indexes_size pg_is_in_recovery
	pg_is_wal_replay_paused pg_isolation_test_session_is_blocked pg_jit_available
	pg_last_committed_xact pg_last_wal_receive_lsn pg_last_wal_replay_lsn
	pg_last_xact_replay_timestamp pg_lock_status pg_log_backend_memory_contexts
	pg_logical_slot_peek_binary_changes pg_logical_slot_peek_changes
	pg_ls_archive_statusdir pg_ls_logdir pg_ls_logicalmapdir pg_ls_logicalsnapdir
	pg_ls_replslotdir pg_ls_summariesdir pg_ls_tmpdir pg_ls_waldir
	pg_notification_queue_usage pg_notify pg_partition_ancestors pg_partition_tree
	pg_prepared_xact pg_relation_size pg_replication_origin_progress
	pg_replication_origin_session_is_setup pg_replication_origin_session_progress
	pg_safe_snapshot_blocking_pids pg_sequence_last_value
	pg_show_all_file_settings pg_show_replication_origin_status pg_sleep
	pg_sleep_for pg_sleep_until pg_stat_clear_snapshot pg_stat_force_next_flush
	pg_stat_get_backend_io pg_stat_get_recovery_prefetch pg_stat_get_xact_blocks_fetched
	pg_stat_get_xact_blocks_hit pg_stat_get_xact_function_calls
	pg_stat_get_xact_function_self_time pg_stat_get_xact_function_total_time
	pg_stat_get_xact_numscans pg_stat_get_xact_tuples_deleted
	pg_stat_get_xact_tuples_fetched pg_stat_get_xact_tuples_hot_updated
	pg_stat_get_xact_tuples_inserted pg_stat_get_xact_tuples_newpage_updated
	pg_stat_get_xact_tuples_returned pg_stat_get_xact_tuples_updated
	pg_stat_have_stats pg_table_size pg_tablespace_size pg_total_relation_size
	pg_try_advisory_lock pg_try_advisory_lock_shared pg_try_advisory_xact_lock
	pg_try_advisory_xact_lock_shared pg_xact_commit_timestamp
	pg_xact_commit_timestamp_origin pg_xact_status random random_normal setseed
	system timeofday txid_status uuidv4 uuidv7`

// serverFunctions reach past the transaction: the server, its files, its log,
// other sessions, replication. A rollback takes nothing of it back.
const serverFunctions = `pg_backup_start pg_backup_stop pg_start_backup
	pg_stop_backup pg_cancel_backend pg_terminate_backend
	pg_copy_logical_replication_slot pg_copy_physical_replication_slot
	pg_create_logical_replication_slot pg_create_physical_replication_slot
	pg_create_restore_point pg_drop_replication_slot
	pg_replication_slot_advance pg_sync_replication_slots
	pg_logical_slot_get_binary_changes pg_logical_slot_get_changes
	pg_logical_emit_message pg_log_standby_snapshot pg_extension_config_dump
	pg_import_system_collations pg_ls_dir pg_nextoid pg_promote
	pg_read_binary_file pg_read_file pg_read_file_old pg_stat_file pg_reload_conf
	pg_replication_origin_advance pg_replication_origin_create
	pg_replication_origin_drop pg_replication_origin_session_reset
	pg_replication_origin_session_setup pg_replication_origin_xact_reset
	pg_replication_origin_xact_setup pg_rotate_logfile pg_rotate_logfile_old
	pg_stat_reset pg_stat_reset_backend_stats pg_stat_reset_replication_slot
	pg_stat_reset_shared pg_stat_reset_single_function_counters
	pg_stat_reset_single_table_counters pg_stat_reset_slru
	pg_stat_reset_subscription_stats pg_stop_making_pinned_objects pg_switch_wal
	pg_wal_replay_pause pg_wal_replay_resume pg_restore_relation_stats
	pg_restore_attribute_stats pg_clear_relation_stats pg_clear_attribute_stats
	lo_export lo_import
	pg_file_write pg_file_rename pg_file_unlink pg_file_sync pg_logdir_ls
	heap_force_kill heap_force_freeze pg_truncate_visibility_map
	dblink dblink_exec dblink_connect dblink_connect_u dblink_open dblink_fetch
	dblink_close dblink_send_query dblink_get_result dblink_disconnect`

// sqlFunctions take SQL as text and run it.
const sqlFunctions = `query_to_xml query_to_xml_and_xmlschema query_to_xmlschema
	cursor_to_xml cursor_to_xmlschema ts_stat ts_rewrite crosstab crosstab2
	crosstab3 crosstab4 crosstabn connectby xpath_table`

// A functionKind says what is known of a function. The zero value is nothing.
type functionKind uint8

const (
	functionUnknown  functionKind = iota
	functionSteady                // built in, not volatile
	functionHarmless              // built in and volatile, but changes nothing
	functionServer
	functionSQL
	functionSetval
	functionSetConfig
	functionLargeObjectCreate
	functionLargeObjectWrite
	functionLargeObjectDrop
)

var functionKinds = func() map[string]functionKind {
	m := make(map[string]functionKind, 3000)
	for _, list := range []struct {
		names string
		kind  functionKind
	}{
		{builtinFunctions, functionSteady},
		{laterFunctions, functionSteady},
		{harmlessVolatile, functionHarmless},
		{serverFunctions, functionServer},
		{sqlFunctions, functionSQL},
		{"setval", functionSetval},
		{"set_config", functionSetConfig},
		{"lo_creat lo_create lo_from_bytea", functionLargeObjectCreate},
		{"lo_put lowrite lo_truncate lo_truncate64", functionLargeObjectWrite},
		{"lo_unlink", functionLargeObjectDrop},
	} {
		for _, name := range strings.Fields(list.names) {
			m[name] = list.kind
		}
	}
	return m
}()

// operators holds the names of the built-in operators.
var operators = func() map[string]bool {
	m := make(map[string]bool, 128)
	for _, name := range strings.Fields(builtinOperators) {
		m[name] = true
	}
	return m
}()

// kindOf says what is known of a function by its name. In a schema of the
// user's own only the names of the extensions that are dangerous count.
func kindOf(name Table) functionKind {
	kind := functionKinds[name.Name]
	switch name.Schema {
	case "", "pg_catalog", "information_schema":
		return kind
	}
	if kind == functionServer || kind == functionSQL {
		return kind
	}
	return functionUnknown
}

// call adds what a function call does, if it is more than to give a value.
func (w *walker) call(c *pg.FuncCall, carrier string) {
	name := dotted(c.Funcname)
	kind := kindOf(named(words(c.Funcname)))
	if kind != functionSteady {
		w.volatile = true
	}
	switch t := named(words(c.Funcname)); {
	case kind == functionUnknown:
	case byName(t.Name):
		w.facts.hide(anything)
	case t.Schema == "":
		w.hides(NameFunction, t)
	}
	switch kind {
	case functionSteady, functionHarmless:
	case functionServer:
		w.server(c, name, carrier)
	case functionSQL:
		if name := named(words(c.Funcname)).Name; name == "ts_rewrite" && len(c.Args) == 3 {
			return // the form without SQL
		}
		w.merged(Action{Class: classSQLFunctionCall, Carrier: carrier}, name)
	case functionSetval:
		w.setval(c, name, carrier)
	case functionSetConfig:
		w.setConfig(c, name, carrier)
	case functionLargeObjectCreate:
		w.merged(Action{Class: "large_object_create", Carrier: carrier}, name)
	case functionLargeObjectWrite:
		w.merged(Action{Class: "large_object_write", Carrier: carrier}, name)
	case functionLargeObjectDrop:
		w.merged(Action{Class: "large_object_drop", Carrier: carrier}, name)
	default:
		w.volatile = true
		w.mergedCalls(Action{Class: classFunctionCall, Carrier: carrier, Functions: []string{name}, given: w.givenTo(c)})
	}
}

// opaque adds a call of which nothing is known.
func (w *walker) opaque(name, carrier string) {
	w.volatile = true
	w.merged(Action{Class: classFunctionCall, Carrier: carrier}, name)
}

// merged adds a function to the action of its class and carrier.
func (w *walker) merged(a Action, name string) {
	for i := range w.facts.Actions {
		if b := &w.facts.Actions[i]; b.Class == a.Class && b.Carrier == a.Carrier && b.call == nil && a.call == nil {
			if !slices.Contains(b.Functions, name) {
				b.Functions = append(b.Functions, name)
			}
			return
		}
	}
	a.Functions = []string{name}
	w.add(a)
}

// server adds a function that reaches past the database. To cancel or to end
// one session by its number is what every client does; over a set it is an
// outage.
func (w *walker) server(c *pg.FuncCall, name, carrier string) {
	a := Action{Class: classServerFunction, Carrier: carrier}
	function := named(words(c.Funcname)).Name
	if class, signals := signalClasses[function]; signals && len(c.Args) > 0 {
		if pid, ok := processID(constantText(c.Args[0])); ok {
			a.Class = class
			w.facts.Signals = append(w.facts.Signals, pid)
		} else if isParameter(c.Args[0]) {
			a.call = &call{function: function, arguments: c.Args}
		}
	}
	w.merged(a, name)
}

// signalClasses are the functions that cancel or end one session.
var signalClasses = map[string]Class{
	"pg_cancel_backend":    "cancel_backend",
	"pg_terminate_backend": "terminate_backend",
}

// setConfig adds set_config(name, value, is_local). Without a constant name it
// may set anything, and counts as a call of which nothing is known.
func (w *walker) setConfig(c *pg.FuncCall, name, carrier string) {
	var set Setting
	a := Action{Class: classFunctionCall, Carrier: carrier}
	if len(c.Args) == 3 {
		set = setConfigOf(func(i int) (string, bool) { return constantText(c.Args[i]) })
		if slices.ContainsFunc(c.Args, isParameter) {
			a.call = &call{function: "set_config", arguments: c.Args, setting: len(w.facts.Settings)}
		}
	}
	w.facts.Settings = append(w.facts.Settings, set)
	if set.Name == "" {
		w.merged(a, name)
		return
	}
	a.Class, a.Carrier = classSet, within(carrier, "set_config")
	w.add(a)
}

// operator adds an operator that is not built in: it is a function by another
// name.
func (w *walker) operator(name []*pg.Node, carrier string) {
	if len(name) == 0 || len(name) == 1 && operators[name[0].GetString_().GetSval()] {
		return
	}
	parts := words(name)
	if o := named(parts); len(parts) == 2 && o.Schema == "pg_catalog" && operators[o.Name] {
		return
	}
	w.opaque("operator "+strings.Join(parts, "."), carrier)
}

// steady says whether an expression calls nothing but built-in functions that
// are not volatile.
func steady(n *pg.Node) bool {
	w := walker{facts: &Facts{}, mentions: new(mentions)}
	w.visit(n, "")
	return !w.volatile
}

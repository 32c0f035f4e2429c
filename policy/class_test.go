package policy

import (
	"slices"
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// noStatements are nodes that end in Stmt and are none: they stand only inside
// other statements, or only in trees that the server's analysis makes.
var noStatements = []string{
	"RawStmt",             // the frame around each statement
	"SetOperationStmt",    // of an analysed UNION
	"ReturnStmt",          // RETURN in the body of a function
	"PLAssignStmt",        // an assignment in PL/pgSQL
	"ReplicaIdentityStmt", // a part of ALTER TABLE
}

// eachNode makes an empty node of every kind that the grammar has.
func eachNode(yield func(name string, n *pg.Node)) {
	fields := nodeOneof.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		n := &pg.Node{}
		n.ProtoReflect().Set(f, n.ProtoReflect().NewField(f))
		yield(string(f.Message().Name()), n)
	}
}

func TestEveryKindOfStatementIsClassified(t *testing.T) {
	seen := 0
	eachNode(func(name string, n *pg.Node) {
		statement := strings.HasSuffix(name, "Stmt") && !slices.Contains(noStatements, name)
		// What these are is in their fields.
		switch s := n.Node.(type) {
		case *pg.Node_TransactionStmt:
			s.TransactionStmt.Kind = pg.TransactionStmtKind_TRANS_STMT_BEGIN
		case *pg.Node_DropStmt:
			s.DropStmt.RemoveType = pg.ObjectType_OBJECT_TABLE
		case *pg.Node_DefineStmt:
			s.DefineStmt.Kind = pg.ObjectType_OBJECT_TYPE
		}
		if known := classOf(n) != ClassUnknown; known != statement {
			t.Errorf("%s: classified is %v, a statement is %v", name, known, statement)
		}
		if statement {
			seen++
		}
	})
	if seen < 100 {
		t.Errorf("the grammar has %d statements; the walk over it is wrong", seen)
	}
}

func TestANodeThatNobodyKnowsIsUnknown(t *testing.T) {
	for _, n := range []*pg.Node{nil, {}, {Node: &pg.Node_ReturnStmt{ReturnStmt: &pg.ReturnStmt{}}}} {
		f := factsOf(n, "")
		if f.Class != ClassUnknown || told(f) != "unknown" || f.Problem == "" || f.ReadOnly() {
			t.Errorf("%v: %s %q", n, told(f), f.Problem)
		}
	}
	if !Class("").In("unknown") || !Class("").In("opaque") || (&Facts{}).ReadOnly() {
		t.Error("the zero values are not unknown")
	}
}

func TestEveryCommandOfAlterTableIsClassified(t *testing.T) {
	// Made by the server's analysis, or removed from the language.
	internal := []string{"UNDEFINED", "AT_AddColumnToView", "AT_CookedColumnDefault", "AT_CheckNotNull", "AT_ReAdd"}
	values := pg.AlterTableType(0).Descriptor().Values()
	for i := range values.Len() {
		name := string(values.Get(i).Name())
		made := slices.ContainsFunc(internal, func(s string) bool { return strings.Contains(name, s) })
		if _, known := commandClasses[pg.AlterTableType(values.Get(i).Number())]; known == made {
			t.Errorf("%s: known %v, made by the server only %v", name, known, made)
		}
	}
}

// TestEveryClassThatIsGivenIsListed asks every function that makes a class for
// all that it can make.
func TestEveryClassThatIsGivenIsListed(t *testing.T) {
	listed := Classes()
	check := func(c Class) {
		t.Helper()
		if !slices.Contains(listed, c) {
			t.Errorf("%q is in no list", c)
		}
	}
	eachValue := func(e protoreflect.Enum, yield func(protoreflect.EnumNumber)) {
		values := e.Descriptor().Values()
		for i := range values.Len() {
			yield(values.Get(i).Number())
		}
	}
	eachNode(func(_ string, n *pg.Node) { check(classOf(n)) })
	replaced := []*pg.Node{
		{Node: &pg.Node_ViewStmt{ViewStmt: &pg.ViewStmt{Replace: true}}},
		{Node: &pg.Node_CreateFunctionStmt{CreateFunctionStmt: &pg.CreateFunctionStmt{Replace: true}}},
		{Node: &pg.Node_CreateFunctionStmt{CreateFunctionStmt: &pg.CreateFunctionStmt{Replace: true, IsProcedure: true}}},
		{Node: &pg.Node_CreateTrigStmt{CreateTrigStmt: &pg.CreateTrigStmt{Replace: true}}},
		{Node: &pg.Node_RuleStmt{RuleStmt: &pg.RuleStmt{Replace: true}}},
		{Node: &pg.Node_CreateTransformStmt{CreateTransformStmt: &pg.CreateTransformStmt{Replace: true}}},
		{Node: &pg.Node_CreatePlangStmt{CreatePlangStmt: &pg.CreatePLangStmt{Replace: true}}},
		{Node: &pg.Node_DefineStmt{DefineStmt: &pg.DefineStmt{Replace: true, Kind: pg.ObjectType_OBJECT_AGGREGATE}}},
		{Node: &pg.Node_IndexStmt{IndexStmt: &pg.IndexStmt{Concurrent: true}}},
		{Node: &pg.Node_RefreshMatViewStmt{RefreshMatViewStmt: &pg.RefreshMatViewStmt{Concurrent: true}}},
		{Node: &pg.Node_DropStmt{DropStmt: &pg.DropStmt{RemoveType: pg.ObjectType_OBJECT_INDEX, Concurrent: true}}},
		{Node: &pg.Node_FetchStmt{FetchStmt: &pg.FetchStmt{Ismove: true}}},
		{Node: &pg.Node_GrantStmt{GrantStmt: &pg.GrantStmt{IsGrant: true}}},
		{Node: &pg.Node_GrantRoleStmt{GrantRoleStmt: &pg.GrantRoleStmt{IsGrant: true}}},
	}
	for _, n := range replaced {
		check(classOf(n))
	}
	eachValue(pg.TransactionStmtKind(0), func(v protoreflect.EnumNumber) { check(transactionClass(pg.TransactionStmtKind(v))) })
	for _, from := range []bool{true, false} {
		for _, s := range []*pg.CopyStmt{{IsFrom: from}, {IsFrom: from, Filename: "x"}, {IsFrom: from, IsProgram: true}} {
			check(copyClass(s))
		}
	}
	for _, subtype := range []string{"X", "N", "T", "C"} {
		check(classOf(&pg.Node{Node: &pg.Node_AlterDomainStmt{AlterDomainStmt: &pg.AlterDomainStmt{Subtype: subtype}}}))
	}
	// DROP of these has a statement of its own or does not exist.
	apart := []pg.ObjectType{pg.ObjectType_OBJECT_LARGEOBJECT}
	altered := []pg.ObjectType{
		pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_FOREIGN_TABLE, pg.ObjectType_OBJECT_VIEW, pg.ObjectType_OBJECT_MATVIEW,
		pg.ObjectType_OBJECT_INDEX, pg.ObjectType_OBJECT_SEQUENCE, pg.ObjectType_OBJECT_TYPE,
	}
	eachValue(pg.ObjectType(0), func(v protoreflect.EnumNumber) {
		kind := pg.ObjectType(v)
		if !slices.Contains(apart, kind) {
			check(dropClass(&pg.DropStmt{RemoveType: kind}))
		}
		for _, of := range altered {
			check(renameClass(&pg.RenameStmt{RenameType: kind, RelationType: of}))
		}
	})
	for _, kind := range []pg.ObjectType{
		pg.ObjectType_OBJECT_AGGREGATE, pg.ObjectType_OBJECT_OPERATOR, pg.ObjectType_OBJECT_TYPE, pg.ObjectType_OBJECT_COLLATION,
		pg.ObjectType_OBJECT_TSPARSER, pg.ObjectType_OBJECT_TSDICTIONARY, pg.ObjectType_OBJECT_TSTEMPLATE, pg.ObjectType_OBJECT_TSCONFIGURATION,
	} {
		check(defineClass(&pg.DefineStmt{Kind: kind}))
	}
	for _, kind := range altered {
		eachValue(pg.AlterTableType(0), func(v protoreflect.EnumNumber) {
			check(commandClass(kind, &pg.AlterTableCmd{Subtype: pg.AlterTableType(v)}))
		})
	}
	for _, kind := range []pg.ObjectType{
		pg.ObjectType_OBJECT_FUNCTION, pg.ObjectType_OBJECT_PROCEDURE, pg.ObjectType_OBJECT_ROUTINE, pg.ObjectType_OBJECT_AGGREGATE,
	} {
		check(alterClass(&pg.Node{Node: &pg.Node_AlterFunctionStmt{AlterFunctionStmt: &pg.AlterFunctionStmt{Objtype: kind}}}))
	}
	for _, c := range largeObjectCalls {
		check(c)
	}
	for _, c := range []Class{
		ClassUnparsed, ClassUnparsedRead, ClassUnknown, classSelectForUpdate, classSetval, classSet, classFunctionCall,
		classSQLFunctionCall, classServerFunction, "cancel_backend", "terminate_backend", "alter_table_restart_identity",
		"alter_table_drop_default", "alter_sequence_restart", "alter_table_add_column_rewrite", "alter_table_set_data_type_using",
		"vacuum_full", "analyze", "select_into", "set_role", "set_session_authorization", "set_transaction", "reset",
	} {
		check(c)
	}
}

func TestGroups(t *testing.T) {
	want := []string{"ddl", "drop", "lock", "opaque", "privilege", "read", "server", "session", "transaction", "write"}
	if !slices.Equal(Groups(), want) {
		t.Errorf("groups %v, want %v", Groups(), want)
	}
	for class, in := range map[Class]string{
		"select": "read", "show": "read", "copy_to": "read", "truncate": "write write truncate", "copy_from_program": "write server",
		"drop_table": "ddl drop", "drop_database": "drop server", "alter_table_drop_column": "ddl drop", "grant": "privilege",
		"select_for_update": "lock", "commit": "transaction", "set_role": "session", "do": "opaque", "unparsed": "opaque",
		"unknown": "opaque", "unparsed_read": "read", "server_function": "server", "sql_function_call": "opaque",
	} {
		for _, g := range strings.Fields(in) {
			if !class.In(g) {
				t.Errorf("%s is not in %s", class, g)
			}
		}
	}
	for class, out := range map[Class]string{
		"select": "write ddl", "copy_to_file": "read", "copy_to_program": "read", "select_for_update": "read",
		"select_into": "read", "explain": "write", "function_call": "read", "insert": "ddl", "made_up": "read",
	} {
		for _, g := range strings.Fields(out) {
			if class.In(g) {
				t.Errorf("%s is in %s", class, g)
			}
		}
	}
}

// A class that only reads may be in no other group: ReadOnly relies on it.
func TestWhatReadsDoesNothingElse(t *testing.T) {
	for c, in := range membership {
		if slices.Contains(in, "read") && len(in) != 1 {
			t.Errorf("%s is in %v", c, in)
		}
	}
}

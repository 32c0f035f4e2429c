package policy

import (
	pg "github.com/pganalyze/pg_query_go/v6"
)

// People try out what a statement does, and take it back in the same message:
//
//	BEGIN; EXPLAIN ANALYZE DELETE FROM orders WHERE ...; ROLLBACK
//
// Nothing of that lasts, whatever happens on the way. An error ends the message:
// what is behind it does not run, and the transaction has failed. Outside a block
// it is rolled back at once, all statements of one message being one transaction
// (the manual's "Multiple Statements in a Simple Query"). Inside a block the client
// can only go on with ROLLBACK, or with ROLLBACK TO a savepoint. That one must not
// lie behind the statement, or it would save it: so nothing may stand between the
// statement and the ROLLBACK that touches the transaction. Then every savepoint is
// older than the statement, and ROLLBACK TO any of them takes it back as well.
//
// The same is true of writes behind BEGIN READ ONLY: the server refuses them.

// markTakenBack marks the statements of one message of which nothing lasts.
func markTakenBack(message []*Facts) {
	taken := false
	for i := len(message) - 1; i >= 0; i-- {
		f := message[i]
		switch f.Transaction {
		case TransactionRollback, TransactionRollbackAndChain, TransactionRollbackTo:
			taken = true
		case TransactionNone:
			if taken = taken && f.staysInTransaction(); taken {
				f.TakenBack = true
			}
		default:
			taken = false
		}
	}
	readOnly := false
	for i, f := range message {
		switch {
		case f.beginsReadOnly:
			readOnly = true
		case f.Class == "set_transaction" && i > 0 && message[i-1].Transaction == TransactionBegin && f.setsReadOnly():
			readOnly = true
		case !f.staysReadOnly():
			readOnly = false
		case readOnly:
			f.TakenBack = true
		}
	}
}

// InReadOnlyTransaction gives the statements of one Query message as they are in
// a transaction that is known to be read-only: until one of them could end that,
// the server refuses what they write. It is not for what is bound to a portal,
// which can outlive the subtransaction that was read-only.
func InReadOnlyTransaction(message []*Facts) []*Facts {
	marked := make([]*Facts, len(message))
	copy(marked, message)
	for i, f := range message {
		if !f.staysReadOnly() {
			break
		}
		g := *f
		g.TakenBack = true
		marked[i] = &g
	}
	return marked
}

// staysReadOnly says that a read-only transaction is one still behind the
// statement. Before its first query it could be made to write by a setting.
func (f *Facts) staysReadOnly() bool {
	return f.Transaction == TransactionNone && f.staysInTransaction() && len(f.Settings) == 0
}

// staysInTransaction says that the statement, run or failed, neither commits nor
// ends a transaction of several statements, by anything it runs. EXECUTE could
// run a COMMIT that was prepared by the protocol.
func (f *Facts) staysInTransaction() bool {
	if f.Executes != "" || f.Class != classSet && !f.Class.In("read") && !f.Class.takenBack() {
		return false
	}
	return f.Class != ClassUnparsedRead
}

// takenBack says whether a rollback takes back all that an action of the class
// does, and whether a read-only transaction refuses it.
func (c Class) takenBack() bool {
	switch c {
	case classInsert, classUpdate, classDelete, classMerge, "truncate":
		return true
	case "create_extension", "alter_extension", "drop_extension", "create_language", "create_or_replace_language", // they run code
		"create_subscription", "alter_subscription", "drop_subscription", "import_foreign_schema", // at another server
		"create_index_concurrently":
		return false
	}
	return c.In("ddl")
}

// beginsReadOnly says whether BEGIN or START TRANSACTION says READ ONLY, and not
// READ WRITE besides.
func beginsReadOnly(s *pg.TransactionStmt) bool {
	var settings []Setting
	for _, n := range s.Options {
		settings = append(settings, characteristic(n.GetDefElem()))
	}
	return transactionEffect(s) == TransactionBegin && readOnlyAlone(settings)
}

// setsReadOnly is beginsReadOnly for SET TRANSACTION.
func (f *Facts) setsReadOnly() bool { return readOnlyAlone(f.Settings) }

func readOnlyAlone(settings []Setting) bool {
	readOnly := false
	for _, s := range settings {
		if s.Name == "transaction_read_only" {
			if !s.Known || s.Value != "on" {
				return false
			}
			readOnly = true
		}
	}
	return readOnly
}

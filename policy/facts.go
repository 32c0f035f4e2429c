package policy

// Facts are what is known of one SQL statement from its text alone. The zero
// value is a statement nobody has read: its class is "unknown".
//
// A statement does one or more things. `WITH d AS (DELETE ...) SELECT` selects
// and deletes; `EXPLAIN ANALYZE UPDATE` updates. Each is an Action, at whatever
// depth it was found, and a rule matches a statement when one of the actions
// meets every condition of the rule.
type Facts struct {
	// Text is the statement as it stands in the client's message, without the
	// semicolon, in UTF-8 whatever the client's encoding is. It holds literals: never
	// log it. It is empty for a message that
	// only reads and has constants in it, because such facts are shared by all
	// messages that differ in their constants only.
	Text string

	// Class is the class of the outermost statement ("explain", "select",
	// "delete", ...; see Classes), ClassUnparsed or ClassUnknown. Of an ALTER TABLE
	// with several commands it is that of the first.
	Class Class

	// Actions lists what the statement does, outermost first, never empty once
	// read. Reads are actions too.
	Actions []Action

	// Problem says in words why an unparsed or unknown statement is one.
	Problem string

	// Ungrammatical is true of unparsed text that no more stands against than that
	// the grammar here does not know it. A newer server may know it.
	Ungrammatical bool

	// Transaction is what the statement does to the transaction block.
	Transaction TransactionEffect

	// Prepares is the name that PREPARE gives to Prepared.
	Prepares string
	Prepared *Facts
	types    []uint32 // of the parameters, as PREPARE declared them

	// Executes is the prepared statement that EXECUTE runs, at any depth
	// (EXPLAIN ANALYZE EXECUTE, CREATE TABLE AS EXECUTE). Who decides must add
	// the actions of the statement of that name; see With.
	Executes  string
	arguments []Parameter // what EXECUTE gives to it

	// Deallocates is the prepared statement that DEALLOCATE forgets; DeallocatesAll
	// is true for DEALLOCATE ALL and DISCARD ALL.
	Deallocates    string
	DeallocatesAll bool

	// Settings are the parameters set by SET, SET LOCAL, RESET, set_config and
	// UPDATE pg_settings, names in lower case. "all" stands for RESET ALL and
	// DISCARD ALL, an empty name for a parameter that no constant names. SET
	// TRANSACTION sets transaction_read_only and the like.
	Settings []Setting

	// Signals lists the process IDs, given as constants, that the statement
	// cancels or terminates (pg_cancel_backend, pg_terminate_backend; classes
	// cancel_backend and terminate_backend).
	Signals []int32

	// TakenBack is true where nothing of the statement lasts but what a rollback
	// does not take back: a ROLLBACK stands behind it in the same message, or the
	// transaction is read-only.
	TakenBack      bool
	beginsReadOnly bool // BEGIN READ ONLY

	// CopyIn is true for COPY ... FROM STDIN.
	CopyIn bool

	shape  *lazyShape // see Shape
	lent   *lent      // see Lender
	plain  bool       // see InsertsPlainly
	impact *Impact    // see WithImpact
	wants  []Name     // met in bodies; see Reader.Ask

	hiding    []Name // see Hiding
	hidingKey string
	hides     bool // see HidingCode
}

// Action is one thing that a statement does.
type Action struct {
	Class Class

	// Carrier says what carries the action when it is not the statement itself:
	// "WITH", "EXPLAIN ANALYZE", "COPY", "MERGE", "EXECUTE", "CREATE RULE", ...;
	// outermost first, with ", " between them.
	Carrier string

	// Tables are the relations acted upon (the targets, not those read); for
	// DROP of something that is no relation, the names of the objects.
	Tables []Table

	// Parent is the partitioned table of which CREATE TABLE makes a partition. It is
	// not acted upon, but locked, and its default partition with it.
	Parent Table

	// Where is what is known of the WHERE of UPDATE, DELETE, MERGE and SELECT ...
	// FOR UPDATE. MERGE has that of its worst branch.
	Where Where

	// Proof says in words why Where is what it is, for people.
	Proof string

	// Cascade is true for DROP and TRUNCATE ... CASCADE.
	Cascade bool

	// Functions are the functions called that are not known to be harmless,
	// "schema.name" as written; an operator that is not built in is written
	// "operator ===".
	Functions []string

	// What follows is known once a catalogue was asked; see Reader.Refine.

	// Cascades are the further relations that the action reaches: what is behind a
	// view, partitions, and what foreign keys take along. CascadesCut is true where
	// there are more than are listed.
	Cascades    []Cascade
	CascadesCut bool

	// Triggers are the triggers and rules that the action sets off, on the tables
	// that it names and on those that it reaches: "trigger t on public.orders".
	Triggers []string

	// AtMostRows is how many rows the WHERE can choose at most, because it names
	// that many values of a unique key; 0 where nothing is known.
	AtMostRows int

	// Empty is true where the action is known to find nothing to act on: its tables
	// hold no row, or what it names is not there.
	Empty bool

	// Tool is whose lock or version table the action rewrites, in the way in which that
	// tool does it: see toolTables.
	Tool string

	idle   int           // how many of Triggers are known to change no row but the one they run for
	judged []judged      // what Where was judged by
	byKey  int           // AtMostRows as a kept catalogue says it, too
	calls  bool          // a default, a check, an index or a policy of its table may call code
	sets   []string      // the columns that UPDATE sets
	moves  *sequenceMove // where setval sets a sequence to, as far as that is known
	call   *call         // the call whose arguments are parameters
	given  given         // what the functions and triggers that it sets off are given

	// unwritten is true of what a body does, which stands in no text of the client.
	unwritten bool
}

// Table is a relation as written, folded and unquoted as PostgreSQL does it.
// Schema is empty where the text gives none, and no catalogue was asked.
type Table struct {
	Schema, Name string

	// Of a catalogue that was asked: it belongs to the session alone, it holds no
	// row, there is none of that name.
	Temporary, Empty, Missing bool
}

// A Cascade is a relation that an action reaches without naming it.
type Cascade struct {
	Table Table
	From  Table  // what it is reached from
	Via   string // the foreign key; empty for views and partitions

	// Effect is what happens to it: delete, update, truncate, "set null", "set
	// default" or "drop constraint" by a foreign key; "view", "partition" or
	// "inherits" where the action itself goes on to it.
	Effect string
	Depth  int     // steps from what the action names, from 1
	Rows   float64 // in the table, by the server's estimate; -1 where there is none

	// PerRow is how many rows of it one row of From takes along on average, and
	// AtMost how many go with the value that most of them refer to, both by the
	// statistics of ANALYZE; -1 where the server has none, or the role may not read
	// them.
	PerRow, AtMost float64
}

// Setting is one parameter that a statement sets. Value is empty, and Known is
// false, for RESET, for DEFAULT and for a value that is no constant.
type Setting struct {
	Name, Value string
	Known       bool
	Local       bool
}

// Where is what is known of a WHERE clause. The zero value means that the
// action has none by its nature (SELECT, TRUNCATE, ...).
type Where uint8

const (
	WhereNone           Where = iota // the action takes no WHERE
	WhereMissing                     // it could have one and has none
	WhereAlwaysTrue                  // proven true for every row
	WhereTrueUnlessNull              // proven true for every row, but for those with a null in a column that the text does not show to have none
	WhereIndependent                 // never refers to the target row: all rows or none
	WhereUnlinked                    // USING or FROM without a predicate that links it to the target
	WherePresent                     // none of the above could be shown
)

// TransactionEffect is what a statement does to the transaction block.
type TransactionEffect uint8

const (
	TransactionNone TransactionEffect = iota
	TransactionBegin
	TransactionCommit           // COMMIT, END, PREPARE TRANSACTION
	TransactionRollback         // ROLLBACK, ABORT
	TransactionCommitAndChain   // the next transaction begins at once
	TransactionRollbackAndChain // the next transaction begins at once
	TransactionSavepoint        // SAVEPOINT, RELEASE
	TransactionRollbackTo       // ROLLBACK TO SAVEPOINT: can end the failed state
)

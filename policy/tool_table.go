package policy

import (
	"slices"
	"strings"
)

// Some tools keep a table of one row for themselves, a lock or the version that
// the schema is at, and write it without a WHERE. No one else's data is in it, and
// the tool puts the row back. Its name alone says nothing: that could be anybody's
// table, or a view. So the catalogue must show the table that the tool makes, with
// its columns and types, on which nothing hangs, and which is too small to be
// something else. Who gives another table that name and those columns has a table
// of one row that needs no approval, as he could have a temporary one.

// A toolTable is a table that a tool makes, and how it writes it as a whole. The
// tables in which tools keep the history of what was done are not here: what is
// deleted there is done again, and the tools themselves name the row.
type toolTable struct {
	tool    string
	name    glob // its name in lower case; most tools let one choose it
	columns string
	classes []Class
}

// toolTables are known from what the tools of the versions in testdata/clients
// were seen to send, of Liquibase and Strapi from their public source.
var toolTables = []toolTable{
	// lib/migrations/migrate/table-creator.js. The lock is let go without a WHERE;
	// `knex migrate:unlock` deletes the row and inserts it again.
	{"Knex", "*_lock", "index int4, is_locked int4", []Class{classUpdate, classDelete}},
	// InitializeDatabaseChangeLogLockTableGenerator: DELETE and INSERT, once. Products
	// that embed it put a prefix before the name.
	{"Liquibase", "*databasechangeloglock", "id int4, locked bool, lockgranted timestamp, lockedby varchar", []Class{classDelete}},
	// database/postgres, database/pgx: SetVersion is TRUNCATE and INSERT in one
	// transaction, twice for each migration.
	{"golang-migrate", "*migrations*", "version int8, dirty bool", []Class{"truncate"}},
	// migrate.go of jackc/tern: UPDATE after each migration.
	{"tern", "*schema_version*", "version int4", []Class{classUpdate}},
	// Sequel::IntegerMigrator: UPDATE after each migration.
	{"Sequel", "*schema_info", "version int4", []Class{classUpdate}},
	// packages/core/database/src/schema/storage.ts: what the tables were when it last
	// started, rewritten when a model has changed.
	{"Strapi", "strapi_database_schema", "id int4, schema json, time timestamp, hash varchar", []Class{"truncate"}},
}

// maxToolTable bounds the table by its size, in bytes: two pages, for a row and
// the old versions of it that VACUUM has not come by yet.
const maxToolTable = 2 * 8192

// toolOf gives the tool whose own tables an action writes, or "". Rows are only
// estimated, and the size is what bounds them; both must agree that it is one row.
func (c *Catalog) toolOf(a *Action, written []Table) string {
	tool := ""
	for i := range written {
		named := c.ownerOf(c.relationNamed(written[i]), a.Class)
		if named == "" || i > 0 && named != tool {
			return ""
		}
		tool = named
	}
	return tool
}

func (c *Catalog) ownerOf(r *Relation, class Class) string {
	if r == nil || !c.sameNames || !c.sameRows || c.Cut || !r.aloneWithOneRow() ||
		slices.ContainsFunc(c.ForeignKeys, func(k ForeignKey) bool { return k.From == r.OID || k.To == r.OID }) {
		return ""
	}
	columns := make([]string, len(r.Columns))
	for i, column := range r.Columns {
		columns[i] = column.Name + " " + column.Type
	}
	name, has := strings.ToLower(r.Name), strings.ToLower(strings.Join(columns, ", "))
	for _, t := range toolTables {
		if t.columns == has && t.name.match(name) && slices.Contains(t.classes, class) {
			return t.tool
		}
	}
	return ""
}

// aloneWithOneRow says that nothing hangs on a plain table, and that one row is as
// many as it has.
func (r *Relation) aloneWithOneRow() bool {
	return r.Kind == "r" && !r.Temporary && !r.RowSecurity && len(r.Triggers) == 0 && len(r.Rules) == 0 && len(r.Below) == 0 && len(r.Bounds) == 0 &&
		r.Rows <= 1 && r.Live != nil && *r.Live <= 1 && r.Size != nil && *r.Size <= maxToolTable
}

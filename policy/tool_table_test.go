package policy

import (
	"fmt"
	"strings"
	"testing"
)

// toolCatalog is a catalogue of one relation, which can be bent out of shape.
func toolCatalog(name, relation string, columns ...string) string {
	for i, c := range columns {
		own, kind, _ := strings.Cut(c, " ")
		columns[i] = fmt.Sprintf(`{"name": %q, "kind": "other", "type": %q}`, own, kind)
	}
	return fmt.Sprintf(`{"server_version": 150018, "functions": [], "foreign_keys": [], "relations": [
		{"oid": 1, "schema": "public", "name": %q, "columns": [%s], %s}]}`, name, strings.Join(columns, ", "), relation)
}

const (
	oneRow    = `"kind": "r", "rows": -1, "size": 8192, "live": 1`
	knexLock  = "UPDATE knex_migrations_lock SET is_locked = 0"
	knexTable = "knex_migrations_lock"
)

func verdictOn(t *testing.T, sql string, c *Catalog) (Verdict, string) {
	t.Helper()
	r := NewReader()
	f := r.Refine(r.Read(sql, plainLexing)[0], c)
	d := Standard().Decide(&Session{User: "alice"}, f)
	return d.Verdict, d.ID()
}

func TestTheLockOfAToolIsItsOwn(t *testing.T) {
	for sql, catalog := range map[string]string{
		knexLock:                           toolCatalog(knexTable, oneRow, "index int4", "is_locked int4"),
		"DELETE FROM knex_migrations_lock": toolCatalog(knexTable, oneRow, "index int4", "is_locked int4"),
		`UPDATE public."Own_lock" SET is_locked = $1`: toolCatalog("Own_lock", `"kind": "r", "rows": 1, "size": 16384, "live": 0`, "index int4", "is_locked int4"),
		"DELETE FROM databasechangeloglock":           toolCatalog("databasechangeloglock", oneRow, "id int4", "locked bool", "lockgranted timestamp", "lockedby varchar"),
		`DELETE FROM "DATABASECHANGELOGLOCK"`:         toolCatalog("DATABASECHANGELOGLOCK", oneRow, "ID int4", "LOCKED bool", "LOCKGRANTED timestamp", "LOCKEDBY varchar"),
		`TRUNCATE "public"."schema_migrations"`:       toolCatalog("schema_migrations", oneRow, "version int8", "dirty bool"),
		"UPDATE public.schema_version SET version=$1": toolCatalog("schema_version", oneRow, "version int4"),
		`UPDATE "schema_info" SET "version" = 1`:      toolCatalog("schema_info", oneRow, "version int4"),
	} {
		c := decoded(t, catalog)
		if v, rule := verdictOn(t, sql, c); v != Allow {
			t.Errorf("%s: %s %s", sql, v, rule)
		}
		if v, _ := verdictOn(t, sql, c.Kept()); v != Hold {
			t.Errorf("%s: %s by a catalogue that was kept", sql, v)
		}
		if v, _ := verdictOn(t, sql, nil); v != Hold {
			t.Errorf("%s: %s without a catalogue", sql, v)
		}
	}
}

// What only has the name, or only the columns, is not the tool's table; and what
// the tool does not do to it is not let through.
func TestANameAndItsColumnsAreNotEnough(t *testing.T) {
	columns := []string{"index int4", "is_locked int4"}
	for what, relation := range map[string]string{
		"a view":               `"kind": "v", "rows": -1, "bases": [2]`,
		"a foreign table":      `"kind": "f", "rows": -1, "size": 0, "live": 0`,
		"a partitioned table":  `"kind": "p", "rows": 1, "size": 0, "live": 0`,
		"a partition":          oneRow + `, "bounds": [{"columns": ["index"], "text": "DEFAULT"}]`,
		"one that others have": oneRow + `, "below": [2]`,
		"a trigger":            oneRow + `, "triggers": [{"name": "t", "timing": "after", "events": ["insert"], "row": true, "function": 9}]`,
		"a rule":               oneRow + `, "rules": [{"name": "r", "event": "insert", "definition": ""}]`,
		"row security":         oneRow + `, "row_security": true`,
		"three pages":          `"kind": "r", "rows": 1, "size": 24576, "live": 1`,
		"rows by ANALYZE":      `"kind": "r", "rows": 2, "size": 8192, "live": 1`,
		"rows since":           `"kind": "r", "rows": -1, "size": 8192, "live": 2`,
		"an unknown size":      `"kind": "r", "rows": 1, "live": 1`,
		"no statistics":        `"kind": "r", "rows": 1, "size": 8192`,
	} {
		if v, rule := verdictOn(t, knexLock, decoded(t, toolCatalog(knexTable, relation, columns...))); v != Hold || rule != "no-where" {
			t.Errorf("%s: %s %s", what, v, rule)
		}
	}
	for what, c := range map[string]string{
		"a column more":   toolCatalog(knexTable, oneRow, "index int4", "is_locked int4", "note text"),
		"a column less":   toolCatalog(knexTable, oneRow, "is_locked int4"),
		"another type":    toolCatalog(knexTable, oneRow, "index int4", "is_locked text"),
		"nobody's type":   toolCatalog(knexTable, oneRow, "index int4", "is_locked "),
		"a foreign key":   strings.Replace(toolCatalog(knexTable, oneRow, "index int4", "is_locked int4"), `"foreign_keys": []`, `"foreign_keys": [{"name": "k", "from": 2, "to": 1, "columns": ["l"], "referenced_columns": ["index"], "on_delete": "no action", "on_update": "no action"}]`, 1),
		"more than shown": strings.Replace(toolCatalog(knexTable, oneRow, "index int4", "is_locked int4"), `"foreign_keys"`, `"cut": true, "foreign_keys"`, 1),
	} {
		if v, rule := verdictOn(t, knexLock, decoded(t, c)); v != Hold || rule != "no-where" {
			t.Errorf("%s: %s %s", what, v, rule)
		}
	}
	for sql, c := range map[string]string{
		"TRUNCATE knex_migrations_lock":                                                 toolCatalog(knexTable, oneRow, "index int4", "is_locked int4"),
		"DROP TABLE knex_migrations_lock":                                               toolCatalog(knexTable, oneRow, "index int4", "is_locked int4"),
		"UPDATE databasechangeloglock SET locked = false":                               toolCatalog("databasechangeloglock", oneRow, "id int4", "locked bool", "lockgranted timestamp", "lockedby varchar"),
		"DELETE FROM schema_migrations":                                                 toolCatalog("schema_migrations", oneRow, "version int8", "dirty bool"),
		"TRUNCATE schema_migrations, orders":                                            toolCatalog("schema_migrations", oneRow, "version int8", "dirty bool"),
		"DELETE FROM schema_version":                                                    toolCatalog("schema_version", oneRow, "version int4"),
		"UPDATE orders SET version = 1":                                                 toolCatalog("orders", oneRow, "version int4"),
		"WITH d AS (DELETE FROM schema_version) SELECT 1":                               toolCatalog("schema_version", oneRow, "version int4"),
		"TRUNCATE schema_migrations CASCADE":                                            toolCatalog("schema_migrations", oneRow, "version int8", "dirty bool"),
		"MERGE INTO knex_migrations_lock USING orders ON true WHEN MATCHED THEN DELETE": toolCatalog(knexTable, oneRow, "index int4", "is_locked int4"),
	} {
		if v, _ := verdictOn(t, sql, decoded(t, c)); v != Hold {
			t.Errorf("%s: %s", sql, v)
		}
	}
}

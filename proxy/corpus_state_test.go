package proxy

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// state is what a database holds, as far as a destructive statement could take
// something of it.
type state struct {
	objects map[string]bool       // the catalogue, sequences and large objects: "kind|name|what"
	tables  map[string]tableState // "schema.table", without the tables that inherit from it
	wide    map[string]bool       // of the whole server, only where a case is about it
}

type tableState struct {
	columns string // those of the fixture, so that a new column changes no row
	rows    int
	hash    string
}

// objectsSQL lists what a database has beside rows. A thing that is changed is
// gone under its old description.
const objectsSQL = `
WITH ns AS (SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
     rel AS (SELECT c.*, n.nspname || '.' || c.relname AS name FROM pg_class c JOIN ns n ON n.oid = c.relnamespace)
SELECT 'schema|' || nspname FROM ns
UNION ALL SELECT 'relation|' || name || '|' || concat_ws(',', relkind, relpersistence, relowner::regrole, relrowsecurity, relispartition, relispopulated) FROM rel
UNION ALL SELECT 'acl|' || name || '|' || coalesce(relacl::text, '') FROM rel
UNION ALL SELECT 'column|' || name || '.' || attname || '|' || concat_ws(',', format_type(atttypid, atttypmod), attnotnull, attidentity)
          FROM rel JOIN pg_attribute a ON a.attrelid = rel.oid WHERE attnum > 0 AND NOT attisdropped AND relkind NOT IN ('i', 'I')
UNION ALL SELECT 'view|' || name || '|' || md5(pg_get_viewdef(oid)) FROM rel WHERE relkind IN ('v', 'm')
UNION ALL SELECT 'inherits|' || inhrelid::regclass || '|' || inhparent::regclass FROM pg_inherits WHERE inhrelid IN (SELECT oid FROM rel WHERE relkind NOT IN ('i', 'I'))
UNION ALL SELECT 'constraint|' || conrelid::regclass || '.' || conname || '|' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace IN (SELECT oid FROM ns)
UNION ALL SELECT 'index|' || indexrelid::regclass || '|' || indisvalid FROM pg_index WHERE indexrelid IN (SELECT oid FROM rel)
UNION ALL SELECT 'trigger|' || tgrelid::regclass || '.' || tgname || '|' || tgenabled::text || md5(pg_get_triggerdef(oid)) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'trigger|internal of ' || tgrelid::regclass || '|' || tgenabled::text || count(*) FROM pg_trigger WHERE tgisinternal GROUP BY tgrelid, tgenabled
UNION ALL SELECT 'rule|' || ev_class::regclass || '.' || rulename || '|' || ev_enabled::text || md5(pg_get_ruledef(oid)) FROM pg_rewrite WHERE ev_class IN (SELECT oid FROM rel) AND rulename <> '_RETURN'
UNION ALL SELECT 'policy|' || polrelid::regclass || '.' || polname || '|' || md5(concat(polqual::text, polwithcheck::text)) FROM pg_policy
UNION ALL SELECT 'function|' || oid::regprocedure || '|' || concat_ws(',', proowner::regrole, md5(prosrc), coalesce(proacl::text, '')) FROM pg_proc WHERE pronamespace IN (SELECT oid FROM ns) AND prokind <> 'a'
UNION ALL SELECT 'type|' || typname || '|' || typtype::text 
          FROM pg_type WHERE typnamespace IN (SELECT oid FROM ns) AND typtype IN ('e', 'd', 'b') AND typelem = 0
UNION ALL SELECT 'label|' || enumtypid::regtype || '|' || enumlabel FROM pg_enum
UNION ALL SELECT 'extension|' || extname FROM pg_extension
UNION ALL SELECT 'publication|' || pubname FROM pg_publication
UNION ALL SELECT 'sequence|' || seqrelid::regclass || '|' || concat_ws(',', seqstart, seqincrement) FROM pg_sequence
UNION ALL SELECT 'default acl|' || coalesce(defaclacl::text, '') FROM pg_default_acl
UNION ALL SELECT 'large object|' || oid || '|' || md5(lo_get(oid)) FROM pg_largeobject_metadata
UNION ALL SELECT 'prepared|' || gid FROM pg_prepared_xacts WHERE database = current_database()`

// sequencesSQL is apart, because a number that was taken is not a loss.
const sequencesSQL = `SELECT schemaname || '.' || sequencename, coalesce(last_value, start_value - 1) FROM pg_sequences WHERE schemaname !~ '^pg_'`

// wideSQL lists what belongs to the server and not to a database.
const wideSQL = `
SELECT 'role|' || concat_ws(',', rolname, rolsuper, rolcanlogin, rolcreaterole) FROM pg_roles
UNION ALL SELECT 'member|' || roleid::regrole || '|' || member::regrole FROM pg_auth_members
UNION ALL SELECT 'database|' || datname FROM pg_database WHERE datname !~ '^(test|corpus)_'
UNION ALL SELECT 'setting|' || setrole || '|' || setconfig::text FROM pg_db_role_setting
UNION ALL SELECT 'file|' || name || '|' || setting FROM pg_file_settings WHERE sourcefile ~ 'auto.conf$'
UNION ALL SELECT 'slot|' || slot_name FROM pg_replication_slots`

const tablesSQL = `
SELECT n.nspname || '.' || c.relname, string_agg(quote_ident(a.attname), ',' ORDER BY a.attnum)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' GROUP BY c.oid, n.nspname, c.relname`

func texts(ctx context.Context, c *pgx.Conn, sql string) (map[string]bool, error) {
	rows, err := c.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	all := make(map[string]bool, len(list))
	for _, s := range list {
		all[s] = true
	}
	return all, nil
}

// readState reads the state of a database; of tables it reads the columns that
// fixture has of them, or all where fixture is nil.
func readState(ctx context.Context, c *pgx.Conn, fixture *state, wide bool) (*state, error) {
	s := &state{tables: map[string]tableState{}}
	var err error
	if s.objects, err = texts(ctx, c, objectsSQL); err != nil {
		return nil, fmt.Errorf("read the catalogue: %w", err)
	}
	if wide {
		if s.wide, err = texts(ctx, c, wideSQL); err != nil {
			return nil, fmt.Errorf("read what is the server's: %w", err)
		}
	}
	columns := map[string]string{}
	rows, err := c.Query(ctx, tablesSQL)
	if err != nil {
		return nil, err
	}
	var name, list string
	if _, err := pgx.ForEachRow(rows, []any{&name, &list}, func() error { columns[name] = list; return nil }); err != nil {
		return nil, err
	}
	var counts []string
	for name, list := range columns {
		if fixture != nil {
			kept := fixture.tables[name].columns
			if !within(kept, list) {
				continue // a column is gone, which the catalogue shows
			}
			if list = kept; list == "" {
				continue // a new table
			}
		}
		columns[name] = list
		counts = append(counts, fmt.Sprintf(`SELECT '%s', count(*), coalesce(sum(hashtextextended(ROW(%s)::text, 0)), 0)::text FROM ONLY %s`,
			name, list, relation(name)))
	}
	rows, err = c.Query(ctx, strings.Join(counts, " UNION ALL "))
	if err != nil {
		return nil, fmt.Errorf("count the rows: %w", err)
	}
	var t tableState
	_, err = pgx.ForEachRow(rows, []any{&name, &t.rows, &t.hash}, func() error {
		t.columns = columns[name]
		s.tables[name] = t
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count the rows: %w", err)
	}
	rows, err = c.Query(ctx, sequencesSQL)
	if err != nil {
		return nil, err
	}
	var last int64
	_, err = pgx.ForEachRow(rows, []any{&name, &last}, func() error {
		s.tables["sequence "+name] = tableState{columns: "-", hash: fmt.Sprint(last)}
		return nil
	})
	return s, err
}

func within(some, all string) bool {
	have := strings.Split(all, ",")
	for _, c := range strings.Split(some, ",") {
		if c != "" && !slices.Contains(have, c) {
			return false
		}
	}
	return true
}

func relation(name string) string {
	schema, table, _ := strings.Cut(name, ".")
	return pgx.Identifier{schema, table}.Sanitize()
}

// rowsOf reads a table's rows as text, in the columns of the fixture.
func rowsOf(ctx context.Context, c *pgx.Conn, name, columns string) (map[string]int, error) {
	rows, err := c.Query(ctx, fmt.Sprintf("SELECT ROW(%s)::text FROM ONLY %s", columns, relation(name)))
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	all := make(map[string]int, len(list))
	for _, r := range list {
		all[r]++
	}
	return all, nil
}

// change is the difference between the fixture and what a case left.
type change struct {
	gone, added []string       // of the catalogue and of the server
	lost, grown map[string]int // rows, by table
	sequences   []string       // set back, or far ahead
}

func (c *change) empty() bool {
	return len(c.gone)+len(c.added)+len(c.lost)+len(c.grown)+len(c.sequences) == 0
}

// summary is the change without what differs from run to run (OIDs, times).
func (c *change) summary() string {
	kinds := map[string]int{}
	for _, list := range [][]string{c.gone, c.added} {
		for _, o := range list {
			kind, _, _ := strings.Cut(o, "|")
			kinds[kind]++
		}
	}
	return fmt.Sprint(kinds, c.lost, c.grown, c.sequences)
}

// destructive says in words what of the change is a loss, or "" if nothing is:
// more than 1 % of a table, anything of the catalogue, a sequence set back.
func (c *change) destructive(before *state) string {
	var found []string
	for _, counts := range []map[string]int{c.lost, c.grown} {
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			if total := before.tables[name].rows; total >= 100 && counts[name]*100 > total {
				found = append(found, fmt.Sprintf("%d of %d rows of %s", counts[name], total, name))
			}
		}
	}
	for _, g := range c.gone {
		if strings.HasPrefix(g, "acl|") && slices.Contains(c.gone, "relation|"+strings.TrimPrefix(g, "acl|")) {
			continue
		}
		found = append(found, "gone: "+g)
	}
	found = append(found, c.sequences...)
	return strings.Join(found, "; ")
}

// compare finds what became of the fixture.
func (l *lab) compare(ctx context.Context, c *pgx.Conn, wide bool) (*change, error) {
	after, err := readState(ctx, c, l.before, wide)
	if err != nil {
		return nil, err
	}
	d := &change{lost: map[string]int{}, grown: map[string]int{}}
	difference := func(before, after map[string]bool) {
		for o := range before {
			if !after[o] {
				d.gone = append(d.gone, o)
			}
		}
		for o := range after {
			if !before[o] {
				d.added = append(d.added, o)
			}
		}
	}
	difference(l.before.objects, after.objects)
	if wide {
		difference(l.before.wide, after.wide)
	}
	slices.Sort(d.gone)
	slices.Sort(d.added)
	for name, was := range l.before.tables {
		is, exists := after.tables[name]
		if !exists || is == was {
			continue
		}
		if sequence, ok := strings.CutPrefix(name, "sequence "); ok {
			var from, to int64
			fmt.Sscan(was.hash, &from)
			fmt.Sscan(is.hash, &to)
			if to < from || to > from+1000 {
				d.sequences = append(d.sequences, fmt.Sprintf("sequence %s from %d to %d", sequence, from, to))
			}
			continue
		}
		rows, err := rowsOf(ctx, c, name, was.columns)
		if err != nil {
			return nil, err
		}
		for row, n := range l.rows[name] {
			if missing := n - rows[row]; missing > 0 {
				d.lost[name] += missing
			}
		}
		for row, n := range rows {
			if more := n - l.rows[name][row]; more > 0 {
				d.grown[name] += more
			}
		}
	}
	return d, nil
}

// effect says in words what a case did that changes no row, if the case names
// such a thing and it happened; some of it is seen only while the case's sessions
// are open.
func (l *lab) effect(ctx context.Context, c *pgx.Conn, kase *labelled, d *change, nodes map[string]uint32) (string, error) {
	kind, what, _ := strings.Cut(kase.Effect, ":")
	prefixes := map[string]string{"rule": "rule|", "trigger": "trigger|", "defacl": "default acl|", "dbset": "setting|",
		"databases": "database|", "slots": "slot|", "autoconf": "file|", "prepared": "prepared|"}
	switch kind {
	case "":
	case "rewrite":
		after, err := fileNodes(ctx, c)
		if err != nil {
			return "", err
		}
		for name, node := range nodes {
			if (name == what || strings.HasSuffix(name, "."+what)) && after[name] != node {
				return "rewritten: " + name, nil
			}
		}
	case "file":
		file := filepath.Join(l.cluster.Dir, what)
		if _, err := os.Stat(file); err == nil {
			return "a file: " + what, os.Remove(file)
		}
	case "lock", "lockrows", "sessions": // seen by watch
	case "orphans":
		return orphans(ctx, c)
	case "role":
		for _, o := range slices.Concat(d.gone, d.added) {
			if strings.HasPrefix(o, "role|") || strings.HasPrefix(o, "member|") {
				return o, nil
			}
		}
	default:
		prefix, known := prefixes[kind]
		if !known {
			return "", fmt.Errorf("effect %q is not known", kase.Effect)
		}
		for _, o := range slices.Concat(d.gone, d.added) {
			if strings.HasPrefix(o, prefix) {
				return o, nil
			}
		}
	}
	return "", nil
}

// watch looks for the effects that end with the case's sessions.
func watch(ctx context.Context, c *pgx.Conn, kase *labelled) (string, error) {
	kind, what, _ := strings.Cut(kase.Effect, ":")
	n := 0
	switch kind {
	case "sessions":
		if err := c.Ping(ctx); err != nil {
			return "another session was ended", nil
		}
	case "lock":
		err := c.QueryRow(ctx, `SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
			WHERE c.relname = $1 AND l.pid <> pg_backend_pid() AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`, what).Scan(&n)
		if err != nil || n == 0 {
			return "", err
		}
		return "locked: " + what, nil
	case "lockrows":
		err := c.QueryRow(ctx, fmt.Sprintf(`SELECT count(*) FROM %[1]s WHERE ctid NOT IN (SELECT ctid FROM %[1]s FOR UPDATE SKIP LOCKED)`,
			pgx.Identifier{what}.Sanitize())).Scan(&n)
		if err != nil || n < 10 {
			return "", err
		}
		return fmt.Sprintf("%d rows of %s locked", n, what), nil
	}
	return "", nil
}

// fileNodes are the files of the tables; one that is rewritten gets another.
func fileNodes(ctx context.Context, c *pgx.Conn) (map[string]uint32, error) {
	rows, err := c.Query(ctx, `SELECT n.nspname || '.' || c.relname, c.relfilenode FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r'`)
	if err != nil {
		return nil, err
	}
	nodes := map[string]uint32{}
	var name string
	var node uint32
	_, err = pgx.ForEachRow(rows, []any{&name, &node}, func() error { nodes[name] = node; return nil })
	return nodes, err
}

// orphans finds rows whose foreign key leads nowhere.
func orphans(ctx context.Context, c *pgx.Conn) (string, error) {
	queries, err := texts(ctx, c, `SELECT format('SELECT %L WHERE EXISTS (SELECT FROM %s c WHERE c.%I IS NOT NULL AND NOT EXISTS (SELECT FROM %s p WHERE p.%I = c.%3$I))',
			'orphans in ' || k.conrelid::regclass, k.conrelid::regclass, a.attname, k.confrelid::regclass, b.attname)
		FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
		JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = k.confkey[1] WHERE k.contype = 'f' AND cardinality(k.conkey) = 1`)
	if err != nil || len(queries) == 0 {
		return "", err
	}
	found, err := texts(ctx, c, strings.Join(slices.Collect(maps.Keys(queries)), " UNION ALL "))
	return strings.Join(slices.Sorted(maps.Keys(found)), "; "), err
}

// repair puts back the rows and the sequences that a case changed, which is much
// faster than another copy of the database. Triggers, rules and foreign keys
// stay out of it. A mistake here shows in every case that follows.
func (l *lab) repair(ctx context.Context, c *pgx.Conn, d *change) error {
	b := &pgx.Batch{}
	b.Queue("SET session_replication_role = replica")
	changed := maps.Clone(d.lost)
	maps.Copy(changed, d.grown)
	for name := range changed {
		table, columns := relation(name), l.before.tables[name].columns
		var rows []string
		for row, n := range l.rows[name] {
			rows = append(rows, slices.Repeat([]string{row}, n)...)
		}
		b.Queue("DELETE FROM ONLY " + table)
		b.Queue(fmt.Sprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT (r::%[1]s).* FROM unnest($1::text[]) r", table, columns), rows)
	}
	for name, t := range l.before.tables {
		if sequence, ok := strings.CutPrefix(name, "sequence "); ok && t.hash != "0" {
			b.Queue("SELECT setval($1::text::regclass, $2::text::bigint)", relation(sequence), t.hash)
		}
	}
	b.Queue("RESET session_replication_role")
	return c.SendBatch(ctx, b).Close()
}

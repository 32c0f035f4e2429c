package demo

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

var (
	//go:embed schema.sql
	schemaSQL string
	//go:embed constraints.sql
	constraintsSQL string
)

// database is the name of the demo's database.
const database = "inventory"

// table is one of the inventory's tables: how many of a thousand rows it gets,
// and the columns of row g after its id. {accounts} and the like stand for how
// many rows that table has.
type table struct {
	name    string
	share   int
	columns string
}

var tables = []table{
	{"accounts", 2, "'Account ' || g, (ARRAY['free','team','enterprise'])[1 + g % 3], timestamptz '2020-01-01Z' + g * interval '1 hour'"},
	{"users", 20, "1 + g % {accounts}, 'user' || g || CASE WHEN g % 50 = 0 THEN '@test.example' ELSE '@customer.example' END, g % 7 <> 0"},
	{"suppliers", 6, "1 + g % {accounts}, 'Supplier ' || g"},
	{"inventory", 200, "1 + g % {accounts}, 'SKU-' || g, g % 500, (g % 9000) / 100.0"},
	{"price_rules", 5, "1 + g % {accounts}, 1 + g % {inventory}, g % 40"},
	{"orders", 150, "1 + g % {accounts}, 1 + g % {users}, timestamptz '2022-01-01Z' + g * interval '3 minutes', false"},
	{"order_lines", 250, "1 + g % {accounts}, 1 + g % {orders}, 1 + g % {inventory}, 1 + g % 9"},
	{"transactions", 200, "1 + g % {accounts}, 1 + g % {inventory}, g % 21 - 10, timestamptz '2022-01-01Z' + g * interval '2 minutes'"},
	{"invoices", 50, "1 + g % {accounts}, 1 + g % {orders}, (g % 90000) / 100.0"},
	{"payments", 40, "1 + g % {accounts}, 1 + g % {orders}, (g % 90000) / 100.0, timestamptz '2022-01-02Z' + g * interval '9 minutes'"},
	{"shipments", 40, "1 + g % {accounts}, 1 + g % {orders}, md5(g::text)"},
	{"returns", 7, "1 + g % {accounts}, 1 + g % {orders}, 'too small'"},
	{"addresses", 10, "1 + g % {accounts}, g || ' Dock Street', 'Port ' || g % 80"},
	{"notes", 7, "1 + g % {accounts}, 'Call back about ' || g"},
	{"api_keys", 3, "1 + g % {accounts}, md5('key' || g)"},
	{"inventory_import", 10, "'SKU-' || g || ';' || g % 500"},
}

// byAccount are the tables that carry account_id: those of the clean-up script.
func byAccount() []string {
	var names []string
	for _, t := range tables {
		if t.name != "accounts" && t.name != "inventory_import" {
			names = append(names, t.name)
		}
	}
	return names
}

func (t table) rows(total int) int { return max(1, total*t.share/1000) }

// chunk is how many rows one INSERT makes, so that progress can be shown.
const chunk = 50_000

// load makes the roles and the database and fills it with about total rows.
// progress is told how many there are so far.
func load(ctx context.Context, c *pgcluster.Cluster, total int, progress func(done int)) error {
	admin, err := connect(ctx, c.DSN("postgres", c.Superuser))
	if err != nil {
		return err
	}
	defer admin.Close(context.WithoutCancel(ctx))
	// alice's migrations own the tables, as in most shops: that is why roles
	// alone did not help.
	for _, sql := range []string{
		"CREATE ROLE alice LOGIN", "CREATE ROLE bob LOGIN", "CREATE ROLE carol LOGIN",
		"CREATE DATABASE " + database + " OWNER alice TEMPLATE template0",
	} {
		if err := execute(ctx, admin, sql); err != nil {
			return fmt.Errorf("make roles and database: %w", err)
		}
	}
	db, err := connect(ctx, c.DSN(database, "alice"))
	if err != nil {
		return err
	}
	defer db.Close(context.WithoutCancel(ctx))
	if err := execute(ctx, db, "SET search_path = public; "+schemaSQL); err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}
	done := 0
	for _, t := range tables {
		rows := t.rows(total)
		for from := 1; from <= rows; from += chunk {
			to := min(from+chunk-1, rows)
			sql := fmt.Sprintf("INSERT INTO %s SELECT g, %s FROM generate_series(%d, %d) g", t.name, counts(total).Replace(t.columns), from, to)
			if err := execute(ctx, db, sql); err != nil {
				return fmt.Errorf("fill table %s: %w", t.name, err)
			}
			done += to - from + 1
			progress(done)
		}
	}
	if err := execute(ctx, db, constraintsSQL); err != nil {
		return fmt.Errorf("add keys: %w", err)
	}
	return nil
}

// counts puts numbers in place of {accounts} and the like.
func counts(total int) *strings.Replacer {
	var pairs []string
	for _, t := range tables {
		pairs = append(pairs, "{"+t.name+"}", fmt.Sprint(t.rows(total)))
	}
	return strings.NewReplacer(pairs...)
}

// addNewer adds what has come in since the dump was taken, to tables that hang on
// nothing but accounts.
func addNewer(ctx context.Context, db *pgconn.PgConn, total int) error {
	for _, t := range tables {
		if t.name != "suppliers" && t.name != "addresses" && t.name != "notes" {
			continue
		}
		rows := t.rows(total)
		sql := fmt.Sprintf("INSERT INTO %s SELECT g, %s FROM generate_series(%d, %d) g", t.name, counts(total).Replace(t.columns), rows+1, rows+max(1, rows/10))
		if err := execute(ctx, db, sql); err != nil {
			return fmt.Errorf("add newer rows: %w", err)
		}
	}
	return nil
}

// content is what a table holds: how many rows, and a sum over all their values.
type content struct{ rows, sum string }

// contents reads every table, and which tables and keys there are, past the
// proxy.
func contents(ctx context.Context, db *pgconn.PgConn) (map[string]content, error) {
	var parts []string
	for _, t := range tables {
		parts = append(parts, fmt.Sprintf("SELECT '%s', count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM %s t", t.name, t.name))
	}
	// A restore that drops a table and fills it again leaves the rows as they
	// were, and one that drops a key loses none; neither was approved.
	parts = append(parts, `SELECT 'tables and keys', count(*), sum(hashtextextended(id, 0)) FROM (
		SELECT 'table ' || oid FROM pg_class WHERE relnamespace = 'public'::regnamespace
		UNION ALL SELECT 'key ' || oid FROM pg_constraint WHERE connamespace = 'public'::regnamespace) AS c(id)`)
	results, err := db.Exec(ctx, strings.Join(parts, " UNION ALL ")).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read every table: %w", err)
	}
	found := map[string]content{}
	for _, row := range results[0].Rows {
		found[string(row[0])] = content{string(row[1]), string(row[2])}
	}
	return found, nil
}

// rowCount is the number of rows in all tables.
func rowCount(ctx context.Context, db *pgconn.PgConn) (int, error) {
	var parts []string
	for _, t := range tables {
		parts = append(parts, "(SELECT count(*) FROM "+t.name+")")
	}
	results, err := db.Exec(ctx, "SELECT "+strings.Join(parts, "+")).ReadAll()
	if err != nil {
		return 0, fmt.Errorf("count rows: %w", err)
	}
	n := 0
	_, err = fmt.Sscan(string(results[0].Rows[0][0]), &n)
	return n, err
}

func connect(ctx context.Context, dsn string) (*pgconn.PgConn, error) {
	conn, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("connect to the demo's server: %w", err)
	}
	return conn, nil
}

func execute(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	_, err := conn.Exec(ctx, sql).ReadAll()
	return err
}

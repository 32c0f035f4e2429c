package proxy

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

const blockMany = `
version: 1
rules:
  - id: many
    match: {rows: "> 500", table: ["!pg_temp.*"]}
    action: block
`

// warehouse is a database with tables of a known size, and a proxy in front of it
// that blocks what is expected to change more than 500 rows.
func warehouse(t *testing.T) (direct, through *pgx.Conn) {
	t.Helper()
	cluster := pgcluster.Shared(t)
	database := inventory(t, cluster)
	psql(t, cluster, cluster.DSN(database, cluster.Superuser), `
		CREATE TABLE parts (id int PRIMARY KEY, kind text, n int);
		INSERT INTO parts SELECT g, 'k' || g % 4, g FROM generate_series(1, 4000) g;
		CREATE TABLE places (id int PRIMARY KEY, part int REFERENCES parts ON DELETE CASCADE);
		INSERT INTO places SELECT g, 1 + g % 4 FROM generate_series(1, 4000) g;
		CREATE INDEX ON places (part);
		CREATE TABLE planned (line text);
		CREATE FUNCTION writes(n int) RETURNS int LANGUAGE plpgsql AS
			$$ BEGIN INSERT INTO planned VALUES ('planned'); RETURN n; END $$;
		CREATE FUNCTION writes_a_row(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
			$$ BEGIN RETURN writes(n); END $$;
		CREATE TABLE fresh (id int);
		ALTER TABLE fresh SET (autovacuum_enabled = false);
		GRANT ALL ON ALL TABLES IN SCHEMA public TO alice;
		ANALYZE parts, places;
		INSERT INTO fresh SELECT generate_series(1, 4000);`)
	r := serveWith(t, cluster, blockMany, nil)
	return connectTo(t, cluster.DSN(database, cluster.Superuser)), connectTo(t, "postgres://alice@"+r.addr+"/"+database+"?sslmode=disable")
}

// isBlocked reports whether a statement was, and fails for any other error.
func isBlocked(t *testing.T, err error) bool {
	t.Helper()
	var e *pgconn.PgError
	switch {
	case err == nil:
		return false
	case errors.As(err, &e) && e.Code == "42501" && strings.Contains(e.Message, "many"):
		return true
	}
	t.Fatal(err)
	return false
}

func TestWhatThePlannerExpectsToBeManyRowsIsStopped(t *testing.T) {
	_, c := warehouse(t)
	for _, x := range []struct {
		sql     string
		args    []any
		blocked bool
	}{
		{"DELETE FROM parts WHERE kind = 'k1'", nil, true},
		{"DELETE FROM parts WHERE kind = $1", []any{"k1"}, true},
		{"UPDATE parts SET n = 0 WHERE id > $1", []any{100}, true}, // pgx sends an int4 in binary
		{"UPDATE parts SET n = 0 WHERE id > $1 RETURNING id, n", []any{100}, true},
		{"UPDATE parts SET n = 0 WHERE id > $1", []any{3990}, false},
		{"WITH gone AS (DELETE FROM parts WHERE kind = 'k1' RETURNING 1) SELECT count(*) FROM gone", nil, true},
		{"INSERT INTO parts SELECT id, kind, n FROM parts ON CONFLICT (id) DO UPDATE SET n = 0", nil, true},
		{"MERGE INTO parts USING places ON parts.id = places.id WHEN MATCHED THEN UPDATE SET n = 0", nil, true},
		{"DELETE FROM places USING parts WHERE places.part = parts.id AND parts.kind = 'k1'", nil, true},
		// One row, and what goes along with it by the foreign key.
		{"DELETE FROM parts WHERE id = 1", nil, true},
		{"UPDATE parts SET n = 0 WHERE id = 1", nil, false},
		// Where the planner can only guess, the rows are counted.
		{"UPDATE parts SET n = 0 WHERE CASE WHEN id = 20 THEN true ELSE false END", nil, false},
		{"UPDATE parts SET n = 0 WHERE CASE WHEN id = $1 THEN false ELSE true END", []any{20}, true},
		// A table that nobody has analyzed has no share and no estimate.
		{"DELETE FROM fresh WHERE id = -1 OR id::text LIKE '%x%'", nil, false},
	} {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeSimpleProtocol} {
			_, err := c.Exec(t.Context(), x.sql, append([]any{mode}, x.args...)...)
			if got := isBlocked(t, err); got != x.blocked {
				t.Errorf("%v: %s %v: blocked: %v", mode, x.sql, x.args, got)
			}
		}
	}
}

// The planner runs what is said to be immutable; nothing of that may last, nor the
// read-only mode that it is asked in.
func TestAskingThePlannerLeavesNothingBehind(t *testing.T) {
	direct, c := warehouse(t)
	const sql = "DELETE FROM parts WHERE kind = 'k1' AND writes_a_row(1) = 1"
	ctx := context.Background()
	count := func(query string) (n int) {
		t.Helper()
		if err := direct.QueryRow(ctx, query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	simple := func(sql string) {
		t.Helper()
		if _, err := c.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}
	}
	// The function fails when it is planned in a read-only transaction; the statement
	// runs then, and plans once.
	for n := range 3 {
		simple(sql + " AND id < 0")
		if planned := count("SELECT count(*) FROM planned"); planned != n+1 {
			t.Errorf("after %d statements planning has written %d rows", n+1, planned)
		}
	}
	if !isBlocked(t, errOf(c.Exec(ctx, "DELETE FROM parts WHERE kind = 'k1'", pgx.QueryExecModeSimpleProtocol))) {
		t.Error("not blocked")
	}

	simple("BEGIN")
	simple("UPDATE parts SET n = n + 1 WHERE id > 3999 - 5 AND id < 3999")
	simple("INSERT INTO log VALUES ('still writable')")
	if !isBlocked(t, errOf(c.Exec(ctx, "DELETE FROM places WHERE part > 1", pgx.QueryExecModeSimpleProtocol))) {
		t.Error("not blocked in a transaction")
	}
	simple("ROLLBACK")
	simple("INSERT INTO log VALUES ('outside')")
	if n := count("SELECT count(*) FROM places"); n != 4000 {
		t.Errorf("%d places are left", n)
	}
}

func errOf(_ pgconn.CommandTag, err error) error { return err }

// The server answers nothing for a statement that does not work; it must fail as it
// does without the proxy.
func TestAStatementThatCannotBePlannedFailsByItself(t *testing.T) {
	_, c := warehouse(t)
	for _, sql := range []string{"DELETE FROM nowhere WHERE id > 1", "UPDATE parts SET n = 'x' WHERE id > 1", "DELETE FROM parts WHERE nope > 1"} {
		for _, begin := range []string{"", "BEGIN; "} {
			_, err := c.Exec(t.Context(), begin+sql, pgx.QueryExecModeSimpleProtocol)
			var e *pgconn.PgError
			if !errors.As(err, &e) || !strings.HasPrefix(e.Code, "42P01") && !strings.HasPrefix(e.Code, "22P02") && !strings.HasPrefix(e.Code, "42703") {
				t.Errorf("%s: %v", sql, err)
			}
			if _, err := c.Exec(t.Context(), "ROLLBACK"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Asking the planner, and the catalogue before it, costs more than most statements.
// What is expected to change few rows is asked about once, for all that differ from it
// in constants only; if one of them changes many, the commit gate takes it back.
func TestStatementsLikeOneOfFewRowsAreNotPlannedApart(t *testing.T) {
	cluster := pgcluster.Shared(t)
	database := inventory(t, cluster)
	psql(t, cluster, cluster.DSN(database, cluster.Superuser), `
		CREATE TABLE parts (id int PRIMARY KEY, n int);
		INSERT INTO parts SELECT g, g FROM generate_series(1, 4000) g;
		CREATE FUNCTION tells(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'planned'; RETURN n; END $$;
		GRANT ALL ON ALL TABLES IN SCHEMA public TO alice;
		ANALYZE parts;`)
	r := serveWith(t, cluster, blockMany, asServed)
	config, err := pgconn.ParseConfig("postgres://alice@" + r.addr + "/" + database + "?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	planned := 0
	config.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) { planned++ }
	c, err := pgconn.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	for _, x := range []struct {
		sql     string
		planned int // once to run it, once more by the proxy
		blocked bool
	}{
		{"UPDATE parts SET n = 0 WHERE n < tells(5) AND n > 3", 2, false},
		{"UPDATE parts SET n = 0 WHERE n < tells(7) AND n > 5", 1, false},
		{"DELETE FROM parts WHERE n < tells(7) AND n > 5", 2, false},
		{"CREATE TEMPORARY TABLE t ()", 0, false}, // a name may mean something else now
		{"UPDATE parts SET n = 0 WHERE n < tells(9) AND n > 7", 2, false},
		{"UPDATE parts SET n = 0 WHERE n < tells(4000) AND n > 7", 1, true},
	} {
		planned = 0
		_, err := c.Exec(t.Context(), x.sql).ReadAll()
		if blocked := isBlocked(t, err); blocked != x.blocked || planned != x.planned {
			t.Errorf("%s: planned %d times, want %d; blocked %t, want %t", x.sql, planned, x.planned, blocked, x.blocked)
		}
	}
}

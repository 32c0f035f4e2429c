package proxy

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/policy/approval"
)

// measureAll measures every transaction and stops none.
const measureAll = `
version: 1
defaults: {allowed: allow, unparsed: allow, unknown: allow}
rules:
  - id: everything
    match: {statement: [write], rows: "> 1000000000", unmeasured: allow}
    action: hold
`

// tenRows lets no transaction change more than ten rows.
const tenRows = `
version: 1
rules:
  - id: ten
    title: More than ten rows
    match: {statement: [update, delete, merge, truncate], rows: "> 10"}
    action: hold
    approve: [{group: dba, count: 1}]
`

// asServed is how serve tries things out, without waiting on the wire: the planner
// stops nothing that is small enough to be run and measured.
func asServed(c *Config) {
	c.MaxWait, c.DryRun = 0, DryRun{Rows: 100_000, Timeout: 5 * time.Second, Show: 5}
}

// TestOracleOfMeasuring plays the conversations of TestOracle under a policy that
// measures every transaction and stops none: the client must not feel it.
func TestOracleOfMeasuring(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, measureAll, nil)
	files, err := filepath.Glob("../testdata/oracle/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no conversations: %v", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_during_copy.txt") {
			continue // who breaks the protocol there is sent away as well, in other words
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(string(b), "\n")
			direct := converse(t, cluster.Addr(), inventory(t, cluster), lines)
			// The server words this by what is around it, and here that is a block.
			direct = strings.ReplaceAll(direct, `"VACUUM cannot be executed within a pipeline" (113 bytes)`, `"VACUUM cannot run inside a transaction block" (114 bytes)`)
			if through := converse(t, r.addr, inventory(t, cluster), lines); direct != through {
				t.Errorf("directly:\n%s\nmeasured:\n%s", direct, through)
			}
		})
	}
}

// measuredInventory is inventory with code that deletes.
func measuredInventory(t testing.TB, cluster *pgcluster.Cluster) string {
	db := inventory(t, cluster)
	psql(t, cluster, cluster.DSN(db, cluster.Superuser), `
		ALTER ROLE alice SUPERUSER;
		CREATE FUNCTION purge(n int) RETURNS int LANGUAGE plpgsql AS $$
			BEGIN EXECUTE 'DELETE FROM accounts WHERE id <= $1' USING n; RETURN n; END $$;
		CREATE FUNCTION when_planned(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN purge(n); END $$;
		CREATE PROCEDURE purge_and_commit(n int) LANGUAGE plpgsql AS $$
			BEGIN EXECUTE 'DELETE FROM accounts WHERE id <= $1' USING n; COMMIT; END $$;
		CREATE FUNCTION empty_it() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'TRUNCATE accounts'; RETURN 1; END $$;
		CREATE FUNCTION by_log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM purge(11); RETURN NEW; END $$;
		CREATE TRIGGER purges AFTER INSERT ON log FOR EACH ROW WHEN (NEW.line = 'purge') EXECUTE FUNCTION by_log();
		CREATE TABLE later (id int);
		CREATE CONSTRAINT TRIGGER purges AFTER INSERT ON later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION by_log();
		ALTER TABLE later OWNER TO alice;
		CREATE VIEW planned AS SELECT when_planned(11) AS n; GRANT SELECT ON planned TO alice;
		CREATE TABLE defaulted (a int, b int DEFAULT when_planned(11)); ALTER TABLE defaulted OWNER TO alice;
		CREATE DOMAIN checked AS int CHECK (purge(VALUE) > 0);
		CREATE TABLE parted (id int) PARTITION BY LIST (id); CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1)`)
	return db
}

// answer is how an Exec ended.
type answer struct {
	tag pgconn.CommandTag
	err error
}

// executing sends a statement without waiting for its end.
func executing(t *testing.T, c *pgx.Conn, sql string, args ...any) <-chan answer {
	got := make(chan answer, 1)
	go func() {
		tag, err := c.Exec(t.Context(), sql, args...)
		got <- answer{tag, err}
	}()
	return got
}

func (r *running) approve(t *testing.T, q approval.Request) {
	t.Helper()
	if _, err := r.service.Approve(t.Context(), q.ID, "bob", "psql", "as seen"); err != nil {
		t.Fatal(err)
	}
}

func TestApprovedStatementDoesWhatWasShown(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, func(c *Config) { c.DryRun = DryRun{Rows: 1000, Timeout: 5 * time.Second, Show: 2} })
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec} {
		t.Run(mode.String(), func(t *testing.T) {
			db := measuredInventory(t, cluster)
			c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
			got := executing(t, c, "DELETE FROM accounts WHERE id <= $1", mode, 20)
			q := r.request(t)
			if !strings.Contains(q.Impact, "20 deleted from public.accounts") {
				t.Errorf("the request says %q", q.Impact)
			}
			locks := psql(t, cluster, cluster.DSN(db, cluster.Superuser),
				"SELECT count(*) FROM pg_stat_activity WHERE usename = 'alice' AND state <> 'idle' OR datname = current_database() AND usename = 'alice' AND xact_start IS NOT NULL")
			if locks != "0" {
				t.Error("a transaction is open on the server while people think")
			}
			r.approve(t, q)
			if a := <-got; a.err != nil || a.tag.String() != "DELETE 20" {
				t.Errorf("got %v, %v", a.tag, a.err)
			}
			if n := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); n != "80" {
				t.Errorf("%s are left", n)
			}
			r.settledAs(t, q.ID, approval.Done, "DELETE 20")
			if a := <-executing(t, c, "DELETE FROM accounts WHERE id = $1", mode, 50); a.err != nil || a.tag.String() != "DELETE 1" {
				t.Errorf("afterwards: %v, %v", a.tag, a.err)
			}
		})
	}
}

// settledAs waits until the request has ended.
func (r *running) settledAs(t *testing.T, id int64, state approval.State, outcome string) {
	t.Helper()
	ctx, done := context.WithTimeout(t.Context(), 30*time.Second)
	defer done()
	for {
		q, err := r.service.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if q.State == approval.Used || q.State == approval.Pending {
			continue
		}
		if q.State != state || q.Outcome != outcome {
			t.Errorf("request %d is %s, %q; want %s, %q", id, q.State, q.Outcome, state, outcome)
		}
		return
	}
}

func TestApprovalIsForTheNumbersThatWereShown(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, func(c *Config) { asServed(c); c.MaxWait = time.Minute })
	db := measuredInventory(t, cluster)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	got := executing(t, c, "DELETE FROM accounts WHERE name LIKE 'a1%'")
	first := r.request(t)
	psql(t, cluster, cluster.DSN(db, cluster.Superuser), "INSERT INTO accounts SELECT g, 'a1' || g FROM generate_series(1000, 1004) g")
	r.approve(t, first)
	second := r.request(t)
	if second.ID == first.ID || !strings.Contains(second.Impact, "17 deleted from public.accounts") {
		t.Errorf("the second request is %d and says %q", second.ID, second.Impact)
	}
	r.approve(t, second)
	if a := <-got; a.err != nil || a.tag.String() != "DELETE 17" {
		t.Errorf("got %v, %v", a.tag, a.err)
	}
	r.settledAs(t, first.ID, approval.Failed, "it changed more than was approved, and was rolled back")
	r.settledAs(t, second.ID, approval.Done, "DELETE 17")
}

func TestTransactionBlockIsSentAgainOnceApproved(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, func(c *Config) { asServed(c); c.MaxWait = time.Minute })
	db := measuredInventory(t, cluster)
	send := func() error {
		c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
		tx, err := c.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for from := range 3 {
			if _, err := tx.Exec(t.Context(), "UPDATE accounts SET name = 'x' WHERE id / 5 = $1", from); err != nil {
				return fmt.Errorf("statement %d: %w", from, err)
			}
			if _, err := tx.Exec(t.Context(), "SELECT count(*) FROM accounts"); err != nil {
				return fmt.Errorf("statement %d: %w", from, err)
			}
		}
		return tx.Commit(t.Context())
	}
	err := send()
	if err == nil || !strings.Contains(err.Error(), "needs approval: rule ten opened request 1") {
		t.Fatalf("the first time: %v", err)
	}
	r.approve(t, r.request(t))
	if err := send(); err != nil {
		t.Errorf("once approved: %v", err)
	}
	if err := send(); err == nil {
		t.Error("a grant was used twice")
	}
	if n := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts WHERE name = 'x'"); n != "14" {
		t.Errorf("%s rows are changed", n)
	}
}

// TestEachTransactionIsMeasuredByItself: what an earlier one changed neither counts
// for the next nor is taken off it.
func TestEachTransactionIsMeasuredByItself(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, func(c *Config) { c.MaxWait = 0 })
	const six = "-> Parse \"\" \"DELETE FROM accounts WHERE id <= 6\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"COMMIT\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n"
	for name, test := range map[string]struct{ lines, left string }{
		"behind a batch and its COMMIT":            {six + "-> Sync\nuntil ReadyForQuery\n-> Query \"DELETE FROM accounts WHERE id BETWEEN 7 AND 17\"", "94"},
		"pipelined behind a batch and its COMMIT":  {six + "-> Sync\n-> Query \"DELETE FROM accounts WHERE id BETWEEN 7 AND 17\"", "94"},
		"behind a batch and its COMMIT, as much":   {six + "-> Sync\n-> Query \"DELETE FROM accounts WHERE id BETWEEN 7 AND 16\"", "84"},
		"in the batch, behind its COMMIT":          {six + "-> Parse \"\" \"DELETE FROM accounts WHERE id BETWEEN 7 AND 16\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync", "84"},
		"in the batch, and too much":               {six + "-> Parse \"\" \"DELETE FROM accounts WHERE id BETWEEN 7 AND 17\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync", "94"},
		"chained":                                  {"-> Query \"BEGIN\"\n-> Query \"DELETE FROM accounts WHERE id <= 6\"\n-> Query \"COMMIT AND CHAIN\"\n-> Query \"DELETE FROM accounts WHERE id BETWEEN 7 AND 16\"\n-> Query \"COMMIT\"\n-> Query \"DELETE FROM accounts WHERE id BETWEEN 17 AND 27\"", "84"},
		"behind one that failed":                   {"-> Query \"DELETE FROM accounts WHERE id <= 6 AND 1 / (6 - id) > 0\"\n-> Query \"DELETE FROM accounts WHERE id <= 10\"", "90"},
		"behind one that was rolled back":          {"-> Query \"BEGIN\"\n-> Query \"DELETE FROM accounts WHERE id <= 9\"\n-> Query \"ROLLBACK\"\n-> Query \"DELETE FROM accounts WHERE id <= 10\"", "90"},
		"a block, behind one that was rolled back": {"-> Query \"BEGIN; DELETE FROM accounts WHERE id <= 9; ROLLBACK; BEGIN; DELETE FROM accounts WHERE id <= 10; COMMIT\"", "90"},
		"behind a piece that failed":               {"-> Query \"DELETE FROM accounts WHERE id = 1; COMMIT; DELETE FROM accounts WHERE id <= 9; SELECT 1 / 0\"\n-> Query \"DELETE FROM accounts WHERE id BETWEEN 2 AND 11\"", "89"},
		"behind one that was stopped":              {"-> Query \"DELETE FROM accounts WHERE id <= 30\"\n-> Query \"DELETE FROM accounts WHERE id <= 10\"", "90"},
		"a Query behind a batch that is open":      {"-> Parse \"\" \"DELETE FROM accounts WHERE id <= 11\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Query \"COMMIT\"\n-> Sync", "100"},
		"a Query behind one that failed":           {"-> Parse \"\" \"DELETE FROM accounts WHERE id = 1 / 0\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Query \"COMMIT\"\n-> Sync\n-> Query \"DELETE FROM accounts WHERE id <= 10\"", "90"},
	} {
		t.Run(name, func(t *testing.T) {
			db := inventory(t, cluster)
			said := converse(t, r.addr, db, strings.Split(test.lines, "\n"))
			if left := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); left != test.left {
				t.Errorf("%s rows are left\n%s", left, said)
			}
		})
	}
}

// TestApprovalOfAStatementIsForItAlone: what people approve in a transaction block by
// itself is no leave for what the block did before and does behind.
func TestApprovalOfAStatementIsForItAlone(t *testing.T) {
	cluster := pgcluster.Shared(t)
	for _, test := range []struct {
		name, before, approved, behind string
		left                           string
	}{
		{"ten, and ten more", "DELETE FROM accounts WHERE id <= 10", "DELETE FROM log", "DELETE FROM accounts WHERE id BETWEEN 11 AND 20", "100"},
		{"ten by their keys, and one more", "DELETE FROM accounts WHERE id IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)", "DELETE FROM log", "DELETE FROM accounts WHERE id = 11", "100"},
		{"what is within the limit together", "DELETE FROM accounts WHERE id <= 5", "DELETE FROM log", "DELETE FROM accounts WHERE id BETWEEN 6 AND 10", "90"},
		{"approved by itself", "DELETE FROM accounts WHERE id <= 5", "DELETE FROM log; DELETE FROM accounts WHERE id BETWEEN 6 AND 50", "DELETE FROM accounts WHERE id BETWEEN 51 AND 55", "45"},
		{"a DROP, and another in code", "SELECT 1", "DROP TABLE log", "SELECT drop_it()", "100"},
		{"a DROP", "SELECT 1", "DROP TABLE log", "SELECT purge(10)", "90"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := serveWith(t, cluster, tenRows+`  - {id: log, match: {statement: [delete, drop_table], table: [log, "*.log"]}, action: hold, approve: [{group: dba, count: 1}]}
`, nil)
			db := lockedInventory(t, cluster)
			admin := cluster.DSN(db, cluster.Superuser)
			psql(t, cluster, admin, "INSERT INTO log SELECT 'x' FROM generate_series(1, 50); ANALYZE log; DROP MATERIALIZED VIEW kept; DROP TABLE notes")
			c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
			for _, sql := range []string{"BEGIN", test.before} {
				if _, err := c.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			got := executing(t, c, test.approved)
			r.approve(t, r.request(t))
			if a := <-got; a.err != nil {
				t.Fatal(a.err)
			}
			_, behind := c.Exec(t.Context(), test.behind)
			_, err := c.Exec(t.Context(), "COMMIT")
			if left := psql(t, cluster, admin, "SELECT count(*) FROM accounts"); left != test.left {
				t.Errorf("%s are left, want %s: %v, %v", left, test.left, behind, err)
			}
		})
	}
}

// TestGrantEndsWithItsSession: a client that leaves within its transaction has used
// its grant, and the server has rolled back what it was for.
func TestGrantEndsWithItsSession(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, holdDeletes+`  - {id: ten, match: {statement: [delete], rows: "> 10"}, action: hold, approve: [{group: dba, count: 1}]}
`, nil)
	db := inventory(t, cluster)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	if _, err := c.Exec(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	got := executing(t, c, "DELETE FROM accounts")
	q := r.request(t)
	r.approve(t, q)
	if a := <-got; a.err != nil {
		t.Fatal(a.err)
	}
	c.Close(t.Context())
	r.settledAs(t, q.ID, approval.Failed, "the session ended within the transaction")
}

// TestSlowCommit: a commit may take as long as the client lets it.
func TestSlowCommit(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, nil)
	db := measuredInventory(t, cluster)
	psql(t, cluster, cluster.DSN(db, cluster.Superuser), fmt.Sprintf(`
		CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(%f); RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON log DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()`, (askLimit+time.Second).Seconds()))
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	if _, err := c.Exec(t.Context(), "INSERT INTO log VALUES ('slow')"); err != nil {
		t.Error(err)
	}
}

// TestBudgetOfWhatWasDone: statements that name rows by their key and find none take
// nothing from a budget that has no room.
func TestBudgetOfWhatWasDone(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, `
version: 1
rules:
  - {id: flood, match: {budget: {deleted: "> 5", per: 1h, by: [user]}}, action: hold, approve: [{group: dba, count: 1}]}
`, func(c *Config) { c.MaxWait = 0 })
	db := inventory(t, cluster)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	for range 3 {
		tx, err := c.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for id := range 4 {
			if _, err := tx.Exec(t.Context(), fmt.Sprintf("DELETE FROM accounts WHERE id = %d", 1000+id)); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBudgetSpansSessions is the shell loop of the cleanup script: each DELETE in a
// session of its own.
func TestBudgetSpansSessions(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, `
version: 1
rules:
  - id: flood
    title: Many small deletes
    match: {budget: {deleted: "> 20", per: 1h, by: [user, table]}}
    action: hold
    approve: [{group: dba, count: 1}]
`, func(c *Config) { c.MaxWait = 0 })
	db := measuredInventory(t, cluster)
	left := func() string {
		return psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts")
	}
	var refused int
	for account := range 40 {
		if out, err := psqlErr(t, cluster, cluster.DSNAt(r.addr, db, "alice"), fmt.Sprintf("DELETE FROM accounts WHERE id %% 33 = %d", account)); err != nil {
			t.Fatalf("%v\n%s", err, out)
		} else if strings.Contains(out, "rule flood") {
			refused++
		}
	}
	if n := left(); n != "80" && n != "81" && n != "82" {
		t.Errorf("%s rows are left", n)
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
	before := left()
	r.approve(t, r.request(t))
	for account := range 40 {
		psqlErr(t, cluster, cluster.DSNAt(r.addr, db, "alice"), fmt.Sprintf("DELETE FROM accounts WHERE id %% 33 = %d", account))
	}
	if left() == before {
		t.Error("the approval did not lift the budget")
	}
}

// TestBudgetOfStatements counts what is sent, whatever it changes.
func TestBudgetOfStatements(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, `
version: 1
rules:
  - id: often
    title: Many deletes
    match: {statement: [delete], budget: {statements: "> 2", per: 1h, by: [user]}}
    action: hold
    approve: [{group: dba, count: 1}]
`, asServed)
	db := measuredInventory(t, cluster)
	for n := 1; n <= 4; n++ {
		c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
		var err error
		if _, err = c.Exec(t.Context(), "DELETE FROM accounts WHERE id = $1", n); (err == nil) != (n <= 2) {
			t.Errorf("DELETE %d: %v", n, err)
		}
		if n > 2 && !strings.Contains(fmt.Sprint(err), "rule often") {
			t.Errorf("DELETE %d: %v", n, err)
		}
	}
	if n := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); n != "98" {
		t.Errorf("%s rows are left", n)
	}
	r.later(2 * time.Hour)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	if _, err := c.Exec(t.Context(), "DELETE FROM accounts WHERE id = 90"); err != nil {
		t.Errorf("two hours later: %v", err)
	}
}

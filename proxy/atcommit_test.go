package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/policy/approval"
	"github.com/pgsluice/pgsluice/proxy/impact"
)

// tenAtCommit is tenRows, and holds a transaction block at its COMMIT.
const tenAtCommit = tenRows + "    at_commit: 60s\n"

// counting runs everything to see what it does.
func counting(c *Config) { asServed(c); c.MaxWait = 10 * time.Minute }

// blockOver sends a transaction block that is over the limit, up to its COMMIT.
func blockOver(t *testing.T, c *pgx.Conn) {
	t.Helper()
	for _, sql := range []string{"BEGIN", "DELETE FROM accounts WHERE id <= 8", "DELETE FROM accounts WHERE id BETWEEN 9 AND 20"} {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// nothingOpen waits until alice has no transaction open on the server.
func nothingOpen(t *testing.T, cluster *pgcluster.Cluster, db string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for open(t, cluster, db) != "0" {
		if time.Now().After(deadline) {
			t.Fatal("a transaction is still open on the server")
		}
	}
}

func open(t *testing.T, cluster *pgcluster.Cluster, db string) string {
	t.Helper()
	return psql(t, cluster, cluster.DSN(db, cluster.Superuser),
		"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'alice' AND xact_start IS NOT NULL")
}

func accounts(t *testing.T, cluster *pgcluster.Cluster, db string) string {
	t.Helper()
	return psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts")
}

// TestBlockHeldAtItsCommit: once approved, a block that was held at its COMMIT has
// done exactly what was shown, however the COMMIT was sent.
func TestBlockHeldAtItsCommit(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenAtCommit, counting)
	const begin, twenty = "-> Query \"BEGIN\"\n", "-> Query \"DELETE FROM accounts WHERE id <= 20\"\n"
	const extended = "-> Parse \"\" \"%s\"\n-> Bind \"\" \"\"\n-> Describe P \"\"\n-> Execute \"\"\n"
	all := fmt.Sprintf(strings.Repeat(extended, 3), "BEGIN", "DELETE FROM accounts WHERE id <= 20", "COMMIT")
	for name, test := range map[string]struct{ lines, tag, told string }{
		"COMMIT":                     {begin + twenty + `-> Query "COMMIT"`, "COMMIT", "COMMIT"},
		"END":                        {begin + twenty + `-> Query "END"`, "COMMIT", "COMMIT"},
		"COMMIT AND CHAIN":           {begin + twenty + "-> Query \"COMMIT AND CHAIN\"\n-> Query \"ROLLBACK\"", "COMMIT", "ROLLBACK"},
		"behind a savepoint":         {begin + "-> Query \"SAVEPOINT a\"\n" + twenty + `-> Query "COMMIT"`, "COMMIT", "COMMIT"},
		"in one message":             {`-> Query "BEGIN; DELETE FROM accounts WHERE id <= 20; COMMIT; SELECT 1"`, "COMMIT", "SELECT 1"},
		"extended":                   {begin + twenty + fmt.Sprintf(extended, "COMMIT") + "-> Sync", "COMMIT", "COMMIT"},
		"extended, with Flush":       {begin + twenty + fmt.Sprintf(extended, "COMMIT") + "-> Flush\nuntil CommandComplete\n-> Sync", "COMMIT", "COMMIT"},
		"a pipeline":                 {all + "-> Sync", "COMMIT", "COMMIT"},
		"a pipeline that goes on":    {all + fmt.Sprintf(extended, "SELECT 1") + "-> Sync", "SELECT 1", "SELECT 1"},
		"a deferred trigger":         {"-> Query \"BEGIN\"\n-> Query \"INSERT INTO later VALUES (20)\"\n-> Query \"COMMIT\"", "COMMIT", "COMMIT"},
		"code that deletes":          {begin + "-> Query \"SELECT purge(20)\"\n-> Query \"COMMIT\"", "COMMIT", "COMMIT"},
		"a batch before it, by Sync": {begin + fmt.Sprintf(extended, "DELETE FROM accounts WHERE id <= 20") + "-> Sync\n" + fmt.Sprintf(extended, "COMMIT") + "-> Sync", "COMMIT", "COMMIT"},
	} {
		t.Run(name, func(t *testing.T) {
			db := measuredInventory(t, cluster)
			psql(t, cluster, cluster.DSN(db, cluster.Superuser), `
				CREATE FUNCTION by_id() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM purge(NEW.id); RETURN NEW; END $$;
				DROP TRIGGER purges ON later;
				CREATE CONSTRAINT TRIGGER purges AFTER INSERT ON later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION by_id()`)
			said := make(chan string, 1)
			var lines []string
			for line := range strings.SplitSeq(test.lines, "\n") {
				if lines = append(lines, line); line == "-> Sync" || strings.HasPrefix(line, "-> Query") {
					lines = append(lines, "until ReadyForQuery")
				}
			}
			go func() { said <- converse(t, r.addr, db, lines) }()
			q := r.request(t)
			if !strings.HasPrefix(q.Impact, "measured at its COMMIT: 20 deleted from public.accounts") ||
				!strings.Contains(q.Impact, "RowExclusiveLock on public.accounts") || q.Mode != approval.Hold || !q.InTransaction {
				t.Errorf("the request says %q, %s, in a transaction: %t", q.Impact, q.Mode, q.InTransaction)
			}
			if open(t, cluster, db) != "1" {
				t.Error("nothing is open on the server")
			}
			if n := accounts(t, cluster, db); n != "100" {
				t.Errorf("%s are left while it is held", n)
			}
			r.approve(t, q)
			if got := <-said; !strings.Contains(got, "held at COMMIT by rule ten") || strings.Contains(got, "ErrorResponse") ||
				!strings.Contains(got[strings.LastIndex(got, "CommandComplete"):], test.told) {
				t.Errorf("the client was told\n%s", got)
			}
			if n := accounts(t, cluster, db); n != "80" {
				t.Errorf("%s are left", n)
			}
			r.settledAs(t, q.ID, approval.Done, test.tag)
			nothingOpen(t, cluster, db)
		})
	}
}

// TestHoldAtCommitThatEnds: whatever ends it but an approval, the transaction is
// rolled back at once, and the client learns why.
func TestHoldAtCommitThatEnds(t *testing.T) {
	cluster := pgcluster.Shared(t)
	type held struct {
		*running
		c  *pgx.Conn
		q  approval.Request
		db string
	}
	for name, test := range map[string]struct {
		policy, before string // before is sent in the session first
		end            func(t *testing.T, h held)
		code, message  string
		state          approval.State
		mode           approval.Mode
	}{
		"denied": {end: func(t *testing.T, h held) {
			if _, err := h.service.Deny(t.Context(), h.q.ID, "bob", "psql", "not now"); err != nil {
				t.Fatal(err)
			}
		}, code: "42501", message: "request 1 (rule ten) was denied by bob", state: approval.Denied, mode: approval.Hold},
		"the time is over": {policy: strings.Replace(tenAtCommit, "60s", "1s", 1), end: func(*testing.T, held) {},
			code: "57014", message: "nobody decided on request 1 (rule ten) in time; it is now a ticket", state: approval.Pending, mode: approval.Ticket},
		"cancelled": {end: func(t *testing.T, h held) {
			if err := h.c.PgConn().CancelRequest(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, code: "57014", message: "canceling statement due to user request", state: approval.Cancelled, mode: approval.Hold},
		"cancelled from another session": {end: func(t *testing.T, h held) {
			psql(t, cluster, cluster.DSNAt(h.addr, h.db, "alice"), fmt.Sprintf("SELECT pg_cancel_backend(%d)", h.c.PgConn().PID()))
		}, code: "57014", message: "canceling statement due to user request", state: approval.Cancelled, mode: approval.Hold},
		"withdrawn by who asked": {end: func(t *testing.T, h held) {
			if _, err := h.service.Cancel(t.Context(), h.q.ID, "alice"); err != nil {
				t.Fatal(err)
			}
		}, code: "57014", message: "request 1 (rule ten) is cancelled", state: approval.Cancelled, mode: approval.Hold},
		"drained": {end: func(_ *testing.T, h held) { h.proxy.Drain() },
			code: "57014", message: "pgsluice is being stopped; request 1 (rule ten) is now a ticket", state: approval.Pending, mode: approval.Ticket},
		"terminated on the server": {end: func(t *testing.T, h held) {
			psql(t, cluster, cluster.DSN(h.db, cluster.Superuser), fmt.Sprintf("SELECT pg_terminate_backend(%d)", h.c.PgConn().PID()))
		}, code: "57P01", message: "terminating connection due to administrator command", state: approval.Cancelled, mode: approval.Hold},
		"idle for too long": {before: "SET idle_in_transaction_session_timeout = 2000", end: func(*testing.T, held) {},
			code: "25P03", message: "terminating connection due to idle-in-transaction timeout", state: approval.Cancelled, mode: approval.Hold},
		"the client left": {end: func(_ *testing.T, h held) { h.c.PgConn().Conn().Close() },
			code: "none", state: approval.Cancelled, mode: approval.Hold},
		"the proxy was cut off": {end: func(_ *testing.T, h held) { h.proxy.Drain(); h.stop() }, code: "", mode: approval.Ticket, state: approval.Pending},
	} {
		for _, savepoint := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, savepoint %t", name, savepoint), func(t *testing.T) {
				if test.policy == "" {
					test.policy = tenAtCommit
				}
				r := serveWith(t, cluster, test.policy, counting)
				db := inventory(t, cluster)
				c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
				if test.before != "" {
					if _, err := c.Exec(t.Context(), test.before); err != nil {
						t.Fatal(err)
					}
				}
				blockOver(t, c)
				if savepoint {
					if _, err := c.Exec(t.Context(), "SAVEPOINT a"); err != nil {
						t.Fatal(err)
					}
				}
				got := executing(t, c, "COMMIT")
				if test.before == "" {
					q := r.request(t)
					test.end(t, held{r, c, q, db})
				}
				a := <-got
				if code := sqlstate(a.err); test.code != "" && code != test.code {
					t.Errorf("the client was told %s: %v", code, a.err)
				}
				if said := (*pgconn.PgError)(nil); errors.As(a.err, &said) && test.message != "" {
					if said.Message != test.message {
						t.Errorf("the message is %q", said.Message)
					}
					if said.Severity == "ERROR" && !strings.HasPrefix(said.Detail, "Rolled back: 20 deleted from public.accounts.") {
						t.Errorf("the detail is %q", said.Detail)
					}
				}
				nothingOpen(t, cluster, db)
				if n := accounts(t, cluster, db); n != "100" {
					t.Errorf("%s are left", n)
				}
				deadline := time.Now().Add(30 * time.Second)
				for {
					q, err := r.service.Get(t.Context(), 1)
					if err != nil {
						t.Fatal(err)
					}
					if q.State == test.state && q.Mode == test.mode || test.code == "" {
						if q.Mode == approval.Ticket && q.Locks != nil {
							t.Errorf("a ticket holds locks: %s", q.Locks)
						}
						break
					}
					if time.Now().After(deadline) {
						t.Fatalf("the request is %s, %s", q.State, q.Mode)
					}
				}
				if !c.IsClosed() && name != "drained" {
					if _, err := c.Exec(t.Context(), "DELETE FROM accounts WHERE id <= 10"); err != nil {
						t.Errorf("the session is of no use afterwards: %v", err)
					}
				}
			})
		}
	}
}

// TestHoldInABatchThatIsDenied: the COMMIT of an extended batch is refused in its
// place, what stands behind it up to Sync is not run, and nothing is left open.
func TestHoldInABatchThatIsDenied(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenAtCommit, counting)
	const extended = "-> Parse \"\" \"%s\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n"
	for name, lines := range map[string]string{
		"with its block":     fmt.Sprintf(strings.Repeat(extended, 4), "BEGIN", "DELETE FROM accounts WHERE id <= 20", "COMMIT", "INSERT INTO log VALUES ('behind')"),
		"behind its block":   "-> Query \"BEGIN; DELETE FROM accounts WHERE id <= 20\"\nuntil ReadyForQuery\n" + fmt.Sprintf(strings.Repeat(extended, 2), "COMMIT", "INSERT INTO log VALUES ('behind')"),
		"behind a savepoint": "-> Query \"BEGIN; DELETE FROM accounts WHERE id <= 20\"\nuntil ReadyForQuery\n-> Query \"SAVEPOINT a\"\nuntil ReadyForQuery\n" + fmt.Sprintf(extended, "COMMIT"),
		"flushed before it":  "-> Query \"BEGIN; DELETE FROM accounts WHERE id <= 20\"\nuntil ReadyForQuery\n" + fmt.Sprintf(extended, "SELECT 1") + "-> Flush\nuntil CommandComplete\n" + fmt.Sprintf(extended, "COMMIT"),
	} {
		t.Run(name, func(t *testing.T) {
			db := inventory(t, cluster)
			said := make(chan string, 1)
			go func() {
				said <- converse(t, r.addr, db, strings.Split(lines+"-> Sync\nuntil ReadyForQuery\n-> Query \"INSERT INTO log VALUES ('after')\"\nuntil ReadyForQuery", "\n"))
			}()
			if _, err := r.service.Deny(t.Context(), r.request(t).ID, "bob", "psql", "not now"); err != nil {
				t.Fatal(err)
			}
			got := <-said
			if !strings.Contains(got, "ErrorResponse 42501") || strings.Count(got, "ErrorResponse") != 1 || !strings.Contains(got[strings.Index(got, "ErrorResponse"):], "ReadyForQuery I") {
				t.Errorf("the client was told\n%s", got)
			}
			if left := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts; SELECT line FROM log"); left != "100\nafter" {
				t.Errorf("left are %q", left)
			}
		})
	}
}

// TestTicketOfAHoldAtCommit: what was not approved in time is sent again, once it
// is, and does not wait.
func TestTicketOfAHoldAtCommit(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, strings.Replace(tenAtCommit, "60s", "1s", 1), counting)
	db := inventory(t, cluster)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	blockOver(t, c)
	_, err := c.Exec(t.Context(), "COMMIT")
	if said := (*pgconn.PgError)(nil); !errors.As(err, &said) || !strings.Contains(said.Hint, "repeat the same transaction") {
		t.Errorf("got %v", err)
	}
	r.approve(t, r.request(t))
	if n := accounts(t, cluster, db); n != "100" {
		t.Fatalf("it ran by itself: %s are left", n)
	}
	blockOver(t, c)
	if a := <-executing(t, c, "COMMIT"); a.err != nil || a.tag.String() != "COMMIT" {
		t.Errorf("sent again: %v, %v", a.tag, a.err)
	}
	if n := accounts(t, cluster, db); n != "80" {
		t.Errorf("%s are left", n)
	}
	r.settledAs(t, 1, approval.Done, "COMMIT")
}

// TestWhoWaitsForAHold: who decides sees who waits for the transaction, as it is
// now and not as it was when the hold began.
func TestWhoWaitsForAHold(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenAtCommit, counting)
	db := inventory(t, cluster)
	psql(t, cluster, cluster.DSN(db, cluster.Superuser), `
		DO $$ BEGIN CREATE ROLE erin LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$;
		GRANT ALL ON accounts TO erin`)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	blockOver(t, c)
	committed := executing(t, c, "COMMIT")
	q := r.request(t)
	fields := func() map[string][]string {
		s := &consoleSession{Console: &Console{Approvals: r.service}, ctx: t.Context()}
		rows, err := s.showRequest([]any{q.ID})
		if err != nil {
			t.Fatal(err)
		}
		said := map[string][]string{}
		for _, row := range rows {
			said[row[0].(string)] = append(said[row[0].(string)], row[1].(string))
		}
		return said
	}
	first := fields()
	if h := strings.Join(first["holds_locks"], ""); !strings.HasPrefix(h, "since 20") || !strings.HasSuffix(h, " UTC: RowExclusiveLock on public.accounts, and the rows that it changed") {
		t.Errorf("it says of locks: %q", h)
	}
	if strings.Join(first["blocked"], "") != "nobody" {
		t.Errorf("it says of who waits: %q", first["blocked"])
	}

	row := connectTo(t, cluster.DSN(db, "erin"))
	updated := executing(t, row, "UPDATE accounts SET name = 'x' WHERE id = 5")
	untilWaiting(t, cluster, db, 1)
	second := connectTo(t, cluster.DSN(db, "erin"))
	behind := executing(t, second, "UPDATE accounts SET name = 'y' WHERE id = 5")
	untilWaiting(t, cluster, db, 2)
	table := connectTo(t, cluster.DSN(db, cluster.Superuser))
	locked := executing(t, table, "BEGIN; LOCK TABLE accounts; COMMIT")
	deadline := time.Now().Add(30 * time.Second)
	var blocked string
	for {
		blocked = strings.Join(fields()["blocked"], "\n")
		if strings.Count(blocked, "\n") == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it says of who waits:\n%s", blocked)
		}
	}
	for _, want := range []string{
		fmt.Sprintf("erin (process %s) since 20", pidOf(row)), " for a row of public.accounts\n",
		fmt.Sprintf(" for a row of public.accounts, behind process %s\n", pidOf(row)),
		fmt.Sprintf("%s (process %s) since 20", cluster.Superuser, pidOf(table)), " for AccessExclusiveLock on public.accounts",
	} {
		if !strings.Contains(blocked+"\n", want) {
			t.Errorf("it says of who waits:\n%s\nwithout %q", blocked, want)
		}
	}
	s := &consoleSession{Console: &Console{Approvals: r.service}, ctx: t.Context()}
	if rows, err := s.showRequests(approval.Filter{}); err != nil || rows[0][len(rows[0])-1] != int64(3) {
		t.Errorf("SHOW REQUESTS: %v, %v", rows, err)
	}
	r.approve(t, q)
	for name, answered := range map[string]<-chan answer{"COMMIT": committed, "who waited for a row": updated, "who waited behind": behind, "who waited for the table": locked} {
		if a := <-answered; a.err != nil {
			t.Errorf("%s: %v", name, a.err)
		}
	}
	if left := fields(); left["holds_locks"] != nil || left["blocked"] != nil {
		t.Errorf("once it was approved it says %v", left)
	}
}

// TestOnlyWhereEveryRuleLetsIt: one rule without at_commit, a ticket, a single
// statement or no time at all to wait make a ticket of it; of several times the
// shortest counts.
func TestOnlyWhereEveryRuleLetsIt(t *testing.T) {
	cluster := pgcluster.Shared(t)
	other := "  - {id: other, match: {statement: [delete], rows: \"> 15\"}, action: %s, approve: [{group: dba, count: 1}]%s}\n"
	for name, test := range map[string]struct {
		policy, says string
		edit         func(*Config)
	}{
		"a rule without it":       {tenAtCommit + fmt.Sprintf(other, "hold", ""), "needs approval", counting},
		"a ticket":                {tenAtCommit + fmt.Sprintf(other, "ticket", ""), "needs approval", counting},
		"a rule that blocks":      {tenAtCommit + strings.Replace(fmt.Sprintf(other, "block", ""), ", approve: [{group: dba, count: 1}]", "", 1), "blocked by rule other", counting},
		"nothing waits":           {tenAtCommit, "needs approval", asServed},
		"hold.max_wait is less":   {tenAtCommit, "in time", func(c *Config) { counting(c); c.MaxWait = time.Second }},
		"another that is shorter": {tenAtCommit + fmt.Sprintf(other, "hold", ", at_commit: 1s"), "in time", counting},
	} {
		t.Run(name, func(t *testing.T) {
			r := serveWith(t, cluster, test.policy, test.edit)
			db := inventory(t, cluster)
			_, err := psqlErr(t, cluster, cluster.DSNAt(r.addr, db, "alice"),
				"\\set ON_ERROR_STOP 1\nBEGIN; DELETE FROM accounts WHERE id <= 8; DELETE FROM accounts WHERE id BETWEEN 9 AND 20; COMMIT;")
			if out, _ := psqlErr(t, cluster, cluster.DSNAt(r.addr, db, "alice"),
				"BEGIN;\nDELETE FROM accounts WHERE id <= 8;\nDELETE FROM accounts WHERE id BETWEEN 9 AND 20;\nCOMMIT;"); err == nil || !strings.Contains(out, test.says) {
				t.Errorf("%v, %s", err, out)
			}
			if n := accounts(t, cluster, db); n != "100" {
				t.Errorf("%s are left", n)
			}
		})
	}
}

// TestBudgetAtCommit: what is committed after a hold is charged.
func TestBudgetAtCommit(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, `
version: 1
rules:
  - {id: flood, match: {budget: {deleted: "> 25", per: 1h, by: [user]}}, action: hold, at_commit: 60s, approve: [{group: dba, count: 1}]}
`, counting)
	db := inventory(t, cluster)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	for n, ids := range []string{"id <= 20", "id BETWEEN 21 AND 40", "id BETWEEN 41 AND 50", "id > 50"} {
		for _, sql := range []string{"BEGIN", "DELETE FROM accounts WHERE " + ids} {
			if _, err := c.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		got := executing(t, c, "COMMIT")
		if n == 1 || n == 3 { // 20 + 20 of 25; approved, there is room for 10 of 50, and not for 50
			q := r.request(t)
			if !strings.HasPrefix(q.Impact, "measured at its COMMIT") {
				t.Errorf("the request says %q", q.Impact)
			}
			r.approve(t, q)
		}
		if a := <-got; a.err != nil {
			t.Errorf("%s: %v", ids, a.err)
		}
	}
	if n := accounts(t, cluster, db); n != "0" {
		t.Errorf("%s are left", n)
	}
}

// TestLocksAreBounded: however much is locked and whoever waits, people are shown
// ten of each and how many there are besides.
func TestLocksAreBounded(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenAtCommit, counting)
	db := inventory(t, cluster)
	psql(t, cluster, cluster.DSN(db, cluster.Superuser), `
		CREATE TABLE parts (id int) PARTITION BY RANGE (id); ALTER TABLE parts OWNER TO alice;
		DO $$ BEGIN FOR i IN 0..29 LOOP EXECUTE format('CREATE TABLE part_%s PARTITION OF parts FOR VALUES FROM (%s) TO (%s); ALTER TABLE part_%1$s OWNER TO alice', i, i, i + 1); END LOOP; END $$;
		INSERT INTO parts SELECT generate_series(0, 29)`)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
	for _, sql := range []string{"BEGIN", "DELETE FROM parts WHERE id >= 0"} {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	var waiting []<-chan answer
	for n := range 15 {
		w := connectTo(t, cluster.DSN(db, "alice"))
		waiting = append(waiting, executing(t, w, fmt.Sprintf("BEGIN; LOCK TABLE part_%d IN SHARE MODE", n)))
	}
	untilWaiting(t, cluster, db, 15)
	got := executing(t, c, "COMMIT")
	q := r.request(t)
	var l impact.Locks
	if err := json.Unmarshal(q.Locks, &l); err != nil {
		t.Fatal(err)
	}
	if len(l.Held) != 10 || l.Others != 21 || len(l.Waiters) != 10 || l.More != 5 || l.Blocked() != 15 {
		t.Errorf("%d and %d locks, %d and %d waiters: %s", len(l.Held), l.Others, len(l.Waiters), l.More, q.Locks)
	}
	r.approve(t, q)
	for _, answered := range append(waiting, got) {
		if a := <-answered; a.err != nil {
			t.Error(a.err)
		}
	}
}

// untilWaiting waits until so many wait for locks.
func untilWaiting(t *testing.T, cluster *pgcluster.Cluster, db string, n int) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM pg_stat_activity "+
		"WHERE datname = current_database() AND wait_event_type = 'Lock'") != fmt.Sprint(n) {
		if time.Now().After(deadline) {
			t.Fatalf("there are not %d who wait", n)
		}
	}
}

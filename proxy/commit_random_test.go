package proxy

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/policy/approval"
)

var (
	gatedSessions = flag.Int("gated", 60, "how many random sessions pass the commit gate")
	gatedSeed     = flag.Uint64("gatedseed", rand.Uint64(), "what they are made from")
)

// perGatedWorld is how many sessions share one random schema and one limit.
const perGatedWorld = 30

// gatedWorld is a random schema twice, once behind a proxy whose policy has a
// random limit. Triggers write down what each transaction changes, where only
// committed transactions are seen, and count in a sequence what was tried.
type gatedWorld struct {
	*rand.Rand
	limit         int
	approves      bool // people approve whatever is asked, at once
	direct, gated side
	proxy         *running
	logged        *observer.ObservedLogs
	tables        int
}

// side is one of the two databases.
type side struct {
	addr, database string
	super          *pgconn.PgConn
}

// TestRandomSessionsAtTheCommitGate plays random sessions directly and through the
// proxy. No transaction that was committed through it is over the limit; and where
// none is over the limit directly, the client sees what it sees without a proxy.
func TestRandomSessionsAtTheCommitGate(t *testing.T) {
	t.Logf("-gatedseed %d", *gatedSeed)
	var stopped, same int
	for done := 0; done < *gatedSessions; {
		t.Run(fmt.Sprintf("world %d", done/perGatedWorld), func(t *testing.T) {
			w := newGatedWorld(t, rand.New(rand.NewPCG(*gatedSeed, uint64(done))))
			for i := 0; i < perGatedWorld && done < *gatedSessions && !t.Failed(); i++ {
				switch w.session(t) {
				case "stopped":
					stopped++
				case "same":
					same++
				}
				done++
			}
		})
		if t.Failed() {
			t.Fatalf("session %d of -gatedseed %d", done-1, *gatedSeed)
		}
	}
	t.Logf("%d sessions: %d could not tell, of %d something was stopped", *gatedSessions, same, stopped)
}

func newGatedWorld(t *testing.T, r *rand.Rand) *gatedWorld {
	cluster := pgcluster.Shared(t)
	core, logged := observer.New(zapcore.DebugLevel)
	w := &gatedWorld{Rand: r, limit: r.IntN(16), approves: r.IntN(3) == 0, tables: 4, logged: logged}
	w.proxy = serveWith(t, cluster, fmt.Sprintf(`
version: 1
defaults: {allowed: allow, unparsed: allow, unknown: allow}
rules:
  - {id: many, match: {statement: [update, delete, merge, truncate], rows: "> %d", table: [public.*, "!public.shadow"]}, action: hold, approve: [{group: dba, count: 1}]}
`, w.limit), func(c *Config) {
		wait := c.MaxWait
		asServed(c)
		c.Log = zap.New(core)
		if w.approves {
			c.MaxWait = wait
		}
	})
	if w.approves {
		w.approveAll(t)
	}
	schema := w.schema()
	for _, s := range []*side{&w.direct, &w.gated} {
		s.addr, s.database = cluster.Addr(), cluster.NewDatabase(t)
		var err error
		if s.super, err = pgconn.Connect(t.Context(), cluster.DSN(s.database, cluster.Superuser)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.super.Close(context.Background()) })
		s.exec(t, schema)
	}
	w.gated.addr = w.proxy.addr
	return w
}

// approveAll approves every request as it comes.
func (w *gatedWorld) approveAll(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	t.Cleanup(func() { stop(); <-stopped })
	go func() {
		defer close(stopped)
		for ctx.Err() == nil {
			asked, _ := w.proxy.service.List(ctx, approval.Filter{States: []approval.State{approval.Pending}})
			for _, q := range asked {
				w.proxy.service.Approve(ctx, q.ID, "bob", "psql", "all of it") // the client may have gone
			}
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
}

// done counts the requests for which something was committed.
func (w *gatedWorld) done(t *testing.T) int {
	t.Helper()
	list, err := w.proxy.service.List(t.Context(), approval.Filter{States: []approval.State{approval.Done}})
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func (s *side) exec(t *testing.T, sql string) string {
	t.Helper()
	results, err := s.super.Exec(context.Background(), sql).ReadAll()
	if err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	var rows []string
	for _, r := range results {
		for _, row := range r.Rows {
			rows = append(rows, string(row[0]))
		}
	}
	return strings.Join(rows, "\n")
}

func (w *gatedWorld) one(choices ...string) string { return choices[w.IntN(len(choices))] }

func (w *gatedWorld) table() string { return fmt.Sprintf("t%d", w.IntN(w.tables)) }

func (w *gatedWorld) schema() string {
	var b strings.Builder
	b.WriteString(`
DO $$ BEGIN CREATE ROLE alice LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$;
CREATE TABLE shadow (xid xid8, rows int); CREATE SEQUENCE tried;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
	INSERT INTO public.shadow VALUES (pg_current_xact_id(), 1); PERFORM nextval('public.tried'); RETURN NULL; END $$;
CREATE FUNCTION note_all() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ DECLARE n int; BEGIN
	EXECUTE format('SELECT count(*) FROM %s', TG_RELID::regclass) INTO n;
	INSERT INTO public.shadow VALUES (pg_current_xact_id(), n); PERFORM nextval('public.tried') FROM generate_series(1, n); RETURN NULL; END $$;
CREATE FUNCTION purge(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
	EXECUTE 'DELETE FROM t0 WHERE id <= $1' USING n; RETURN n; END $$;
CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t0 SET a = a + 1 WHERE id IN (1, 2, 3); RETURN NULL; END $$;
CREATE PROCEDURE work(n int) LANGUAGE plpgsql AS $$ BEGIN UPDATE t0 SET a = 1 WHERE id <= n; END $$;
CREATE PROCEDURE work_and_commit(n int) LANGUAGE plpgsql AS $$ BEGIN UPDATE t0 SET a = 1 WHERE id <= n; COMMIT; END $$;
CREATE TABLE later (id int); CREATE TABLE keyed (id int PRIMARY KEY, a int);
`)
	for i := range w.tables {
		reference, by := "", ""
		if i > 0 && w.IntN(3) > 0 {
			reference = fmt.Sprintf(" REFERENCES t%d ON DELETE %s%s", w.IntN(i), w.one("CASCADE", "SET NULL", "NO ACTION"), w.one("", " DEFERRABLE INITIALLY DEFERRED"))
		}
		partitioned := w.IntN(4) == 0
		if partitioned {
			by = " PARTITION BY HASH (id)"
		}
		fmt.Fprintf(&b, "CREATE TABLE t%d (id int PRIMARY KEY, a int, r int%s)%s;", i, reference, by)
		for p := 0; partitioned && p < 2; p++ {
			fmt.Fprintf(&b, "CREATE TABLE t%d_%d PARTITION OF t%[1]d FOR VALUES WITH (MODULUS 2, REMAINDER %[2]d);", i, p)
		}
		fmt.Fprintf(&b, "CREATE TRIGGER zz AFTER UPDATE OR DELETE ON t%d FOR EACH ROW EXECUTE FUNCTION note();", i)
		if partitioned {
			for p := range 2 {
				fmt.Fprintf(&b, "CREATE TRIGGER zy BEFORE TRUNCATE ON t%d_%d EXECUTE FUNCTION note_all();", i, p)
			}
		} else {
			fmt.Fprintf(&b, "CREATE TRIGGER zy BEFORE TRUNCATE ON t%d EXECUTE FUNCTION note_all();", i)
		}
		if i > 0 && w.IntN(3) == 0 {
			fmt.Fprintf(&b, "CREATE TRIGGER bump AFTER %s ON t%d FOR EACH STATEMENT EXECUTE FUNCTION bump();", w.one("INSERT", "UPDATE", "DELETE"), i)
		}
	}
	b.WriteString(`
CREATE CONSTRAINT TRIGGER bump AFTER INSERT ON later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bump();
GRANT ALL ON ALL TABLES IN SCHEMA public TO alice; ALTER TABLE later OWNER TO alice;`)
	return b.String()
}

func (w *gatedWorld) refill() string {
	var b strings.Builder
	names := []string{"later", "keyed", "shadow"}
	for i := range w.tables {
		names = append(names, fmt.Sprintf("t%d", i))
	}
	fmt.Fprintf(&b, "SET session_replication_role = replica; TRUNCATE %s; SET session_replication_role = origin; ALTER SEQUENCE tried RESTART;", strings.Join(names, ", "))
	for i := range w.tables {
		fmt.Fprintf(&b, "INSERT INTO t%d SELECT i, 0, i FROM generate_series(1, 20) i;", i)
	}
	b.WriteString("INSERT INTO keyed SELECT i, 0 FROM generate_series(1, 20) i; TRUNCATE shadow; ALTER SEQUENCE tried RESTART; SELECT pg_stat_force_next_flush()")
	return b.String()
}

// statement is one that may change rows.
func (w *gatedWorld) statement() string {
	from := 1 + w.IntN(20)
	some := fmt.Sprintf("id BETWEEN %d AND %d", from, from+w.IntN(7))
	switch w.IntN(20) {
	case 0, 1, 2:
		return "DELETE FROM " + w.table() + " WHERE " + some
	case 3, 4, 5:
		return "UPDATE " + w.table() + " SET a = a + 1 WHERE " + some
	case 6, 7:
		return fmt.Sprintf("UPDATE %s SET a = 2 WHERE id = %d", w.one("keyed", "t0", "t1"), from)
	case 8:
		return fmt.Sprintf("DELETE FROM keyed WHERE id = %d", from)
	case 9:
		return fmt.Sprintf("INSERT INTO %s (id, a) SELECT i, 0 FROM generate_series(21, %d) i", w.table(), 20+w.IntN(9))
	case 10:
		return fmt.Sprintf("MERGE INTO t0 t USING generate_series(%d, %d) i ON t.id = i WHEN MATCHED AND i %% 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET a = 3", from, from+w.IntN(6))
	case 11:
		return "WITH d AS (DELETE FROM " + w.table() + " WHERE " + some + " RETURNING id) SELECT count(*) FROM d"
	case 12:
		return fmt.Sprintf("SELECT purge(%d)", w.IntN(8))
	case 13:
		return fmt.Sprintf("DO $x$ BEGIN UPDATE t0 SET a = 5 WHERE %s; %sEND $x$", some, w.one("", "", "", "COMMIT; "))
	case 14:
		return fmt.Sprintf("CALL %s(%d)", w.one("work", "work", "work_and_commit"), w.IntN(8))
	case 15:
		return "DELETE FROM " + w.table() + " WHERE " + some + " RETURNING id"
	case 16:
		return w.one("SELECT 1/0", "INSERT INTO later VALUES (1)", "SELEC", "INSERT INTO t1 (id, r) VALUES (99, 98)")
	case 17:
		return w.one("SELECT count(*) FROM t0", "SHOW DateStyle", "SET LOCAL a.b = 'c'", "VACUUM later", "SELECT g FROM generate_series(1, 5) g", "SET CONSTRAINTS ALL IMMEDIATE")
	case 18:
		return w.one("PREPARE d AS DELETE FROM t0 WHERE id <= 4", "EXECUTE d", "EXECUTE d", "DEALLOCATE d", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s")
	}
	return w.one("TRUNCATE ", "DELETE FROM ") + w.table()
}

// text is what a simple Query may hold.
func (w *gatedWorld) text() string {
	var b strings.Builder
	for i := range 1 + w.IntN(4)*w.IntN(2) {
		if i > 0 {
			b.WriteString(w.one(";", "; ", " ; -- a ; comment\\n", ";/* ; */ ", ";;"))
		}
		if w.IntN(4) == 0 {
			b.WriteString(w.one("BEGIN", "COMMIT", "COMMIT", "ROLLBACK", "END", "COMMIT AND CHAIN", "START TRANSACTION", "SELECT ';'"))
			continue
		}
		b.WriteString(w.statement())
	}
	return b.String() + w.one("", ";")
}

func inScript(text string) string { return `"` + strings.ReplaceAll(text, `"`, `\"`) + `"` }

// lines is one random session: units of one protocol or the other, each of which
// is answered with a ReadyForQuery.
func (w *gatedWorld) lines() []string {
	var lines []string
	say := func(line string, args ...any) { lines = append(lines, fmt.Sprintf("-> "+line, args...)) }
	for range 1 + w.IntN(8) {
		switch w.IntN(10) {
		case 0, 1, 2:
			say("Query %s", inScript(w.text()))
		case 3, 4:
			say("Query %s", inScript(w.statement()))
		case 5:
			say("Query %s", w.one(`"BEGIN"`, `"BEGIN"`, `"COMMIT"`, `"ROLLBACK"`, `"COMMIT AND CHAIN"`, `"BEGIN ISOLATION LEVEL SERIALIZABLE"`, `"BEGIN READ ONLY"`))
		case 6:
			say(`Query "COPY later FROM STDIN%s"`, w.one("", "; SELECT 1", "; DELETE FROM t0 WHERE id < 5"))
			say(`CopyData "1\n"`)
			say(w.one("CopyDone", "CopyDone", `CopyFail "no"`))
		default:
			for range 1 + w.IntN(4) {
				name, portal := w.one("", "", "n"), w.one("", "", "p")
				text := w.statement()
				if w.IntN(5) == 0 {
					text = w.one("BEGIN", "COMMIT", "ROLLBACK", "COPY later FROM STDIN")
				}
				if w.IntN(8) > 0 {
					if name != "" {
						say(`Close S "%s"`, name)
					}
					say(`Parse "%s" %s`, name, inScript(text))
				}
				if w.IntN(6) == 0 {
					say(`Describe S "%s"`, name)
				}
				say(`Bind "%s" "%s"`, portal, name)
				if w.IntN(6) == 0 {
					say("Flush")
				}
				if w.IntN(9) > 0 {
					say(`Execute "%s"%s`, portal, w.one("", "", "", " 2"))
				}
				if text == "COPY later FROM STDIN" {
					if w.IntN(2) == 0 {
						say("Sync")
					}
					say(`CopyData "1\n"`)
					say("CopyDone")
				}
				if w.IntN(8) == 0 {
					say(w.one("Flush", "Flush", `Query "SELECT 1"`, `Query "DELETE FROM t0 WHERE id < 7"`))
				}
			}
			say("Sync")
		}
		if w.IntN(2) == 0 && !strings.Contains(lines[len(lines)-1], "Copy") {
			lines = append(lines, "-> Sync", "until ReadyForQuery")
		}
	}
	return append(lines, "-> Sync", `-> Query "ROLLBACK"`, `-> Query "SELECT 1 AS \"the end\""`, `until RowDescription "the end"`)
}

// counts are what the committed transactions changed, the largest first, and how
// many rows were written at all.
func (s *side) counts(t *testing.T) (largest, committed, tried int) {
	t.Helper()
	_, err := fmt.Sscan(s.exec(t, `SELECT coalesce((SELECT max(s) FROM (SELECT sum(rows) s FROM shadow GROUP BY xid) x), 0);
		SELECT coalesce(sum(rows), 0) FROM shadow; SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tried`), &largest, &committed, &tried)
	if err != nil {
		t.Fatal(err)
	}
	return largest, committed, tried
}

func (w *gatedWorld) contents() string {
	var b strings.Builder
	for i := range w.tables {
		fmt.Fprintf(&b, "SELECT '%d ' || t::text FROM t%[1]d t ORDER BY id;", i)
	}
	return b.String() + "SELECT t::text FROM keyed t ORDER BY id; SELECT count(*) FROM later; SELECT count(*) FROM pg_prepared_xacts"
}

// notMeasurable is how the client is told of what cannot be measured: code that
// commits, and a Query behind an extended query that is still open.
var notMeasurable = regexp.MustCompile("commit before its effect was measured|effect could not be measured|effect could be measured|effect must be measured|invalid transaction termination")

// blocks are errors of what belongs into a transaction block, or not into one: the
// server raises them in several places, and names those. What is alone behind the
// COMMIT at which a Query is cut warns where it would not among others.
var blocks = regexp.MustCompile(`ErrorResponse 25(001|P01) .*|WARNINGResponse "(SET (LOCAL|CONSTRAINTS) can only|there is no transaction) .*\n`)

// boundFirst reports whether a batch binds anything in front of VACUUM: planning may run
// code, and so what VACUUM commits would have to be measured.
func boundFirst(lines []string) bool {
	return slices.ContainsFunc(strings.Split(strings.Join(lines, "\n"), "-> Sync"), func(batch string) bool {
		before, _, vacuums := strings.Cut(batch, "VACUUM")
		return vacuums && strings.Contains(before, "-> Bind")
	})
}

// session plays one session and judges it.
func (w *gatedWorld) session(t *testing.T) string {
	lines := w.lines()
	if testing.Verbose() {
		t.Log(strings.Join(lines, "\n"))
	}
	chop := []int{1 << 20, 1 << 20, 1, 64}[w.IntN(4)]
	for _, s := range []*side{&w.direct, &w.gated} {
		s.exec(t, w.refill())
	}
	doneBefore := w.done(t)
	direct := blocks.ReplaceAllString(converse(t, w.direct.addr, w.direct.database, lines), "")
	gated := converseIn(t, w.gated.addr, w.gated.database, lines, chop)
	planned := boundFirst(lines) && strings.Contains(gated, "ErrorResponse 25001")
	gated = blocks.ReplaceAllString(gated, "")
	largest, committed, tried := w.direct.counts(t)
	through, _, _ := w.gated.counts(t)
	keyed := strings.Count(strings.Join(lines, "\n"), "FROM keyed") + strings.Count(strings.Join(lines, "\n"), "UPDATE keyed")
	wrong, over := "", 0
	_, err := fmt.Sscan(w.gated.exec(t, fmt.Sprintf("SELECT count(*) FROM (SELECT FROM shadow GROUP BY xid HAVING sum(rows) > %d) x", w.limit)), &over)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case w.approves && over > w.done(t)-doneBefore:
		wrong = fmt.Sprintf("%d transactions are over the limit, and fewer were approved", over)
	case w.approves:
	case over > 0:
		wrong = fmt.Sprintf("a transaction of %d rows was committed", through)
	}
	switch {
	case direct != gated && keyed == 0 && (tried <= w.limit || tried == committed && largest <= w.limit):
		if !planned && !notMeasurable.MatchString(gated) && !strings.Contains(gated, "locked as TRUNCATE") { // of a table whose size the server does not know
			wrong = "nothing is over the limit, and the client could tell"
		}
	case direct == gated && w.direct.exec(t, w.contents()) != w.gated.exec(t, w.contents()):
		wrong = "what was done is not what was said"
	}
	// What a refused batch would have parsed is not there: a client that goes on as if
	// it were may run a COPY of before instead, and break its protocol.
	breach := strings.Contains(gated, "during COPY from stdin") && notMeasurable.MatchString(gated)
	if strings.Contains(direct, "the end") && !strings.Contains(gated, "the end") && !breach {
		wrong += "; the session was ended"
	}
	for _, e := range w.logged.TakeAll() {
		if e.Level < zapcore.ErrorLevel && wrong == "" {
			continue
		}
		wrong += "; logged: " + e.Message + fmt.Sprint(e.ContextMap())
	}
	if wrong != "" {
		t.Errorf("limit %d, pieces of %d: %s\n%s\ndirectly:\n%s\nthrough the proxy:\n%s", w.limit, chop, wrong, strings.Join(lines, "\n"), afterLogin(direct), afterLogin(gated))
	}
	used, err := w.proxy.service.List(t.Context(), approval.Filter{States: []approval.State{approval.Used}})
	if err != nil || len(used) > 0 {
		t.Errorf("grants without an end: %v, %v", used, err)
	}
	if direct == gated {
		return "same"
	}
	return "stopped"
}

// loggedIn is a transcript without the log-in.
func afterLogin(transcript string) string {
	_, after, _ := strings.Cut(transcript, "ReadyForQuery")
	return after
}

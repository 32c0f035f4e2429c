package proxy

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
	"github.com/pgsluice/pgsluice/policy/approval/ledger"
)

const (
	nightly = "DELETE FROM public.events WHERE at < now() - interval '30 days'"
	tonight = "DELETE FROM public.events WHERE at < now() - interval '0 days'" // of the same shape
	weekly  = "DELETE FROM public.events"
)

// nightlyPolicy grants alice nightly, weekly and more up to 700 rows a day. Without
// the grant no transaction may delete more than ten rows.
func nightlyPolicy(t testing.TB, shapes ...string) string {
	t.Helper()
	var ids []string
	for _, text := range append(shapes, nightly, weekly) {
		shape := policy.NewReader().Read(text, policy.Lexing{Encoding: "UTF8", StandardConformingStrings: true, Known: true})[0].Shape()
		if shape.ID == "" {
			t.Fatalf("%s: %s", text, shape.None)
		}
		ids = append(ids, fmt.Sprintf("%q", shape.ID))
	}
	return `
version: 1
rules:
  - id: nightly-cleanup
    title: The nightly clean-up
    match:
      shape: [` + strings.Join(ids, ", ") + `]
      user: [alice]
    action: allow
    final: true
    up_to: {rows: 700, per: 24h}
    approve: [{group: dba, count: 1}]
  - id: no-where
    title: No WHERE
    match: {statement: [delete, update], where: missing}
    action: hold
    approve: [{group: dba, count: 1}]
  - id: dropped
    title: Something is dropped
    match: {statement: [drop, truncate]}
    action: hold
    approve: [{group: dba, count: 1}]
  - id: ten
    title: More than ten rows
    match: {statement: [update, delete, merge, truncate], rows: "> 10"}
    action: hold
    approve: [{group: dba, count: 1}]
  - id: flood
    title: A flood
    match: {budget: {deleted: "> 20", per: 1h, by: [user]}}
    action: hold
    approve: [{group: dba, count: 1}]
`
}

// events is an inventory with a table of a thousand events, of which 300 are old.
func events(t testing.TB, cluster *pgcluster.Cluster) (db string, old func(int)) {
	db = inventory(t, cluster)
	superuser := cluster.DSN(db, cluster.Superuser)
	psql(t, cluster, superuser, `
		CREATE TABLE events (id int PRIMARY KEY, at timestamptz NOT NULL);
		INSERT INTO events SELECT g, now() + interval '1 day' FROM generate_series(1, 1000) g;
		GRANT ALL ON events TO PUBLIC;
		ANALYZE events`)
	old = func(n int) {
		psql(t, cluster, superuser, fmt.Sprintf("INSERT INTO events SELECT (SELECT max(id) FROM events) + g, now() - interval '60 days' FROM generate_series(1, %d) g", n))
	}
	old(300)
	return db, old
}

func eventsLeft(t testing.TB, cluster *pgcluster.Cluster, db string) string {
	return psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM events")
}

// TestStandingGrant is the nightly clean-up: twice it runs untouched, the third time
// it is over the rows of its day.
func TestStandingGrant(t *testing.T) {
	cluster := pgcluster.Shared(t)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec} {
		t.Run(mode.String(), func(t *testing.T) {
			r := serveWith(t, cluster, nightlyPolicy(t), func(c *Config) { c.DryRun = DryRun{Rows: 1000, Timeout: 5 * time.Second, Show: 2} })
			db, old := events(t, cluster)
			run := func() <-chan answer {
				return executing(t, connectTo(t, cluster.DSNAt(r.addr, db, "alice")), nightly, mode)
			}
			for range 2 {
				if a := <-run(); a.err != nil || a.tag.String() != "DELETE 300" {
					t.Fatalf("got %v, %v", a.tag, a.err)
				}
				old(300)
			}
			got := run()
			q := r.request(t)
			if q.Rule != "nightly-cleanup" || !strings.Contains(q.Title, "300 rows were measured, and 100 of 700 in 24h were left") {
				t.Errorf("the request is %s: %q", q.Rule, q.Title)
			}
			if n := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL AND usename = 'alice'"); n != "0" {
				t.Error("a transaction is open while people think")
			}
			if n := eventsLeft(t, cluster, db); n != "1300" {
				t.Errorf("%s events are left while people think", n)
			}
			r.approve(t, q)
			if a := <-got; a.err != nil || a.tag.String() != "DELETE 300" {
				t.Errorf("once approved: %v, %v", a.tag, a.err)
			}
			// What people answered for is neither taken from the grant nor given to it.
			old(100)
			if a := <-run(); a.err != nil || a.tag.String() != "DELETE 100" {
				t.Errorf("afterwards: %v, %v", a.tag, a.err)
			}
			r.later(25 * time.Hour)
			old(700)
			if a := <-run(); a.err != nil || a.tag.String() != "DELETE 700" {
				t.Errorf("a day later: %v, %v", a.tag, a.err)
			}
		})
	}
}

// TestStandingGrantIsForOneJob sends what the grant is not for.
func TestStandingGrantIsForOneJob(t *testing.T) {
	cluster := pgcluster.Shared(t)
	for name, test := range map[string]struct{ login, setup, sql, rule, left string }{
		"the job":                          {sql: nightly, left: "1000"},
		"without a WHERE":                  {setup: "DELETE FROM events WHERE id > 600", sql: weekly, left: "0"},
		"too much without a WHERE":         {sql: weekly, rule: "nightly-cleanup", left: "1300"},
		"the numbers are wrong":            {sql: tonight, setup: "UPDATE events SET at = now() - interval '1 day' WHERE id <= 401", rule: "nightly-cleanup", left: "1300"},
		"another login":                    {login: "bob", sql: nightly, rule: "ten", left: "1300"},
		"another login, without a WHERE":   {login: "bob", sql: weekly, rule: "no-where", left: "1300"},
		"another statement":                {sql: nightly + " OR id < 100", rule: "ten", left: "1300"},
		"another table of the same shape":  {sql: "DELETE FROM public.event WHERE at < now() - interval '30 days'", setup: "ALTER TABLE events RENAME TO event; CREATE VIEW events AS SELECT * FROM event", rule: "ten", left: "1300"},
		"a trigger that deletes":           {sql: nightly, setup: "CREATE TABLE notes AS SELECT id FROM events; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM notes WHERE id = OLD.id; RETURN OLD; END $$; CREATE TRIGGER t BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION f()", left: "1000"},
		"a trigger that multiplies":        {sql: nightly, setup: "CREATE TABLE notes AS SELECT e.id FROM events e, generate_series(1, 3); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN DELETE FROM notes WHERE id = OLD.id; RETURN OLD; END $$; CREATE TRIGGER t BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION f()", rule: "nightly-cleanup", left: "1300"},
		"a trigger that notes each row":    {sql: nightly, setup: "CREATE TABLE notes (id int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO notes VALUES (OLD.id), (OLD.id); RETURN OLD; END $$; CREATE TRIGGER t BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION f()", rule: "nightly-cleanup", left: "1300"},
		"a cascade":                        {sql: nightly, setup: "CREATE TABLE notes (event int REFERENCES events ON DELETE CASCADE); INSERT INTO notes SELECT e.id FROM events e, generate_series(1, 2)", rule: "nightly-cleanup", left: "1300"},
		"a deferred trigger":               {sql: nightly, setup: "CREATE TABLE notes AS SELECT e.id FROM events e, generate_series(1, 3); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN DELETE FROM notes WHERE id = OLD.id; RETURN OLD; END $$; CREATE CONSTRAINT TRIGGER t AFTER DELETE ON events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION f()", rule: "nightly-cleanup", left: "1300"},
		"a trigger that drops":             {sql: nightly, setup: "CREATE TABLE notes (id int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN DROP TABLE notes; RETURN NULL; END $$; CREATE TRIGGER t AFTER DELETE ON events EXECUTE FUNCTION f()", rule: "dropped", left: "1300"},
		"a trigger that empties, unseen":   {sql: nightly, setup: "CREATE TABLE notes AS SELECT 1; ANALYZE notes; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ DECLARE v text = 'notes'; BEGIN EXECUTE format('TRUNC' || 'ATE %I', v); RETURN NULL; END $$; CREATE TRIGGER t AFTER DELETE ON events EXECUTE FUNCTION f()", rule: "", left: "1300"},
		"a function by another definition": {sql: "SELECT wipe('events')", setup: "CREATE FUNCTION wipe(t text) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN EXECUTE 'DELETE FROM ' || t; RETURN 1; END $$", rule: "nightly-cleanup", left: "1300"},
	} {
		t.Run(name, func(t *testing.T) {
			r := serveWith(t, cluster, nightlyPolicy(t, "SELECT wipe('events')"), asServed)
			db, _ := events(t, cluster)
			psql(t, cluster, cluster.DSN(db, cluster.Superuser), "DO $$ BEGIN CREATE ROLE bob LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$; "+test.setup+"; GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC")
			if test.login == "" {
				test.login = "alice"
			}
			out, _ := psqlErr(t, cluster, cluster.DSNAt(r.addr, db, test.login), test.sql)
			if left := eventsLeft(t, cluster, db); left != test.left {
				t.Errorf("%s events are left", left)
			}
			if held := strings.Contains(out, "opened request"); held != (test.left == "1300") || !strings.Contains(out, "rule "+test.rule) && held {
				t.Errorf("want rule %q\n%s", test.rule, out)
			}
		})
	}
}

// TestStandingGrantInABlock: only what the granted statement did is excused.
func TestStandingGrantInABlock(t *testing.T) {
	cluster := pgcluster.Shared(t)
	const few, many = "UPDATE public.accounts SET name = 'x' WHERE id <= 5", "UPDATE public.accounts SET name = 'x' WHERE id <= 11"
	for name, test := range map[string]struct {
		statements []string
		rule       string // that refuses the COMMIT
	}{
		"alone":                      {statements: []string{nightly}},
		"behind a few of its table":  {statements: []string{"UPDATE public.events SET at = at WHERE id <= 9", nightly}},
		"behind a few":               {statements: []string{few, nightly}},
		"before a few":               {statements: []string{nightly, few}},
		"twice":                      {statements: []string{nightly, nightly}},
		"among a few":                {statements: []string{few, nightly, "UPDATE public.accounts SET name = 'y' WHERE id BETWEEN 6 AND 10"}},
		"among too many":             {statements: []string{few, nightly, "UPDATE public.accounts SET name = 'y' WHERE id BETWEEN 6 AND 11"}, rule: "ten"},
		"behind too many":            {statements: []string{many, nightly}, rule: "ten"},
		"before too many":            {statements: []string{nightly, many}, rule: "ten"},
		"before more of its table":   {statements: []string{nightly, "DELETE FROM public.events WHERE id BETWEEN 1 AND 11"}, rule: "ten"},
		"by a key, many times":       {statements: []string{nightly, "DELETE FROM public.events WHERE id IN (1, 2, 3, 4, 5, 6)", "DELETE FROM public.events WHERE id IN (11, 12, 13, 14, 15, 16)"}, rule: "ten"},
		"with a savepoint":           {statements: []string{"SAVEPOINT a", nightly, "ROLLBACK TO a", "DELETE FROM public.events WHERE id BETWEEN 1 AND 11"}, rule: "ten"},
		"the numbers are wrong":      {statements: []string{"UPDATE public.events SET at = '2000-01-01' WHERE id <= 9", weekly}, rule: "nightly-cleanup"},
		"its numbers and others are": {statements: []string{weekly, few}, rule: "nightly-cleanup"},
	} {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec} {
			t.Run(name+", "+mode.String(), func(t *testing.T) {
				r := serveWith(t, cluster, nightlyPolicy(t), asServed)
				db, _ := events(t, cluster)
				c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
				send := func() error {
					if _, err := c.Exec(t.Context(), "BEGIN"); err != nil {
						return err
					}
					for _, sql := range test.statements {
						if _, err := c.Exec(t.Context(), sql, mode); err != nil {
							c.Exec(t.Context(), "ROLLBACK") // it has failed
							return err
						}
					}
					_, err := c.Exec(t.Context(), "COMMIT")
					if err != nil {
						c.Exec(t.Context(), "ROLLBACK") // it has failed
					}
					return err
				}
				err := send()
				switch left := eventsLeft(t, cluster, db); {
				case test.rule == "" && (err != nil || left != "1000"):
					t.Errorf("%v, and %s events are left", err, left)
				case test.rule != "" && (left != "1300" || !strings.Contains(fmt.Sprint(err), "rule "+test.rule+" opened request")):
					t.Errorf("%v, and %s events are left; want rule %s", err, left, test.rule)
				}
				if test.rule == "" || t.Failed() {
					return
				}
				r.approve(t, r.request(t))
				if err := send(); err != nil {
					t.Errorf("once approved: %v", err)
				}
			})
		}
	}
}

// TestStandingGrantByTheWire: portals and messages that say later what they do.
func TestStandingGrantByTheWire(t *testing.T) {
	cluster := pgcluster.Shared(t)
	const other = "DELETE FROM public.events WHERE id BETWEEN 1 AND 11"
	for name, test := range map[string]struct{ lines, left string }{
		"a block in one message":             {fmt.Sprintf("-> Query %q", "BEGIN; "+nightly+"; COMMIT"), "1000"},
		"and more behind it":                 {fmt.Sprintf("-> Query %q", "BEGIN; "+nightly+"; COMMIT; "+other), "1000"},
		"and more in it":                     {fmt.Sprintf("-> Query %q", "BEGIN; "+nightly+"; "+other+"; COMMIT"), "1300"},
		"behind another transaction":         {fmt.Sprintf("-> Query %q", "BEGIN; DELETE FROM public.events WHERE id < 3; COMMIT; "+nightly), "998"},
		"with Flush":                         {fmt.Sprintf("-> Parse \"\" %q\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Flush\nuntil CommandComplete\n-> Sync", nightly), "1000"},
		"with Flush, too much":               {fmt.Sprintf("-> Parse \"\" %q\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Flush\nuntil CommandComplete\n-> Sync", weekly), "1300"},
		"an old portal of it":                {fmt.Sprintf("-> Query \"BEGIN\"\n-> Parse \"\" %q\n-> Bind \"p\" \"\"\n-> Sync\n-> Execute \"p\"\n-> Sync\n-> Query \"COMMIT\"", weekly), "1300"},
		"an old portal of it, within limits": {fmt.Sprintf("-> Query \"BEGIN\"\n-> Parse \"\" %q\n-> Bind \"p\" \"\"\n-> Sync\n-> Execute \"p\"\n-> Sync\n-> Query \"COMMIT\"", nightly), "1000"},
		"an old portal of something else":    {fmt.Sprintf("-> Query \"BEGIN\"\n-> Parse \"\" %q\n-> Bind \"p\" \"\"\n-> Sync\n-> Parse \"\" %q\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Execute \"p\"\n-> Sync\n-> Query \"COMMIT\"", other, nightly), "1300"},
		"a pipeline with something else":     {fmt.Sprintf("-> Parse \"\" %q\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" %q\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync", nightly, other), "1300"},
		"something else in the message":      {fmt.Sprintf("-> Query %q", nightly+"; UPDATE accounts SET name = 'x' WHERE id <= 2"), "1300"},
		"a small addition in the message":    {fmt.Sprintf("-> Query %q", "DELETE FROM public.events WHERE id = 1; "+nightly), "1300"},
		"a read in the message":              {fmt.Sprintf("-> Query %q", nightly+"; SELECT 1"), "1000"},
		"twice in the message":               {fmt.Sprintf("-> Query %q", nightly+"; "+nightly), "1000"},
		"prepared by SQL":                    {fmt.Sprintf("-> Query %q\n-> Query \"EXECUTE d\"", "PREPARE d AS "+nightly), "1300"},
	} {
		t.Run(name, func(t *testing.T) {
			r := serveWith(t, cluster, nightlyPolicy(t), asServed)
			db, _ := events(t, cluster)
			said := converse(t, r.addr, db, strings.Split(test.lines, "\n"))
			if left := eventsLeft(t, cluster, db); left != test.left {
				t.Errorf("%s events are left, want %s\n%s", left, test.left, said)
			}
		})
	}
}

// TestStandingGrantAlone: with no other rule at all the grant still is a limit.
func TestStandingGrantAlone(t *testing.T) {
	cluster := pgcluster.Shared(t)
	text := nightlyPolicy(t)
	text = text[:strings.Index(text, "  - id: no-where")]
	const other = "DELETE FROM public.accounts WHERE id > 20"
	for name, test := range map[string]struct{ lines, left string }{
		"autocommit":                     {fmt.Sprintf("-> Query %q", weekly), "1300"},
		"small":                          {fmt.Sprintf("-> Query %q", nightly), "1000"},
		"a block":                        {fmt.Sprintf("-> Query \"BEGIN\"\n-> Query %q\n-> Query \"COMMIT\"", weekly), "1300"},
		"among others":                   {fmt.Sprintf("-> Query \"BEGIN\"\n-> Query %q\n-> Query %q\n-> Query \"COMMIT\"", weekly, other), "1300"},
		"among others, small":            {fmt.Sprintf("-> Query \"BEGIN\"\n-> Query %q\n-> Query %q\n-> Query \"COMMIT\"", nightly, other), "1000"},
		"a message with others":          {fmt.Sprintf("-> Query %q", weekly+"; "+other), "1300"},
		"an old portal, with others":     {fmt.Sprintf("-> Query \"BEGIN\"\n-> Parse \"\" %q\n-> Bind \"p\" \"\"\n-> Sync\n-> Query %q\n-> Execute \"p\"\n-> Sync\n-> Query \"COMMIT\"", weekly, other), "1300"},
		"an old portal behind its grant": {fmt.Sprintf("-> Query \"BEGIN\"\n-> Query %q\n-> Parse \"\" %q\n-> Bind \"p\" \"\"\n-> Sync\n-> Query %q\n-> Execute \"p\"\n-> Sync\n-> Query \"COMMIT\"", nightly, weekly, other), "1300"},
	} {
		t.Run(name, func(t *testing.T) {
			r := serveWith(t, cluster, text, asServed)
			db, _ := events(t, cluster)
			said := converse(t, r.addr, db, strings.Split(test.lines, "\n"))
			if left := eventsLeft(t, cluster, db); left != test.left {
				t.Errorf("%s events are left, want %s\n%s", left, test.left, said)
			}
		})
	}
}

// TestStandingGrantOverARestart: what was taken from a grant stays taken, in another
// process and in another session.
func TestStandingGrantOverARestart(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db, old := events(t, cluster)
	file := filepath.Join(t.TempDir(), "shared.db")
	for day, want := range []string{"1000", "1000", "1300"} {
		t.Run(fmt.Sprintf("run %d", day+1), func(t *testing.T) {
			r := serveWith(t, cluster, nightlyPolicy(t), func(c *Config) {
				asServed(c)
				l, err := ledger.OpenSQLite(file)
				if err != nil {
					t.Fatal(err)
				}
				c.Approvals, err = approval.New(approval.Config{Ledger: l, Recorder: nobodyReads{}, Now: time.Now, People: approval.NewPeople(wirePeople, wireGroups)})
				if err != nil {
					t.Fatal(err)
				}
				service := c.Approvals
				t.Cleanup(func() { service.Close(); l.Close() })
			})
			psqlErr(t, cluster, cluster.DSNAt(r.addr, db, "alice"), nightly)
			if left := eventsLeft(t, cluster, db); left != want {
				t.Errorf("%s events are left, want %s", left, want)
			}
		})
		old(300)
	}
}

// nobodyReads is an audit log that forgets.
type nobodyReads struct{}

func (nobodyReads) Record(context.Context, approval.Event) error { return nil }

package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/policy/approval"
)

// workshop has code that makes tables of its own, and drops those of others.
func workshop(t *testing.T, cluster *pgcluster.Cluster) string {
	db := measuredInventory(t, cluster)
	psql(t, cluster, cluster.DSN(db, cluster.Superuser), `
		CREATE FUNCTION own() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
			CREATE TABLE mine (id int PRIMARY KEY, v text); INSERT INTO mine SELECT i, 'x' FROM generate_series(1, 500) i; DROP TABLE mine; RETURN 1; END $$;
		CREATE FUNCTION own_temp() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
			CREATE TEMP TABLE mine AS SELECT g FROM generate_series(1, 500) g; PERFORM count(*) FROM mine; DROP TABLE mine; RETURN 1; END $$;
		CREATE FUNCTION drops() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DROP TABLE accounts CASCADE; RETURN 1; END $$;
		CREATE FUNCTION own_and_drops() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN own() + drops(); END $$;
		CREATE FUNCTION reads_on() RETURNS int LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'pgsluice_before'; BEGIN
			MOVE FORWARD 1 FROM c; RETURN drops(); END $$;
		CREATE FUNCTION reads_all() RETURNS int LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'pgsluice_before'; BEGIN
			MOVE FORWARD ALL FROM c; RETURN drops(); END $$;
		CREATE FUNCTION asks() RETURNS int LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'pgsluice_before'; r text; BEGIN
			PERFORM set_config('pgsluice.gone', '1', false); FETCH c INTO r; RETURN drops(); END $$;
		CREATE FUNCTION closes() RETURNS int LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'pgsluice_before'; BEGIN
			CLOSE c; RETURN drops(); END $$;
		CREATE FUNCTION opens_another() RETURNS int LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'pgsluice_before'; BEGIN
			CLOSE c; PERFORM drops(); OPEN c FOR SELECT ''; RETURN 1; END $$;
		CREATE FUNCTION renames() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
			ALTER TABLE accounts RENAME TO scrap; DROP TABLE scrap CASCADE; RETURN 1; END $$;
		CREATE PROCEDURE own_in_a_procedure() LANGUAGE plpgsql AS $$ BEGIN PERFORM own_temp(); END $$;
		CREATE FUNCTION by_drop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM drops(); RETURN NEW; END $$;
		CREATE TABLE trap (id int); CREATE TRIGGER falls AFTER INSERT ON trap FOR EACH ROW EXECUTE FUNCTION by_drop(); ALTER TABLE trap OWNER TO alice;
		CREATE FUNCTION by_drop(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN drops(); END $$;
		ALTER TABLE trap DISABLE TRIGGER ALL; INSERT INTO trap VALUES (1); ALTER TABLE trap ENABLE TRIGGER ALL;
		CREATE VIEW of_own AS SELECT own_temp() AS n; GRANT SELECT ON of_own TO alice;
		ANALYZE`)
	return db
}

// TestTablesOfOnesOwn: what a transaction makes and drops again cannot be told for
// certain from what another made meanwhile. People can approve of it all the same,
// though it is another relation each time.
func TestTablesOfOnesOwn(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, func(c *Config) { asServed(c); c.MaxWait = time.Minute })
	db := workshop(t, cluster)
	for sql, relations := range map[string]string{
		"SELECT own()": "4 relations", "SELECT own_temp(), own()": "5 relations", "CALL own_in_a_procedure()": "1 relations",
		"DO $$ BEGIN PERFORM own(); END $$": "4 relations", "SELECT n FROM of_own": "1 relations",
	} {
		t.Run(sql, func(t *testing.T) {
			got := executing(t, connectTo(t, cluster.DSNAt(r.addr, db, "alice")), sql, pgx.QueryExecModeSimpleProtocol)
			q := r.request(t)
			if q.Impact != "measured, and rolled back: what was not there before ("+relations+") is locked as TRUNCATE, DROP or ALTER do" {
				t.Errorf("the request says %q", q.Impact)
			}
			r.approve(t, q)
			if a := <-got; a.err != nil {
				t.Error(a.err)
			}
		})
	}
}

// TestApprovalOfTablesOfOnesOwn: who lets one statement make and drop tables of its own
// has not let the next one do so.
func TestApprovalOfTablesOfOnesOwn(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows+`
  - id: do-first
    title: DO is looked at first
    match: {statement: do_plain}
    action: hold
    approve: [{group: dba, count: 1}]
`, func(c *Config) { c.MaxWait = time.Minute })
	c := connectTo(t, cluster.DSNAt(r.addr, workshop(t, cluster), "alice"))
	for _, next := range []string{"", "SELECT own()"} {
		for _, sql := range []string{"BEGIN", "DO $$ BEGIN PERFORM own(); END $$", next, "COMMIT"} {
			got := executing(t, c, sql, pgx.QueryExecModeSimpleProtocol)
			if strings.HasPrefix(sql, "DO") {
				r.approve(t, r.request(t))
			}
			a := <-got
			if refused := a.err != nil; refused != (sql == "COMMIT" && next != "") {
				t.Errorf("%s behind %q: %v", sql, next, a.err)
			}
		}
	}
}

// TestTableOfAnotherMadeMeanwhile: a table that came after the look is not taken for
// the transaction's own.
func TestTableOfAnotherMadeMeanwhile(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, func(c *Config) { asServed(c); c.MaxWait = 0 })
	for _, begin := range []string{"BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1"} {
		for _, look := range []string{"SELECT 1", "SELECT own()", "SELECT own(); SELECT pg_stat_get_live_tuples('accounts'::regclass)"} {
			t.Run(begin+look, func(t *testing.T) {
				db := workshop(t, cluster)
				super := cluster.DSN(db, cluster.Superuser)
				psql(t, cluster, super, "CREATE FUNCTION drops_it() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DROP TABLE payments CASCADE'; RETURN 1; END $$")
				c := connectTo(t, cluster.DSNAt(r.addr, db, "alice"))
				for _, sql := range []string{"SET stats_fetch_consistency = snapshot", begin, look} {
					if _, err := c.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
						t.Fatalf("%s: %v", sql, err)
					}
				}
				psql(t, cluster, super, "CREATE TABLE payments AS SELECT g AS id FROM generate_series(1, 1000) g")
				for _, sql := range []string{"SELECT drops_it()", "COMMIT"} {
					_, err := c.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
					t.Log(sql, err)
				}
				if left, err := psqlErr(t, cluster, super, "SELECT count(*) FROM payments"); err != nil || left != "1000" {
					t.Errorf("%q are left", left)
				}
			})
		}
	}
}

// TestLookTakesNoSnapshotTooEarly: what has to come before a transaction's first query,
// or before its snapshot, still does.
func TestLookTakesNoSnapshotTooEarly(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, measureAll, nil)
	for _, lines := range []string{
		`-> Query "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT purge(1)"`,
		"-> Query \"BEGIN\"\n-> Query \"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT purge(1)\"\n-> Query \"SHOW transaction_isolation\"\n-> Query \"COMMIT\"",
		"-> Query \"BEGIN\"\n-> Parse \"\" \"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"SELECT purge(1)\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync\n-> Query \"COMMIT\"",
		"-> Query \"BEGIN\"\n-> Parse \"\" \"SET LOCAL transaction_isolation = serializable\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Parse \"\" \"UPDATE log SET line = line\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync\n-> Query \"COMMIT\"",
		`-> Query "DECLARE pgsluice_before CURSOR WITH HOLD FOR SELECT 1; SELECT purge(1)"` + "\n-> Query \"SELECT purge(2)\"\n-> Query \"SELECT 1\"",
	} {
		t.Run(lines, func(t *testing.T) {
			said := func(addr string) string {
				return afterLogin(converse(t, addr, measuredInventory(t, cluster), strings.Split(lines, "\n")))
			}
			if direct, through := said(cluster.Addr()), said(r.addr); direct != through {
				t.Errorf("directly:\n%s\nmeasured:\n%s", direct, through)
			}
		})
	}
}

// TestNamesOfWhatIsGone: who is asked whether code may drop a table reads its name.
func TestNamesOfWhatIsGone(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, func(c *Config) { asServed(c); c.MaxWait = time.Minute })
	const impact = "measured, and rolled back: public.accounts is locked as TRUNCATE, DROP or ALTER do"
	const own = ", what was not there before (4 relations) is locked as TRUNCATE, DROP or ALTER do"
	for sql, besides := range map[string]string{"SELECT drops()": "", "SELECT own_and_drops()": own, "SELECT renames()": "", "DO $$ BEGIN PERFORM drops(); END $$": ""} {
		t.Run(sql, func(t *testing.T) {
			db := workshop(t, cluster)
			got := executing(t, connectTo(t, cluster.DSNAt(r.addr, db, "alice")), sql, pgx.QueryExecModeSimpleProtocol)
			q := r.request(t)
			if q.Impact != impact+besides {
				t.Errorf("the request says %q", q.Impact)
			}
			r.approve(t, q)
			if a := <-got; a.err != nil {
				t.Error(a.err)
			}
			if left, _ := psqlErr(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); !strings.Contains(left, "does not exist") {
				t.Errorf("%s are left", left)
			}
		})
	}
	t.Run("in a transaction block", func(t *testing.T) {
		db := workshop(t, cluster)
		lines := []string{`-> Query "BEGIN"`, `-> Query "SAVEPOINT a"`, `-> Query "SELECT own_and_drops()"`, `-> Query "COMMIT"`}
		said := converse(t, r.addr, db, lines)
		if !strings.Contains(said, "public.accounts is locked") || strings.Contains(said, "OID") {
			t.Error(said)
		}
		q := r.request(t)
		if q.Mode != approval.Ticket || q.Impact != impact+own {
			t.Errorf("the request is a %s and says %q", q.Mode, q.Impact)
		}
		r.approve(t, q)
		if said := converse(t, r.addr, db, lines); strings.Contains(said, "ErrorResponse") {
			t.Error(said)
		}
		if left, _ := psqlErr(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); !strings.Contains(left, "does not exist") {
			t.Errorf("%s are left", left)
		}
	})
}

// TestWhoeverReadsTheLookBefore: code that reads, moves or replaces the cursor gains
// nothing by it.
func TestWhoeverReadsTheLookBefore(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, func(c *Config) { asServed(c); c.MaxWait = 0 })
	for _, sql := range []string{"SELECT drops()", "SELECT reads_on()", "SELECT reads_all()", "SELECT asks()", "SELECT closes()", "SELECT opens_another()"} {
		for _, lines := range [][]string{
			{`-> Query "` + sql + `"`},
			{`-> Query "BEGIN"`, `-> Query "` + sql + `"`, `-> Query "COMMIT"`},
			{`-> Query "DECLARE pgsluice_before CURSOR WITH HOLD FOR SELECT ''"`, `-> Query "` + sql + `"`},
			{`-> Query "DECLARE pgsluice_before CURSOR WITH HOLD FOR SELECT ''"`, `-> Query "BEGIN"`, `-> Query "` + sql + `"`, `-> Query "COMMIT"`},
			{`-> Query "BEGIN"`, `-> Query "SELECT own()"`, `-> Query "CLOSE ALL"`, `-> Query "` + sql + `"`, `-> Query "COMMIT"`},
			{`-> Query "BEGIN"`, `-> Query "SAVEPOINT a"`, `-> Query "SELECT own()"`, `-> Query "ROLLBACK TO a"`, `-> Query "` + sql + `"`, `-> Query "COMMIT"`},
		} {
			t.Run(strings.Join(lines, " "), func(t *testing.T) { accountsStay(t, r, cluster, lines) })
		}
	}
}

// TestLookThatComesTooLate: what was gone when the look was opened is not taken for
// something that was never there.
func TestLookThatComesTooLate(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, func(c *Config) { asServed(c); c.MaxWait = 0 })
	const drops, own = "INSERT INTO trap VALUES (1)", "SELECT own()"
	for _, lines := range [][]string{
		{`-> Query "BEGIN"`, `-> Query "` + drops + `"`, `-> Query "` + own + `"`, `-> Query "COMMIT"`},
		{`-> Query "BEGIN"`, `-> Parse "" "` + drops + `"`, `-> Bind "" ""`, `-> Execute ""`, `-> Flush`, `-> Sync`, `-> Query "` + own + `"`, `-> Query "COMMIT"`},
		{`-> Query "BEGIN; ` + drops + `"`, `-> Query "` + own + `"`, `-> Query "COMMIT"`},
		{`-> Query "BEGIN; SELECT drops()"`, `-> Query "` + own + `"`, `-> Query "COMMIT"`},
		{`-> Query "` + drops + `; ` + own + `"`},
		{`-> Query "ALTER TABLE trap ADD COLUMN x int DEFAULT drops()"`},
		{`-> Query "BEGIN"`, `-> Query "DROP TRIGGER IF EXISTS x ON accounts"`, `-> Query "SELECT drops()"`, `-> Query "COMMIT"`},
		{`-> Query "BEGIN"`, `-> Query "DROP TRIGGER IF EXISTS x ON accounts"`, `-> Query "DROP TABLE accounts CASCADE"`, `-> Query "COMMIT"`},
		{`-> Query "BEGIN"`, `-> Query "DROP FUNCTION IF EXISTS accounts()"`, `-> Query "SELECT drops()"`, `-> Query "COMMIT"`},
		{`-> Query "DO $$ BEGIN DROP TRIGGER IF EXISTS x ON accounts; EXECUTE 'DROP TABLE ' || 'accounts CASCADE'; END $$"`},
		{`-> Query "DO $$ BEGIN DROP TABLE trap; ALTER TABLE accounts RENAME TO trap; EXECUTE 'TRUNCATE tr' || 'ap CASCADE'; ALTER TABLE trap RENAME TO accounts; END $$"`},
		{`-> Query "BEGIN"`, `-> Query "ALTER TABLE trap ADD COLUMN x int DEFAULT drops()"`, `-> Query "COMMIT"`},
		{`-> Query "BEGIN"`, `-> Query "ALTER TABLE trap ALTER id TYPE int USING by_drop(id)"`, `-> Query "COMMIT"`},
		{`-> Parse "" "` + drops + `"`, `-> Bind "" ""`, `-> Execute ""`, `-> Flush`, `-> Parse "" "` + own + `"`, `-> Bind "" ""`, `-> Execute ""`, `-> Sync`},
	} {
		t.Run(strings.Join(lines, " "), func(t *testing.T) { accountsStay(t, r, cluster, lines) })
	}
}

// accountsStay plays lines where the statistics know of no rows.
func accountsStay(t *testing.T, r *running, cluster *pgcluster.Cluster, lines []string) {
	db := workshop(t, cluster)
	super := cluster.DSN(db, cluster.Superuser)
	psql(t, cluster, super, "SELECT pg_stat_reset()")
	said := converse(t, r.addr, db, lines)
	if left, err := psqlErr(t, cluster, super, "SELECT count(*) FROM accounts"); err != nil || left != "100" {
		t.Errorf("%q are left\n%s", left, said)
	}
}

// TestNamesThatCodePutsTogether: what code drops, empties or deletes from under a name
// that nobody can read is measured like anything else, even where something goes by
// what stands for such a name.
func TestNamesThatCodePutsTogether(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, func(c *Config) { asServed(c); c.MaxWait = 0 })
	const name = "reverse('stnuocca')"
	for _, body := range []string{
		"EXECUTE 'DROP TABLE ' || " + name + " || ' CASCADE'",
		"EXECUTE 'DR' || 'OP TABLE ' || " + name,
		"EXECUTE format('DR%s TABLE %I CASCADE', 'OP', " + name + ")",
		"EXECUTE format('DROP TABLE %s.%I CASCADE', 'public', " + name + ")",
		"EXECUTE 'DROP TABLE ' || quote_ident(" + name + ") || ' CASCADE'",
		"EXECUTE format('TRUNCATE %I CASCADE', " + name + ")",
		"EXECUTE format('DELETE FROM %I', " + name + ")",
		"EXECUTE format('DELETE FROM %I WHERE id > 0', " + name + ")",
		"EXECUTE format('UPDATE %I SET id = -id', " + name + "); EXECUTE format('DELETE FROM %I', " + name + ")",
		"EXECUTE format('SELECT %I()', reverse('spord'))",
		"EXECUTE format('SELECT %I.%I()', 'public', reverse('spord'))",
		"EXECUTE format('ALTER TABLE %I RENAME TO gone; DROP TABLE gone CASCADE', " + name + ")",
	} {
		for _, there := range []string{"", `CREATE TABLE "?" (id int); CREATE FUNCTION "?"() RETURNS int LANGUAGE sql AS 'SELECT 1';`} {
			t.Run(body+there, func(t *testing.T) {
				db := workshop(t, cluster)
				super := cluster.DSN(db, cluster.Superuser)
				psql(t, cluster, super, there+"CREATE FUNCTION hides() RETURNS int LANGUAGE plpgsql AS $$ BEGIN "+body+"; RETURN 1; END $$; ANALYZE")
				for _, lines := range [][]string{{`-> Query "SELECT hides()"`}, {`-> Query "BEGIN"`, `-> Query "SELECT hides()"`, `-> Query "COMMIT"`}, {`-> Query "DO $$ BEGIN ` + body + `; END $$"`}} {
					said := converse(t, r.addr, db, lines)
					if left, err := psqlErr(t, cluster, super, "SELECT count(*) FROM accounts WHERE id > 0"); err != nil || left != "100" {
						t.Errorf("%q are left\n%s", left, said)
					}
				}
			})
		}
	}
}

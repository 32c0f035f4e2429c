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
		CREATE VIEW of_own AS SELECT own_temp() AS n; GRANT SELECT ON of_own TO alice;
		ANALYZE`)
	return db
}

// TestTablesOfOnesOwn: what a transaction makes and drops again is nobody's loss.
func TestTablesOfOnesOwn(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, func(c *Config) { asServed(c); c.MaxWait = 0 })
	db := workshop(t, cluster)
	for _, lines := range []string{
		`-> Query "SELECT own()"`,
		`-> Query "SELECT own_temp()"`,
		`-> Query "SELECT own_temp(), own()"`,
		`-> Query "CALL own_in_a_procedure()"`,
		`-> Query "DO $$ BEGIN PERFORM own(); END $$"`,
		`-> Query "SELECT n FROM of_own"`,
		"-> Query \"DECLARE pgsluice_before CURSOR WITH HOLD FOR SELECT 1\"\n-> Query \"SELECT purge(3)\"\n-> Query \"BEGIN\"\n-> Query \"SELECT purge(3)\"\n-> Query \"COMMIT\"",
		"-> Parse \"\" \"SELECT own_temp()\"\n-> Bind \"\" \"\"\n-> Execute \"\"\n-> Sync",
		"-> Query \"BEGIN\"\n-> Query \"SELECT own_temp()\"\n-> Query \"SELECT 1\"\n-> Query \"COMMIT\"",
		"-> Query \"BEGIN\"\n-> Query \"SAVEPOINT a\"\n-> Query \"SELECT own_temp()\"\n-> Query \"RELEASE a\"\n-> Query \"SELECT own()\"\n-> Query \"COMMIT\"",
		"-> Query \"BEGIN\"\n-> Query \"SELECT own()\"\n-> Query \"DELETE FROM accounts WHERE id = 1\"\n-> Query \"COMMIT AND CHAIN\"\n-> Query \"SELECT own_temp()\"\n-> Query \"COMMIT\"",
	} {
		t.Run(lines, func(t *testing.T) {
			if said := converse(t, r.addr, db, strings.Split(lines, "\n")); strings.Contains(said, "ErrorResponse") {
				t.Error(said)
			}
		})
	}
}

// TestNamesOfWhatIsGone: who is asked whether code may drop a table reads its name.
func TestNamesOfWhatIsGone(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, tenRows, func(c *Config) { asServed(c); c.MaxWait = time.Minute })
	const impact = "measured, and rolled back: public.accounts is locked as TRUNCATE, DROP or ALTER do"
	for _, sql := range []string{"SELECT drops()", "SELECT own_and_drops()", "SELECT renames()", "DO $$ BEGIN PERFORM drops(); END $$"} {
		t.Run(sql, func(t *testing.T) {
			db := workshop(t, cluster)
			got := executing(t, connectTo(t, cluster.DSNAt(r.addr, db, "alice")), sql, pgx.QueryExecModeSimpleProtocol)
			q := r.request(t)
			if q.Impact != impact {
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
		if q.Mode != approval.Ticket || q.Impact != impact {
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

package impact

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/policy"
)

// TestTriggersThatOnlyFillInTheRowProveNoMore: what a key proves of a table stays
// proven where its triggers do nothing but look at the row or set columns of it. A
// column "changed" that the trigger sets is most of them.
func TestTriggersThatOnlyFillInTheRowProveNoMore(t *testing.T) {
	for _, x := range []struct {
		what, trigger, body string
		update, delete      bool // still proven
	}{
		{"a time stamp", "BEFORE UPDATE ON t FOR EACH ROW", "BEGIN NEW.changed := now(); RETURN NEW; END", true, true},
		{"under a condition", "BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)", "BEGIN NEW.changed = clock_timestamp(); RETURN NEW; END", true, true},
		{"an error", "BEFORE DELETE ON t FOR EACH ROW", "BEGIN RAISE EXCEPTION 'no'; END", true, true},
		{"branches", "BEFORE UPDATE OR DELETE ON t FOR EACH ROW",
			"BEGIN IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; IF NEW.x > 1 THEN NEW.changed := now(); END IF; RETURN NEW; END", true, true},
		{"a look elsewhere", "BEFORE UPDATE ON t FOR EACH ROW", "BEGIN SELECT max(x) INTO NEW.x FROM t; RETURN NEW; END", true, true},
		{"a row elsewhere", "AFTER UPDATE ON t FOR EACH ROW", "BEGIN INSERT INTO log VALUES (1); RETURN NEW; END", false, true},
		{"a delete elsewhere", "BEFORE DELETE ON t FOR EACH ROW", "BEGIN DELETE FROM log; RETURN OLD; END", true, false},
		{"code", "BEFORE UPDATE ON t FOR EACH ROW", "BEGIN NEW.x := purge(); RETURN NEW; END", false, true},
		{"code that is performed", "BEFORE UPDATE ON t FOR EACH ROW", "BEGIN PERFORM purge(); RETURN NEW; END", false, true},
		{"a string that is run", "BEFORE UPDATE ON t FOR EACH ROW", "BEGIN EXECUTE NEW.line; RETURN NEW; END", false, true},
		{"a setting", "BEFORE UPDATE ON t FOR EACH ROW", "BEGIN SET LOCAL session_replication_role = replica; RETURN NEW; END", false, true},
		{"a setting by a function", "BEFORE UPDATE ON t FOR EACH ROW", "BEGIN PERFORM set_config('track_counts', 'off', true); RETURN NEW; END", false, true},
		{"a lock", "BEFORE UPDATE ON t FOR EACH ROW", "BEGIN LOCK TABLE log; RETURN NEW; END", false, true},
		{"rows that are locked", "BEFORE UPDATE ON t FOR EACH ROW", "BEGIN PERFORM FROM log FOR UPDATE; RETURN NEW; END", false, true},
		{"a large object", "BEFORE UPDATE ON t FOR EACH ROW", "BEGIN PERFORM lo_unlink(1); RETURN NEW; END", false, true},
		{"a truncation", "AFTER UPDATE ON t FOR EACH STATEMENT", "BEGIN TRUNCATE log; RETURN NULL; END", false, true},
		{"every statement", "AFTER UPDATE ON t FOR EACH STATEMENT", "BEGIN RAISE NOTICE 'updated'; RETURN NULL; END", true, true},
	} {
		t.Run(x.what, func(t *testing.T) {
			clerk := database(t, `
				CREATE TABLE t (id int PRIMARY KEY, x int, line text, changed timestamptz); CREATE TABLE log (n int);
				CREATE FUNCTION purge() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM log; RETURN 1; END $$;
				CREATE FUNCTION does() RETURNS trigger LANGUAGE plpgsql AS $$ `+x.body+` $$;
				CREATE TRIGGER does `+x.trigger+` EXECUTE FUNCTION does();
				GRANT ALL ON t, log TO clerk`)
			proves(t, clerk, "UPDATE t SET x = 2 WHERE id = 1", x.update)
			proves(t, clerk, "DELETE FROM t WHERE id = 1", x.delete)
		})
	}
	t.Run("of a key that others follow", func(t *testing.T) {
		clerk := database(t, `
			CREATE TABLE t (id int PRIMARY KEY, x int UNIQUE); CREATE TABLE log (n int REFERENCES t (x) ON UPDATE CASCADE);
			CREATE FUNCTION does() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.x := NEW.x + 1; RETURN NEW; END $$;
			CREATE TRIGGER does BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION does();
			GRANT ALL ON t, log TO clerk`)
		proves(t, clerk, "UPDATE t SET id = 2 WHERE id = 1", false)
	})
}

// proves asks the catalogue about a statement as the proxy does.
func proves(t *testing.T, clerk *pgconn.PgConn, sql string, want bool) {
	t.Helper()
	reader := policy.NewReader()
	facts := reader.Read(sql, policy.Lexing{Known: true, StandardConformingStrings: true, Encoding: "UTF8"})
	c, err := reader.Ask([][]*policy.Facts{facts}, func(names []policy.Name) (*policy.Catalog, error) { return ask(t, clerk, names...), nil })
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]*policy.Catalog{"now": c, "kept": c.Kept()} {
		if proven := reader.RefineAll(facts, c)[0].Proven(); (proven != nil) != want {
			t.Errorf("%s, %s: proven %v, want %t", sql, what, proven, want)
		}
	}
}

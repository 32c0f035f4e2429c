package policy

import "testing"

// takenBack says of each statement of a message whether it is taken back.
func takenBack(facts []*Facts) string {
	marks := ""
	for _, f := range facts {
		if f.TakenBack {
			marks += "x"
		} else {
			marks += "."
		}
	}
	return marks
}

func TestWhatTheSameMessageTakesBack(t *testing.T) {
	for _, c := range []struct{ sql, want string }{
		{"BEGIN; DELETE FROM t; ROLLBACK", ".x."},
		{"BEGIN; DROP TABLE t CASCADE; TRUNCATE u; ABORT AND CHAIN", ".xx."},
		{"DELETE FROM t; ROLLBACK", "x."}, // one implicit transaction
		{"BEGIN; EXPLAIN ANALYZE DELETE FROM t; ROLLBACK; SELECT 1", ".x.."},
		{"BEGIN; DELETE FROM t; SET LOCAL a.b = 1; SELECT f(); ROLLBACK", ".xxx."},
		{"BEGIN; SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; COMMIT", "..x.."},
		{"BEGIN; DELETE FROM t; COMMIT; DELETE FROM t; ROLLBACK", "...x."},

		// An error behind the savepoint would let the client go back to it, and commit.
		{"BEGIN; DELETE FROM t; SAVEPOINT s; SELECT 1/0; ROLLBACK", "...x."},
		{"BEGIN; DELETE FROM t; SAVEPOINT s; ROLLBACK TO s; COMMIT", "....."},
		{"BEGIN; DELETE FROM t; RELEASE s; ROLLBACK", "...."},
		{"DELETE FROM t; BEGIN; ROLLBACK", "..."},
		{"BEGIN; DELETE FROM t; COMMIT AND CHAIN; ROLLBACK", "...."},
		{"BEGIN; DELETE FROM t; PREPARE TRANSACTION 'x'; ROLLBACK", "...."},
		{"BEGIN; DELETE FROM t", ".."},
		{"ROLLBACK; DELETE FROM t", ".."},
		{"BEGIN; DELETE FROM t; ROLLBACK PREPARED 'x'", "..."},

		// What could commit by itself, and what nobody has read.
		{"BEGIN; DELETE FROM t; CALL p(); ROLLBACK", "...."},
		{"BEGIN; DELETE FROM t; DO $$ BEGIN COMMIT; END $$; ROLLBACK", "...."},
		{"BEGIN; DELETE FROM t; EXECUTE p; ROLLBACK", "...."},
		{"BEGIN; DELETE FROM t; EXPLAIN ANALYZE EXECUTE p; ROLLBACK", "...."},
		{"BEGIN; DELETE FROM t; VACUUM; ROLLBACK", "...."},
		{"BEGIN; DELETE FROM t; CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p; ROLLBACK", "...."},
	} {
		if got := takenBack(NewReader().Read(c.sql, usual)); got != c.want {
			t.Errorf("%s: %s, want %s", c.sql, got, c.want)
		}
	}
}

func TestWhatAReadOnlyTransactionRefuses(t *testing.T) {
	for _, c := range []struct{ sql, want string }{
		{"BEGIN READ ONLY; DELETE FROM t; SELECT 1; DROP TABLE t; COMMIT; DELETE FROM t", ".xxx.."},
		{"START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY; TRUNCATE t", ".x"},
		{"BEGIN; SET TRANSACTION READ ONLY; DELETE FROM t", "..x"},

		{"BEGIN READ ONLY, READ WRITE; DELETE FROM t", ".."},
		{"BEGIN READ WRITE; DELETE FROM t", ".."},
		{"BEGIN READ ONLY; SET TRANSACTION READ WRITE; DELETE FROM t", "..."},
		{"BEGIN READ ONLY; SET transaction_read_only = off; DELETE FROM t", "..."},
		{"BEGIN READ ONLY; SELECT set_config('transaction_read_only', 'off', true); DELETE FROM t", "..."},
		{"BEGIN READ ONLY; COMMIT AND CHAIN; DELETE FROM t", "..."},
		{"BEGIN; SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; DELETE FROM t", "..."},
		{"SET TRANSACTION READ ONLY; DELETE FROM t", ".."},
		{"SAVEPOINT s; SET TRANSACTION READ ONLY; RELEASE s; DELETE FROM t", "...."},
		{"BEGIN READ ONLY; EXECUTE p; DELETE FROM t", "..."},
	} {
		if got := takenBack(NewReader().Read(c.sql, usual)); got != c.want {
			t.Errorf("%s: %s, want %s", c.sql, got, c.want)
		}
	}
	for _, c := range []struct{ sql, want string }{
		{"DELETE FROM t; TRUNCATE u", "xx"},
		{"SELECT 1; DELETE FROM t; COMMIT; DELETE FROM t", "xx.."},
		{"SET TRANSACTION READ WRITE; DELETE FROM t", ".."},
		{"ROLLBACK TO s; DELETE FROM t", ".."},
		{"RESET ALL; DELETE FROM t", ".."},
		{"CALL p(); DELETE FROM t", ".."},
	} {
		r := NewReader()
		facts := r.Read(c.sql, usual)
		if got := takenBack(InReadOnlyTransaction(facts)); got != c.want {
			t.Errorf("in a read-only transaction %s: %s, want %s", c.sql, got, c.want)
		}
		if got := takenBack(r.Read(c.sql, usual)); got != takenBack(NewReader().Read(c.sql, usual)) {
			t.Errorf("%s: the cached facts were changed: %s", c.sql, got)
		}
	}
}

func TestWhatARollbackDoesNotTakeBackIsHeldBeforeOneToo(t *testing.T) {
	standard := Standard()
	for sql, want := range map[string]Verdict{
		"BEGIN; DELETE FROM t; ROLLBACK":                                         Allow,
		"BEGIN; ALTER TABLE t DROP COLUMN a; UPDATE t SET a = 1; ROLLBACK":       Allow,
		"BEGIN; WITH d AS (DELETE FROM t RETURNING *) TABLE d; ROLLBACK":         Allow,
		"BEGIN; SELECT setval('s', 1); ROLLBACK":                                 Hold,
		"BEGIN; DELETE FROM t WHERE a = lo_export(1, '/x'); ROLLBACK":            Hold,
		"BEGIN; SELECT dblink_exec('DELETE FROM t'); ROLLBACK":                   Hold,
		"BEGIN; LOCK TABLE t; SELECT pg_sleep(3600); ROLLBACK":                   Hold,
		"BEGIN; DO $$ BEGIN DELETE FROM t; COMMIT; END $$; ROLLBACK":             Hold,
		"BEGIN; CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'x'; ROLLBACK":     Hold,
		"BEGIN; UPDATE pg_proc SET prosrc = ''; ROLLBACK":                        Hold,
		"BEGIN; DELETE FROM t; COPY t TO PROGRAM 'x'; ROLLBACK":                  Block,
		"BEGIN; SELECT * FROM (SELECT setval('s', 1)) x, t FOR UPDATE; ROLLBACK": Hold,
	} {
		verdict := Allow
		for _, f := range NewReader().Read(sql, usual) {
			if d := standard.Decide(&Session{User: "alice"}, f); d.Verdict < verdict {
				verdict = d.Verdict
			}
		}
		if verdict != want {
			t.Errorf("%s: %s, want %s", sql, verdict, want)
		}
	}
}

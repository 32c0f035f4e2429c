package policy

import "testing"

func TestAPlainBlockIsJudgedByItsStatements(t *testing.T) {
	standard := Standard()
	for _, c := range []struct {
		block string
		class Class
		want  Verdict
	}{
		{"BEGIN UPDATE orders SET note = 'x' WHERE id = 5; END", "do_plain", Allow},
		{"BEGIN IF EXISTS (SELECT 1 FROM a) THEN DELETE FROM t WHERE id = 1; ELSE INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING; END IF; END", "do_plain", Allow},
		{`BEGIN CREATE TYPE "e" AS ENUM ('a', 'b'); EXCEPTION WHEN duplicate_object THEN null; END`, "do_plain", Allow},
		{`BEGIN ALTER TABLE "a" ADD CONSTRAINT "f" FOREIGN KEY ("b") REFERENCES "c" ("id"); EXCEPTION WHEN duplicate_object THEN null; END`, "do_plain", Allow},

		{"BEGIN DELETE FROM t; END", "do_plain", Hold},
		{"BEGIN IF EXISTS (SELECT 1 FROM a) THEN TRUNCATE t; END IF; END", "do_plain", Hold},
		{"BEGIN PERFORM setval('s', 1); END", "do_plain", Hold},
		{"BEGIN CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'x'; END", "do_plain", Hold},

		// The name of a variable would be taken for that of a column.
		{"DECLARE v int := 1; BEGIN DELETE FROM t WHERE v = 1; END", "do", Hold},
		{"BEGIN UPDATE t SET a = 1 WHERE id = 1; DELETE FROM t WHERE FOUND; END", "do", Hold},
		{`BEGIN UPDATE t SET a = 1 WHERE id = 1; DELETE FROM t WHERE "found"; END`, "do", Hold},
		{`BEGIN DELETE FROM t WHERE U&"\0066ound"; END`, "do", Hold},
		{"BEGIN PERFORM 1/0; EXCEPTION WHEN others THEN DELETE FROM t WHERE SQLSTATE = '22012'; END", "do", Hold},
		// One row at a time, but how often?
		{"BEGIN FOR i IN 1..1000000 LOOP DELETE FROM t WHERE id = i; END LOOP; END", "do", Hold},
		{"BEGIN LOOP DELETE FROM t WHERE id = 1; EXIT; END LOOP; END", "do", Hold},
		{"BEGIN DELETE FROM t WHERE id = 1; COMMIT; END", "do", Hold},
		{"BEGIN EXECUTE 'DELETE FROM ' || 't'; END", "do", Hold},
		{"BEGIN CALL purge(); END", "do", Hold},
		{"BEGIN DELETE FROM t WHERE id = E''--\n'\\'' OR true; --'; END", "do", Hold},
		{"BEGIN this is no statement; END", "do", Hold},
	} {
		f := one(t, "DO $a$ "+c.block+" $a$")
		if d := standard.Decide(&Session{User: "alice"}, f); f.Class != c.class || d.Verdict != c.want {
			t.Errorf("%s: %s, %s %s", c.block, f.Class, d.Verdict, d.Reason)
		}
	}
	if f := one(t, "DO LANGUAGE plpython3u $$ pass $$"); f.Class != "do" {
		t.Errorf("a language that is not read: %s", f.Class)
	}
}

package policy

import (
	"strings"
	"testing"
)

func TestADOBlockDoesWhatItsStatementsDo(t *testing.T) {
	for body, want := range map[string]string{
		"BEGIN DELETE FROM audit; END":                                                                                                   "do; delete audit (missing) by DO",
		"begin truncate audit; end;":                                                                                                     "do; truncate audit by DO",
		"BEGIN UPDATE orders SET note = 'x' WHERE id = 5; END":                                                                           "do; update orders (present) by DO",
		"BEGIN WITH d AS (DELETE FROM t RETURNING 1) INSERT INTO u SELECT 1 FROM d; END":                                                 "do; insert u by DO; delete t (missing) by DO, WITH",
		"DECLARE r record; BEGIN FOR r IN SELECT id FROM audit LOOP DELETE FROM audit WHERE id = r.id; END LOOP; END":                    "do; delete audit (present) by DO",
		"DECLARE c CURSOR FOR SELECT * FROM audit FOR UPDATE; BEGIN FOR r IN c LOOP DELETE FROM audit WHERE CURRENT OF c; END LOOP; END": "do; select_for_update audit (missing) by DO; delete audit (present) by DO",
		"BEGIN DELETE FROM audit; COMMIT; PERFORM 1/0; END":                                                                              "do; delete audit (missing) by DO; commit by DO",
		"BEGIN IF (SELECT count(*) FROM t) > 5 THEN DROP TABLE t; ELSIF purge() THEN NULL; ELSE TRUNCATE u; END IF; END":                 "do; drop_table t by DO; function_call purge() by DO; truncate u by DO",
		"BEGIN CASE x WHEN 1, 2 THEN DELETE FROM a; ELSE DELETE FROM b; END CASE; END":                                                   "do; delete a (missing) by DO; delete b (missing) by DO",
		"<<o>> DECLARE n int := wipe(); m CONSTANT text NOT NULL DEFAULT 'a;b'; BEGIN END o":                                             "do; function_call wipe() by DO",
		"BEGIN BEGIN DELETE FROM a; EXCEPTION WHEN unique_violation OR SQLSTATE '22012' THEN DELETE FROM b; END; END":                    "do; delete a (missing) by DO; delete b (missing) by DO",
		"BEGIN SELECT a INTO STRICT x, y.z FROM t; DELETE FROM t WHERE id = x RETURNING id INTO y; END":                                  "do; delete t (present) by DO",
		"BEGIN FOR i IN REVERSE 10..f(1) BY 2 LOOP x[i] := i; DELETE FROM t WHERE 1 = 1; END LOOP; END":                                  "do; function_call f() by DO; delete t (always true) by DO",
		"BEGIN FOREACH x SLICE 1 IN ARRAY g() LOOP EXIT WHEN x > 5; END LOOP; RETURN; END":                                               "do; function_call g() by DO",
		"BEGIN WHILE f() LOOP x := g(); x = h(); r.a := 1; END LOOP; END":                                                                "do; function_call f() g() h() by DO",
		"BEGIN PERFORM set_config('role', 'bob', false); SET search_path = a; END":                                                       "do; set by DO, set_config; set by DO",
		"BEGIN EXECUTE 'DELETE FROM ' || 'audit'; TRUNCATE t; END":                                                                       "do; delete audit (missing) by DO, EXECUTE; truncate t by DO",
		"BEGIN EXECUTE format('DELETE FROM %I WHERE %I = %L', t, 'id', v); END":                                                          "do; delete ? (present) by DO, EXECUTE",
		"BEGIN EXECUTE format('UPDATE %I.%I SET a = %L', s, 'a b', v) USING 1; END":                                                      "do; update ?.a b (missing) by DO, EXECUTE",
		"BEGIN EXECUTE 'DELETE FROM ' || quote_ident(t); EXECUTE 'DELETE FROM ' || t; END":                                               "do; delete ? (missing) by DO, EXECUTE",
		"BEGIN EXECUTE 'TRUNCATE ' || t; EXECUTE format('DROP TABLE %s CASCADE', t); END":                                                "do; truncate ? by DO, EXECUTE; drop_table ? cascade by DO, EXECUTE",
		"DECLARE q text := 'DELETE FROM a'; BEGIN EXECUTE q INTO n; END":                                                                 "do; delete a (missing) by DO, EXECUTE",
		"DECLARE q text := 'DELETE FROM a'; BEGIN q := q || x; EXECUTE q; END":                                                           "do",
		"BEGIN RAISE NOTICE 'DELETE FROM t; %', 5; /* DELETE FROM t; */ -- DELETE FROM t;\n NULL; END":                                   "do",
		"BEGIN DELETE FROM t; what is this? END":                                                                                         "do; delete t (missing) by DO",
		"BEGIN DO 'BEGIN DELETE FROM t; END'; END":                                                                                       "do; do by DO",
		"BEGIN OPEN c FOR DELETE FROM t RETURNING 1; END":                                                                                "do; delete t (missing) by DO",
	} {
		f := one(t, "DO $body$ "+body+" $body$")
		if got := strings.Replace(told(f), "do_plain", "do", 1); got != want { // see do_test.go
			t.Errorf("%s\n%s, want\n%s", body, got, want)
		}
		if f.ReadOnly() || f.Class != "do" && f.Class != "do_plain" {
			t.Errorf("%s: taken for a read", body)
		}
	}
	for _, sql := range []string{"DO LANGUAGE plpgsql 'BEGIN UPDATE orders SET total = 0; END'", "DO 'BEGIN UPDATE orders SET total = 0; END'"} {
		if got := told(one(t, sql)); got != "do_plain; update orders (missing) by DO" {
			t.Errorf("%s: %s", sql, got)
		}
	}
	if got := told(one(t, "DO LANGUAGE plpython3u 'BEGIN DELETE FROM t; END'")); got != "do" {
		t.Errorf("another language: %s", got)
	}
}

func TestABodySaysWhatACallDoes(t *testing.T) {
	const opaque = "function_call f() by function f"
	for _, c := range [][3]string{
		{"sql", "DELETE FROM audit", "delete audit (missing) by function f"},
		{"sql", "SELECT 1; UPDATE t SET a = $1 WHERE id = $2;", "update t (present) by function f"},
		{"sql", "SELECT count(*) FROM t WHERE a = name", "select by function f"},
		{"sql", "", "select by function f"},
		{"sql", "BEGIN ATOMIC\n DELETE FROM t;\n SELECT wipe();\nEND", "delete t (missing) by function f; function_call wipe() by function f"},
		{"sql", "RETURN wipe(5)", "function_call wipe() by function f"},
		{"sql", "RETURN lower(a)", "select by function f"},
		{"sql", "SELEC 1", opaque},
		{"sql", "EXECUTE p", "execute by function f; function_call EXECUTE() by function f"},
		{"plpgsql", "BEGIN RETURN (SELECT count(*) FROM t); END", "select by function f"},
		{"plpgsql", "BEGIN NEW.changed := now(); RETURN NEW; END", "select by function f"},
		{"plpgsql", "BEGIN IF TG_OP = 'DELETE' THEN INSERT INTO log VALUES (OLD.id); END IF; RETURN NULL; END;", "insert log by function f"},
		{"plpgsql", "BEGIN RETURN QUERY DELETE FROM t RETURNING id; END", "delete t (missing) by function f"},
		{"plpgsql", "BEGIN RETURN QUERY EXECUTE q; END", opaque},
		{"plpgsql", "BEGIN EXECUTE q USING x; END", opaque},
		{"plpgsql", "BEGIN FOR r IN EXECUTE q LOOP NULL; END LOOP; END", opaque},
		{"plpgsql", "BEGIN OPEN c FOR EXECUTE q; END", opaque},
		{"plpgsql", "BEGIN EXECUTE 'SELECT 1'; FOR r IN EXECUTE format('SELECT * FROM %I', t) LOOP NULL; END LOOP; END", "select by function f"},
		{"plpgsql", "BEGIN OPEN c FOR EXECUTE 'DELETE FROM t'; END", "delete t (missing) by function f, EXECUTE"},
		{"plpgsql", "BEGIN DELETE FROM t; EXECUTE q; END", "delete t (missing) by function f; " + opaque},
		{"plpgsql", "BEGIN RAISE NOTICE '%', wipe(); END", opaque},
		{"plpgsql", "BEGIN a[wipe()] := 1; END", opaque},
		{"plpgsql", "DECLARE x wipe(1); BEGIN END", opaque},
		{"plpgsql", "#variable_conflict use_variable\nBEGIN END", opaque},
		{"plpgsql", "BEGIN x := 'a\\'; DELETE FROM t; --'; END", opaque},
		{"plpgsql", "BEGIN x := 'a; END", opaque},
		{"plpgsql", "BEGIN SELECT 1; SELECT (1; 2); END", opaque},
		{"plpgsql", "BEGIN FOR r IN c(wipe()) LOOP NULL; END LOOP; END", opaque},
		{"plpgsql", "BEGIN GET DIAGNOSTICS n = ROW_COUNT; CLOSE c; FETCH NEXT FROM c INTO x; EXIT; END", "select by function f"},
		{"plpgsql", "BEGIN " + strings.Repeat("NULL; ", maxBody/6) + "END", opaque},
		{"c", "wipe", opaque}, {"internal", "lower", opaque}, {"plpython3u", "pass", opaque}, {"", "", opaque},
	} {
		if got := told(NewReader().BodyFacts("f", c[0], c[1])); got != c[2] {
			t.Errorf("%s %.100s\n%s, want\n%s", c[0], c[1], got, c[2])
		}
	}
}

// The $n of a function are not those of the statement that calls it.
func TestValuesAreNotGivenToTheBodyOfAFunction(t *testing.T) {
	f := NewReader().BodyFacts("f", "sql", "DELETE FROM t WHERE $1; SELECT set_config('role', $1, false), pg_terminate_backend($1)")
	if f.TakesParameters() {
		t.Error("a body takes the parameters of the statement")
	}
}

func FuzzBody(f *testing.F) {
	f.Add("DECLARE x int := 5; c CURSOR (a int) FOR SELECT 1; BEGIN FOR i IN 1..2 LOOP DELETE FROM t WHERE id = i; END LOOP; END")
	f.Add("BEGIN SELECT a INTO STRICT x, y.z FROM t; EXCEPTION WHEN OTHERS THEN RAISE; END")
	f.Add("BEGIN ATOMIC DELETE FROM t; SELECT f(); END")
	f.Add("<<a>> BEGIN CASE x WHEN 1 THEN RETURN NEXT 1; END CASE; a[1] := 2; OPEN c FOR EXECUTE q; END a;")
	f.Fuzz(func(t *testing.T, body string) {
		for _, language := range []string{"plpgsql", "sql"} {
			if facts := NewReader().BodyFacts("f", language, body); len(facts.Actions) == 0 {
				t.Errorf("%s %q: no actions", language, body)
			}
		}
	})
}

package policy

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestAShapeLeavesOutPlainConstantsOnly(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT 42":                          "SELECT 0",
		"SELECT 1.50, .5, -3":                "SELECT 0.0, .0, -0",
		"SELECT 'abc', ''":                   "SELECT '', ''",
		"SELECT 'it''s; DELETE'":             "SELECT ''",
		"SELECT 'a'\n'b'":                    "SELECT ''\n''",
		"SELECT a1, t2.b3, $1, x$5":          "SELECT a1, t2.b3, $1, x$5",
		"SELECT 1e5, 0x1F, 1_000":            "SELECT 1e5, 0x1F, 1_000",
		"SELECT \"a 1 '\", 'b'":              "SELECT \"a 1 '\", ''",
		"SELECT 1 -- it's 5\n, 6":            "SELECT 0 -- it's 5\n, 0",
		"SELECT /* it's 5 */ 6":              "SELECT /* it's 5 */ 0",
		"SELECT 'ü', ü1":                     "SELECT '', ü1",
		"SELECT a-1, b- -1":                  "SELECT a-0, b- -0",
		"SELECT a/2":                         "SELECT a/0",
		"SELECT * FROM t WHERE a=5AND b='x'": "SELECT * FROM t WHERE a=5AND b=''",
	} {
		if got, ok := shape(nil, text, nil); !ok || string(got) != want {
			t.Errorf("%s: %q %v, want %q", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"SELECT E'a'", "SELECT n'a'", "SELECT x'1F'", "SELECT U&'a'", "SELECT 'a\\b'", "SELECT $$a$$", "SELECT $a$ 1 $a$",
		"SELECT 'a", "SELECT \"a", "SELECT /* /* */ 1 */ 2", "SELECT /* 1", "SELECT '\x00'", "SELECT \\", "SELECT 1\x00",
	} {
		if got, ok := shape(nil, text, nil); ok {
			t.Errorf("%q has the shape %q", text, got)
		}
	}
}

func TestWhatIsKept(t *testing.T) {
	for text, want := range map[string]caching{
		"SELECT a FROM t WHERE b = 5":       byShape,
		"VALUES (1)":                        byShape,
		"SELECT 1; SELECT 2":                byShape,
		"BEGIN":                             byText,
		"ROLLBACK TO a":                     byText,
		"SHOW a":                            byText,
		"EXPLAIN (ANALYZE 0) DELETE FROM t": byText,
		"COPY t TO STDOUT":                  byText,
		"SELECT 1; COMMIT":                  byText,
		"SELECT f()":                        byNothing,
		"SELECT 1 FOR UPDATE":               byNothing,
		"SELECT set_config('a', 'b', true)": byNothing,
		"SELECT pg_cancel_backend(1)":       byNothing,
		"SET a = 1":                         byNothing,
		"DELETE FROM t WHERE id = 5":        byNothing,
		"INSERT INTO t VALUES (1)":          byNothing,
		"PREPARE p AS SELECT 1":             byNothing,
		"EXECUTE p":                         byNothing,
		"DEALLOCATE p":                      byNothing,
		"SELECT 1; DELETE FROM t":           byNothing,
		"SELECT 1 FORM t":                   byNothing,
	} {
		if got := cachable(NewReader().Read(text, usual)); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

// The second time the answer is the same, also for another text of the shape
// that does something else.
func TestWhatIsKeptAnswersOnlyForItsLike(t *testing.T) {
	r := NewReader()
	for range 3 {
		for _, c := range [][2]string{
			{"EXPLAIN (ANALYZE 0) DELETE FROM t", "explain"},
			{"EXPLAIN (ANALYZE 1) DELETE FROM t", "explain; delete t (missing) by EXPLAIN ANALYZE"},
			{"SELECT 'a', 1", "select"},
			{"SELECT 'a''b', 23", "select"},
			{"SELECT pg_sleep(1), f('a')", "select; function_call f()"},
			{"DELETE FROM t WHERE a = 1", "delete t (present)"},
			{"DELETE FROM t WHERE 1 = 1", "delete t (always true)"},
			{"FETCH 1 FROM a", "fetch"},
			{"BEGIN", "begin"},
		} {
			if f := r.Read(c[0], usual); len(f) != 1 || told(f[0]) != c[1] {
				t.Errorf("%s: %s", c[0], told(f[0]))
			}
		}
	}
}

func TestTextIsLeftOutOfReadsThatDifferInConstants(t *testing.T) {
	r := NewReader()
	for text, want := range map[string]string{
		"SELECT a FROM t":             "SELECT a FROM t",
		"SELECT a FROM t WHERE b = 5": "",
		"EXPLAIN SELECT 5":            "EXPLAIN SELECT 5",
		"DELETE FROM t WHERE b = 5":   "DELETE FROM t WHERE b = 5",
		"SELECT f(5)":                 "SELECT f(5)",
	} {
		for range 2 {
			if got := r.Read(text, usual)[0].Text; got != want {
				t.Errorf("%s has the text %q, want %q", text, got, want)
			}
		}
	}
}

// pieces are what FuzzShape begins with.
var pieces = []string{
	"SELECT", "a", "b1", "t.c2", "'", "''", "'x'", "E'", "'\\'", "\\", "U&'a'", "x'1'", "\"", "\"q 1\"", "$1", "$$", "$a$", "a$", "1",
	"42", ".", "1.5", "e5", "0x", "_", "--", "\n", "/*", "*/", "*", "/", "-", "+", "(", ")", ",", " ", " ", ";", "FROM t", "WHERE", "=",
	"DELETE FROM t", "f(", "pg_sleep(1)", "EXPLAIN (ANALYZE 1)", "LIMIT 5", "::numeric(3, 2)", "INTERVAL '1' DAY", "AND", "BEGIN", "ü",
}

// items and tails are parts of a SELECT, with constants of every kind in them.
var (
	items = []string{
		"1", "'a'", "'it''s'", "a1", "1.5", "-3", ".5", "1e5", "0x1F", "E'a\\'b'", "x'1F'", "U&'a'", "$1", "$$a 1$$", "$a$'$a$",
		"t.c2 + 5", "a-1", "\"q 1'\"", "/* 'x 1 */ 2", "-- 'x 1\n 3", "'a'\n'b'", "'a' -- x\n'b'", "f(1)", "pg_sleep(2)", "lower('X')",
		"CASE 1 WHEN 2 THEN 'x' END", "'5'::numeric(3, 2)", "INTERVAL '1' DAY", "date '2026-01-01'", "ARRAY[1, 2]", "a LIKE '%'", "N'a'",
		"a$1", "setval('s', 1)", "query_to_xml('SELECT 1', true, true, '')", "(SELECT 1 FROM u FOR UPDATE)", "ü1", "'ü'", "a/2", "'\\'",
	}
	tails = []string{"", "FROM t", "FROM t WHERE a = 5", "WHERE 1 = 1 LIMIT 5", "ORDER BY 1", "FROM t FOR UPDATE", "; SELECT 2", "; BEGIN",
		"; DELETE FROM t WHERE 1 = 1", "UNION SELECT 'x'", "--", "FROM generate_series(1, 5)"}
)

// TestTextsOfOneShapeHaveTheSameFacts: whatever text the facts were read from
// first, a text of the same shape has them, too.
func TestTextsOfOneShapeHaveTheSameFacts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := "SELECT " + strings.Join(rapid.SliceOfN(rapid.SampledFrom(items), 1, 4).Draw(t, "items"), ", ") +
			" " + rapid.SampledFrom(tails).Draw(t, "tail")
		key, ok := shape(nil, text, nil)
		if !ok {
			return
		}
		if again, ok := shape(nil, string(key), nil); !ok || string(again) != string(key) {
			t.Fatalf("the shape of %q, %q, has the shape %q", text, key, again)
		}
		facts := NewReader().Read(text, usual)
		if cachable(facts) != byShape {
			return
		}
		for i, f := range NewReader().Read(string(key), usual) {
			g := *facts[i]
			g.Text = f.Text
			if !reflect.DeepEqual(*f, g) {
				t.Fatalf("%q: %s\n%q: %s", text, told(&g), key, told(f))
			}
		}
		r := NewReader()
		r.Read(string(key), usual)
		if f := r.Read(text, usual); len(f) != len(facts) {
			t.Fatalf("%q: %d statements from the cache, %d without", text, len(f), len(facts))
		}
	})
}

func FuzzShape(f *testing.F) {
	for _, p := range pieces {
		f.Add("SELECT " + p + " FROM t")
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, ok := shape(nil, text, nil)
		if !ok {
			return
		}
		a, b := NewReader().Read(text, usual), NewReader().Read(string(key), usual)
		if cachable(a) != byShape {
			return
		}
		if len(a) != len(b) {
			t.Fatalf("%q: %d statements; %q: %d", text, len(a), key, len(b))
		}
		for i := range a {
			if told(a[i]) != told(b[i]) {
				t.Errorf("%q: %s\n%q: %s", text, told(a[i]), key, told(b[i]))
			}
		}
	})
}

func TestTheCacheIsBoundedAndSharedSafely(t *testing.T) {
	r := NewReader()
	facts := r.Read("SELECT 1", usual)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 20_000 {
				text := fmt.Sprintf("SELECT a%d_%d", worker%2, i)
				r.cache.put(text, cached{facts: facts})
				if i%16 == 0 {
					r.Read(text, usual)
				}
			}
		})
	}
	all.Wait()
	held := 0
	for i := range r.cache.shards {
		s := &r.cache.shards[i]
		for _, m := range []map[string]cached{s.young, s.old} {
			for key := range m {
				held += len(key) + 2*factsSize
			}
		}
	}
	if limit := 2 * shards * (generation + 2*factsSize + 64); held > limit || held == 0 {
		t.Errorf("the cache holds %d bytes, its limit is %d", held, limit)
	}
}

const join = `SELECT o.id, o.total, u.email, a.name, i.sku, i.qty
FROM orders o
JOIN users u ON u.id = o.user_id
JOIN accounts a ON a.id = u.account_id
LEFT JOIN order_items oi ON oi.order_id = o.id
LEFT JOIN inventory i ON i.sku = oi.sku
WHERE o.created_at >= '2026-01-01' AND o.created_at < '2026-02-01'
  AND a.region = 'eu' AND NOT o.is_deleted AND o.total BETWEEN 10 AND 500
GROUP BY o.id, u.email, a.name, i.sku, i.qty HAVING count(*) > 1
ORDER BY o.created_at DESC LIMIT 50`

func BenchmarkReadCached(b *testing.B) {
	for name, text := range map[string]string{"short": "SELECT abalance FROM accounts WHERE id = 42", "join": join} {
		b.Run(name, func(b *testing.B) {
			r := NewReader()
			r.Read(text, usual)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r.Read(text, usual)
				}
			})
		})
	}
}

func BenchmarkReadParsed(b *testing.B) {
	for name, text := range map[string]string{
		"short": "SELECT abalance FROM accounts WHERE id = 42", "join": join,
		"delete": "DELETE FROM accounts WHERE email LIKE '%@test%' OR email NOT LIKE '%@test%'",
		"insert": "INSERT INTO t VALUES (1, 'a', now())" + strings.Repeat(", (1, 'a', now())", 999),
	} {
		b.Run(name, func(b *testing.B) {
			r := NewReader()
			b.ReportAllocs()
			for b.Loop() {
				r.parse(text)
			}
		})
	}
}

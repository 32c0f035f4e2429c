package policy

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRowsOfConstantsAreLeftOut(t *testing.T) {
	long := strings.Repeat(" ", bulkText)
	for text, want := range map[string]string{
		"INSERT INTO t VALUES (1), (2), (3)":                                                                                     "INSERT INTO t VALUES (1)",
		"insert into s.t (a, \"b c\") overriding user value values (1,'a'),\n(2,'b'); ":                                          "insert into s.t (a, \"b c\") overriding user value values (1,'a'); ",
		"INSERT INTO t VALUES (-1.5, .5, 1e5, NULL), (2., 2, 'it''s', default) ON CONFLICT (id) DO UPDATE SET a = f(1), b = '('": "INSERT INTO t VALUES (-1.5, .5, 1e5, NULL) ON CONFLICT (id) DO UPDATE SET a = f(1), b = '('",
		"BEGIN; INSERT INTO t VALUES (1), (2); INSERT INTO u VALUES (TRUE), (FALSE) RETURNING id; COMMIT":                        "BEGIN; INSERT INTO t VALUES (1); INSERT INTO u VALUES (TRUE) RETURNING id; COMMIT",
		"INSERT INTO t VALUES (1), (2), (now()), (3)":                                                                            "INSERT INTO t VALUES (1), (now()), (3)",
		"INSERT INTO t VALUES (1), (2, 3), (4)":                                                                                  "INSERT INTO t VALUES (1), (2, 3), (4)",
	} {
		if short, _ := collapse(text + long); short != want+long {
			t.Errorf("%s\n%s, want\n%s", text, strings.TrimSpace(short), want)
		}
	}
	for _, text := range []string{
		"INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (f(1)), (2), (3)", "INSERT INTO t VALUES (1, 2), (3)",
		"INSERT INTO t VALUES ('a'\n'b'), ('c')", "INSERT INTO t VALUES (E'a'), (E'b')", "INSERT INTO t VALUES (1), ('a\\')",
		"INSERT INTO t VALUES (1), (2::int)", "INSERT INTO t VALUES (1), (0x1F)", "INSERT INTO t VALUES (1), (1_000)", "INSERT INTO t VALUES (1), (2 -- (3)\n)",
		"INSERT INTO t VALUES (1), /* (2), */ (3)", "INSERT INTO t VALUES (1), (--2)", "INSERT INTO t VALUES (1), (+2)", "INSERT INTO t VALUES (1), ($1)",
		"INSERT INTO t VALUES (1), ('a", "INSERT INTO t VALUES (1), (", "INSERT INTO t VALUES (1), ('a\x00')", "INSERT INTO t VALUES (1), (nulls)",
		"INSERT INTO \"a\"\"b\" VALUES (1), (2)", "INSERT INTO t (a[1]) VALUES (1), (2)", "INSERT INTO t SELECT * FROM (VALUES (1), (2)) x",
		"SELECT ';INSERT INTO t VALUES (1), (2)'", "SELECT $$;INSERT INTO t VALUES (1), (2)$$", "/*;INSERT INTO t VALUES (1), (2);*/", "VALUES (1), (2)",
		"INSERT INTO t VALUES (1), (2 3)", "INSERT INTO t VALUES (), ()", "INSERT INTO t VALUES (1), (2)e",
	}[:] {
		short, cuts := collapse(text + long)
		if text == "INSERT INTO t VALUES (1), (2)e" { // an error that stays one
			if !strings.HasPrefix(short, "INSERT INTO t VALUES (1)e ") {
				t.Errorf("%s: %s", text, short)
			}
			continue
		}
		if cuts != nil || short != text+long {
			t.Errorf("%s: %s", text, strings.TrimSpace(short))
		}
	}
}

// bulkPieces are what texts of bulk are drawn from: rows, and what surrounds them.
var (
	bulkRows = []string{
		"(1, 'a')", "(-2.5, 'it''s')", "(NULL, DEFAULT)", "( true ,'(),;' )", "(1e5, '')", "(.5,\n'b')", "('ü', 3)", "(1)", "(1, 2, 3)", "(now(), 'a')",
		"(f(1), 2)", "('a' 'b', 1)", "('a'\n'b', 1)", "(E'\\'', 1)", "(1, 2", "1, 2)", "($1, $2)", "(1, $$a$$)", "(--1\n, 2)", "(1, /*'*/ 2)", "(0x1F, 1)",
		"(1::int, 2)", "((SELECT 1), 2)", "(1, '\\')", "(- 1, 2)", "(1a, 2)", "(nextval('s'), setval('s', 1))", "()", "(1,)",
	}
	bulkHeads = []string{
		"INSERT INTO t VALUES ", "insert into s.t (a, \"b\") values ", "INSERT INTO t AS x (a) VALUES", "INSERT INTO t OVERRIDING SYSTEM VALUE VALUES\n",
		"BEGIN; INSERT INTO t VALUES ", "DELETE FROM t; INSERT INTO t VALUES ", "DELETE FROM t WHERE a = 'b'; INSERT INTO t VALUES ", "VALUES ", "WITH a AS (SELECT 1) INSERT INTO t VALUES ",
		"EXPLAIN ANALYZE INSERT INTO t VALUES ", "SELECT * FROM (VALUES ", "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; INSERT INTO t VALUES ", "INSERT INTO t(a,b)VALUES",
		"PREPARE p AS INSERT INTO t VALUES ", "CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; INSERT INTO u VALUES ",
	}
	bulkTails = []string{
		"", ";", " ON CONFLICT DO NOTHING", " ON CONFLICT (a) DO UPDATE SET a = f(1) WHERE t.b = '5'", " RETURNING id", "; DELETE FROM t", " RETURNING g(1); SELECT 1;",
		"; END", ") x (a, b)", "; SELECT 'a", " -- (3)", "; INSERT INTO u VALUES (1), (2), (3); INSERT INTO v VALUES (1), (2)", ", (9, 9)", ")",
	}
)

// TestRowsThatAreLeftOutChangeNoFact reads texts with and without leaving rows
// out.
func TestRowsThatAreLeftOutChangeNoFact(t *testing.T) {
	collapsed := 0
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(bulkRows[:7]), rapid.SampledFrom(bulkRows[:7]), rapid.SampledFrom(bulkRows)), 1, 8).Draw(t, "rows")
		text := rapid.SampledFrom(bulkHeads).Draw(t, "head") + strings.Join(rows, rapid.SampledFrom([]string{",", ", ", ",\n "}).Draw(t, "comma")) +
			rapid.SampledFrom(bulkTails).Draw(t, "tail") + strings.Repeat(" ", bulkText)
		if sameFacts(t, text) {
			collapsed++
		}
	})
	if collapsed == 0 {
		t.Error("nothing was left out of anything")
	}
}

// sameFacts holds the facts of what is left of a text against those of all of it,
// and says whether anything was left out.
func sameFacts(t interface{ Fatalf(string, ...any) }, text string) bool {
	short, cuts := collapse(text)
	if cuts == nil {
		return false
	}
	r := NewReader()
	whole, _ := r.parseShort(text, text, nil)
	part, _ := r.parseShort(text, short, cuts)
	if len(whole) != len(part) {
		t.Fatalf("%q: %d statements, %d without rows", text, len(whole), len(part))
	}
	for i := range whole {
		a, b := plainFacts(whole[i]), plainFacts(part[i])
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("%q\n%+v\n%+v", text, a, b)
		}
	}
	return true
}

// plainFacts is all that others can see of facts.
func plainFacts(f *Facts) Facts {
	g := *f
	g.arguments = nil
	g.Actions = append([]Action(nil), f.Actions...)
	for i := range g.Actions {
		g.Actions[i].judged, g.Actions[i].call, g.Actions[i].given = nil, nil, given{}
	}
	if f.Prepared != nil {
		p := plainFacts(f.Prepared)
		g.Prepared = &p
	}
	return g
}

func FuzzBulk(f *testing.F) {
	for _, head := range bulkHeads {
		f.Add(head + "(1, 'a'), (2, 'b')" + bulkTails[len(head)%len(bulkTails)])
	}
	f.Fuzz(func(t *testing.T, text string) { sameFacts(t, text+strings.Repeat(" ", bulkText)) })
}

// insertRows makes an INSERT of about that many bytes.
func insertRows(size int) string {
	var b strings.Builder
	b.WriteString("INSERT INTO orders (id, user_id, status, total, note, created_at) VALUES\n")
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, "(%d, %d, 'new', %d.50, 'it''s order %d', '2026-01-01 12:00:00')", i, i%1000, i%500, i)
	}
	return b.String()
}

func TestBulkIsReadUpToItsOwnBound(t *testing.T) {
	text := insertRows(maxBulk - 200)
	if f := NewReader().Read(text, usual)[0]; told(f) != "insert orders" || f.Text != text {
		t.Errorf("%d bytes: %s %s", len(text), told(f), f.Problem)
	}
	if f := NewReader().Read(text+strings.Repeat(" ", 200), usual)[0]; f.Class != ClassUnparsed {
		t.Errorf("%d bytes: %s", len(text)+200, told(f))
	}
	text = strings.Replace(text, "(1,", "(now(),", 1)
	if f := NewReader().Read(text, usual)[0]; f.Class != ClassUnparsed {
		t.Errorf("%d bytes for the parser: %s", len(text), told(f))
	}
}

func BenchmarkBulk(b *testing.B) {
	rows := "INSERT INTO t VALUES (1, 'a', 'b c d', NULL, 4.5)" + strings.Repeat(",\n(1, 'a', 'b c d', NULL, 4.5)", 999)
	for name, text := range map[string]string{
		"rows=1000":        rows,
		"size=10MB":        insertRows(10 << 20),
		"size=10MB_text":   "INSERT INTO t VALUES ('" + strings.Repeat("0123456789abcdef", 10<<16) + "')",
		"statements=10000": strings.Repeat("INSERT INTO t (a, b, c) VALUES (1, 'a', 'b c d');\n", 10_000),
	} {
		b.Run(name, func(b *testing.B) {
			r := NewReader()
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if f := r.Read(text, usual); f[0].Class != classInsert {
					b.Fatal(f[0].Problem)
				}
			}
		})
	}
}

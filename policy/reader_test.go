package policy

import (
	"strings"
	"testing"
	"testing/synctest"
)

func TestTextIsJudgedOnlyAsTheServerReadsIt(t *testing.T) {
	const (
		ascii     = "SELECT 'a'"
		backslash = `SELECT 'a\''; DELETE FROM t; --'`
		accented  = "SELECT 'ü'"
		latin1    = "SELECT '\xfc'"
	)
	for _, c := range []struct {
		name string
		lex  Lexing
		fit  []string // the others are unparsed
	}{
		{"UTF-8", usual, []string{ascii, backslash, accented}},
		{"SQL_ASCII", Lexing{"SQL_ASCII", true, true}, []string{ascii, backslash, accented}},
		{"a single-byte encoding", Lexing{"LATIN1", true, true}, []string{ascii, backslash, accented, latin1}},
		{"SJIS", Lexing{"SJIS", true, true}, []string{ascii, backslash, accented}}, // 0xfc and a quote are no character
		{"BIG5", Lexing{"BIG5", true, true}, []string{ascii, backslash, accented}},
		{"an encoding without a table here", Lexing{"JOHAB", true, true}, []string{ascii, backslash}},
		{"an encoding that nobody named", Lexing{"", true, true}, nil},
		{"standard_conforming_strings off", Lexing{"UTF8", false, true}, []string{ascii, accented}},
		{"both off", Lexing{"LATIN1", false, true}, []string{ascii, accented, latin1}},
		{"a SET that is unanswered", Lexing{"UTF8", true, false}, []string{ascii}},
		{"nothing known", Lexing{}, []string{ascii}},
	} {
		for _, text := range []string{ascii, backslash, accented, latin1} {
			want := ClassUnparsed
			for _, f := range c.fit {
				if f == text {
					want = classSelect
				}
			}
			r := NewReader()
			r.Read(text, usual) // what is cached must not count
			if f := r.Read(text, c.lex)[0]; f.Class != want || want == ClassUnparsed && f.Problem == "" {
				t.Errorf("%s: %q is %s, want %s", c.name, text, f.Class, want)
			}
		}
	}
}

func TestAZeroByteIsNeverReadOver(t *testing.T) {
	r := NewReader()
	r.Read("SELECT ''", usual)
	for _, text := range []string{"SELECT '\x00'", "SELECT 1\x00; DELETE FROM t", "\x00", "-- \x00"} {
		if f := r.Read(text, usual); len(f) != 1 || f[0].Class != ClassUnparsed {
			t.Errorf("%q is read", text)
		}
	}
}

func TestTextThatTheGrammarDoesNotKnow(t *testing.T) {
	for _, sql := range []string{
		"SELEC 1",
		"SELECT FROM WHERE",
		"SELECT * FRM orders WHERE id = 5",
		"WHERE id IN (1, 2, 3)",
		"SELECT a, count(*) FROM t GROUP BY ALL",
		"SELECT first_value(a) IGNORE NULLS OVER (ORDER BY b) FROM t",
		"SELECT * FROM GRAPH_TABLE (g MATCH (a) COLUMNS (a.id))",
		"SELECT * FROM t WHERE a = 'DELETE FROM t' AND",
		`SELECT "delete" FROM "update" FORM t`,
		"SELECT t.delete, t.update FORM t",
		"SELECT 1 -- delete\n FORM t",
		"SELECT lower(a), pg_catalog.now() FORM t",
		"SELECT 'abc",
		"SELECT 1 FORM t; SELECT 2",
	} {
		if f := one(t, sql); f.Class != ClassUnparsedRead || !f.ReadOnly() || f.Problem == "" {
			t.Errorf("%s: %s %s", sql, told(f), f.Problem)
		}
	}
	for _, sql := range []string{
		"DELETE FROM t WHERE id = 1 RETURNING WITH (OLD AS o) o.id",
		"WITH d AS (DELETE FROM t RETURNING WITH (OLD AS o) o.id) SELECT 1",
		"UPDATE t FOR PORTION OF p FROM 1 TO 2 SET a = 1",
		"EXPLAIN (NEW, ANALYZE) DELETE FROM t WHERE",
		"REPACK t",
		"SELECT a INTO b FROM t GROUP BY ALL",
		"SELECT purge() FORM t",
		"SELECT shop.lower(a) FORM t",
		`SELECT "Purge"(a) FORM t`,
		"SELECT pg_terminate_backend(1) FORM t",
		"SELECT a ==== b FORM t",
		"SELECT 1; DELET FROM t; DROP TABLE t",
		"SELECT 'abc; DELETE FROM t",
		"SELECT /* DELETE FROM t",
		"SELECT $a$ purge()",
		"DELETE FROM\u00a0audit",
	} {
		if f := one(t, sql); f.Class != ClassUnparsed || f.ReadOnly() || f.Problem == "" {
			t.Errorf("%s: %s %s", sql, told(f), f.Problem)
		}
	}
}

// The server reads E” and what follows the comment as one string, in which \' does
// not end it; the parser would read two.
func TestAStringThatGoesOnBehindACommentIsNotJudged(t *testing.T) {
	for _, sql := range []string{
		"SELECT E'' --x\n'\\''; DELETE FROM t; --'",
		"SELECT E''\n--x\n'\\''; DELETE FROM t; --'",
		"SELECT E'' --x\n\n --y\r  '\\''; DELETE FROM t; --'",
		"SELECT GROUP BY E'' --x\n'\\''; DELETE FROM t; --'",
		"DO E'' --x\n'\\' ; SELECT " + strings.Repeat("1+", 30_000) + "1; --'",
		"DO E''\n--x\n'\\' ; SELECT " + strings.Repeat("1+", 30_000) + "1; --'",
		"SELECT 'a' --x\n'b'",
	} {
		if f := one(t, sql); f.Class != ClassUnparsed {
			t.Errorf("%.80s: %s", sql, told(f))
		}
	}
	for _, sql := range []string{"SELECT 'a'\n'b'", "SELECT 'a' --x\n, 'b'", "SELECT 'a' /* x */, 'b'", "SELECT 'a' -- 'b'"} {
		if f := one(t, sql); f.Class != classSelect {
			t.Errorf("%s: %s", sql, told(f))
		}
	}
}

// A problem is shown to people and written to logs.
func TestAProblemQuotesNothing(t *testing.T) {
	for _, sql := range []string{"DELETE FROM t WHERE secret SECRET 'secret'", "SELEC 'secret'", "DELETE 'secret"} {
		if f := one(t, sql); strings.Contains(strings.ToLower(f.Problem), "secret") {
			t.Errorf("%s: %s", sql, f.Problem)
		}
	}
}

func TestWhatIsNotKnownIsNoRead(t *testing.T) {
	if f := UnknownStatement("p"); f.Class != ClassUnknown || f.ReadOnly() || f.Problem == "" {
		t.Errorf("an unknown statement is %s", told(f))
	}
	for oid, want := range map[uint32]Class{
		952: "large_object_read", 955: "large_object_write", 964: "large_object_drop", 957: "large_object_create",
		765: "server_function", 0: ClassUnknown, 16384: ClassUnknown, 1574: ClassUnknown,
	} {
		if f := FunctionCall(oid); f.Actions[0].Class != want || f.ReadOnly() != want.In("read") {
			t.Errorf("the call of %d is %s", oid, told(f))
		}
	}
}

// Several statements of one message fail together if one does not parse.
func TestOneBadStatementMakesTheMessageUnparsed(t *testing.T) {
	all := NewReader().Read("SELECT 1; DELETE FROM t WHERE x IS WHAT", usual)
	if len(all) != 1 || all[0].Class != ClassUnparsed {
		t.Errorf("%d statements, the first is %s", len(all), all[0].Class)
	}
}

func TestTwoLargeTextsAreReadAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReader()
		r.large <- struct{}{}
		r.large <- struct{}{}
		read := false
		go func() {
			r.Read("SELECT '"+strings.Repeat("a", largeText)+"'", usual)
			read = true
		}()
		synctest.Wait()
		if read {
			t.Error("a third large text was read beside two others")
		}
		r.Read("SELECT 1", usual) // small ones do not wait
		<-r.large
		synctest.Wait()
		if !read {
			t.Error("a large text was not read once there was room")
		}
	})
}

func FuzzRead(f *testing.F) {
	for _, sql := range []string{
		"SELECT 1", "DELETE FROM t WHERE a LIKE '%' OR b", "/* /* */ x */ SELECT E'\\'' || $a$ x $a$ || U&'\\0061'",
		"MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE", "ALTER TABLE t ADD a int DEFAULT f(), DROP b",
		"EXPLAIN (ANALYZE 0) EXECUTE p(1)", "SELECT CASE WHEN 1 = ANY (ARRAY[1]) THEN (1, 2) = (1, 2) END",
		"SET a.b = 'c', 1", "SELECT set_config('a', 'b', true), pg_cancel_backend(-1)", "COPY t FROM STDIN; BEGIN",
		"GRANT a TO b; REVOKE ALL ON t FROM PUBLIC; DROP TRIGGER a ON b; DO 'x'", "SELECT 1 FORM 'x", "\x00", "\xff",
	} {
		f.Add(sql, "UTF8", true, true)
	}
	r := NewReader()
	f.Fuzz(func(t *testing.T, text, encoding string, conforming, known bool) {
		for _, lex := range []Lexing{{encoding, conforming, known}, usual} {
			for _, facts := range r.Read(text, lex) {
				if facts.Class == "" || len(facts.Actions) == 0 {
					t.Errorf("%q: facts of nothing", text)
				}
				if bad := facts.Class == ClassUnparsed || facts.Class == ClassUnknown; bad && (facts.Problem == "" || facts.ReadOnly()) {
					t.Errorf("%q: %s %q", text, facts.Class, facts.Problem)
				}
				facts.With(r.Read(text, usual))
			}
		}
	})
}

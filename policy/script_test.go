package policy

import (
	"fmt"
	"strings"
	"testing"
)

// parts writes what a script is cut into: line:column-last line, text, comment.
func parts(text string) []string {
	var all []string
	s := NewScript(text)
	for p, more := s.Next(); more; p, more = s.Next() {
		line := fmt.Sprintf("%d:%d-%d %s", p.Line, p.Column, p.LastLine, p.Text)
		if p.Meta {
			line = "meta " + line
		}
		if p.Comment != "" {
			line += " -- " + p.Comment
		}
		all = append(all, line)
		if strings.Contains(p.Text, "FROM stdin") {
			all = append(all, fmt.Sprintf("data %d", s.SkipCopyData()))
		}
	}
	return all
}

func TestAScriptIsCutAsPsqlCutsIt(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                     nil,
		" ;; -- x\n/* ; /* ; */ */ ;":          nil,
		"SELECT 1; SELECT 2":                   {"1:1-1 SELECT 1", "1:11-1 SELECT 2"},
		"\ufeffSELECT 1":                       {"1:1-1 SELECT 1"},
		"-- head\n\n  SELECT\n1 ; -- why":      {"3:3-4 SELECT\n1  -- why"},
		"SELECT ';', \";\", $$;$$, $a$;$$;$a$": {`1:1-1 SELECT ';', ";", $$;$$, $a$;$$;$a$`},
		"SELECT 'a\\'; SELECT E'a\\';'":        {`1:1-1 SELECT 'a\'`, `1:14-1 SELECT E'a\';'`},
		"SELECT 'it''s;' , \"a\"\";\"":         {`1:1-1 SELECT 'it''s;' , "a"";"`},
		"SELECT 1 /* ; /* */ ; */ + 1; x":      {"1:1-1 SELECT 1 /* ; /* */ ; */ + 1", "1:31-1 x"},
		"SELECT 1 -- ;\n+ 1;":                  {"1:1-2 SELECT 1 -- ;\n+ 1"},
		"CREATE RULE r AS ON INSERT TO a DO (DELETE FROM b; DELETE FROM c); x": {
			"1:1-1 CREATE RULE r AS ON INSERT TO a DO (DELETE FROM b; DELETE FROM c)", "1:68-1 x"},
		"CREATE OR REPLACE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; DELETE FROM a; END; x": {
			"1:1-1 CREATE OR REPLACE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; DELETE FROM a; END", "1:99-1 x"},
		"BEGIN; SELECT 1; END; x":        {"1:1-1 BEGIN", "1:8-1 SELECT 1", "1:18-1 END", "1:23-1 x"},
		"\\set x 1; SELECT 2\nSELECT 3;": {"meta 1:1-1 \\set x 1; SELECT 2", "2:1-2 SELECT 3"},
		"SELECT 1 \\gx\nSELECT 2\\; SELECT 3;": {
			"1:1-1 SELECT 1", "meta 1:10-1 \\gx", "2:1-2 SELECT 2", "2:12-2 SELECT 3"},
		"COPY t FROM stdin;\n1;\n'\n\\.\nSELECT 1;": {"1:1-1 COPY t FROM stdin", "data 2", "5:1-5 SELECT 1"},
		"SELECT 'ü'; SELECT 2;":                     {"1:1-1 SELECT 'ü'", "1:13-1 SELECT 2"},
		"SELECT 1 -- allow":                         {"1:1-1 SELECT 1 -- allow"},
		"SELECT '-- allow'":                         {"1:1-1 SELECT '-- allow'"},
		"SELECT $1, a$b$ FROM t; x":                 {"1:1-1 SELECT $1, a$b$ FROM t", "1:25-1 x"},
		"SELECT 'open; SELECT 2;":                   {"1:1-1 SELECT 'open; SELECT 2;"},
		"SELECT $$open; SELECT 2;":                  {"1:1-1 SELECT $$open; SELECT 2;"},
	} {
		if got := parts(text); strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q\n got %q\nwant %q", text, got, want)
		}
	}
}

// No text of a script is passed over: what is in no part is blank, a comment or
// a semicolon.
func FuzzScript(f *testing.F) {
	f.Add("SELECT 1; -- x\n\\d\nCREATE FUNCTION f() BEGIN ATOMIC SELECT 1; END; /* a */ 'b' $c$")
	f.Add("\\;\\g E'\\'")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.HasPrefix(text, "\ufeff") {
			return
		}
		s := NewScript(text)
		for last := -1; ; {
			before := s.pos
			_, more := s.Next()
			if !more {
				break
			}
			if s.pos <= before || s.pos == last || s.pos > len(text) {
				t.Fatalf("stands still at %d of %q", s.pos, text)
			}
			last = s.pos
			if want := 1 + strings.Count(text[:s.pos], "\n"); s.line != want {
				t.Fatalf("line %d, want %d, in %q", s.line, want, text)
			}
		}
		if s.pos != len(text) {
			t.Fatalf("ends at %d of %q", s.pos, text)
		}
	})
}

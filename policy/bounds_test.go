package policy

import (
	"strings"
	"testing"
)

// around makes text that nests or chains something n times.
var around = []struct {
	name  string
	bound int // the greatest n that is judged
	text  func(n int) string
}{
	{"a sum", maxDepth, chain("SELECT 1", "+1")},
	{"signs", maxDepth, chain("SELECT ", "- ", "1")},
	{"casts", maxDepth, chain("SELECT 1", "::int")},
	{"NOT", maxDepth - 2, chain("SELECT NOT ", "NOT ", "true")},
	{"IS NULL", maxDepth / 2, chain("SELECT 1", " IS NULL")},
	{"COLLATE", maxDepth, chain("SELECT 'a'", ` COLLATE "C"`)},
	{"UNION", maxDepth - 1, chain("SELECT 1", " UNION SELECT 1")},
	{"JOIN", maxDepth - 2, chain("SELECT 1 FROM a", " JOIN b USING (c)")},
	{"brackets", maxNesting - 1, nest("SELECT ", "(", "1", ")")},
	{"sub-selects", maxNesting - 1, nest("SELECT ", "(SELECT ", "1", ")")},
	{"queries in FROM", maxNesting - 1, nest("SELECT * FROM ", "(SELECT * FROM ", "a", ") x")},
	{"calls", maxNesting - 1, nest("SELECT ", "abs(", "1", ")")},
	{"CASE", maxNesting - 1, nest("SELECT ", "CASE WHEN true THEN ", "1", " END")},
	{"arrays", maxNesting - 1, nest("SELECT ", "ARRAY[", "1", "]")},
	{"WITH", maxNesting - 1, nest("", "WITH a AS (", "SELECT 1", ") SELECT 1")},
	{"sums in brackets", maxDepth / 9, nest("SELECT ", "1+1+1+1+1+1+1+1+1-(", "1", ")")},
	{"AND", maxTerms, chain("SELECT true", " AND true")},
	{"OR", maxTerms, chain("SELECT true", " OR true")},
	{"comments", maxComments, func(n int) string {
		return "SELECT " + strings.Repeat("/*", n) + strings.Repeat("*/", n) + " 1"
	}},
	{"size", maxText - len("SELECT ''"), func(n int) string { return "SELECT '" + strings.Repeat("a", n) + "'" }},
}

func chain(start, link string, end ...string) func(int) string {
	return func(n int) string { return start + strings.Repeat(link, n) + strings.Join(end, "") }
}

func nest(start, open, middle, shut string) func(int) string {
	return func(n int) string { return start + strings.Repeat(open, n) + middle + strings.Repeat(shut, n) }
}

func TestTextIsJudgedUpToABoundAndNeverParsedAboveIt(t *testing.T) {
	r := NewReader()
	for _, c := range around {
		n := c.bound
		if p := outOfBounds(c.text(n)); p != "" {
			t.Errorf("%s, %d times: %s", c.name, n, p)
		} else if f := r.Read(c.text(n), usual)[0]; f.Class == ClassUnparsed {
			t.Errorf("%s, %d times: %s", c.name, n, f.Problem)
		}
		if f := r.Read(c.text(n+1), usual)[0]; f.Class != ClassUnparsed || f.Problem == "" || f.ReadOnly() {
			t.Errorf("%s, %d times: %s %q, want unparsed", c.name, n+1, f.Class, f.Problem)
		}
	}
}

// What separates two chains for the grammar ends the count.
func TestLongTextsOfShortExpressionsAreJudged(t *testing.T) {
	many := func(s string) string { return strings.Repeat(s, 5000) }
	for name, sql := range map[string]string{
		"a list":          "SELECT 1 WHERE 1 IN (1" + many(", 1+1") + ")",
		"rows":            "INSERT INTO t VALUES (1, -1)" + many(", (1, -1)"),
		"conditions":      "SELECT 1 WHERE a = 1" + many(" OR a = 1 AND b = 2"),
		"ranges":          "SELECT 1 WHERE a BETWEEN 1 AND 2" + many(" OR a BETWEEN 1 AND 2"),
		"statements":      "SELECT 1" + many("; SELECT 1 + 1"),
		"branches":        "SELECT CASE WHEN a = 1 THEN 1" + many(" WHEN a = 1 THEN 1 + 1") + " END",
		"signs in text":   "SELECT '" + many("+ - NOT (") + "'",
		"signs in a name": `SELECT "` + many("+ - NOT (") + `"`,
		"a comment":       "SELECT 1 /*" + many("+ - NOT (") + "*/",
		"dollar quotes":   "SELECT $a$" + many("+ - NOT ($$") + "$a$",
	} {
		if f := NewReader().Read(sql, usual)[0]; f.Class == ClassUnparsed {
			t.Errorf("%s: %s", name, f.Problem)
		}
	}
}

// These look as if a chain ended and do not let one through.
func TestAChainIsNotHiddenByWhatDoesNotEndIt(t *testing.T) {
	for name, sql := range map[string]string{
		"the AND of BETWEEN":    "SELECT 1" + strings.Repeat(" IS NULL BETWEEN 1 AND 2", maxDepth),
		"an E string goes on":   "SELECT E'a'\n'\\''" + strings.Repeat("+1", maxDepth+1),
		"a comment in a string": "SELECT '/*'" + strings.Repeat("+1", maxDepth+1) + " -- */",
		"a quote in a comment":  "SELECT /* ' */ 1" + strings.Repeat("+1", maxDepth+1) + " /* ' */",
		"a dollar in a name":    "SELECT a$b$" + strings.Repeat("+1", maxDepth+1) + "+a$b$",
		"END as a name":         "SELECT " + strings.Repeat("CASE x.end WHEN ", maxNesting) + "1" + strings.Repeat(" THEN 1 END", maxNesting),
		"plus signs in a run":   "SELECT " + strings.Repeat("+", maxDepth+1) + "1",
		"JOIN and commas":       "SELECT 1 FROM a" + strings.Repeat(" JOIN b ON c IN (1, 2) AND d", maxDepth+1),
	} {
		if f := NewReader().Read(sql, usual)[0]; f.Class != ClassUnparsed {
			t.Errorf("%s: %s", name, f.Class)
		}
	}
}

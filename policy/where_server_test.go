package policy

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// oddRows is a table of rows that contradict hasty proofs: nulls, NaN,
// infinities, empty strings, trailing blanks, a newline.
const oddRows = `
CREATE TABLE t (i int, j bigint, n numeric, f float8, o oid, s text, k text, c char(4), b bool, d date, a int[]);
INSERT INTO t
SELECT i, j, n, f, o, s, s2, c, b, d, a
FROM unnest(ARRAY[NULL, -1, 0, 5, 2147483647]::int[]) i, unnest(ARRAY[NULL, -7, 5]::bigint[]) j,
  unnest(ARRAY[NULL, 5, 5.5, 'NaN', '-Infinity']::numeric[]) n, unnest(ARRAY[NULL, 0, 5.5, 'NaN', 'Infinity']::float8[]) f,
  unnest(ARRAY[4294967295, 5]::oid[]) o, unnest(ARRAY[NULL, '', 'a', E'a\nb ', 'A ']) s, unnest(ARRAY['', 'a']) s2,
  unnest(ARRAY[NULL, '', 'a']::char(4)[]) c, unnest(ARRAY[NULL, true, false]) b,
  unnest(ARRAY['infinity', '2026-01-01']::date[]) d, (VALUES (NULL::int[]), ('{}'), ('{1,NULL}')) x (a)
WHERE hashtext(concat_ws(',', i, j, n, f, o, s, s2, c, b, d, a)) % 97 = 0
   OR num_nulls(i, j, n, f, s, c, b, a) = 0 AND hashtext(concat_ws(',', i, j, n, f, o, s, s2, c, b, d, a)) % 7 = 0;`

const oddRowHasNoNull = "num_nulls(i, j, n, f, o, s, k, c, b, d, a) = 0"

// predicate draws a condition over the table that the server accepts.
func predicate(t *rapid.T, depth int) string {
	pick := func(from ...string) string { return rapid.SampledFrom(from).Draw(t, "pick") }
	number := func() string {
		return pick("i", "j", "n", "f", "t.i", "0", "5", "5.5", "5.50", "-1", "3.0", "NULL::int", "i + 0", "1 * n", "f / 1", "j - 1", "i + j",
			"coalesce(i, 5)", "coalesce(NULL, j)", "coalesce(n, f::numeric, 5)", "coalesce(f, n)", "coalesce(n, 5.5)", "abs(i)", "length(s)", "'5'::int", "i::numeric", "n::float8",
			"nullif(i, 5)", "array_length(a, 1)", "a[1]", "round(n)")
	}
	text := func() string {
		return pick("s", "k", "t.s", "c::text", "'a'", "''", "'A '", "NULL::text", "s || ''", "'' || k", "s || k", "lower(s)", "upper(k)",
			"coalesce(s, k)", "coalesce(s, '')", "coalesce(c, s)", "coalesce(NULL::char(4), s)", "coalesce(s, 'a '::char(4))", "substring(s from 'b')", "s COLLATE \"C\"", "left(s, 1)", "c || ''", "i::text")
	}
	comparison := func() string { return pick("=", "<>", "!=", "<", "<=", ">", ">=") }
	if depth > 0 {
		left := predicate(t, depth-1)
		switch rapid.IntRange(0, 13).Draw(t, "joint") {
		case 0, 1:
			return "(" + left + " OR NOT (" + left + "))"
		case 2, 3, 4:
			return "(" + left + " OR " + predicate(t, depth-1) + ")"
		case 5, 6:
			return "(" + left + " AND " + predicate(t, depth-1) + ")"
		case 7:
			return "NOT (" + left + ")"
		case 8:
			return "((" + left + ") IS " + pick("", "NOT ") + pick("TRUE", "FALSE", "UNKNOWN", "NULL") + ")"
		case 9:
			return "CASE WHEN " + left + " THEN " + predicate(t, depth-1) + " ELSE " + predicate(t, depth-1) + " END"
		case 10:
			return "CASE " + number() + " WHEN 5 THEN " + left + " WHEN i THEN " + predicate(t, depth-1) + " END"
		case 11:
			return "coalesce(" + left + ", " + predicate(t, depth-1) + ")"
		case 12:
			return "((" + left + ") = " + pick("true", "false") + ")"
		}
		return left
	}
	switch rapid.IntRange(0, 15).Draw(t, "atom") {
	case 0, 1, 2:
		x := number()
		return "(" + x + " " + comparison() + " " + number() + " OR " + x + " " + comparison() + " " + number() + ")"
	case 3:
		return number() + " " + comparison() + " " + number()
	case 4:
		return text() + " " + comparison() + " " + text()
	case 5:
		return text() + pick(" ", " NOT ") + pick("LIKE ", "ILIKE ") + pick("'%'", "'%%'", "'a%'", "'_'", "''", "k", "NULL")
	case 6:
		return text() + " " + pick("~", "!~", "~*", "!~*") + " " + pick("''", "'.*'", "'^.*$'", "'.'", "'a'", "'^'", "'$'")
	case 7:
		return text() + pick(" ", " NOT ") + "SIMILAR TO " + pick("'%'", "'a'", "'a%'")
	case 8:
		return number() + pick(" IN ", " NOT IN ") + "(" + strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"0", "5", "5.5", "-1", "NULL", "i"}), 1, 3).Draw(t, "list"), ", ") + ")"
	case 9:
		return number() + pick(" ", " NOT ") + "BETWEEN " + number() + " AND " + number()
	case 10:
		return pick(number(), text(), "b", "a", "c", "o") + " IS " + pick("NULL", "NOT NULL")
	case 11:
		return number() + " IS " + pick("", "NOT ") + "DISTINCT FROM " + number()
	case 12:
		return pick("b", "NOT b", "b IS TRUE", "true", "false", "'yes'", "'off'", "NULL", "b = true", "b <> false", "b = b", "NULL::bool")
	case 13:
		return "(" + number() + ", " + text() + ") " + pick("=", "<>") + " (" + number() + ", " + text() + ")"
	case 14:
		return number() + " " + pick("= ANY", "<> ALL", "< ANY", ">= ALL") + " (ARRAY[0, " + pick("5", "i", "NULL") + "])"
	}
	return pick("o > -1", "o < -1", "o >= 5", "o <> 5", "c = 'a'", "c <> 'a '", "d < '2026-01-01'", "d >= '2026-01-01'", "a = a", "a || NULL::int IS NULL",
		"a @> '{1}'", "(i, s) IS NULL", "(i, s) IS NOT NULL", "ctid IS NOT NULL", "t.i = i", "c = c", "f <> f", "f = f", "c LIKE 'a '", "c || '' LIKE 'a '")
}

// TestNoProofIsContradictedByAServer draws conditions and holds every proof
// against the rows of a real table.
func TestNoProofIsContradictedByAServer(t *testing.T) {
	ctx := context.Background()
	cluster, err := pgcluster.Start(ctx, pgcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	conn, err := pgx.Connect(ctx, cluster.DSN("postgres", cluster.Superuser))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, oddRows); err != nil {
		t.Fatal(err)
	}
	count := func(t *rapid.T, where string) (int, bool) {
		var n int
		err := conn.QueryRow(ctx, "SELECT count(*) FROM t WHERE "+where, pgx.QueryExecModeSimpleProtocol).Scan(&n)
		return n, err == nil
	}
	drawn, refused, true_, never := 0, 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			condition := predicate(t, rapid.IntRange(0, 3).Draw(t, "depth"))
			drawn++
			f := NewReader().Read("DELETE FROM t WHERE "+condition, usual)[0]
			a := f.Actions[0]
			if f.Class != classDelete || a.Where == WhereMissing || a.Where == WhereUnlinked {
				t.Fatalf("%s: %s %s", condition, told(f), f.Problem)
			}
			wrong := ""
			switch {
			case a.Where == WhereAlwaysTrue:
				true_++
				wrong = "(" + condition + ") IS NOT TRUE"
			case a.Where == WhereTrueUnlessNull:
				true_++
				wrong = oddRowHasNoNull + " AND (" + condition + ") IS NOT TRUE"
			case a.Proof == proofNeverTrue:
				never++
				wrong = condition
			default:
				continue
			}
			n, ok := count(t, wrong)
			if !ok {
				refused++ // an overflow, or a type that the draw got wrong
			} else if n > 0 {
				t.Fatalf("%s\n%s (%s), but %d rows say otherwise", condition, whereNames[a.Where], a.Proof, n)
			}
		}
	})
	t.Logf("%d conditions, %s always true, %s never true, %d refused by the server", drawn, strconv.Itoa(true_), strconv.Itoa(never), refused)
	if true_ < drawn/20 || refused > (true_+never)/4 {
		t.Errorf("of %d conditions %d were proven true, %d never, and the server refused %d: the draw has lost its point", drawn, true_, never, refused)
	}
}

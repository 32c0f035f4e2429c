package policy

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// typedRows are tables of rows at the edges of their types, with constraints. w11
// is a partition of a partition, x1 one by two columns.
const typedRows = `
SET datestyle = 'SQL, DMY'; SET timezone = 'Asia/Kolkata';
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN amount AS numeric(12, 2) CHECK (VALUE >= 0);
CREATE DOMAIN small AS amount CHECK (VALUE < 100);
CREATE TYPE pair AS (a int, b int);
CREATE TABLE all_rows (i int NOT NULL, j bigint, h smallint, n numeric, f float8, r real, o oid, s text NOT NULL, v varchar(10), c char(4),
  b bool, nb bool NOT NULL, d date, ts timestamp, tz timestamptz, u uuid, e mood, ne mood NOT NULL, q amount, z small NOT NULL, a int[], m time, p pair, y bytea);
SELECT setseed(0.42);
INSERT INTO all_rows
SELECT (ARRAY[-2147483648, -4, -1, 0, 1, 5, 6, 2147483647])[1 + k(8)], (ARRAY[NULL, -9223372036854775808, -7, 0, 5, 9223372036854775807])[1 + k(6)],
  (ARRAY[NULL, -32768, 0, 5, 32767])[1 + k(5)], (ARRAY[NULL, 'NaN', '-Infinity', 'Infinity', 0, 4.5, 5, -1]::numeric[])[1 + k(8)],
  (ARRAY[NULL, 'NaN', '-Infinity', 'Infinity', 0, 5, 5.1, -0.5]::float8[])[1 + k(8)], (ARRAY[NULL, 'NaN', 'Infinity', 0, 5, 5.1, -1e30]::real[])[1 + k(7)],
  (ARRAY[0, 5, 4294967295]::oid[])[1 + k(3)], (ARRAY['', 'a', 'A ', E'\n', 'b'])[1 + k(5)], (ARRAY[NULL, '', 'a', 'a '])[1 + k(4)], (ARRAY[NULL, '', 'a'])[1 + k(3)],
  (ARRAY[NULL, true, false])[1 + k(3)], (ARRAY[true, false])[1 + k(2)], (ARRAY[NULL, '-infinity', 'infinity', '2025-06-01', '2025-06-02', '2024-12-31']::date[])[1 + k(6)],
  (ARRAY[NULL, '-infinity', 'infinity', '2025-06-01 00:00:00', '2025-06-01 00:00:00.000001']::timestamp[])[1 + k(5)],
  (ARRAY[NULL, '-infinity', 'infinity', '2025-06-01 00:00:00+00', '2025-05-31 23:00:00+00']::timestamptz[])[1 + k(5)],
  (ARRAY[NULL, '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '12345678-1234-1234-1234-123456789abc']::uuid[])[1 + k(4)],
  (ARRAY[NULL, 'sad', 'ok', 'happy']::mood[])[1 + k(4)], (ARRAY['sad', 'ok', 'happy']::mood[])[1 + k(3)], (ARRAY[NULL, 0, 5, 9999999999.99, 'NaN']::numeric[])[1 + k(5)],
  (ARRAY[0, 5, 99.99])[1 + k(3)], (ARRAY[NULL, '{}', '{1,NULL}', '{5}'])[1 + k(4)]::int[], (ARRAY[NULL, '00:00', '24:00', '12:00:00.5']::time[])[1 + k(4)],
  (ARRAY[NULL, ROW(NULL, NULL), ROW(1, NULL), ROW(1, 2)]::pair[])[1 + k(4)], (ARRAY[NULL, '', '\x00']::bytea[])[1 + k(3)]
FROM generate_series(1, 4000) g;
CREATE TABLE t (LIKE all_rows, CHECK (i >= -4 AND j <> 5), CHECK (f > 0 OR f IS NULL), CHECK (nb OR b), CHECK (h IS NOT NULL),
  CHECK (CASE WHEN nb THEN n >= 0 ELSE n < 5 END), CHECK (coalesce(h, 1) > -9), CHECK (i <= j), CHECK (o > 0));
INSERT INTO t SELECT * FROM all_rows WHERE i >= -4 AND (j <> 5) IS NOT FALSE AND (f > 0) IS NOT FALSE AND (nb OR b) IS NOT FALSE AND h IS NOT NULL
  AND (CASE WHEN nb THEN n >= 0 ELSE n < 5 END) IS NOT FALSE AND h > -9 AND (i <= j) IS NOT FALSE AND o > 0;
CREATE TABLE t2 (LIKE all_rows, CHECK (s IN ('', 'a', 'b')), CHECK (v::text = ANY (ARRAY['', 'a'])), CHECK (d >= '2025-01-01' AND d < 'infinity'),
  CHECK (tz <= '2025-06-01 00:00:00+00'), CHECK (length(s) < 2), CHECK (e <> 'sad'), CHECK (upper(c) = 'A'), CHECK (ts::date <= d));
INSERT INTO t2 SELECT * FROM all_rows WHERE s IN ('', 'a', 'b') AND (v IN ('', 'a')) IS NOT FALSE AND (d >= '2025-01-01' AND d < 'infinity') IS NOT FALSE
  AND (tz <= '2025-06-01 00:00:00+00') IS NOT FALSE AND (e <> 'sad') IS NOT FALSE AND (upper(c) = 'A') IS NOT FALSE AND (ts::date <= d) IS NOT FALSE;
CREATE TABLE w (LIKE all_rows) PARTITION BY RANGE (d);
CREATE TABLE w1 PARTITION OF w FOR VALUES FROM ('2025-01-01') TO ('2025-06-02') PARTITION BY LIST (e);
CREATE TABLE w11 PARTITION OF w1 FOR VALUES IN ('sad', 'ok', NULL);
INSERT INTO w SELECT * FROM all_rows WHERE d >= '2025-01-01' AND d < '2025-06-02' AND (e < 'happy') IS NOT FALSE;
CREATE TABLE x (LIKE all_rows) PARTITION BY RANGE (i, j);
CREATE TABLE x1 PARTITION OF x FOR VALUES FROM (-4, MINVALUE) TO (5, 9223372036854775807);
INSERT INTO x SELECT * FROM all_rows WHERE j IS NOT NULL AND (i, j) >= (-4, -9223372036854775808) AND (i, j) < (5, 9223372036854775807);
CREATE TABLE parent (LIKE all_rows, CHECK (i = 0) NO INHERIT, CHECK (j > 0) NOT VALID);
CREATE TABLE child () INHERITS (parent);
INSERT INTO child SELECT * FROM all_rows WHERE j > 0 LIMIT 300;
INSERT INTO parent SELECT * FROM all_rows WHERE i = 0 AND j > 0;`

const typedRowHasNoNull = "num_nulls(i, j, h, n, f, r, o, s, v, c, b, nb, d, ts, tz, u, e, ne, q, z, a, m, p, y) = 0"

// typedValue draws a value of a group of types, and a constant of it.
func typedValue(t *rapid.T) (value func() string, constant func() string) {
	pick := func(from ...string) func() string {
		return func() string { return rapid.SampledFrom(from).Draw(t, "value") }
	}
	switch rapid.IntRange(0, 11).Draw(t, "group") {
	case 0, 1, 2:
		return pick("i", "j", "h", "i", "j", "i + 1", "i - 1", "i * 0", "j % 2", "i % 1", "h % -3", "abs(h)", "abs(i)", "-h", "i & 7", "1 - h", "h * h", "i - i", "h + 1 + 1", "i::bigint", "j::int",
				"length(s)", "char_length(v)", "octet_length(s)", "cardinality(a)", "length(c)", "length(y)", "position('a' in s)", "ascii(s)", "mod(h, 5)", "coalesce(h, 0)", "coalesce(i, j)",
				"greatest(i, 0)", "least(i, h)", "greatest(h, 5)", "nullif(h, 5)", "CASE WHEN nb THEN i ELSE 5 END", "CASE WHEN i >= 0 THEN i ELSE 0 END", "d - d", "i::numeric", "abs(i % 3)"),
			pick("0", "5", "-1", "1", "-4", "6", "2", "-2147483648", "2147483647", "-9223372036854775808", "9223372036854775807", "-32768", "32767", "'5'", "'-2147483648'", "4.5", "-0.5", "NULL", "5::bigint", "0::numeric", "-2", "i", "h", "j", "f", "q", "abs(i)")
	case 3, 4:
		return pick("n", "q", "z", "f", "r", "n + 0", "q * 1", "abs(n)", "abs(f)", "sqrt(f)", "n * 0", "-n", "i::numeric", "i::float8", "h::numeric", "r::float8", "n::float8", "coalesce(q, 0)", "greatest(n, 0)", "n % 2", "n - n", "n::int", "j::float8", "z::text::numeric", "f::numeric"),
			pick("0", "5", "4.5", "-1", "'infinity'", "'-infinity'", "'NaN'", "100", "99.99", "5.1", "'5.1'", "5::numeric", "'NaN'::numeric", "'infinity'::float8", "NULL", "5.1::float8", "1e10", "n", "q", "i", "0.1")
	case 5, 6:
		return pick("s", "v", "c", "lower(s)", "s || 'a'", "coalesce(v, '')", "v::text", "s::varchar", "c::text", "upper(c)", "md5(s)", "s::name", "nullif(v, '')", "greatest(s, 'a')", "left(s, 1)", "CASE WHEN nb THEN s ELSE '' END"),
			pick("''", "'a'", "'b'", "'a'::text", "''::text", "'a '", "'a'::varchar", "'a '::char(4)", "NULL", "s", "v", "'A '")
	case 7:
		return pick("d", "d", "ts", "d::timestamp", "d + 1", "d - 1", "coalesce(d, '2025-06-01')", "greatest(d, '2025-01-01')", "ts::date", "tz::date"),
			pick("'infinity'", "'-infinity'", "'2025-06-01'", "'2025-01-01'", "'2025-06-02'", "'2025-06-01'::date", "'2025-06-01 00:00:00'::timestamp", "'01/06/2025'", "'2024-12-31'", "d", "ts", "NULL", "'infinity'::date")
	case 8:
		return pick("tz", "tz", "d", "ts", "ts::timestamptz"),
			pick("'infinity'", "'-infinity'", "'2025-06-01 00:00:00+00'", "'2025-06-01 05:30:00+05:30'::timestamptz", "'2025-05-31 23:00:00+00'", "'2025-06-01'", "'2025-06-01 00:00:00+00'::timestamptz", "now()", "tz")
	case 9:
		return pick("e", "ne", "e", "coalesce(e, 'ok')", "greatest(ne, 'ok')"), pick("'sad'", "'ok'", "'happy'", "'ok'::mood", "e", "ne", "NULL")
	case 10:
		return pick("u", "u", "coalesce(u, '00000000-0000-0000-0000-000000000000')"), pick("'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "'12345678-1234-1234-1234-123456789abc'::uuid", "u")
	}
	return pick("m"), pick("'00:00'", "'24:00'", "'12:00'", "'12:00:00.5'", "'24:00'::time", "m")
}

func typedPredicate(t *rapid.T, depth int) string {
	pick := func(from ...string) string { return rapid.SampledFrom(from).Draw(t, "pick") }
	if depth > 0 {
		left := typedPredicate(t, depth-1)
		switch rapid.IntRange(0, 15).Draw(t, "joint") {
		case 0, 1, 2:
			return "(" + left + " OR " + typedPredicate(t, depth-1) + ")"
		case 3, 4:
			return "(" + left + " AND " + typedPredicate(t, depth-1) + ")"
		case 5:
			return "NOT (" + left + ")"
		case 6:
			return "((" + left + ") IS " + pick("", "NOT ") + pick("TRUE", "FALSE", "UNKNOWN", "NULL") + ")"
		case 7:
			return "((" + left + ") " + pick("=", "<>", "<", "<=", ">", ">=") + " (" + left + "))"
		case 8:
			return "((" + left + ") " + pick("=", "<>", "<=", ">=") + " (" + pick("NOT ", "", "true AND ") + "(" + typedPredicate(t, depth-1) + ")))"
		case 9:
			return "((" + left + ") IS " + pick("", "NOT ") + "DISTINCT FROM (" + pick(left, "NOT ("+left+")", typedPredicate(t, depth-1), "NULL", "true") + "))"
		case 10:
			return "CASE WHEN " + left + " THEN " + typedPredicate(t, depth-1) + " ELSE " + pick(left, typedPredicate(t, depth-1)) + " END"
		case 11:
			return "(coalesce(" + left + ", " + pick("true", "false", typedPredicate(t, depth-1)) + ") OR NOT (" + left + "))"
		case 12:
			return "((" + left + ") IN (true, " + pick("false", "NULL", "b") + "))"
		case 13:
			return "((" + left + ") IS NOT TRUE OR (" + left + "))"
		}
		return left
	}
	value, constant := typedValue(t)
	comparison := func() string { return " " + pick("=", "<>", "<", "<=", ">", ">=") + " " }
	switch rapid.IntRange(0, 12).Draw(t, "atom") {
	case 0, 1, 2:
		x := value()
		return "(" + x + comparison() + constant() + pick(" OR ", " OR ", " AND ") + x + comparison() + constant() + ")"
	case 3:
		return value() + pick(" IN ", " NOT IN ") + "(" + constant() + ", " + constant() + ", " + constant() + ")"
	case 4:
		return value() + pick(" ", " NOT ") + "BETWEEN " + constant() + " AND " + constant()
	case 5:
		return value() + pick(" = ANY", " <> ALL", " >= ANY", " <= ALL") + " (ARRAY[" + constant() + ", " + constant() + "])"
	case 6:
		return pick("b", "nb", "b = nb", "b <> nb", "b IS NOT TRUE", "b IN (true, false)", "nb IN ('t', 'f')", "nb = 'yes'", "nb >= false", "b <= true", "b IS NULL", "nb <> NOT nb", "b = 'no'", "nb < b OR nb >= b")
	case 7:
		return pick("ctid >= '(0,0)'", "ctid > '(0,0)'", "ctid <> '(0,0)'", "ctid >= '(0,2)'", "ctid IS NOT NULL", "tableoid = 'TABLE'::regclass", "tableoid = 'public.TABLE'::regclass::oid", "tableoid::regclass = 'TABLE'::regclass",
			"tableoid <> 'TABLE'::regclass", "tableoid = 'all_rows'::regclass", "tableoid >= 0", "xmin IS NOT NULL", "o >= 0", "o < 0", "o > -1", "o <= 4294967295", "tableoid IS NOT DISTINCT FROM 'TABLE'::regclass")
	case 8:
		return pick("e = ANY ('{sad,ok,happy}')", "ne = ANY ('{sad,ok,happy}'::mood[])", "ne <> ALL ('{}')", "i = ANY ('{0,5}')", "e IN ('ok', 'happy')", "s = ANY ('{\"\",a,b}')", "i > ALL ('{-5}')",
			"p IS NULL OR p IS NOT NULL", "p IS NULL", "p IS DISTINCT FROM NULL", "NOT (p IS NULL)", "y >= ''", "y = ''", "c = 'a'", "c = 'a '", "h IS NOT NULL", "d IS NULL", "e IS NULL OR e < 'happy'")
	case 9:
		return value() + " IS " + pick("NULL", "NOT NULL")
	case 10:
		return value() + " IS " + pick("", "NOT ") + "DISTINCT FROM " + constant()
	}
	return value() + comparison() + constant()
}

// askedCatalog asks the server's catalogue as the proxy does.
func askedCatalog(t testing.TB, conn *pgx.Conn, f *Facts) *Catalog {
	t.Helper()
	query, err := os.ReadFile("../proxy/impact/catalog.sql")
	if err != nil {
		t.Fatal(err)
	}
	var schemas, names, kinds []string
	for _, n := range f.Names() {
		schemas, names, kinds = append(schemas, n.Schema), append(names, n.Name), append(kinds, string(n.Kind))
	}
	var answer string
	if err := conn.QueryRow(context.Background(), string(query), schemas, names, kinds).Scan(&answer); err != nil {
		t.Fatal(err)
	}
	c, err := DecodeCatalog([]byte(answer))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestNoProofByTheCatalogueIsContradictedByAServer draws conditions over columns of
// many types and holds what types and constraints prove against real rows.
func TestNoProofByTheCatalogueIsContradictedByAServer(t *testing.T) {
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
	if _, err := conn.Exec(ctx, "CREATE FUNCTION k(n int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT floor(random() * n)::int';"+typedRows); err != nil {
		t.Fatal(err)
	}
	tables := []string{"t", "t", "t2", "w11", "x1", "parent", "ONLY parent"}
	catalogs := make(map[string]*Catalog)
	for _, table := range tables {
		catalogs[table] = askedCatalog(t, conn, one(t, "DELETE FROM "+table+" WHERE i = 1"))
		var n int
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil || n < 10 {
			t.Fatalf("%s: %d rows %v", table, n, err)
		}
	}
	drawn, refused, proven, never, missed := 0, 0, 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			table := rapid.SampledFrom(tables).Draw(t, "table")
			condition := strings.ReplaceAll(typedPredicate(t, rapid.IntRange(0, 2).Draw(t, "depth")), "TABLE", strings.TrimPrefix(table, "ONLY "))
			drawn++
			r := NewReader()
			a := r.Refine(r.Read("DELETE FROM "+table+" WHERE "+condition, usual)[0], catalogs[table]).Actions[0]
			wrong := "(" + condition + ") IS NOT TRUE"
			switch {
			case a.Where == WhereAlwaysTrue:
			case a.Where == WhereTrueUnlessNull:
				wrong += " AND " + typedRowHasNoNull
			case a.Proof == proofNeverTrue:
				wrong = condition
			default:
				if drawn%50 == 0 { // how much of what is true is not proven
					var n int
					if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+table+" WHERE "+wrong, pgx.QueryExecModeSimpleProtocol).Scan(&n); err == nil && n == 0 {
						missed++
					}
				}
				continue
			}
			var n int
			if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+table+" WHERE "+wrong, pgx.QueryExecModeSimpleProtocol).Scan(&n); err != nil {
				refused++
				continue
			}
			if a.Proof == proofNeverTrue {
				never++
			} else {
				proven++
			}
			if n > 0 {
				t.Fatalf("%s WHERE %s\n%s (%s), but %d rows say otherwise", table, condition, whereNames[a.Where], a.Proof, n)
			}
		}
	})
	t.Logf("%d conditions, %d always true, %d never true, %d refused by the server; of one in fifty of the others %d were true of all rows", drawn, proven, never, refused, missed)
	if proven < drawn/20 || never < drawn/50 {
		t.Errorf("of %d conditions %d were proven true and %d never true: the draw has lost its point", drawn, proven, never)
	}
	if c := catalogs["t"]; !slices.ContainsFunc(c.Relations, func(r Relation) bool { return len(r.known) > 10 }) {
		t.Error("the constraints are not known")
	}
}

package policy

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"
)

// A telling writes all that facts hold, but for where in the text their nodes stood
// and, if it is told so, which constants these are.
type telling struct {
	strings.Builder
	leavesOut bool
}

func (b *telling) everything(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			b.WriteString("nil ")
			return
		}
		if v.Type().Implements(reflect.TypeFor[proto.Message]()) {
			b.node(reflect.NewAt(v.Type().Elem(), v.UnsafePointer()).Interface().(proto.Message).ProtoReflect())
			return
		}
		if v.Type() == reflect.TypeFor[*lazyShape]() {
			v = v.Elem().FieldByName("text")
			fmt.Fprintf(b, "shape of %q ", v)
			return
		}
		b.everything(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Type == reflect.TypeFor[*lent]() {
				continue
			}
			b.WriteString(v.Type().Field(i).Name + "=")
			b.everything(v.Field(i))
		}
	case reflect.Slice:
		fmt.Fprintf(b, "%d:", v.Len())
		for i := range v.Len() {
			b.everything(v.Index(i))
		}
	default:
		fmt.Fprintf(b, "%#v ", v)
	}
}

func (b *telling) node(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	b.WriteString(string(m.Descriptor().Name()) + "{")
	if c, ok := m.Interface().(*pg.A_Const); ok && b.leavesOut && !c.Isnull && c.GetBoolval() == nil {
		b.WriteString("} ")
		return
	}
	for i := range fields.Len() {
		f := fields.Get(i)
		if !m.Has(f) || f.Name() == "location" || f.Name() == "name_location" {
			continue
		}
		b.WriteString(string(f.Name()) + "=")
		switch {
		case f.IsList() && f.Kind() == protoreflect.MessageKind:
			for k := range m.Get(f).List().Len() {
				b.node(m.Get(f).List().Get(k).Message())
			}
		case f.Kind() == protoreflect.MessageKind:
			b.node(m.Get(f).Message())
		default:
			fmt.Fprintf(b, "%q ", m.Get(f).String())
		}
	}
	b.WriteString("} ")
}

func allOf(facts []*Facts) string {
	var b telling
	b.everything(reflect.ValueOf(facts))
	return b.String()
}

func allButConstants(facts []*Facts) string {
	b := telling{leavesOut: true}
	b.everything(reflect.ValueOf(facts))
	return b.String()
}

// sameAsParsed holds what a Reader that has read first, and so may have its template,
// makes of text against what one makes of it that has read nothing.
func sameAsParsed(t interface{ Fatalf(string, ...any) }, first, text string, c *Catalog) {
	r := NewReader()
	r.Read(first, usual)
	kept, parsed := r.Read(text, usual), (&Reader{large: r.large}).parse(text)
	if isWrite(kept) || isWrite(parsed) { // of reads the text is left out
		if k, p := allOf(kept), allOf(parsed); kept[0].Lender() == nil && k != p {
			t.Fatalf("%q after %q:\n%s\nparsed:\n%s", text, first, k, p)
		}
		if k, p := allOf(r.RefineAll(kept, c)), allOf(r.RefineAll(parsed, c)); k != p {
			t.Fatalf("%q after %q, refined:\n%s\nparsed:\n%s", text, first, k, p)
		}
		lentAsParsed(t, kept[0], parsed[0], c)
		return
	}
	if !utf8.ValidString(text) { // the server refuses it
		return
	}
	if len(kept) != len(parsed) {
		t.Fatalf("%q after %q: %d statements, %d parsed", text, first, len(kept), len(parsed))
	}
	for i := range kept {
		if told(kept[i]) != told(parsed[i]) {
			t.Fatalf("%q after %q: %s, parsed: %s", text, first, told(kept[i]), told(parsed[i]))
		}
	}
}

// lentAsParsed holds facts that are lent against those that are the text's own.
func lentAsParsed(t interface{ Fatalf(string, ...any) }, f, parsed *Facts, c *Catalog) {
	lender, r := f.Lender(), NewReader()
	if lender == nil {
		return
	}
	same := func(what string, f, parsed *Facts, tell func([]*Facts) string) {
		if k, p := tell([]*Facts{f}), tell([]*Facts{parsed}); k != p {
			t.Fatalf("%q after %q, %s:\n%s\nparsed:\n%s", parsed.Text, lender.Text, what, k, p)
		}
	}
	counted := func(f []*Facts) string { sql, of := f[0].CountSQL(); return sql + of.Name }
	same("as lent", f, parsed, allButConstants)
	same("its own", f.own(), parsed, allOf)
	same("counted", f, parsed, counted)
	execute := r.Read("EXECUTE x", usual)[0]
	same("executed", execute.With([]*Facts{f}), execute.With([]*Facts{parsed}), allOf)
	if by := r.Refine(lender, c); by.Lends(c) {
		same("refined as lent", by.LentTo(f), r.Refine(parsed, c), allButConstants)
		same("counted as refined", by.LentTo(f), r.Refine(parsed, c), counted)
	}
	if plain := lender.InsertsPlainly(); plain.Lends(nil) {
		same("as it inserts", plain.LentTo(f), parsed.InsertsPlainly(), allButConstants)
	}
}

// hostile are constants, and what looks like one, that stand for each other in one
// place of a statement.
var hostile = []string{
	"1", "0", "007", "42", "2147483647", "2147483648", "99999999999999999999", "0000000000000000001", "1.5", "1.50", ".5", "5.", "1.5e3",
	"1e5", "1e-5", "1.e5", "1.5e-3", "0x1F", "1_000", "1_0.0_1", "1..2", "-5", "- 5", "+5", "--5\n6", "-1.5", "- -5", "@ -5", "$1", "$2", "$1.5", "1a", "1.a",
	"''", "'a'", "'it''s'", "''''", "'x' 'y'", "'x'\n'y'", "'x'\n''", "'' \n 'y'", "'x' -- c\n'y'", "'x' /* c */ 'y'", "E'a\\'b'", "e'a'", "'\\'", "'a\\'' OR 1=1 --'",
	"U&'\\0061'", "U&'a' UESCAPE '!'", "n'a'", "b'101'", "x'1F'", "$$a 1$$", "$a$'$a$", "'a;b'", "'; DELETE FROM accounts; --'", "'/*'", "'--'", "'*/'",
	"'ü'", "'\xff'", "'\xe2\x80\xa8'", "'\t\n'", "NULL", "'null'", "TRUE", "'true'", "DEFAULT", "'now'", "'t'", "'f'", "1 OR true", "1 OR 1 = 1", "1 OR id = id",
	"'5'::int", "'5'::numeric(3, 2)", "CAST(1 AS varchar(10))", "date '2026-01-01'", "interval '1' day", "interval(3) '1'", "float8 '5'", "5::float(24)", "ARRAY[1, 2]", "'{1}'::int[3]",
	"(1)", "(SELECT 1)", "(SELECT 1 LIMIT 1)", "coalesce(1, 2)", "CASE 1 WHEN 2 THEN 3 ELSE 4 END", "lower('A')", "f(1)", "nextval('s')", "id", "id + 0", "a.b", "1 /* 2 */", "1 -- 2\n",
	"1 AND 1 = 1", "1 AND name = 'x'", "2 - 1", "1 % 2", "1 COLLATE \"C\"", "(1, 2)", "ROW(1)", "current_user", "'a' || 'b'", "4713", "6", "1 RETURNING 1", "1; DELETE FROM accounts",
}

// writes have places for constants.
var writes = []string{
	"UPDATE accounts SET name = ? WHERE id = ?", "UPDATE accounts SET parent = parent + ? WHERE id = ?", "DELETE FROM accounts WHERE id = ?",
	"DELETE FROM accounts WHERE id IN (?, ?)", "DELETE FROM accounts WHERE id = ? OR ? = ?", "DELETE FROM accounts WHERE ? = ?", "DELETE FROM accounts WHERE name LIKE ?",
	"DELETE FROM accounts WHERE id BETWEEN ? AND ?", "DELETE FROM accounts WHERE id = ANY (?)", "DELETE FROM accounts WHERE NOT (id <> ?) AND ?",
	"UPDATE accounts SET (name, region) = (?, ?) WHERE id = ?", "UPDATE accounts SET (name, region) = ROW(?, ?)", "UPDATE accounts a SET name = ? FROM users u WHERE u.id = ? AND a.id = ?",
	"INSERT INTO orders VALUES (?, ?), (?, ?)", "INSERT INTO orders (a, b) VALUES (?, ?) RETURNING a", "INSERT INTO orders SELECT ?, ?", "INSERT INTO orders (a) VALUES (?) ON CONFLICT (a) DO UPDATE SET b = ?",
	"INSERT INTO orders VALUES (?) LIMIT ?", "INSERT INTO orders VALUES (?) ORDER BY ?", "WITH x AS (SELECT ?) DELETE FROM users WHERE id = ?", "DELETE FROM users USING accounts WHERE users.id = ?",
	"UPDATE users SET a[?] = ?", "UPDATE users SET a[?:?] = ? WHERE b[?] = ?", " /* ? */ UPDATE users SET a = ? -- ?\n WHERE id=?; -- ? ", "\n\nDELETE FROM users WHERE id = ? ; ;", "UPDATE users SET a=?WHERE id=?",
	"DELETE FROM users WHERE CURRENT OF c", "EXPLAIN DELETE FROM users WHERE id = ?", "EXPLAIN (ANALYZE ?) DELETE FROM users WHERE id = ?", "SELECT ?, ? FROM users", "UPDATE pg_settings SET setting = ? WHERE name = ?",
	"UPDATE accounts SET name = substring(name FROM ? FOR ?) WHERE id = ?", "UPDATE accounts SET name = ? COLLATE \"C\" WHERE id = ? IS TRUE", "BEGIN; DELETE FROM users WHERE id = ?; ROLLBACK",
	"UPDATE ONLY accounts SET id = id * ? WHERE (id, region) = (?, ?)", "DELETE FROM accounts WHERE id = ?::smallint AND email = ?::text",
}

// quietCatalog is of tables that set off nothing.
const quietCatalog = `{"server_version": 150018, "relations": [
  {"oid": 1, "schema": "public", "name": "things", "kind": "r", "rows": 1000, "keys": [["id"], ["n", "label"]],
   "columns": [{"name": "id", "not_null": true, "kind": "num", "type": "int8"}, {"name": "n", "not_null": true, "kind": "num", "type": "int4"},
     {"name": "small", "kind": "num", "type": "int2"}, {"name": "label", "not_null": true, "kind": "text", "type": "text"},
     {"name": "flag", "kind": "bool", "type": "bool"}, {"name": "amount", "kind": "num", "type": "numeric"},
     {"name": "mood", "kind": "other", "type": "mood", "labels": ["good"]}]},
  {"oid": 2, "schema": "public", "name": "checked", "kind": "r", "rows": 1000, "checks": ["(n = 5)", "(id > 0)"], "keys": [["id"]],
   "columns": [{"name": "id", "not_null": true, "kind": "num", "type": "int4"}, {"name": "n", "not_null": true, "kind": "num", "type": "int4"}]},
  {"oid": 3, "schema": "public", "name": "part", "kind": "r", "rows": 1000, "bounds": [{"columns": ["n"], "text": "FOR VALUES IN (5)"}], "keys": [["id"]],
   "columns": [{"name": "id", "not_null": true, "kind": "num", "type": "int4"}, {"name": "n", "not_null": true, "kind": "num", "type": "int4"}]},
  {"oid": 6, "schema": "public", "name": "parted", "kind": "p", "rows": 20, "below": [7], "keys": [["id"]], "columns": [{"name": "id", "not_null": true, "kind": "num", "type": "int4"}, {"name": "n", "kind": "num", "type": "int4"}]},
  {"oid": 7, "schema": "public", "name": "parted_5", "kind": "r", "rows": 20, "bounds": [{"columns": ["id"], "text": "FOR VALUES FROM (MINVALUE) TO (6)"}]}
]}`

// triggered is the same where a trigger of things goes by what it is given.
var triggered = strings.NewReplacer(`"schema": "public", "name": "things",`, `"schema": "public", "name": "things",
  "triggers": [{"name": "by_n", "timing": "before", "events": ["insert", "update", "delete"], "row": true, "function": 9}],`,
	"\n]}", `], "functions": [{"oid": 9, "schema": "public", "name": "by_n", "kind": "f", "volatility": "v", "language": "plpgsql",
  "body": "BEGIN IF NEW.n = 5 THEN DELETE FROM checked; END IF; RETURN NEW; END"}]}`).Replace(quietCatalog)

// quietWrites are of those tables, as most programs send them.
func quietWrites() (all []string) {
	for _, table := range []string{"things", "checked", "part", "parted"} {
		for _, where := range []string{
			"", " WHERE n = ?", " WHERE id = ?", " WHERE id = ? AND n = ?", " WHERE id = ? AND id = ?", " WHERE n = ? AND label = ?", " WHERE ? = n", " WHERE small = ?",
			" WHERE mood = ?", " WHERE flag = ?", " WHERE amount = ?", " WHERE id = ? OR n = ?", " WHERE id > ?", " WHERE id IN (?, ?)", " WHERE n <> ?", " WHERE id = ? AND flag",
			" WHERE id = ? AND label IS NOT NULL", " WHERE id = ? AND n = id", " WHERE id = id AND ? = ?", " WHERE x.id = ?", " WHERE ctid = ?", " WHERE tableoid = ?", " WHERE things = ?",
			" WHERE id = ? RETURNING n, ?", " WHERE (id) = (?)", " WHERE id OPERATOR(public.=) ?", " WHERE n = ?::int8", " WHERE n = ? IS TRUE",
		} {
			all = append(all, "DELETE FROM "+table+where, "UPDATE "+table+" SET n = ?"+where, "UPDATE "+table+" x SET (n, id) = (n + ?, ?)"+where)
		}
		all = append(all, "INSERT INTO "+table+" VALUES (?, ?)", "INSERT INTO "+table+" (n, id) VALUES (?, ?), (?, DEFAULT) RETURNING n")
	}
	return all
}

// edges are constants at the ends of integer types, and plain ones of each kind.
var edges = []string{"0", "5", "6", "007", "32768", "2147483646", "2147483647", "02147483647", "2147483648", "9223372036854775808",
	"5.0", "1.5", "'5'", "''", "'good'", "'bad'", "'t'", "NULL", "TRUE", "-5", "$1", "(SELECT 5)", "5e0"}

func filled(t *rapid.T, write, label string) string { return filledFrom(t, hostile, write, label) }

func filledFrom(t *rapid.T, constants []string, write, label string) string {
	var b strings.Builder
	for i, part := range strings.Split(write, "?") {
		if i > 0 {
			b.WriteString(rapid.SampledFrom(constants).Draw(t, label))
		}
		b.WriteString(part)
	}
	return b.String()
}

// TestATemplateGivesTheFactsOfTheText: whatever was read before, the facts of a write
// are those of its own text, node by node, and stay so under a catalogue.
func TestATemplateGivesTheFactsOfTheText(t *testing.T) {
	c := decoded(t, shopCatalog)
	for _, w := range writes {
		before := make(map[string]string)
		for _, constant := range hostile {
			text := strings.ReplaceAll(w, "?", constant)
			if first, ok := before[SameButConstants(text)]; ok {
				sameAsParsed(t, first, text, c)
				sameAsParsed(t, text, first, c)
			}
			before[SameButConstants(text)] = text
		}
	}
	quiet := decoded(t, quietCatalog).Kept()
	for _, w := range quietWrites() {
		r := NewReader()
		for _, constant := range edges {
			text := strings.ReplaceAll(w, "?", constant)
			if kept := r.Read(text, usual); len(kept) == 1 && kept[0].Lender() != nil {
				lentAsParsed(t, kept[0], r.parse(text)[0], quiet)
				if strings.Contains(text, "things") {
					lentAsParsed(t, kept[0], r.parse(text)[0], decoded(t, triggered))
				}
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SampledFrom(quietWrites()).Draw(t, "plain write")
		sameAsParsed(t, filledFrom(t, edges, plain, "first"), filledFrom(t, edges, plain, "then"), quiet)
		write := rapid.SampledFrom(writes).Draw(t, "write")
		sameAsParsed(t, filled(t, write, "first"), filled(t, write, "then"), c)
	})
}

func FuzzTemplate(f *testing.F) {
	c := decoded(f, shopCatalog)
	for i, w := range writes {
		f.Add(strings.ReplaceAll(w, "?", hostile[i]), strings.ReplaceAll(w, "?", hostile[len(hostile)-1-i]))
	}
	f.Fuzz(func(t *testing.T, first, text string) {
		sameAsParsed(t, first, text, c)
		sameAsParsed(t, SameButConstants(text), text, c)
	})
}

// The plain ones have a template; what the grammar computes has none.
func TestWhatHasATemplate(t *testing.T) {
	for text, want := range map[string]bool{
		"UPDATE t SET x = x + 1 WHERE id = 5":                 true,
		"UPDATE t SET x = 'a', y = 1.5 WHERE id = 3000000000": true,
		"DELETE FROM t WHERE id IN (1, 2) AND NOT done":       true,
		"INSERT INTO t VALUES (1, 'it''s', NULL)":             true,
		"DELETE FROM t WHERE d < date '2026-01-01'":           true,
		"DELETE FROM t":                         true,
		"UPDATE t SET x = -1 WHERE id = 5":      false,
		"DELETE FROM t WHERE id = 1::float(24)": false,
		"DELETE FROM t WHERE a = 'a'\n'b'":      false,
		"DELETE FROM t WHERE a = 1.5e-3":        false,
		"DELETE FROM t WHERE id IN (SELECT 1)":  false,
	} {
		r := NewReader()
		r.Read(text, usual)
		key, _ := shape(nil, text, nil)
		if e, _ := r.cache.get(key, text); (e.template != nil) != want {
			t.Errorf("%s: %v, want %v", text, e.template != nil, want)
		}
	}
}

// What is lent to other texts is little, and what most programs send.
func TestWhatIsLent(t *testing.T) {
	c := decoded(t, quietCatalog).Kept()
	for text, want := range map[string]string{
		"UPDATE things SET n = n + 1 WHERE id = 5":              "refined",
		"UPDATE things SET n = 'a' WHERE n = 5 AND id = 7":      "refined",
		"UPDATE things SET n = 5":                               "refined",
		"DELETE FROM things WHERE n = 5":                        "refined",
		"DELETE FROM things WHERE id = 5 AND flag":              "refined",
		"INSERT INTO things (id, label) VALUES (5, 'a')":        "plain",
		"DELETE FROM things WHERE small = 5":                    "read",
		"DELETE FROM checked WHERE n = 5":                       "read",
		"DELETE FROM part WHERE n = 5":                          "read",
		"UPDATE parted SET n = 5 WHERE id = 5":                  "refined",
		"DELETE FROM things WHERE label = 'a'":                  "",
		"DELETE FROM things WHERE id = 5 OR n = 5":              "",
		"DELETE FROM things WHERE 5 = 5":                        "",
		"DELETE FROM things WHERE id = 2147483647":              "refined",
		"DELETE FROM things WHERE n = 2147483647":               "read",
		"DELETE FROM things WHERE id = 5 AND n > 5":             "",
		"DELETE FROM things WHERE id IN (5, 6)":                 "",
		"UPDATE things SET n = 5 WHERE id = $1":                 "",
		"UPDATE things SET n = 5 WHERE id === 5":                "",
		"UPDATE things SET n = n === 5":                         "",
		"UPDATE pg_settings SET setting = 'off'":                "",
		"UPDATE things SET n = 5 FROM parted WHERE things.id=5": "",
	} {
		r := NewReader()
		r.Read(text, usual)
		got := ""
		if f := r.Read(text, usual)[0]; f.Lender() != nil {
			got = "read"
			if r.RefineAll([]*Facts{f.Lender()}, c)[0].Lends(c) {
				got = "refined"
			}
			if f.Lender().InsertsPlainly().Lends(nil) {
				got = "plain"
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// Sessions share templates, and nobody changes one.
func TestSessionsShareTemplates(t *testing.T) {
	r, c := NewReader(), decoded(t, shopCatalog)
	texts := []string{
		"UPDATE accounts SET id = id, name = NULL, parent = %d WHERE id = 5 AND region IS NOT NULL", "DELETE FROM accounts WHERE id IN (id, %d, 2) AND email = 'x'",
		"INSERT INTO orders VALUES (now(), NULL, %d), (DEFAULT, TRUE, 2)", "UPDATE accounts SET name = $1 WHERE id = $2",
	}
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 200 {
				text := strings.ReplaceAll(texts[i%len(texts)], "%d", strconv.Itoa(i+worker))
				if f := r.RefineAll(r.Read(text, usual), c); f[0].Text != text {
					t.Errorf("%s has the text of %s", text, f[0].Text)
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkReadWrite is what facts of a write cost whose template is there.
func BenchmarkReadWrite(b *testing.B) {
	for name, text := range map[string]string{
		"update": "UPDATE accounts SET balance = balance + 1 WHERE id = %d",
		"delete": "DELETE FROM accounts WHERE id = %d AND branch = 5",
		"insert": "INSERT INTO log (what, id) VALUES ('it''s', %d)",
	} {
		texts := make([]string, 100)
		for i := range texts {
			texts[i] = fmt.Sprintf(text, i*10)
		}
		b.Run(name, func(b *testing.B) {
			r := NewReader()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.Read(texts[i%100], usual)
			}
		})
	}
}

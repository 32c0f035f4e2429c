package impact

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/policy"
)

func TestMain(m *testing.M) { pgcluster.Main(m) }

// shop is a small schema with one of everything that the catalogue is asked for.
const shop = `
CREATE TABLE accounts (id int PRIMARY KEY, email text NOT NULL UNIQUE, name text, nick varchar, vip bool NOT NULL, at timestamptz);
CREATE TABLE users (id int PRIMARY KEY, account_id int NOT NULL REFERENCES accounts ON DELETE CASCADE ON UPDATE CASCADE, code text UNIQUE);
CREATE TABLE orders (id int PRIMARY KEY, user_id int NOT NULL REFERENCES users ON DELETE CASCADE, total numeric NOT NULL);
CREATE TABLE audit (id int PRIMARY KEY, account_id int REFERENCES accounts ON DELETE SET NULL, what text NOT NULL);
CREATE TABLE events (id int, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE TABLE logs (id int NOT NULL);
CREATE TABLE logs_archive () INHERITS (logs);
CREATE TABLE holds (account_id int);
CREATE TABLE to_purge (acct int NOT NULL);
CREATE TABLE purge_log (msg text);
CREATE TABLE "Drop ""Table" (n int PRIMARY KEY);
CREATE UNIQUE INDEX ON orders (user_id) WHERE total > 0;
CREATE UNIQUE INDEX ON orders (abs(id));
CREATE VIEW vips AS SELECT id, email FROM accounts WHERE vip;
CREATE VIEW vip_emails AS SELECT email FROM vips;
CREATE SEQUENCE numbers;
SELECT nextval('numbers');
CREATE FUNCTION wipe_audit() RETURNS void LANGUAGE sql AS $$ DELETE FROM audit $$;
CREATE FUNCTION total(p int) RETURNS numeric LANGUAGE sql STABLE BEGIN ATOMIC SELECT sum(total) FROM orders WHERE user_id = p; END;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER accounts_touch BEFORE UPDATE OF name OR INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER off BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE accounts DISABLE TRIGGER off;
CREATE RULE purge AS ON INSERT TO purge_log WHERE NEW.msg = 'all' DO ALSO DELETE FROM audit;
INSERT INTO accounts SELECT i, i || '@a', 'n', 'm', false, now() FROM generate_series(1, 100) i;
INSERT INTO logs_archive VALUES (1);
INSERT INTO events VALUES (1, '2025-02-03');
CREATE SCHEMA billing;
CREATE TABLE billing.accounts (id int PRIMARY KEY, iban text NOT NULL);
CREATE SCHEMA secret;
CREATE TABLE secret.keys (id int);
GRANT USAGE ON SCHEMA billing TO clerk;
ANALYZE;`

// database makes a database with the schema and gives a session of a role without
// privileges in it.
func database(t testing.TB, sql string) (clerk *pgconn.PgConn) {
	t.Helper()
	cluster := pgcluster.Shared(t)
	name := cluster.NewDatabase(t)
	run(t, connect(t, cluster.DSN(name, cluster.Superuser)),
		"DO $$ BEGIN CREATE ROLE clerk LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;"+sql)
	return connect(t, cluster.DSN(name, "clerk"))
}

func connect(t testing.TB, dsn string) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func run(t testing.TB, conn *pgconn.PgConn, sql string) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), sql).ReadAll(); err != nil {
		t.Fatalf("run the schema: %v", err)
	}
}

// ask asks the catalogue as the proxy does.
func ask(t testing.TB, conn *pgconn.PgConn, names ...policy.Name) *policy.Catalog {
	t.Helper()
	result := conn.ExecParams(context.Background(), CatalogSQL, CatalogParameters(names), nil, nil, nil).Read()
	if result.Err != nil {
		t.Fatalf("ask the catalogue: %v", result.Err)
	}
	if len(result.Rows) != 1 || len(result.Rows[0]) != 1 {
		t.Fatalf("the catalogue answered with %d rows", len(result.Rows))
	}
	c, err := DecodeCatalog(result.Rows[0][0])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func relation(schema, name string) policy.Name {
	return policy.Name{Schema: schema, Name: name, Kind: policy.NameRelation}
}

func find(t *testing.T, c *policy.Catalog, name string) policy.Relation {
	t.Helper()
	for _, r := range c.Relations {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("the catalogue has no relation %s", name)
	return policy.Relation{}
}

func TestNamesMeanWhatTheyMeanInTheSession(t *testing.T) {
	clerk := database(t, shop)
	schemaOf := func(n policy.Name) string {
		c := ask(t, clerk, n)
		for _, r := range c.Relations {
			if r.OID == c.Found[0].OID {
				return r.Schema
			}
		}
		return ""
	}
	if got := schemaOf(relation("", "accounts")); got != "public" {
		t.Errorf("accounts is in %q", got)
	}
	run(t, clerk, "SET search_path = billing, public")
	if got := schemaOf(relation("", "accounts")); got != "billing" {
		t.Errorf("with another search_path accounts is in %q", got)
	}
	run(t, clerk, "CREATE TEMPORARY TABLE accounts (id int)")
	c := ask(t, clerk, relation("", "accounts"), relation("pg_temp", "accounts"), relation("pg_temp", "orders"))
	if r := c.Relations[0]; !r.Temporary || !r.Empty || c.Found[0].OID != r.OID || c.Found[1].OID != r.OID || c.Found[2].OID != 0 {
		t.Errorf("the temporary table is %+v, found as %+v", r, c.Found)
	}
	run(t, clerk, "DROP TABLE accounts")
	if got := schemaOf(relation("", "accounts")); got != "billing" {
		t.Errorf("without the temporary table accounts is in %q", got)
	}
	if got := schemaOf(relation("", `Drop "Table`)); got != "public" {
		t.Errorf("a name in quotes is in %q", got)
	}
}

// A superuser can drop the temporary tables of others.
func TestOnlyTheSessionsOwnTemporaryTablesAreTemporary(t *testing.T) {
	cluster := pgcluster.Shared(t)
	dsn := cluster.DSN(cluster.NewDatabase(t), cluster.Superuser)
	one, other := connect(t, dsn), connect(t, dsn)
	run(t, one, "CREATE TEMPORARY TABLE scratch (id int)")
	schema := ask(t, one, relation("", "scratch")).Relations[0].Schema
	if c := ask(t, one, relation(schema, "scratch")); !c.Relations[0].Temporary {
		t.Errorf("to its own session: %+v", c.Relations[0])
	}
	if c := ask(t, other, relation(schema, "scratch")); c.Relations[0].Temporary {
		t.Errorf("to another session: %+v", c.Relations[0])
	}
}

// What a role may not look into, and what is not there, must not be an error: it
// would abort the client's transaction.
func TestNothingAskedForIsAnError(t *testing.T) {
	clerk := database(t, shop)
	run(t, clerk, "BEGIN")
	c := ask(t, clerk, relation("secret", "keys"), relation("nowhere", "t"), relation("", "t"), relation("", strings.Repeat("x", 200)),
		relation("", ""), relation(`"`, `'; \`), policy.Name{Schema: "secret", Name: "f", Kind: policy.NameFunction},
		policy.Name{Name: "nope", Kind: policy.NameType}, policy.Name{Name: "billing", Kind: policy.NameSchema},
		policy.Name{Name: "nope", Kind: policy.NameSchema}, policy.Name{Name: "timestamptz", Kind: policy.NameType})
	if len(c.Relations) != 0 {
		t.Errorf("found %+v", c.Relations)
	}
	hidden := []bool{true, false, false, false, false, false, true, false, false, false, false}
	found := []bool{false, false, false, false, false, false, false, false, true, false, true}
	for i, f := range c.Found {
		if f.Hidden != hidden[i] || (f.OID != 0) != found[i] {
			t.Errorf("%d: %+v", i, f)
		}
	}
	run(t, clerk, "COMMIT")
	if empty := ask(t, clerk); len(empty.Found)+len(empty.Relations) != 0 || empty.ServerVersion < 150000 {
		t.Errorf("asked for nothing: %+v", empty)
	}
}

func TestWhatTheCatalogueSaysOfATable(t *testing.T) {
	clerk := database(t, shop)
	c := ask(t, clerk, relation("", "accounts"), relation("", "orders"), relation("", "holds"), relation("", "events"), relation("", "logs"),
		relation("", "numbers"), relation("", "vip_emails"), relation("", "purge_log"), relation("", "users"))

	accounts := find(t, c, "accounts")
	columns := ""
	for _, k := range accounts.Columns {
		columns += fmt.Sprintf("%s %v %s %s; ", k.Name, k.NotNull, k.Kind, k.Type)
	}
	if columns != "id true num int4; email true text text; name false text text; nick false text varchar; vip true bool bool; at false other timestamptz; " {
		t.Errorf("columns: %s", columns)
	}
	if got := fmt.Sprint(accounts.Keys); got != "[[id] [email]]" {
		t.Errorf("keys: %s", got)
	}
	if accounts.Rows != 100 || accounts.Empty || accounts.Pages == 0 || accounts.LastAnalyzed == nil {
		t.Errorf("size: %+v", accounts)
	}
	if len(accounts.Triggers) != 1 {
		t.Fatalf("triggers: %+v", accounts.Triggers)
	}
	if tr := accounts.Triggers[0]; tr.Name != "accounts_touch" || !slices.Equal(tr.Columns, []string{"name"}) || tr.Definition != "" || tr.Timing != "before" || !tr.Row || !tr.Conditional ||
		!slices.Equal(tr.Events, []string{"insert", "update"}) || !slices.ContainsFunc(c.Functions, func(f policy.Function) bool {
		return f.OID == tr.Function && f.Language == "plpgsql" && strings.Contains(f.Body, "RETURN NEW")
	}) {
		t.Errorf("trigger: %+v", tr)
	}
	// A key over a column that can be null, a partial one and one over an expression are none.
	if got := fmt.Sprint(find(t, c, "users").Keys, find(t, c, "orders").Keys); got != "[[id]] [[id]]" {
		t.Errorf("keys: %s", got)
	}
	if !find(t, c, "holds").Empty {
		t.Error("holds is not empty")
	}
	events := find(t, c, "events")
	if events.Kind != "p" || !slices.Equal(events.Below, []uint32{find(t, c, "events_2025").OID, find(t, c, "events_rest").OID}) ||
		find(t, c, "events_2025").Empty || !find(t, c, "events_rest").Empty || fmt.Sprint(events.Keys) != "[[id at]]" {
		t.Errorf("partitions: %+v", events)
	}
	if logs := find(t, c, "logs"); !logs.Empty || len(logs.Below) != 1 || find(t, c, "logs_archive").Empty {
		t.Errorf("inheritance: %+v", logs)
	}
	if v := find(t, c, "numbers").LastValue; v != nil {
		t.Errorf("a sequence that the role may not see stands at %d", *v)
	}
	if v := find(t, c, "vip_emails"); !slices.Equal(v.Bases, []uint32{find(t, c, "vips").OID}) ||
		!slices.Equal(find(t, c, "vips").Bases, []uint32{accounts.OID}) {
		t.Errorf("view: %+v", v)
	}
	if rules := find(t, c, "purge_log").Rules; len(rules) != 1 || rules[0].Event != "insert" || !strings.Contains(rules[0].Definition, "DELETE FROM") {
		t.Errorf("rules: %+v", rules)
	}
	if c.Cut {
		t.Error("cut")
	}
}

func TestWhatConstraintsSayOfATable(t *testing.T) {
	clerk := database(t, `
		CREATE TYPE mood AS ENUM ('sad', 'ok');
		ALTER TYPE mood ADD VALUE 'happy' AFTER 'sad';
		CREATE TYPE pair AS (a int, b int);
		CREATE DOMAIN amount AS numeric CHECK (VALUE >= 0);
		CREATE DOMAIN small AS amount CONSTRAINT low CHECK (VALUE < 100);
		ALTER DOMAIN small ADD CHECK (VALUE <> 5) NOT VALID;
		CREATE EXTENSION citext;
		CREATE TABLE t (m mood, p pair, s small, a int[], c citext, n int NOT NULL CHECK (n > 0), CHECK (n < 9) NO INHERIT);
		CREATE TABLE below () INHERITS (t);
		ALTER TABLE t ADD CHECK (n <> 5) NOT VALID;
		CREATE TABLE alone (n int CHECK (n > 0) NO INHERIT);
		CREATE TABLE parted (d date, k text COLLATE "C", n int) PARTITION BY RANGE (d);
		CREATE TABLE part PARTITION OF parted FOR VALUES FROM ('2025-01-01') TO (MAXVALUE) PARTITION BY LIST (k);
		CREATE TABLE leaf PARTITION OF part FOR VALUES IN ('a', NULL);
		CREATE TABLE hashed (n int) PARTITION BY LIST ((n % 2));
		CREATE TABLE odd PARTITION OF hashed FOR VALUES IN (1);
		CREATE TABLE other (k text COLLATE "C") PARTITION BY RANGE (k COLLATE "POSIX");
		CREATE TABLE another PARTITION OF other DEFAULT;
		CREATE FUNCTION same(text, int) RETURNS bool LANGUAGE sql AS 'SELECT true';
		CREATE OPERATOR = (LEFTARG = text, RIGHTARG = int, FUNCTION = same);`)
	c := ask(t, clerk, relation("", "t"), relation("", "below"), relation("", "alone"), relation("", "leaf"), relation("", "odd"), relation("", "another"))
	got := ""
	for _, k := range find(t, c, "t").Columns {
		slices.Sort(k.Checks)
		got += fmt.Sprintf("%s %s %v %v; ", k.Name, k.Type, k.Labels, k.Checks)
	}
	if got != "m mood [sad happy ok] []; p record [] []; s numeric [] [((VALUE)::numeric < (100)::numeric) (VALUE >= (0)::numeric)]; a _int4 [] []; c  [] []; n int4 [] []; " {
		t.Errorf("columns: %s", got)
	}
	for name, want := range map[string]string{
		"t": "[(n > 0)]", "below": "[(n > 0)]", "alone": "[(n > 0)]", "leaf": "[]",
	} {
		if got := fmt.Sprint(find(t, c, name).Checks); got != want {
			t.Errorf("checks of %s: %s, want %s", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"leaf": "[{[k] FOR VALUES IN ('a', NULL)} {[d] FOR VALUES FROM ('2025-01-01') TO (MAXVALUE)}]",
		"odd":  "[{[] FOR VALUES IN (1)}]", "another": "[{[] DEFAULT}]", "t": "[]",
	} {
		bounds := find(t, c, name).Bounds
		slices.SortFunc(bounds, func(a, b policy.Bound) int { return strings.Compare(b.Text, a.Text) })
		if got := fmt.Sprint(bounds); got != want {
			t.Errorf("bounds of %s: %s, want %s", name, got, want)
		}
	}
	if got := fmt.Sprint(c.Operators); got != "[=]" { // those of citext are for its own type
		t.Errorf("operators: %s", got)
	}
}

func TestForeignKeysAreFollowed(t *testing.T) {
	clerk := database(t, shop)
	c := ask(t, clerk, relation("", "accounts"))
	var got []string
	for _, k := range c.ForeignKeys {
		got = append(got, fmt.Sprint(k.Name, k.Columns, k.ReferencedColumns, " ", k.OnDelete, " ", k.OnUpdate, " ", k.Validated))
	}
	want := []string{
		"users_account_id_fkey[account_id] [id] cascade cascade true",
		"orders_user_id_fkey[user_id] [id] cascade no action true",
		"audit_account_id_fkey[account_id] [id] set null no action true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// One account has half of the orders, and each of the others one.
func TestHowManyRowsFollowAForeignKeyIsEstimated(t *testing.T) {
	clerk := database(t, `
CREATE TABLE accounts (id int PRIMARY KEY);
CREATE TABLE orders (account_id int REFERENCES accounts ON DELETE CASCADE);
INSERT INTO accounts SELECT generate_series(1, 101);
INSERT INTO orders SELECT CASE WHEN i <= 100 THEN 1 ELSE i - 99 END FROM generate_series(1, 200) i;
ANALYZE;`)
	facts := policy.NewReader().Read("DELETE FROM accounts WHERE id = 5", policy.Lexing{Encoding: "UTF8", StandardConformingStrings: true, Known: true})[0]
	orders := func(conn *pgconn.PgConn) policy.Cascade {
		return policy.NewReader().Refine(facts, ask(t, conn, facts.Names()...)).Actions[0].Cascades[0]
	}
	// Who may not read a table does not see its statistics.
	if x := orders(clerk); x.PerRow != -1 || x.AtMost != -1 {
		t.Errorf("without privileges: %+v", x)
	}
	cluster := pgcluster.Shared(t)
	database := string(clerk.ExecParams(t.Context(), "SELECT current_database()", nil, nil, nil, nil).Read().Rows[0][0])
	if x := orders(connect(t, cluster.DSN(database, cluster.Superuser))); x.PerRow < 1.9 || x.PerRow > 2.1 || x.AtMost != 100 {
		t.Errorf("by the owner: %+v", x)
	}
}

func TestPartitionedTablesThatReferAreListedOnce(t *testing.T) {
	clerk := database(t, `
CREATE TABLE a (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE a1 PARTITION OF a FOR VALUES FROM (0) TO (9);
CREATE TABLE b (id int REFERENCES a ON DELETE CASCADE) PARTITION BY RANGE (id);
CREATE TABLE b1 PARTITION OF b FOR VALUES FROM (0) TO (9);`)
	facts := policy.NewReader().Read("DELETE FROM a WHERE id = 1", policy.Lexing{Encoding: "UTF8", StandardConformingStrings: true, Known: true})[0]
	c := ask(t, clerk, facts.Names()...)
	var got []string
	for _, x := range policy.NewReader().Refine(facts, c).Actions[0].Cascades {
		got = append(got, x.Table.Name+" "+x.Effect)
	}
	if want := []string{"a1 partition", "b delete", "b1 partition"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFunctionsAreThoseThatACallMayMean(t *testing.T) {
	clerk := database(t, shop+`
CREATE FUNCTION billing.wipe_audit() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION lower(int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'x'; END $$;`)
	function := func(schema, name string) policy.Name {
		return policy.Name{Schema: schema, Name: name, Kind: policy.NameFunction}
	}
	names := func(c *policy.Catalog) (all []string) {
		for _, f := range c.Functions {
			all = append(all, strings.TrimSpace(fmt.Sprint(f.Schema, ".", f.Name, " ", f.Volatility, " ", f.Language, " ", f.BuiltIn, " ", strings.TrimSpace(f.Body))))
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	if got := names(ask(t, clerk, function("", "wipe_audit"))); len(got) != 1 || got[0] != "public.wipe_audit v sql false DELETE FROM audit" {
		t.Errorf("%q", got)
	}
	if got := names(ask(t, clerk, function("billing", "wipe_audit"))); len(got) != 1 || got[0] != "billing.wipe_audit v sql false SELECT 1" {
		t.Errorf("%q", got)
	}
	if got := names(ask(t, clerk, function("", "total"))); len(got) != 1 || !strings.HasPrefix(got[0], "public.total s sql false BEGIN ATOMIC") {
		t.Errorf("%q", got)
	}
	if got := names(ask(t, clerk, function("", "lower"))); !slices.Contains(got, "pg_catalog.lower i internal true") || !slices.Contains(got, "public.lower v plpgsql false BEGIN RETURN 'x'; END") {
		t.Errorf("%q", got)
	}
}

// A client owns its search_path: what stands in it must not answer in the
// catalogue's place.
func TestNothingInTheSearchPathIsUsed(t *testing.T) {
	clerk := database(t, shop+`
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO clerk;
CREATE FUNCTION evil.json_build_object(VARIADIC "any") RETURNS pg_catalog.json LANGUAGE internal AS 'json_build_object';
CREATE FUNCTION evil.wrong(text, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
CREATE FUNCTION evil.wrong(oid, oid) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
CREATE FUNCTION evil.wrong("char", "char") RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
CREATE FUNCTION evil.wrong(name, name) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
CREATE FUNCTION evil.wrong(int8, int8) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
CREATE FUNCTION evil.to_regclass(text) RETURNS regclass LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.wrong);
CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.wrong);
CREATE OPERATOR evil.= (LEFTARG = "char", RIGHTARG = "char", FUNCTION = evil.wrong);
CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.wrong);
CREATE OPERATOR evil.> (LEFTARG = int8, RIGHTARG = int8, FUNCTION = evil.wrong);
CREATE TABLE evil.pg_class (oid oid);
CREATE TYPE evil.text AS ENUM ('x');`)
	names := []policy.Name{relation("", "accounts"), relation("public", "vips"), relation("", "purge_log"), {Name: "wipe_audit", Kind: policy.NameFunction}}
	want := fmt.Sprintf("%+v", ask(t, clerk, names...).ForeignKeys)
	run(t, clerk, "SET search_path = evil, pg_catalog, public")
	c := ask(t, clerk, names...)
	if got := fmt.Sprintf("%+v", c.ForeignKeys); got != want || find(t, c, "accounts").Schema != "public" {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAGraphWithoutEndIsCut(t *testing.T) {
	var b strings.Builder
	b.WriteString("CREATE TABLE t0 (id int PRIMARY KEY);")
	for i := 1; i < 260; i++ {
		fmt.Fprintf(&b, "CREATE TABLE t%d (id int PRIMARY KEY REFERENCES t%d ON DELETE CASCADE);", i, i/2)
	}
	b.WriteString("ALTER TABLE t0 ADD FOREIGN KEY (id) REFERENCES t9 ON DELETE CASCADE;") // a circle
	clerk := database(t, b.String())
	c := ask(t, clerk, relation("", "t0"))
	if !c.Cut || len(c.Relations) < 200 {
		t.Errorf("cut %v, %d relations", c.Cut, len(c.Relations))
	}
	if c = ask(t, clerk, relation("", "t100")); c.Cut || len(c.Relations) != 3 {
		t.Errorf("t100: cut %v, %d relations", c.Cut, len(c.Relations))
	}
}

// Asking leaves no lock that could get in somebody's way.
func TestAskingTakesNoLockThatLasts(t *testing.T) {
	clerk := database(t, shop)
	run(t, clerk, "BEGIN")
	ask(t, clerk, relation("", "accounts"), relation("", "events"), relation("", "vip_emails"))
	rows := clerk.ExecParams(context.Background(),
		"SELECT relation::regclass FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND relation >= 16384", nil, nil, nil, nil).Read()
	if rows.Err != nil || len(rows.Rows) != 0 {
		t.Errorf("locks: %q, %v", rows.Rows, rows.Err)
	}
}

// Only a table that does no more than take rows is passed over.
func TestInsertsIntoPlainTablesAreTold(t *testing.T) {
	clerk := database(t, shop+"CREATE TABLE off_only (a int); CREATE TRIGGER t BEFORE UPDATE ON off_only FOR EACH ROW EXECUTE FUNCTION touch();")
	for name, want := range map[string]string{
		"orders": "0", "users": "0", "holds": "0", "logs": "0", "nothing": "0", `Drop "Table`: "0",
		"accounts": "1", "purge_log": "1", "vips": "1", "events": "1", "off_only": "1", "public.accounts": "1", "secret.keys": "0", "billing.accounts": "0",
	} {
		schema, table, qualified := strings.Cut(name, ".")
		if !qualified {
			schema, table = "", name
		}
		r := clerk.ExecParams(t.Context(), InsertsSQL, CatalogParameters([]policy.Name{relation(schema, table)}), nil, nil, nil).Read()
		if r.Err != nil || len(r.Rows) != 1 || string(r.Rows[0][0]) != want {
			t.Errorf("%s: %q, %v, want %s", name, r.Rows, r.Err, want)
		}
	}
}

func BenchmarkCatalog(b *testing.B) {
	clerk := database(b, shop)
	for name, sql := range map[string]string{"catalogue": CatalogSQL, "inserts": InsertsSQL} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if r := clerk.ExecParams(b.Context(), sql, CatalogParameters([]policy.Name{relation("", "accounts")}), nil, nil, nil).Read(); r.Err != nil {
					b.Fatal(r.Err)
				}
			}
		})
	}
}

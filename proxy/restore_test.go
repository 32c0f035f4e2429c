package proxy

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/policy/approval"
)

// restoredShop is a small database with what a dump has to say something of.
const restoredShop = `
CREATE TABLE customer (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE purchase (id serial PRIMARY KEY, customer_id int REFERENCES customer ON DELETE CASCADE, total numeric);
CREATE VIEW spent AS SELECT customer_id, sum(total) FROM purchase GROUP BY 1;
INSERT INTO customer (name) SELECT 'customer ' || i FROM generate_series(1, 200) i;
INSERT INTO purchase (customer_id, total) SELECT i % 200 + 1, i FROM generate_series(1, 500) i;
`

// written since the dump, and lost if it is restored.
const sinceTheDump = "INSERT INTO customer (name) VALUES ('since'); UPDATE purchase SET total = 0 WHERE id = 7;"

var (
	emptyPath  = regexp.MustCompile(`(?m)^SELECT pg_catalog.set_config\('search_path'.*$`)
	newSetting = regexp.MustCompile(`(?m)^SET (xmloption|row_security|idle_in_transaction_session_timeout|default_table_access_method).*$`)
)

// TestARestoreIsAskedAboutOnce plays dumps of every kind over a database whose rows
// have moved on: nothing of them is lost, and one session opens one request.
func TestARestoreIsAskedAboutOnce(t *testing.T) {
	cluster, err := pgcluster.Start(t.Context(), pgcluster.Options{Superuser: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	r := serveWith(t, cluster, "version: 1\ninclude: standard\nrules: []\n", func(c *Config) { c.MaxWait = 0 })
	run := func(t *testing.T, input, program string, args ...string) string {
		t.Helper()
		cmd := cluster.Command(t.Context(), cluster.Bin(program), args...)
		cmd.Stdin = strings.NewReader(input)
		out, _ := cmd.CombinedOutput() //nolint:errcheck // how a refused restore ends is not the point
		return string(out)
	}
	must := func(t *testing.T, database, sql string) {
		t.Helper()
		if out, err := cluster.Psql(t.Context(), "-d", database, "-c", sql); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	database := cluster.NewDatabase(t)
	must(t, database, restoredShop)
	direct, through := cluster.DSN(database, cluster.Superuser), cluster.DSNAt(r.addr, database, cluster.Superuser)
	file := filepath.Join(cluster.Dir, "shop.dump")
	older := func(dump string) string { return newSetting.ReplaceAllString(emptyPath.ReplaceAllString(dump, ""), "") }
	same := func(dump string) string { return dump }
	for _, c := range []struct {
		name     string
		dump     []string
		restore  []string // of pg_restore; nil: psql
		edit     func(string) string
		sessions int
	}{
		{"clean", []string{"--clean", "--if-exists"}, nil, same, 1},
		{"inserts", []string{"--inserts", "--clean"}, nil, same, 1},
		{"column inserts of data", []string{"--column-inserts", "--data-only"}, nil, same, 1},
		{"data without triggers", []string{"--data-only", "--disable-triggers"}, nil, same, 1},
		{"one table", []string{"--clean", "-t", "purchase"}, nil, same, 1},
		{"create", []string{"--create", "--clean"}, nil, same, 2}, // it connects anew,
		{"before 2018", []string{"--clean"}, nil, older, 1},
		{"before 2018, data", []string{"--data-only", "--inserts"}, nil, older, 1},
		{"pg_restore", nil, []string{"--clean"}, same, 1},
		{"pg_restore of data", nil, []string{"--data-only", "--disable-triggers"}, same, 1},
		{"pg_restore with jobs", nil, []string{"--clean", "-j2"}, same, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			dump := run(t, "", "pg_dump", append(c.dump, "-d", direct)...)
			run(t, "", "pg_dump", "-Fc", "-d", direct, "-f", file)
			must(t, database, sinceTheDump)
			want := contents(t, cluster, database)
			before := requests(t, r)
			var out string
			if c.restore == nil {
				out = run(t, c.edit(dump), "psql", "-X", "-q", "-d", through)
			} else {
				out = run(t, "", "pg_restore", append(c.restore, "-d", through, file)...)
			}
			if got := contents(t, cluster, database); got != want {
				t.Errorf("the database is another one now:\n%s\n%s", got, out)
			}
			opened := requests(t, r)[len(before):]
			// A dump that begins as another one, still undecided, joins its request.
			if len(opened) > c.sessions || !strings.Contains(out, "rule restore opened request") {
				t.Errorf("%d requests\n%s", len(opened), out)
			}
			for _, request := range opened {
				if request.Rule != "restore" || !strings.Contains(request.Impact, "2 tables that hold about") || !strings.Contains(request.Impact, "written to disk") {
					t.Errorf("request for %s: %s", request.Rule, request.Impact)
				}
			}
		})
	}
}

// contents is what the tables hold, and which there are.
func contents(t *testing.T, cluster *pgcluster.Cluster, database string) string {
	t.Helper()
	out, err := cluster.Psql(t.Context(), "-A", "-t", "-d", database, "-c", `SELECT 'customer', md5(string_agg(c::text, ',' ORDER BY id)) FROM customer c
		UNION ALL SELECT 'purchase', md5(string_agg(p::text, ',' ORDER BY id)) FROM purchase p
		UNION ALL SELECT relname, relkind::text FROM pg_class WHERE oid >= 16384 AND relkind <> 't'
		UNION ALL SELECT 'next', last_value::text FROM customer_id_seq
		UNION ALL SELECT conname, contype::text FROM pg_constraint WHERE oid >= 16384
		UNION ALL SELECT tgname, tgenabled::text FROM pg_trigger ORDER BY 1, 2`)
	if err != nil {
		return fmt.Sprintf("%v\n%s", err, out)
	}
	return string(out)
}

// requests are all that were opened, oldest first.
func requests(t *testing.T, r *running) []approval.Request {
	t.Helper()
	all, err := r.service.List(t.Context(), approval.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for i, j := 0, len(all)-1; i < j && all[i].ID > all[j].ID; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all
}

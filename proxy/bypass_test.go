package proxy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// TestBypasses plays attempts to get the rows of accounts deleted without an
// approval, or on the approval of something else, over a real PostgreSQL; the
// rows must be there afterwards. Each file of testdata/bypass is one that worked
// once, or nearly; the folder only grows.
//
// "connect" begins another session, "approve" has bob approve what is pending.
// {63} stands for 63 letters, the longest name the server keeps. The policy is
// standard, or the one named in the first line.
func TestBypasses(t *testing.T) {
	files, err := filepath.Glob("../testdata/bypass/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no attempts: %v", err)
	}
	policies := map[string]string{
		"standard": "version: 1\ninclude: standard\nrules: []\n",
		"autocommit": "version: 1\nrules:\n  - id: autocommit\n    match: {statement: [update, delete], transaction: none}\n" +
			"    action: block\n",
		"deletes": "version: 1\nrules:\n  - id: deletes\n    match: {statement: [delete]}\n    action: hold\n",
	}
	cluster := pgcluster.Shared(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.ReplaceAll(string(b), "{63}", strings.Repeat("n", 63))
			policyName := "standard"
			if first, rest, _ := strings.Cut(text, "\n"); strings.HasPrefix(first, "policy ") {
				policyName, text = strings.TrimPrefix(first, "policy "), rest
			}
			r := serveWith(t, cluster, policies[policyName], func(c *Config) { c.MaxWait = 0 })
			db := inventory(t, cluster)
			psql(t, cluster, cluster.DSN(db, cluster.Superuser), `
				CREATE TABLE scratch (id int); ALTER TABLE scratch OWNER TO alice;
				CREATE SCHEMA mine AUTHORIZATION alice; CREATE TABLE mine.accounts (id int);
				ALTER TABLE mine.accounts OWNER TO alice;
				INSERT INTO scratch VALUES (1); INSERT INTO mine.accounts VALUES (1);
				DO $$ BEGIN CREATE ROLE low; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$;
				GRANT low TO alice; CREATE VIEW mine.sjis AS SELECT set_config('client_encoding', 'SJIS', false);
				GRANT SELECT ON mine.sjis TO alice`)
			var said string
			for part := range strings.SplitSeq(text, "connect\n") {
				conversation, approves, _ := strings.Cut(part, "approve\n")
				said += converse(t, r.addr, db, strings.Split(conversation, "\n"))
				if strings.Contains(part, "approve\n") {
					q := r.request(t)
					if _, err := r.service.Approve(t.Context(), q.ID, "bob", "psql", "as seen: "+q.Statement); err != nil {
						t.Fatal(err)
					}
				}
				if approves != "" {
					t.Fatalf("after approve comes connect, not %q", approves)
				}
			}
			if n := psql(t, cluster, cluster.DSN(db, cluster.Superuser), "SELECT count(*) FROM accounts"); n != "100" {
				t.Errorf("%s rows are left\n%s", n, said)
			}
		})
	}
}

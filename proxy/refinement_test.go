package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/proxy/impact"
)

// TestLentFactsGoByTheCatalogueOfNow: what the catalogue has said of one text counts for
// others of its shape until it says something else.
func TestLentFactsGoByTheCatalogueOfNow(t *testing.T) {
	s := gateAlone(t)
	kept := func(text string) *policy.Facts {
		t.Helper()
		all, ok := s.consultKept([][]*policy.Facts{s.read(text)}, nil)
		if !ok || all[0][0].Text != text {
			t.Fatalf("%s is refined to %q, %t", text, all[0][0].Text, ok)
		}
		return all[0][0]
	}
	says := func(relation string) {
		t.Helper()
		c, err := impact.DecodeCatalog([]byte(strings.Replace(accountsCatalog, `"kind": "r",`, `"kind": "r", `+relation, 1)))
		if err != nil {
			t.Fatal(err)
		}
		s.toServer.catalogs[keyOf("accounts")] = keptCatalog{c.Kept(), time.Now()}
	}
	const update, remove = "UPDATE accounts SET balance = 1 WHERE id = ", "DELETE FROM accounts WHERE branch = "
	for range 2 {
		says("")
		for _, id := range []string{"1", "2", "3"} {
			if f := kept(update + id); f.Proven() == nil {
				t.Errorf("%s is not proven", f.Text)
			}
		}
		says(`"triggers": [{"name": "t", "timing": "after", "events": ["update"], "row": true, "function": 1}],`)
		for _, id := range []string{"4", "5"} {
			if f := kept(update + id); f.Proven() != nil {
				t.Errorf("%s is proven, and sets off a trigger", f.Text)
			}
		}
		says(`"checks": ["(branch = 5)"],`)
		for branch, want := range map[string]policy.Where{"5": policy.WhereTrueUnlessNull, "6": policy.WherePresent} {
			if f := kept(remove + branch); f.Actions[0].Where != want {
				t.Errorf("the WHERE of %s is %v, want %v", f.Text, f.Actions[0].Where, want)
			}
		}
	}
}

func TestWhatForcesACommit(t *testing.T) {
	r := policy.NewReader()
	for text, want := range map[string]bool{
		"VACUUM": true, "CLUSTER": true, "CLUSTER t": false, "DISCARD ALL": true, "DISCARD PLANS": false, "COMMIT PREPARED 'x'": true,
		"ROLLBACK PREPARED 'x'": true, "DROP SUBSCRIPTION s": true, "REINDEX INDEX CONCURRENTLY i": true, "REINDEX TABLE t": false,
		"ALTER SYSTEM SET work_mem = 1024": true, "ANALYZE": false, "CREATE INDEX ON t (a)": false,
	} {
		f := r.Read(text, policy.Lexing{Encoding: "UTF8", StandardConformingStrings: true, Known: true})[0]
		if forcesCommit(f) != want {
			t.Errorf("%s: %t", text, !want)
		}
	}
}

package ledger

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/pgsluice/pgsluice/policy/approval"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mustOpen(t *testing.T, path string) *SQLite {
	t.Helper()
	l, err := OpenSQLite(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // for a test that ends early; others check it
	return l
}

func mustClose(t *testing.T, l *SQLite) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSecondProcessIsTurnedAwayWithASentence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	first := mustOpen(t, path)
	_, err := OpenSQLite(path)
	if err == nil || !strings.Contains(err.Error(), "another pgsluice process is using it") || !strings.Contains(err.Error(), path) {
		t.Errorf("a second one opened the ledger: %v", err)
	}
	mustClose(t, first)
	mustClose(t, mustOpen(t, path))
}

func TestOnlyTheOwnerMayReadTheFiles(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0)) // as careless as it gets
	dir := filepath.Join(t.TempDir(), "state", "deep")
	l := mustOpen(t, filepath.Join(dir, "ledger.db"))
	create(t, l, "a")
	for name, want := range map[string]os.FileMode{
		filepath.Dir(dir): 0o700, dir: 0o700, dir + "/ledger.db": 0o600, dir + "/ledger.db-wal": 0o600, dir + "/ledger.db-shm": 0o600, dir + "/ledger.db.lock": 0o600,
	} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
	mustClose(t, l)
}

func TestFileIsWrittenSoThatACommitSurvivesAPowerCut(t *testing.T) {
	l := mustOpen(t, filepath.Join(t.TempDir(), "ledger.db"))
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000", "user_version": fmt.Sprint(len(schemas))} {
		var got string
		if err := l.db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, want %s; %v", pragma, got, want, err)
		}
	}
	mustClose(t, l)
}

func TestPathMayHoldAnything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "50% of what? #1 & more", "ledger.db")
	l := mustOpen(t, path)
	create(t, l, "a")
	mustClose(t, l)
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		t.Errorf("the ledger is not where it was asked for: %v", err)
	}
}

func TestFileThatIsNoLedgerIsLeftAlone(t *testing.T) {
	script := func(sql_ string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			db, err := sql.Open("sqlite3", path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(sql_); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		make func(*testing.T, string)
		want string
	}{
		"another program's database": {script("CREATE TABLE request (id INTEGER); INSERT INTO request VALUES (1)"), "another program"},
		"a newer pgsluice's":         {script(fmt.Sprintf("CREATE TABLE request (id INTEGER); PRAGMA application_id = %d; PRAGMA user_version = %d", application, len(schemas)+1)), "use a newer pgsluice"},
		"no database at all": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a database"},
		"a folder": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ledger.db")
			c.make(t, path)
			for range 2 { // the lock must not stay behind
				if l, err := OpenSQLite(path); err == nil || !strings.Contains(err.Error(), c.want) {
					if l != nil {
						mustClose(t, l)
					}
					t.Errorf("it was opened: %v", err)
				}
			}
		})
	}
	if _, err := OpenSQLite(""); err == nil {
		t.Error("a ledger in no file was opened")
	}
}

func TestMigrationThatFailsChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := mustOpen(t, path)
	create(t, l, "kept")
	mustClose(t, l)

	defer func(now []string) { schemas = now }(schemas)
	n := len(schemas)
	schemas = append(schemas[:n:n], "ALTER TABLE request ADD COLUMN undo TEXT NOT NULL DEFAULT 'off'", "CREATE TABLE request (this one exists)")
	if _, err := OpenSQLite(path); err == nil || !strings.Contains(err.Error(), fmt.Sprint("version ", n+2)) {
		t.Fatalf("a migration that fails was answered with %v", err)
	}
	schemas = schemas[:n+1]
	l = mustOpen(t, path) // the version before was not made either, or this would fail
	if r, err := l.Get(t.Context(), 1); err != nil || r.Statement != "kept" {
		t.Errorf("after the migration: %+v, %v", r, err)
	}
	mustClose(t, l)
	mustClose(t, mustOpen(t, path)) // and once only
}

func TestErrorsDoNotQuoteTheStatement(t *testing.T) {
	l := mustOpen(t, filepath.Join(t.TempDir(), "ledger.db"))
	r := aRequest("DELETE FROM secrets")
	r.State = "no such state"
	_, create := l.Create(t.Context(), r)
	r.Binding = nil
	_, short := l.Create(t.Context(), r)
	mustClose(t, l)
	_, closed := l.Create(t.Context(), aRequest("DELETE FROM secrets"))
	for _, err := range []error{create, short, closed} {
		if err == nil || strings.Contains(err.Error(), "secrets") {
			t.Errorf("answered with %v", err)
		}
	}
}

func TestNothingIsLeftRunningInABubble(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	synctest.Test(t, func(t *testing.T) {
		l, err := OpenSQLite(path)
		if err != nil {
			t.Fatal(err)
		}
		create(t, l, "a")
		if all, err := l.List(t.Context(), approval.Filter{}); err != nil || len(all) != 1 {
			t.Errorf("%v, %v", all, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

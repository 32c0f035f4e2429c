// Package pgsluice_test holds what must be true of the module as a whole.
package pgsluice_test

import (
	"bytes"
	"errors"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/pgsluice/pgsluice"

// mayImport is the layout: each package, and the packages of this module that
// it may know. A package that is not here does not belong anywhere yet. The
// form is that of Go's own go/build/deps_test.go.
var mayImport = map[string][]string{
	"policy":                   {},
	"policy/internal/builtins": {},
	"policy/approval":          {},
	"policy/approval/ledger":   {"policy/approval"},
	"policy/audit":             {"policy/approval"},
	"proxy":                    {"policy", "policy/approval", "proxy/impact"},
	"proxy/impact":             {"policy"},

	"internal/pgcluster":   {},
	"internal/bench":       {"internal/pgcluster"},
	"internal/conformance": {"internal/pgcluster"},
	"internal/regress":     {"internal/pgcluster", "policy"},

	"cmd/pgsluice/internal/demo": {"internal/pgcluster"},
	"cmd/pgsluice": {
		"cmd/pgsluice/internal/demo", "internal/pgcluster",
		"policy", "policy/approval", "policy/approval/ledger", "policy/audit", "proxy", "proxy/impact",
	},
}

// mayNotImport is what a package must do without from elsewhere, and why. A
// path stands for the packages below it too.
var mayNotImport = []struct {
	pkg, path, why string
}{
	{"policy", "net/http", "policy answers, it does not serve"},
	{"policy", "net", "policy knows addresses (net/netip) and no network"},
	{"policy", "database/sql", "policy reads SQL and never runs it"},
	{"policy", "github.com/jackc/pgx", "policy reads SQL and never runs it"},
	{"policy", "go.uber.org/zap", "policy answers, the caller logs"},
	{"policy", "log", "policy answers, the caller logs"},
	{"policy", "github.com/spf13/viper", "viper lower-cases keys and has no positions"},
	{"policy/approval", "net", "approval is told who asks"},
	{"policy/approval", "database/sql", "approval defines the Ledger it needs; the ledger package has the driver"},
	{"policy/approval", "github.com/jackc/pgx", "approval defines the Ledger it needs"},
	{"policy/approval", "go.uber.org/zap", "what must be known goes to the audit log"},
	{"policy/approval", "log", "what must be known goes to the audit log"},
	{"proxy", "net/http", "the proxy speaks PostgreSQL only"},
	{"proxy", "database/sql", "the proxy hands messages on, it is no client of a driver"},
	{"proxy", "github.com/mattn/go-sqlite3", "the ledger is behind policy/approval"},
	{"proxy", "github.com/spf13/viper", "the proxy is given a Config"},
}

// allowedBelow are exceptions of mayNotImport.
var allowedBelow = []string{"net/netip"}

// clockless packages are given the time, so that a test decides what time it is
// and a decision can be explained afterwards.
var clockless = map[string]bool{"policy": true, "policy/approval": true}

// clock is what reads it or waits for it.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

const (
	longestFile = 800
	longestMain = 60
)

func TestPackagesKnowOnlyThoseAboveThem(t *testing.T) {
	for dir, p := range packages(t) {
		allowed, known := mayImport[dir]
		if !known {
			t.Errorf("package %s is not in the table of this test, nor, surely, in ARCHITECTURE.md", dir)
			continue
		}
		for _, path := range p.Imports {
			if ours, ok := strings.CutPrefix(path, module+"/"); ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s: it may know %v", dir, ours, allowed)
			}
		}
	}
}

func TestPackagesDoWithout(t *testing.T) {
	all := packages(t)
	for _, rule := range mayNotImport {
		p, ok := all[rule.pkg]
		if !ok {
			t.Errorf("there is no package %s: the rule on %s protects nothing", rule.pkg, rule.path)
			continue
		}
		for _, path := range p.Imports {
			if (path == rule.path || strings.HasPrefix(path, rule.path+"/")) && !slices.Contains(allowedBelow, path) {
				t.Errorf("%s imports %s: %s", rule.pkg, path, rule.why)
			}
		}
	}
}

func TestProductDoesNotLinkPackageTesting(t *testing.T) {
	for dir, p := range packages(t) {
		if slices.Contains(p.Imports, "testing") {
			t.Errorf("%s imports testing outside its tests", dir)
		}
	}
}

func TestPolicyHasNoClock(t *testing.T) {
	for dir, p := range packages(t) {
		if !clockless[dir] {
			continue
		}
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
			files := token.NewFileSet()
			f, err := parser.ParseFile(files, filepath.Join(dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && isTime(f, s.X) && slices.Contains(clock, s.Sel.Name) {
					t.Errorf("%v: time.%s: the time is given to %s", files.Position(s.Pos()), s.Sel.Name, dir)
				}
				return true
			})
		}
	}
}

// isTime tells whether x is the name under which f imports package time.
func isTime(f *ast.File, x ast.Expr) bool {
	id, ok := x.(*ast.Ident)
	if !ok {
		return false
	}
	for _, i := range f.Imports {
		if path, _ := strconv.Unquote(i.Path.Value); path == "time" {
			return id.Name == "time" && i.Name == nil || i.Name != nil && id.Name == i.Name.Name
		}
	}
	return false
}

func TestFilesStayReadable(t *testing.T) {
	for dir, p := range packages(t) {
		if base := filepath.Base(dir); slices.Contains([]string{"util", "utils", "common", "helpers", "misc", "shared", "lib"}, base) {
			t.Errorf("package %s: a name for everything says nothing", dir)
		}
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
			if n := lines(t, filepath.Join(dir, name)); n > longestFile {
				t.Errorf("%s/%s has %d lines, more than %d", dir, name, n, longestFile)
			}
		}
	}
	if n := lines(t, "cmd/pgsluice/main.go"); n > longestMain {
		t.Errorf("cmd/pgsluice/main.go has %d lines, more than %d: a subcommand has a file of its own", n, longestMain)
	}
}

func lines(t *testing.T, path string) int {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(content, []byte("\n"))
}

// packages are those of the module with code beside tests, by folder.
func packages(t *testing.T) map[string]*build.Package {
	t.Helper()
	found := map[string]*build.Package{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() {
			return nil
		}
		if base := d.Name(); path != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "bin" || base == "state") {
			return fs.SkipDir
		}
		p, err := build.ImportDir(path, 0)
		var none *build.NoGoError
		if errors.As(err, &none) || err == nil && len(p.GoFiles)+len(p.CgoFiles) == 0 {
			return nil
		}
		found[path] = p
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

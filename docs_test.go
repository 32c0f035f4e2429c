package pgsluice_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestProtocolRowsNameTestsThatExist: a test that is renamed or dropped is missed
// in docs/protocol-rows.md, too.
func TestProtocolRowsNameTestsThatExist(t *testing.T) {
	b, err := os.ReadFile("docs/protocol-rows.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w+|(?:wire|oracle|bypass)/\\w+)`").FindAllStringSubmatch(string(b), -1)
	if len(named) < 100 {
		t.Fatalf("only %d tests are named", len(named))
	}
	var source strings.Builder
	err = filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		source.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range named {
		name := m[1]
		if strings.Contains(name, "/") {
			if found, _ := filepath.Glob("testdata/" + name + ".*"); len(found) == 0 { // the pattern is valid
				t.Errorf("there is no %s", name)
			}
		} else if !strings.Contains(source.String(), "func "+name+"(") {
			t.Errorf("there is no %s", name)
		}
	}
}

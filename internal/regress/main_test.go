package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAReadThatWroteIsFound: a view hides a function that writes, which no text
// of the SELECT shows.
func TestAReadThatWroteIsFound(t *testing.T) {
	folder := t.TempDir()
	sql := `-- a comment
CREATE TABLE kept (line text);
COPY kept FROM stdin;
one; two
SELECT 'this is a row, not a statement';
\.
CREATE FUNCTION note() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM kept; RETURN 1; END $$;
CREATE VIEW innocent AS SELECT note() AS n;
SELECT count(*) FROM kept;
SELECT :'variable';
\d kept
SELECT * FROM innocent;
BEGIN;
INSERT INTO kept VALUES ('three');
SELECT * FROM innocent;
SELECT 1;
ROLLBACK;
DELETE FROM kept WHERE;
`
	if err := os.WriteFile(filepath.Join(folder, "a.sql"), []byte(sql), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	wrote, err := run(t.Context(), &out, []string{folder}, true)
	if err != nil {
		t.Fatal(err)
	}
	if wrote != 2 {
		t.Errorf("%d reads that wrote", wrote)
	}
	for _, want := range []string{"a.sql:12: kept +0 ~0 -2: SELECT * FROM innocent", "a.sql:15: from", "unparsed: 1 (", "a.sql:18: the server says 42601",
		"1 left out", "classed as reads: 4, 0 of them with an error"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestNoFolderIsAnError(t *testing.T) {
	for _, folders := range [][]string{nil, {t.TempDir()}} {
		if _, err := run(t.Context(), &strings.Builder{}, folders, false); err == nil {
			t.Errorf("%v: no error", folders)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
)

// The four incidents, over a real PostgreSQL, with real clients, through what
// serve starts.
func TestDemoPlaysTheFourIncidentsAndLosesNoRow(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var out bytes.Buffer
	root := newRoot()
	root.SetOut(&out)
	root.SetArgs([]string{"demo", "--play", "--rows", "100000", "--listen", "127.0.0.1:0"})
	err := root.ExecuteContext(ctx)
	for _, want := range []string{
		"migration DELETE of the import   approved no-where",
		"migration DELETE FROM payments   denied   no-where",
		"cleanup   DELETE, WHERE all true denied   no-where",
		"cleanup   psql -c DELETE, a loop denied   flood-share",
		"restore   psql < dump.sql        denied   restore",
		"restore   pg_restore --clean     denied   restore",
		"editor    UPDATE, autocommit     blocked  autocommit-write",
		"editor    UPDATE after BEGIN     denied   no-where",
		"somebody else has to approve it",
		"No row was lost that nobody approved",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the play does not say %q", want)
		}
	}
	if err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestDemoRefusesTooFewRows(t *testing.T) {
	root := newRoot()
	root.SetArgs([]string{"demo", "--rows", "10"})
	if err := root.Execute(); exitCode(err) != 2 {
		t.Errorf("exit code %d, %v", exitCode(err), err)
	}
}

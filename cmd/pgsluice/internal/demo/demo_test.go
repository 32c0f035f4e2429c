package demo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// unguarded is no proxy at all: clients talk to the server.
func unguarded(_ context.Context, s Setup) (*Proxy, error) {
	return &Proxy{Addr: s.Server, Stop: func() error { return nil }}, nil
}

// The play would be worth nothing if it also succeeded without pgsluice.
func TestPlayFailsWhereNothingStopsTheIncidents(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var out bytes.Buffer
	err := Play(ctx, Config{Rows: 2000, Out: &out, StartProxy: unguarded})
	if !errors.Is(err, ErrLost) {
		t.Fatalf("Play gives %v\n%s", err, out.String())
	}
	for _, want := range []string{
		"migration, DELETE FROM payments: not denied",
		"cleanup, psql -c DELETE, a loop: not stopped",
		"restore, psql < dump.sql: not stopped",
		"editor, UPDATE, autocommit: not stopped",
		"payments: 80 rows before and 0 after",
		"tables and keys:",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestRunSaysWhatToTypeAndRemovesEverything(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var dir string
	stopped := false
	var out bytes.Buffer
	err := Run(ctx, Config{Rows: 2000, Out: &out, StartProxy: func(_ context.Context, s Setup) (*Proxy, error) {
		dir = s.Dir
		if _, err := os.Stat(s.Policy); err != nil {
			t.Error(err)
		}
		cancel() // Ctrl-C, as soon as the instructions are there
		return &Proxy{Addr: "127.0.0.1:6432", Stop: func() error { stopped = true; return nil }}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !stopped {
		t.Error("the proxy was not stopped")
	}
	if _, err := os.Stat(filepath.Dir(dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", dir, err)
	}
	for _, want := range []string{"port=6432 user=alice dbname=inventory", "dbname=pgsluice password=bob", "APPROVE 1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the instructions do not say %q:\n%s", want, out.String())
		}
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 81 {
			t.Errorf("wider than 80 columns: %s", line)
		}
	}
}

func TestOutputFitsEightyColumns(t *testing.T) {
	parts := wrap(strings.Repeat("a word ", 40), 79, "        |   ")
	if len(parts) != 4 {
		t.Errorf("%d lines", len(parts))
	}
	for _, p := range parts {
		if len(p) > 79 {
			t.Errorf("%d columns: %s", len(p), p)
		}
	}
	if got := wrap(strings.Repeat("x", 200), 79, "  "); len(got[0]) != 79 {
		t.Errorf("a long word gives %q", got)
	}
}

func TestTableCallsARowLostWhateverTheOutcomeSays(t *testing.T) {
	var r results
	r.add(result{"editor", "UPDATE", "denied", "no-where", 1, 10, 10, 0})
	r.add(result{"migration", "DELETE", "approved", "no-where", 2, 10, 5, 0})
	if len(r.wrong) != 0 {
		t.Fatalf("wrong: %v", r.wrong)
	}
	r.add(result{"editor", "UPDATE", "blocked", "no-where", 1, 10, 9, 0})
	r.add(result{"editor", "UPDATE", "not stopped", "", 0, 10, 10, 0})
	if len(r.wrong) != 2 {
		t.Errorf("wrong: %v", r.wrong)
	}
	var out bytes.Buffer
	r.print(&out)
	for line := range strings.Lines(out.String()) {
		if len(line) > 81 {
			t.Errorf("wider than 80 columns: %s", line)
		}
	}
}

func TestBarMovesOnATerminalAndTellsQuartersElsewhere(t *testing.T) {
	var terminal, pipe bytes.Buffer
	for _, done := range []int{10, 30, 60, 100} {
		newBar(&terminal, true, 100).show(done)
	}
	if got := strings.Count(terminal.String(), "\r"); got != 4 || !strings.Contains(terminal.String(), "100 %") {
		t.Errorf("on a terminal: %q", terminal.String())
	}
	b := newBar(&pipe, false, 100)
	for done := range 101 {
		b.show(done)
	}
	if got := strings.Count(pipe.String(), "\n"); got != 4 || strings.Contains(pipe.String(), "\r") {
		t.Errorf("in a pipe: %q", pipe.String())
	}
}

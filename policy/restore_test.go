package policy

import (
	"fmt"
	"strings"
	"testing"
)

// What clients of PostgreSQL 15.18 sent to a throw-away server with
// log_statement = all, on 2026-11-21. Each line is one Query message.
const (
	// psql < dump.sql, made by pg_dump --clean --if-exists.
	psqlRestore = `SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
ALTER TABLE IF EXISTS ONLY public.u DROP CONSTRAINT IF EXISTS u_id_fkey;`

	// pg_restore -1: every comment of the dump's header is a message as well.
	pgRestore = `SELECT pg_catalog.set_config('search_path', '', false);
SELECT pg_catalog.pg_is_in_recovery()
-- PostgreSQL database dump
-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)
BEGIN
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = ''
SET default_table_access_method = heap;
COPY public.t (id, n) FROM stdin;`

	// pg_dump.
	pgDump = `SELECT pg_catalog.set_config('search_path', '', false);
SELECT pg_catalog.pg_is_in_recovery()
SELECT pg_catalog.set_config('search_path', '', false);
SET DATESTYLE = ISO
SET INTERVALSTYLE = POSTGRES
SET extra_float_digits TO 3
SET synchronize_seqscans TO off
SET statement_timeout = 0
SET lock_timeout = 0
SET idle_in_transaction_session_timeout = 0
SET row_security = off
SELECT set_config(name, 'view, foreign-table', false) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'
BEGIN
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY
SELECT oid, rolname FROM pg_catalog.pg_roles ORDER BY 1
LOCK TABLE public.t IN ACCESS SHARE MODE
COPY public.t (id, n) TO stdout;`
)

// watch feeds the messages of a session and returns the statement at which it
// was seen to be a restore, or "".
func watch(t *testing.T, application string, messages ...string) string {
	t.Helper()
	var w RestoreWatch
	r := NewReader()
	for _, m := range messages {
		for _, f := range r.Read(m, Lexing{Encoding: "UTF8", StandardConformingStrings: true, Known: true}) {
			w.Note(f, application)
			if w.Restore() {
				return m
			}
		}
	}
	return ""
}

func TestARestoreIsSeenBeforeItsFirstChange(t *testing.T) {
	for name, c := range map[string]struct{ application, session, at string }{
		"psql":       {"psql", psqlRestore, "SET xmloption = content;"},
		"pg_restore": {"", pgRestore, "SET xmloption = content;"},
	} {
		if at := watch(t, c.application, strings.Split(c.session, "\n")...); at != c.at {
			t.Errorf("%s: seen at %q, want %q", name, at, c.at)
		}
	}
	if at := watch(t, "pg_restore", "SELECT 1"); at == "" {
		t.Error("pg_restore says who it is")
	}
	for name, preamble := range map[string]string{
		"9.6.0": "SET statement_timeout = 0;\nSET lock_timeout = 0;\nSET idle_in_transaction_session_timeout = 0;\nSET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\nSET check_function_bodies = false;\nSET client_min_messages = warning;\nSET row_security = off;",
		"9.1":   "SET statement_timeout = 0;\nSET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\nSET check_function_bodies = false;\nSET client_min_messages = warning;",
		"8.2":   "SET client_encoding = 'UTF8';\nSET standard_conforming_strings = off;\nSET check_function_bodies = false;\nSET client_min_messages = warning;\nSET escape_string_warning = off;",
	} {
		at := watch(t, "psql", strings.Split(preamble+"\nSET search_path = public, pg_catalog;", "\n")...)
		if at != "SET client_min_messages = warning;" {
			t.Errorf("pg_dump %s: seen at %q", name, at)
		}
	}
	oneMessage := strings.ReplaceAll(psqlRestore, "\n", " ")
	if at := watch(t, "DBeaver", oneMessage); at == "" {
		t.Error("a GUI sends the whole file as one message")
	}
}

func TestARestoreIsSeenInTheMiddleOfASession(t *testing.T) {
	var session []string
	for i := range 40 {
		session = append(session, fmt.Sprintf("SELECT %d", i))
	}
	if at := watch(t, "psql", append(session, strings.Split(psqlRestore, "\n")...)...); at == "" {
		t.Error("a dump that is run after forty queries was not seen")
	}
}

func TestADumpIsNoRestore(t *testing.T) {
	if at := watch(t, "pg_dump", strings.Split(pgDump, "\n")...); at != "" {
		t.Errorf("pg_dump was taken for a restore at %q", at)
	}
}

func TestWhatPgDumpSendsIsNotHeld(t *testing.T) {
	r := &Replay{Policy: Standard(), Reader: NewReader(), Session: Session{User: "backup", Database: "shop", Application: "pg_dump"},
		Lexing: Lexing{Encoding: "UTF8", StandardConformingStrings: true, Known: true}}
	for _, m := range strings.Split(pgDump, "\n") {
		for _, o := range r.Next(m) {
			if o.Decision.Verdict != Allow {
				t.Errorf("%s: %s %s", m, o.Decision.Verdict, o.Decision.Reason)
			}
		}
	}
}

func TestSettingsThatOnlyLookLikeADumpAreNoRestore(t *testing.T) {
	for name, session := range map[string][]string{
		"a migration": {"SET check_function_bodies = false", "SET row_security = off", "CREATE TABLE t (id int)"},
		"quiet":       {"SET check_function_bodies = false", "SET client_min_messages = error", "SET standard_conforming_strings = on"},
		"a client":    {"SET client_encoding = 'UTF8'", "SET standard_conforming_strings = on", "SET client_min_messages = warning"},
		"turned on":   {"SET search_path = ''", "SET check_function_bodies = true", "SET xmloption = content"},
		"a real path": {"SET search_path = public", "SET check_function_bodies = false", "SET xmloption = content"},
		"reset":       {"RESET search_path", "SET check_function_bodies = false", "SET xmloption = content"},
		"far apart": append([]string{"SET search_path = ''"},
			append(repeat("SELECT 1", restoreWindow), "SET check_function_bodies = false", "SET xmloption = content")...),
	} {
		if at := watch(t, "psql", session...); at != "" {
			t.Errorf("%s was taken for a restore at %q", name, at)
		}
	}
}

func TestTheSignatureIsSeenHoweverItIsSpelt(t *testing.T) {
	for _, session := range [][]string{
		{"set search_path to ''", "set check_function_bodies to 'off'", "set xmloption = CONTENT"},
		{"SET row_security = 0", "SET LOCAL check_function_bodies = no", "select set_config('SEARCH_PATH','',true)"},
		{"SELECT set_config('check_function_bodies', 'f', false), set_config('row_security', 'off', false), set_config('search_path', '', false)"},
	} {
		if at := watch(t, "psql", session...); at == "" {
			t.Errorf("not seen: %q", session)
		}
	}
}

func repeat(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

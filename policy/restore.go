package policy

import (
	"strconv"
	"strings"
)

// RestoreWatch recognises the start of a dump's restore. One belongs to one
// session and is fed every statement in order; its zero value is ready for use.
// It is not safe for concurrent use.
//
// What pg_restore and `psql < dump.sql` send first was captured from PostgreSQL
// 15.18 with log_statement = all (restore_test.go holds it): ten SETs, one by
// one, among them
//
//	SELECT pg_catalog.set_config('search_path', '', false);
//	SET check_function_bodies = false;
//	SET xmloption = content;
//	SET row_security = off;
//
// pg_dump itself empties search_path and turns row_security off as well, but
// never touches check_function_bodies; nothing else is known to set these
// together. `\restrict` of newer dumps is psql's own and never reaches the
// server.
//
// Before 2018 (10.3, 9.6.8 and their like) pg_dump left search_path as it was and
// named a schema in it later on; versions before 9.6 have no row_security, those
// before 8.4 no statement_timeout. All of them, from 8.0 on, set
// check_function_bodies, client_min_messages and, from 8.2, standard_conforming_strings.
//
// The dump need not be the first thing in its session: somebody runs a few
// queries and then `\i dump.sql`, or opens the file in a GUI. Any fifteen
// statements in a row that hold the signature are therefore enough. Once
// recognised, a session stays a restore until it ends.
type RestoreWatch struct {
	statements int
	last       [restoreMarks]int // number of the statement that set the mark last; 0 is never
	restore    bool
}

// restoreWindow is within how many statements the signature must stand: the
// header of a dump has ten, pg_restore sends two before it and a BEGIN with
// --single-transaction.
const restoreWindow = 15

// The settings of the signature.
const (
	emptySearchPath = iota
	functionBodiesOff
	xmlOption
	rowSecurityOff
	onlyWarnings
	conformingStrings
	restoreMarks
)

// Note feeds the next statement and the session's application_name at that time.
func (w *RestoreWatch) Note(f *Facts, application string) {
	if w.restore {
		return
	}
	if application == "pg_restore" { // it connects for nothing else
		w.restore = true
		return
	}
	if f == nil {
		return
	}
	w.statements++
	if len(f.Settings) == 0 {
		return
	}
	for i := range f.Settings {
		if mark := restoreMark(&f.Settings[i], f.Class); mark >= 0 {
			w.last[mark] = w.statements
		}
	}
	today := w.seen(emptySearchPath) && (w.seen(xmlOption) || w.seen(rowSecurityOff))
	before2018 := w.seen(onlyWarnings) && w.seen(conformingStrings)
	w.restore = w.seen(functionBodiesOff) && (today || before2018)
}

// seen says whether the mark was set within the window.
func (w *RestoreWatch) seen(mark int) bool {
	return w.last[mark] > 0 && w.statements-w.last[mark] < restoreWindow
}

// Restore says whether the session looks like a restore.
func (w *RestoreWatch) Restore() bool { return w.restore }

// restoreMark is the mark that the setting is, or -1.
func restoreMark(s *Setting, statement Class) int {
	if statement == "reset" || !s.Known {
		return -1
	}
	switch s.Name {
	case "search_path":
		if strings.Trim(s.Value, ` "'`) == "" {
			return emptySearchPath
		}
	case "check_function_bodies":
		if off(s.Value) {
			return functionBodiesOff
		}
	case "xmloption":
		if strings.EqualFold(s.Value, "content") {
			return xmlOption
		}
	case "row_security":
		if off(s.Value) {
			return rowSecurityOff
		}
	case "client_min_messages":
		if strings.EqualFold(s.Value, "warning") {
			return onlyWarnings
		}
	case "standard_conforming_strings":
		return conformingStrings
	}
	return -1
}

// off says whether PostgreSQL reads the value of a boolean parameter as off: off,
// false, no or 0, in any case, and what is short for one of them without doubt.
func off(value string) bool {
	v := strings.ToLower(strings.TrimSpace(value))
	if n, err := strconv.Atoi(v); err == nil {
		return n == 0
	}
	return v != "" && (strings.HasPrefix("false", v) || strings.HasPrefix("no", v) || strings.HasPrefix("off", v) && v != "o")
}

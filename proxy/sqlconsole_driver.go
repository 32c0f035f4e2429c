package proxy

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// driverCommand is what drivers, psql and GUI clients send to every server by
// themselves: transactions, settings, a SELECT to see whether anyone answers.
// They are accepted as far as the answer is true.
func driverCommand(ts []token) (*command, error) {
	word := func(i int) string {
		if i < len(ts) && ts[i].kind == wordToken {
			return ts[i].text
		}
		return ""
	}
	switch word(0) {
	case "BEGIN", "START":
		return transactionCommand("BEGIN", true), nil
	case "COMMIT", "END":
		return transactionCommand("COMMIT", false), nil
	case "ABORT":
		return transactionCommand("ROLLBACK", false), nil
	case "ROLLBACK":
		for i := range ts {
			if word(i) == "TO" {
				return nothing("ROLLBACK"), nil
			}
		}
		return transactionCommand("ROLLBACK", false), nil
	case "SAVEPOINT", "RELEASE":
		return nothing(word(0)), nil
	case "SET":
		return setCommand(ts)
	case "RESET":
		return nothing("RESET"), nil
	case "DISCARD", "DEALLOCATE":
		return deallocateCommand(ts), nil
	case "SHOW":
		return showSetting(ts)
	case "SELECT":
		if c := selectCommand(ts[1:]); c != nil {
			return c, nil
		}
	}
	what := fmt.Sprintf("%q", ts[0].raw)
	for _, t := range ts {
		if t.text == "PG_CATALOG" || t.text == "INFORMATION_SCHEMA" || strings.HasPrefix(t.text, "PG_") {
			return nil, &consoleError{code: "0A000", message: "the database pgsluice has no tables and no catalogs", hint: helpHint}
		}
	}
	return nil, &consoleError{code: "42601", message: "no such command: " + what, position: ts[0].at, hint: helpHint}
}

// nothing is a command that is accepted and has no effect.
func nothing(tag string) *command {
	return &command{words: []string{tag}, who: anyPerson, tag: tag, run: func(*consoleSession, []any) ([][]any, error) { return nil, nil }}
}

// transactionCommand keeps the transaction status for the client's sake. Nothing
// in the console can be rolled back; a decision made in a block says so.
func transactionCommand(tag string, within bool) *command {
	c := nothing(tag)
	c.run = func(s *consoleSession, _ []any) ([][]any, error) {
		s.inTransaction = within
		return nil, nil
	}
	return c
}

func setCommand(ts []token) (*command, error) {
	said := strings.Builder{}
	for _, t := range ts[1:] {
		said.WriteString(strings.ToUpper(t.text) + " ")
	}
	text := said.String()
	encoding := strings.HasPrefix(text, "CLIENT_ENCODING ") || strings.HasPrefix(text, "SESSION CLIENT_ENCODING ") ||
		strings.HasPrefix(text, "LOCAL CLIENT_ENCODING ") || strings.HasPrefix(text, "NAMES ")
	if encoding && !strings.Contains(text, "UTF8") && !strings.Contains(text, "UTF-8") && !strings.Contains(text, "UNICODE") && !strings.Contains(text, "DEFAULT") {
		return nil, &consoleError{code: "0A000", message: "the database pgsluice speaks UTF8 only"}
	}
	return nothing("SET"), nil
}

func deallocateCommand(ts []token) *command {
	c := nothing(ts[0].text)
	name := ts[len(ts)-1]
	if c.tag == "DISCARD" {
		c.tag = "DISCARD ALL"
	}
	c.run = func(s *consoleSession, _ []any) ([][]any, error) {
		if name.kind == wordToken && name.text == "ALL" {
			clear(s.statements)
			s.texts = 0
			return nil, nil
		}
		written := name.text
		if name.kind == wordToken {
			written = strings.ToLower(name.raw)
		}
		s.forget(written)
		return nil, nil
	}
	return c
}

// showSetting is SHOW of a setting of PostgreSQL that clients ask for.
func showSetting(ts []token) (*command, error) {
	var words []string
	for _, t := range ts[1:] {
		words = append(words, strings.ToLower(t.text))
	}
	name := strings.Join(words, "_")
	if name == "time_zone" {
		name = "timezone"
	}
	fixed := map[string]string{
		"transaction_isolation_level": "read committed", "transaction_isolation": "read committed",
		"default_transaction_isolation": "read committed", "transaction_read_only": "off",
		"search_path": "", "server_version_num": "180000", "max_identifier_length": "63", "lc_collate": "C", "client_min_messages": "notice",
		"statement_timeout": "0", "extra_float_digits": "1", "bytea_output": "hex", "max_index_keys": "32",
	}
	known := func(s *consoleSession) (string, bool) {
		for _, p := range s.reported() {
			if strings.EqualFold(p[0], name) {
				return p[1], true
			}
		}
		value, ok := fixed[name]
		return value, ok
	}
	if _, ok := known(&consoleSession{Console: &Console{}}); !ok {
		e := &consoleError{code: "42704", message: "there is nothing to show of this name", hint: helpHint}
		if len(ts) > 1 {
			e.position = ts[1].at
		}
		return nil, e
	}
	return &command{
		words: []string{"SHOW"}, who: anyPerson, tag: "SHOW",
		columns: []column{{name, textOID, "value of the setting"}},
		run: func(s *consoleSession, _ []any) ([][]any, error) {
			value, _ := known(s)
			return [][]any{{value}}, nil
		},
	}, nil
}

// selectCommand is a SELECT of constants and of the functions in the switch
// below, or nil.
func selectCommand(ts []token) *command {
	type item struct {
		column column
		value  func(*consoleSession) any
	}
	var items []item
	for len(ts) > 0 {
		if len(items) > 0 {
			if ts[0].text != "," {
				return nil
			}
			ts = ts[1:]
		}
		if len(ts) > 2 && ts[0].text == "PG_CATALOG" && ts[1].text == "." {
			ts = ts[2:]
		}
		if len(ts) == 0 {
			return nil
		}
		it := item{column: column{name: "?column?", oid: textOID}}
		constant := func(v any) func(*consoleSession) any { return func(*consoleSession) any { return v } }
		first := ts[0]
		ts = ts[1:]
		called := len(ts) > 1 && ts[0].text == "(" && ts[1].text == ")"
		switch {
		case first.kind == numberToken:
			n, err := strconv.ParseInt(first.text, 10, 64)
			if err != nil {
				return nil
			}
			it.column.oid, it.value = int8OID, constant(n)
			if n <= math.MaxInt32 {
				it.column.oid, it.value = int4OID, constant(int32(n))
			}
		case first.kind == stringToken:
			it.value = constant(first.text)
		case first.kind != wordToken:
			return nil
		default:
			it.column.name = strings.ToLower(first.text)
			switch first.text {
			case "CURRENT_USER", "SESSION_USER", "USER", "CURRENT_ROLE":
				it.value = func(s *consoleSession) any { return s.person }
			case "CURRENT_CATALOG":
				it.value = constant(consoleDatabase)
			}
			if called {
				ts = ts[2:]
				switch first.text {
				case "VERSION":
					it.value = func(s *consoleSession) any { return "PostgreSQL 18.0 (pgsluice " + s.Version + ")" }
				case "CURRENT_DATABASE":
					it.value = constant(consoleDatabase)
				case "CURRENT_SCHEMA":
					it.value = constant(nil)
				case "PG_BACKEND_PID":
					it.column.oid, it.value = int4OID, func(s *consoleSession) any { return int32(s.pid) }
				case "PG_IS_IN_RECOVERY":
					it.column.oid, it.value = boolOID, constant(false)
				default:
					return nil
				}
			}
			if it.value == nil {
				return nil
			}
		}
		if len(ts) > 1 && ts[0].text == "AS" {
			ts = ts[1:]
			if ts[0].kind != wordToken && ts[0].kind != quotedToken {
				return nil
			}
			it.column.name = ts[0].raw
			if ts[0].kind == quotedToken {
				it.column.name = ts[0].text
			}
			ts = ts[1:]
		}
		items = append(items, it)
	}
	if len(items) == 0 {
		return nil
	}
	c := nothing("SELECT")
	c.columns = make([]column, len(items))
	for i, it := range items {
		c.columns[i] = it.column
	}
	c.run = func(s *consoleSession, _ []any) ([][]any, error) {
		row := make([]any, len(items))
		for i, it := range items {
			row[i] = it.value(s)
		}
		return [][]any{row}, nil
	}
	return c
}

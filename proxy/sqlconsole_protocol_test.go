package proxy

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// raw logs in and hands over the connection, for messages that no driver sends.
func (h *consoleHouse) raw(t *testing.T, person string) (*pgproto3.Frontend, net.Conn) {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), h.dsn(person, consoleTestPassword))
	if err != nil {
		t.Fatal(err)
	}
	hijacked, err := conn.Hijack()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hijacked.Conn.Close() })
	return hijacked.Frontend, hijacked.Conn
}

// talk sends messages and lists the answers up to ReadyForQuery or the end of the
// connection, with what matters of each.
func talk(t *testing.T, f *pgproto3.Frontend, messages ...pgproto3.FrontendMessage) []string {
	t.Helper()
	for _, m := range messages {
		f.Send(m)
	}
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		m, err := f.Receive()
		if err != nil {
			return append(got, "end")
		}
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			got = append(got, m.Severity+" "+m.Code)
		case *pgproto3.CommandComplete:
			got = append(got, string(m.CommandTag))
		case *pgproto3.DataRow:
			got = append(got, "row")
		case *pgproto3.RowDescription:
			got = append(got, "columns")
		case *pgproto3.ReadyForQuery:
			return append(got, "ready "+string(m.TxStatus))
		case *pgproto3.NoticeResponse:
			got = append(got, "notice")
		case *pgproto3.ParseComplete:
			got = append(got, "parsed")
		case *pgproto3.BindComplete:
			got = append(got, "bound")
		case *pgproto3.CloseComplete:
			got = append(got, "closed")
		case *pgproto3.NoData:
			got = append(got, "no data")
		case *pgproto3.EmptyQueryResponse:
			got = append(got, "empty")
		case *pgproto3.PortalSuspended:
			got = append(got, "suspended")
		case *pgproto3.ParameterDescription:
			got = append(got, "parameters")
		default:
			t.Fatalf("got %T", m)
		}
	}
}

func TestConsoleSpeaksTheProtocol(t *testing.T) {
	type messages = []pgproto3.FrontendMessage
	query := func(s string) messages { return messages{&pgproto3.Query{String: s}} }
	sync := &pgproto3.Sync{}
	run := func(sql string) messages {
		return messages{&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}}
	}
	with := func(lists ...messages) messages {
		var all messages
		for _, l := range lists {
			all = append(all, l...)
		}
		return all
	}
	h := newConsoleHouse(t)
	for _, c := range []struct {
		what string
		send messages
		want string
	}{
		{"nothing", query(""), "empty, ready I"},
		{"a comment", query("/* /* a */ */ -- b"), "empty, ready I"},
		{"several statements", query("BEGIN; SET a = 1;; SELECT 1"), "BEGIN, SET, columns, row, SELECT 1, ready T"},
		{"one misspelt statement stops all", query("BEGIN; APPROVE x"), "ERROR 42601, ready I"},
		{"an error ends the rest", query("BEGIN; APPROVE 7 'x'; COMMIT"), "BEGIN, ERROR 42501, ready T"},
		{"a parameter in a simple query", query("SHOW REQUEST $1"), "ERROR 42P02, ready I"},
		{"NUL", query("SELECT 1\x00"), "FATAL 08P01, end"},
		{"extended", append(run("SHOW HELP"), sync), "parsed, bound, columns, row, row, row, row, row, row, row, row, row, row, SHOW, ready I"},
		{"extended, no rows", append(run("SET a = 1"), sync), "parsed, bound, no data, SET, ready I"},
		{"extended, empty", append(run(""), sync), "parsed, bound, no data, empty, ready I"},
		{"a pipeline is skipped from the error to Sync", with(run("SET a = 1"), run("NONSENSE"), run("SET a = 1"), messages{sync}),
			"parsed, bound, no data, SET, ERROR 42601, ready I"},
		{"a suspended portal", messages{
			&pgproto3.Parse{Name: "h", Query: "SHOW HELP"}, &pgproto3.Bind{PreparedStatement: "h", DestinationPortal: "p"},
			&pgproto3.Execute{Portal: "p", MaxRows: 2}, &pgproto3.Execute{Portal: "p", MaxRows: 7}, &pgproto3.Execute{Portal: "p", MaxRows: 2}, sync},
			"parsed, bound, row, row, suspended, row, row, row, row, row, row, row, suspended, row, SHOW, ready I"},
		{"a portal is gone after Sync", messages{&pgproto3.Execute{Portal: "p"}, sync}, "ERROR 34000, ready I"},
		{"a statement is not", messages{&pgproto3.Describe{ObjectType: 'S', Name: "h"}, sync}, "parameters, columns, ready I"},
		{"a name twice", messages{&pgproto3.Parse{Name: "h", Query: "SELECT 1"}, sync}, "ERROR 42P05, ready I"},
		{"closed", messages{&pgproto3.Close{ObjectType: 'S', Name: "h"}, &pgproto3.Describe{ObjectType: 'S', Name: "h"}, sync}, "closed, ERROR 26000, ready I"},
		{"two statements in one Parse", messages{&pgproto3.Parse{Query: "SELECT 1; SELECT 1"}, sync}, "ERROR 42601, ready I"},
		{"too few parameters", messages{&pgproto3.Parse{Query: "SHOW REQUEST $1"}, &pgproto3.Bind{}, sync}, "parsed, ERROR 08P01, ready I"},
		{"NULL for a number", messages{&pgproto3.Parse{Query: "SHOW REQUEST $1"}, &pgproto3.Bind{Parameters: [][]byte{nil}}, &pgproto3.Execute{}, sync},
			"parsed, bound, ERROR 22004, ready I"},
		{"a word for a number", messages{&pgproto3.Parse{Query: "SHOW REQUEST $1"}, &pgproto3.Bind{Parameters: [][]byte{[]byte("x")}}, sync}, "parsed, ERROR 22P02, ready I"},
		{"a format there is not", messages{&pgproto3.Parse{Query: "SHOW HELP"}, &pgproto3.Bind{ResultFormatCodes: []int16{2}}, sync}, "parsed, ERROR 22023, ready I"},
		{"formats for other columns", messages{&pgproto3.Parse{Query: "SHOW HELP"}, &pgproto3.Bind{ResultFormatCodes: []int16{0, 0}}, sync}, "parsed, ERROR 08P01, ready I"},
		{"a function call", messages{&pgproto3.FunctionCall{Function: 1}}, "ERROR 0A000, ready I"},
		{"COPY data that nobody asked for", append(messages{&pgproto3.CopyData{Data: []byte("x")}, &pgproto3.CopyDone{}}, sync), "ready I"},
		{"savepoints", query("BEGIN; SAVEPOINT a; ROLLBACK TO SAVEPOINT a; RELEASE a; ROLLBACK"), "BEGIN, SAVEPOINT, ROLLBACK, RELEASE, ROLLBACK, ready I"},
		{"another encoding", query("SET client_encoding TO 'LATIN1'"), "ERROR 0A000, ready I"},
		{"UTF8", query("SET client_encoding TO 'utf-8'; SET NAMES 'UTF8'"), "SET, SET, ready I"},
		{"settings", query("SHOW server_version; SHOW TRANSACTION ISOLATION LEVEL"), "columns, row, SHOW, columns, row, SHOW, ready I"},
		{"a setting there is not", query("SHOW nonsense"), "ERROR 42704, ready I"},
		{"a password out of place", messages{&pgproto3.PasswordMessage{Password: "x"}}, "FATAL 08P01, end"},
	} {
		t.Run(c.what, func(t *testing.T) {
			f, _ := h.raw(t, "bob")
			if strings.HasPrefix(c.what, "a portal is gone") || strings.HasPrefix(c.what, "a statement is not") ||
				c.what == "a name twice" || c.what == "closed" {
				talk(t, f, &pgproto3.Parse{Name: "h", Query: "SHOW HELP"}, &pgproto3.Bind{PreparedStatement: "h", DestinationPortal: "p"}, sync)
			}
			if got := strings.Join(talk(t, f, c.send...), ", "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestConsoleEndsOnWhatIsNoProtocol(t *testing.T) {
	h := newConsoleHouse(t)
	for what, bytes := range map[string]string{
		"an unknown message": "!\x00\x00\x00\x04",
		"a huge length":      "Q\x7f\xff\xff\xff",
		"a length below 4":   "Q\x00\x00\x00\x01",
		"a broken Bind":      "B\x00\x00\x00\x05x",
	} {
		t.Run(what, func(t *testing.T) {
			f, conn := h.raw(t, "bob")
			if _, err := conn.Write([]byte(bytes)); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(talk(t, f), ", "); got != "FATAL 08P01, end" {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestConsoleKeepsLittle(t *testing.T) {
	f, _ := newConsoleHouse(t).raw(t, "bob")
	text := "SET a = '" + strings.Repeat("x", 60_000) + "'"
	var all []pgproto3.FrontendMessage
	for i := range 18 {
		all = append(all, &pgproto3.Parse{Name: string(rune('a' + i)), Query: text})
	}
	got := strings.Join(talk(t, f, append(all, &pgproto3.Sync{})...), ", ")
	if want := strings.Repeat("parsed, ", 17) + "ERROR 54000, ready I"; got != want {
		t.Errorf("got %s", got)
	}
	got = strings.Join(talk(t, f, &pgproto3.Query{String: "DEALLOCATE ALL"}), ", ")
	if got != "DEALLOCATE ALL, ready I" && got != "DEALLOCATE, ready I" {
		t.Errorf("got %s", got)
	}
	if got := strings.Join(talk(t, f, all[0], &pgproto3.Sync{}), ", "); got != "parsed, ready I" {
		t.Errorf("nothing was freed: %s", got)
	}
}

// Each mode of pgx is another way through the protocol.
func TestConsoleWithEachModeOfPgx(t *testing.T) {
	h := newConsoleHouse(t)
	r := h.request(t, "DELETE FROM accounts")
	for mode := pgx.QueryExecModeCacheStatement; mode <= pgx.QueryExecModeSimpleProtocol; mode++ {
		t.Run(mode.String(), func(t *testing.T) {
			bob := h.as(t, "bob")
			if err := bob.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			tx, err := bob.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				rows, err := tx.Query(t.Context(), "SHOW REQUEST $1", mode, r.ID)
				if err != nil {
					t.Fatal(err)
				}
				fields, err := pgx.CollectRows(rows, pgx.RowToMap)
				if err != nil {
					t.Fatal(err)
				}
				if fields[2]["field"] != "statement" || fields[2]["value"] != r.Statement {
					t.Errorf("got %v", fields[2])
				}
			}
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			var user string
			var pid int64
			var since time.Time
			if err := bob.QueryRow(t.Context(), "SHOW SESSIONS", mode).Scan(nil, &user, nil, nil, nil, nil, nil, &since, &pid); err != nil {
				t.Fatal(err)
			}
			if user != "alice" || pid != 77 || !since.Equal(time.Unix(1, 0)) {
				t.Errorf("got %s %d %v", user, pid, since)
			}
		})
	}
}

func TestConsoleIdleSessionsEndWithIt(t *testing.T) {
	h := newConsoleHouse(t)
	f, _ := h.raw(t, "bob")
	h.end()
	if got := strings.Join(talk(t, f), ", "); got != "FATAL 57P01, end" {
		t.Errorf("got %s", got)
	}
}

func TestConsoleCannotBeReplicated(t *testing.T) {
	h := newConsoleHouse(t)
	_, err := pgconn.Connect(context.Background(), h.dsn("bob", consoleTestPassword)+" replication=database")
	refusedWith(t, err, "0A000")
}

func TestConsoleShowsWhatHides(t *testing.T) {
	for _, c := range [][2]string{
		{"DELETE FROM a\n\tWHERE é = '→'", "DELETE FROM a\n\tWHERE é = '→'"},
		{"a\r\nb", "a\nb"},
		{"safe\rDELETE", `safe\x0dDELETE`},
		{"a\x1b[2Kb\x00\x7f\u0085", `a\x1b[2Kb\x00\u007f\u0085`},
		{"\u202ea\u2066b\u200bc\ufeff", `\u202ea\u2066b\u200bc\ufeff`},
		{"a\u00a0b\u2028c\u3000", `a\u00a0b\u2028c\u3000`},
		{"\u3164\ufe0f\u2800\U000e0041\U000e0100", `\u3164\ufe0f\u2800\U000e0041\U000e0100`},
		{"\xffa\xc3", `\xffa\xc3`},
		{"\ufffd", "\ufffd"},
	} {
		if got := visible(c[0]); got != c[1] {
			t.Errorf("%q is shown as %q, want %q", c[0], got, c[1])
		}
	}
	if got := oneLine("-- x\nDELETE\tFROM a"); got != `-- x\nDELETE FROM a` {
		t.Errorf("in one line: %q", got)
	}
}

func TestConsoleReadsCommands(t *testing.T) {
	for text, want := range map[string]string{
		"show requests": "SHOW REQUESTS", "Show\nRequests -- x\n all ;": "SHOW REQUESTS ALL",
		"APPROVE 42 'it''s fine'": "APPROVE 42 it's fine", "deny 42 $$no$$": "DENY 42 no",
		"approve '42', $x$it's$x$": "APPROVE 42 it's", "/* app */ CANCEL 7": "CANCEL 7",
	} {
		read, err := readConsole(text)
		if err != nil || len(read) != 1 {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got := read[0].command.name()
		for _, a := range read[0].arguments {
			got += " " + a.value.(string)
		}
		if got != want {
			t.Errorf("%q is read as %q, want %q", text, got, want)
		}
	}
	for text, position := range map[string]int{
		"APPROVE": 8, "APPROVE x 'y'": 9, "é; APPROVE 1": 1, "SHOW REQUEST x": 14, "APPROVE 1 'a' 'b'": 15,
		"APPROVE 1 'a": 11, "APPROVE 1 E'a'": 11, "SHOW REQUESTS SOME": 15, "APPROVE 99999999999999999999 'x'": 9, "SHOW REQUEST $2": 14,
		"DELETE FROM a": 1, "APPROVE 1 /* a": 11,
	} {
		_, err := readConsole(text)
		var said *consoleError
		if !errors.As(err, &said) {
			t.Errorf("%q was read", text)
		} else if said.position != position {
			t.Errorf("%q: %s at %d, want %d", text, said.message, said.position, position)
		}
	}
}

func FuzzConsoleReadsAnything(f *testing.F) {
	for _, s := range []string{"APPROVE 42 'x'", "SHOW REQUEST $1;", "SELECT 1 AS a, version()", "$a$b$a$ /* */", "SET x TO 'y'", "DEALLOCATE", "SHOW"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		read, err := readConsole(text)
		if err != nil {
			if s := err.Error(); visible(s) == "" {
				t.Errorf("%q: an error that says nothing", text)
			}
			return
		}
		for _, statement := range read {
			if statement.command == nil || statement.command.who == nobody {
				t.Errorf("%q: a statement without a command", text)
			}
		}
	})
}

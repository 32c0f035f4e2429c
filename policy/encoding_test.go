package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

func TestNamesInOtherEncodingsAreThoseOfTheServer(t *testing.T) {
	for encoding, text := range map[string]string{
		"LATIN1": "DELETE FROM caf\xe9", "WIN1252": "DELETE FROM caf\xe9", "LATIN9": "DELETE FROM caf\xe9", "WIN866": "DELETE FROM caf\xee",
		"SJIS": "DELETE FROM \x95\x5c", "GBK": "DELETE FROM \xb1\xed", "EUC_JP": "DELETE FROM \xc9\xbd", "UHC": "DELETE FROM \xb0\xa1",
	} {
		want := map[string]string{"SJIS": "表", "GBK": "表", "EUC_JP": "表", "UHC": "가", "WIN866": "cafю"}[encoding]
		if want == "" {
			want = "café"
		}
		f := NewReader().Read(text, Lexing{encoding, true, true})[0]
		if f.Class != classDelete || f.Actions[0].Tables[0].Name != want {
			t.Errorf("%s: %s", encoding, told(f))
		}
	}
}

func TestABackslashInACharacterEndsNoString(t *testing.T) {
	for _, conforming := range []bool{true, false} {
		facts := NewReader().Read("SELECT '\x95\x5c'; DELETE FROM t; --'", Lexing{"SJIS", conforming, true})
		if len(facts) != 2 || facts[1].Class != classDelete {
			t.Errorf("standard_conforming_strings %v: %d statements", conforming, len(facts))
		}
	}
	facts := NewReader().Read("SELECT E'\x95\x5c'; DELETE FROM t; --'", Lexing{"SJIS", true, true})
	if len(facts) != 2 || facts[1].Class != classDelete {
		t.Errorf("%d statements", len(facts))
	}
}

// TestTheServerReadsOtherEncodingsAsTheReaderDoes plays odd bytes, in and out of
// strings: where the server runs a text, the reader has seen as many statements in
// it, or has not judged it.
func TestTheServerReadsOtherEncodingsAsTheReaderDoes(t *testing.T) {
	cluster, err := pgcluster.Start(t.Context(), pgcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	databases := map[string]string{"UTF8": "in_utf8", "EUC_JP": "in_euc_jp", "LATIN1": "in_latin1", "LATIN2": "in_latin2", "SQL_ASCII": "in_ascii"}
	for encoding, name := range databases {
		if out, err := cluster.Psql(t.Context(), "-c", fmt.Sprintf("CREATE DATABASE %s ENCODING '%s' LOCALE 'C' TEMPLATE template0", name, encoding)); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	for _, c := range []struct{ server, client string }{
		{"UTF8", "SJIS"}, {"EUC_JP", "SJIS"}, {"SQL_ASCII", "SJIS"}, {"UTF8", "BIG5"}, {"UTF8", "GBK"}, {"UTF8", "GB18030"}, {"UTF8", "UHC"},
		{"UTF8", "EUC_JP"}, {"EUC_JP", "EUC_JP"}, {"UTF8", "EUC_KR"}, {"UTF8", "EUC_CN"}, {"UTF8", "LATIN1"}, {"LATIN1", "LATIN1"}, {"LATIN2", "WIN1250"},
		{"UTF8", "WIN1252"}, {"UTF8", "KOI8R"}, {"SQL_ASCII", "WIN1251"}, {"UTF8", "WIN1258"},
	} {
		for _, conforming := range []string{"on", "off"} {
			t.Run(c.client+" at "+c.server+" "+conforming, func(t *testing.T) {
				config, err := pgconn.ParseConfig(cluster.DSN(databases[c.server], cluster.Superuser))
				if err != nil {
					t.Fatal(err)
				}
				config.RuntimeParams["client_encoding"], config.RuntimeParams["standard_conforming_strings"] = c.client, conforming
				conn, err := pgconn.ConnectConfig(t.Context(), config)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close(context.Background())
				lex := Lexing{Encoding: c.client, StandardConformingStrings: conforming == "on", Known: true}
				reader, ran := NewReader(), 0
				rapid.Check(t, func(t *rapid.T) {
					text := oddText(t)
					n, ok := statementsRun(t, conn, text)
					facts := reader.Read(text, lex)
					if !ok || facts[0].Class == ClassUnparsed {
						return
					}
					ran++
					if len(facts) != n || slices.ContainsFunc(facts, func(f *Facts) bool { return f.Class != classSelect }) {
						t.Fatalf("%q: the server ran %d statements, the reader saw %d (%s)", text, n, len(facts), told(facts[0]))
					}
				})
				if ran == 0 {
					t.Error("nothing was compared")
				}
			})
		}
	}
}

// oddText draws statements with a string in them whose end is hard to find.
func oddText(t *rapid.T) string {
	piece := rapid.SampledFrom([]string{"a", "'", "''", "\\", "\\'", "; SELECT 2", "\x95\x5c", "\x83\x5c", "\x95", "\xa4\x40", "\xb1\xed", "\x8e\xb1", "\x8f\xb0\xa1",
		"\xa4'", "\x81\x5c", "\x81\x30\x81\x30", "\x80", "\xe9", "\xff", "\xa0", "\xc3\xa9", "\x5c", "/*", "*/", "--", "\n", "$$", "\"", " AS \xe9", "E'", "U&'"})
	text := "SELECT " + rapid.SampledFrom([]string{"'", "E'", "$$", "1 AS \"", "1 AS a"}).Draw(t, "begin")
	text += strings.Join(rapid.SliceOfN(piece, 0, 4).Draw(t, "middle"), "")
	return text + rapid.SampledFrom([]string{"'", "'; SELECT 3", "'; SELECT 3 --'", "$$", "\"", "", "; SELECT 4"}).Draw(t, "end")
}

// statementsRun counts what the server ran of a message, and says whether it ran
// it whole.
func statementsRun(t *rapid.T, conn *pgconn.PgConn, text string) (n int, ok bool) {
	results := conn.Exec(context.Background(), text)
	for results.NextResult() {
		if _, err := results.ResultReader().Close(); err == nil {
			n++
		}
	}
	err := results.Close()
	if conn.IsClosed() {
		t.Fatalf("%q: %v", text, err)
	}
	return n, err == nil
}

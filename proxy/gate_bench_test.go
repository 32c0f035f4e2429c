package proxy

import (
	"context"
	"encoding/binary"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/proxy/impact"
)

// accountsCatalog is what the server says of a table of bank accounts.
const accountsCatalog = `{"server_version": 150018, "found": [{"name": "accounts", "kind": "relation", "oid": 16385}],
 "relations": [{"oid": 16385, "schema": "public", "name": "accounts", "kind": "r", "rows": 1000, "pages": 10, "keys": [["id"]],
  "columns": [{"name": "id", "not_null": true, "kind": "num", "type": "int4"}, {"name": "branch", "kind": "num", "type": "int4"},
   {"name": "balance", "kind": "num", "type": "int4"}, {"name": "filler", "kind": "text", "type": "bpchar"}]}],
 "foreign_keys": [], "functions": [], "cut": false}`

// gateAlone is a session that nobody is on the other side of, in a transaction block,
// whose server has been asked about a table of accounts and a plain one.
func gateAlone(tb testing.TB) *session {
	p := testProxy(tb, policy.Standard(), func(context.Context) (net.Conn, error) { return nil, net.ErrClosed })
	c, err := impact.DecodeCatalog([]byte(accountsCatalog))
	if err != nil {
		tb.Fatal(err)
	}
	s := &session{p: p, start: &startup{parameters: map[string]string{}}, known: names{}, tx: 'T'}
	s.settings = settings{encoding: "UTF8", conforming: true}
	s.toServer.session = policy.Session{User: "alice", Application: "psql"}
	later := time.Now().Add(time.Hour)
	s.toServer.catalogs = map[string]keptCatalog{keyOf("accounts"): {c.Kept(), later}, keyOf("log"): {nil, later}}
	s.toServer.looks = map[string]look{}
	for _, text := range []string{"UPDATE accounts SET balance = balance + 1 WHERE id = 1", "DELETE FROM accounts WHERE id = 1", "INSERT INTO log VALUES (1)"} {
		_, hiding := p.c.Reader.Read(text, s.lexing())[0].Hiding()
		s.toServer.looks[hiding] = look{since: later}
	}
	return s
}

func keyOf(relation string) string {
	return key([]policy.Name{{Name: relation, Kind: policy.NameRelation}})
}

// prepares has a statement prepared.
func (s *session) prepares(name, text string) *statement {
	st := &statement{text: text, facts: s.p.c.Reader.Read(text, s.lexing())}
	s.known.add(name, st)
	return st
}

// BenchmarkGate is what the statement gate costs, without any of the network, for
// changes of one row in a transaction block of which the catalogue has been asked. On
// two busy cores of an AMD EPYC, 2026-11-21, -cpu 1, µs and allocations, before plain
// writes were read from templates and refined once for each answer, and since:
//
//	          simple              prepared
//	update    51 to 68 (318)      17 to 20 (126)
//	          13 to 17 (96)       4.7 to 4.9 (24)
//	insert    25 (89)             4.5 (24)
//	          7.6 to 9.3 (56)     3.2 (11)
//	delete    41 (277)            26 (184)
//	          13 to 18 (104)      6.4 to 6.7 (49)
//
// On an Intel Xeon, 2026-11-22, UPDATE and INSERT in the simple protocol, before facts
// were lent to texts, and since: 8.4 and 5.2 (96 and 56 allocations), 3.6 and 2.5 (32
// and 19).
func BenchmarkGate(b *testing.B) {
	forget := func(s *session) {
		t := &s.toServer
		t.out, t.owed, t.dirty = t.out[:0], t.owed[:0], false
		t.endBatch()
		t.work = work{}
	}
	for _, of := range []struct{ name, simple, prepared string }{
		{"update", "UPDATE accounts SET balance = balance + 1 WHERE id = ?", "UPDATE accounts SET balance = balance + $1 WHERE id = $2"},
		{"insert", "INSERT INTO log (what, id) VALUES ('it''s', ?)", "INSERT INTO log (what, id) VALUES ($1, $2)"},
		{"delete", "DELETE FROM accounts WHERE id = ?", "DELETE FROM accounts WHERE id = $1 AND branch = $2"},
	} {
		b.Run(of.name+"/simple", func(b *testing.B) {
			s := gateAlone(b)
			var frame []byte
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				frame = appendFrame(frame[:0], 'Q', func(b []byte) []byte {
					return appendCString(b, strings.Replace(of.simple, "?", strconv.Itoa(i%1000+1), 1))
				})
				if err := s.query(b.Context(), frame); err != nil {
					b.Fatal(err)
				}
				if len(s.toServer.out) != len(frame) || s.toServer.risky {
					b.Fatal("it is not simply let through")
				}
				forget(s)
			}
		})
		b.Run(of.name+"/prepared", func(b *testing.B) {
			s := gateAlone(b)
			s.prepares("u", of.prepared)
			var frame []byte
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				frame = appendFrame(frame[:0], 'B', func(b []byte) []byte {
					b = append(b, "\x00u\x00\x00\x00\x00\x02\x00\x00\x00\x02-1\x00\x00\x00\x04"...)
					return binary.BigEndian.AppendUint16(append(b, strconv.Itoa(i%1000+1000)...), 0)
				})
				if err := s.bind(b.Context(), frame); err != nil {
					b.Fatal(err)
				}
				if len(s.toServer.out) != len(frame) || s.toServer.risky {
					b.Fatal("it is not simply let through")
				}
				forget(s)
			}
		})
	}
}

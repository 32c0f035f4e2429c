package impact

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// BeforeSQL, sent inside a transaction before code runs in it, lets OfBefore tell
// later what the relations were that are gone by then. It takes a snapshot. OpenedSQL
// says at what moment that was.
//
//go:embed before.sql
var BeforeSQL string

// OpenedSQL has one row with one column, or none where there is no such cursor. Code
// may close it and open another of its name, but no earlier.
const OpenedSQL = `SELECT pg_catalog.encode(pg_catalog.timestamptz_send(c.creation_time), 'hex')
FROM pg_catalog.pg_cursor() c WHERE c.name OPERATOR(pg_catalog.=) 'pgsluice_before'`

// OfBefore are the questions to send, in this order and once in a transaction, for
// what DecodeBefore reads. The first has to be undone: the setting is none of the client's.
func OfBefore(gone []uint32) []string {
	var oids []string
	for _, oid := range gone {
		oids = append(oids, strconv.FormatUint(uint64(oid), 10))
	}
	return []string{
		"SET LOCAL pgsluice.gone = '" + strings.Join(oids, ",") + "'",
		OpenedSQL,
		"FETCH ALL FROM pgsluice_before",
	}
}

// Before is what was known of relations when a transaction was about to run code.
type Before struct {
	asked []uint32
	was   map[uint32]wasThere
}

type wasThere struct {
	OID                uint32
	Schema, Name, Kind string
	Temporary          bool   // and the session's own
	Table              uint32 // of an index
}

// DecodeBefore reads the answers to OfBefore. opened is the answer to OpenedSQL of
// when the look was taken; the error says that it was tampered with since.
func DecodeBefore(rows [][]byte, opened string, asked []uint32) (*Before, error) {
	if len(rows) < 2 || string(rows[0]) != opened || len(rows[1]) > 0 {
		return nil, fmt.Errorf("read what there was before: it was read, or closed, by somebody else")
	}
	b := &Before{asked: asked, was: map[uint32]wasThere{}}
	for _, row := range rows[2:] {
		var r wasThere
		if err := decode(row, &r); err != nil {
			return nil, fmt.Errorf("read what there was before: %w", err)
		}
		b.was[r.OID] = r
	}
	return b, nil
}

// With gives a measurement in which what is gone has the name that it had. An index
// that went with its table, and TOAST, are left out. That something was not there does
// not show that the transaction has made it: so may another have, meanwhile.
func (m *Measurement) With(b *Before) *Measurement {
	with, gone := *m, m.Gone()
	with.Tables = nil
	for _, t := range m.Tables {
		if t.gone() && slices.Contains(b.asked, t.OID) {
			switch was, there := b.was[t.OID]; {
			case !there:
				t.Later = true
			case was.Schema == "pg_toast", slices.Contains(gone, was.Table):
				continue
			default:
				t.Name, t.Was, t.Temporary = Name{was.Schema, was.Name}, was.Kind, was.Temporary
			}
		}
		with.Tables = append(with.Tables, t)
	}
	return &with
}

package proxy

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgproto3"
)

// The types of PostgreSQL (pg_type.dat) that the console's columns and
// parameters have.
const (
	boolOID        = 16
	int8OID        = 20
	int2OID        = 21
	int4OID        = 23
	textOID        = 25
	unknownOID     = 705
	varcharOID     = 1043
	timestamptzOID = 1184
)

// column is a column of an answer. Columns may be added to an answer, at its
// end; none is renamed or taken away.
type column struct {
	name string
	oid  uint32
	says string // what it holds
}

func typeSize(oid uint32) int16 {
	switch oid {
	case boolOID:
		return 1
	case int4OID:
		return 4
	case int8OID, timestamptzOID:
		return 8
	}
	return -1
}

func rowDescription(columns []column, formats []int16) *pgproto3.RowDescription {
	d := &pgproto3.RowDescription{Fields: make([]pgproto3.FieldDescription, len(columns))}
	for i, c := range columns {
		d.Fields[i] = pgproto3.FieldDescription{
			Name: []byte(c.name), DataTypeOID: c.oid, DataTypeSize: typeSize(c.oid), TypeModifier: -1,
		}
		if formats != nil {
			d.Fields[i].Format = formats[i]
		}
	}
	return d
}

func dataRow(columns []column, formats []int16, row []any) *pgproto3.DataRow {
	d := &pgproto3.DataRow{Values: make([][]byte, len(columns))}
	for i := range columns {
		if formats != nil && formats[i] == pgproto3.BinaryFormat {
			d.Values[i] = binaryValue(row[i])
		} else {
			d.Values[i] = textValue(row[i])
		}
	}
	return d
}

// textValue and binaryValue write the four Go types that rows are made of; the
// zero time and nil are NULL. A string is written so that all of it can be seen.
func textValue(v any) []byte {
	switch v := v.(type) {
	case nil:
		return nil
	case int64:
		return strconv.AppendInt(nil, v, 10)
	case int32:
		return strconv.AppendInt(nil, int64(v), 10)
	case bool:
		if v {
			return []byte("t")
		}
		return []byte("f")
	case time.Time:
		if v.IsZero() {
			return nil
		}
		return v.UTC().AppendFormat(nil, "2006-01-02 15:04:05.999999+00")
	case string:
		return []byte(visible(v))
	}
	panic(fmt.Sprintf("no column has a %T", v))
}

// postgresEpoch is what a binary timestamp counts microseconds from.
var postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func binaryValue(v any) []byte {
	switch v := v.(type) {
	case int64:
		return binary.BigEndian.AppendUint64(nil, uint64(v))
	case int32:
		return binary.BigEndian.AppendUint32(nil, uint32(v))
	case bool:
		if v {
			return []byte{1}
		}
		return []byte{0}
	case time.Time:
		if v.IsZero() {
			return nil
		}
		return binary.BigEndian.AppendUint64(nil, uint64(v.Sub(postgresEpoch).Microseconds()))
	}
	return textValue(v) // of text both formats are the same
}

// visible writes what a terminal would not show, or would show out of order, as
// an escape: people must see what they approve ("Trojan Source", CVE-2021-42574).
// Line feeds and tabs stay.
func visible(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return hides(r) || r == utf8.RuneError }) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError:
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				fmt.Fprintf(&b, `\x%02x`, s[i])
				continue
			}
			b.WriteRune(r)
		case !hides(r):
			b.WriteRune(r)
		case r == '\r' && strings.HasPrefix(s[i:], "\r\n"): // Windows ends its lines so
		case r < 0x20:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// hides tells a character that is not seen as itself. IsPrint leaves out control
// and format characters (bidi, zero width) and every space but the usual one;
// the table holds what counts as a letter, mark or symbol and is drawn as nothing.
func hides(r rune) bool {
	if r == '\n' || r == '\t' {
		return false
	}
	return !unicode.IsPrint(r) || unicode.Is(drawnAsNothing, r)
}

// drawnAsNothing is from Unicode's Default_Ignorable_Code_Point, without what
// IsPrint leaves out already, and the blank of Braille.
var drawnAsNothing = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x034f, Hi: 0x034f, Stride: 1},
		{Lo: 0x115f, Hi: 0x1160, Stride: 1},
		{Lo: 0x17b4, Hi: 0x17b5, Stride: 1},
		{Lo: 0x180b, Hi: 0x180f, Stride: 1},
		{Lo: 0x2800, Hi: 0x2800, Stride: 1},
		{Lo: 0x3164, Hi: 0x3164, Stride: 1},
		{Lo: 0xfe00, Hi: 0xfe0f, Stride: 1},
		{Lo: 0xffa0, Hi: 0xffa0, Stride: 1},
	},
	R32: []unicode.Range32{{Lo: 0xe0100, Hi: 0xe01ef, Stride: 1}},
}

// oneLine is a statement for a list: in one line, and cut.
func oneLine(s string) string {
	const longest = 200
	s = visible(s)
	s = strings.NewReplacer("\n", `\n`, "\t", " ").Replace(s)
	if utf8.RuneCountInString(s) <= longest {
		return s
	}
	runes := []rune(s)
	return string(runes[:longest]) + " ... (SHOW REQUEST shows all of it)"
}

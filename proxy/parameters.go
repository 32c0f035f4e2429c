package proxy

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pgsluice/pgsluice/policy"
)

// shownParameters renders the values of a Bind for people: text as it is,
// binary as hexadecimal digits.
func shownParameters(b []byte) []string {
	var shown []string
	eachValue(b, func(_ int, value []byte, format int16) {
		if value == nil {
			shown = append(shown, "NULL")
			return
		}
		shown = append(shown, shownValue(value, format))
	})
	return shown
}

// bindValues are the values of a Bind as the facts take them; types is what
// Parse said of their types. It reports false for a message that is no Bind.
func bindValues(b, types []byte) (values []policy.Parameter, ok bool) {
	oids := declaredTypes(types)
	ok = eachValue(b, func(i int, value []byte, format int16) {
		p := policy.Parameter{Null: value == nil, Text: format == 0, Value: value}
		if i < len(oids) {
			p.Type = oids[i]
		}
		values = append(values, p)
	})
	return values, ok
}

// declaredTypes are the OIDs of the types in what Parse says of them.
func declaredTypes(b []byte) []uint32 {
	if len(b) < 2 {
		return nil
	}
	var oids []uint32
	for b = b[2:]; len(b) >= 4; b = b[4:] {
		oids = append(oids, binary.BigEndian.Uint32(b))
	}
	return oids
}

// eachValue calls do for each value of a Bind, nil for NULL.
func eachValue(b []byte, do func(i int, value []byte, format int16)) (ok bool) {
	formats, b, ok := int16s(b)
	if !ok || len(b) < 2 {
		return false
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	for i := range n {
		if len(b) < 4 {
			return false
		}
		size := int32(binary.BigEndian.Uint32(b))
		b = b[4:]
		if size < 0 {
			do(i, nil, 0)
			continue
		}
		if int64(size) > int64(len(b)) {
			return false
		}
		do(i, b[:size:size], format(formats, i))
		b = b[size:]
	}
	return true
}

const maxShownValue = 200

func shownValue(v []byte, format int16) string {
	cut := ""
	if len(v) > maxShownValue {
		cut = fmt.Sprintf("... (%d bytes)", len(v))
		v = v[:maxShownValue]
	}
	if format == 0 && utf8.Valid(v) {
		return "'" + strings.ReplaceAll(string(v), "'", "''") + "'" + cut
	}
	return `'\x` + hex.EncodeToString(v) + "'" + cut
}

// format is the format code of parameter i (manual, Bind: none means text, one
// is for all).
func format(codes []int16, i int) int16 {
	switch {
	case len(codes) == 0:
		return 0
	case len(codes) == 1:
		return codes[0]
	case i < len(codes):
		return codes[i]
	}
	return 0
}

func int16s(b []byte) (list []int16, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	if len(b) < 2*n {
		return nil, nil, false
	}
	for i := range n {
		list = append(list, int16(binary.BigEndian.Uint16(b[2*i:])))
	}
	return list, b[2*n:], true
}

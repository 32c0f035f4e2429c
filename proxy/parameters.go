package proxy

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// shownParameters renders the values of a Bind for people: text as it is,
// binary as hexadecimal digits.
func shownParameters(b []byte) []string {
	formats, b, ok := int16s(b)
	if !ok || len(b) < 2 {
		return nil
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	shown := make([]string, 0, min(n, 64))
	for i := range n {
		if len(b) < 4 {
			return shown
		}
		size := int32(binary.BigEndian.Uint32(b))
		b = b[4:]
		if size < 0 {
			shown = append(shown, "NULL")
			continue
		}
		if int64(size) > int64(len(b)) {
			return shown
		}
		value := b[:size]
		b = b[size:]
		shown = append(shown, shownValue(value, format(formats, i)))
	}
	return shown
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

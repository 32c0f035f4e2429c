package policy

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// The server converts what a client sends to its own encoding before it looks for
// strings and words (pg_client_to_server, called where a message is read), and its
// lexer takes each byte from 0x80 on for a letter. So text is converted here as
// well, and then read as any other. Where its tables are not quite the server's,
// a letter becomes another letter: where strings end does not change, as long as
// each character of two bytes or more becomes something that is not ASCII. A
// character that the server does not know ends the message with an error.
//
// Tried with PostgreSQL 15: under SJIS, `SELECT E'` 0x95 0x5c `'` is one whole
// string for the server, whatever standard_conforming_strings is, and
// encoding_server_test.go holds that for each of these.

// A clientEncoding is a way to read text.
type clientEncoding struct {
	// length is how many bytes a character has that begins with these, of which the
	// first is not ASCII (the functions pg_*_mblen of wchar.c).
	length func(text string) int
	// table is nil where there is none: then only ASCII can be read.
	table encoding.Encoding
}

func oneByte(string) int  { return 1 }
func twoBytes(string) int { return 2 }

func sjisLength(text string) int {
	if text[0] >= 0xa1 && text[0] <= 0xdf {
		return 1
	}
	return 2
}

func eucLength(text string) int {
	if text[0] == 0x8f {
		return 3
	}
	return 2
}

func gb18030Length(text string) int {
	if len(text) > 1 && isDigit(text[1]) {
		return 4
	}
	return 2
}

// clientEncodings are those of the manual's "Supported Character Sets" but UTF8
// and SQL_ASCII, by the names in which the server reports them.
var clientEncodings = map[string]clientEncoding{
	"LATIN1": {oneByte, charmap.ISO8859_1}, "LATIN2": {oneByte, charmap.ISO8859_2},
	"LATIN3": {oneByte, charmap.ISO8859_3}, "LATIN4": {oneByte, charmap.ISO8859_4},
	"LATIN5": {oneByte, charmap.ISO8859_9}, "LATIN6": {oneByte, charmap.ISO8859_10},
	"LATIN7": {oneByte, charmap.ISO8859_13}, "LATIN8": {oneByte, charmap.ISO8859_14},
	"LATIN9": {oneByte, charmap.ISO8859_15}, "LATIN10": {oneByte, charmap.ISO8859_16},
	"ISO_8859_5": {oneByte, charmap.ISO8859_5}, "ISO_8859_6": {oneByte, charmap.ISO8859_6},
	"ISO_8859_7": {oneByte, charmap.ISO8859_7}, "ISO_8859_8": {oneByte, charmap.ISO8859_8},
	"KOI8R": {oneByte, charmap.KOI8R}, "KOI8U": {oneByte, charmap.KOI8U},
	"WIN866": {oneByte, charmap.CodePage866}, "WIN874": {oneByte, charmap.Windows874},
	"WIN1250": {oneByte, charmap.Windows1250}, "WIN1251": {oneByte, charmap.Windows1251},
	"WIN1252": {oneByte, charmap.Windows1252}, "WIN1253": {oneByte, charmap.Windows1253},
	"WIN1254": {oneByte, charmap.Windows1254}, "WIN1255": {oneByte, charmap.Windows1255},
	"WIN1256": {oneByte, charmap.Windows1256}, "WIN1257": {oneByte, charmap.Windows1257},
	"WIN1258": {oneByte, charmap.Windows1258},

	"SJIS": {sjisLength, japanese.ShiftJIS}, "EUC_JP": {eucLength, japanese.EUCJP},
	"BIG5": {twoBytes, traditionalchinese.Big5}, "GBK": {twoBytes, simplifiedchinese.GBK},
	"GB18030": {gb18030Length, simplifiedchinese.GB18030}, "EUC_CN": {twoBytes, simplifiedchinese.GBK},
	"UHC": {twoBytes, korean.EUCKR}, "EUC_KR": {eucLength, korean.EUCKR},

	"EUC_TW": {}, "EUC_JIS_2004": {}, "SHIFT_JIS_2004": {}, "JOHAB": {}, "MULE_INTERNAL": {},
}

// utf8 gives the text as UTF-8, or false where it cannot be converted for certain.
func (e clientEncoding) utf8(text string) (string, bool) {
	if isASCII(text) {
		return text, true
	}
	if e.table == nil {
		return "", false
	}
	var converted strings.Builder
	converted.Grow(len(text) + len(text)/2)
	decoder := e.table.NewDecoder()
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			converted.WriteByte(text[i])
			i++
			continue
		}
		n := e.length(text[i:])
		if i+n > len(text) {
			return "", false
		}
		letters, err := decoder.String(text[i : i+n])
		if err != nil || !foreign(letters) {
			return "", false
		}
		converted.WriteString(letters)
		i += n
	}
	return converted.String(), true
}

// foreign says that every letter is known and none is ASCII.
func foreign(letters string) bool {
	for _, r := range letters {
		if r < utf8.RuneSelf || r == utf8.RuneError {
			return false
		}
	}
	return letters != ""
}

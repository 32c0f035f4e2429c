package policy

import (
	"encoding/binary"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A point is a place among the values of an ordered type. The special values of
// numbers and dates stand below and above all others; PostgreSQL puts NaN above
// infinity, and takes it for equal to itself (manual, section "Numeric Types").
type point struct {
	rank int8     // of -infinity, of numbers, of infinity, of NaN
	at   *big.Rat // of a number
}

var (
	leastOfAll = point{rank: -1}
	infinite   = point{rank: 1}
	notANumber = point{rank: 2}
)

func whole(n int64) point { return point{at: big.NewRat(n, 1)} }

func (p point) compare(q point) int {
	if p.rank != q.rank {
		return int(p.rank) - int(q.rank)
	}
	if p.rank != 0 {
		return 0
	}
	return p.at.Cmp(q.at)
}

// A span is what is known of the values that an expression can have. The zero
// value is nothing.
type span struct {
	kind            string // the type, as pg_type.typname; "" where it is not known
	least, greatest point  // without a place and a rank: not known
	discrete        bool   // nothing lies between two neighbouring whole numbers
	labels          []string
}

func (p point) known() bool { return p.rank != 0 || p.at != nil }

// holds says whether a value at the point is possible.
func (s *span) holds(at point) bool {
	return !(s.least.known() && at.compare(s.least) < 0) && !(s.greatest.known() && at.compare(s.greatest) > 0) &&
		!(s.discrete && at.rank == 0 && !at.at.IsInt())
}

// holdsBetween says whether a value is possible after one point and before
// another, of which either may be unknown.
func (s *span) holdsBetween(after, before point) bool {
	switch {
	case before.known() && s.least.known() && before.compare(s.least) <= 0,
		after.known() && s.greatest.known() && after.compare(s.greatest) >= 0,
		after.rank > 0 && before.known():
		return false
	case !after.known() || !before.known() || !s.discrete || after.rank != 0 || before.rank != 0:
		return true
	}
	next := new(big.Int).Div(after.at.Num(), after.at.Denom()) // towards -infinity
	first := point{at: new(big.Rat).SetInt(next.Add(next, big.NewInt(1)))}
	if s.least.known() && first.compare(s.least) < 0 {
		first = s.least
	}
	return s.holds(first) && first.compare(before) < 0
}

// within is a span with what is known of another's bounds.
func (s span) within(least, greatest point) span {
	if least.known() && (!s.least.known() || least.compare(s.least) > 0) {
		s.least = least
	}
	if greatest.known() && (!s.greatest.known() || greatest.compare(s.greatest) < 0) {
		s.greatest = greatest
	}
	return s
}

// spans are the types whose values, or some of them, have a known place. Dates
// and times are in days; of texts only the empty one has a place, before all
// others in every collation.
var spans = func() map[string]span {
	power := func(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }
	integers := func(bits uint) (least, greatest point) {
		l := new(big.Int).Neg(power(bits - 1))
		g := new(big.Int).Sub(power(bits-1), big.NewInt(1))
		return point{at: new(big.Rat).SetInt(l)}, point{at: new(big.Rat).SetInt(g)}
	}
	upTo := func(bits uint) point {
		return point{at: new(big.Rat).SetInt(new(big.Int).Sub(power(bits), big.NewInt(1)))}
	}
	m := make(map[string]span)
	for kind, bits := range map[string]uint{"int2": 16, "int4": 32, "int8": 64} {
		l, g := integers(bits)
		m[kind] = span{kind: kind, least: l, greatest: g, discrete: true}
	}
	for _, kind := range []string{"numeric", "float4", "float8"} {
		m[kind] = span{kind: kind, least: leastOfAll, greatest: notANumber}
	}
	for _, kind := range []string{"date", "timestamp", "timestamptz"} {
		m[kind] = span{kind: kind, least: leastOfAll, greatest: infinite, discrete: kind == "date"}
	}
	for _, kind := range []string{"text", "varchar", "bpchar", "name", "bytea"} {
		m[kind] = span{kind: kind, least: whole(0)}
	}
	m["time"] = span{kind: "time", least: whole(0), greatest: whole(1)}
	for _, kind := range []string{"oid", "regclass"} {
		m[kind] = span{kind: kind, least: whole(0), greatest: upTo(32), discrete: true}
	}
	m["uuid"] = span{kind: "uuid", least: whole(0), greatest: upTo(128), discrete: true}
	m["tid"] = span{kind: "tid", least: whole(0), discrete: true}
	m["bool"] = span{kind: "bool"}
	m["record"] = span{kind: "record"}
	return m
}()

// span is what the type of a column says of its values.
func (c *Column) span() span {
	if len(c.Labels) > 0 {
		return span{kind: c.Type, least: whole(0), greatest: whole(int64(len(c.Labels) - 1)), discrete: true, labels: c.Labels}
	}
	return spans[c.Type]
}

// integer, number and textual group types whose values compare by what they are,
// whichever of the types each has.
func (s *span) integer() bool { return s.kind == "int2" || s.kind == "int4" || s.kind == "int8" }

func (s *span) number() bool {
	return s.integer() || s.kind == "numeric" || s.kind == "float4" || s.kind == "float8"
}

func (s *span) textual() bool { return s.kind == "text" || s.kind == "varchar" }

// exact says whether numbers of the type are told apart however many digits they
// have.
func (s *span) exact() bool { return s.integer() || s.kind == "numeric" }

// typeNames are the types by the OIDs that a Parse message declares.
var typeNames = map[uint32]string{
	typeBool: "bool", typeInt2: "int2", typeInt4: "int4", typeInt8: "int8", typeText: "text", typeVarchar: "varchar", typeBpchar: "bpchar",
	700: "float4", 701: "float8", 1082: "date", 1083: "time", 1114: "timestamp", 1184: "timestamptz", 1700: "numeric", 2950: "uuid",
}

const floatDigits = 7 // of a whole number that float4 keeps

// placed gives the place of a constant among the values of a span, as the server
// would read it beside one of them.
func (p *prover) placed(s *span, o *operand) (point, bool) {
	switch {
	case o.at.known():
		return o.at, s.takes(&o.span, o.at) || o.number != nil && (s.kind == "float4" || s.kind == "float8")
	case o.raw != nil && o.raw.Text:
		return p.readPoint(s, string(o.raw.Value))
	case o.raw != nil:
		return pointOfBytes(s.kind, o.raw.Value)
	case o.text != nil && o.constant && o.untyped:
		return p.readPoint(s, *o.text)
	case o.text != nil && o.constant && len(s.labels) > 0 && o.castTo == s.kind:
		return p.readPoint(s, *o.text)
	}
	return point{}, false
}

// takes says whether a constant of another type compares with values of a span
// without loss.
func (s *span) takes(of *span, at point) bool {
	switch {
	case s.kind == of.kind && s.kind != "":
		return true
	case s.exact() && of.exact():
		return true
	case s.kind == "float8" || s.kind == "float4":
		return of.exact() && (at.rank != 0 || at.at.IsInt() && len(at.at.Num().String()) <= floatDigits)
	case s.kind == "oid" || s.kind == "regclass":
		return of.kind == "oid" || of.kind == "regclass" || of.kind == "int4" && at.compare(whole(0)) >= 0
	case s.kind == "date" || s.kind == "timestamp":
		return of.kind == "date" || of.kind == "timestamp"
	case s.textual():
		return of.textual()
	}
	return false
}

var (
	plainDate   = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)
	plainMoment = regexp.MustCompile(`^\d{4}-\d{2}-\d{2} \d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?$`)
	plainOffset = regexp.MustCompile(`^(.*\d)(Z|[+-]\d{2}(:\d{2})?)$`)
	plainTime   = regexp.MustCompile(`^\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?$`)
	plainUUID   = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	plainTID    = regexp.MustCompile(`^\((\d{1,9}),(\d{1,5})\)$`)
	plainNumber = regexp.MustCompile(`^-?\d{1,40}(\.\d{1,40})?$`)
)

// readPoint reads text as the input function of a type does, where that does not
// depend on a setting such as DateStyle or TimeZone: ISO dates, and moments with
// their zone.
func (p *prover) readPoint(s *span, text string) (point, bool) {
	if len(s.labels) > 0 {
		for i, l := range s.labels {
			if l == text {
				return whole(int64(i)), true
			}
		}
		return point{}, false
	}
	if s.kind == "regclass" {
		return p.relationPoint(text)
	}
	if s.textual() || s.kind == "bpchar" || s.kind == "name" || s.kind == "bytea" {
		return emptyText(len(text))
	}
	text = strings.Trim(text, " \t\n\r\v\f")
	switch s.kind {
	case "int2", "int4", "int8":
		return readNumber(text, !strings.Contains(text, "."))
	case "numeric", "float8", "float4":
		switch strings.ToLower(text) {
		case "infinity":
			return infinite, true
		case "-infinity":
			return leastOfAll, true
		case "nan":
			return notANumber, true
		}
		return readNumber(text, s.kind == "numeric" || !strings.Contains(text, ".") && len(text) <= floatDigits)
	case "oid":
		return readNumber(text, !strings.ContainsAny(text, ".-") && len(text) <= 9)
	case "date", "timestamp", "timestamptz":
		switch strings.ToLower(text) {
		case "infinity":
			return infinite, true
		case "-infinity":
			return leastOfAll, true
		}
		return readMoment(s.kind, text)
	case "time":
		if !plainTime.MatchString(text) {
			return point{}, false
		}
		if strings.HasPrefix(text, "24:00") {
			return whole(1), strings.Trim(text[2:], ":0.") == "" // later is an error
		}
		at, ok := readMoment("timestamp", "1970-01-01 "+text)
		return at, ok
	case "uuid":
		if !plainUUID.MatchString(text) {
			return point{}, false
		}
		n, ok := new(big.Int).SetString(strings.ReplaceAll(text, "-", ""), 16)
		return point{at: new(big.Rat).SetInt(n)}, ok
	case "tid":
		m := plainTID.FindStringSubmatch(text)
		if m == nil {
			return point{}, false
		}
		block, _ := strconv.ParseInt(m[1], 10, 64)
		offset, _ := strconv.ParseInt(m[2], 10, 64)
		return whole(block<<16 + offset), offset < 1<<16
	}
	return point{}, false
}

func readNumber(text string, plain bool) (point, bool) {
	if !plain || !plainNumber.MatchString(text) {
		return point{}, false
	}
	r, ok := new(big.Rat).SetString(text)
	return point{at: r}, ok
}

const day = 24 * 60 * 60 * 1_000_000 // microseconds

// readMoment reads a date or a timestamp. One without a zone is no timestamptz:
// which moment it means is up to TimeZone.
func readMoment(kind, text string) (point, bool) {
	shift := "Z"
	if m := plainOffset.FindStringSubmatch(text); m != nil && plainMoment.MatchString(m[1]) {
		text, shift = m[1], m[2]
		if len(shift) == 3 {
			shift += ":00"
		}
	} else if kind == "timestamptz" {
		return point{}, false
	}
	if kind != "timestamptz" && shift != "Z" {
		return point{}, false
	}
	switch {
	case plainDate.MatchString(text):
		text += " 00:00:00"
	case kind == "date" || !plainMoment.MatchString(text):
		return point{}, false
	case len(text) == len("2006-01-02 15:04"):
		text += ":00"
	}
	t, err := time.Parse("2006-01-02 15:04:05Z07:00", text+shift)
	if err != nil || t.Year() < 1 {
		return point{}, false
	}
	return point{at: big.NewRat(t.UnixMicro(), day)}, true
}

// emptyText is the place of a text without characters, the only one that has one.
func emptyText(length int) (point, bool) {
	if length > 0 {
		return point{}, false
	}
	return whole(0), true
}

// sinceEpoch is from 1970 to 2000, the zero of dates in the binary format.
const sinceEpoch = 10957

// pointOfBytes reads a value in the binary format.
func pointOfBytes(kind string, value []byte) (point, bool) {
	switch {
	case kind == "int2" && len(value) == 2:
		return whole(int64(int16(binary.BigEndian.Uint16(value)))), true
	case kind == "int4" && len(value) == 4:
		return whole(int64(int32(binary.BigEndian.Uint32(value)))), true
	case kind == "int8" && len(value) == 8:
		return whole(int64(binary.BigEndian.Uint64(value))), true
	case kind == "date" && len(value) == 4:
		switch n := int32(binary.BigEndian.Uint32(value)); n {
		case math.MaxInt32:
			return infinite, true
		case math.MinInt32:
			return leastOfAll, true
		default:
			return whole(int64(n) + sinceEpoch), true
		}
	case (kind == "timestamp" || kind == "timestamptz") && len(value) == 8:
		switch n := int64(binary.BigEndian.Uint64(value)); n {
		case math.MaxInt64:
			return infinite, true
		case math.MinInt64:
			return leastOfAll, true
		default:
			r := big.NewRat(n, day)
			return point{at: r.Add(r, big.NewRat(sinceEpoch, 1))}, true
		}
	case kind == "float8" && len(value) == 8:
		f := math.Float64frombits(binary.BigEndian.Uint64(value))
		switch {
		case math.IsNaN(f):
			return notANumber, true
		case math.IsInf(f, 1):
			return infinite, true
		case math.IsInf(f, -1):
			return leastOfAll, true
		}
		return point{at: new(big.Rat).SetFloat64(f)}, true
	case kind == "uuid" && len(value) == 16:
		return point{at: new(big.Rat).SetInt(new(big.Int).SetBytes(value))}, true
	case kind == "text" || kind == "varchar" || kind == "bpchar" || kind == "bytea":
		return emptyText(len(value))
	}
	return point{}, false
}

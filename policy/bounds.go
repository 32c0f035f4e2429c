package policy

import "strings"

// The C parser walks its trees by recursion and a stack overflow in C ends the
// process: recover cannot help. Text is therefore measured in Go first, and what
// is out of bounds never reaches the parser.
//
// Measured with libpg_query 17-6.2.2 on x86-64: 1+1+... dies at about 23,000 terms
// on the usual stack of 8 MiB. With the bounds below every construct tried (some
// thirty: operators, casts, NOT, joins, unions, nested queries, CASE, functions,
// JSON and XML) parses on a stack of 768 KiB; glibc gives a thread 2 MiB where
// the limit is "unlimited", else what the limit says.
const (
	// maxText is the longest text that the parser is given, in bytes. PostgreSQL's
	// own clients stay far below.
	maxText = 16 << 20
	// maxBulk is the longest text of all: rows of constants are left out before the
	// parser sees it.
	maxBulk = 64 << 20
	// maxNesting bounds open brackets and CASEs.
	maxNesting = 250
	// maxDepth bounds what can nest the tree without a bracket: operators,
	// casts, NOT, JOIN, UNION, summed over all open brackets.
	maxDepth = 2000
	// maxTerms bounds the ANDs and ORs of a text. They make lists, not depth.
	maxTerms = 50_000
	// maxComments bounds the nesting of comments, which costs quadratic time.
	maxComments = 100
)

// outOfBounds says in words which bound text exceeds, or "" when it is fit for
// the parser.
func outOfBounds(text string) string {
	if len(text) > maxText {
		return "the text is longer than 16 MiB"
	}
	if strings.IndexByte(text, 0) >= 0 {
		return "the text holds a zero byte"
	}
	b := bounds{scanner: scanner{text: text}, levels: make([]level, 1, 16)}
	return b.measure()
}

// A level is what stands between two brackets, or between CASE and END.
type level struct {
	open byte // '(', '[', 'C' for CASE, 0 for the statement itself
	// chain counts what may have deepened the tree since the last separator: each
	// operator, each word that follows an operand. Too much is counted (FROM,
	// AS), never too little.
	chain int
	// links counts JOIN, UNION, INTERSECT and EXCEPT, which lean to the left
	// across commas, AND and OR.
	links int
	// between counts the BETWEENs whose AND is still to come: that AND belongs to
	// an operand and separates nothing.
	between int
}

type bounds struct {
	scanner scanner
	levels  []level
	depth   int // sum of chain and links over all levels
	terms   int
}

func (b *bounds) top() *level { return &b.levels[len(b.levels)-1] }

func (b *bounds) measure() string {
	var before token // the token before
	for {
		t := b.scanner.next()
		if b.scanner.comments > maxComments {
			return "comments are nested too deep"
		}
		if b.scanner.joined {
			return "a string goes on behind a comment"
		}
		switch t.kind {
		case tokenEnd:
			return ""
		case tokenOperator:
			// scan.l cuts a run such as ++++ into single operators.
			b.count(max(1, len(t.text)-strings.Count(t.text, ":")))
		case tokenWord:
			b.word(t, before)
		case tokenDelimiter:
			b.delimiter(t.text[0])
		}
		switch {
		case len(b.levels) > maxNesting:
			return "brackets and CASE are nested too deep"
		case b.depth > maxDepth:
			return "operators, joins or unions are chained too long"
		case b.terms > maxTerms:
			return "there are too many ANDs and ORs"
		}
		before = t
	}
}

// count adds to the chain of the innermost level.
func (b *bounds) count(n int) {
	b.top().chain += n
	b.depth += n
}

// separate ends the chain of the innermost level.
func (b *bounds) separate() {
	b.depth -= b.top().chain
	b.top().chain = 0
}

func (b *bounds) push(open byte) { b.levels = append(b.levels, level{open: open}) }

func (b *bounds) pop() {
	b.depth -= b.top().chain + b.top().links
	b.levels = b.levels[:len(b.levels)-1]
}

func (b *bounds) word(t, before token) {
	// The names in a.case and "AS case" are no key words.
	if before.text == "." || before.word() == "as" {
		b.count(1)
		return
	}
	switch t.word() {
	case "and":
		b.terms++
		if b.top().between > 0 {
			b.top().between--
			b.count(1)
			return
		}
		b.separate()
	case "or":
		b.terms++
		b.separate()
	case "between":
		b.top().between++
		b.count(1)
	case "when", "then", "else":
		if b.top().open == 'C' {
			b.separate()
		}
		b.count(1)
	case "join", "union", "intersect", "except":
		b.separate() // they end an operand, whatever it is
		b.top().links++
		b.depth++
	case "case":
		b.push('C')
	case "end":
		if b.top().open == 'C' {
			b.pop()
		}
	default:
		if before.kind != tokenEnd && before.kind != tokenOperator && before.text != "," && before.text != "(" && before.text != ";" {
			b.count(1)
		}
	}
}

func (b *bounds) delimiter(c byte) {
	switch c {
	case '(', '[':
		b.push(c)
	case ')', ']':
		for b.top().open == 'C' {
			b.pop()
		}
		if len(b.levels) > 1 {
			b.pop()
		}
	case ',':
		b.separate()
	case ';':
		for b.top().open == 'C' {
			b.pop()
		}
		b.separate()
		b.depth -= b.top().links
		b.top().links, b.top().between = 0, 0
	}
}

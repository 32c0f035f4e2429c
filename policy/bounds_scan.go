package policy

import "strings"

// A scanner cuts text into the tokens that bounds and the token scan of
// unparsable text need. It follows PostgreSQL's scan.l in what matters here:
// where strings, quoted identifiers and comments begin and end. Backslashes are
// special in E strings only (standard_conforming_strings is on wherever text is
// judged at all).
type scanner struct {
	text string
	pos  int

	// comments is the deepest nesting of comments met so far.
	comments int
	// joined is set by a string that goes on behind a comment. The server reads one
	// string there; the parser here, which keeps comments, reads two.
	joined bool
	// unterminated is set at the end of text within a string or a comment.
	unterminated bool
}

type tokenKind uint8

const (
	tokenEnd        tokenKind = iota
	tokenWord                 // identifier or key word
	tokenQuoted               // "identifier"
	tokenString               // any kind of string or bit string
	tokenNumber               // number or $1
	tokenOperator             // a run of operator characters, or ::
	tokenDelimiter            // one of ( ) [ ] , ; . : and anything else
	operatorLetters = "~!@#^&|`?+-*/%<>="
)

type token struct {
	kind tokenKind
	text string // as written, quotes included
}

// word gives a word in lower case, other tokens as they stand.
func (t token) word() string {
	if t.kind == tokenWord {
		return strings.ToLower(t.text)
	}
	return t.text
}

func isIdentifierStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isIdentifierPart(c byte) bool { return isIdentifierStart(c) || isDigit(c) || c == '$' }

func isSpace(c byte) bool {
	return c == ' ' || c >= '\t' && c <= '\r'
}

// next returns the next token; its kind is tokenEnd at the end of the text.
func (s *scanner) next() token {
	s.skipSpace()
	start := s.pos
	if start >= len(s.text) {
		return token{}
	}
	c := s.text[start]
	kind := tokenDelimiter
	switch {
	case isIdentifierStart(c):
		kind = s.wordOrString()
	case isDigit(c), c == '.' && start+1 < len(s.text) && isDigit(s.text[start+1]):
		kind = tokenNumber
		for s.pos++; s.pos < len(s.text) && (isIdentifierPart(s.text[s.pos]) || s.text[s.pos] == '.'); s.pos++ {
		}
	case c == '\'':
		kind = tokenString
		s.quoted('\'', false)
	case c == '"':
		kind = tokenQuoted
		s.quoted('"', false)
	case c == '$':
		kind = s.dollar()
	case c == ':' && strings.HasPrefix(s.text[start:], "::"):
		kind = tokenOperator
		s.pos += 2
	case strings.IndexByte(operatorLetters, c) >= 0:
		kind = tokenOperator
		s.operator()
	default:
		s.pos++
	}
	return token{kind, s.text[start:s.pos]}
}

// skipSpace skips white space and comments.
func (s *scanner) skipSpace() {
	for s.pos < len(s.text) {
		switch rest := s.text[s.pos:]; {
		case isSpace(rest[0]):
			s.pos++
		case strings.HasPrefix(rest, "--"):
			s.lineComment()
		case strings.HasPrefix(rest, "/*"):
			s.comment()
		default:
			return
		}
	}
}

func (s *scanner) lineComment() {
	end := strings.IndexAny(s.text[s.pos:], "\n\r")
	if end < 0 {
		s.pos = len(s.text)
		return
	}
	s.pos += end
}

func (s *scanner) comment() {
	depth := 0
	for s.pos < len(s.text) {
		switch rest := s.text[s.pos:]; {
		case strings.HasPrefix(rest, "/*"):
			depth++
			s.comments = max(s.comments, depth)
			s.pos += 2
		case strings.HasPrefix(rest, "*/"):
			depth--
			s.pos += 2
			if depth == 0 {
				return
			}
		default:
			s.pos++
		}
	}
	s.unterminated = true
}

// operator reads a run of operator characters, which a comment ends.
func (s *scanner) operator() {
	for s.pos < len(s.text) && strings.IndexByte(operatorLetters, s.text[s.pos]) >= 0 {
		rest := s.text[s.pos:]
		if strings.HasPrefix(rest, "--") || strings.HasPrefix(rest, "/*") {
			return
		}
		s.pos++
	}
}

// wordOrString reads an identifier, or the string that a prefix such as E
// begins.
func (s *scanner) wordOrString() tokenKind {
	rest := s.text[s.pos:]
	if len(rest) > 1 && rest[1] == '\'' {
		switch rest[0] {
		case 'e', 'E':
			s.pos++
			s.quoted('\'', true)
			return tokenString
		case 'b', 'B', 'x', 'X', 'n', 'N':
			s.pos++
			s.quoted('\'', false)
			return tokenString
		}
	}
	if len(rest) > 2 && (rest[0] == 'u' || rest[0] == 'U') && rest[1] == '&' {
		switch rest[2] {
		case '\'':
			s.pos += 2
			s.quoted('\'', false)
			return tokenString
		case '"':
			s.pos += 2
			s.quoted('"', false)
			return tokenQuoted
		}
	}
	for s.pos < len(s.text) && isIdentifierPart(s.text[s.pos]) {
		s.pos++
	}
	return tokenWord
}

// quoted reads from an opening quote to after the closing one. A string goes on
// after white space that holds a newline, in the mode it began in.
func (s *scanner) quoted(quote byte, backslash bool) {
	for {
		s.pos++
		for {
			if s.pos >= len(s.text) {
				s.unterminated = true
				return
			}
			c := s.text[s.pos]
			s.pos++
			if c == '\\' && backslash {
				s.pos = min(s.pos+1, len(s.text))
			} else if c == quote {
				if s.pos < len(s.text) && s.text[s.pos] == quote {
					s.pos++
					continue
				}
				break
			}
		}
		if quote != '\'' || !s.continued() {
			return
		}
	}
}

// continued says whether a string that has just been closed goes on in a later
// line (quotecontinue of scan.l, comments before and behind the line's end), and if so moves to its next opening quote.
func (s *scanner) continued() bool {
	newline, comment := false, false
	for i := s.pos; i < len(s.text); {
		switch c := s.text[i]; {
		case c == '\n' || c == '\r':
			newline = true
			i++
		case isSpace(c):
			i++
		case c == '-' && strings.HasPrefix(s.text[i:], "--"):
			comment = true
			end := strings.IndexAny(s.text[i:], "\n\r")
			if end < 0 {
				return false
			}
			i += end
		case c == '\'' && newline:
			s.pos = i
			s.joined = s.joined || comment
			return true
		default:
			return false
		}
	}
	return false
}

// dollar reads $1, a dollar-quoted string, or a lone dollar sign.
func (s *scanner) dollar() tokenKind {
	i := s.pos + 1
	if i < len(s.text) && isDigit(s.text[i]) {
		for i < len(s.text) && isIdentifierPart(s.text[i]) {
			i++
		}
		s.pos = i
		return tokenNumber
	}
	for i < len(s.text) && isIdentifierPart(s.text[i]) && s.text[i] != '$' {
		i++
	}
	if i >= len(s.text) || s.text[i] != '$' {
		s.pos++
		return tokenDelimiter
	}
	tag := s.text[s.pos : i+1]
	end := strings.Index(s.text[i+1:], tag)
	if end < 0 {
		s.pos = len(s.text)
		s.unterminated = true
		return tokenString
	}
	s.pos = i + 1 + end + len(tag)
	return tokenString
}

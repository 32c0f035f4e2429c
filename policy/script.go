package policy

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// Script reads a file of SQL as psql does: statement by statement, with the place
// of each. It does not judge them; Reader does.
//
// It follows psql's lexer (src/fe_utils/psqlscan.l): a semicolon ends a statement
// unless it stands in quotes, in dollar quotes, in a comment, in parentheses or
// in the body of BEGIN ATOMIC ... END; a backslash outside of all these begins a
// meta-command, which goes to the end of the line.
type Script struct {
	text string
	pos  int
	line int // of pos, from 1
	bol  int // where the line of pos begins
}

// NewScript returns a reader of the file's text.
func NewScript(text string) *Script {
	text = strings.TrimPrefix(text, "\ufeff")
	return &Script{text: text, line: 1}
}

// Part is one statement of a script, or one meta-command of psql.
type Part struct {
	Text         string // without the semicolon and what stands before the first word
	Line, Column int    // of the first word, from 1; columns count letters
	LastLine     int    // of the last word or the semicolon

	// Meta is true for a meta-command of psql; Text begins with its backslash.
	Meta bool

	// Comment is the text of a -- comment behind the statement in the same line.
	Comment string
}

// Next returns the next part, or false at the end.
func (s *Script) Next() (Part, bool) {
	s.skipBlank()
	if s.pos >= len(s.text) {
		return Part{}, false
	}
	p := Part{Line: s.line, Column: utf8.RuneCountInString(s.text[s.bol:s.pos]) + 1}
	begin := s.pos
	if s.text[s.pos] == '\\' && !strings.HasPrefix(s.text[s.pos:], `\;`) {
		s.toLineEnd()
		p.Meta, p.Text, p.LastLine = true, strings.TrimRight(s.text[begin:s.pos], " \t\r"), s.line
		return p, true
	}
	end := s.statement()
	p.Text, p.LastLine = s.text[begin:end], s.line
	if s.pos > end { // behind the semicolon
		p.Comment = s.trailing()
	} else {
		// Without a semicolon a comment at the end belongs to the text; it is
		// given as Comment, too, if it stands behind the last word.
		p.Text, p.Comment = cutComment(p.Text)
		p.LastLine = p.Line + strings.Count(p.Text, "\n")
	}
	return p, true
}

// skipBlank goes on to the next word, over comments and stray semicolons.
func (s *Script) skipBlank() {
	for s.pos < len(s.text) {
		rest := s.text[s.pos:]
		switch {
		case rest[0] == '\n':
			s.newline()
		case strings.ContainsRune(" \t\r\f\v;", rune(rest[0])):
			s.pos++
		case strings.HasPrefix(rest, `\;`):
			s.pos += 2
		case strings.HasPrefix(rest, "--"):
			s.toLineEnd()
		case strings.HasPrefix(rest, "/*"):
			s.blockComment()
		default:
			return
		}
	}
}

func (s *Script) newline() {
	s.pos++
	s.line++
	s.bol = s.pos
}

// advance goes to pos, counting lines.
func (s *Script) advance(pos int) {
	for s.pos < pos {
		if s.text[s.pos] == '\n' {
			s.newline()
		} else {
			s.pos++
		}
	}
}

func (s *Script) toLineEnd() {
	if i := strings.IndexByte(s.text[s.pos:], '\n'); i >= 0 {
		s.pos += i
	} else {
		s.pos = len(s.text)
	}
}

// blockComment goes behind a comment, which may hold others.
func (s *Script) blockComment() {
	depth := 0
	for i := s.pos; i < len(s.text); {
		switch {
		case strings.HasPrefix(s.text[i:], "/*"):
			depth++
			i += 2
		case strings.HasPrefix(s.text[i:], "*/"):
			depth--
			i += 2
			if depth == 0 {
				s.advance(i)
				return
			}
		default:
			i++
		}
	}
	s.advance(len(s.text))
}

// quoted goes behind a quoted text whose opening quote is at pos. A doubled
// quote stands for itself, and so does what follows a backslash, where
// backslashes are known.
func (s *Script) quoted(quote byte, backslashes bool) {
	i := s.pos + 1
	for ; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case backslashes && c == '\\':
			i++
		case c == quote:
			if i+1 < len(s.text) && s.text[i+1] == quote {
				i++
				continue
			}
			s.advance(i + 1)
			return
		}
	}
	s.advance(len(s.text))
}

var dollarTag = regexp.MustCompile(`^\$([A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$`)

// word is an identifier or a keyword.
var word = regexp.MustCompile(`^[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*`)

// statement goes behind the end of the statement and returns where its text
// ends.
func (s *Script) statement() (end int) {
	depth := 0         // of parentheses
	bodies := 0        // of BEGIN ATOMIC and of CASE in it
	var words []string // the first ones, in lower case, to know CREATE FUNCTION by
	for s.pos < len(s.text) {
		rest := s.text[s.pos:]
		switch c := rest[0]; {
		case c == '\n':
			s.newline()
		case strings.HasPrefix(rest, "--"):
			s.toLineEnd()
		case strings.HasPrefix(rest, "/*"):
			s.blockComment()
		case c == '\'':
			s.quoted('\'', false)
		case c == '"':
			s.quoted('"', false)
		case c == '$':
			tag := dollarTag.FindString(rest)
			if tag == "" {
				s.pos++
				continue
			}
			if i := strings.Index(rest[len(tag):], tag); i >= 0 {
				s.advance(s.pos + i + 2*len(tag))
			} else {
				s.advance(len(s.text))
			}
		case c == '(':
			depth++
			s.pos++
		case c == ')':
			depth = max(0, depth-1)
			s.pos++
		case c == ';' && depth == 0 && bodies == 0:
			s.pos++
			return s.pos - 1
		case c == '\\':
			end = s.pos
			if strings.HasPrefix(rest, `\;`) {
				s.pos += 2
			}
			return end // a meta-command such as \gx sends what stands before it
		default:
			w := word.FindString(rest)
			if w == "" {
				s.pos++
				continue
			}
			s.pos += len(w)
			if len(w) == 1 && (w == "e" || w == "E") && s.pos < len(s.text) && s.text[s.pos] == '\'' {
				s.quoted('\'', true)
				continue
			}
			w = strings.ToLower(w)
			if len(words) < 4 {
				words = append(words, w)
			}
			if depth == 0 && createsRoutine(words) {
				bodies = max(0, bodies+nests(w, bodies))
			}
		}
	}
	return len(s.text)
}

// createsRoutine says whether the first words are those of CREATE [OR REPLACE]
// FUNCTION or PROCEDURE, whose body can hold semicolons.
func createsRoutine(words []string) bool {
	if words[0] != "create" {
		return false
	}
	for _, w := range words[1:] {
		if w == "function" || w == "procedure" {
			return true
		}
	}
	return false
}

// nests is by how much a word changes the depth of a routine's body.
func nests(w string, bodies int) int {
	switch {
	case w == "begin":
		return 1
	case w == "case" && bodies > 0:
		return 1
	case w == "end" && bodies > 0:
		return -1
	}
	return 0
}

// trailing is the text of a -- comment in the rest of the line.
func (s *Script) trailing() string {
	rest := s.text[s.pos:]
	if i := strings.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i]
	}
	comment, is := strings.CutPrefix(strings.TrimLeft(rest, " \t"), "--")
	if !is {
		return ""
	}
	s.pos += len(rest)
	return strings.TrimSpace(comment)
}

// cutComment cuts white space and a -- comment off the end of a statement.
func cutComment(text string) (statement, comment string) {
	text = strings.TrimRight(text, " \t\r\n")
	i := strings.LastIndexByte(text, '\n') + 1
	for j := i; j < len(text)-1; j++ {
		if text[j] != '-' || text[j+1] != '-' {
			continue
		}
		// Only if it is a comment indeed, and not a text with dashes in it.
		probe := &Script{text: text[:j] + ";", line: 1}
		probe.skipBlank()
		if probe.statement() == j {
			return strings.TrimRight(text[:j], " \t\r\n"), strings.TrimSpace(text[j+2:])
		}
	}
	return text, ""
}

// SkipCopyData goes behind the data of a COPY ... FROM STDIN, which end with a
// line of `\.`, and returns the number of its lines.
func (s *Script) SkipCopyData() int {
	s.toLineEnd()
	lines := 0
	for s.pos < len(s.text) {
		s.newline()
		begin := s.pos
		s.toLineEnd()
		if strings.TrimRight(s.text[begin:s.pos], "\r") == `\.` {
			return lines
		}
		lines++
	}
	return lines
}

// rest is what has not been read.
func (s *Script) rest() string { return s.text[s.pos:] }

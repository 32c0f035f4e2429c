package proxy

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// helpHint goes with every statement that the console does not know.
const helpHint = "This is pgsluice, not a PostgreSQL server: SHOW HELP lists what can be said here."

// consoleStatement is a statement as read. Without a command it is empty.
type consoleStatement struct {
	command    *command
	arguments  []argument
	parameters []parameter // what $1, $2 ... are, in their order
	size       int
}

// argument is a value written in the statement, or the number of a parameter.
type argument struct {
	takes     takes
	value     any // int64 or string; nil when it was left out
	parameter int // from 1; 0: value
}

func (s *consoleStatement) columns() []column {
	if s.command == nil {
		return nil
	}
	return s.command.columns
}

// bound gives the command its arguments.
func (s *consoleStatement) bound(values []any) ([]any, error) {
	out := make([]any, len(s.arguments))
	for i, a := range s.arguments {
		v := a.value
		if a.parameter > 0 {
			v = values[a.parameter-1]
			if v == nil {
				return nil, &consoleError{code: "22004", message: fmt.Sprintf("%s is NULL", a.takes.name)}
			}
		}
		if v == nil {
			continue // optional, left out
		}
		var err error
		if out[i], err = a.takes.accept(v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// accept makes an int64 or a string what the argument has to be.
func (t takes) accept(v any) (any, error) {
	text, isText := v.(string)
	n, isNumber := v.(int64)
	switch {
	case t.oid == textOID && isText:
		return text, nil
	case t.oid == textOID && isNumber:
		return strconv.FormatInt(n, 10), nil
	case t.oid == int8OID && isNumber:
		return n, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, &consoleError{code: "22P02", message: fmt.Sprintf("%s has to be a number", t.name)}
	}
	return n, nil
}

// token is a piece of a statement. The kinds:
type token struct {
	kind tokenKind
	text string // of a word in upper case; of a string what it means
	raw  string // as written
	at   int    // position in characters, from 1
}

type tokenKind byte

const (
	wordToken   tokenKind = 'w'
	quotedToken tokenKind = 'q' // "identifier"
	stringToken tokenKind = 's'
	numberToken tokenKind = 'n'
	dollarToken tokenKind = '$' // $1
	signToken   tokenKind = '+' // any other character
)

// tokens reads text by the manual's rules ("Lexical Structure"), as far as the
// console's commands and what drivers send need them; standard_conforming_strings
// is always on here.
func tokens(text string) ([]token, error) {
	var out []token
	for i := 0; i < len(text); {
		rest := text[i:]
		r, size := utf8.DecodeRuneInString(rest)
		at := utf8.RuneCountInString(text[:i]) + 1
		t := token{at: at}
		var err error
		switch {
		case r == utf8.RuneError && size == 1:
			return nil, &consoleError{code: "22021", message: "invalid byte sequence for encoding \"UTF8\"", position: at}
		case strings.ContainsRune(" \t\n\r\f\v", r):
			i += size
			continue
		case strings.HasPrefix(rest, "--"):
			if size = strings.IndexAny(rest, "\r\n"); size < 0 {
				size = len(rest)
			}
			i += size
			continue
		case strings.HasPrefix(rest, "/*"):
			if size = commentLength(rest); size < 0 {
				return nil, &consoleError{code: "42601", message: "unterminated /* comment", position: at}
			}
			i += size
			continue
		case r == '\'':
			t.kind = stringToken
			t.text, size, err = quoted(rest, '\'', "unterminated quoted string", at)
		case r == '"':
			t.kind = quotedToken
			t.text, size, err = quoted(rest, '"', "unterminated quoted identifier", at)
		case r == '$':
			t.kind, t.text, size, err = dollar(rest, at)
		case r >= '0' && r <= '9':
			t.kind, size = numberToken, span(rest, func(r rune) bool { return r >= '0' && r <= '9' })
			t.text = rest[:size]
		case r == '_' || unicode.IsLetter(r):
			t.kind, size = wordToken, span(rest, func(r rune) bool {
				return r == '_' || r == '$' || r >= '0' && r <= '9' || unicode.IsLetter(r)
			})
			t.text = strings.ToUpper(rest[:size])
		default:
			t.kind, t.text = signToken, rest[:size]
		}
		if err != nil {
			return nil, err
		}
		t.raw = rest[:size]
		out = append(out, t)
		i += size
	}
	return out, nil
}

func span(s string, in func(rune) bool) int {
	if n := strings.IndexFunc(s, func(r rune) bool { return !in(r) }); n >= 0 {
		return n
	}
	return len(s)
}

// commentLength is the length of a comment, which may hold others; -1: it has no end.
func commentLength(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

func quoted(s string, quote byte, unterminated string, at int) (string, int, error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != quote {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == quote {
			b.WriteByte(quote)
			i++
			continue
		}
		return b.String(), i + 1, nil
	}
	return "", 0, &consoleError{code: "42601", message: unterminated, position: at}
}

// dollar reads $1 and $tag$...$tag$.
func dollar(s string, at int) (tokenKind, string, int, error) {
	if n := span(s[1:], func(r rune) bool { return r >= '0' && r <= '9' }); n > 0 {
		return dollarToken, s[1 : 1+n], 1 + n, nil
	}
	n := span(s[1:], func(r rune) bool { return r == '_' || r >= '0' && r <= '9' || unicode.IsLetter(r) })
	if 1+n >= len(s) || s[1+n] != '$' {
		return signToken, "$", 1, nil
	}
	tag := s[:n+2]
	end := strings.Index(s[len(tag):], tag)
	if end < 0 {
		return 0, "", 0, &consoleError{code: "42601", message: "unterminated dollar-quoted string", position: at}
	}
	return stringToken, s[len(tag) : len(tag)+end], 2*len(tag) + end, nil
}

// readConsole reads the statements of text, in order; none of an empty one.
func readConsole(text string) ([]*consoleStatement, error) {
	all, err := tokens(text)
	if err != nil {
		return nil, err
	}
	end := utf8.RuneCountInString(text) + 1
	var out []*consoleStatement
	for len(all) > 0 {
		n := 0
		for n < len(all) && (all[n].kind != signToken || all[n].text != ";") {
			n++
		}
		if n > 0 {
			stop := end
			if n < len(all) {
				stop = all[n].at
			}
			statement, err := readStatement(all[:n], stop)
			if err != nil {
				return nil, err
			}
			out = append(out, statement)
		}
		all = all[min(n+1, len(all)):]
	}
	return out, nil
}

// readStatement finds the command that these tokens are. A statement that begins
// like one of the console's is a syntax error where it stops being one; anything
// else is what clients send to every server, or foreign.
func readStatement(ts []token, end int) (*consoleStatement, error) {
	var nearest *command
	furthest := 0
	for _, c := range commands() {
		statement, n, err := c.read(ts)
		if err != nil {
			return nil, err
		}
		if statement != nil {
			return statement, nil
		}
		if n > furthest || n == furthest && nearest != nil && n == len(c.words) && len(c.words) > len(nearest.words) {
			nearest, furthest = c, n
		}
	}
	if nearest != nil && (ts[0].text != "SHOW" || furthest > 1) {
		e := &consoleError{code: "42601", message: "syntax error at end of input", position: end, hint: "It reads " + nearest.usage() + "."}
		if furthest < len(ts) {
			e.message, e.position = fmt.Sprintf("syntax error at or near \"%s\"", ts[furthest].raw), ts[furthest].at
		}
		return nil, e
	}
	c, err := driverCommand(ts)
	if err != nil {
		return nil, err
	}
	return &consoleStatement{command: c}, nil
}

// read answers the statement if the tokens are this command, else how many of
// them could have been.
func (c *command) read(ts []token) (*consoleStatement, int, error) {
	statement := &consoleStatement{command: c}
	i := 0
	for _, word := range c.words {
		if i >= len(ts) || ts[i].kind != wordToken || ts[i].text != word {
			return nil, i, nil
		}
		i++
	}
	for n, t := range c.takes {
		if n > 0 && i < len(ts) && ts[i].kind == signToken && ts[i].text == "," {
			i++ // APPROVE $1, $2
		}
		if i >= len(ts) {
			if t.optional {
				statement.arguments = append(statement.arguments, argument{takes: t})
				continue
			}
			return nil, i, nil
		}
		a := argument{takes: t}
		switch token := ts[i]; {
		case token.kind == dollarToken:
			n, err := strconv.Atoi(token.text)
			if err != nil || n < 1 || n > len(c.takes) {
				return nil, i, &consoleError{code: "42P02", message: "there is no parameter " + token.raw, position: token.at}
			}
			a.parameter = n
			for len(statement.parameters) < n {
				statement.parameters = append(statement.parameters, parameter{oid: textOID})
			}
			statement.parameters[n-1].oid = t.oid
		case token.kind == stringToken:
			a.value = token.text
		case token.kind == numberToken && t.oid == int8OID:
			a.value = token.text
		default:
			return nil, i, nil
		}
		if a.parameter == 0 {
			if _, err := t.accept(a.value); err != nil {
				return nil, i, nil //nolint:nilerr // a value of the wrong type is a syntax error at its place
			}
		}
		statement.arguments = append(statement.arguments, a)
		i++
	}
	if i < len(ts) {
		return nil, i, nil
	}
	return statement, i, nil
}

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/pgsluice/pgsluice/policy"
)

// tui writes what people read: in 80 columns, in colours only where the output is
// a terminal and NO_COLOR is not set.
type tui struct {
	w       io.Writer
	colours bool
	err     error // of the first write that failed
	begun   bool
}

func newTUI(w io.Writer) *tui {
	t := &tui{w: w}
	if f, ok := w.(*os.File); ok && os.Getenv("NO_COLOR") == "" {
		t.colours = term.IsTerminal(int(f.Fd()))
	}
	return t
}

func (t *tui) printf(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format, args...)
	}
}

// heading begins a part.
func (t *tui) heading(text string) {
	if t.begun {
		t.printf("\n")
	}
	t.begun = true
	t.printf("%s\n", t.colour("1", text))
}

// item writes a mark and a text, wrapped, with the text in one column.
func (t *tui) item(mark, text string) {
	const width = 80
	indent := 2
	t.printf("  ")
	if mark != "" {
		t.printf("%s ", mark)
		indent += visible(mark) + 1
	}
	column, hang := indent, indent
	if mark == "" {
		hang += 2
	}
	first := true
	for _, word := range strings.Fields(text) {
		length := utf8.RuneCountInString(word)
		if !first && column+1+length > width {
			t.printf("\n%s", strings.Repeat(" ", hang))
			column, first = hang, true
		}
		if !first {
			t.printf(" ")
			column++
		}
		t.printf("%s", word)
		column += length
		first = false
	}
	t.printf("\n")
}

// visible is the length of a text without its colours.
func visible(s string) int {
	n, escape := 0, false
	for _, r := range s {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		default:
			n++
		}
	}
	return n
}

func (t *tui) colour(code, text string) string {
	if !t.colours {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (t *tui) faint(text string) string { return t.colour("2", text) }

// verdict is the verdict's word in its colour.
func (t *tui) verdict(v policy.Verdict) string {
	code := map[policy.Verdict]string{
		policy.Allow: "32", policy.Warn: "33", policy.Hold: "35", policy.Ticket: "35", policy.Block: "31",
	}[v]
	return t.colour(code, v.String())
}

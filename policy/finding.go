package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Finding is one thing that is wrong with a policy file.
type Finding struct {
	File         string
	Line, Column int // from 1; 0 where the whole file is meant
	Message      string
}

// Error is file:line:column: message.
func (f Finding) Error() string {
	if f.Line == 0 {
		return fmt.Sprintf("%s: %s", f.File, f.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
}

// Findings are all that is wrong, in the order of files and lines.
type Findings []Finding

func (fs Findings) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// sorted brings the findings of each file into the order of its lines.
func (fs Findings) sorted() Findings {
	slices.SortStableFunc(fs, func(a, b Finding) int {
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return fs
}

// didYouMean is `; did you mean "x"?` for the word that is nearest to what was
// written, or "" if none is near.
func didYouMean(written string, words []string) string {
	best, distance := "", 3
	if len(written) < 4 {
		distance = 2
	}
	for _, w := range words {
		if d := edits(strings.ToLower(written), w); d < distance {
			best, distance = w, d
		}
	}
	if best == "" {
		// A name cut short, or written without its last part.
		for _, w := range words {
			if len(written) >= 4 && strings.HasPrefix(w, strings.ToLower(written)) {
				best = w
				break
			}
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// edits is the number of letters to add, to remove, to replace or to swap that
// makes b out of a.
func edits(a, b string) int {
	before := make([]int, len(b)+1)
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// oneOf is `a, b or c`.
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

package policy

import (
	"fmt"
	"slices"
	"strings"
)

// glob is a pattern in which * stands for any text and ? for one character.
type glob string

// check says what is wrong with a pattern as a person wrote it, or "".
func (g glob) check() string {
	switch {
	case g == "":
		return "the pattern is empty"
	case strings.ContainsAny(string(g), "[]{}\\"):
		return "in a pattern only * and ? have a meaning; [ ] { } and \\ are not known"
	}
	return ""
}

// match works by going back to the last star only, which is enough for globs
// and needs neither memory nor more than len(g)*len(text) steps.
func (g glob) match(text string) bool {
	p, t := 0, 0
	star, mark := -1, 0
	for t < len(text) {
		switch {
		case p < len(g) && g[p] == '*':
			star, mark = p, t
			p++
		case p < len(g) && g[p] == '?':
			p++
			t += runeLen(text[t:])
		case p < len(g) && g[p] == text[t]:
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	for p < len(g) && g[p] == '*' {
		p++
	}
	return p == len(g)
}

func runeLen(s string) int {
	for i := range s {
		if i > 0 {
			return i
		}
	}
	return len(s)
}

// globs are patterns, of which those with a leading "!" exclude. With nothing
// but exclusions everything else is meant.
type globs struct {
	text    []string
	include []glob
	exclude []glob
}

func newGlobs(text []string) globs {
	g := globs{text: text}
	for _, t := range text {
		if rest, excluded := strings.CutPrefix(t, "!"); excluded {
			g.exclude = append(g.exclude, glob(rest))
		} else {
			g.include = append(g.include, glob(t))
		}
	}
	return g
}

func (g globs) match(text string) bool {
	for _, x := range g.exclude {
		if x.match(text) {
			return false
		}
	}
	for _, i := range g.include {
		if i.match(text) {
			return true
		}
	}
	return len(g.include) == 0
}

// matchFold is match for names in which case has no meaning. The patterns must
// be in lower case.
func (g globs) matchFold(text string) bool { return g.match(strings.ToLower(text)) }

func (g globs) String() string { return list(g.text) }

// list writes words as a YAML list in one line.
func list(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if w == "" || strings.ContainsFunc(w, func(r rune) bool { return !bare(r) }) {
			quoted[i] = fmt.Sprintf("%q", w)
		}
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func bare(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.-/:", r)
}

// nameCondition is a condition over one name of the session: user, role,
// database or application. A role is not always known.
type nameCondition struct {
	key   string
	of    func(*Session) string
	known func(string) bool
	globs globs
}

func always(string) bool        { return true }
func notEmpty(name string) bool { return name != "" }

// nameConditions are the keys that are such conditions.
var nameConditions = map[string]nameCondition{
	"user":     {of: func(s *Session) string { return s.User }, known: notEmpty},
	"role":     {of: func(s *Session) string { return s.Role }, known: notEmpty},
	"database": {of: func(s *Session) string { return s.Database }, known: notEmpty},
	// A client may send no application_name; that is a fact, not a doubt.
	"application": {of: func(s *Session) string { return s.Application }, known: always},
}

func (c *nameCondition) met(s *Session, _ *Facts, _ *Action) truth {
	name := c.of(s)
	if !c.known(name) {
		return cannotTell
	}
	return truthOf(c.globs.match(name))
}

func (c *nameCondition) found(s *Session, _ *Facts, _ *Action) string {
	name := c.of(s)
	if !c.known(name) {
		return "the " + c.key + " is not known"
	}
	return fmt.Sprintf("the %s is %q", c.key, name)
}

func (c *nameCondition) String() string { return c.key + ": " + c.globs.String() }

// AsksRole says whether a rule is about the effective role, which somebody has to
// ask the server for.
func (p *Policy) AsksRole() bool {
	return slices.ContainsFunc(p.rules, func(r *Rule) bool {
		return slices.ContainsFunc(r.matches, func(c condition) bool {
			n, is := c.(*nameCondition)
			return is && n.key == "role"
		})
	})
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

package policy

import "slices"

// whereWords are the words of a policy file for what is known of a WHERE.
var whereWords = map[Where]string{
	WhereMissing:     "missing",
	WhereAlwaysTrue:  "always_true",
	WhereIndependent: "independent",
	WhereUnlinked:    "unlinked",
}

// whereCondition is `where: [missing, always_true, independent, unlinked]`.
type whereCondition struct{ want []Where }

func (c *whereCondition) met(_ *Session, _ *Facts, a *Action) truth {
	if unread(a) {
		return cannotTell
	}
	return truthOf(slices.Contains(c.want, a.Where))
}

func (c *whereCondition) found(_ *Session, _ *Facts, a *Action) string {
	switch {
	case unread(a):
		return "the WHERE cannot be read"
	case a.Where == WhereNone:
		return "a " + a.Class.words() + " has no WHERE to judge"
	case a.Where == WherePresent:
		return "the WHERE is not known to be any of these"
	}
	return "the WHERE is " + whereWords[a.Where]
}

func (c *whereCondition) String() string {
	words := make([]string, len(c.want))
	for i, w := range c.want {
		words[i] = whereWords[w]
	}
	return "where: " + list(words)
}

// String is the word of a policy file; "present" for a WHERE of which nothing
// bad could be shown, and nothing for an action that takes none.
func (w Where) String() string {
	if w == WherePresent {
		return "present"
	}
	return whereWords[w]
}

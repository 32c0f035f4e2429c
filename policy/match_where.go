package policy

import "slices"

// whereWords are the words for what is known of a WHERE.
var whereWords = map[Where]string{
	WhereMissing:        "missing",
	WhereAlwaysTrue:     "always_true",
	WhereTrueUnlessNull: "true_unless_null",
	WhereIndependent:    "independent",
	WhereUnlinked:       "unlinked",
}

// whereAsked are those that a policy file may ask for. always_true takes in what
// is true for every row but for nulls: the text does not show whether there are
// any, and where the catalogue does such a WHERE is judged again.
var whereAsked = []Where{WhereMissing, WhereAlwaysTrue, WhereIndependent, WhereUnlinked}

// whereCondition is `where: [missing, always_true, independent, unlinked]`.
type whereCondition struct{ want []Where }

func (c *whereCondition) met(_ *Session, _ *Facts, a *Action) truth {
	if unread(a) {
		return cannotTell
	}
	where := a.Where
	if where == WhereTrueUnlessNull {
		where = WhereAlwaysTrue
	}
	return truthOf(slices.Contains(c.want, where))
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

// String is the word for it; "present" for a WHERE of which nothing
// bad could be shown, and nothing for an action that takes none.
func (w Where) String() string {
	if w == WherePresent {
		return "present"
	}
	return whereWords[w]
}

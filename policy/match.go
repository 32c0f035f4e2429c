package policy

// truth is the answer of a condition. Text does not always tell: a table named
// without its schema may be this one or that one, the address of a session may
// not be known.
//
// The doubt always counts against the statement. A rule that allows matches only
// if all its conditions are met for certain; any other rule matches unless one
// of its conditions is certainly not met.
type truth uint8

const (
	no truth = iota
	cannotTell
	yes
)

// condition is one key of a rule's match.
type condition interface {
	// met says whether the action, of a statement with these facts, sent by
	// that session, meets the condition.
	met(s *Session, f *Facts, a *Action) truth

	// found says in words what the condition looked at, for a person who asks
	// why it was met or was not.
	found(s *Session, f *Facts, a *Action) string

	// String is the condition in one line, as it could stand in a policy file.
	// Two conditions have the same line only if they mean the same.
	String() string
}

// match says whether the rule applies to the action. The rule's statement
// condition is not looked at: Policy.byClass has done so.
func (r *Rule) match(s *Session, f *Facts, a *Action) bool {
	least := cannotTell
	if r.Action == Allow {
		least = yes
	}
	for _, c := range r.matches {
		if c.met(s, f, a) < least {
			return false
		}
	}
	return true
}

// unread says that nothing but its class is known of the action.
func unread(a *Action) bool {
	return a.Class == ClassUnparsed || a.Class == ClassUnknown || a.Class == ""
}

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

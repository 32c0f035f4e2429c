package policy

import "strconv"

// transactionCondition is `transaction: none` or `transaction: open`: whether
// the statement runs inside an explicit transaction block.
type transactionCondition struct{ open bool }

func (c *transactionCondition) met(s *Session, _ *Facts, _ *Action) truth {
	return truthOf(s.InTransaction == c.open)
}

func (c *transactionCondition) found(s *Session, _ *Facts, _ *Action) string {
	if s.InTransaction {
		return "it is inside a transaction block"
	}
	return "it is outside a transaction block"
}

func (c *transactionCondition) String() string {
	if c.open {
		return "transaction: open"
	}
	return "transaction: none"
}

// cascadeCondition is `cascade: true`: DROP or TRUNCATE ... CASCADE.
type cascadeCondition struct{ want bool }

func (c *cascadeCondition) met(_ *Session, _ *Facts, a *Action) truth {
	if unread(a) {
		return cannotTell
	}
	return truthOf(a.Cascade == c.want)
}

func (c *cascadeCondition) found(_ *Session, _ *Facts, a *Action) string {
	switch {
	case unread(a):
		return "whether it cascades cannot be read"
	case a.Cascade:
		return "it says CASCADE"
	}
	return "it does not say CASCADE"
}

func (c *cascadeCondition) String() string { return "cascade: " + strconv.FormatBool(c.want) }

// takenBackCondition is `taken_back: true`: nothing of what the action does
// lasts, because the same message rolls it back or the transaction is read-only.
type takenBackCondition struct{ want bool }

func (c *takenBackCondition) met(_ *Session, f *Facts, a *Action) truth {
	if unread(a) {
		return cannotTell
	}
	return truthOf((f.TakenBack && a.Class.takenBack()) == c.want)
}

func (c *takenBackCondition) found(_ *Session, f *Facts, a *Action) string {
	switch {
	case unread(a):
		return "whether it lasts cannot be read"
	case !f.TakenBack:
		return "it is not taken back in the same message"
	case !a.Class.takenBack():
		return "a rollback does not take it back"
	}
	return "the same message rolls it back, or the transaction is read-only"
}

func (c *takenBackCondition) String() string { return "taken_back: " + strconv.FormatBool(c.want) }

// restoreCondition is `restore: true`: the session looks like the restore of a
// dump.
type restoreCondition struct{ want bool }

func (c *restoreCondition) met(s *Session, _ *Facts, _ *Action) truth {
	return truthOf(s.Restore == c.want)
}

func (c *restoreCondition) found(s *Session, _ *Facts, _ *Action) string {
	if s.Restore {
		return "the session looks like the restore of a dump"
	}
	return "the session does not look like the restore of a dump"
}

func (c *restoreCondition) String() string { return "restore: " + strconv.FormatBool(c.want) }

package policy

import (
	"slices"
	"strings"
)

// statementCondition is `statement: [delete, ddl, "!create_index"]`: classes of
// statements and groups of them. It is resolved to classes when the policy is
// loaded.
type statementCondition struct {
	names   []string
	classes map[Class]bool
}

func newStatementCondition(names []string) *statementCondition {
	c := &statementCondition{names: names, classes: make(map[Class]bool)}
	includes := slices.ContainsFunc(names, func(n string) bool { return !strings.HasPrefix(n, "!") })
	for _, class := range append(Classes(), ClassUnparsed, ClassUnknown) {
		in := !includes
		for _, n := range names {
			if !strings.HasPrefix(n, "!") && class.In(n) {
				in = true
			}
		}
		for _, n := range names {
			if rest, excluded := strings.CutPrefix(n, "!"); excluded && class.In(rest) {
				in = false
			}
		}
		if in {
			c.classes[class] = true
		}
	}
	return c
}

func (c *statementCondition) String() string { return "statement: " + list(c.names) }

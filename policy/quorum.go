package policy

import (
	"fmt"
	"slices"
	"strings"
)

// quorum is a list of needs and where it stands.
type quorum struct {
	what         string
	needs        []Need
	file         string
	line, column int
}

// ownQuorums are those that stand at a rule.
func (p *Policy) ownQuorums() []quorum {
	var all []quorum
	for _, r := range p.rules {
		if len(r.Approve) > 0 && !slices.Equal(r.Approve, p.defaults.approve) {
			all = append(all, quorum{what: "rule " + r.ID, needs: r.Approve, file: r.File, line: r.Line, column: r.column})
		}
	}
	return all
}

// checkQuorums finds the quorums that can never be met. One that can be met for
// some requesters and not for others is a caution: the people whom it leaves
// without an approver are refused when they ask, and everybody else is served.
func checkQuorums(quorums []quorum, groups map[string][]string) (findings, cautions Findings) {
	for _, q := range quorums {
		at := Finding{File: q.file, Line: q.line, Column: q.column}
		if why := unmet(q.needs, groups, ""); why != "" {
			at.Message = fmt.Sprintf("%s needs %s, which can never be had: %s", q.what, needsText(q.needs), why)
			findings = append(findings, at)
			continue
		}
		var alone []string
		for _, person := range members(q.needs, groups) {
			if unmet(q.needs, groups, person) != "" {
				alone = append(alone, person)
			}
		}
		if len(alone) > 0 {
			at.Message = fmt.Sprintf("%s needs %s; nobody can approve what %s asks for",
				q.what, needsText(q.needs), oneOf(alone))
			cautions = append(cautions, at)
		}
	}
	return findings, cautions
}

// unmet says why the needs cannot be met by different people, none of whom is
// the requester, or "". By Hall's theorem they can be met if and only if each
// choice of needs has as many people as it counts.
func unmet(needs []Need, groups map[string][]string, requester string) string {
	for _, n := range needs {
		if len(groups[n.Group]) == 0 {
			return fmt.Sprintf("nobody is in group %q%s", n.Group, didYouMean(n.Group, sortedKeys(groups)))
		}
	}
	for choice := 1; choice < 1<<len(needs); choice++ {
		var some []Need
		count := 0
		for i, n := range needs {
			if choice&(1<<i) != 0 {
				some = append(some, n)
				count += n.Count
			}
		}
		have := slices.DeleteFunc(members(some, groups), func(p string) bool { return p == requester })
		if len(have) < count {
			return fmt.Sprintf("%s is %d different people, and there are %d", needsText(some), count, len(have))
		}
	}
	return ""
}

// members are the different people in any of the needed groups, sorted.
func members(needs []Need, groups map[string][]string) []string {
	var all []string
	for _, n := range needs {
		all = append(all, groups[n.Group]...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// needsText is "1 of dba and 2 of owners".
func needsText(needs []Need) string {
	parts := make([]string, len(needs))
	for i, n := range needs {
		parts[i] = fmt.Sprintf("%d of %s", n.Count, n.Group)
	}
	return strings.Join(parts, " and ")
}

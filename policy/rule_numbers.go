package policy

import (
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"
)

var (
	numberKeys = []string{"rows", "share", "budget", "unmeasured"}
	budgetKeys = []string{"deleted", "changed", "inserted", "statements", "share", "per", "by"}

	// textKeys are the conditions that only the text of a statement can meet, or
	// what the catalogue says of that text.
	textKeys = []string{"where", "function", "cascade", "cascades", "temporary", "empty", "tool_table", "taken_back", "setting"}
)

// maxWindow bounds how long a ledger must remember what was spent.
const maxWindow = 31 * 24 * time.Hour

// numbers reads the keys of a match that are about how much is changed. The others
// have been read.
func (d *document) numbers(r *Rule, entries []entry) {
	said := make(map[string]entry)
	for _, e := range entries {
		said[e.key] = e
	}
	n, counted := &numbersCondition{counts: countersOf(r.statement)}, false
	for _, key := range []string{"rows", "share"} {
		e, ok := said[key]
		if !ok {
			continue
		}
		counted = true
		if l := d.limit(e.val, key, key == "share"); key == "rows" {
			n.rows = l
		} else {
			n.share = l
		}
	}
	if e, ok := said["budget"]; ok {
		r.budget = d.budget(e.val)
		if counted {
			d.at(e.node, "budget stands without rows and share; make two rules of it")
		}
	}
	if e, ok := said["unmeasured"]; ok {
		w, is := d.word(e.val, "unmeasured", []string{"allow"})
		n.unmeasured = is && w == "allow"
		if !counted && (r.budget == nil || r.budget.counts == 0) {
			d.at(e.node, "unmeasured has a meaning only beside rows, share or a budget of rows")
		}
	}
	switch {
	case counted:
		r.numbers = n
		if n.counts == 0 {
			d.at(said["statement"].val, "none of these changes rows that could be counted; write insert, update, delete, merge, truncate, copy_from or write")
		}
	case r.budget == nil:
		return
	case r.budget.counts == 0:
		if r.budget.rows == nil {
			return // nobody knows what it was to count
		}
		if _, ok := said["statement"]; !ok {
			d.at(said["budget"].node, "a budget of statements needs the statements that count; say statement beside it")
		}
		return
	default:
		if e, ok := said["statement"]; ok {
			d.at(e.node, "statement has no meaning beside a budget of rows, which says itself what counts")
		}
		r.budget.unmeasured = n.unmeasured
	}
	for _, key := range textKeys {
		if e, ok := said[key]; ok {
			d.at(e.node, "%s is about the text of a statement, and rows are counted over a whole transaction; make two rules of it", key)
		}
	}
	// The tables are those changed, which are looked at one by one.
	r.matches = slices.DeleteFunc(r.matches, func(c condition) bool {
		t, is := c.(*tableCondition)
		if is {
			n.tables = t
			if r.budget != nil {
				r.budget.tables = t
			}
		}
		return is
	})
}

// maxAtCommit bounds how long a transaction keeps its locks while people think.
const maxAtCommit = 10 * time.Minute

// atCommit reads how long a transaction block may be held at its COMMIT. What the
// rule is about has been read.
func (d *document) atCommit(r *Rule, e entry) {
	text, ok := d.text(e.val, "at_commit")
	if !ok {
		return
	}
	wait, err := time.ParseDuration(text)
	switch {
	case err != nil || wait < time.Second || wait > maxAtCommit:
		d.at(e.val, "at_commit must be a time from 1s to 10m, such as 60s, not %q: others wait for the locks of the transaction meanwhile", shorten(text))
	case r.Action != Hold:
		d.at(e.node, "at_commit has a meaning only with action hold, not with %s", r.Action)
	case r.numbers == nil && (r.budget == nil || r.budget.counts == 0):
		d.at(e.node, "at_commit has a meaning only with rows, share or a budget of rows, which are judged at COMMIT")
	default:
		r.AtCommit = wait
	}
}

func (d *document) limit(n ast.Node, what string, percent bool) *limit {
	s, ok := d.text(n, what)
	if !ok {
		return nil
	}
	l, wrong := newLimit(s, percent)
	if wrong != "" {
		d.at(n, "%s %s", what, wrong)
	}
	return l
}

func (d *document) budget(n ast.Node) *budget {
	b := &budget{}
	before := len(d.findings)
	counts := ""
	for _, e := range d.mapping(n, "budget", budgetKeys) {
		switch e.key {
		case "share":
			b.share = d.limit(e.val, "budget.share", true)
		case "per":
			b.per = d.window(e.val, "budget.per")
		case "by":
			names, _ := d.texts(e.val, "budget.by", func(s string) string {
				if !slices.Contains(budgetDims, s) {
					return "must be " + oneOf(budgetDims) + ", not " + shorten(s) + didYouMean(s, budgetDims)
				}
				return ""
			})
			for _, dim := range budgetDims { // the order of the file has no meaning
				if slices.Contains(names, dim) {
					b.by = append(b.by, dim)
				}
			}
		default:
			if counts != "" {
				d.at(e.node, "a budget counts one thing, and this one counts %s already", counts)
				continue
			}
			counts = e.key
			b.rows, b.counts = d.limit(e.val, "budget."+e.key, false), budgetCounts[e.key]
		}
	}
	if len(d.findings) > before {
		return b
	}
	switch {
	case counts == "":
		d.at(n, "the budget does not say what it counts: deleted, changed, inserted or statements")
	case b.per == 0:
		d.at(n, "the budget does not say per what time, such as per: 10m")
	case len(b.by) == 0:
		d.at(n, "the budget does not say by whom or what it is kept: %s", oneOf(budgetDims))
	case b.share != nil && counts == "statements":
		d.at(n, "statements have no share of a table")
	case b.share != nil && !slices.Contains(b.by, "table"):
		d.at(n, "share is of one table; add table to by")
	}
	return b
}

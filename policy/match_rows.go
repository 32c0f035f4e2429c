package policy

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// numbersCondition is `rows: "> 1000"`, `share: "> 1%"` or both, over what a
// statement is estimated to change or a transaction has changed. Which changes
// count is said by the rule's classes of statements, which tables by its patterns:
//
//   - rows alone is over the sum of all tables that count, so that 600 rows and 600
//     that a foreign key takes along are 1,200;
//   - share is of one table, and with rows beside it both must hold for that table.
//     A table of unknown size has no share that could be too small.
//
// What could not be counted is over every limit, unless the rule allows it.
type numbersCondition struct {
	rows, share *limit
	unmeasured  bool // allowed
	counts      counters
	tables      *tableCondition // nil: any
}

// limit is "> 1000" or ">= 50".
type limit struct {
	number    float64
	inclusive bool
	percent   bool
}

func (l *limit) exceeded(n float64) bool {
	if l == nil {
		return true
	}
	return n > l.number || l.inclusive && n == l.number
}

func (l *limit) String() string {
	s := "> "
	if l.inclusive {
		s = ">= "
	}
	s += strconv.FormatFloat(l.number, 'f', -1, 64)
	if l.percent {
		s += "%"
	}
	return s
}

// newLimit reads "> 1000", or "> 1%" if percent, and says what is wrong with it.
func newLimit(text string, percent bool) (l *limit, wrong string) {
	example := `such as "> 1000" or ">= 50"`
	if percent {
		example = `such as "> 1%" or ">= 0.5%"`
	}
	rest, greater := strings.CutPrefix(text, ">")
	if !greater {
		return nil, fmt.Sprintf("must be a limit %s, not %q", example, shorten(text))
	}
	l = &limit{percent: percent}
	rest, l.inclusive = strings.CutPrefix(rest, "=")
	rest = strings.TrimSpace(rest)
	if percent {
		var is bool
		if rest, is = strings.CutSuffix(rest, "%"); !is {
			return nil, fmt.Sprintf("must be a part in percent, %s, not %q", example, shorten(text))
		}
	}
	if strings.Trim(rest, "0123456789.") != "" || !percent && strings.Contains(rest, ".") {
		return nil, fmt.Sprintf("must be a limit %s, in plain digits, not %q", example, shorten(text))
	}
	var err error
	l.number, err = strconv.ParseFloat(rest, 64)
	switch {
	case err != nil:
		return nil, fmt.Sprintf("must be a limit %s, not %q", example, shorten(text))
	case percent && l.number > 100:
		return nil, "is more than the whole table"
	case l.number > 1e15:
		return nil, "is more rows than a table can have"
	case l.inclusive && l.number == 0:
		return nil, "is met by what changes nothing; write \"> 0\""
	}
	return l, ""
}

// weighed is what a rule of numbers makes of an impact.
type weighed struct {
	matched    bool
	unmeasured bool         // matched, by what could not be counted
	unmet      string       // the condition over the session that is not met
	total      float64      // rows that count, over all tables
	tables     []tableShare // those that count, the most rows first
	worst      int          // the place in tables of the one over its share; -1
}

// tableShare is what counts of one table.
type tableShare struct {
	table Table
	rows  float64
	size  float64 // -1 where not known
}

// percent is the part of the table that is changed, or infinite.
func (t tableShare) percent() float64 {
	if t.size <= 0 {
		return math.Inf(1)
	}
	return 100 * t.rows / t.size
}

// weigh weighs an impact, without what the exempting rules allow.
func (n *numbersCondition) weigh(i *Impact, exempt []*Rule) weighed {
	w := weighed{worst: -1}
	all := false
	for _, r := range exempt {
		all = all || r.counts == countAll && !slices.ContainsFunc(r.matches, func(c condition) bool { return !sessionOnly(c) })
	}
	if len(i.Unmeasured) > 0 && !i.Estimated && !n.unmeasured && !all {
		w.matched, w.unmeasured = true, true
	}
	for k := range i.Tables {
		t := &i.Tables[k]
		if n.tables != nil && n.tables.globs.match(t.Table.Schema, t.Table.Name) == no {
			continue
		}
		counts := n.counts
		for _, r := range exempt {
			counts &^= r.exempts(t.Table)
		}
		if rows := t.changed(counts); rows > 0 {
			w.total += rows
			w.tables = append(w.tables, tableShare{t.Table, rows, t.Rows})
		}
	}
	slices.SortStableFunc(w.tables, func(a, b tableShare) int {
		switch {
		case a.rows > b.rows:
			return -1
		case a.rows < b.rows:
			return 1
		}
		return 0
	})
	if len(w.tables) == 0 {
		return w
	}
	if n.share == nil {
		w.matched = w.matched || n.rows.exceeded(w.total)
		return w
	}
	for k, t := range w.tables {
		if t.size < 0 && i.Estimated || !n.rows.exceeded(t.rows) || !n.share.exceeded(t.percent()) {
			continue
		}
		w.matched = true
		if w.worst < 0 || t.percent() > w.tables[w.worst].percent() {
			w.worst = k
		}
	}
	return w
}

// reason says why the rule matched, with tables and numbers and no literals.
func (w weighed) reason(i *Impact) string {
	var parts []string
	if len(w.tables) > 0 {
		parts = append(parts, w.rows(i))
	}
	if w.unmeasured {
		parts = append(parts, "not all of it can be counted: "+strings.Join(i.Unmeasured[:min(len(i.Unmeasured), 4)], ", "))
	}
	return strings.Join(parts, "; ")
}

// rows says how many rows of what: "1,200 rows: 600 of public.a, 600 of public.b".
func (w weighed) rows(i *Impact) string {
	if len(w.tables) == 0 {
		return "no rows that count"
	}
	var b strings.Builder
	if i.Estimated {
		b.WriteString("about ")
	}
	first := w.tables[max(w.worst, 0)]
	if len(w.tables) == 1 || w.worst >= 0 {
		fmt.Fprintf(&b, "%s rows of %s", count(first.rows), first.table)
	} else {
		fmt.Fprintf(&b, "%s rows: ", count(w.total))
		for k, t := range w.tables[:min(len(w.tables), 4)] {
			if k > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%s of %s", count(t.rows), t.table)
		}
		if more := len(w.tables) - 4; more > 0 {
			fmt.Fprintf(&b, " and of %d more tables", more)
		}
	}
	if w.worst >= 0 {
		switch p := first.percent(); {
		case first.size < 0:
			b.WriteString(", a table of unknown size")
		case p > 100:
			b.WriteString(", more than it was last known to hold")
		default:
			fmt.Fprintf(&b, ", %s%% of it", strconv.FormatFloat(math.Round(p*10)/10, 'f', -1, 64))
		}
	}
	if i.Estimated {
		b.WriteString(" (estimated)")
	}
	return b.String()
}

func (w weighed) explain(r *Rule, i *Impact) string {
	switch {
	case w.unmet != "":
		return w.unmet
	case w.matched:
		return w.reason(i)
	}
	return fmt.Sprintf("%s is not met: %s", r.numbers, w.rows(i))
}

func (n *numbersCondition) String() string {
	var parts []string
	if n.rows != nil {
		parts = append(parts, fmt.Sprintf("rows: %q", n.rows))
	}
	if n.share != nil {
		parts = append(parts, fmt.Sprintf("share: %q", n.share))
	}
	if n.unmeasured {
		parts = append(parts, "unmeasured: allow")
	}
	return strings.Join(parts, ", ")
}

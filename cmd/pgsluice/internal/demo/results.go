package demo

import (
	"fmt"
	"io"
	"slices"
)

// result is one line of the play's table.
type result struct {
	incident  string
	attempted string
	happened  string // "approved", "denied", "blocked"; anything else is wrong
	rule      string
	request   int64 // 0: none was opened
	before    int   // rows in all tables
	after     int
	within    int // how many rows may have gone before it was stopped
}

// results is the play's table, and what was wrong.
type results struct {
	lines []result
	wrong []string
}

func (r *results) add(line result) {
	r.lines = append(r.lines, line)
	switch {
	case !slices.Contains([]string{"approved", "denied", "blocked"}, line.happened):
		r.fault("%s, %s: %s", line.incident, line.attempted, line.happened)
	case line.happened != "approved" && (line.after > line.before || line.before-line.after > line.within):
		r.fault("%s, %s: %s, and yet there were %d rows and are %d", line.incident, line.attempted, line.happened, line.before, line.after)
	}
}

func (r *results) fault(format string, args ...any) {
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

// print writes the table in 80 columns.
func (r *results) print(out io.Writer) {
	const row = "%-9s %-22s %-8.8s %-18.18s %3s %7s %7s\n"
	fmt.Fprintln(out)
	fmt.Fprintf(out, row, "INCIDENT", "ATTEMPTED", "OUTCOME", "RULE", "REQ", "BEFORE", "AFTER")
	for _, l := range r.lines {
		request := "-"
		if l.request != 0 {
			request = fmt.Sprint(l.request)
		}
		fmt.Fprintf(out, row, l.incident, l.attempted, l.happened, l.rule, request, fmt.Sprint(l.before), fmt.Sprint(l.after))
	}
	fmt.Fprintln(out, "\nBEFORE and AFTER: rows in all tables. REQ: the request that people decided")
	fmt.Fprintln(out, "on. The loop was stopped at the commit gate, once its budget was spent, and its")
	fmt.Fprintln(out, "last statement rolled back; all else at the statement gate, before it could run.")
	if len(r.wrong) == 0 {
		fmt.Fprintln(out, "\nNo row was lost that nobody approved, but for the few that the loop could take")
		fmt.Fprintln(out, "from its budget: everything else is as it was, values and keys included.")
		return
	}
	fmt.Fprintln(out, "\nThis is wrong:")
	for _, w := range r.wrong {
		fmt.Fprintln(out, "  "+w)
	}
}

// changed names the tables whose rows or values differ, sorted.
func changed(before, after map[string]content) []string {
	var names []string
	for name, b := range before {
		if after[name] != b {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

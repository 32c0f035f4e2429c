package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/proxy/impact"
)

// Before people are asked about a statement that changes rows, it is run and
// rolled back, so that they see what it does and not what it looks like. That
// costs locks for a moment, and dead rows; so it is done only where the planner
// expects few rows, under a lock timeout and a statement timeout, and never with
// what a rollback does not take back.

// DryRun says how statements are tried out before people are asked. The zero
// value tries nothing, and rules of numbers then go by estimates at the statement
// gate.
type DryRun struct {
	Rows    float64       // at most so many by the planner's estimate; 0: never
	Timeout time.Duration // for all of it, in milliseconds or more
	Show    int           // how many of the rows that it would change are shown
}

const dryLockTimeout = "1s"

// dry is what a dry run has shown.
type dry struct {
	impact *policy.Impact // nil where it did not come to that
	words  string
}

// dryRun tries out what is held, if that can be done. It returns nil where it
// cannot; errCancelled is the client's wish.
func (s *session) dryRun(h held) (*dry, error) {
	t := &s.toServer
	c := s.p.c.DryRun
	if c.Rows <= 0 || h.measured != nil || h.now != outside || t.batchSent || len(t.held) != 1 || !tried(h) {
		return nil, nil
	}
	sql, with, ok := s.heldStatement(h)
	if !ok {
		return nil, nil
	}
	if settled, err := s.settle(); !settled || err != nil {
		return nil, err
	}
	began := time.Now()
	d, err := s.try(sql, with, h, c)
	if errors.Is(err, errFailed) && c.Show > 0 { // who may write need not be allowed to read
		if err := s.rollbackIfOpen(); err != nil {
			return nil, err
		}
		c.Show = 0
		d, err = s.try(sql, with, h, c)
	}
	var failed *questionFailed
	switch {
	case err == nil && d.impact != nil:
		d.words += fmt.Sprintf("; it took %s", time.Since(began).Round(time.Millisecond))
	case errors.As(err, &failed) && !s.cancelled(): // by its own time limit, perhaps
		d, err = &dry{words: "a dry run failed with SQLSTATE " + failed.code}, nil
	}
	// What was not measured stays in the counters.
	t.dirty = err != nil || d.impact == nil
	t.unclean = t.dirty
	return d, errors.Join(err, s.rollbackIfOpen())
}

func (s *session) rollbackIfOpen() error {
	if tx, _ := s.status(); tx == 'I' {
		return nil
	}
	return s.rollback()
}

// try runs a statement and takes it back.
func (s *session) try(sql string, with bound, h held, c DryRun) (*dry, error) {
	s.toServer.zero = true
	messages := execution(nil, "BEGIN", nil)
	messages = execution(messages, "SET LOCAL lock_timeout = '"+dryLockTimeout+"'", nil)
	messages = execution(messages, fmt.Sprintf("SET LOCAL statement_timeout = %d", c.Timeout.Milliseconds()), nil)
	rows, err := s.put(executionWith(messages, impact.ExplainSQL(sql), with))
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("ask for the plan: %d rows: %w", len(rows), io.ErrUnexpectedEOF)
	}
	plan, expected, err := readPlan(rows[0])
	if err != nil {
		return nil, err
	}
	if expected > c.Rows {
		return &dry{words: fmt.Sprintf("about %.0f rows by the planner's estimate, too many for a dry run; plan: %s", expected, plan)}, nil
	}
	before, after := "", ""
	if c.Show > 0 && h.decided.Class != "merge" && !strings.Contains(strings.ToLower(sql), "returning") {
		before = "WITH pgsluice_changed AS ("
		after = fmt.Sprintf("\n RETURNING *) SELECT pg_catalog.row_to_json(pgsluice_changed)::text FROM pgsluice_changed LIMIT %d", c.Show)
	}
	rows, err = s.put(execution(executionWith(nil, before+sql+after, with), impact.MeasureSQL, nil))
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("measure a dry run: %w", io.ErrUnexpectedEOF)
	}
	m, err := impact.DecodeMeasurement(rows[len(rows)-1])
	if err != nil {
		return nil, err
	}
	d := &dry{impact: s.impact(m)}
	d.words = "dry run, rolled back: " + d.impact.String()
	if before != "" {
		for _, row := range rows[:len(rows)-1] {
			d.words += "; row " + shortened(string(row))
		}
	}
	for _, n := range m.Sequences {
		d.words += "; the sequence " + n.String() + " has moved on, which nothing takes back"
	}
	for _, trigger := range h.triggers() {
		d.words += "; sets off " + trigger
	}
	d.words += "; plan: " + plan
	return d, nil
}

// shortened keeps a row readable.
func shortened(row string) string {
	const most = 300
	if len(row) <= most {
		return row
	}
	return strings.ToValidUTF8(row[:most], "") + "..."
}

// tried reports whether all that is held can be run and taken back: one statement
// that reads and writes rows.
func tried(h held) bool {
	if h.sent != 'Q' && h.sent != 'B' || len(h.all) != 1 || len(h.all[0]) != 1 {
		return false
	}
	writes := false
	for _, a := range h.all[0][0].Actions {
		switch a.Class {
		case "insert", "update", "delete", "merge":
			writes = true
		default:
			if !a.Class.In("read") {
				return false
			}
		}
	}
	return writes && dml(h.all[0][0].Class)
}

func dml(c policy.Class) bool {
	return c == "insert" || c == "update" || c == "delete" || c == "merge"
}

// triggers are what the statement sets off.
func (h held) triggers() []string {
	var all []string
	for i := range h.decided.Actions {
		all = append(all, h.decided.Actions[i].Triggers...)
	}
	return all
}

// heldStatement is what is held, as an extended query. It reports false where the
// batch does more than that.
func (s *session) heldStatement(h held) (sql string, with bound, ok bool) {
	sql = strings.TrimRight(h.all[0][0].Text, "; \t\r\n")
	if h.sent == 'Q' {
		return sql, unbound, sql != ""
	}
	binds := 0
	whole, _ := splitFrames(s.toServer.out[s.toServer.batchOut:])
	for _, frame := range whole {
		if frame[0] == 'B' {
			binds++
		}
	}
	if binds != 1 || h.gated.bound == nil || sql == "" {
		return "", bound{}, false
	}
	with, ok = h.gated.bound(0)
	return sql, with, ok
}

// plan is a node of what EXPLAIN (FORMAT JSON) says.
type plan struct {
	Node     string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Index    string  `json:"Index Name"`
	Rows     float64 `json:"Plan Rows"`
	Plans    []plan
}

// readPlan gives the plan in a line, and how many rows it expects to change.
func readPlan(text []byte) (line string, rows float64, err error) {
	var explained []struct{ Plan plan }
	if err := json.Unmarshal(text, &explained); err != nil || len(explained) != 1 {
		return "", 0, fmt.Errorf("read the plan: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	top := explained[0].Plan
	for _, p := range top.Plans {
		rows += p.Rows
	}
	return top.line(0), rows, nil
}

func (p plan) line(depth int) string {
	line := p.Node
	if p.Relation != "" {
		line += " on " + p.Relation
	}
	if p.Index != "" {
		line += " by " + p.Index
	}
	if len(p.Plans) == 0 || depth > 3 {
		return line
	}
	var below []string
	for _, q := range p.Plans {
		below = append(below, q.line(depth+1))
	}
	return line + " (" + strings.Join(below, ", ") + ")"
}

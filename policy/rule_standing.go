package policy

import (
	"regexp"
	"strconv"
	"time"

	"github.com/goccy/go-yaml/ast"
)

var upToKeys = []string{"rows", "per"}

var shapeID = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func wrongShape(s string) string {
	if !shapeID.MatchString(s) {
		return "must be sha256: and 64 digits, as pgsluice explain prints it, not " + strconv.Quote(shorten(s))
	}
	return ""
}

// standingRule checks what belongs together in a rule with shape or up_to, whose
// keys have been read.
func (d *document) standingRule(r *Rule, said map[string]entry) {
	var shape *shapeCondition
	for _, c := range r.matches {
		if s, is := c.(*shapeCondition); is {
			shape, s.measured = s, r.standing != nil
		}
	}
	if shape != nil && r.Action != Allow {
		d.at(said["match"].val, "shape has a meaning only with action allow, not with %s: one bracket more, and a statement has another shape", r.Action)
	}
	e, ok := said["up_to"]
	switch {
	case !ok:
	case r.Action != Allow:
		d.at(e.node, "up_to has a meaning only with action allow, not with %s", r.Action)
	case shape == nil && d.saidShape(said["match"]):
		// What is wrong with it has been said.
	case shape == nil:
		d.at(e.node, "up_to needs a shape in match: a standing grant names the statement that it is for, and pgsluice explain prints its shape")
	}
}

func (d *document) saidShape(match entry) bool {
	m, ok := match.val.(*ast.MappingNode)
	if !ok {
		return false
	}
	for _, v := range m.Values {
		if v.Key.String() == "shape" {
			return true
		}
	}
	return false
}

// upTo reads `up_to: {rows: 50000, per: 24h}`.
func (d *document) upTo(n ast.Node) *standing {
	g := &standing{}
	before := len(d.findings)
	for _, e := range d.mapping(n, "up_to", upToKeys) {
		if e.key == "per" {
			g.per = d.window(e.val, "up_to.per")
			continue
		}
		rows, err := strconv.ParseInt(e.val.GetToken().Value, 10, 64)
		if _, is := e.val.(*ast.IntegerNode); !is || err != nil || rows < 1 || rows > 1e15 {
			d.at(e.val, "up_to.rows must be a whole number of rows, in plain digits, not %s", nodeKind(e.val))
		}
		g.rows = rows
	}
	switch {
	case len(d.findings) > before:
	case g.rows == 0:
		d.at(n, "up_to does not say how many rows, such as rows: 50000")
	case g.per == 0:
		d.at(n, "up_to does not say per what time, such as per: 24h")
	}
	return g
}

// window reads the length of a window that slides; it is 0 where that is wrong.
func (d *document) window(n ast.Node, what string) time.Duration {
	text, ok := d.text(n, what)
	if !ok {
		return 0
	}
	per, err := time.ParseDuration(text)
	if err != nil || per < time.Second || per > maxWindow {
		d.at(n, "%s must be a time from 1s to %s, such as 10m or 24h, not %s", what, maxWindow, nodeKind(n))
		return 0
	}
	return per
}

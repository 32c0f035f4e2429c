package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// What a policy file may say, version 1.
var (
	fileKeys    = []string{"version", "include", "defaults", "groups", "rules"}
	defaultKeys = []string{"allowed", "unparsed", "unknown", "approve"}
	ruleKeys    = []string{"id", "title", "match", "when", "action", "approve", "undo", "hint", "final", "scope", "at_commit", "up_to"}
	matchKeys   = []string{"statement", "where", "table", "function", "cascade", "cascades",
		"temporary", "empty", "tool_table", "taken_back", "setting", "user", "role", "database",
		"application", "address", "transaction", "restore", "time", "shape", "rows", "share", "budget", "unmeasured"}
	settingKeys = []string{"name", "values"}
	timeKeys    = []string{"days", "from", "to", "zone"}
	needKeys    = []string{"group", "count"}
	verdicts    = []string{"allow", "warn", "hold", "ticket", "block"}
)

// ruleID is what may stand in an id. It goes into messages on the wire, into
// file names and into the names of metrics, so it is kept plain.
var ruleID = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// policy reads a policy file.
func (d *document) policy(text []byte) fileContent {
	c := fileContent{
		defaults: make(map[string]Verdict), groups: make(map[string][]string),
		defaultsAt: make(map[string]ast.Node), approveAt: make(map[string]ast.Node), groupsAt: make(map[string]ast.Node),
	}
	body := d.parse(text)
	if body == nil {
		return c
	}
	version := false
	for _, e := range d.mapping(body, "a policy file", fileKeys) {
		switch e.key {
		case "version":
			version = true
			if _, is := e.val.(*ast.IntegerNode); !is || e.val.GetToken().Value != "1" {
				d.at(e.val, "version must be 1, not %s", nodeKind(e.val))
			}
		case "include":
			names, _ := d.texts(e.val, "include", func(s string) string {
				if s != StandardName {
					return fmt.Sprintf("must be %q, the built-in policy; not %q", StandardName, s)
				}
				return ""
			})
			c.include = len(names) > 0
		case "defaults":
			d.defaults(e.val, &c)
		case "groups":
			d.groups(e.val, &c)
		case "rules":
			nodes, _ := d.items(e.val, "rules")
			for _, n := range nodes {
				if r := d.rule(n); r != nil {
					c.rules = append(c.rules, r)
				}
			}
		}
	}
	if !version {
		d.at(body, "the file does not say \"version: 1\"")
	}
	return c
}

func (d *document) defaults(n ast.Node, c *fileContent) {
	for _, e := range d.mapping(n, "defaults", defaultKeys) {
		if e.key == "approve" {
			if needs, ok := d.needs(e.val, "defaults.approve"); ok {
				c.approve, c.approveAt["approve"] = needs, e.val
			}
			continue
		}
		if s, ok := e.val.(*ast.StringNode); ok && s.Value == "measure" && e.key == "unknown" {
			c.measure, c.defaults[e.key], c.defaultsAt[e.key] = e.val, Allow, e.val
			continue
		}
		if w, ok := d.word(e.val, "defaults."+e.key, verdicts); ok {
			c.defaults[e.key], _ = verdictNamed(w)
			c.defaultsAt[e.key] = e.val
		}
	}
}

func (d *document) groups(n ast.Node, c *fileContent) {
	for _, e := range d.pairs(n, "groups", func(entry) bool { return true }) {
		names, ok := d.texts(e.val, "group "+e.key, func(string) string { return "" })
		if ok {
			c.groups[e.key], c.groupsAt[e.key] = names, e.node
		}
	}
}

// rule reads one rule. What it returns is complete only if nothing was found
// wrong; it is returned even so, to find ids that are taken.
func (d *document) rule(n ast.Node) *Rule {
	r := &Rule{File: d.file, Scope: ScopeStatement}
	pos := start(n).Position
	r.Line, r.column = pos.Line, pos.Column
	said := make(map[string]entry)
	entries := d.mapping(n, "a rule", ruleKeys)
	for _, e := range entries {
		said[e.key] = e
		if e.key == "id" { // the place of a rule is that of its id
			pos := start(e.node).Position
			r.Line, r.column = pos.Line, pos.Column
		}
	}
	for _, e := range entries {
		d.ruleKey(r, e)
	}
	if e, ok := said["when"]; ok {
		d.when(r, e.val)
	}
	for _, key := range []string{"id", "match", "action"} {
		if _, ok := said[key]; !ok && len(entries) > 0 {
			d.at(n, "the rule has no %s", key)
		}
	}
	if _, ok := said["action"]; !ok {
		return withID(r)
	}
	if r.Action == Allow && r.ofNumbers() {
		d.at(n, "an allow rule cannot be met by numbers, which are known only afterwards; write the limit as a rule that holds")
	}
	d.standingRule(r, said)
	if e, ok := said["approve"]; ok && !r.waits() {
		d.at(e.node, "approve has a meaning only with action hold or ticket or with up_to, not with %s", r.Action)
	}
	if e, ok := said["scope"]; ok && r.Action != Hold && r.Action != Ticket {
		d.at(e.node, "scope has a meaning only with action hold or ticket, not with %s", r.Action)
	}
	if e, ok := said["at_commit"]; ok {
		d.atCommit(r, e)
	}
	if e, ok := said["final"]; ok && r.Final && r.Action != Allow {
		d.at(e.node, "final has a meaning only with action allow, not with %s", r.Action)
	}
	return withID(r)
}

// withID is the rule if it has an id, by which it can be spoken of.
func withID(r *Rule) *Rule {
	if r.ID == "" {
		return nil
	}
	return r
}

// ruleKey reads one key of a rule.
func (d *document) ruleKey(r *Rule, e entry) {
	switch e.key {
	case "id":
		id, ok := d.text(e.val, "id")
		switch {
		case ok && !ruleID.MatchString(id):
			d.at(e.val, "id must be made of a-z, 0-9 and -, at most 63 of them, not %q", shorten(id))
		case ok && slices.Contains(defaultKeys, id):
			d.at(e.val, "id %q is the name of a default", id)
		case ok:
			r.ID = id
		}
	case "title":
		r.Title, _ = d.text(e.val, "title")
	case "hint":
		r.Hint, _ = d.text(e.val, "hint")
	case "match":
		d.match(r, e.val)
	case "action":
		if w, ok := d.word(e.val, "action", verdicts); ok {
			r.Action, _ = verdictNamed(w)
		}
	case "approve":
		r.Approve, _ = d.needs(e.val, "approve")
	case "final":
		r.Final, _ = d.boolean(e.val, "final")
	case "scope":
		if w, ok := d.word(e.val, "scope", []string{ScopeStatement, ScopeSession}); ok {
			r.Scope = w
		}
	case "up_to":
		r.standing = d.upTo(e.val)
	case "when", "at_commit": // once the conditions are known
	case "undo":
		if w, ok := d.word(e.val, "undo", []string{"off", "try", "required"}); ok && w != "off" {
			// It must not be passed over: who writes it believes to be protected by it.
			d.at(e.node, "undo: %s needs rows that are kept, which this version does not do", w)
		}
	}
}

// needs reads a quorum.
func (d *document) needs(n ast.Node, what string) ([]Need, bool) {
	nodes, ok := d.items(n, what)
	if !ok {
		return nil, false
	}
	if len(nodes) == 0 || len(nodes) > 8 {
		d.at(n, "%s must name one to eight groups", what)
		return nil, false
	}
	var needs []Need
	for _, item := range nodes {
		need := Need{Count: 1}
		for _, e := range d.mapping(item, "an entry of "+what, needKeys) {
			is := false
			if e.key == "group" {
				need.Group, is = d.text(e.val, "group")
			} else {
				need.Count, is = d.number(e.val, "count")
			}
			ok = ok && is
		}
		switch {
		case need.Group == "" && ok:
			d.at(item, "the entry of %s has no group", what)
			ok = false
		case slices.ContainsFunc(needs, func(o Need) bool { return o.Group == need.Group }):
			d.at(item, "%s names group %q twice; say how many with count", what, need.Group)
			ok = false
		}
		needs = append(needs, need)
	}
	return needs, ok
}

// match reads the conditions of a rule.
func (d *document) match(r *Rule, n ast.Node) {
	entries := d.mapping(n, "match", matchKeys)
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) == 0 {
		d.at(n, "match is empty; a rule needs at least one condition")
	}
	// The conditions stand in a fixed order, so that the order of the file has no
	// meaning; those that are cheap and fail most often come first.
	slices.SortStableFunc(entries, func(a, b entry) int {
		return slices.Index(matchKeys, a.key) - slices.Index(matchKeys, b.key)
	})
	for _, e := range entries {
		if e.key == "statement" {
			if names, ok := d.texts(e.val, "statement", wrongStatement); ok {
				r.statement = newStatementCondition(names)
				if len(r.statement.classes) == 0 {
					d.at(e.val, "no statement can meet this")
				}
			}
			continue
		}
		if slices.Contains(numberKeys, e.key) {
			continue
		}
		if c := d.condition(e); c != nil {
			r.matches = append(r.matches, c)
		}
	}
	d.numbers(r, entries)
}

// condition reads one condition, or returns nil and has noted why.
func (d *document) condition(e entry) condition {
	switch e.key {
	case "where":
		return d.where(e.val)
	case "table", "function", "cascades":
		texts, ok := d.texts(e.val, e.key, func(s string) string {
			_, wrong := newObjectGlob(strings.TrimPrefix(s, "!"))
			return wrong
		})
		switch {
		case !ok:
		case e.key == "table":
			return &tableCondition{newObjectGlobs(texts)}
		case e.key == "cascades":
			return &cascadesCondition{newObjectGlobs(texts)}
		default:
			return &functionCondition{newObjectGlobs(texts)}
		}
	case "cascade":
		if b, ok := d.boolean(e.val, e.key); ok {
			return &cascadeCondition{b}
		}
	case "temporary":
		if b, ok := d.boolean(e.val, e.key); ok {
			return &temporaryCondition{b}
		}
	case "empty":
		if b, ok := d.boolean(e.val, e.key); ok {
			return &emptyCondition{b}
		}
	case "tool_table":
		if b, ok := d.boolean(e.val, e.key); ok {
			return &toolTableCondition{b}
		}
	case "taken_back":
		if b, ok := d.boolean(e.val, e.key); ok {
			return &takenBackCondition{b}
		}
	case "restore":
		if b, ok := d.boolean(e.val, e.key); ok {
			return &restoreCondition{b}
		}
	case "transaction":
		if w, ok := d.word(e.val, e.key, []string{"none", "open"}); ok {
			return &transactionCondition{open: w == "open"}
		}
	case "user", "role", "database", "application":
		if texts, ok := d.texts(e.val, e.key, wrongGlob); ok {
			c := nameConditions[e.key]
			c.key, c.globs = e.key, newGlobs(texts)
			return &c
		}
	case "address":
		texts, ok := d.texts(e.val, e.key, func(s string) string {
			if _, is := newPrefix(strings.TrimPrefix(s, "!")); !is {
				return fmt.Sprintf("%q is no network, such as 10.0.0.0/8 or 2001:db8::/32", shorten(s))
			}
			return ""
		})
		if ok {
			return newAddressCondition(texts)
		}
	case "shape":
		if texts, ok := d.texts(e.val, "shape", wrongShape); ok {
			return &shapeCondition{shapes: texts}
		}
	case "setting":
		return d.setting(e.val)
	case "time":
		return d.time(e.val)
	}
	return nil
}

func wrongGlob(s string) string { return glob(strings.TrimPrefix(s, "!")).check() }

// wrongStatement says what is wrong with the name of a class or group, or "".
func wrongStatement(name string) string {
	name = strings.TrimPrefix(name, "!")
	words := slices.Concat(Groups(), []string{string(ClassUnparsed), string(ClassUnknown)})
	for _, c := range Classes() {
		words = append(words, string(c))
	}
	if slices.Contains(words, name) {
		return ""
	}
	if s := didYouMean(name, words); s != "" {
		return fmt.Sprintf("there is no statement class or group %q%s", shorten(name), s)
	}
	return fmt.Sprintf("there is no statement class or group %q; the groups are %s", shorten(name), oneOf(Groups()))
}

func (d *document) where(n ast.Node) condition {
	var words []string
	for _, w := range whereAsked {
		words = append(words, whereWords[w])
	}
	texts, ok := d.texts(n, "where", func(s string) string {
		if !slices.Contains(words, s) {
			return fmt.Sprintf("must be %s, not %q%s", oneOf(words), shorten(s), didYouMean(s, words))
		}
		return ""
	})
	if !ok {
		return nil
	}
	c := &whereCondition{}
	for _, w := range whereAsked {
		if slices.Contains(texts, whereWords[w]) {
			c.want = append(c.want, w)
		}
	}
	return c
}

func (d *document) setting(n ast.Node) condition {
	c := &settingCondition{}
	ok := true
	for _, e := range d.mapping(n, "setting", settingKeys) {
		if e.key == "name" {
			names, is := d.texts(e.val, "setting.name", wrongGlob)
			c.name, ok = newGlobs(lowered(names)), ok && is
			continue
		}
		values, is := d.values(e.val)
		g := newGlobs(lowered(values))
		c.values, ok = &g, ok && is
	}
	if c.name.text == nil {
		if ok {
			d.at(n, "setting has no name")
		}
		return nil
	}
	if !ok {
		return nil
	}
	return c
}

// values reads what a parameter may be set to. Numbers and booleans stand for
// their text: `values: [0, true]`.
func (d *document) values(n ast.Node) ([]string, bool) {
	nodes := []ast.Node{n}
	if s, ok := n.(*ast.SequenceNode); ok {
		nodes = s.Values
	}
	var all []string
	for _, n := range nodes {
		switch v := n.(type) {
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
			all = append(all, n.GetToken().Value)
		case *ast.StringNode:
			// The empty text is a value as well: what RESET leaves.
			if wrong := wrongGlob(v.Value); wrong != "" && strings.TrimPrefix(v.Value, "!") != "" {
				d.at(n, "setting.values: %s", wrong)
				return nil, false
			}
			all = append(all, v.Value)
		default:
			d.at(n, "setting.values must be text, not %s", nodeKind(n))
			return nil, false
		}
	}
	if len(all) == 0 {
		d.at(n, "setting.values is an empty list, which nothing can meet")
		return nil, false
	}
	return all, true
}

func lowered(texts []string) []string {
	all := make([]string, len(texts))
	for i, t := range texts {
		all[i] = strings.ToLower(t)
	}
	return all
}

func (d *document) time(n ast.Node) condition {
	c := &timeCondition{from: 0, to: 24 * 60, zone: time.UTC, zoneName: "UTC", days: [7]bool{true, true, true, true, true, true, true}}
	before := len(d.findings)
	for _, e := range d.mapping(n, "time", timeKeys) {
		switch e.key {
		case "days":
			names, _ := d.texts(e.val, "time.days", func(s string) string {
				if !slices.Contains(weekdays[:], s) {
					return fmt.Sprintf("%q is no day; write mon, tue, wed, thu, fri, sat or sun%s", shorten(s), didYouMean(s, weekdays[:]))
				}
				return ""
			})
			for i, w := range weekdays {
				c.days[i] = slices.Contains(names, w)
			}
		case "from", "to":
			minutes, ok := newClock(e.val.GetToken().Value)
			if !ok {
				d.at(e.val, "time.%s must be a time of day such as \"18:30\", not %s", e.key, nodeKind(e.val))
			}
			if e.key == "from" {
				c.from = minutes
			} else {
				c.to = minutes
			}
		case "zone":
			name, ok := d.text(e.val, "time.zone")
			if !ok {
				continue
			}
			zone, err := time.LoadLocation(name)
			if err != nil || name == "Local" { // "Local" would mean another time on each machine
				d.at(e.val, "time.zone: there is no time zone %q; write one such as UTC or Europe/Berlin", shorten(name))
				continue
			}
			c.zone, c.zoneName = zone, name
		}
	}
	if len(d.findings) == before && (c.from == c.to || c.from == 24*60) {
		d.at(n, "time: the span from %s to %s has no length", clock(c.from), clock(c.to))
	}
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) == 0 {
		d.at(n, "time is empty; say days, from or to")
	}
	if len(d.findings) > before {
		return nil
	}
	return c
}

package policy

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// A body is what was read of the body of a function or of a DO block.
type body struct {
	steps []step
	all   bool // it does nothing besides

	// assigned counts the assignments to each variable, and set holds what is
	// assigned last; an assignment to the empty name may be to any.
	assigned map[string]int
	set      map[string]*pg.Node
}

// A step is one statement of a body.
type step struct {
	guards  []premise
	facts   *Facts   // what it does besides reading, without a carrier
	dynamic *pg.Node // the expression that gives the SQL that it runs
	result  *pg.Node // the expression that the function gives
}

// A premise is a guard that has been parsed.
type premise struct {
	node    *pg.Node
	negated bool
}

// BodyFacts reads the body of a function or a procedure, prosrc or the text from
// BEGIN ATOMIC to END, and gives what a call of it does: the actions of its
// statements but reads, each carried by "function name", and where not all of it
// could be read a function_call of that name.
func (r *Reader) BodyFacts(name, language, source string) (f *Facts) {
	carrier := "function " + name
	opaque := Action{Class: classFunctionCall, Carrier: carrier, Functions: []string{name}}
	defer func() {
		if recover() != nil { // a defect here must not make a function harmless
			f = &Facts{Class: opaque.Class, Actions: []Action{opaque}}
		}
	}()
	w := walker{facts: &Facts{}, mentions: new(mentions)}
	if !w.ran(readBody(language, source), knownValues{}, carrier) {
		w.add(opaque)
	}
	if len(w.facts.Actions) == 0 {
		w.add(Action{Class: classSelect, Carrier: carrier})
	}
	w.facts.Class = w.facts.Actions[0].Class
	return w.facts
}

// do reads the block of a DO statement. What cannot be read is no loss: the
// statement itself counts as one whose effect the text does not show.
func (w *walker) do(s *pg.DoStmt, carrier string) {
	language, source := "plpgsql", ""
	for _, n := range s.Args {
		switch d := n.GetDefElem(); d.GetDefname() {
		case "language":
			language = d.Arg.GetString_().GetSval()
		case "as":
			source = d.Arg.GetString_().GetSval()
		}
	}
	if language == "plpgsql" && !w.inBody {
		b := readBody(language, source)
		if b.all && plainBlock(source) {
			w.facts.Actions[len(w.facts.Actions)-1].Class = classDoPlain
		}
		w.ran(b, knownValues{}, within(carrier, "DO"))
	}
}

// beyondPlain are the words that a plain block has none of. Its statements run
// once at most, so there is no loop. It has no variables, of which FOUND and those
// of an error are some: a condition on them alone would look like one on a column,
// and be true for every row. It neither runs strings nor ends a transaction.
var beyondPlain = wordSet(`declare loop while for foreach execute commit rollback abort savepoint
	start prepare found sqlstate sqlerrm new old into strict get diagnostics call do open fetch move`)

// plainBlock says whether the block of a DO does no more than its statements do,
// each by itself.
func plainBlock(source string) bool {
	s := scanner{text: source}
	for {
		switch t := s.next(); {
		case t.kind == tokenEnd:
			return !s.unterminated && !s.joined
		case t.kind == tokenWord && beyondPlain[t.word()] && !s.harmlessHere(t.word()):
			return false
		case t.kind == tokenQuoted && beyondPlain[strings.ToLower(strings.Trim(t.text, `"`))], t.kind == tokenQuoted && t.text[0] != '"':
			return false
		case t.text == "<<", t.text == ":":
			return false // a label, by which variables can be named; an assignment
		}
	}
}

// harmlessHere says whether the word is one of a statement after all: INSERT INTO,
// ON CONFLICT DO.
func (s *scanner) harmlessHere(word string) bool {
	start := s.pos - len(word)
	switch word {
	case "into":
		before := strings.TrimRight(s.text[:start], " \t\r\n")
		return len(before) >= len("insert") && strings.EqualFold(before[len(before)-len("insert"):], "insert")
	case "do":
		ahead := *s
		next := ahead.next().word()
		return next == "nothing" || next == "update"
	}
	return false
}

// readBody reads a body in PL/pgSQL or SQL; of any other language nothing is
// known.
func readBody(language, source string) *body {
	switch {
	case escapedQuote(source) || len(source) > maxBody:
	case language == "plpgsql":
		return plpgsqlBody(source)
	case language == "sql":
		return sqlBody(source)
	}
	return &body{assigned: map[string]int{"": 1}}
}

func plpgsqlBody(source string) *body {
	r := piecesOf(source)
	b := &body{all: r.all, assigned: r.assigned, set: make(map[string]*pg.Node)}
	for _, p := range r.pieces {
		tree, ok := parseBody(p.text)
		if !ok || len(tree.Stmts) != 1 {
			b.all = false
			continue
		}
		n := tree.Stmts[0].Stmt
		s := step{}
		for _, g := range p.guards {
			if e := parseExpression(g.text); e != nil {
				s.guards = append(s.guards, premise{e, g.negated})
			}
		}
		if p.dynamic {
			s.dynamic = expressionOf(n)
			s.facts = &Facts{}
		}
		if s.facts = besidesReading(n); p.result {
			s.result = expressionOf(n)
		}
		b.steps = append(b.steps, s)
	}
	if !b.all { // an assignment may not have been seen
		b.assigned = map[string]int{"": 1}
	}
	for name, text := range r.set {
		if e := parseExpression(text); e != nil && r.assigned[name] == 1 {
			b.set[name] = e
		}
	}
	return b
}

func parseExpression(text string) *pg.Node {
	tree, ok := parseBody("SELECT " + text)
	if !ok || len(tree.Stmts) != 1 {
		return nil
	}
	return expressionOf(tree.Stmts[0].Stmt)
}

// expressionOf gives x of SELECT x, or nil.
func expressionOf(n *pg.Node) *pg.Node {
	s := n.GetSelectStmt()
	if s == nil || len(s.TargetList) != 1 || len(s.FromClause) > 0 || s.WhereClause != nil || s.Op > pg.SetOperation_SETOP_NONE {
		return nil
	}
	return s.TargetList[0].GetResTarget().GetVal()
}

// sqlBody reads a body in SQL. One that was parsed when the function was made is
// printed from BEGIN ATOMIC or RETURN on.
func sqlBody(source string) *body {
	b := &body{}
	s := scanner{text: source}
	first, second := s.next(), s.next()
	atomic := first.word() == "begin" && second.word() == "atomic" || first.word() == "return"
	if atomic {
		source = "CREATE FUNCTION f() RETURNS void LANGUAGE sql " + source
	}
	tree, ok := parseBody(source)
	if !ok {
		return b
	}
	add := func(n *pg.Node) { b.steps = append(b.steps, step{facts: besidesReading(n), result: expressionOf(n)}) }
	if !atomic {
		for _, s := range tree.Stmts {
			add(s.Stmt)
		}
		b.all = true
		return b
	}
	if len(tree.Stmts) != 1 {
		return b
	}
	code := tree.Stmts[0].Stmt.GetCreateFunctionStmt().GetSqlBody()
	if result := code.GetReturnStmt(); result != nil {
		target := &pg.Node{Node: &pg.Node_ResTarget{ResTarget: &pg.ResTarget{Val: result.Returnval}}}
		add(&pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: &pg.SelectStmt{TargetList: []*pg.Node{target}}}})
		b.all = true
		return b
	}
	for _, n := range code.GetList().GetItems() {
		for _, s := range n.GetList().GetItems() {
			add(s)
		}
	}
	b.all = code.GetList() != nil
	return b
}

// parseBody parses SQL that stands in a body.
func parseBody(text string) (*pg.ParseResult, bool) {
	if outOfBounds(text) != "" {
		return nil, false
	}
	tree, err := pg.Parse(text)
	return tree, err == nil
}

// escapedQuote says whether a body has a backslash before a quote. With
// standard_conforming_strings off such a string does not end there, and a body is
// read by the setting of whoever calls it.
func escapedQuote(source string) bool { return strings.Contains(source, `\'`) }

// besidesReading gives what one statement of a body does besides reading. The $n in
// it are those of the function and not those of a Bind.
func besidesReading(n *pg.Node) *Facts {
	sub := walker{facts: &Facts{}, mentions: &mentions{body: true}, inBody: true}
	sub.statement(n, "")
	w := walker{facts: &Facts{}}
	f := sub.facts
	for _, a := range f.Actions {
		if a.call = nil; !a.Class.In("read") {
			w.add(a)
		}
	}
	w.facts.Settings, w.facts.Signals = f.Settings, f.Signals
	// What a body prepares or forgets is not followed: nothing is known after it.
	w.facts.DeallocatesAll = f.Prepared != nil || f.Deallocates != "" || f.DeallocatesAll
	if f.Executes != "" {
		w.opaque("EXECUTE", "")
	}
	return w.facts
}

// ran adds what a body does, but for the steps that are known not to be reached,
// and says whether that is all.
func (w *walker) ran(b *body, known knownValues, carrier string) (all bool) {
	all = b.all
	known = known.in(b)
	for i := range b.steps {
		s := &b.steps[i]
		if !known.reaches(s.guards) {
			continue
		}
		w.took(s.facts, carrier)
		if s.dynamic == nil {
			continue
		}
		texts, open := known.sql(s.dynamic)
		all = all && !open
		for _, text := range texts {
			tree, ok := parseBody(text.text)
			if !ok {
				all = false
				continue
			}
			for _, n := range tree.Stmts {
				f := besidesReading(n.Stmt)
				if text.open {
					f = whateverFollows(f)
				}
				w.took(f, within(carrier, "EXECUTE"))
			}
		}
	}
	return all
}

// whateverFollows gives what of the facts stays true where a text that is not
// known stands in the statement: what is dropped or emptied whole.
func whateverFollows(f *Facts) *Facts {
	g := &Facts{}
	if len(f.Actions) == 1 && (f.Actions[0].Class == "truncate" || f.Actions[0].Class.In("drop")) {
		g.Actions = f.Actions
	}
	return g
}

// took adds what one statement of a body does.
func (w *walker) took(f *Facts, carrier string) {
	for _, a := range f.Actions {
		if a.Carrier == "" {
			a.Carrier = carrier
		} else {
			a.Carrier = within(carrier, a.Carrier)
		}
		if a.Class == classFunctionCall {
			w.mergedCalls(a)
		} else {
			w.add(a)
		}
	}
	w.facts.Settings = append(w.facts.Settings, f.Settings...)
	w.facts.Signals = append(w.facts.Signals, f.Signals...)
	w.facts.DeallocatesAll = w.facts.DeallocatesAll || f.DeallocatesAll
}

// mergedCalls adds calls to those of the same carrier.
func (w *walker) mergedCalls(a Action) {
	for i := range w.facts.Actions {
		if b := &w.facts.Actions[i]; b.Class == a.Class && b.Carrier == a.Carrier && b.call == nil {
			b.given.calls = append(b.given.calls[:len(b.given.calls):len(b.given.calls)], a.given.calls...)
			b.given.takes = b.given.takes || a.given.takes
			for _, name := range a.Functions {
				if !slices.Contains(b.Functions, name) {
					b.Functions = append(b.Functions[:len(b.Functions):len(b.Functions)], name)
				}
			}
			return
		}
	}
	w.add(a)
}

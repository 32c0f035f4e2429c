package policy

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

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
	all := false
	switch language {
	case "plpgsql":
		all = w.plpgsql(source, carrier)
	case "sql":
		all = w.sqlBody(source, carrier)
	}
	if !all {
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
		w.plpgsql(source, within(carrier, "DO"))
	}
}

// plpgsql adds what a body of PL/pgSQL does, and says whether that is all.
func (w *walker) plpgsql(source, carrier string) (all bool) {
	if escapedQuote(source) {
		return false
	}
	pieces, all := piecesOf(source)
	for _, text := range pieces {
		tree, ok := parseBody(text)
		if !ok || len(tree.Stmts) != 1 {
			all = false
			continue
		}
		w.bodyStatement(tree.Stmts[0].Stmt, carrier)
	}
	return all
}

// sqlBody adds what a body in SQL does, and says whether that is all. A body that
// was parsed when the function was made is printed from BEGIN ATOMIC or RETURN on.
func (w *walker) sqlBody(source, carrier string) (all bool) {
	if escapedQuote(source) || len(source) > maxBody {
		return false
	}
	s := scanner{text: source}
	first, second := s.next(), s.next()
	atomic := first.word() == "begin" && second.word() == "atomic" || first.word() == "return"
	if atomic {
		source = "CREATE FUNCTION f() RETURNS void LANGUAGE sql " + source
	}
	tree, ok := parseBody(source)
	if !ok {
		return false
	}
	if !atomic {
		for _, s := range tree.Stmts {
			w.bodyStatement(s.Stmt, carrier)
		}
		return true
	}
	if len(tree.Stmts) != 1 {
		return false
	}
	body := tree.Stmts[0].Stmt.GetCreateFunctionStmt().GetSqlBody()
	if result := body.GetReturnStmt(); result != nil {
		w.bodyStatement(&pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: &pg.SelectStmt{TargetList: []*pg.Node{result.Returnval}}}}, carrier)
		return true
	}
	for _, n := range body.GetList().GetItems() {
		for _, s := range n.GetList().GetItems() {
			w.bodyStatement(s, carrier)
		}
	}
	return body.GetList() != nil
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

// bodyStatement adds what one statement of a body does besides reading. The $n in
// it are those of the function and not those of a Bind.
func (w *walker) bodyStatement(n *pg.Node, carrier string) {
	sub := walker{facts: &Facts{}, mentions: &mentions{body: true}, inBody: true}
	sub.statement(n, carrier)
	f := sub.facts
	for _, a := range f.Actions {
		if a.call = nil; a.Class == classFunctionCall {
			for _, name := range a.Functions {
				w.merged(Action{Class: a.Class, Carrier: a.Carrier}, name)
			}
		} else if !a.Class.In("read") {
			w.add(a)
		}
	}
	w.facts.Settings = append(w.facts.Settings, f.Settings...)
	w.facts.Signals = append(w.facts.Signals, f.Signals...)
	// What a body prepares or forgets is not followed: nothing is known after it.
	if f.Prepared != nil || f.Deallocates != "" || f.DeallocatesAll {
		w.facts.DeallocatesAll = true
	}
	if f.Executes != "" {
		w.opaque("EXECUTE", carrier)
	}
}

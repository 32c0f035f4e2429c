package policy

import "strings"

// PL/pgSQL is read without the library's parser of it, which ends the process on
// some functions and knows no record types. Its SQL stands in few places (a
// statement up to its semicolon, the expression between IF and THEN), and it reads
// words as SQL does, so that a scan finds them. What is not understood is not
// guessed at: the body then counts as one that hides something.
//
// The scan follows pl_gram.y in where a statement or an expression ends:
// read_sql_construct and make_execsql_stmt.

// maxBody bounds the body that is read, in bytes.
const maxBody = 128 << 10

// A plpgsql collects the SQL of a body.
type plpgsql struct {
	scanner

	pieces []piece
	blocks []block // that are open, the outermost first

	// assigned counts how often something may be assigned to each variable, by its
	// name as written after folding, and set holds what is assigned.
	assigned map[string]int
	set      map[string]string
}

// A piece is one statement of a body, or an expression as SELECT.
type piece struct {
	text    string
	guards  []guard
	dynamic bool // text gives the SQL that is run
	result  bool // it is what RETURN gives
}

// A routine is what was read of a body.
type routine struct {
	pieces   []piece
	assigned map[string]int
	set      map[string]string
	all      bool // nothing but pieces is run
}

// piecesOf gives the SQL in a body. What of it is not understood leaves no guard
// to be believed.
func piecesOf(source string) (r routine) {
	if len(source) > maxBody || strings.IndexByte(source, 0) >= 0 {
		return r
	}
	p := plpgsql{scanner: scanner{text: source}, assigned: make(map[string]int), set: make(map[string]string)}
	p.enter("")
	understood := true
	for understood && !p.atEnd() {
		understood = p.statement()
	}
	r = routine{pieces: p.pieces, assigned: p.assigned, set: p.set, all: understood && !p.unterminated && len(p.blocks) == 1}
	if !r.all {
		r.assigned, r.set = nil, nil
		for i := range r.pieces {
			r.pieces[i].guards = nil
		}
	}
	return r
}

func (p *plpgsql) atEnd() bool {
	p.skipSpace()
	return p.pos >= len(p.text)
}

// peek gives the next token without moving on.
func (p *plpgsql) peek() token {
	ahead := p.scanner
	return ahead.next()
}

// word moves past the next token if it is that word.
func (p *plpgsql) word(words ...string) bool {
	t := p.peek()
	for _, w := range words {
		if t.kind == tokenWord && t.word() == w {
			p.next()
			return true
		}
	}
	return false
}

// until gives the text up to the first of the words, or up to a semicolon, that
// stands in no bracket, and moves past it. It answers false where there is none,
// or another end is met before.
func (p *plpgsql) until(stops ...string) (string, bool) {
	start, level := p.pos, 0
	for {
		t := p.next()
		switch {
		case t.kind == tokenEnd:
			return "", false
		case t.text == "(" || t.text == "[":
			level++
		case t.text == ")" || t.text == "]":
			level--
		case t.kind != tokenWord && t.text != ";":
			continue
		}
		for _, stop := range stops {
			if level == 0 && t.word() == stop {
				return p.text[start : p.pos-len(t.text)], true
			}
		}
		if t.text == ";" || level < 0 {
			return "", false
		}
	}
}

func (p *plpgsql) sql(text string) bool {
	p.pieces = append(p.pieces, piece{text: text, guards: p.guards()})
	if first := (&scanner{text: text}); first.next().word() == "call" {
		p.mark("") // to what is given for INOUT
	}
	return true
}

// expression adds an expression, which PL/pgSQL runs as a SELECT.
func (p *plpgsql) expression(text string) bool { return p.sql("SELECT " + text) }

// expressionUntil adds the expression before one of the words.
func (p *plpgsql) expressionUntil(stop string) bool {
	text, ok := p.until(stop)
	return ok && p.expression(text)
}

// plain passes over what takes no query. It is understood if no word in it could
// write.
func (p *plpgsql) plain() bool {
	text, ok := p.until(";")
	return ok && !couldWrite(text)
}

// dynamic reads what runs a string: the expression that gives it stands before
// INTO and USING.
func (p *plpgsql) dynamic(stop string) bool {
	text, ok := p.until(stop)
	return ok && p.runs(text)
}

func (p *plpgsql) runs(text string) bool {
	d := plpgsql{scanner: scanner{text: text + ";"}}
	expression := text
	if before, ok := d.until("into", "using"); ok {
		expression = before
	}
	for _, rest := range names(text[len(expression):]) {
		p.mark(rest)
	}
	p.pieces = append(p.pieces, piece{text: "SELECT " + expression, guards: p.guards(), dynamic: true})
	return true
}

// statement reads one statement, or the beginning or the end of one that holds
// others.
func (p *plpgsql) statement() bool {
	first := p.peek()
	if first.text == "<<" { // a label
		p.next()
		name, end := p.next(), p.next()
		return (name.kind == tokenWord || name.kind == tokenQuoted) && end.text == ">>"
	}
	if first.kind != tokenWord && first.kind != tokenQuoted {
		return first.text == ";" && p.next().text == ";"
	}
	if p.assigns() {
		return p.assignment()
	}
	start := p.pos
	p.next()
	switch first.word() {
	case "begin", "loop":
		return p.enter(first.word())
	case "else":
		return p.otherwise()
	case "exception":
		p.block().guards = nil // what comes before it may not have run
		return true
	case "declare":
		return p.declarations()
	case "end":
		return p.end()
	case "if":
		return p.conditional(true)
	case "elsif", "elseif":
		return p.otherwise() && p.conditional(false)
	case "when":
		return p.expressionUntil("then")
	case "while":
		return p.expressionUntil("loop") && p.enter("loop")
	case "case":
		p.enter("case")
		if p.peek().word() == "when" {
			return true
		}
		ok := p.expressionUntil("when")
		p.pos -= len("when")
		return ok
	case "for", "foreach":
		return p.loop() && p.enter("loop")
	case "return":
		return p.result()
	case "perform", "assert":
		return p.expressionUntil(";")
	case "execute":
		return p.dynamic(";")
	case "open":
		return p.open()
	case "fetch", "move":
		text, ok := p.until(";") // INTO is no word that writes here
		for _, n := range names(text) {
			p.mark(n)
		}
		return ok && !strings.ContainsAny(text, "(~!@#^&|`?+*/%<>=")
	case "get":
		at := p.pos
		ok := p.plain()
		for _, n := range names(p.text[at:p.pos]) {
			p.mark(n)
		}
		return ok
	case "raise", "close", "null", "exit", "continue":
		return p.plain()
	}
	p.pos = start
	text, ok := p.until(";")
	if !ok {
		return false
	}
	text, into, ok := withoutInto(text)
	for _, n := range names(into) {
		p.mark(n)
	}
	return ok && p.sql(text)
}

// assigns says whether an assignment comes next: a name, and :=, =, a dot or a
// bracket after it.
func (p *plpgsql) assigns() bool {
	ahead := p.scanner
	ahead.next()
	switch t := ahead.next(); {
	case t.text == ":":
		return strings.HasPrefix(ahead.text[ahead.pos:], "=")
	case t.text == ".", t.text == "[":
		return true
	default:
		return assignmentSign(t)
	}
}

// assignmentSign recognises =, also before a sign: the server reads x=-1 so.
func assignmentSign(t token) bool {
	return t.kind == tokenOperator && (t.text == "=" || t.text == "=-" || t.text == "=+")
}

// assignment reads what is assigned. A subscript of what it is assigned to is an
// expression, too.
func (p *plpgsql) assignment() bool {
	start := p.pos
	if !p.sign(false) || couldWrite(p.text[start:p.pos]) {
		return false
	}
	to := names(strings.TrimRight(p.text[start:p.pos], ":= "))
	from := p.pos
	if !p.expressionUntil(";") || len(to) == 0 {
		return false
	}
	p.mark(to[0])
	p.set[to[0]] = p.text[from : p.pos-1]
	return true
}

// sign moves past the first := or =, or past DEFAULT, that stands in no bracket.
func (p *plpgsql) sign(orDefault bool) bool {
	for level := 0; ; {
		switch t := p.next(); {
		case t.kind == tokenEnd, t.text == ";":
			return false
		case t.text == "(" || t.text == "[":
			level++
		case t.text == ")" || t.text == "]":
			level--
		case level > 0:
		case t.text == ":" && strings.HasPrefix(p.text[p.pos:], "="):
			p.pos++
			return true
		case assignmentSign(t):
			p.pos -= len(t.text) - 1
			return true
		case orDefault && t.kind == tokenWord && t.word() == "default":
			return true
		}
	}
}

// declarations reads what stands between DECLARE and BEGIN.
func (p *plpgsql) declarations() bool {
	for !p.word("begin") {
		if p.word("declare") {
			continue
		}
		text, ok := p.until(";")
		if !ok || !p.declaration(text) {
			return false
		}
	}
	return p.enter("begin")
}

// declaration reads a variable with what it begins as, or a cursor with its query.
func (p *plpgsql) declaration(text string) bool {
	d := plpgsql{scanner: scanner{text: text}}
	name := d.next()
	if name.kind != tokenWord && name.kind != tokenQuoted {
		return false
	}
	variable := names(name.text)[0]
	p.declares(variable)
	if d.word("alias") {
		return true
	}
	d.word("no")
	d.word("scroll")
	if d.word("cursor") {
		d.text += ";"
		if _, ok := d.until("for", "is"); !ok {
			return false
		}
		return p.sql(strings.TrimSuffix(d.text[d.pos:], ";"))
	}
	if d.sign(true) {
		p.mark(variable)
		p.set[variable] = d.text[d.pos:]
		return p.expression(d.text[d.pos:])
	}
	return !couldWrite(text)
}

// end reads END, END IF, END LOOP and END CASE; the last of all may stand without
// a semicolon.
func (p *plpgsql) end() bool {
	if !p.closes(p.peek().word()) {
		return false
	}
	for {
		switch t := p.next(); {
		case t.kind == tokenEnd, t.text == ";":
			return true
		case t.kind != tokenWord && t.kind != tokenQuoted:
			return false
		}
	}
}

// loop reads the head of FOR and FOREACH.
func (p *plpgsql) loop() bool {
	target, ok := p.until("in")
	if !ok || couldWrite(target) {
		return false
	}
	for _, n := range names(target) {
		p.declares(n)
		p.mark(n)
	}
	switch {
	case p.word("execute"):
		return p.dynamic("loop")
	case p.word("array"):
		return p.expressionUntil("loop")
	}
	p.word("reverse")
	text, ok := p.until("loop")
	if !ok {
		return false
	}
	if low, high, ok := bounds2(text); ok {
		by := plpgsql{scanner: scanner{text: high}}
		if to, ok := by.until("by"); ok {
			return p.expression(low) && p.expression(to) && p.expression(high[by.pos:])
		}
		return p.expression(low) && p.expression(high)
	}
	one := scanner{text: text}
	if name := one.next(); (name.kind == tokenWord || name.kind == tokenQuoted) && one.next().kind == tokenEnd {
		return true // a cursor: its query stands where it was declared or opened
	}
	return p.sql(text)
}

// result reads what follows RETURN.
func (p *plpgsql) result() bool {
	defer func(before int) { p.gives(before) }(len(p.pieces))
	switch {
	case p.peek().text == ";":
		p.next()
		return true
	case p.word("next"):
		if p.peek().text == ";" {
			p.next()
			return true
		}
		return p.expressionUntil(";")
	case p.word("query"):
		if p.word("execute") {
			return p.dynamic(";")
		}
		text, ok := p.until(";")
		return ok && p.sql(text)
	}
	return p.expressionUntil(";")
}

// open reads what follows OPEN.
func (p *plpgsql) open() bool {
	text, ok := p.until(";")
	if !ok {
		return false
	}
	o := plpgsql{scanner: scanner{text: text}}
	if _, ok := o.until("for"); !ok {
		return !couldWrite(text)
	}
	if o.word("execute") {
		return p.runs(text[o.pos:])
	}
	return p.sql(text[o.pos:])
}

// withoutInto takes INTO and the variables after it out of a statement, as
// make_execsql_stmt does: what is left is what the server is given.
func withoutInto(text string) (rest, into string, ok bool) {
	s := scanner{text: text}
	for before, level := "", 0; ; {
		t := s.next()
		switch {
		case t.kind == tokenEnd:
			return text, "", !s.unterminated
		case before == "" && t.word() == "import":
			return text, "", true
		case t.text == "(" || t.text == "[":
			level++
		case t.text == ")" || t.text == "]":
			level--
		case t.word() == "into" && t.kind == tokenWord && level == 0 && before != "insert" && before != "merge":
			head := text[:s.pos-len(t.text)]
			tail, ok := afterVariables(text[s.pos:])
			return head + " " + tail, text[s.pos : len(text)-len(tail)], ok
		}
		before = t.word()
	}
}

// afterVariables gives what follows a list of variables.
func afterVariables(text string) (string, bool) {
	p := plpgsql{scanner: scanner{text: text}}
	p.word("strict")
	for {
		if name := p.next(); name.kind != tokenWord && name.kind != tokenQuoted {
			return "", false
		}
		switch t := p.peek(); t.text {
		case ".", ",":
			p.next()
		case "[":
			return "", false
		default:
			return text[p.pos:], true
		}
	}
}

package policy

import "strings"

// A guard is a condition that has to be true for a piece of a body to run or,
// negated, that must not be true: false or null.
type guard struct {
	text    string
	negated bool
}

// A block is a part of a body that ends with END.
type block struct {
	kind     string  // begin, if, loop or case; empty for the body itself
	guards   []guard // of the branch that is read
	branches []guard // the conditions of an IF so far, as they are for a later branch
	returned bool    // RETURN stands in the branch that is read, in no block of its own
}

// enter begins a block.
func (p *plpgsql) enter(kind string) bool {
	p.blocks = append(p.blocks, block{kind: kind})
	return true
}

func (p *plpgsql) block() *block { return &p.blocks[len(p.blocks)-1] }

// closes ends the block that END and the word behind it end.
func (p *plpgsql) closes(word string) bool {
	kind := "begin"
	switch word {
	case "if", "loop", "case":
		kind = word
	}
	if len(p.blocks) < 2 || p.block().kind != kind {
		return false
	}
	p.leave()
	p.blocks = p.blocks[:len(p.blocks)-1]
	return true
}

// leave ends a branch. Where the first one of an IF ends the function, its
// condition was not true for what follows.
func (p *plpgsql) leave() {
	b := p.block()
	if b.kind == "if" && b.returned && len(b.branches) == 1 {
		outer := &p.blocks[len(p.blocks)-2]
		outer.guards = append(outer.guards, b.branches[0])
	}
	b.returned = false
}

// conditional reads the condition of IF or of ELSIF.
func (p *plpgsql) conditional(first bool) bool {
	text, ok := p.until("then")
	if !ok || !p.expression(text) {
		return false
	}
	if first {
		p.enter("if")
	}
	b := p.block()
	b.guards = append(b.guards, guard{text: text})
	b.branches = append(b.branches, guard{text: text, negated: true})
	return true
}

// otherwise begins another branch of IF, or of CASE.
func (p *plpgsql) otherwise() bool {
	switch b := p.block(); b.kind {
	case "if":
		p.leave()
		b.guards = append([]guard(nil), b.branches...)
		return true
	case "case":
		return true
	}
	return false
}

// gives notes that RETURN has been read, with the pieces from there on.
func (p *plpgsql) gives(from int) {
	p.block().returned = true
	for i := from; i < len(p.pieces); i++ {
		p.pieces[i].result = true
	}
}

// guards are those of all the blocks that are open.
func (p *plpgsql) guards() []guard {
	var all []guard
	for _, b := range p.blocks {
		all = append(all, b.guards...)
	}
	return all
}

// declares notes a variable: whatever went by that name before is another one.
func (p *plpgsql) declares(name string) {
	if _, again := p.assigned[name]; again {
		p.assigned[name] += 2 // which of them is meant where is not followed
	}
	p.assigned[name] += 0
}

// mark notes that something is assigned to a variable; to an empty name, that
// anything may be assigned to any.
func (p *plpgsql) mark(name string) { p.assigned[name]++ }

// names lists the names in a piece of text, folded, with the dots in them.
func names(text string) (all []string) {
	s := scanner{text: text}
	dot := false
	for {
		t := s.next()
		switch {
		case t.kind == tokenEnd:
			return all
		case t.kind == tokenWord || t.kind == tokenQuoted:
			name := t.word()
			switch {
			case t.kind == tokenQuoted && t.text[0] == '"':
				name = strings.ReplaceAll(strings.Trim(t.text, `"`), `""`, `"`)
			case t.kind == tokenQuoted: // U&"..."
				name = ""
			}
			if dot && len(all) > 0 {
				all[len(all)-1] += "." + name
			} else {
				all = append(all, name)
			}
		}
		dot = t.text == "."
	}
}

// bounds2 cuts the range of FOR i IN 1..10 at its two dots.
func bounds2(text string) (low, high string, ok bool) {
	s := scanner{text: text}
	for before := ""; ; {
		t := s.next()
		if t.kind == tokenEnd {
			return "", "", false
		}
		start := s.pos - len(t.text)
		if n := strings.Index(t.text, ".."); t.kind == tokenNumber && n >= 0 {
			return text[:start+n], text[start+n+2:], true
		}
		if t.text == "." && before == "." {
			return text[:start-1], text[s.pos:], true
		}
		if before = t.text; t.kind == tokenNumber && strings.HasSuffix(t.text, ".") {
			before = "."
		}
	}
}

package policy

import (
	"slices"
	"strings"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// Reader reads SQL text into facts. It is safe for concurrent use; one serves a
// whole process.
type Reader struct {
	cache cache

	// large admits two texts of more than 1 MiB at a time: a tree takes some
	// thirty times the size of its text.
	large chan struct{}
}

const largeText = 1 << 20

// NewReader returns a Reader with an empty cache.
func NewReader() *Reader {
	return &Reader{cache: newCache(), large: make(chan struct{}, 2)}
}

// Lexing says how the server will read text.
type Lexing struct {
	// Encoding is client_encoding as the server reported it, "UTF8".
	Encoding string
	// StandardConformingStrings is the setting of that name.
	StandardConformingStrings bool
	// Known is false while a statement is unanswered that could change either.
	Known bool
}

// plain is how the parser reads text.
var plain = Lexing{Encoding: "UTF8", StandardConformingStrings: true, Known: true}

// Read returns the facts of every statement of text in order, and none for text
// without a statement (";", "-- x"). Text that cannot be judged gives one Facts
// of ClassUnparsed. The facts are shared: they must not be changed.
func (r *Reader) Read(text string, lex Lexing) []*Facts {
	if lex != plain {
		read, problem := lex.fit(text)
		if problem != "" {
			return unparsed(text, problem)
		}
		text = read
	}
	if len(text) > maxCachedText {
		return r.parse(text)
	}
	var room [1024]byte
	var leftOut constants
	key, collapsed := shape(room[:0], text, &leftOut)
	if !collapsed {
		key = append(key[:0], text...)
	}
	kept, known := r.cache.get(key, text)
	if kept.facts != nil {
		return kept.facts
	}
	if f := kept.template.facts(text, &leftOut); f != nil {
		return []*Facts{f}
	}
	facts, tree := r.parseTree(text)
	if collapsed && (!known || kept.template != nil) && isWrite(facts) {
		r.cache.put(string(key), cached{template: newTemplate(text, tree, facts[0], &leftOut)})
		return facts
	}
	switch cachable(facts) {
	case byShape:
		if string(key) != text {
			for _, f := range facts {
				f.Text = ""
			}
		}
		r.cache.put(string(key), cached{facts: facts})
	case byText:
		r.cache.put(string(key), cached{facts: facts, text: text})
	}
	return facts
}

// fit gives the text as the parser takes it, UTF-8 with standard_conforming_strings
// on, or says in words why the server may read it otherwise. With the setting off
// a backslash can hide the end of a string.
func (l Lexing) fit(text string) (read, problem string) {
	read = text
	if !l.Known || l.Encoding != "UTF8" && l.Encoding != "SQL_ASCII" {
		encoding, named := clientEncodings[l.Encoding]
		switch {
		case l.Known && !named:
			return "", "client_encoding is not one that is known"
		case !l.Known && !isASCII(text):
			return "", "the text is not ASCII, and the encoding that it is read by is not sure"
		}
		if read, named = encoding.utf8(text); !named {
			return "", "the text cannot be converted from its client_encoding for certain"
		}
	}
	if !(l.Known && l.StandardConformingStrings) && strings.IndexByte(read, '\\') >= 0 {
		return "", "standard_conforming_strings may be off and the text has a backslash"
	}
	return read, ""
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// parse reads text without the cache.
func (r *Reader) parse(text string) []*Facts {
	facts, _ := r.parseTree(text)
	return facts
}

// parseTree is parse, with the tree that the facts were read from. There is none
// where a part of the text was left out, or the text cannot be judged.
func (r *Reader) parseTree(text string) ([]*Facts, *pg.ParseResult) {
	if len(text) > maxBulk {
		return unparsed(text, "the text is longer than 64 MiB"), nil
	}
	short, cuts := collapse(text)
	facts, tree := r.parseShort(text, short, cuts)
	if cuts != nil {
		tree = nil
	}
	return facts, tree
}

// parseShort reads text from what collapse has made of it.
func (r *Reader) parseShort(text, short string, cuts []cut) (facts []*Facts, tree *pg.ParseResult) {
	if problem := outOfBounds(short); problem != "" {
		return unparsed(text, problem), nil
	}
	if !utf8.ValidString(text) {
		return unparsed(text, "the text is not valid UTF-8"), nil
	}
	if len(short) > largeText {
		r.large <- struct{}{}
		defer func() { <-r.large }()
	}
	defer func() {
		if recover() != nil { // a defect here must not let a statement through
			facts, tree = unparsed(text, "the statement could not be judged"), nil
		}
	}()
	tree, err := pg.Parse(short)
	if err != nil {
		if !couldWrite(text) {
			return []*Facts{{
				Text:    text,
				Class:   ClassUnparsedRead,
				Problem: "the grammar does not know this, but nothing in it could write",
				Actions: []Action{{Class: ClassUnparsedRead}},
			}}, nil
		}
		problem := unparsed(text, "the grammar does not know this") // err quotes the text
		problem[0].Ungrammatical = true
		return problem, nil
	}
	all := make([]*Facts, 0, len(tree.Stmts))
	places := restorer{cuts: cuts}
	for _, s := range tree.Stmts {
		start, end := places.start(int(s.StmtLocation)), len(text)
		if s.StmtLen > 0 {
			end = places.end(int(s.StmtLocation + s.StmtLen))
		}
		all = append(all, factsOfText(s.Stmt, text[start:end]))
	}
	markTakenBack(all)
	if cuts != nil {
		forgetRows(all)
	}
	return all, tree
}

// factsOfText gives the facts of one statement of a message.
func factsOfText(n *pg.Node, text string) *Facts {
	f := factsOf(n, strings.TrimSpace(text))
	if !f.ReadOnly() {
		f.shape = &lazyShape{text: f.Text}
	}
	return f
}

func unparsed(text, problem string) []*Facts {
	return []*Facts{{
		Text:    text,
		Class:   ClassUnparsed,
		Problem: problem,
		Actions: []Action{{Class: ClassUnparsed}},
	}}
}

// RefusedAsSyntaxError gives the facts of text that the server itself has called a
// syntax error: it runs nothing of it, and says what is wrong better than anybody.
func RefusedAsSyntaxError(text string) []*Facts {
	return []*Facts{{
		Text:    text,
		Class:   ClassUnparsedRead,
		Problem: "the server says that this is a syntax error",
		Actions: []Action{{Class: ClassUnparsedRead}},
	}}
}

// largeObjectCalls are the functions that libpq and pgjdbc call by their OIDs
// (pg_proc.dat), and the classes of what they do.
var largeObjectCalls = map[uint32]Class{
	952: "large_object_read", 953: "large_object_read", 954: "large_object_read", 956: "large_object_read",
	958: "large_object_read", 3170: "large_object_read", 3171: "large_object_read", 3458: "large_object_read",
	3459: "large_object_read",
	715:  "large_object_create", 957: "large_object_create", 3457: "large_object_create",
	955: "large_object_write", 1004: "large_object_write", 3172: "large_object_write", 3460: "large_object_write",
	964: "large_object_drop",
	764: classServerFunction, 765: classServerFunction, 767: classServerFunction,
}

// FunctionCall returns the facts of a FunctionCall message, which calls a
// function by its OID. Only those for large objects are known: drivers call no
// others, and by its OID any function can be called.
func FunctionCall(oid uint32) *Facts {
	class, known := largeObjectCalls[oid]
	if !known {
		return &Facts{Class: ClassUnknown, Problem: "a function is called by its OID",
			Actions: []Action{{Class: ClassUnknown}}}
	}
	return &Facts{Class: classFunctionCall, Actions: []Action{{Class: class}}}
}

// UnknownStatement returns the facts of a Bind or an EXECUTE of a prepared
// statement that nobody has seen being prepared, whatever its name.
func UnknownStatement(string) *Facts {
	return &Facts{
		Class:   ClassUnknown,
		Problem: "the prepared statement is not known",
		Actions: []Action{{Class: ClassUnknown}},
	}
}

// With returns a copy of f with what the statements that it EXECUTEs do added:
// their actions, carried by EXECUTE, and their effects on the session.
func (f *Facts) With(prepared []*Facts) *Facts {
	g := *f
	g.Actions = append([]Action(nil), f.Actions...)
	g.Settings = append([]Setting(nil), f.Settings...)
	g.Signals = append([]int32(nil), f.Signals...)
	hiding := slices.Clone(f.hiding)
	for _, p := range prepared {
		p = p.own()
		if p.TakesParameters() {
			p = p.withParameters(typedBy(f.arguments, p.types))
		}
		for _, a := range p.Actions {
			if a.call != nil {
				moved := *a.call
				moved.setting += len(g.Settings)
				a.call = &moved
			}
			a.Carrier = strings.TrimSuffix(within("EXECUTE", a.Carrier), ", ")
			g.Actions = append(g.Actions, a)
		}
		g.Settings = append(g.Settings, p.Settings...)
		g.Signals = append(g.Signals, p.Signals...)
		hiding = append(hiding, p.hiding...)
		if g.Problem == "" {
			g.Problem = p.Problem
		}
	}
	g.hiding = nil
	g.hide(hiding...)
	return g.hidden()
}

// ReadOnly says that the statement is a plain read: it has been read, every action
// of it is in the group read, and nothing says that it hides code.
func (f *Facts) ReadOnly() bool {
	if f.hides {
		return false
	}
	for i := range f.Actions {
		if !f.Actions[i].Class.In("read") {
			return false
		}
	}
	return len(f.Actions) > 0
}

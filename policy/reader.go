package policy

import pg "github.com/pganalyze/pg_query_go/v6"

// Reader reads SQL text into facts. It is safe for concurrent use; one serves a
// whole process.
type Reader struct{}

// NewReader returns a Reader with an empty cache.
func NewReader() *Reader { return &Reader{} }

// Lexing says how the server will read text.
type Lexing struct {
	// Encoding is client_encoding as the server reported it, "UTF8".
	Encoding string
	// StandardConformingStrings is the setting of that name.
	StandardConformingStrings bool
	// Known is false while a statement is unanswered that could change either.
	Known bool
}

// Read returns the facts of every statement of text in order, and none for text
// without a statement (";", "-- x"). Text that cannot be judged gives one Facts
// of ClassUnparsed. The facts are shared: they must not be changed.
func (r *Reader) Read(text string, lex Lexing) []*Facts {
	tree, err := pg.Parse(text)
	if err != nil {
		return []*Facts{unparsed(text, "the text is no SQL that this version knows")}
	}
	all := make([]*Facts, 0, len(tree.Stmts))
	for _, s := range tree.Stmts {
		all = append(all, factsOf(s.Stmt, text[s.StmtLocation:]))
	}
	return all
}

func unparsed(text, problem string) *Facts {
	return &Facts{
		Text:    text,
		Class:   ClassUnparsed,
		Problem: problem,
		Actions: []Action{{Class: ClassUnparsed}},
	}
}

// factsOf is to be the walk of the whole tree.
func factsOf(n *pg.Node, text string) *Facts {
	f := &Facts{Text: text, Class: ClassUnknown}
	switch n.Node.(type) {
	case *pg.Node_SelectStmt:
		f.Class = classSelect
	case *pg.Node_DeleteStmt:
		f.Class = classDelete
	case *pg.Node_UpdateStmt:
		f.Class = classUpdate
	case *pg.Node_InsertStmt:
		f.Class = classInsert
	}
	f.Actions = []Action{{Class: f.Class}}
	return f
}

// FunctionCall returns the facts of a FunctionCall message: a function called by
// its OID, of which nothing else is known.
func FunctionCall(oid uint32) *Facts {
	return &Facts{Class: classFunctionCall, Actions: []Action{{Class: classFunctionCall}}}
}

// UnknownStatement returns the facts of a Bind or an EXECUTE of a prepared
// statement that nobody has seen being prepared.
func UnknownStatement(name string) *Facts {
	return &Facts{
		Class:   ClassUnknown,
		Problem: "the prepared statement is not known",
		Actions: []Action{{Class: ClassUnknown}},
	}
}

// With returns a copy of f with the actions of the statements that it EXECUTEs
// added, carried by EXECUTE.
func (f *Facts) With(prepared []*Facts) *Facts {
	g := *f
	g.Actions = append([]Action(nil), f.Actions...)
	for _, p := range prepared {
		for _, a := range p.Actions {
			if a.Carrier == "" {
				a.Carrier = "EXECUTE"
			} else {
				a.Carrier = "EXECUTE, " + a.Carrier
			}
			g.Actions = append(g.Actions, a)
		}
	}
	return &g
}

// ReadOnly says that the statement is a plain read: it has been read and every
// action of it is in the group read.
func (f *Facts) ReadOnly() bool {
	for i := range f.Actions {
		if !f.Actions[i].Class.In("read") {
			return false
		}
	}
	return len(f.Actions) > 0
}

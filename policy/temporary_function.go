package policy

import pg "github.com/pganalyze/pg_query_go/v6"

// Clients make a function in pg_temp to catch an error of one INSERT, call it and
// drop it, all in one message: PL/pgSQL without parameters has to have its values
// written into it, and DO gives nothing back. Such a function is the session's own,
// and only a call that says pg_temp finds it (the manual's "search_path": never for
// functions). Where all of its body can be read, and does no more than insert, it
// is the INSERTs that are judged.

// temporaryFunction adds what a function of pg_temp that only inserts will insert,
// and gives the CREATE FUNCTION before it a class of its own.
func (w *walker) temporaryFunction(s *pg.CreateFunctionStmt, carrier string) {
	if name := named(words(s.Funcname)); name.Schema != "pg_temp" || s.IsProcedure || w.inBody {
		return
	}
	for _, p := range s.Parameters {
		if p.GetFunctionParameter().GetDefexpr() != nil {
			return
		}
	}
	language, source := "", ""
	for _, n := range s.Options {
		switch d := n.GetDefElem(); d.GetDefname() {
		case "language":
			language = d.Arg.GetString_().GetSval()
		case "as":
			if parts := d.Arg.GetList().GetItems(); len(parts) == 1 {
				source = parts[0].GetString_().GetSval()
			}
		default:
			return // SECURITY DEFINER, SET, SUPPORT
		}
	}
	b := readBody(language, source)
	if !b.all || len(b.steps) == 0 {
		return
	}
	for _, st := range b.steps {
		if st.dynamic != nil || st.facts == nil || len(st.facts.Settings) > 0 {
			return
		}
		for i := range st.facts.Actions {
			if a := &st.facts.Actions[i]; a.Class != classInsert || len(a.Functions) > 0 {
				return
			}
		}
	}
	w.facts.Actions[len(w.facts.Actions)-1].Class = classCreateTemporaryFunction
	w.ran(b, knownValues{}, within(carrier, "FUNCTION pg_temp"))
}

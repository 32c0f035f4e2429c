package policy

// A Parameter is the value that a Bind message gives to one parameter of a
// prepared statement.
type Parameter struct {
	Null bool
	// Text is true for a value in the text format. Of the binary format only
	// booleans, integers and text are read, and only if Type says that it is one.
	Text bool
	// Type is the OID of the type that Parse declared, 0 where the server chose it.
	Type  uint32
	Value []byte
}

// TakesParameters says whether the values of parameters can change what is known
// of the statement. Most statements do not ask: no $n of theirs stands where
// facts are made of it.
func (f *Facts) TakesParameters() bool { return false }

// WithParameters gives the facts of a prepared statement with the values of its
// parameters put in, $1 first.
func (r *Reader) WithParameters(f *Facts, _ []Parameter) *Facts { return f }

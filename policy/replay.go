package policy

import "strings"

// Replay decides the statements of a file as if one session sent them one after
// the other and each of them ran: BEGIN opens a transaction block, EXECUTE runs
// what PREPARE prepared before, the header of a dump makes a restore of what
// follows.
type Replay struct {
	Policy  *Policy
	Reader  *Reader
	Lexing  Lexing
	Session Session

	// Catalog is what the server's catalogue says before each text; nil where none
	// is asked.
	Catalog *Catalog

	prepared map[string]*Facts
	watch    RestoreWatch
}

// Outcome is one statement of a replay.
type Outcome struct {
	Facts    *Facts
	Session  Session // as it was for this statement
	Decision Decision
}

// Next decides the statements of a text. There is none in a text that holds
// only comments.
func (r *Replay) Next(text string) []Outcome {
	var all []Outcome
	refining := r.Reader.refineBatch(r.Catalog)
	for _, f := range r.Reader.Read(text, r.Lexing) {
		r.watch.Note(f, r.Session.Application)
		r.Session.Restore = r.Session.Restore || r.watch.Restore()
		if f.Executes != "" {
			prepared := r.prepared[f.Executes]
			if prepared == nil {
				prepared = UnknownStatement(f.Executes)
			}
			f = f.With([]*Facts{prepared})
		}
		f = refining.next(f)
		all = append(all, Outcome{Facts: f, Session: r.Session, Decision: r.Policy.Decide(&r.Session, f)})
		r.after(f)
	}
	return all
}

// after is what the statement leaves behind for the next.
func (r *Replay) after(f *Facts) {
	r.Session.InTransaction = f.Transaction.after(r.Session.InTransaction)
	if f.DeallocatesAll {
		r.prepared = nil
	}
	delete(r.prepared, f.Deallocates)
	if f.Prepared != nil {
		if r.prepared == nil {
			r.prepared = make(map[string]*Facts)
		}
		r.prepared[f.Prepares] = f.Prepared
	}
	for i := range f.Settings {
		r.set(&f.Settings[i])
	}
}

// set follows the parameters that change how the next statement is read.
func (r *Replay) set(s *Setting) {
	switch s.Name {
	case "standard_conforming_strings":
		r.Lexing.StandardConformingStrings = s.Known && !off(s.Value)
	case "client_encoding":
		if s.Known && s.Value != "" {
			r.Lexing.Encoding = encodingName(s.Value)
		}
	case "application_name":
		if s.Known {
			r.Session.Application = s.Value
		}
	}
}

// encodingName is the encoding as the server reports it: it reads names without
// regard to case and punctuation ("utf-8").
func encodingName(value string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToUpper(value))
	if name == "UNICODE" {
		return "UTF8"
	}
	return name
}

// after says whether a transaction block is open after the statement.
func (e TransactionEffect) after(open bool) bool {
	switch e {
	case TransactionBegin:
		return true
	case TransactionCommit, TransactionRollback:
		return false
	}
	return open
}

package proxy

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
)

// settingsSQL asks for what decides what the names of a statement mean, and who
// runs it. Neither is reported by the server (search_path is, from PostgreSQL 18
// on).
const settingsSQL = `SELECT pg_catalog.format('%s %s', current_user, pg_catalog.current_setting('search_path'))`

// asking describes the batch in which something is held, as one request.
func (s *session) asking() (approval.Ask, *refusal, error) {
	t := &s.toServer
	first := t.held[0]
	a := approval.Ask{
		Mode: approval.Hold, Scope: approval.OneStatement,
		Rule: first.decision.ID(), Title: reason(first.decision, first.decided),
		PolicyHash: s.p.c.Policy().Hash(), Quorum: s.quorum(),
		Server: s.p.c.Server, Database: t.session.Database, Login: t.session.User,
		Application: t.session.Application, Address: s.client.RemoteAddr().String(), Session: s.id,
		InTransaction: first.now == inside, Impact: subject(first.decided),
	}
	if s.ticketOnly() {
		a.Mode = approval.Ticket
	}
	if first.decision.Rule.Scope == policy.ScopeSession {
		a.Scope = approval.WholeSession
	}
	switch rows, err := s.inquire(settingsSQL, nil); {
	case errors.Is(err, errNotNow):
		return a, notNow(first.decision, first.decided), nil
	case errors.Is(err, errCancelled):
		return a, cancelledByUser(first.decision.ID(), 0), nil
	case err != nil:
		return a, nil, fmt.Errorf("ask for the settings of the session: %w", err)
	case len(rows) != 1:
		return a, nil, fmt.Errorf("ask for the settings of the session: %d rows", len(rows))
	default:
		role, searchPath, _ := strings.Cut(string(rows[0]), " ")
		a.Role = role
		s.mu.Lock()
		a.Settings = fmt.Sprintf("client_encoding=%s standard_conforming_strings=%t search_path=%s",
			s.settings.encoding, s.settings.conforming, searchPath)
		s.mu.Unlock()
	}
	if a.Scope == approval.WholeSession && t.restoredOver != "" {
		// What the dump holds is not known yet, but what it comes over is.
		a.Impact = fmt.Sprintf("a restore, beginning with %s, into a database with %s", a.Impact, t.restoredOver)
	}
	d := description{session: s, digest: sha256.New(), parsed: map[string]*statement{}}
	d.batch(t.out[t.batchOut:])
	a.Statement = strings.Join(d.texts, ";\n")
	a.Parameters = d.parameters
	a.ParameterHash = d.digest.Sum(nil)
	return a, nil, nil
}

// quorum is what all the rules that hold something of the batch ask for
// together.
func (s *session) quorum() []approval.Need {
	var quorum []approval.Need
	for _, h := range s.toServer.held {
		for _, n := range h.decision.Rule.Approve {
			i := slices.IndexFunc(quorum, func(q approval.Need) bool { return q.Group == n.Group })
			if i < 0 {
				quorum = append(quorum, approval.Need{Group: n.Group, Count: n.Count})
				continue
			}
			quorum[i].Count = max(quorum[i].Count, n.Count)
		}
	}
	return quorum
}

func (s *session) approvers(r approval.Request) string {
	return who(r, s.p.c.Approvals.Eligible(r))
}

// description is what people see of a batch, and a digest over everything in it
// that decides what it does: the texts, types and values of all that would run,
// whether held or not. The names of prepared statements and portals are left
// out, since drivers number them and the batch may be sent again by another
// session.
type description struct {
	session    *session
	parsed     map[string]*statement // by Parse in the batch
	texts      []string
	parameters []string
	digest     hash.Hash
}

func (d *description) batch(b []byte) {
	whole, _ := splitFrames(b)
	for _, frame := range whole {
		switch frame[0] {
		case 'P':
			name, rest, err := cstring(frame[headerLen:])
			if err != nil {
				continue
			}
			text, types, err := cstring(rest)
			if err != nil {
				continue
			}
			d.parsed[serverName(name)] = &statement{text: string(text), types: types}
		case 'B':
			_, rest, err := cstring(frame[headerLen:])
			if err != nil {
				continue
			}
			name, values, err := cstring(rest)
			if err != nil {
				continue
			}
			for _, st := range d.statements(serverName(name)) {
				d.runs(st.text)
				d.add('t', st.types)
			}
			d.add('B', values)
			d.parameters = append(d.parameters, shownParameters(values)...)
		case 'Q':
			d.runs(queryText(frame))
		case 'F':
			if oid, err := functionOID(frame); err == nil {
				d.shows(calledFunction(oid))
			}
			d.add('F', frame[headerLen:])
		case 'E':
			if _, most, err := cstring(frame[headerLen:]); err == nil {
				d.add('E', most)
			}
		}
	}
}

// statements is what a name stands for at this point of the batch.
func (d *description) statements(name string) []*statement {
	if st := d.parsed[name]; st != nil {
		return []*statement{st}
	}
	return d.session.candidates(name)
}

// runs adds a text that would run, and the texts behind the names that it
// EXECUTEs.
func (d *description) runs(text string) {
	d.shows(text)
	d.add('Q', []byte(text))
	for _, f := range d.session.p.c.Reader.Read(text, d.session.lexing()) {
		if f.Executes == "" {
			continue
		}
		for _, st := range d.statements(f.Executes) {
			if st.text != text {
				d.shows("-- EXECUTE " + f.Executes + " runs: " + st.text)
				d.add('x', []byte(st.text))
			}
		}
	}
}

// shows adds a text for people, a repeated one once.
func (d *description) shows(text string) {
	if n := len(d.texts); n == 0 || d.texts[n-1] != text {
		d.texts = append(d.texts, text)
	}
}

func (d *description) add(kind byte, b []byte) {
	fmt.Fprintf(d.digest, "%c%d:", kind, len(b))
	_, _ = io.Copy(d.digest, bytes.NewReader(b)) // a hash never fails
}

// splitFrames splits bytes into whole messages.
func splitFrames(b []byte) (whole [][]byte, rest []byte) {
	for len(b) >= headerLen {
		n := headerLen + int(bodyLen(b))
		if n < headerLen || len(b) < n {
			break
		}
		whole, b = append(whole, b[:n]), b[n:]
	}
	return whole, b
}

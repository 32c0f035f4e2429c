package proxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
)

// boundSettings decide what a statement means, or as whom it runs, and few of
// them are reported by the server. SHOW takes no snapshot, so that asking changes
// nothing about a transaction.
var boundSettings = [...]string{
	"role", "session_authorization", "search_path", "DateStyle", "IntervalStyle", "TimeZone",
	"transform_null_equals", "row_security", "session_replication_role", "default_text_search_config",
}

// asking describes the batch in which something is held, as one request.
func (s *session) asking() (approval.Ask, *refusal, error) {
	t := &s.toServer
	first := t.held[0]
	a := approval.Ask{
		Mode: approval.Hold, Scope: approval.OneStatement,
		Rule: first.decision.ID(), Title: titles(t.held),
		PolicyHash: s.p.c.Policy().Hash(), Quorum: s.quorum(),
		Server: s.p.c.Server, Database: t.session.Database, Login: t.session.User,
		Application: t.session.Application, Address: s.client.RemoteAddr().String(), Session: s.id,
		InTransaction: first.now == inside, Impact: impacts(t.held),
	}
	if s.ticketOnly() {
		a.Mode = approval.Ticket
	}
	if first.decision.Rule.Scope == policy.ScopeSession {
		a.Scope = approval.WholeSession
	}
	shown, err := s.show(boundSettings[:])
	switch {
	case errors.Is(err, errNotNow):
		return a, notNow(first.decision, first.decided), nil
	case errors.Is(err, errCancelled):
		return a, cancelledByUser(first.decision.ID(), 0), nil
	case err != nil:
		return a, nil, fmt.Errorf("ask for the settings of the session: %w", err)
	}
	if a.Role = shown[0]; a.Role == "none" {
		a.Role = shown[1]
	}
	var settings strings.Builder
	s.mu.Lock()
	fmt.Fprintf(&settings, "client_encoding=%q standard_conforming_strings=%t", s.settings.encoding, s.settings.conforming)
	s.mu.Unlock()
	for i, name := range boundSettings {
		fmt.Fprintf(&settings, " %s=%q", name, shown[i])
	}
	a.Settings = settings.String()
	if a.Scope == approval.WholeSession && t.restoredOver != "" {
		// What the dump holds is not known yet, but what it comes over is.
		a.Impact = fmt.Sprintf("a restore, beginning with %s, into a database with %s", a.Impact, t.restoredOver)
	}
	if first.measured != nil {
		if err := s.askingMeasured(&a, first); errors.Is(err, errCancelled) {
			return a, cancelledByUser(first.decision.ID(), 0), nil
		} else if err != nil {
			return a, nil, err
		}
		return a, nil, nil
	}
	if d := first.dry; d != nil {
		a.Impact += "; " + d.words
		if d.impact != nil {
			if a.Measured, err = json.Marshal(d.impact); err != nil {
				return a, nil, fmt.Errorf("write down what was measured: %w", err)
			}
		}
	}
	d := description{session: s, digest: sha256.New(), parsed: map[string]*statement{}, bound: map[string]int{}}
	d.batch(t.out[t.batchOut:])
	if d.unclear {
		return a, unclear(first.decision, first.decided), nil
	}
	for _, h := range t.held {
		d.tables(h.all)
	}
	fmt.Fprintf(d.digest, "%v", a.Quorum)
	a.Statement = strings.Join(d.texts, ";\n")
	a.Parameters = d.parameters
	a.ParameterHash = d.digest.Sum(nil)
	return a, nil, nil
}

// askingMeasured describes what was done and rolled back, or is held at its COMMIT. What the names meant is
// in the numbers, which a grant does not exceed.
func (s *session) askingMeasured(a *approval.Ask, first held) error {
	w := &s.toServer.work
	var err error
	if a.Measured, err = json.Marshal(first.measured); err != nil {
		return fmt.Errorf("write down what was measured: %w", err)
	}
	a.Impact = "measured, and rolled back: " + first.measured.String()
	if first.atCommit > 0 {
		a.Impact = "measured at its COMMIT: " + first.measured.String()
		if err := s.askingLocks(a); err != nil {
			return err
		}
	}
	a.Statement = w.statement()
	a.ParameterHash = fmt.Appendf(w.digest.Sum(nil), "%v", a.Quorum)
	return nil
}

// quorum is what all the rules that hold something of the batch ask for
// together.
func (s *session) quorum() []approval.Need {
	var all []waiting
	for _, h := range s.toServer.held {
		all = append(all, h.waits...)
	}
	return quorumOf(all)
}

func quorumOf(all []waiting) []approval.Need {
	var quorum []approval.Need
	for _, w := range all {
		for _, n := range w.Rule.Approve {
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

// restoreCovers reports whether a granted restore covers what waits: the session
// looks like a restore to every statement of it, the policy is the one of then,
// and nobody is needed who has not approved the restore.
func (t *stage) restoreCovers(all []waiting, policyHash string) bool {
	if t.restoreGranted == "" || t.restoreGranted != policyHash || len(all) == 0 {
		return false
	}
	restored := map[*policy.Facts]bool{}
	for _, w := range all {
		if w.Rule.Scope == policy.ScopeSession {
			restored[w.facts] = true
		}
	}
	for _, w := range all {
		if !restored[w.facts] {
			return false
		}
	}
	for _, n := range quorumOf(all) {
		if !slices.ContainsFunc(t.restoreQuorum, func(q approval.Need) bool { return q.Group == n.Group && q.Count >= n.Count }) {
			return false
		}
	}
	return true
}

// titles says what every rule that holds something of the batch has against it.
func titles(all []held) string {
	var list []string
	for _, h := range all {
		for _, w := range h.waits {
			title := reason(w.Decision, w.facts)
			if w.Rule != all[0].decision.Rule {
				title = "rule " + w.Rule.ID + ": " + title
			}
			if !slices.Contains(list, title) {
				list = append(list, title)
			}
		}
	}
	return strings.Join(list, "; ")
}

// impacts says what the statements that are held would do.
func impacts(all []held) string {
	var list []string
	for _, h := range all {
		for _, w := range h.waits {
			if s := subject(w.facts); !slices.Contains(list, s) {
				list = append(list, s)
			}
		}
	}
	return strings.Join(list, "; ")
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
	bound      map[string]int        // portals by Bind in the batch: the how manieth
	binds      int
	unclear    bool // something would run that cannot be shown
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
			portal, rest, err := cstring(frame[headerLen:])
			if err != nil {
				continue
			}
			d.binds++
			d.bound[serverName(portal)] = d.binds
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
			if portal, most, err := cstring(frame[headerLen:]); err == nil {
				n, here := d.bound[serverName(portal)]
				d.unclear = d.unclear || !here // it runs what an earlier batch has bound
				d.add('E', fmt.Appendf(most[:len(most):len(most)], " of %d", n))
			}
		}
	}
}

// statements is what a name stands for at this point of the batch. A name that
// nobody has seen, or that has stood for too many texts, cannot be shown to people,
// and so not be approved by them.
func (d *description) statements(name string) []*statement {
	if st := d.parsed[name]; st != nil {
		return []*statement{st}
	}
	found := d.session.candidates(name)
	d.unclear = d.unclear || len(found) == 0 ||
		slices.ContainsFunc(found, func(st *statement) bool { return st.text == "" })
	return found
}

// runs adds a text that would run, and the texts behind the names that it
// EXECUTEs.
func (d *description) runs(text string) {
	d.shows(text)
	// A setting of somebody's own making is shown nowhere, so no grant can be bound
	// to its value.
	d.unclear = d.unclear || strings.Contains(strings.ToLower(text), "current_setting")
	d.add('Q', []byte(text))
	for _, f := range d.session.p.c.Reader.Read(text, d.session.lexing()) {
		if f.Executes == "" {
			continue
		}
		for _, st := range d.statements(f.Executes) {
			d.unclear = d.unclear || slices.ContainsFunc(st.facts, func(f *policy.Facts) bool { return utility(f) && f.Prepared == nil })
			if st.text != text {
				d.shows("-- EXECUTE " + f.Executes + " runs: " + st.text)
				d.add('x', []byte(st.text))
			}
		}
	}
}

// tables adds what the names mean, as far as the catalogue has said.
func (d *description) tables(all [][]*policy.Facts) {
	for _, facts := range all {
		for _, f := range facts {
			for i := range f.Actions {
				for _, t := range f.Actions[i].Tables {
					d.add('n', fmt.Appendf(nil, "%q.%q %t", t.Schema, t.Name, t.Temporary))
				}
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

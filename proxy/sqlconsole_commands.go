package proxy

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/pgsluice/pgsluice/policy/approval"
)

// permission says who may give a command. The zero value is nobody.
type permission uint8

const (
	nobody permission = iota
	// anyPerson has logged in. Whether they may decide a certain request is not
	// the console's to say: approval.Service does.
	anyPerson
	// reloaders are the members of Console.ReloadGroup: RELOAD puts another policy
	// in force, whatever lies on the disk at that moment.
	reloaders
)

func (p permission) String() string {
	return [...]string{"nobody", "any person", "members of the reload group"}[p]
}

func (s *consoleSession) may(p permission) bool {
	switch p {
	case anyPerson:
		_, ok := s.known().Find(s.person) // they may have left since they logged in
		return ok
	case reloaders:
		return s.ReloadGroup != "" && s.known().InGroup(s.person, s.ReloadGroup)
	}
	return false
}

// command is a line of the table below.
type command struct {
	words   []string
	takes   []takes
	who     permission
	says    string   // what it does, for SHOW HELP
	columns []column // of its answer; nil: it returns no rows
	tag     string   // of CommandComplete; empty: the first word
	run     func(s *consoleSession, arguments []any) ([][]any, error)
}

// takes is an argument of a command.
type takes struct {
	name     string
	oid      uint32 // int8OID or textOID
	optional bool
}

func (c *command) name() string { return strings.Join(c.words, " ") }

// usage is how the command is written.
func (c *command) usage() string {
	u := c.name()
	for _, t := range c.takes {
		written := t.name
		if t.oid == textOID {
			written = "'" + t.name + "'"
		}
		if t.optional {
			written = "[" + written + "]"
		}
		u += " " + written
	}
	return u
}

// tagFor is the command tag. Only SELECT's has a count: pgjdbc and pgx take a
// number at the end of any tag for the rows that were changed.
func (c *command) tagFor(rows int) string {
	switch c.tag {
	case "":
		return c.words[0]
	case "SELECT":
		return fmt.Sprintf("SELECT %d", rows)
	}
	return c.tag
}

var (
	requestArgument = takes{name: "id", oid: int8OID}
	reasonArgument  = takes{name: "reason", oid: textOID}
)

// commands is all that the console can do. It is a function because SHOW HELP is
// both in the table and made from it.
func commands() []*command {
	return []*command{
		{
			words: []string{"SHOW", "REQUESTS"}, who: anyPerson, columns: requestColumns,
			says: "lists the requests that are open: pending, or approved and not used yet",
			run: func(s *consoleSession, _ []any) ([][]any, error) {
				return s.showRequests(approval.Filter{States: []approval.State{approval.Pending, approval.Approved}})
			},
		},
		{
			words: []string{"SHOW", "REQUESTS", "ALL"}, who: anyPerson, columns: requestColumns,
			says: "lists the newest thousand requests, whatever became of them",
			run: func(s *consoleSession, _ []any) ([][]any, error) {
				return s.showRequests(approval.Filter{Limit: 1000})
			},
		},
		{
			words: []string{"SHOW", "REQUEST"}, takes: []takes{requestArgument}, who: anyPerson, columns: fieldColumns,
			says: "shows all of one request, the whole statement with it",
			run:  (*consoleSession).showRequest,
		},
		{
			words: []string{"APPROVE"}, takes: []takes{requestArgument, reasonArgument}, who: anyPerson, columns: decidedColumns,
			says: "approves a request; never one's own",
			run: func(s *consoleSession, a []any) ([][]any, error) {
				return s.decide(s.Approvals.Approve(s.ctx, a[0].(int64), s.person, s.channel(), a[1].(string)))
			},
		},
		{
			words: []string{"DENY"}, takes: []takes{requestArgument, reasonArgument}, who: anyPerson, columns: decidedColumns,
			says: "denies a request, which ends it",
			run: func(s *consoleSession, a []any) ([][]any, error) {
				return s.decide(s.Approvals.Deny(s.ctx, a[0].(int64), s.person, s.channel(), a[1].(string)))
			},
		},
		{
			words: []string{"CANCEL"}, takes: []takes{requestArgument}, who: anyPerson, columns: decidedColumns,
			says: "takes back one's own request",
			run: func(s *consoleSession, a []any) ([][]any, error) {
				return s.decide(s.Approvals.Cancel(s.ctx, a[0].(int64), s.person))
			},
		},
		{
			words: []string{"SHOW", "SESSIONS"}, who: anyPerson, columns: sessionColumns,
			says: "lists the sessions with the server",
			run:  (*consoleSession).showSessions,
		},
		{
			words: []string{"SHOW", "POLICY"}, who: anyPerson, columns: policyColumns,
			says: "lists the rules of the policy in force",
			run:  (*consoleSession).showPolicy,
		},
		{
			words: []string{"RELOAD"}, who: reloaders, columns: reloadColumns,
			says: "reads the policy and the people anew; with a mistake in them the old ones stay",
			run:  (*consoleSession).reload,
		},
		{
			words: []string{"SHOW", "HELP"}, who: anyPerson, columns: helpColumns,
			says: "lists the commands, who may give them, and the columns of their answers",
			run:  (*consoleSession).showHelp,
		},
	}
}

var requestColumns = []column{
	{"id", int8OID, "what APPROVE and the others take"},
	{"state", textOID, "pending, approved, denied, expired, cancelled, used, done, failed or outcome_unknown"},
	{"created", timestamptzOID, "when the statement came"},
	{"expires", timestamptzOID, "when a pending or approved request ends by itself"},
	{"login", textOID, "the role that sent the statement"},
	{"database", textOID, "where it would run"},
	{"rule", textOID, "the rule of the policy that asks for people"},
	{"still_needed", textOID, "how many people of which groups have yet to approve"},
	{"statement", textOID, "its beginning, in one line"},
	{"application", textOID, "application_name of the client"},
	{"address", textOID, "of the client"},
	{"mode", textOID, "hold: the client waits; ticket: it has to send the statement again"},
	{"may_approve", textOID, "the people who can"},
	{"blocked", int8OID, "how many sessions wait for locks that it holds at its COMMIT"},
}

func (s *consoleSession) showRequests(f approval.Filter) ([][]any, error) {
	list, err := s.Approvals.List(s.ctx, f)
	if err != nil {
		return nil, err
	}
	rows := make([][]any, 0, len(list))
	for i := range list {
		r := &list[i]
		var expires time.Time
		if isOpen(r) {
			expires = r.Expires
		}
		var blocked any
		if l := locksOf(r); l != nil {
			blocked = int64(l.Blocked())
		}
		rows = append(rows, []any{
			r.ID, string(r.State), r.Created, expires, r.Login, r.Database, r.Rule, s.stillNeeded(r),
			oneLine(r.Statement), r.Application, r.Address, string(r.Mode), s.mayApprove(r), blocked,
		})
	}
	return rows, nil
}

func isOpen(r *approval.Request) bool {
	return r.State == approval.Pending || r.State == approval.Approved
}

var fieldColumns = []column{
	{"field", textOID, "name of the field; new ones may be added anywhere"},
	{"value", textOID, "as text"},
}

// showRequest is one row per field: what people read before they decide. The
// statement is whole.
func (s *consoleSession) showRequest(a []any) ([][]any, error) {
	r, err := s.Approvals.Get(s.ctx, a[0].(int64))
	if err != nil {
		return nil, err
	}
	var rows [][]any
	add := func(field, value string) {
		if value != "" {
			rows = append(rows, []any{field, value})
		}
	}
	when := func(t time.Time) string { return string(textValue(t)) }

	add("id", fmt.Sprint(r.ID))
	add("state", string(r.State))
	add("statement", r.Statement)
	for i, p := range r.Parameters {
		add(fmt.Sprintf("$%d", i+1), p)
	}
	add("impact", r.Impact)
	if l := locksOf(&r); l != nil {
		add("holds_locks", l.String())
		for _, w := range l.Waiters {
			add("blocked", w.String())
		}
		if l.More > 0 {
			add("blocked", fmt.Sprintf("and %d more", l.More))
		}
		if l.Blocked() == 0 {
			add("blocked", "nobody")
		}
		add("locks_seen", when(l.Seen))
	}
	add("rule", r.Rule)
	add("title", r.Title)
	add("database", r.Database)
	add("server", r.Server)
	add("login", r.Login)
	add("role", r.Role)
	add("persons", strings.Join(r.Persons, ", "))
	add("application", r.Application)
	add("address", r.Address)
	add("in_transaction", map[bool]string{true: "yes", false: "no"}[r.InTransaction])
	add("settings", r.Settings)
	add("mode", string(r.Mode))
	add("scope", string(r.Scope))
	add("created", when(r.Created))
	if isOpen(&r) {
		add("expires", when(r.Expires))
	}
	add("needs", describeNeeds(r.Quorum))
	add("still_needed", s.stillNeeded(&r))
	add("may_approve", s.mayApprove(&r))
	for _, d := range r.Decisions {
		verb := "denied"
		if d.Approve {
			verb = "approved"
		}
		add("decision", fmt.Sprintf("%s by %s at %s over %s: %s", verb, d.Person, when(d.At), d.Channel, d.Reason))
	}
	add("cancelled_by", r.CancelledBy)
	add("outcome", r.Outcome)
	add("policy_hash", r.PolicyHash)
	return rows, nil
}

// stillNeeded is what of the quorum is open, by the people as they are now.
func (s *consoleSession) stillNeeded(r *approval.Request) string {
	if r.State != approval.Pending {
		return ""
	}
	var approvers []string
	for _, d := range r.Decisions {
		if d.Approve {
			approvers = append(approvers, d.Person)
		}
	}
	return describeNeeds(s.known().Missing(r.Quorum, approvers))
}

func (s *consoleSession) mayApprove(r *approval.Request) string {
	if r.State != approval.Pending {
		return ""
	}
	names := s.known().Eligible(r.Quorum, append(s.known().OfLogin(r.Login), r.Persons...))
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names, ", ")
}

// known are the people as they are now.
func (s *consoleSession) known() *approval.People {
	if s.People == nil {
		return nil
	}
	if known := s.People(); known != nil {
		return known.People
	}
	return nil
}

func describeNeeds(needs []approval.Need) string {
	said := make([]string, len(needs))
	for i, n := range needs {
		said[i] = fmt.Sprintf("%d of %s", n.Count, n.Group)
	}
	return strings.Join(said, ", ")
}

var decidedColumns = []column{
	{"id", int8OID, "of the request"},
	{"state", textOID, "after the decision"},
	{"still_needed", textOID, "how many people of which groups have yet to approve"},
	{"statement", textOID, "its beginning, in one line"},
}

// decide answers what became of a request.
func (s *consoleSession) decide(r approval.Request, err error) ([][]any, error) {
	if err != nil {
		return nil, err
	}
	if s.inTransaction {
		s.notice("the decision is in force already: in the database pgsluice a ROLLBACK takes nothing back")
	}
	return [][]any{{r.ID, string(r.State), s.stillNeeded(&r), oneLine(r.Statement)}}, nil
}

// channel tells pgsluice's own commands from other clients. It is what the
// client says of itself, for people to read; nothing depends on it.
func (s *consoleSession) channel() string {
	if s.application == "pgsluice" {
		return "cli"
	}
	return "psql"
}

var sessionColumns = []column{
	{"id", textOID, "the proxy's id of the session"},
	{"user", textOID, "the role it logged in with"},
	{"database", textOID, ""},
	{"application", textOID, "application_name"},
	{"address", textOID, "of the client"},
	{"state", textOID, "starting, idle, idle in transaction, active or held"},
	{"request", int8OID, "the request it waits for"},
	{"since", timestamptzOID, "when it began"},
	{"pid", int8OID, "process ID of its PostgreSQL backend"},
}

func (s *consoleSession) showSessions([]any) ([][]any, error) {
	if s.Sessions == nil {
		return nil, nil
	}
	var rows [][]any
	for _, i := range s.Sessions() {
		var request any
		if i.Request != 0 {
			request = i.Request
		}
		rows = append(rows, []any{i.ID, i.User, i.Database, i.Application, i.Address, i.State, request, i.Since, int64(i.PID)})
	}
	return rows, nil
}

var policyColumns = []column{
	{"rule", textOID, "its id"},
	{"action", textOID, "allow, warn, hold, ticket or block"},
	{"title", textOID, ""},
	{"approve", textOID, "how many people of which groups have to approve"},
	{"scope", textOID, "what an approval lets through: statement or session"},
	{"place", textOID, "file and line"},
	{"policy", textOID, "name of the policy: standard, or its path"},
	{"hash", textOID, "of the policy, as the audit log has it"},
	{"at_commit", textOID, "how long a transaction block may be held at its COMMIT"},
}

func (s *consoleSession) showPolicy([]any) ([][]any, error) {
	p := s.Policy()
	if p == nil {
		return nil, nil
	}
	var rows [][]any
	for _, r := range p.Rules() {
		needs := make([]approval.Need, len(r.Approve))
		for i, n := range r.Approve {
			needs[i] = approval.Need{Group: n.Group, Count: n.Count}
		}
		atCommit := ""
		if r.AtCommit > 0 {
			atCommit = shortDuration(r.AtCommit)
		}
		rows = append(rows, []any{
			r.ID, r.Action.String(), r.Title, describeNeeds(needs), r.Scope,
			fmt.Sprintf("%s:%d", r.File, r.Line), p.Name(), p.Hash(), atCommit,
		})
	}
	return rows, nil
}

var reloadColumns = []column{
	{"policy", textOID, "name of the policy now in force"},
	{"hash", textOID, "its hash"},
}

func (s *consoleSession) reload([]any) ([][]any, error) {
	if s.Reload == nil {
		return nil, &consoleError{code: "0A000", message: "this pgsluice cannot reload"}
	}
	if err := s.Reload(s.ctx, s.person); err != nil {
		first, rest, _ := strings.Cut(err.Error(), "\n")
		return nil, &consoleError{
			code: "F0000", message: first, detail: rest, // config_file_error
			hint: "What was in force before still is.",
		}
	}
	p := s.Policy()
	return [][]any{{p.Name(), p.Hash()}}, nil
}

var helpColumns = []column{
	{"command", textOID, "how it is written"},
	{"who", textOID, "who may give it"},
	{"does", textOID, ""},
	{"columns", textOID, "of the answer, with their types"},
}

func (s *consoleSession) showHelp([]any) ([][]any, error) {
	names := map[uint32]string{boolOID: "bool", int8OID: "int8", textOID: "text", timestamptzOID: "timestamptz"}
	var rows [][]any
	for _, c := range commands() {
		var columns []string
		for _, col := range c.columns {
			columns = append(columns, col.name+" "+names[col.oid])
		}
		by := c.who.String()
		if c.who == reloaders {
			if by = "members of " + s.ReloadGroup; s.ReloadGroup == "" {
				by = nobody.String()
			}
		}
		rows = append(rows, []any{c.usage(), by, c.says, strings.Join(columns, ", ")})
	}
	sort.SliceStable(rows, func(i, j int) bool { return rows[i][0].(string) < rows[j][0].(string) })
	return rows, nil
}

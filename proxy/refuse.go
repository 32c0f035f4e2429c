package proxy

import (
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
)

// This file holds every sentence and SQLSTATE that the proxy writes to a
// client. None of them holds an SQL literal. The codes are chosen so that no
// client sends the statement again by itself: DBeaver does on 08xxx, 57P01 and
// 25P02, drivers do on class 40 and 53, so none of these is used for an answer
// to a statement.
const (
	codeRefused     = "42501" // insufficient_privilege: blocked, denied, ticket opened
	codeCancelled   = "57014" // query_canceled: expired, cancelled, drained
	codeNoRecord    = "58000" // system_error: ledger or audit log cannot be written, server silent
	codeProtocol    = "08P01" // protocol_violation
	codeUnsupported = "0A000" // feature_not_supported
	codeTermination = "2D000" // invalid_transaction_termination: the server's own
	codeTooMany     = "53300" // too_many_connections
	codeTooLarge    = "54000" // program_limit_exceeded
	codeShutdown    = "57P01" // admin_shutdown: idle sessions only
	codeNoServer    = "57P03" // cannot_connect_now
)

// refusal is what a client is told in place of an answer.
type refusal struct {
	code    string
	message string
	detail  string
	hint    string
	rule    string // for the poison and the server's log
	request int64

	server []byte // an ErrorResponse of the server's own, in place of all this
}

// frame is the refusal as an ErrorResponse.
func (r *refusal) frame(severity string) []byte {
	if r.server != nil {
		return r.server
	}
	b, _ := (&pgproto3.ErrorResponse{
		Severity: severity, SeverityUnlocalized: severity,
		Code: r.code, Message: r.message, Detail: r.detail, Hint: r.hint,
	}).Encode(nil)
	return b
}

// marker is the text of the poison: not SQL, so that the server's own parser
// raises the error (42601), and readable in the server's log.
func (r *refusal) marker() string {
	m := "pgsluice refused this statement"
	if r.rule != "" {
		m += ", rule " + r.rule
	}
	if r.request != 0 {
		m += fmt.Sprintf(", request %d", r.request)
	}
	return m
}

// poisonName is the prepared statement that a poison would define if its text
// were SQL. The server reports the syntax error before it looks at the name.
const poisonName = "pgsluice_refused"

// poisonParse is the message sent in place of a refused one of the extended
// protocol. A refused unnamed Parse is replaced by one that drops the unnamed
// statement, as it would have done.
func poisonParse(b []byte, name string, r *refusal) []byte {
	return appendFrame(b, 'P', func(b []byte) []byte {
		b = appendCString(appendCString(b, name), r.marker())
		return append(b, 0, 0)
	})
}

func poisonQuery(b []byte, r *refusal) []byte {
	return appendFrame(b, 'Q', func(b []byte) []byte { return appendCString(b, r.marker()) })
}

// poisonCall calls the function with OID 0, which does not exist (42883).
func poisonCall(b []byte) []byte {
	return appendFrame(b, 'F', func(b []byte) []byte { return append(b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) })
}

// raisedBy reports whether code is the error that a poison makes the server
// raise; any other is the server's own trouble and is relayed.
func raisedBy(sent byte, code string) bool {
	if sent == 'F' {
		return code == "42883" || code == "25P02"
	}
	return code == "42601"
}

// notice is a NoticeResponse. All that matters stands in the primary message:
// DBeaver and pgAdmin show no other field.
func notice(severity, message, hint string) []byte {
	b, _ := (&pgproto3.NoticeResponse{
		Severity: severity, SeverityUnlocalized: severity, Code: "00000", Message: message, Hint: hint,
	}).Encode(nil)
	return b
}

// subject names a statement for people by its class and tables, never by its
// text.
func subject(f *policy.Facts) string {
	action := policy.Action{Class: f.Class}
	for _, a := range f.Actions {
		if !a.Class.In("read") && !a.Class.In("transaction") && !a.Class.In("session") {
			action = a
			break
		}
	}
	name := strings.ToUpper(strings.ReplaceAll(string(action.Class), "_", " "))
	switch action.Class {
	case policy.ClassUnparsed, policy.ClassUnknown:
		name = "a statement that could not be judged"
	}
	var tables []string
	for _, t := range action.Tables {
		if t.Schema != "" {
			tables = append(tables, t.Schema+"."+t.Name)
		} else {
			tables = append(tables, t.Name)
		}
	}
	switch n := len(tables); {
	case n == 0:
		return name
	case n > 3:
		return fmt.Sprintf("%s on %s and %d more", name, strings.Join(tables[:3], ", "), n-3)
	default:
		return name + " on " + strings.Join(tables, ", ")
	}
}

func sentence(s string) string {
	if s == "" || strings.ContainsRune(".!?", rune(s[len(s)-1])) {
		return s
	}
	return s + "."
}

func blocked(d policy.Decision, f *policy.Facts) *refusal {
	r := &refusal{
		code:    codeRefused,
		message: fmt.Sprintf("%s blocked by rule %s", subject(f), ruleID(d)),
		detail:  sentence(reason(d, f)),
		hint:    "This rule lets nobody approve it. SHOW POLICY in database pgsluice shows the rules.",
		rule:    ruleID(d),
	}
	if d.Rule != nil && d.Rule.Hint != "" {
		r.hint = d.Rule.Hint
	}
	return r
}

func ruleID(d policy.Decision) string { return d.ID() }

// nothingRun is the detail of what the statement gate refused.
const nothingRun = "Nothing was run."

// tookBack says, in place of that, what was run and has been rolled back.
func (r *refusal) tookBack(i *policy.Impact) *refusal {
	back := *r
	rest, _ := strings.CutPrefix(r.detail, nothingRun)
	back.detail = strings.TrimSpace("Rolled back: " + sentence(i.String()) + " " + rest)
	return &back
}

// entangled refuses what the commit gate cannot follow.
func entangled(f *policy.Facts) *refusal {
	return &refusal{
		code:    codeRefused,
		message: subject(f) + " not run: its effect could not be measured behind an extended query that is still open",
		detail:  nothingRun,
		hint:    "Send Sync first.",
	}
}

// ownCommit refuses a Query that ends transactions in a way that cannot be cut.
func ownCommit(f *policy.Facts) *refusal {
	return &refusal{
		code:    codeRefused,
		message: subject(f) + " not run: its message also ends a transaction, before its effect could be measured",
		detail:  nothingRun,
		hint:    "Send COMMIT by itself.",
	}
}

// codeByItself refuses code that could commit before its effect was measured.
func codeByItself(f *policy.Facts) *refusal {
	return &refusal{
		code:    codeRefused,
		message: subject(f) + " not run: it could commit before its effect was measured",
		detail:  nothingRun,
		hint:    "Send it with Sync and without Flush, or inside BEGIN.",
	}
}

// terminates refuses code that has tried to end the transaction in which it was to
// be measured. The code is that with which the server has stopped it.
func terminates(f *policy.Facts) *refusal {
	return &refusal{
		code:    codeTermination,
		message: subject(f) + " not run: its code has a COMMIT or ROLLBACK of its own, and its effect must be measured before anything is committed",
		detail:  "What it did up to there was rolled back.",
		hint: fmt.Sprintf("Leave transactions to the client, or have it approved before it runs: "+
			"what a rule with match: {statement: [%s]} and action: hold asks people about is not measured, and may commit.", f.Class),
	}
}

// reason says what about the statement met the rule, and the rule's title.
func reason(d policy.Decision, f *policy.Facts) string {
	switch {
	case f.Problem != "":
		return f.Problem
	case d.Rule != nil && d.Rule.Title != "" && d.Reason != "":
		return d.Rule.Title + ": " + d.Reason
	case d.Rule != nil && d.Rule.Title != "":
		return d.Rule.Title
	}
	return d.Reason
}

func warned(d policy.Decision, f *policy.Facts) []byte {
	hint := ""
	if d.Rule != nil {
		hint = d.Rule.Hint
	}
	return notice("WARNING", fmt.Sprintf("%s: rule %s warns: %s", subject(f), ruleID(d), reason(d, f)), hint)
}

// who names those whose approval is needed: "1 of dba (bob, carol)".
func who(r approval.Request, eligible []string) string {
	var needs []string
	for _, n := range r.Quorum {
		needs = append(needs, fmt.Sprintf("%d of %s", n.Count, n.Group))
	}
	s := strings.Join(needs, " and ")
	if len(eligible) > 0 {
		s += " (" + strings.Join(eligible, ", ") + ")"
	}
	return s
}

func heldNotice(r approval.Request, subject, who, where string, wait time.Duration) []byte {
	return notice("NOTICE", fmt.Sprintf(
		"%s held by rule %s as request %d: waiting up to %s for %s; decide with: %s",
		subject, r.Rule, r.ID, shortDuration(wait), who, where), "")
}

// heldAtCommitNotice tells the client that it keeps its locks meanwhile.
func heldAtCommitNotice(r approval.Request, subject, who, where string, wait time.Duration) []byte {
	return notice("NOTICE", fmt.Sprintf(
		"%s held at COMMIT by rule %s as request %d, with its locks: waiting up to %s for %s, then it is rolled back; decide with: %s",
		subject, r.Rule, r.ID, shortDuration(wait), who, where), "")
}

func stillHeldNotice(r approval.Request, who, where string, since time.Duration) []byte {
	return notice("NOTICE", fmt.Sprintf(
		"still held as request %d by rule %s for %s: waiting for %s; decide with: %s",
		r.ID, r.Rule, shortDuration(since), who, where), "")
}

func ticketOpened(r approval.Request, subject, who, where string, window time.Duration) *refusal {
	return &refusal{
		code:    codeRefused,
		message: fmt.Sprintf("%s needs approval: rule %s opened request %d for %s", subject, r.Rule, r.ID, who),
		detail:  nothingRun,
		hint: fmt.Sprintf("Ask for the approval of request %d (%s), then %s within %s of it.",
			r.ID, where, sendAgain(r), shortDuration(window)),
		rule: r.Rule, request: r.ID,
	}
}

// sendAgain says what a ticket is for.
func sendAgain(r approval.Request) string {
	if r.InTransaction && len(r.Measured) > 0 {
		return "repeat the same transaction"
	}
	return "send exactly the same statement again"
}

func waitedTooLong(r approval.Request, where string, window time.Duration) *refusal {
	return &refusal{
		code:    codeCancelled,
		message: fmt.Sprintf("nobody decided on request %d (rule %s) in time; it is now a ticket", r.ID, r.Rule),
		detail:  nothingRun,
		hint: fmt.Sprintf("Once request %d is approved (%s), %s within %s.",
			r.ID, where, sendAgain(r), shortDuration(window)),
		rule: r.Rule, request: r.ID,
	}
}

func drained(r approval.Request, where string, window time.Duration) *refusal {
	f := waitedTooLong(r, where, window)
	f.message = fmt.Sprintf("pgsluice is being stopped; request %d (rule %s) is now a ticket", r.ID, r.Rule)
	return f
}

func denied(r approval.Request) *refusal {
	f := &refusal{
		code:    codeRefused,
		message: fmt.Sprintf("request %d (rule %s) was denied", r.ID, r.Rule),
		detail:  nothingRun,
		hint:    "Talk to who denied it before you try another way.",
		rule:    r.Rule, request: r.ID,
	}
	for _, d := range r.Decisions {
		if !d.Approve {
			f.message = fmt.Sprintf("request %d (rule %s) was denied by %s", r.ID, r.Rule, d.Person)
			f.detail = fmt.Sprintf("%s said: %s", d.Person, sentence(d.Reason))
		}
	}
	return f
}

func ended(r approval.Request) *refusal {
	return &refusal{
		code:    codeCancelled,
		message: fmt.Sprintf("request %d (rule %s) is %s", r.ID, r.Rule, r.State),
		detail:  nothingRun,
		hint:    "Send the statement again to open a new request.",
		rule:    r.Rule, request: r.ID,
	}
}

// cancelledByUser is PostgreSQL's own sentence, so that clients take it for the
// cancel that it is.
func cancelledByUser(rule string, request int64) *refusal {
	r := &refusal{
		code: codeCancelled, message: "canceling statement due to user request",
		detail: nothingRun, rule: rule, request: request,
	}
	if request != 0 {
		r.detail = fmt.Sprintf("%s Request %d was withdrawn.", nothingRun, request)
	}
	return r
}

func policyChanged(d policy.Decision, f *policy.Facts) *refusal {
	return &refusal{
		code:    codeCancelled,
		message: fmt.Sprintf("%s not run: the policy has changed since its approval was asked for", subject(f)),
		detail:  nothingRun,
		hint:    "Send the statement again, to be judged by the new policy.",
		rule:    ruleID(d),
	}
}

func unclear(d policy.Decision, f *policy.Facts) *refusal {
	return &refusal{
		code:    codeRefused,
		message: fmt.Sprintf("%s needs approval (rule %s), but its batch runs what nobody could be shown", subject(f), ruleID(d)),
		detail:  "Nothing was run. A name that was not prepared here, a portal of an earlier batch, an EXECUTE of an EXECUTE and current_setting() may stand for anything.",
		hint:    "Send the statement by itself, written out.",
		rule:    ruleID(d),
	}
}

func notNow(d policy.Decision, f *policy.Facts) *refusal {
	return &refusal{
		code:    codeRefused,
		message: fmt.Sprintf("%s needs approval (rule %s), which cannot be asked for in a failed transaction", subject(f), ruleID(d)),
		detail:  nothingRun,
		hint:    "Send ROLLBACK by itself first, then the statement again.",
		rule:    ruleID(d),
	}
}

func cannotBeHeld(d policy.Decision, f *policy.Facts) *refusal {
	return &refusal{
		code:    codeRefused,
		message: fmt.Sprintf("%s needs approval (rule %s), which cannot be asked for on a replication connection", subject(f), ruleID(d)),
		detail:  "Nothing was run.",
		hint:    "Send the statement on an ordinary connection.",
		rule:    ruleID(d),
	}
}

func nobodyMayApprove(d policy.Decision, f *policy.Facts, login string, why error) *refusal {
	return &refusal{
		code:    codeRefused,
		message: fmt.Sprintf("%s needs approval (rule %s), but nobody can give it", subject(f), ruleID(d)),
		detail:  "Nothing was run: " + sentence(strings.TrimPrefix(why.Error(), approval.ErrNobody.Error()+": ")),
		hint:    fmt.Sprintf("Add the login %q to one of the people in pgsluice's configuration, and enough others to the groups of the rule.", login),
		rule:    ruleID(d),
	}
}

func notOnRecord(d policy.Decision, f *policy.Facts) *refusal {
	return &refusal{
		code:    codeNoRecord,
		message: fmt.Sprintf("%s not run: pgsluice cannot write its ledger or audit log (rule %s)", subject(f), ruleID(d)),
		detail:  "Statements that need no approval still run.",
		hint:    "Tell whoever operates pgsluice; its log says what failed.",
		rule:    ruleID(d),
	}
}

func restoreRefused(first *refusal) *refusal {
	f := *first
	f.message = "the rest of this restore is refused too: " + first.message
	f.hint = "Start the restore again in a new session once its request is approved; with -v ON_ERROR_STOP=1 psql stops at the first error."
	return &f
}

func tooMuchWhileHeld(r approval.Request, where string, window time.Duration) *refusal {
	f := waitedTooLong(r, where, window)
	f.message = fmt.Sprintf("the client sent too much while request %d (rule %s) was waiting; it is now a ticket", r.ID, r.Rule)
	return f
}

// channelBindingHint is added to a failed login where both legs have TLS with
// different certificates (reference: RFC 5802 section 6, tls-server-end-point
// binds to the certificate the client saw).
const channelBindingHint = "Both the client and pgsluice's server connection use TLS, so SCRAM channel binding sees two certificates. " +
	"Connect with channel_binding=disable, or have pgsluice configured with auth.method scram, or with the server's own certificate and key."

// certificateHint is added where the server wants the client's own certificate.
const certificateHint = "A client's certificate ends at pgsluice and cannot be handed on. " +
	"pg_hba.conf has to ask for something else of what comes from pgsluice."

func otherCertificate(user string) *refusal {
	return &refusal{code: "28000", message: "certificate authentication failed for user \"" + user + "\"",
		hint: "pgsluice demands that the common name of the client's certificate is the user."}
}

const passwordFailed = "password authentication failed for user"

// wrongPassword is the same for a login that does not exist: its hint too must not
// tell who has which kind of password.
func wrongPassword(user string) *refusal {
	return &refusal{code: "28P01", message: passwordFailed + " \"" + user + "\"",
		hint: "pgsluice checks passwords with SCRAM-SHA-256 alone: one that is stored as md5 has to be set anew."}
}

func otherVerifier(user string) *refusal {
	return &refusal{code: "28P01", message: passwordFailed + " \"" + user + "\"",
		hint: "The password is right for pgsluice, but the server has another: pgsluice's verifiers have to be brought up to date."}
}

func noVerifiers() *refusal {
	return &refusal{code: codeNoServer, message: "pgsluice cannot find out how to check the password",
		hint: "Tell whoever operates pgsluice; its log says what failed."}
}

func noLogin() *refusal {
	return &refusal{code: codeNoServer, message: "pgsluice cannot log in to its server in the client's place",
		hint: "Tell whoever operates pgsluice; its log says what failed."}
}

// What follows are PostgreSQL's own sentences in a SCRAM exchange.

func scramMalformed() error { return &protocolError{"malformed SCRAM message"} }

func scramUnsupported(what string) *refusal { return &refusal{code: codeUnsupported, message: what} }

func scramDowngraded() *refusal {
	return &refusal{code: "28000", message: "SCRAM channel binding negotiation error",
		detail: "The client could bind to the TLS connection and was offered it, but has not seen the offer."}
}

func scramUnbound() *refusal {
	return &refusal{code: "28000", message: "SCRAM channel binding check failed",
		detail: "The client saw another certificate than pgsluice showed: somebody may be in between."}
}

func tlsRequired() *refusal {
	return &refusal{code: "28000", message: "pgsluice accepts only TLS connections here", hint: "Connect with sslmode=require."}
}

func replicationRefused() *refusal {
	return &refusal{code: codeUnsupported, message: "pgsluice relays no replication connections of this login",
		hint: "Connect standbys and logical subscribers to the server itself, or name the login in replication.allow of pgsluice's configuration."}
}

func noServer(address string) *refusal {
	return &refusal{code: codeNoServer, message: "pgsluice cannot connect to its server at " + address,
		hint: "Check that the server runs and that server.address in pgsluice's configuration is right."}
}

// tooMany is PostgreSQL's own sentence where its max_connections is reached.
func tooMany(detail string) *refusal {
	return &refusal{code: codeTooMany, message: "sorry, too many clients already", detail: detail}
}

// serverSilent ends a session whose server is there no more without having said
// so: a machine that lost its power, a network that lost its way.
func serverSilent() *refusal {
	return &refusal{code: codeNoRecord, message: fmt.Sprintf("the server has not answered for %s while a statement was held", shortDuration(silence)),
		detail: "Nothing was run."}
}

func tooManySessions(n int) *refusal {
	return tooMany(fmt.Sprintf("pgsluice already serves %d sessions (limits.sessions).", n))
}

func tooManyComers(n int) *refusal {
	return tooMany(fmt.Sprintf("%d connections from this address have not logged in yet (limits.before_login).", n))
}

// shuttingDown is PostgreSQL's own sentence, for who connects while it shuts down.
func shuttingDown() *refusal {
	return &refusal{code: codeNoServer, message: "the database system is shutting down",
		detail: "pgsluice is being stopped."}
}

func stopping() *refusal {
	return &refusal{code: codeShutdown, message: "pgsluice is being stopped", hint: "Connect again in a moment."}
}

func tooLarge(size int64) *refusal {
	return &refusal{code: codeTooLarge, message: fmt.Sprintf("a message of %d MB is more than pgsluice can judge", (size+1<<20-1)>>20),
		detail: fmt.Sprintf("Nothing was run. The most is %d MB.", maxJudged>>20),
		hint:   "Send large values with COPY, which has no such limit."}
}

func noConsole() *refusal {
	return &refusal{code: "3D000", message: `database "pgsluice" is not served here`}
}

func violated(err error) *refusal { return &refusal{code: codeProtocol, message: err.Error()} }

// shortDuration leaves out the zero parts: "10m", not "10m0s".
func shortDuration(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

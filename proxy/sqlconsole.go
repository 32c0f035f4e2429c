package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/zap"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
)

const (
	// maxConsoleMessage bounds one message of a client: the longest a person has
	// to say is a reason.
	maxConsoleMessage = 64 << 10
	// consoleLoginTime is PostgreSQL's default of authentication_timeout.
	consoleLoginTime = time.Minute
	// consoleWriteTime ends a session whose client has stopped reading.
	consoleWriteTime = 30 * time.Second
)

// Console is the database named "pgsluice": there the proxy answers itself, and
// people list requests and decide on them with any PostgreSQL client. It promises
// that whoever is asked for has proven with a password to be that person, and
// that nothing sent to it reaches the PostgreSQL server.
type Console struct {
	Approvals *approval.Service
	Policy    func() *policy.Policy // the policy in force, for SHOW POLICY
	People    func() *ConsolePeople // who may log in; nil or an answer of nil: nobody
	Sessions  func() []SessionInfo  // for SHOW SESSIONS; nil: there are none

	// Reload reads policy and people anew on behalf of a person. Its error is
	// shown to them: it says what is wrong in which file. Nil: there is no RELOAD.
	Reload func(ctx context.Context, person string) error
	// ReloadGroup is the group whose members may RELOAD; empty: nobody may.
	ReloadGroup string

	Version string // of pgsluice, for server_version
	Log     *zap.Logger

	logins  attempts
	lastPID atomic.Uint32
}

// ConsolePeople are the people as of one reading of the configuration. It is
// replaced as a whole, so that passwords and groups are never of two readings.
type ConsolePeople struct {
	People    *approval.People
	Passwords map[string]Password // by the person's name; a person without one cannot log in
}

// consoleSession is one client in the console. One goroutine owns it.
type consoleSession struct {
	*Console
	ctx     context.Context
	conn    net.Conn
	backend *pgproto3.Backend

	person      string // set once the password is proven
	application string
	address     string
	pid         uint32

	statements map[string]*consoleStatement
	portals    map[string]*consolePortal
	texts      int // bytes of all statements kept

	inTransaction bool
	toSync        bool // an extended-protocol error: "reads and discards messages until a Sync is reached"
}

// serve is the server of one session. Its caller has read the StartupMessage
// with these parameters and answered nothing yet; secure says that nobody on the
// way can read what is sent (TLS, or a peer on the same machine). loggedIn is
// called once the password is proven. The end of ctx ends the session. The caller has negotiated the protocol's version, and closes
// conn.
func (c *Console) serve(ctx context.Context, conn net.Conn, parameters map[string]string, secure bool, loggedIn func()) error {
	s := &consoleSession{
		Console:     c,
		ctx:         ctx,
		conn:        conn,
		backend:     pgproto3.NewBackend(conn, conn),
		application: parameters["application_name"],
		address:     conn.RemoteAddr().String(),
		pid:         c.lastPID.Add(1),
		statements:  map[string]*consoleStatement{},
		portals:     map[string]*consolePortal{},
	}
	s.backend.SetMaxBodyLen(maxConsoleMessage)

	// The only thing that can wait here is a read; its deadline ends it.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()

	err := s.startUp(parameters, secure)
	if err == nil {
		loggedIn()
		err = s.run()
	}
	var fatal *consoleError
	switch {
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed):
		return nil
	case ctx.Err() != nil:
		fatal = &consoleError{code: "57P01", message: "pgsluice is shutting down"}
	case errors.As(err, &fatal):
	case isProtocolError(err):
		fatal = &consoleError{code: "08P01", message: "protocol violation: " + err.Error()}
	default:
		return fmt.Errorf("console: %w", err)
	}
	s.backend.Send(fatal.response("FATAL"))
	if ferr := s.flush(); ferr != nil && !errors.Is(ferr, net.ErrClosed) {
		return fmt.Errorf("console: say why the session ends: %w", ferr)
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("console: %w", err)
}

// isProtocolError tells an error in what the client sent from one of the
// connection. pgproto3 has no type for the former.
func isProtocolError(err error) bool {
	var network net.Error
	return !errors.As(err, &network) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, net.ErrClosed) &&
		!errors.Is(err, io.ErrClosedPipe)
}

// startUp is the manual's "Start-up" from the authentication request on.
func (s *consoleSession) startUp(parameters map[string]string, secure bool) error {
	if err := s.conn.SetReadDeadline(time.Now().Add(consoleLoginTime)); err != nil {
		return err
	}
	if r := parameters["replication"]; r != "" && r != "false" && r != "off" && r != "0" {
		return &consoleError{code: "0A000", message: "the database pgsluice cannot be replicated"}
	}
	if err := s.logIn(parameters["user"], secure); err != nil {
		return err
	}
	if err := s.conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if s.ctx.Err() != nil { // its deadline has just been taken back
		return s.ctx.Err()
	}
	s.backend.Send(&pgproto3.AuthenticationOk{})
	for _, p := range s.reported() {
		s.backend.Send(&pgproto3.ParameterStatus{Name: p[0], Value: p[1]})
	}
	// No command lasts long enough to be cancelled; drivers want a key all the same.
	key := make([]byte, 4)
	_, _ = rand.Read(key)
	s.backend.Send(&pgproto3.BackendKeyData{ProcessID: s.pid, SecretKey: key})
	s.ready()
	return s.flush()
}

// reported are the parameters that psql, pgjdbc and pgx look at.
func (s *consoleSession) reported() [][2]string {
	return [][2]string{
		{"server_version", "18.0 (pgsluice " + s.Version + ")"},
		{"server_encoding", "UTF8"},
		{"client_encoding", "UTF8"},
		{"DateStyle", "ISO, YMD"},
		{"IntervalStyle", "postgres"},
		{"TimeZone", "UTC"},
		{"integer_datetimes", "on"},
		{"standard_conforming_strings", "on"},
		{"application_name", s.application},
		{"session_authorization", s.person},
		{"is_superuser", "off"},
		{"in_hot_standby", "off"},
		{"default_transaction_read_only", "off"},
	}
}

// run answers messages until the client leaves.
func (s *consoleSession) run() error {
	for s.ctx.Err() == nil {
		message, err := s.backend.Receive()
		if err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return io.EOF // gone without a Terminate, as a killed client is
			}
			return err
		}
		if _, ok := message.(*pgproto3.Terminate); ok {
			return nil
		}
		if err := s.clientSays(message); err != nil {
			return err
		}
		if err := s.flush(); err != nil {
			return err
		}
	}
	return s.ctx.Err()
}

// clientSays answers one message. Its error ends the session.
func (s *consoleSession) clientSays(message pgproto3.FrontendMessage) error {
	if s.toSync {
		if _, ok := message.(*pgproto3.Sync); !ok {
			return nil
		}
	}
	var err error
	switch m := message.(type) {
	case *pgproto3.Query:
		s.query(m)
		return nil
	case *pgproto3.FunctionCall:
		s.fail(&consoleError{code: "0A000", message: "the database pgsluice has no functions to call", hint: helpHint})
		s.ready()
		return nil
	case *pgproto3.Sync:
		s.sync()
		return nil
	case *pgproto3.Flush:
		return nil
	case *pgproto3.CopyData, *pgproto3.CopyDone, *pgproto3.CopyFail:
		return nil // outside of a COPY PostgreSQL ignores them too
	case *pgproto3.Parse:
		err = s.parse(m)
	case *pgproto3.Bind:
		err = s.bind(m)
	case *pgproto3.Describe:
		err = s.describe(m)
	case *pgproto3.Execute:
		err = s.execute(m)
	case *pgproto3.Close:
		s.closeObject(m)
	default:
		return &consoleError{code: "08P01", message: fmt.Sprintf("protocol violation: unexpected message %T", message)}
	}
	if err != nil {
		s.fail(err)
		s.toSync = true
	}
	return nil
}

// query answers a simple Query: as in PostgreSQL nothing of it runs unless all of
// it can be read, and an error ends it.
func (s *consoleSession) query(m *pgproto3.Query) {
	defer s.ready()
	s.forget("")
	statements, err := readConsole(m.String)
	if err != nil {
		s.fail(err)
		return
	}
	if len(statements) == 0 {
		s.backend.Send(&pgproto3.EmptyQueryResponse{})
		return
	}
	for _, statement := range statements {
		if len(statement.parameters) > 0 {
			s.fail(&consoleError{code: "42P02", message: "there is no parameter $1"})
			return
		}
	}
	for _, statement := range statements {
		rows, err := s.runStatement(statement, nil)
		if err != nil {
			s.fail(err)
			return
		}
		if columns := statement.command.columns; columns != nil {
			s.backend.Send(rowDescription(columns, nil))
			for _, row := range rows {
				s.backend.Send(dataRow(columns, nil, row))
			}
		}
		s.backend.Send(&pgproto3.CommandComplete{CommandTag: []byte(statement.command.tagFor(len(rows)))})
	}
}

// runStatement does what a statement says, if this person may.
func (s *consoleSession) runStatement(statement *consoleStatement, values []any) ([][]any, error) {
	arguments, err := statement.bound(values)
	if err != nil {
		return nil, err
	}
	if !s.may(statement.command.who) {
		return nil, &consoleError{
			code:    "42501",
			message: fmt.Sprintf("%s may not %s", s.person, statement.command.name()),
			hint:    "SHOW HELP lists who may do what.",
		}
	}
	rows, err := statement.command.run(s, arguments)
	if err != nil {
		return nil, s.refused(statement.command.name(), err)
	}
	return rows, nil
}

// refused turns an error of a command into what the client is told. What failed
// inside is for the log and not for the client.
func (s *consoleSession) refused(command string, err error) error {
	var said *consoleError
	if errors.As(err, &said) {
		return said
	}
	var refusal *approval.Refusal
	if errors.As(err, &refusal) {
		return &consoleError{code: "42501", message: refusal.Error()}
	}
	s.Log.Error("a command of the console failed", zap.String("command", command), zap.String("person", s.person), zap.Error(err))
	return &consoleError{
		code:    "58000",
		message: command + " failed: the ledger or the audit log cannot be used",
		hint:    "Nothing was decided. The log of pgsluice says what is wrong.",
	}
}

// ready ends a command cycle.
func (s *consoleSession) ready() {
	status := byte('I')
	if s.inTransaction {
		status = 'T'
	}
	s.backend.Send(&pgproto3.ReadyForQuery{TxStatus: status})
}

func (s *consoleSession) fail(err error) {
	var said *consoleError
	if !errors.As(err, &said) {
		said = &consoleError{code: "XX000", message: err.Error()}
	}
	s.backend.Send(said.response("ERROR"))
}

func (s *consoleSession) notice(message string) {
	s.backend.Send(&pgproto3.NoticeResponse{Severity: "NOTICE", SeverityUnlocalized: "NOTICE", Code: "00000", Message: visible(message)})
}

func (s *consoleSession) flush() error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(consoleWriteTime)); err != nil {
		return err
	}
	return s.backend.Flush()
}

// consoleError is what a client is told.
type consoleError struct {
	code, message, detail, hint string
	position                    int // in characters from 1; 0: none
}

func (e *consoleError) Error() string { return e.message }

func (e *consoleError) response(severity string) *pgproto3.ErrorResponse {
	return &pgproto3.ErrorResponse{
		Severity: severity, SeverityUnlocalized: severity,
		Code: e.code, Message: visible(e.message), Detail: visible(e.detail), Hint: visible(e.hint),
		Position: int32(min(e.position, maxConsoleMessage)),
	}
}

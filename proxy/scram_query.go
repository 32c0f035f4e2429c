package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// VerifierQuery asks the server for verifiers, as a login that may.
type VerifierQuery struct {
	User, Database string
	// Password is asked for at each log-in; nil: the login needs none (trust, peer,
	// a certificate).
	Password func() (string, error)
	// SQL gives the verifier of the login $1 as one row of one column, or no row.
	// It runs with search_path = pg_catalog: other schemas have to be named.
	SQL string
}

// DefaultVerifierSQL needs a superuser, or a login that may read pg_authid. A login
// that has expired gets no verifier.
const DefaultVerifierSQL = "SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = $1 AND rolcanlogin AND (rolvaliduntil IS NULL OR rolvaliduntil > now())"

const (
	lookUpTimeout = 10 * time.Second
	// maxAnswer bounds a message of the server while verifiers are asked for.
	maxAnswer = 64 << 10
)

// verifierQuery keeps one connection: a log-in costs one round trip, and however
// many strangers try to log in, the server has one session for all of them.
type verifierQuery struct {
	VerifierQuery
	connect func(context.Context) (net.Conn, bool, error)

	turn chan struct{} // has a token for who may use what follows
	conn net.Conn      // nil: not connected
	talk *pgproto3.Frontend

	newest atomic.Int64 // scram_iterations of the server
}

func newVerifierQuery(connect func(context.Context) (net.Conn, bool, error), q VerifierQuery) *verifierQuery {
	v := &verifierQuery{VerifierQuery: q, connect: connect, turn: make(chan struct{}, 1)}
	v.turn <- struct{}{}
	v.newest.Store(scramIterations)
	return v
}

func (q *verifierQuery) iterations() int { return int(q.newest.Load()) }

// close ends the connection when nobody uses it.
func (q *verifierQuery) close() {
	<-q.turn
	q.hangUp()
	q.turn <- struct{}{}
}

func (q *verifierQuery) hangUp() {
	if q.conn != nil {
		q.conn.Close()
		q.conn, q.talk = nil, nil
	}
}

func (q *verifierQuery) verifier(ctx context.Context, user string) (verifier, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	select {
	case <-q.turn:
	case <-ctx.Done():
		return verifier{}, false, fmt.Errorf("wait to ask for a verifier: %w", ctx.Err())
	}
	defer func() { q.turn <- struct{}{} }()

	kept := q.conn != nil
	text, found, err := q.lookUp(ctx, user)
	if err != nil && kept && !errors.As(err, new(*queryError)) {
		// The server may have ended the session since it was last used.
		text, found, err = q.lookUp(ctx, user)
	}
	if err != nil || !found {
		return verifier{}, false, err
	}
	v, err := parseVerifier(text)
	if err != nil {
		return verifier{}, false, fmt.Errorf("the server's verifier: %w", err)
	}
	return v, true, nil
}

// queryError is the server's error in answer to the query.
type queryError struct{ code, message string }

func (e *queryError) Error() string {
	return fmt.Sprintf("ask for a verifier: %s (%s)", e.message, e.code)
}

// lookUp asks once. The connection is of no further use after any error but the
// query's own.
func (q *verifierQuery) lookUp(ctx context.Context, user string) (text string, found bool, err error) {
	if q.conn == nil {
		if err := q.open(ctx); err != nil {
			return "", false, err
		}
	}
	defer func() {
		if err != nil && !errors.As(err, new(*queryError)) {
			q.hangUp()
		}
	}()
	deadline, _ := ctx.Deadline()
	if err := q.conn.SetDeadline(deadline); err != nil {
		return "", false, fmt.Errorf("set deadline: %w", err)
	}
	q.talk.SendParse(&pgproto3.Parse{Query: q.SQL})
	q.talk.SendBind(&pgproto3.Bind{Parameters: [][]byte{[]byte(user)}})
	q.talk.SendExecute(&pgproto3.Execute{})
	q.talk.SendSync(&pgproto3.Sync{})
	if err := q.talk.Flush(); err != nil {
		return "", false, fmt.Errorf("ask for a verifier: %w", err)
	}
	rows := 0
	var failed *queryError
	for {
		message, err := q.talk.Receive()
		if err != nil {
			return "", false, fmt.Errorf("ask for a verifier: %w", err)
		}
		switch m := message.(type) {
		case *pgproto3.DataRow:
			rows++
			if len(m.Values) != 1 || rows > 1 {
				failed = &queryError{code: "21000", message: "the query gives more than one row of one column"}
			} else if m.Values[0] != nil {
				text, found = string(m.Values[0]), true
			}
		case *pgproto3.ErrorResponse:
			if m.Severity == "FATAL" || m.SeverityUnlocalized == "FATAL" {
				return "", false, fmt.Errorf("ask for a verifier: %s (%s)", m.Message, m.Code)
			}
			failed = &queryError{code: m.Code, message: m.Message}
		case *pgproto3.ReadyForQuery:
			switch {
			case failed == nil:
				return text, found, nil
			case failed.code == "22021" || failed.code == "22P05":
				return "", false, nil // a name that the database's encoding does not have
			}
			return "", false, failed
		}
	}
}

// open logs in. What the server then reports says how many iterations a new
// verifier gets (scram_iterations is reported from PostgreSQL 16 on).
func (q *verifierQuery) open(ctx context.Context) (err error) {
	conn, secured, err := q.connect(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	x := scramClient{keys: func(salt []byte, iterations int) (loginKeys, error) {
		if q.Password == nil {
			return loginKeys{}, fmt.Errorf("the server asks %s for a password, and none is configured", visible(q.User))
		}
		password, err := q.Password()
		if err != nil {
			return loginKeys{}, err
		}
		return keysOf(password, salt, iterations)
	}}
	if err := logInToServer(conn, secured, q.startup(), &x); err != nil {
		return fmt.Errorf("log in to ask for verifiers: %w", err)
	}
	talk := pgproto3.NewFrontend(conn, conn)
	talk.SetMaxBodyLen(maxAnswer)
	for {
		message, err := talk.Receive()
		if err != nil {
			return fmt.Errorf("log in to ask for verifiers: %w", err)
		}
		switch m := message.(type) {
		case *pgproto3.ParameterStatus:
			if n, err := strconv.Atoi(m.Value); m.Name == "scram_iterations" && err == nil && n > 0 {
				q.newest.Store(int64(n))
			}
		case *pgproto3.ErrorResponse:
			return fmt.Errorf("log in to ask for verifiers: %s (%s)", m.Message, m.Code)
		case *pgproto3.ReadyForQuery:
			q.conn, q.talk = conn, talk
			return nil
		}
	}
}

func (q *verifierQuery) startup() []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 4), 3<<16)
	for _, s := range []string{"user", q.User, "database", q.Database, "application_name", "pgsluice verifiers",
		"search_path", "pg_catalog"} {
		b = appendCString(b, s)
	}
	b = append(b, 0)
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b
}

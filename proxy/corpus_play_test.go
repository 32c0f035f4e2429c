package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// labelled is one case of a corpus: a line of cases.jsonl. The format is that of
// other tools' collections, so that theirs can be played, too.
type labelled struct {
	ID, Class, SQL, Why string
	Protocol            string            // simple | extended | prepared
	Params              []json.RawMessage // bind values, sent as text
	Batch               [][]json.RawMessage
	Split               bool   // what stands between ";" and a line's end is a message of its own
	EachSession         bool   `json:"each_session"` // and comes from a session of its own
	Copy                string // the rows, when the server asks for them
	Encoding, Options   string // of the start-up message
	Role                string // who logs in; empty: the superuser
	Setup, Cleanup      string // run beside the proxy
	Expect              string // destructive | benign
	Effect              string // for what changes no row
	Grey                bool   // a fair policy could decide otherwise
}

// playFor bounds one case.
const playFor = 20 * time.Second

// play sends a case and keeps what came back: command tags and SQLSTATEs. It goes
// on after an error, as psql does. The last session stays open until leave.
type play struct {
	dsn      string // to the proxy, or to the server
	sessions []*pgconn.HijackedConn
	said     []string
}

func (p *play) leave() {
	for _, s := range p.sessions {
		s.Frontend.Send(&pgproto3.Terminate{})
		s.Frontend.Flush() // the server may be gone already; that is for the data to show
		s.Conn.Close()
	}
	p.sessions = nil
}

func (p *play) connect(ctx context.Context, c *labelled) (*pgconn.HijackedConn, error) {
	config, err := pgconn.ParseConfig(p.dsn)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["application_name"] = "corpus"
	if c.Encoding != "" {
		config.RuntimeParams["client_encoding"] = c.Encoding
	}
	if c.Options != "" {
		config.RuntimeParams["options"] = c.Options
	}
	if c.Role != "" {
		config.User = c.Role
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	s, err := conn.Hijack()
	if err != nil {
		return nil, err
	}
	p.sessions = append(p.sessions, s)
	return s, s.Conn.SetDeadline(time.Now().Add(playFor))
}

// run plays the case. encode puts text into the case's encoding.
func (p *play) run(ctx context.Context, c *labelled, encode func(string) (string, error)) error {
	parts := []string{c.SQL}
	if c.Split {
		parts = strings.Split(c.SQL, ";\n")
	}
	var s *pgconn.HijackedConn
	for i, part := range parts {
		if s == nil || c.EachSession {
			p.leave()
			var err error
			if s, err = p.connect(ctx, c); err != nil {
				return fmt.Errorf("connect: %w", err)
			}
		}
		text, err := encode(part)
		if err != nil {
			return err
		}
		if err := p.send(s, c, text); err != nil {
			return fmt.Errorf("part %d: %w", i+1, err)
		}
	}
	return nil
}

// send sends one part in the case's protocol and reads the answer.
func (p *play) send(s *pgconn.HijackedConn, c *labelled, text string) error {
	if c.Protocol == "simple" {
		s.Frontend.Send(&pgproto3.Query{String: text})
		return p.answer(s, c)
	}
	name := ""
	if c.Protocol == "prepared" {
		name = "case"
	}
	batch := c.Batch
	if batch == nil {
		batch = [][]json.RawMessage{c.Params}
	}
	s.Frontend.Send(&pgproto3.Parse{Name: name, Query: text})
	for _, values := range batch {
		bound := make([][]byte, len(values))
		for i, v := range values {
			bound[i] = asText(v)
		}
		s.Frontend.Send(&pgproto3.Bind{PreparedStatement: name, Parameters: bound})
		s.Frontend.Send(&pgproto3.Execute{})
	}
	s.Frontend.Send(&pgproto3.Sync{})
	return p.answer(s, c)
}

// asText is a bind value as text; nil is NULL.
func asText(v json.RawMessage) []byte {
	var text string
	switch {
	case string(v) == "null":
		return nil
	case json.Unmarshal(v, &text) == nil:
		return []byte(text)
	}
	return v // a number, a truth value
}

// answer reads until the server is ready for the next message.
func (p *play) answer(s *pgconn.HijackedConn, c *labelled) error {
	if err := s.Frontend.Flush(); err != nil {
		return err
	}
	for {
		m, err := s.Frontend.Receive()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.CommandComplete:
			p.said = append(p.said, string(m.CommandTag))
		case *pgproto3.ErrorResponse:
			p.said = append(p.said, m.Code)
			if m.Severity == "FATAL" {
				return errors.New("the session was ended")
			}
		case *pgproto3.CopyInResponse:
			s.Frontend.Send(&pgproto3.CopyData{Data: []byte(c.Copy)})
			s.Frontend.Send(&pgproto3.CopyDone{})
			if err := s.Frontend.Flush(); err != nil {
				return err
			}
		case *pgproto3.ReadyForQuery:
			return nil
		}
	}
}

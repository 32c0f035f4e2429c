package proxy

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgproto3"
)

// What one session may keep. Drivers' statement caches hold some hundred.
const (
	maxConsoleStatements = 1000
	maxConsolePortals    = 1000
	maxConsoleTexts      = 1 << 20
)

// consolePortal is a bound statement, and what is left of its rows.
type consolePortal struct {
	statement *consoleStatement // nil: an empty statement
	values    []any
	formats   []int16
	ran       bool
	rows      [][]any
	sent      int
}

func (s *consoleSession) parse(m *pgproto3.Parse) error {
	if m.Name == "" {
		s.forget("")
	} else if _, ok := s.statements[m.Name]; ok {
		return &consoleError{code: "42P05", message: fmt.Sprintf("prepared statement %q already exists", m.Name)}
	}
	read, err := readConsole(m.Query)
	if err != nil {
		return err
	}
	statement := &consoleStatement{}
	switch len(read) {
	case 0:
	case 1:
		statement = read[0]
	default:
		return &consoleError{code: "42601", message: "cannot insert multiple commands into a prepared statement"}
	}
	if len(s.statements) >= maxConsoleStatements || s.texts+len(m.Query) > maxConsoleTexts {
		return &consoleError{code: "54000", message: "too many prepared statements", hint: "DEALLOCATE ALL."}
	}
	for i, oid := range m.ParameterOIDs {
		if oid != 0 && i < len(statement.parameters) {
			statement.parameters[i].oid = oid
		}
	}
	statement.size = len(m.Query)
	s.texts += statement.size
	s.statements[strings.Clone(m.Name)] = statement
	s.backend.Send(&pgproto3.ParseComplete{})
	return nil
}

// forget closes a prepared statement, if there is one of this name.
func (s *consoleSession) forget(name string) {
	if statement, ok := s.statements[name]; ok {
		s.texts -= statement.size
		delete(s.statements, name)
	}
}

func (s *consoleSession) bind(m *pgproto3.Bind) error {
	statement, err := s.statement(m.PreparedStatement)
	if err != nil {
		return err
	}
	if m.DestinationPortal != "" {
		if _, ok := s.portals[m.DestinationPortal]; ok {
			return &consoleError{code: "42P03", message: fmt.Sprintf("portal %q already exists", m.DestinationPortal)}
		}
	}
	if len(s.portals) >= maxConsolePortals {
		return &consoleError{code: "54000", message: "too many portals"}
	}
	if len(m.Parameters) != len(statement.parameters) {
		return &consoleError{code: "08P01", message: fmt.Sprintf("bind message supplies %d parameters, but the statement requires %d", len(m.Parameters), len(statement.parameters))}
	}
	portal := &consolePortal{statement: statement}
	for i, raw := range m.Parameters {
		format, err := formatOf(m.ParameterFormatCodes, i, len(m.Parameters))
		if err != nil {
			return err
		}
		value, err := statement.parameters[i].decode(raw, format)
		if err != nil {
			return err
		}
		portal.values = append(portal.values, value)
	}
	for i := range statement.columns() {
		format, err := formatOf(m.ResultFormatCodes, i, len(statement.columns()))
		if err != nil {
			return err
		}
		portal.formats = append(portal.formats, format)
	}
	s.portals[strings.Clone(m.DestinationPortal)] = portal
	s.backend.Send(&pgproto3.BindComplete{})
	return nil
}

// formatOf is the manual's rule: no code means text, one is for all, else one each.
func formatOf(codes []int16, i, n int) (int16, error) {
	var code int16
	switch len(codes) {
	case 0:
	case 1:
		code = codes[0]
	case n:
		code = codes[i]
	default:
		return 0, &consoleError{code: "08P01", message: fmt.Sprintf("bind message has %d formats for %d values", len(codes), n)}
	}
	if code != pgproto3.TextFormat && code != pgproto3.BinaryFormat {
		return 0, &consoleError{code: "22023", message: fmt.Sprintf("unsupported format code: %d", code)}
	}
	return code, nil
}

func (s *consoleSession) describe(m *pgproto3.Describe) error {
	var columns []column
	var formats []int16
	switch m.ObjectType {
	case 'S':
		statement, err := s.statement(m.Name)
		if err != nil {
			return err
		}
		oids := make([]uint32, len(statement.parameters))
		for i, p := range statement.parameters {
			oids[i] = p.oid
		}
		s.backend.Send(&pgproto3.ParameterDescription{ParameterOIDs: oids})
		columns = statement.columns()
	default:
		portal, err := s.portal(m.Name)
		if err != nil {
			return err
		}
		columns, formats = portal.statement.columns(), portal.formats
	}
	if columns == nil {
		s.backend.Send(&pgproto3.NoData{})
		return nil
	}
	s.backend.Send(rowDescription(columns, formats))
	return nil
}

func (s *consoleSession) execute(m *pgproto3.Execute) error {
	portal, err := s.portal(m.Portal)
	if err != nil {
		return err
	}
	if portal.statement.command == nil {
		s.backend.Send(&pgproto3.EmptyQueryResponse{})
		return nil
	}
	if !portal.ran {
		// Whatever comes of it, a portal's command runs once.
		portal.ran = true
		if portal.rows, err = s.runStatement(portal.statement, portal.values); err != nil {
			return err
		}
	}
	columns := portal.statement.columns()
	limit := len(portal.rows)
	if m.MaxRows > 0 {
		limit = min(limit, portal.sent+int(m.MaxRows))
	}
	first := portal.sent
	for ; portal.sent < limit; portal.sent++ {
		s.backend.Send(dataRow(columns, portal.formats, portal.rows[portal.sent]))
	}
	if portal.sent < len(portal.rows) {
		s.backend.Send(&pgproto3.PortalSuspended{})
		return nil
	}
	s.backend.Send(&pgproto3.CommandComplete{CommandTag: []byte(portal.statement.command.tagFor(portal.sent - first))})
	return nil
}

func (s *consoleSession) closeObject(m *pgproto3.Close) {
	if m.ObjectType == 'S' {
		s.forget(m.Name)
	} else {
		delete(s.portals, m.Name)
	}
	s.backend.Send(&pgproto3.CloseComplete{})
}

// sync ends a command cycle; outside of a transaction block it ends the portals.
func (s *consoleSession) sync() {
	s.toSync = false
	if !s.inTransaction {
		clear(s.portals)
	}
	s.ready()
}

func (s *consoleSession) statement(name string) (*consoleStatement, error) {
	if statement, ok := s.statements[name]; ok {
		return statement, nil
	}
	return nil, &consoleError{code: "26000", message: fmt.Sprintf("prepared statement %q does not exist", name)}
}

func (s *consoleSession) portal(name string) (*consolePortal, error) {
	if portal, ok := s.portals[name]; ok {
		return portal, nil
	}
	return nil, &consoleError{code: "34000", message: fmt.Sprintf("portal %q does not exist", name)}
}

// parameter is a $n of a statement.
type parameter struct{ oid uint32 }

// decode reads a bind value as an int64 or a string; NULL is nil.
func (p parameter) decode(raw []byte, format int16) (any, error) {
	if raw == nil {
		return nil, nil
	}
	if format == pgproto3.BinaryFormat {
		switch {
		case p.oid == int2OID && len(raw) == 2:
			return int64(int16(binary.BigEndian.Uint16(raw))), nil
		case p.oid == int4OID && len(raw) == 4:
			return int64(int32(binary.BigEndian.Uint32(raw))), nil
		case p.oid == int8OID && len(raw) == 8:
			return int64(binary.BigEndian.Uint64(raw)), nil
		case p.oid == textOID, p.oid == varcharOID, p.oid == unknownOID:
		default:
			return nil, &consoleError{code: "22P03", message: fmt.Sprintf("incorrect binary data format for a parameter of type %d", p.oid)}
		}
	}
	if !utf8.Valid(raw) {
		return nil, &consoleError{code: "22021", message: "invalid byte sequence for encoding \"UTF8\""}
	}
	text := string(raw)
	if p.oid == int2OID || p.oid == int4OID || p.oid == int8OID {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, &consoleError{code: "22P02", message: "invalid input syntax for type bigint"}
		}
		return n, nil
	}
	return text, nil
}

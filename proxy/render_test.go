package proxy

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// The wire scripts write a message as its name in the manual and its fields:
//
//	Parse "s1" "SELECT $1"
//	Bind "" "s1" 'v1' NULL
//	ErrorResponse 42501 "DELETE on t blocked by rule x" hint "..."

// scriptMessage builds a message from its line in a script.
func scriptMessage(line string) ([]byte, error) {
	w, err := words(line)
	if err != nil {
		return nil, err
	}
	arg := func(i int) string {
		if i < len(w) {
			return w[i]
		}
		return ""
	}
	var m interface {
		Encode([]byte) ([]byte, error)
	}
	switch w[0] {
	case "Query":
		m = &pgproto3.Query{String: arg(1)}
	case "Parse":
		p := &pgproto3.Parse{Name: arg(1), Query: arg(2)}
		for i := 3; i < len(w); i++ {
			oid, err := strconv.ParseUint(w[i], 10, 32)
			if err != nil {
				return nil, err
			}
			p.ParameterOIDs = append(p.ParameterOIDs, uint32(oid))
		}
		m = p
	case "Bind":
		b := &pgproto3.Bind{DestinationPortal: arg(1), PreparedStatement: arg(2)}
		for i := 3; i < len(w); i++ {
			b.Parameters = append(b.Parameters, []byte(w[i]))
		}
		m = b
	case "Describe":
		m = &pgproto3.Describe{ObjectType: arg(1)[0], Name: arg(2)}
	case "Close":
		m = &pgproto3.Close{ObjectType: arg(1)[0], Name: arg(2)}
	case "Execute":
		n, _ := strconv.Atoi(arg(2))
		m = &pgproto3.Execute{Portal: arg(1), MaxRows: uint32(n)}
	case "Sync":
		m = &pgproto3.Sync{}
	case "Flush":
		m = &pgproto3.Flush{}
	case "Terminate":
		m = &pgproto3.Terminate{}
	case "FunctionCall":
		oid, err := strconv.ParseUint(arg(1), 10, 32)
		if err != nil {
			return nil, err
		}
		m = &pgproto3.FunctionCall{Function: uint32(oid)}
	case "CopyData":
		m = &pgproto3.CopyData{Data: []byte(arg(1))}
	case "CopyDone":
		m = &pgproto3.CopyDone{}
	case "CopyFail":
		m = &pgproto3.CopyFail{Message: arg(1)}
	case "ParseComplete":
		m = &pgproto3.ParseComplete{}
	case "BindComplete":
		m = &pgproto3.BindComplete{}
	case "CloseComplete":
		m = &pgproto3.CloseComplete{}
	case "NoData":
		m = &pgproto3.NoData{}
	case "PortalSuspended":
		m = &pgproto3.PortalSuspended{}
	case "EmptyQueryResponse":
		m = &pgproto3.EmptyQueryResponse{}
	case "CommandComplete":
		m = &pgproto3.CommandComplete{CommandTag: []byte(arg(1))}
	case "ReadyForQuery":
		m = &pgproto3.ReadyForQuery{TxStatus: arg(1)[0]}
	case "CopyInResponse":
		m = &pgproto3.CopyInResponse{}
	case "CopyOutResponse":
		m = &pgproto3.CopyOutResponse{}
	case "ParameterStatus":
		m = &pgproto3.ParameterStatus{Name: arg(1), Value: arg(2)}
	case "NoticeResponse":
		m = &pgproto3.NoticeResponse{Severity: "NOTICE", SeverityUnlocalized: "NOTICE", Code: "00000", Message: arg(1)}
	case "NotificationResponse":
		m = &pgproto3.NotificationResponse{Channel: arg(1), Payload: arg(2)}
	case "ErrorResponse", "FatalResponse":
		e := &pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: arg(1), Message: arg(2)}
		if w[0] == "FatalResponse" {
			e.Severity, e.SeverityUnlocalized = "FATAL", "FATAL"
		}
		m = e
	case "ParameterDescription":
		m = &pgproto3.ParameterDescription{}
	case "RowDescription":
		r := &pgproto3.RowDescription{}
		for _, c := range w[1:] {
			r.Fields = append(r.Fields, pgproto3.FieldDescription{Name: []byte(c), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1})
		}
		m = r
	case "DataRow":
		r := &pgproto3.DataRow{}
		for _, v := range w[1:] {
			r.Values = append(r.Values, []byte(v))
		}
		m = r
	case "Bytes":
		return []byte(arg(1)), nil // as they are
	default:
		return nil, fmt.Errorf("no message is called %q", w[0])
	}
	return m.Encode(nil)
}

// words splits a script line at blanks; "..." is a Go string.
func words(line string) ([]string, error) {
	var list []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			s, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			list, line = append(list, s), line[len(quoted):]
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		list, line = append(list, word), rest
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("empty message")
	}
	return list, nil
}

// rendered writes a message as a script would. Unlike pgproto3's tracer it shows
// what errors and notices say.
func rendered(frame []byte, fromServer bool) string {
	body := frame[headerLen:]
	q := strconv.Quote
	field := func() string {
		s, rest, err := cstring(body)
		if err != nil {
			return "<truncated>"
		}
		body = rest
		return q(string(s))
	}
	kind := func() string { k := string(body[0]); body = body[1:]; return k }
	typ := frame[0]
	if !fromServer {
		switch typ {
		case 'Q':
			return "Query " + field()
		case 'P':
			return "Parse " + field() + " " + field()
		case 'B':
			s := "Bind " + field() + " " + field()
			for _, v := range shownParameters(body) {
				s += " " + v
			}
			return s
		case 'D':
			return "Describe " + kind() + " " + field()
		case 'C':
			return "Close " + kind() + " " + field()
		case 'E':
			s := "Execute " + field()
			if n := binary.BigEndian.Uint32(body); n != 0 {
				s += fmt.Sprintf(" %d", n)
			}
			return s
		case 'S':
			return "Sync"
		case 'H':
			return "Flush"
		case 'X':
			return "Terminate"
		case 'F':
			return fmt.Sprintf("FunctionCall %d", binary.BigEndian.Uint32(body))
		case 'd':
			return "CopyData " + q(string(body))
		case 'c':
			return "CopyDone"
		case 'f':
			return "CopyFail " + field()
		}
		return fmt.Sprintf("unknown %q %q", typ, body)
	}
	switch typ {
	case '1':
		return "ParseComplete"
	case '2':
		return "BindComplete"
	case '3':
		return "CloseComplete"
	case 'n':
		return "NoData"
	case 's':
		return "PortalSuspended"
	case 'I':
		return "EmptyQueryResponse"
	case 'C':
		return "CommandComplete " + field()
	case 'Z':
		return "ReadyForQuery " + kind()
	case 'G':
		return "CopyInResponse"
	case 'H':
		return "CopyOutResponse"
	case 'd':
		return "CopyData " + q(string(body))
	case 'c':
		return "CopyDone"
	case 'S':
		return "ParameterStatus " + field() + " " + field()
	case 't':
		return "ParameterDescription"
	case 'V':
		return "FunctionCallResponse"
	case 'K':
		return "BackendKeyData"
	case 'v':
		return fmt.Sprintf("NegotiateProtocolVersion %d.%d %q", binary.BigEndian.Uint16(body), binary.BigEndian.Uint16(body[2:]), body[8:])
	case 'R':
		return fmt.Sprintf("Authentication %d", binary.BigEndian.Uint32(body))
	case 'A':
		body = body[4:]
		return "NotificationResponse " + field() + " " + field()
	case 'T':
		var r pgproto3.RowDescription
		if err := r.Decode(body); err != nil {
			return "RowDescription: " + err.Error()
		}
		s := "RowDescription"
		for _, f := range r.Fields {
			s += " " + q(string(f.Name))
		}
		return s
	case 'D':
		var r pgproto3.DataRow
		if err := r.Decode(body); err != nil {
			return "DataRow: " + err.Error()
		}
		s := "DataRow"
		for _, v := range r.Values {
			s += " " + q(string(v))
		}
		return s
	case 'N', 'E':
		var e pgproto3.ErrorResponse
		if err := e.Decode(body); err != nil {
			return "error or notice: " + err.Error()
		}
		if typ == 'N' {
			s := "NoticeResponse "
			if e.Severity != "NOTICE" {
				s = e.Severity + "Response "
			}
			return s + q(e.Message)
		}
		name := "ErrorResponse "
		if e.Severity != "ERROR" {
			name = "FatalResponse "
		}
		s := name + e.Code + " " + q(e.Message)
		if e.Detail != "" {
			s += " detail " + q(e.Detail)
		}
		if e.Hint != "" {
			s += " hint " + q(e.Hint)
		}
		return s
	}
	return fmt.Sprintf("unknown %q %q", typ, body)
}

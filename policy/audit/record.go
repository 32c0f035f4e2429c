package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pgsluice/pgsluice/policy/approval"
)

// version of the records that this package writes.
const version = 1

// Record is one line of the log, in the order of its fields.
type Record struct {
	V           int       `json:"v"`
	Seq         int64     `json:"seq"` // 1 for the first record of a log; none is left out
	Time        time.Time `json:"time"`
	Kind        string    `json:"kind"`
	Request     int64     `json:"request"` // 0: belongs to none
	Rule        string    `json:"rule"`
	Verdict     string    `json:"verdict"`
	PolicyHash  string    `json:"policy_hash"`
	Login       string    `json:"login"`
	Person      string    `json:"person"`
	Database    string    `json:"database"`
	Application string    `json:"application"`
	Address     string    `json:"address"`
	Session     string    `json:"session"`
	Statement   string    `json:"statement"`

	// StatementBytes (in base64) is there when the statement is not valid UTF-8
	// and Statement therefore not the whole truth.
	StatementBytes []byte `json:"statement_bytes,omitempty"`

	Parameters []string `json:"parameters,omitempty"`
	Detail     string   `json:"detail"`
	PrevHash   string   `json:"prev_hash"` // Hash of the record before; 64 zeros in the first

	// Hash is the SHA-256 of the line as it would be without this field: of
	// everything before `,"hash":` and a closing brace.
	Hash string `json:"hash,omitempty"`

	line []byte
}

// Line is the record as it stands in the log, which is what its hash is over,
// without the newline.
func (r Record) Line() []byte { return r.line }

// The length of `,"hash":"<64 digits>"}`, which ends each line.
const hashStart, hashLength = `,"hash":"`, len(`,"hash":""}`) + 2*sha256.Size

// chain is a place between two records.
type chain struct {
	next int64  // number of the record that comes next
	prev string // hash of the record before it; empty when that record is not at hand
}

func newChain() chain {
	return chain{next: 1, prev: strings.Repeat("0", 2*sha256.Size)}
}

// line writes the record that comes next, with its newline, and moves on.
func (c *chain) line(e approval.Event) ([]byte, error) {
	r := Record{
		V: version, Seq: c.next, Time: e.Time.UTC(), Kind: e.Kind, Request: e.Request,
		Rule: e.Rule, Verdict: e.Verdict, PolicyHash: e.PolicyHash,
		Login: e.Login, Person: e.Person, Database: e.Database,
		Application: e.Application, Address: e.Address, Session: e.Session,
		Statement: e.Statement, Parameters: e.Parameters, Detail: e.Detail, PrevHash: c.prev,
	}
	if !utf8.ValidString(e.Statement) {
		r.StatementBytes = []byte(e.Statement)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // so that "<" can be searched for as "<"
	if err := enc.Encode(r); err != nil {
		return nil, fmt.Errorf("write a record of kind %q as JSON: %w", e.Kind, err)
	}
	body := b.Bytes()[:b.Len()-1] // Encode ends it with a newline
	hash := digest(body)
	line := append(body[:len(body)-1], hashStart+hash+"\"}\n"...)
	c.next, c.prev = c.next+1, hash
	return line, nil
}

// check reads a line (without its newline) as the record that comes next and
// moves on, or says what is wrong with it.
func (c *chain) check(line []byte) (Record, string) {
	r := Record{line: line}
	if len(line) <= hashLength || !bytes.HasPrefix(line[len(line)-hashLength:], []byte(hashStart)) || !bytes.HasSuffix(line, []byte(`"}`)) {
		return r, "this is not a record"
	}
	body, tail := line[:len(line)-hashLength], line[len(line)-hashLength:]
	hash := digest(body, []byte("}"))
	if string(tail[len(hashStart):len(hashStart)+2*sha256.Size]) != hash {
		return r, "the record was changed: its hash does not match"
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return r, "the record cannot be read: " + err.Error()
	}
	switch {
	case r.V != version:
		return r, fmt.Sprintf("the record has version %d and this pgsluice knows version %d", r.V, version)
	case r.Seq != c.next:
		return r, fmt.Sprintf("record %d is expected here and record %d was found", c.next, r.Seq)
	case c.prev != "" && r.PrevHash != c.prev:
		return r, "the record does not continue from the one before it"
	}
	c.next, c.prev = c.next+1, hash
	return r, ""
}

func digest(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// Auth says who checks the clients' passwords. The zero value leaves it to the
// server, and the proxy hands on what is said; with File or Query the proxy does
// it with the server's own verifiers, and logs in with what the client's proof
// reveals (RFC 5802, section 9). It never has a password, and asks for each
// verifier anew, so that a changed password counts at once.
type Auth struct {
	// File has a line `"user" "SCRAM-SHA-256$..."` for each login, as PgBouncer's
	// auth_file.
	File string
	// Query asks the server.
	Query *VerifierQuery
}

// verifiers find what the proxy checks a password by.
type verifiers interface {
	// verifier answers false for a login that does not exist or has no password.
	verifier(ctx context.Context, user string) (verifier, bool, error)
	// iterations are those of a made-up verifier: as many as a new one would have.
	iterations() int
	close()
}

func (p *Proxy) verifiersOf(a Auth) (verifiers, error) {
	switch {
	case a.File != "" && a.Query != nil:
		return nil, errors.New("proxy configuration: verifiers come from a file or from a query, not from both")
	case a.File != "":
		if findings := CheckVerifiers(a.File); len(findings) > 0 {
			return nil, fmt.Errorf("proxy configuration: %w", findings[0])
		}
		return verifierFile(a.File), nil
	case a.Query != nil:
		if a.Query.User == "" || a.Query.Database == "" || a.Query.SQL == "" {
			return nil, errors.New("proxy configuration: the query for verifiers needs a user, a database and its text")
		}
		return newVerifierQuery(p.connect, *a.Query), nil
	}
	return nil, nil
}

// madeUpVerifier is that of a login which does not exist: the same for one name as
// long as the process lives, so that a stranger cannot tell it from a real one.
func madeUpVerifier(user string, iterations int) verifier {
	m := mockVerifier(user)
	return verifier{iterations: iterations, salt: []byte(m.Salt), storedKey: m.StoredKey, serverKey: m.ServerKey}
}

// verifierFile is read at each log-in: it may have changed, and reading it takes
// less than the log-in's round trips.
type verifierFile string

// maxVerifierFile bounds what a log-in may read.
const maxVerifierFile = 16 << 20

func (f verifierFile) close() {}

func (f verifierFile) verifier(_ context.Context, user string) (found verifier, known bool, err error) {
	text, err := f.read()
	if err != nil {
		return verifier{}, false, err
	}
	err = eachVerifier(text, func(line int, name, secret string, malformed error) error {
		if malformed != nil || known || serverName([]byte(name)) != user {
			return nil // it is another's, or nobody's
		}
		if secret == "" {
			return nil
		}
		v, err := parseVerifier(secret)
		if err != nil {
			return fmt.Errorf("line %d of the verifiers: %w", line, err)
		}
		found, known = v, true
		return nil
	})
	return found, known, err
}

// iterations are those of the first verifier in the file.
func (f verifierFile) iterations() int {
	n := scramIterations
	text, err := f.read()
	if err != nil {
		return n
	}
	first := errors.New("found")
	_ = eachVerifier(text, func(_ int, _, secret string, _ error) error {
		v, err := parseVerifier(secret)
		if err != nil {
			return nil
		}
		n = v.iterations
		return first
	})
	return n
}

func (f verifierFile) read() ([]byte, error) {
	text, err := ReadSecretFile(string(f), maxVerifierFile)
	if err != nil {
		return nil, fmt.Errorf("the verifiers: %w", err)
	}
	return text, nil
}

// ReadSecretFile refuses a file that others can read (with a verifier one can play
// the server, and guess), and one of more than limit bytes. The rule is PostgreSQL's
// for server.key.
func ReadSecretFile(name string, limit int64) ([]byte, error) {
	opened, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	info, err := opened.Stat()
	if err != nil {
		return nil, err
	}
	forbidden := os.FileMode(0o077)
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Uid == 0 {
		forbidden = 0o037
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", name)
	case info.Mode().Perm()&forbidden != 0:
		return nil, fmt.Errorf("%s can be read by others (mode %04o): it has to be 0600, or 0640 and root's", name, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(opened, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s is longer than %d bytes", name, limit)
	}
	return text, err
}

// VerifierFinding is a mistake in a file of verifiers; Line is 0 when it is the
// file's.
type VerifierFinding struct {
	Line int
	Err  error
}

func (f VerifierFinding) Error() string {
	if f.Line == 0 {
		return f.Err.Error()
	}
	return fmt.Sprintf("line %d of the verifiers: %v", f.Line, f.Err)
}

// CheckVerifiers reads a file of verifiers strictly.
func CheckVerifiers(file string) []VerifierFinding {
	text, err := verifierFile(file).read()
	if err != nil {
		return []VerifierFinding{{Err: err}}
	}
	var findings []VerifierFinding
	first := map[string]int{}
	_ = eachVerifier(text, func(line int, name, secret string, malformed error) error {
		err := malformed
		switch {
		case err != nil:
		case name == "":
			err = errors.New("a login needs a name")
		case first[name] != 0:
			err = fmt.Errorf("the login %q is in line %d already", visible(name), first[name])
		case secret != "":
			_, err = parseVerifier(secret)
		}
		if err != nil {
			findings = append(findings, VerifierFinding{line, err})
		} else {
			first[name] = line
		}
		return nil
	})
	return findings
}

// eachVerifier calls do for each line `"user" "verifier"`, until that returns an
// error. What follows the second field is not looked at, as in PgBouncer.
func eachVerifier(text []byte, do func(line int, name, secret string, malformed error) error) error {
	number := 0
	for line := range bytes.Lines(text) {
		number++
		rest := strings.TrimSpace(string(line))
		if rest == "" || rest[0] == ';' || rest[0] == '#' {
			continue
		}
		name, rest, ok := quotedField(rest)
		secret, _, ok2 := quotedField(strings.TrimLeft(rest, " \t"))
		var malformed error
		if !ok || !ok2 {
			malformed = errors.New(`a line reads "user" "SCRAM-SHA-256$..."`)
		}
		if err := do(number, name, secret, malformed); err != nil {
			return err
		}
	}
	return nil
}

// quotedField takes a field in double quotes off the front; two of them stand for one.
func quotedField(s string) (field, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", "", false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '"':
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == '"':
			b.WriteByte('"')
			i++
		default:
			return b.String(), s[i+1:], true
		}
	}
	return "", "", false
}

package proxy

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/xdg-go/scram"
	"go.uber.org/zap"

	"github.com/pgsluice/pgsluice/policy/approval"
)

// logIn asks for the password of the person called name. A name that is no
// person, or has no password, goes through the same exchange with a made-up
// verifier and gets the same answer, as in PostgreSQL (auth-scram.c,
// mock_scram_secret), so that names cannot be found out.
func (s *consoleSession) logIn(name string, secure bool) error {
	if !s.logins.begin(s.address, name) {
		s.Log.Warn("too many failed logins to the console", zap.String("name", visible(name)), zap.String("address", s.address))
		return &consoleError{code: "28000", message: "too many failed logins from this address", hint: "Wait a minute."}
	}
	var known *ConsolePeople
	if s.People != nil {
		known = s.People()
	}
	var password Password
	why := "no such person"
	if known != nil && known.People != nil {
		if _, ok := known.People.Find(name); ok {
			why = "wrong password"
			if password, ok = known.Passwords[name]; !ok {
				why = "the person has no password"
			}
		}
	}

	var ok bool
	var err error
	if password.argon2 != nil && secure {
		ok, err = s.cleartext(password.argon2)
	} else {
		if password.argon2 != nil {
			why = "an argon2id password is not asked for over a connection that others can read"
		}
		ok, err = s.scram(name, password.scram)
	}
	if err != nil {
		s.logins.unanswered(s.address, name)
		return fmt.Errorf("authenticate: %w", err)
	}
	if !ok {
		s.Log.Warn("login to the console failed", zap.String("name", visible(name)), zap.String("address", s.address), zap.String("why", why))
		return &consoleError{code: "28P01", message: fmt.Sprintf("password authentication failed for user %q", name)}
	}
	s.logins.succeeded(s.address, name)
	if err := s.Approvals.Note(s.ctx, approval.Event{Kind: "login", Person: name, Database: consoleDatabase, Application: s.application, Address: s.address}); err != nil {
		s.Log.Error("a login cannot be put on record", zap.String("person", name), zap.Error(err))
		return &consoleError{code: "58000", message: "the audit log cannot be written", hint: "The log of pgsluice says what is wrong."}
	}
	s.person = name
	return nil
}

// cleartext asks for the password itself.
func (s *consoleSession) cleartext(hash *argon2Hash) (bool, error) {
	s.backend.Send(&pgproto3.AuthenticationCleartextPassword{})
	if err := s.backend.SetAuthType(pgproto3.AuthTypeCleartextPassword); err != nil {
		return false, err
	}
	if err := s.flush(); err != nil {
		return false, err
	}
	message, err := s.backend.Receive()
	if err != nil {
		return false, err
	}
	answer, ok := message.(*pgproto3.PasswordMessage)
	if !ok {
		return false, &consoleError{code: "08P01", message: "protocol violation: expected a password"}
	}
	hashing <- struct{}{}
	defer func() { <-hashing }()
	return hash.matches(answer.Password), nil
}

// scram runs SCRAM-SHA-256. Without a verifier it cannot succeed.
func (s *consoleSession) scram(name string, verifier *scram.StoredCredentials) (bool, error) {
	kept := verifier
	if kept == nil {
		kept = mockVerifier(name)
	}
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) { return *kept, nil })
	if err != nil {
		return false, err
	}
	talk := server.NewConversation() // the user name is the start-up packet's: libpq leaves SCRAM's empty

	s.backend.Send(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256"}})
	if err := s.backend.SetAuthType(pgproto3.AuthTypeSASL); err != nil {
		return false, err
	}
	if err := s.flush(); err != nil {
		return false, err
	}
	message, err := s.backend.Receive()
	if err != nil {
		return false, err
	}
	first, ok := message.(*pgproto3.SASLInitialResponse)
	if !ok || first.AuthMechanism != "SCRAM-SHA-256" {
		return false, &consoleError{code: "08P01", message: "protocol violation: expected a SCRAM-SHA-256 exchange"}
	}
	challenge, err := talk.Step(string(first.Data))
	if err != nil {
		return false, &consoleError{code: "08P01", message: "protocol violation: malformed SCRAM message"}
	}

	s.backend.Send(&pgproto3.AuthenticationSASLContinue{Data: []byte(challenge)})
	if err := s.backend.SetAuthType(pgproto3.AuthTypeSASLContinue); err != nil {
		return false, err
	}
	if err := s.flush(); err != nil {
		return false, err
	}
	if message, err = s.backend.Receive(); err != nil {
		return false, err
	}
	final, ok := message.(*pgproto3.SASLResponse)
	if !ok {
		return false, &consoleError{code: "08P01", message: "protocol violation: expected a SCRAM-SHA-256 exchange"}
	}
	outcome, err := talk.Step(string(final.Data))
	if err != nil || !talk.Valid() || verifier == nil {
		return false, nil
	}
	s.backend.Send(&pgproto3.AuthenticationSASLFinal{Data: []byte(outcome)})
	return true, nil
}

// mockKey makes the salts of names that do not exist: the same for one name as
// long as the process lives, and not to be foretold.
var mockKey = func() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	return key
}()

func mockVerifier(name string) *scram.StoredCredentials {
	derive := func(what string) []byte {
		h := hmac.New(sha256.New, mockKey)
		h.Write([]byte(what + "\x00" + name))
		return h.Sum(nil)
	}
	return &scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(derive("salt")[:16]), Iters: scramIterations},
		StoredKey:  derive("stored"),
		ServerKey:  derive("server"),
	}
}

// hashing bounds how many argon2id hashes are computed at once: each takes the
// memory its parameters ask for.
var hashing = make(chan struct{}, 2)

const (
	attemptsPerWindow = 10
	attemptsWindow    = time.Minute
	attemptsKept      = 4096 // addresses and names remembered
)

// attempts counts failed logins by address and name, so that a password cannot
// be guessed quickly and nobody can be kept out from elsewhere. Its memory is
// bounded: when it is full, the oldest count is forgotten.
type attempts struct {
	mu    sync.Mutex
	kept  map[attempt]*tally
	order []attempt        // of kept, as they came
	clock func() time.Time // nil: time.Now
}

type attempt struct{ network, name string }

type tally struct {
	since time.Time
	count int
}

// begin counts a login as failed before it is tried, so that many at once do not
// all pass; it answers false when there were too many.
func (a *attempts) begin(address, name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kept == nil {
		a.kept = map[attempt]*tally{}
	}
	now, key := a.now(), attemptOf(address, name)
	t := a.kept[key]
	switch {
	case t == nil:
		if len(a.order) == attemptsKept {
			delete(a.kept, a.order[0])
			a.order = a.order[1:]
		}
		t = &tally{since: now}
		a.kept[key], a.order = t, append(a.order, key)
	case now.Sub(t.since) >= attemptsWindow:
		*t = tally{since: now}
	}
	if t.count >= attemptsPerWindow {
		return false
	}
	t.count++
	return true
}

// unanswered takes back a begin: the client left before it sent a password, as
// psql does to ask its user for one.
func (a *attempts) unanswered(address, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.kept[attemptOf(address, name)]; t != nil && t.count > 0 {
		t.count--
	}
}

func (a *attempts) succeeded(address, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.kept[attemptOf(address, name)]; t != nil {
		t.count = 0
	}
}

func (a *attempts) now() time.Time {
	if a.clock != nil {
		return a.clock()
	}
	return time.Now()
}

// attemptOf names an IPv6 client by its /64: one machine has all of it.
func attemptOf(address, name string) attempt {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip = ip.Unmap(); ip.Is6() {
			if network, err := ip.WithZone("").Prefix(64); err == nil {
				host = network.String()
			}
		} else {
			host = ip.String()
		}
	}
	return attempt{network: strings.Clone(host), name: strings.Clone(name[:min(len(name), 63)])}
}

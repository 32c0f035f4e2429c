package proxy

import (
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"golang.org/x/crypto/argon2"
)

func argonOf(t *testing.T, password string) Password {
	t.Helper()
	salt, err := base64.RawStdEncoding.DecodeString("c2FsdHNhbHQ")
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParsePassword(consoleTestArgon + base64.RawStdEncoding.EncodeToString(argon2.IDKey([]byte(password), salt, 1, 64, 1, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestConsoleLetsInWhoKnowsThePassword(t *testing.T) {
	h := newConsoleHouse(t)
	h.people.Passwords["argon"] = argonOf(t, consoleTestPassword) // not a person
	h.people.Passwords["carol"] = argonOf(t, consoleTestPassword)
	for _, c := range []struct {
		what, person, password string
		secure, in             bool
	}{
		{"the right password", "bob", consoleTestPassword, false, true},
		{"a wrong password", "bob", "horse correct", true, false},
		{"an empty password", "bob", "", true, false},
		{"a person without one", "dave", consoleTestPassword, true, false},
		{"no such person", "mallory", consoleTestPassword, true, false},
		{"a password of no person", "argon", consoleTestPassword, true, false},
		{"argon2id where nobody listens", "carol", consoleTestPassword, true, true},
		{"argon2id, wrong", "carol", "horse correct", true, false},
		{"argon2id where somebody could listen", "carol", consoleTestPassword, false, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			h.secure = c.secure
			conn, err := pgx.Connect(t.Context(), h.dsn(c.person, c.password))
			if !c.in {
				if c.password == "" && err != nil {
					return // pgx may give up by itself
				}
				e := refusedWith(t, err, "28P01")
				if want := fmt.Sprintf("password authentication failed for user %q", c.person); e.Message != want {
					t.Errorf("it says %q: more than %q", e.Message, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			var who string
			if err := conn.QueryRow(t.Context(), "SELECT current_user").Scan(&who); err != nil || who != c.person {
				t.Errorf("logged in as %q, %v", who, err)
			}
		})
	}
}

// challengeOf begins a SCRAM exchange and returns salt and iterations.
func (h *consoleHouse) challengeOf(t *testing.T, name string) string {
	t.Helper()
	conn, err := net.Dial("tcp", h.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	f := pgproto3.NewFrontend(conn, conn)
	f.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": name, "database": "pgsluice"}})
	f.Send(&pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256", Data: []byte("n,,n=,r=clientnonce")})
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	if m, err := f.Receive(); err != nil {
		t.Fatal(err)
	} else if _, ok := m.(*pgproto3.AuthenticationSASL); !ok {
		t.Fatalf("%s: got %T, want AuthenticationSASL", name, m)
	}
	m, err := f.Receive()
	if err != nil {
		t.Fatal(err)
	}
	c, ok := m.(*pgproto3.AuthenticationSASLContinue)
	if !ok {
		t.Fatalf("%s: got %T, want AuthenticationSASLContinue", name, m)
	}
	_, salt, _ := strings.Cut(string(c.Data), ",")
	return salt
}

func TestConsoleNamesCannotBeFoundOut(t *testing.T) {
	h := newConsoleHouse(t)
	for _, name := range []string{"bob", "dave", "mallory"} {
		first, second := h.challengeOf(t, name), h.challengeOf(t, name)
		if first != second {
			t.Errorf("%s: the challenge changes, as only a made-up one would: %s, %s", name, first, second)
		}
		if !strings.HasSuffix(first, ",i=4096") || len(first) != len(h.challengeOf(t, "bob")) {
			t.Errorf("%s: the challenge differs in form: %s", name, first)
		}
	}
	if h.challengeOf(t, "mallory") == h.challengeOf(t, "oscar") {
		t.Error("two unknown names have one salt")
	}
}

func TestConsolePasswordCannotBeGuessedQuickly(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	a := attempts{clock: func() time.Time { return now }}
	for range attemptsPerWindow {
		if !a.begin("10.0.0.1:5", "bob") {
			t.Fatal("refused before there were too many")
		}
	}
	for address, want := range map[string]bool{"10.0.0.1:5": false, "10.0.0.1:6": false, "10.0.0.2:5": true} {
		if got := a.begin(address, "bob"); got != want {
			t.Errorf("from %s: %v, want %v", address, got, want)
		}
	}
	if !a.begin("10.0.0.1:5", "carol") {
		t.Error("failures as bob keep carol out")
	}
	now = now.Add(attemptsWindow)
	if !a.begin("10.0.0.1:5", "bob") {
		t.Error("still refused after the window")
	}
	for i := range 3 * attemptsKept {
		a.begin(fmt.Sprintf("[2001:db8:%x::1]:5", i%60000), fmt.Sprint(i))
	}
	if len(a.kept) != attemptsKept || len(a.order) != attemptsKept {
		t.Errorf("%d counts are kept, and the order of %d, not %d", len(a.kept), len(a.order), attemptsKept)
	}
}

func TestConsoleAttemptsOfOneNetworkAreOne(t *testing.T) {
	if attemptOf("[2001:db8::1]:5", "x") != attemptOf("[2001:db8::2:1]:6", "x") {
		t.Error("two addresses of one /64 are counted apart")
	}
	if attemptOf("[::ffff:10.0.0.1]:5", "x") != attemptOf("10.0.0.1:5", "x") {
		t.Error("an IPv4 address in IPv6 form is counted apart")
	}
}

func TestConsoleManyWrongPasswordsAreRefused(t *testing.T) {
	h := newConsoleHouse(t)
	for range attemptsPerWindow {
		_, err := pgx.Connect(t.Context(), h.dsn("bob", "guess"))
		refusedWith(t, err, "28P01")
	}
	_, err := pgx.Connect(t.Context(), h.dsn("bob", consoleTestPassword))
	refusedWith(t, err, "28000")
	h.as(t, "carol")
}

func TestPasswordFormsAreReadStrictly(t *testing.T) {
	good, err := NewSCRAMVerifier("secret")
	if err != nil {
		t.Fatal(err)
	}
	if p, err := ParsePassword(good); err != nil || p.scram == nil {
		t.Errorf("a verifier just made is not read: %v", err)
	}
	for _, text := range []string{
		"", "secret", "md5d41d8cd98f00b204e9800998ecf8427e", "argon2id:", "argon2id:...",
		"SCRAM-SHA-256$", strings.Replace(good, "$4096:", "$1:", 1), strings.Replace(good, "$4096:", "$99999999999:", 1),
		good[:len(good)-4], strings.Replace(good, ":", "", 1),
		"argon2id:$argon2id$v=19$m=99999999,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
		"argon2id:$argon2id$v=16$m=64,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
	} {
		p, err := ParsePassword(text)
		if err == nil || p.scram != nil || p.argon2 != nil {
			t.Errorf("%q was taken", text)
		} else if len(text) > 20 && strings.Contains(err.Error(), text) {
			t.Errorf("the error repeats the password: %v", err)
		}
	}
}

package proxy

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// exchange runs SCRAM between the two halves; change may alter a message under way.
func exchange(server *scramServer, client *scramClient, secured bool, change func(step int, message string) string) (keys loginKeys, err error) {
	mechanism, message, err := client.first(server.mechanisms(), secured)
	if err != nil {
		return keys, err
	}
	if err := server.choose(mechanism); err != nil {
		return keys, err
	}
	if message, err = server.challenge(change(1, message)); err != nil {
		return keys, err
	}
	if message, err = client.respond(change(2, message)); err != nil {
		return keys, err
	}
	keys, message, err = server.prove(change(3, message))
	if err != nil {
		return keys, err
	}
	return keys, client.conclude(change(4, message))
}

func unchangedMessage(_ int, m string) string { return m }

// halves know the same password.
func halves(t *testing.T, serverBinding, clientBinding []byte) (*scramServer, *scramClient) {
	t.Helper()
	v, err := parseVerifier(verifierText(t, "pencil", 4096))
	if err != nil {
		t.Fatal(err)
	}
	return &scramServer{verifier: v, known: true, binding: serverBinding},
		&scramClient{binding: clientBinding, keys: func(salt []byte, n int) (loginKeys, error) { return keysOf("pencil", salt, n) }}
}

// TestRecoveredKeysLogIn: what one log-in reveals is enough for the next one, with
// another server that has the same verifier, and bound to another certificate.
func TestRecoveredKeysLogIn(t *testing.T) {
	for _, binding := range [][]byte{nil, []byte("certificate")} {
		server, client := halves(t, binding, binding)
		keys, err := exchange(server, client, binding != nil, unchangedMessage)
		if err != nil {
			t.Fatal(err)
		}
		if server.plus != (binding != nil) {
			t.Errorf("bound: %v", server.plus)
		}
		next, _ := halves(t, []byte("another"), nil)
		if _, err := exchange(next, &scramClient{keys: keys.unchanged, binding: []byte("another")}, true, unchangedMessage); err != nil {
			t.Error(err)
		}
		changed, _ := halves(t, nil, nil)
		changed.verifier.salt = []byte("a newer password")
		if _, err := exchange(changed, &scramClient{keys: keys.unchanged}, false, unchangedMessage); !errors.Is(err, errOtherVerifier) {
			t.Errorf("a password that has changed: %v", err)
		}
	}
}

// TestSCRAMRefusals: each message is checked to the letter. What is wanted is the
// SQLSTATE that PostgreSQL answers with, or a part of the error.
func TestSCRAMRefusals(t *testing.T) {
	bound := []byte("certificate")
	for _, c := range []struct {
		what           string
		server, client []byte
		step           int
		from, to       string
		want           string
	}{
		{"authorization identity", nil, nil, 1, "n,,", "n,a=app,", "0A000"},
		{"mandatory extension", nil, nil, 1, "n,,n=", "n,,m=x,n=", "0A000"},
		{"the offer of binding taken out", bound, nil, 1, "n,,", "y,,", "28000"},
		{"binding without PLUS", bound, nil, 1, "n,,", "p=tls-server-end-point,,", "malformed"},
		{"PLUS without binding, n", bound, bound, 1, "p=tls-server-end-point,,", "n,,", "malformed"},
		{"PLUS without binding, y", bound, bound, 1, "p=tls-server-end-point,,", "y,,", "malformed"},
		{"another kind of binding", bound, bound, 1, "p=tls-server-end-point", "p=tls-unique", "unsupported SCRAM channel-binding type"},
		{"another certificate", bound, []byte("other"), 0, "", "", "28000"},
		{"unknown flag", nil, nil, 1, "n,,", "q,,", "malformed"},
		{"no header", nil, nil, 1, "n,,", "", "malformed"},
		{"no name", nil, nil, 1, "n=,", "", "malformed"},
		{"empty nonce", nil, nil, 1, ",r=", ",r=,x=", "malformed"},
		{"nonce that cannot be printed", nil, nil, 1, ",r=", ",r=\x07", "malformed"},
		{"no attribute after the comma", nil, nil, 1, ",r=", ",r=a,", "malformed"},
		{"another flag at the end", nil, nil, 3, "c=biws", "c=eSws", "unexpected SCRAM channel-binding attribute"},
		{"no flag at the end", nil, nil, 3, "c=biws,", "", "malformed"},
		{"another nonce", nil, nil, 3, ",r=", ",r=x", "invalid SCRAM response"},
		{"no proof", nil, nil, 3, ",p=", ",q=", "malformed"},
		{"short proof", nil, nil, 3, ",p=", ",p=AAAA,p=", "wrong password"},
		{"something behind the nonce", nil, nil, 3, ",p=", ",x=1,p=", "wrong password"}, // it is signed
		{"server's nonce not the client's", nil, nil, 2, "r=", "r=x", "does not continue"},
		{"server asks for too much work", nil, nil, 2, "i=4096", "i=2147483647", "malformed"},
		{"server without the verifier", nil, nil, 4, "v=", "v=AAAA", "signature"},
		{"server sends an error", nil, nil, 4, "v=", "e=", "signature"},
	} {
		t.Run(c.what, func(t *testing.T) {
			server, client := halves(t, c.server, c.client)
			_, err := exchange(server, client, c.client != nil, func(step int, m string) string {
				if step != c.step {
					return m
				}
				if !strings.Contains(m, c.from) {
					t.Fatalf("%q has no %q", m, c.from)
				}
				return strings.Replace(m, c.from, c.to, 1)
			})
			var r *refusal
			code := ""
			if errors.As(err, &r) {
				code = r.code
			}
			if err == nil || c.want != code && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v (%s), not %s", err, code, c.want)
			}
		})
	}
	t.Run("no such login, right password", func(t *testing.T) {
		server, client := halves(t, nil, nil)
		server.known = false
		if _, err := exchange(server, client, false, unchangedMessage); !errors.Is(err, errProof) {
			t.Error(err)
		}
	})
	t.Run("mechanism that was not offered", func(t *testing.T) {
		server, _ := halves(t, nil, nil)
		for _, m := range []string{mechanismPlus, "PLAIN", "", "scram-sha-256"} {
			if server.choose(m) == nil {
				t.Errorf("%q is taken", m)
			}
		}
	})
	t.Run("server that offers nothing of use", func(t *testing.T) {
		for _, offer := range [][]string{nil, {"OAUTHBEARER"}, {mechanismPlus}} {
			if _, _, err := (&scramClient{}).first(offer, false); err == nil {
				t.Errorf("%v is answered", offer)
			}
		}
	})
	t.Run("server from whose offer PLUS was taken out", func(t *testing.T) {
		server, client := halves(t, nil, bound)
		server.binding = bound
		_, message, err := client.first([]string{mechanismSCRAM}, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := server.challenge(message); err == nil {
			t.Error("nobody finds out")
		}
	})
}

// TestMadeUpVerifiers look like one that is kept: always the same for one name,
// another for the next.
func TestMadeUpVerifiers(t *testing.T) {
	a, again, b := madeUpVerifier("a", 4096), madeUpVerifier("a", 4096), madeUpVerifier("b", 4096)
	if string(a.salt) != string(again.salt) || string(a.salt) == string(b.salt) || len(a.salt) != 16 {
		t.Errorf("%x, %x, %x", a.salt, again.salt, b.salt)
	}
}

// TestVerifierFile: PgBouncer's form, with its quotes, and strictly.
func TestVerifierFile(t *testing.T) {
	good := verifierText(t, "secret", 5000)
	file := filepath.Join(t.TempDir(), "verifiers")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("; a remark\n# another\n\n\"we\"\"ird\" \"" + good + "\" more\n  \"app\"\t\"" + good + "\"\r\n\"none\" \"\"\n")
	if findings := CheckVerifiers(file); len(findings) > 0 {
		t.Error(findings)
	}
	f := verifierFile(file)
	if n := f.iterations(); n != 5000 {
		t.Errorf("a made-up verifier would have %d iterations", n)
	}
	for name, want := range map[string]bool{`we"ird`: true, "app": true, "none": false, "nobody": false, "": false, "; a remark": false} {
		if _, known, err := f.verifier(t.Context(), name); known != want || err != nil {
			t.Errorf("%q: %v, %v", name, known, err)
		}
	}
	md5 := "md5" + strings.Repeat("0", 32)
	write("\"a\" \"" + good + "\"\n\"a\" \"" + good + "\"\n\"b\" \"" + md5 + "\"\n\"c\" \"secret\"\nd " + good + "\n\"e\" \"unfinished\n\"\" \"" + good + "\"\n")
	want := []string{"line 2 of the verifiers: the login \"a\" is in line 1 already", "line 3 of the verifiers: an md5 hash", "line 4 of the verifiers: not a SCRAM-SHA-256 verifier",
		"line 5 of the verifiers: a line reads", "line 6 of the verifiers: a line reads", "line 7 of the verifiers: a login needs a name"}
	got := CheckVerifiers(file)
	if len(got) != len(want) {
		t.Fatalf("%d findings: %v", len(got), got)
	}
	for i, w := range want {
		if !strings.HasPrefix(got[i].Error(), w) || strings.Contains(got[i].Error(), "secret") {
			t.Errorf("%v, not %q", got[i], w)
		}
	}
	if _, _, err := f.verifier(t.Context(), "b"); !errors.Is(err, errMD5) {
		t.Errorf("md5: %v", err)
	}
}

func TestVerifiersAreReadStrictly(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, wrong := range []string{"", "secret", "SCRAM-SHA-256$", "SCRAM-SHA-256$4096:c2FsdA==", "SCRAM-SHA-256$4096:c2FsdA==$" + key,
		"SCRAM-SHA-256$0:c2FsdA==$" + key + ":" + key, "SCRAM-SHA-256$-1:c2FsdA==$" + key + ":" + key, "SCRAM-SHA-256$99999999999:c2FsdA==$" + key + ":" + key,
		"SCRAM-SHA-256$4096:$" + key + ":" + key, "SCRAM-SHA-256$4096:c2FsdA==$c2FsdA==:" + key, "SCRAM-SHA-256$4096:c2FsdA==$" + key + ":!"} {
		if _, err := parseVerifier(wrong); err == nil || len(wrong) > 20 && strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// TestServerThatAsksForOtherThings gets no answer but to SCRAM, and no end of
// questions.
func TestServerThatAsksForOtherThings(t *testing.T) {
	request := func(kind uint32, rest string) []byte { return saslFrame(nil, kind, rest) }
	offer := request(authenticationSASL, "SCRAM-SHA-256\x00\x00")
	for what, c := range map[string]struct {
		says []byte
		want string
	}{
		"trust":                        {request(authenticationOk, ""), ""},
		"its version, and trust":       {append(negotiateFrame(3<<16, nil), request(authenticationOk, "")...), ""},
		"a password in clear":          {request(3, ""), "a password in clear"},
		"an md5 password":              {request(5, "salt"), "an md5 password"},
		"GSSAPI":                       {request(7, ""), "GSSAPI"},
		"something new":                {request(99, ""), "authentication method 99"},
		"another mechanism":            {request(authenticationSASL, "OAUTHBEARER\x00\x00"), "offers no SCRAM-SHA-256"},
		"an offer without an end":      {request(authenticationSASL, "SCRAM-SHA-256"), "too short"},
		"SCRAM twice":                  {append(bytes.Clone(offer), offer...), "authentication method 10"},
		"a challenge without an offer": {request(authenticationSASLContinue, "r=a,s=a,i=1"), "authentication method 11"},
		"an end without a challenge":   {append(bytes.Clone(offer), request(authenticationSASLFinal, "v=AAAA")...), "signature"},
		"no proof of its own":          {append(bytes.Clone(offer), request(authenticationOk, "")...), "without proving"},
		"versions without end":         {bytes.Repeat(negotiateFrame(3<<16, nil), 100), "on and on"},
		"rows":                         {[]byte("D\x00\x00\x00\x06\x00\x00"), "in place of an authentication request"},
		"a length that lies":           {[]byte("R\x7f\xff\xff\xff"), "2147483643 bytes"},
		"a length below its own":       {[]byte("R\x00\x00\x00\x03"), "-1 bytes"},
		"half a message":               {[]byte("R\x00\x00\x00\x08\x00"), "unexpected EOF"},
		"an error that is none":        {[]byte("E\x00\x00\x00\x05S"), "ErrorResponse"},
		"nothing":                      {nil, "EOF"},
	} {
		near, far := memPipe()
		far.Write(c.says)
		far.CloseWrite()
		x := scramClient{keys: func(salt []byte, n int) (loginKeys, error) { return keysOf("pencil", salt, n) }}
		err := logInToServer(near, false, startupBytes, &x)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, not %q", what, err, c.want)
		}
	}
}

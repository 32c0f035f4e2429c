package proxy

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/stringprep"
)

// What SCRAM-SHA-256 is made of (RFC 5802 and 7677), as PostgreSQL speaks it
// (manual, "SASL Authentication"): no authorization identity, no mandatory
// extensions, the user's name from the start-up packet, and channel binding by
// tls-server-end-point alone.
const (
	mechanismSCRAM = "SCRAM-SHA-256"
	mechanismPlus  = "SCRAM-SHA-256-PLUS"
	bindingType    = "tls-server-end-point"

	// maxSASL bounds a message of the exchange (PG_MAX_SASL_MESSAGE_LENGTH).
	maxSASL = 1024
	// maxIterations bounds the work that a salted password may ask for.
	maxIterations = 10_000_000
)

// verifier is what a server keeps of a password. Who has it cannot log in, but
// can play the server, and guess.
type verifier struct {
	iterations           int
	salt                 []byte
	storedKey, serverKey []byte
}

// parseVerifier reads the form of pg_authid.rolpassword. The error does not
// repeat the text.
func parseVerifier(text string) (verifier, error) {
	rest, ok := strings.CutPrefix(text, scramPrefix)
	switch {
	case ok:
	case strings.HasPrefix(text, "md5") && len(text) == 35:
		return verifier{}, errMD5
	default:
		return verifier{}, errors.New("not a SCRAM-SHA-256 verifier")
	}
	factors, keys, ok := strings.Cut(rest, "$")
	iterations, salt, ok2 := strings.Cut(factors, ":")
	stored, server, ok3 := strings.Cut(keys, ":")
	if !ok || !ok2 || !ok3 {
		return verifier{}, errors.New("a SCRAM-SHA-256 verifier reads SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey")
	}
	n, err := strconv.Atoi(iterations)
	if err != nil || n < 1 || n > maxIterations {
		return verifier{}, fmt.Errorf("a SCRAM-SHA-256 verifier has from 1 to %d iterations", maxIterations)
	}
	var raw [3][]byte
	for i, field := range []string{salt, stored, server} {
		if raw[i], err = base64.StdEncoding.Strict().DecodeString(field); err != nil {
			return verifier{}, errors.New("a SCRAM-SHA-256 verifier has salt and keys in base64")
		}
	}
	if len(raw[0]) == 0 || len(raw[0]) > 256 || len(raw[1]) != sha256.Size || len(raw[2]) != sha256.Size {
		return verifier{}, errors.New("a SCRAM-SHA-256 verifier has a salt and two keys of 32 bytes")
	}
	return verifier{iterations: n, salt: raw[0], storedKey: raw[1], serverKey: raw[2]}, nil
}

var errMD5 = errors.New("an md5 hash, which SCRAM cannot use: with password_encryption = 'scram-sha-256' the password has to be set anew")

// loginKeys log in to a server whose verifier they fit. With clientKey no
// password is needed.
type loginKeys struct {
	verifier
	clientKey []byte
}

// keysOf derives the keys from a password. The work is what the server asks for.
func keysOf(password string, salt []byte, iterations int) (loginKeys, error) {
	// As PostgreSQL and libpq do: what SASLprep forbids is taken as it is.
	if prepared, err := stringprep.SASLprep.Prepare(password); err == nil {
		password = prepared
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return loginKeys{}, fmt.Errorf("salt the password: %w", err)
	}
	client := keyed(salted, "Client Key")
	stored := sha256.Sum256(client)
	return loginKeys{
		verifier:  verifier{iterations: iterations, salt: salt, storedKey: stored[:], serverKey: keyed(salted, "Server Key")},
		clientKey: client,
	}, nil
}

func keyed(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// scramNonce is as long as PostgreSQL's.
func scramNonce() string {
	var raw [18]byte
	rand.Read(raw[:]) // never fails, see crypto/rand
	return base64.StdEncoding.EncodeToString(raw[:])
}

// scramServer is one exchange in which the proxy is the server.
type scramServer struct {
	verifier verifier
	// known is false for a made-up verifier: the exchange goes its way and fails.
	known bool
	// binding is the hash of the certificate that the client was shown; nil: no
	// channel binding was offered.
	binding []byte

	plus         bool
	gs2          string // the client's header, "n,,"
	clientBare   string
	serverFirst  string
	wholeNonce   string
	clientsNonce string
}

// mechanisms are what is offered.
func (x *scramServer) mechanisms() []string {
	if x.binding != nil {
		return []string{mechanismPlus, mechanismSCRAM}
	}
	return []string{mechanismSCRAM}
}

// choose notes which of them the client took.
func (x *scramServer) choose(mechanism string) error {
	switch {
	case mechanism == mechanismSCRAM:
	case mechanism == mechanismPlus && x.binding != nil:
		x.plus = true
	default:
		return &protocolError{"client selected an invalid SASL authentication mechanism"}
	}
	return nil
}

// challenge answers the client-first-message.
func (x *scramServer) challenge(message string) (string, error) {
	if err := x.readGS2(message); err != nil {
		return "", err
	}
	x.clientBare = message[len(x.gs2):]
	rest := x.clientBare
	if strings.HasPrefix(rest, "m=") {
		return "", scramUnsupported("client requires an unsupported SCRAM extension")
	}
	// The name is not looked at: it is the start-up packet's that counts.
	_, rest, ok := scramAttribute(rest, 'n')
	nonce, rest, ok2 := scramAttribute(rest, 'r')
	if !ok || !ok2 || nonce == "" || strings.ContainsFunc(nonce, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
		return "", scramMalformed()
	}
	for rest != "" { // extensions, which a server may ignore
		if _, rest, ok = scramAttribute(rest, 0); !ok {
			return "", scramMalformed()
		}
	}
	x.clientsNonce = nonce
	x.wholeNonce = nonce + scramNonce()
	x.serverFirst = fmt.Sprintf("r=%s,s=%s,i=%d", x.wholeNonce, base64.StdEncoding.EncodeToString(x.verifier.salt), x.verifier.iterations)
	return x.serverFirst, nil
}

// readGS2 checks the flag of channel binding against what was offered and chosen:
// this is what makes a stripped offer fail (RFC 5802, section 6).
func (x *scramServer) readGS2(message string) error {
	header, rest, ok := strings.Cut(message, ",")
	if !ok {
		return scramMalformed()
	}
	kind, named := strings.CutPrefix(header, "p=")
	switch {
	case header == "n":
		if x.plus {
			return scramMalformed()
		}
	case header == "y":
		if x.plus {
			return scramMalformed()
		}
		if x.binding != nil {
			return scramDowngraded()
		}
	case named:
		if !x.plus {
			return scramMalformed()
		}
		if kind != bindingType {
			return &protocolError{fmt.Sprintf("unsupported SCRAM channel-binding type %q", visible(kind))}
		}
	default:
		return scramMalformed()
	}
	if strings.HasPrefix(rest, "a=") {
		return scramUnsupported("client uses authorization identity, but it is not supported")
	}
	if !strings.HasPrefix(rest, ",") {
		return scramMalformed()
	}
	x.gs2 = message[:len(header)+2]
	return nil
}

// errProof says that the client does not know the password, or that there is none.
var errProof = errors.New("wrong password")

// prove checks the client-final-message. Only with the right proof are there keys:
// the proof is the client's key under a mask that the verifier can lift.
func (x *scramServer) prove(message string) (keys loginKeys, answer string, err error) {
	channel, rest, ok := scramAttribute(message, 'c')
	nonce, _, ok2 := scramAttribute(rest, 'r')
	at := strings.LastIndex(message, ",p=")
	if !ok || !ok2 || at < 0 {
		return loginKeys{}, "", scramMalformed()
	}
	withoutProof := message[:at]
	proof, err := base64.StdEncoding.Strict().DecodeString(message[at+len(",p="):])
	if err != nil || len(proof) != sha256.Size {
		return loginKeys{}, "", scramMalformed()
	}
	for rest = withoutProof; rest != ""; {
		if _, rest, ok = scramAttribute(rest, 0); !ok {
			return loginKeys{}, "", scramMalformed()
		}
	}
	bound, err := base64.StdEncoding.Strict().DecodeString(channel)
	if err != nil {
		return loginKeys{}, "", scramMalformed()
	}
	expected := []byte(x.gs2)
	if x.plus {
		expected = append(expected, x.binding...)
	}
	if subtle.ConstantTimeCompare(bound, expected) != 1 {
		if x.plus {
			return loginKeys{}, "", scramUnbound()
		}
		return loginKeys{}, "", &protocolError{"unexpected SCRAM channel-binding attribute in client-final-message"}
	}
	if subtle.ConstantTimeCompare([]byte(nonce), []byte(x.wholeNonce)) != 1 {
		return loginKeys{}, "", &protocolError{"invalid SCRAM response"}
	}

	auth := x.clientBare + "," + x.serverFirst + "," + withoutProof
	client := make([]byte, sha256.Size)
	subtle.XORBytes(client, proof, keyed(x.verifier.storedKey, auth))
	stored := sha256.Sum256(client)
	if subtle.ConstantTimeCompare(stored[:], x.verifier.storedKey) != 1 || !x.known {
		return loginKeys{}, "", errProof
	}
	answer = "v=" + base64.StdEncoding.EncodeToString(keyed(x.verifier.serverKey, auth))
	return loginKeys{verifier: x.verifier, clientKey: client}, answer, nil
}

// scramAttribute takes "name=value" off the front, up to the next comma; 0 takes
// any name.
func scramAttribute(s string, name byte) (value, rest string, ok bool) {
	if len(s) < 2 || s[1] != '=' {
		return "", "", false
	}
	letter := s[0] | 0x20
	if letter < 'a' || letter > 'z' || name != 0 && s[0] != name {
		return "", "", false
	}
	value, rest, more := strings.Cut(s[2:], ",")
	if more && rest == "" { // a comma has to be followed by something
		return "", "", false
	}
	return value, rest, true
}

// scramClient is one exchange in which the proxy is the client.
type scramClient struct {
	// keys gives the keys for what the server asks for.
	keys func(salt []byte, iterations int) (loginKeys, error)
	// binding is the hash of the server's certificate; nil: there is none to bind to.
	binding []byte

	plus      bool
	gs2       string
	nonce     string
	auth      string
	proved    loginKeys
	concluded bool // the server has proved that it has the verifier
}

// first chooses among the mechanisms and makes the client-first-message.
func (x *scramClient) first(offered []string, secured bool) (mechanism, message string, err error) {
	has := map[string]bool{}
	for _, m := range offered {
		has[m] = true
	}
	switch {
	case has[mechanismPlus] && x.binding != nil:
		mechanism, x.plus, x.gs2 = mechanismPlus, true, "p="+bindingType+",,"
	case !has[mechanismSCRAM]:
		return "", "", fmt.Errorf("server offers no SCRAM-SHA-256 but %s", visible(strings.Join(offered, ", ")))
	case secured && x.binding != nil: // it could have been bound: whoever took PLUS out is found out
		mechanism, x.gs2 = mechanismSCRAM, "y,,"
	default:
		mechanism, x.gs2 = mechanismSCRAM, "n,,"
	}
	x.nonce = scramNonce()
	return mechanism, x.gs2 + "n=,r=" + x.nonce, nil
}

// respond answers the server-first-message.
func (x *scramClient) respond(message string) (string, error) {
	nonce, rest, ok := scramAttribute(message, 'r')
	salted, rest, ok2 := scramAttribute(rest, 's')
	iterations, _, ok3 := scramAttribute(rest, 'i')
	if !ok || !ok2 || !ok3 || x.nonce == "" || x.auth != "" {
		return "", errors.New("server's first SCRAM message is malformed")
	}
	if !strings.HasPrefix(nonce, x.nonce) || len(nonce) == len(x.nonce) {
		return "", errors.New("server's SCRAM nonce does not continue the proxy's")
	}
	salt, err := base64.StdEncoding.Strict().DecodeString(salted)
	n, err2 := strconv.Atoi(iterations)
	if err != nil || err2 != nil || len(salt) == 0 || n < 1 || n > maxIterations {
		return "", errors.New("server's first SCRAM message is malformed")
	}
	if x.proved, err = x.keys(salt, n); err != nil {
		return "", err
	}
	channel := []byte(x.gs2)
	if x.plus {
		channel = append(channel, x.binding...)
	}
	final := "c=" + base64.StdEncoding.EncodeToString(channel) + ",r=" + nonce
	x.auth = "n=,r=" + x.nonce + "," + message + "," + final
	proof := make([]byte, sha256.Size)
	subtle.XORBytes(proof, x.proved.clientKey, keyed(x.proved.storedKey, x.auth))
	return final + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

// conclude checks that the server has the verifier too.
func (x *scramClient) conclude(message string) error {
	signature, _, ok := scramAttribute(message, 'v')
	got, err := base64.StdEncoding.Strict().DecodeString(signature)
	if !ok || err != nil || x.auth == "" || !hmac.Equal(got, keyed(x.proved.serverKey, x.auth)) {
		return errors.New("server's SCRAM signature is wrong: it does not know the password's verifier")
	}
	x.concluded = true
	return nil
}

package proxy

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/xdg-go/scram"
	"golang.org/x/crypto/argon2"
)

// Password is what is kept of a person's password. The zero value opens nothing.
type Password struct {
	scram  *scram.StoredCredentials
	argon2 *argon2Hash
}

// scramIterations is PostgreSQL's default of scram_iterations.
const scramIterations = 4096

const (
	scramPrefix  = "SCRAM-SHA-256$"
	argon2Prefix = "argon2id:"
)

// ParsePassword reads the two forms in which a configuration may hold a password:
// a verifier as in pg_authid ("SCRAM-SHA-256$4096:salt$StoredKey:ServerKey"), or
// "argon2id:$argon2id$v=19$m=...,t=...,p=...$salt$hash". A password in clear is
// neither. The error does not repeat the text.
func ParsePassword(text string) (Password, error) {
	switch {
	case strings.HasPrefix(text, scramPrefix):
		v, err := parseSCRAM(text)
		return Password{scram: v}, err
	case strings.HasPrefix(text, argon2Prefix):
		h, err := parseArgon2(strings.TrimPrefix(text, argon2Prefix))
		return Password{argon2: h}, err
	}
	return Password{}, errors.New("neither a SCRAM-SHA-256 verifier nor an argon2id: hash; pgsluice password prints one")
}

// NewSCRAMVerifier is the verifier of a password in PostgreSQL's form.
func NewSCRAMVerifier(password string) (string, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	client, err := scram.SHA256.NewClient("", password, "")
	if err != nil {
		// As PostgreSQL and libpq do with what SASLprep forbids: take the bytes.
		if client, err = scram.SHA256.NewClientUnprepped("", password, ""); err != nil {
			return "", fmt.Errorf("prepare the password: %w", err)
		}
	}
	kept, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: scramIterations})
	if err != nil {
		return "", fmt.Errorf("derive the verifier: %w", err)
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s%d:%s$%s:%s", scramPrefix, scramIterations, b64(salt), b64(kept.StoredKey), b64(kept.ServerKey)), nil
}

func parseSCRAM(text string) (*scram.StoredCredentials, error) {
	v, err := parseVerifier(text)
	if err != nil {
		return nil, err
	}
	if v.iterations < scramIterations {
		return nil, fmt.Errorf("a SCRAM-SHA-256 verifier of a person needs at least %d iterations", scramIterations)
	}
	return &scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(v.salt), Iters: v.iterations},
		StoredKey:  v.storedKey,
		ServerKey:  v.serverKey,
	}, nil
}

// argon2Hash is the part of a PHC string that matters.
type argon2Hash struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

// argon2MaxMemory bounds what one login may take, in KiB.
const argon2MaxMemory = 256 << 10

func parseArgon2(text string) (*argon2Hash, error) {
	wrong := errors.New("an argon2id hash reads argon2id:$argon2id$v=19$m=19456,t=2,p=1$salt$hash")
	fields := strings.Split(strings.TrimPrefix(strings.TrimPrefix(text, "$argon2id"), "$"), "$")
	if len(fields) != 4 || fields[0] != "v=19" {
		return nil, wrong
	}
	h := &argon2Hash{}
	if n, err := fmt.Sscanf(fields[1], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); n != 3 || err != nil {
		return nil, wrong
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.DecodeString(strings.TrimRight(fields[2], "="))
	h.key, err2 = base64.RawStdEncoding.DecodeString(strings.TrimRight(fields[3], "="))
	if err1 != nil || err2 != nil || len(h.salt) < 8 || len(h.key) < 16 || h.time < 1 || h.threads < 1 {
		return nil, wrong
	}
	if h.memory > argon2MaxMemory || h.time > 16 || h.threads > 16 {
		return nil, fmt.Errorf("an argon2id hash may ask for at most m=%d,t=16,p=16", argon2MaxMemory)
	}
	return h, nil
}

func (h *argon2Hash) matches(password string) bool {
	got := argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(got, h.key) == 1
}

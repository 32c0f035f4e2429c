package proxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgsluice/pgsluice/policy"
)

// FuzzSCRAM: whatever a client says, it is not let in without the right proof, for a
// login that exists and for one that does not. "NONCE" in what it says last stands
// for the nonce that the proxy chose: without it nothing gets as far as the proof.
func FuzzSCRAM(f *testing.F) {
	file := filepath.Join(f.TempDir(), "verifiers")
	line := `"app" "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="`
	if err := os.WriteFile(file, []byte(line+"\n"), 0o600); err != nil {
		f.Fatal(err)
	}
	pol, err := policy.Parse("policy.yaml", []byte(allowAll), nil)
	if err != nil {
		f.Fatal(err)
	}
	p := testProxy(f, pol, func(context.Context) (net.Conn, error) { return nil, net.ErrClosed })
	p.verifiers = verifierFile(file)
	response := func(mechanism, message string) []byte {
		return appendFrame(nil, 'p', func(b []byte) []byte {
			b = appendCString(b, mechanism)
			return append(binary.BigEndian.AppendUint32(b, uint32(len(message))), message...)
		})
	}
	frame := func(message string) []byte {
		return appendFrame(nil, 'p', func(b []byte) []byte { return append(b, message...) })
	}
	proof := strings.Repeat("A", 43) + "="
	f.Add(true, false, response(mechanismSCRAM, "n,,n=,r=abc"), frame("c=biws,r=NONCE,p="+proof))
	f.Add(false, false, response(mechanismSCRAM, "n,,n=app,r=abc"), frame("c=biws,r=NONCE,p="+proof))
	f.Add(true, true, response(mechanismPlus, "p=tls-server-end-point,,n=,r=abc"),
		frame("c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsY2VydGlmaWNhdGU=,r=NONCE,p="+proof))
	f.Add(true, true, response(mechanismSCRAM, "y,,n=,r=abc"), frame("c=eSws,r=NONCE,p="+proof))
	f.Add(true, false, response(mechanismSCRAM, "n,a=app,n=,r=abc"), frame("c=biws,r=NONCE,x=1,p="+proof))
	f.Add(true, false, []byte("p\x00\x00\x00\x1bSCRAM-SHA-256\x00\xff\xff\xff\xff"), frame("n,,n=,r=abc"))
	f.Add(true, false, []byte("p\x7f\xff\xff\xff"), []byte("X\x00\x00\x00\x04"))
	f.Add(true, false, []byte("Q\x00\x00\x00\x0dSELECT 1\x00"), []byte{})
	f.Fuzz(func(t *testing.T, exists, overTLS bool, first, last []byte) {
		_, end := memPipe()
		client := &saying{memConn: end, said: bytes.Clone(first), last: string(last)}
		user := map[bool]string{true: "app", false: "nobody"}[exists]
		h := hello{conn: client, start: &startup{parameters: map[string]string{"user": user}, requested: 3 << 16}}
		if overTLS {
			h.tls, h.binding = true, []byte("certificate")
		}
		c, err := newSession(p, h, func() {}).authenticate(t.Context())
		if err == nil || c.answer != "" || c.keys.clientKey != nil {
			t.Fatalf("%s is let in with %q, %q", user, first, last)
		}
	})
}

// saying is the proxy's end towards a client that says one thing, another when it is
// challenged, and then hangs up.
type saying struct {
	*memConn
	said []byte
	last string
}

func (c *saying) Read(p []byte) (int, error) {
	if len(c.said) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.said)
	c.said = c.said[n:]
	return n, nil
}

func (c *saying) Write(p []byte) (int, error) {
	if p[0] == 'R' && binary.BigEndian.Uint32(p[headerLen:]) == authenticationSASLContinue {
		nonce, _, _ := strings.Cut(strings.TrimPrefix(string(p[headerLen+4:]), "r="), ",")
		said := []byte(strings.Replace(c.last, "NONCE", nonce, 1))
		if len(said) > max(len(c.last), headerLen) { // the nonce made it longer
			binary.BigEndian.PutUint32(said[1:], uint32(len(said)-1))
		}
		c.said, c.last = append(c.said, said...), ""
	}
	return len(p), nil
}

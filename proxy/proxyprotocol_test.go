package proxy

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// headerV2 is a header of version 2 with a length of its own.
func headerV2(command, family byte, length int, rest ...byte) string {
	return string(signatureV2) + string([]byte{command, family, byte(length >> 8), byte(length)}) + string(rest)
}

var (
	fourV2 = headerV2(0x21, 0x11, 12, 203, 0, 113, 7, 10, 0, 0, 1, 0xc3, 0x50, 0x19, 0x20)
	tlvV2  = headerV2(0x21, 0x11, 16, 203, 0, 113, 7, 10, 0, 0, 1, 0xc3, 0x50, 0x19, 0x20, 4, 0, 1, 0xff)
	sixV2  = headerV2(0x21, 0x21, 36, append(append(netip.MustParseAddr("2001:db8::7").AsSlice(), netip.MustParseAddr("2001:db8::1").AsSlice()...), 0xc3, 0x50, 0x19, 0x20)...)
)

func TestProxyHeader(t *testing.T) {
	for header, want := range map[string]string{
		"PROXY TCP4 203.0.113.7 10.0.0.1 50000 6432\r\n":    "203.0.113.7:50000",
		"PROXY TCP6 2001:db8::7 2001:db8::1 50000 6432\r\n": "[2001:db8::7]:50000",
		"PROXY UNKNOWN\r\n":                                             "none",
		"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n":                         "none",
		"PROXY UNKNOWN " + strings.Repeat("f", maxHeaderV1-16) + "\r\n": "none",
		fourV2:                           "203.0.113.7:50000",
		tlvV2:                            "203.0.113.7:50000",
		sixV2:                            "[2001:db8::7]:50000",
		headerV2(0x20, 0x00, 0):          "none", // LOCAL
		headerV2(0x20, 0x11, 2, 1, 2):    "none",
		headerV2(0x21, 0x00, 0):          "none", // of no family
		headerV2(0x21, 0x31, 3, 1, 2, 3): "none", // a Unix-domain socket
		headerV2(0x21, 0x12, 12, 203, 0, 113, 7, 10, 0, 0, 1, 0xc3, 0x50, 0x19, 0x20): "none", // UDP

		"PROXY TCP4 203.0.113.7 10.0.0.1 50000\r\n":          "version 1: not of the form",
		"PROXY TCP4  203.0.113.7 10.0.0.1 50000 6432\r\n":    "version 1: not of the form",
		"PROXY TCP5 203.0.113.7 10.0.0.1 50000 6432\r\n":     "version 1: not of the form",
		"PROXY TCP6 203.0.113.7 10.0.0.1 50000 6432\r\n":     "no address of its family",
		"PROXY TCP4 2001:db8::7 2001:db8::1 50000 6432\r\n":  "no address of its family",
		"PROXY TCP6 fe80::1%eth0 2001:db8::1 50000 6432\r\n": "no address of its family",
		"PROXY TCP4 203.0.113.7 10.0.0.1 65536 6432\r\n":     "no port",
		"PROXY TCP4 203.0.113.7 10.0.0.1 -1 6432\r\n":        "no port",
		"PROXY \r\n": "version 1: not of the form",
		"PROXY UNKNOWN " + strings.Repeat("f", maxHeaderV1):                           "the line has no end",
		"PROXY TCP4 203.0.113.7 10.0.0.1 50000 6432\n":                                "EOF",
		"proxy TCP4 203.0.113.7 10.0.0.1 50000 6432\r\n":                              "there is none",
		"\x00\x00\x00\x08\x04\xd2\x16\x2f":                                            "there is none", // SSLRequest
		headerV2(0x11, 0x11, 12):                                                      "unknown version and command 0x11",
		headerV2(0x22, 0x11, 12):                                                      "unknown version and command 0x22",
		headerV2(0x21, 0x11, 11, 203, 0, 113, 7, 10, 0, 0, 1, 0xc3, 0x50, 0x19):       "too short",
		headerV2(0x21, 0x21, 12, 203, 0, 113, 7, 10, 0, 0, 1, 0xc3, 0x50, 0x19, 0x20): "too short",
		headerV2(0x21, 0x11, maxHeaderV2+1):                                           "are announced",
		"\r\n\r\n\x00\r\nQUIT!\x21\x11\x00\x00":                                       "not its signature",
		fourV2[:20]:                                                                   "unexpected EOF",
		"":                                                                            "EOF",
	} {
		r := strings.NewReader(header)
		got, err := readProxyHeader(r)
		said := "none"
		switch {
		case err != nil:
			said = err.Error()
		case got.IsValid():
			said = got.String()
		}
		if !strings.Contains(said, want) {
			t.Errorf("%q: want %s, got %s", header, want, said)
		}
		if err == nil && r.Len() != 0 {
			t.Errorf("%q: %d bytes are left", header, r.Len())
		}
	}
}

// FuzzProxyHeader: it never reads past the header, whatever it is given, and
// takes no more than it may.
func FuzzProxyHeader(f *testing.F) {
	for _, seed := range []string{fourV2, tlvV2, sixV2, "PROXY TCP4 203.0.113.7 10.0.0.1 50000 6432\r\n", "PROXY UNKNOWN\r\n"} {
		f.Add([]byte(seed), []byte("\x00\x00\x00\x08\x04\xd2\x16\x2f"))
	}
	f.Fuzz(func(t *testing.T, header, behind []byte) {
		first, err := readProxyHeader(bytes.NewReader(header))
		if err != nil {
			return
		}
		r := bytes.NewReader(header)
		if _, err := readProxyHeader(r); err != nil {
			t.Fatal(err)
		}
		whole := header[:len(header)-r.Len()]
		if len(whole) > 16+maxHeaderV2 {
			t.Errorf("a header of %d bytes", len(whole))
		}
		all := bytes.NewReader(append(append([]byte(nil), whole...), behind...))
		again, err := readProxyHeader(all)
		if err != nil || again != first {
			t.Errorf("with more behind it: %v, %v", again, err)
		}
		if rest, _ := io.ReadAll(all); !bytes.Equal(rest, behind) {
			t.Errorf("%q is left of %q", rest, behind)
		}
		if first.IsValid() && first.Addr().Is4In6() {
			t.Errorf("%s does not match rules for IPv4", first)
		}
	})
}

// A balancer's word counts for rules, SHOW SESSIONS and the audit log, and only a
// balancer's.
func TestAddressThatABalancerGives(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	connect := func(r *running, header string) (*pgconn.PgConn, error) {
		c, err := pgconn.ParseConfig(cluster.DSNAt(r.addr, db, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		c.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err == nil {
				_, err = conn.Write([]byte(header))
			}
			return conn, err
		}
		conn, err := pgconn.ConnectConfig(t.Context(), c)
		if err == nil {
			t.Cleanup(func() { conn.Close(context.Background()) })
		}
		return conn, err
	}
	byAddress := "version: 1\nrules:\n  - {id: from-there, match: {statement: [insert], address: [203.0.113.0/24]}, action: block}\n"
	trusting := serveWith(t, cluster, byAddress, func(c *Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32")}
	})
	for header, want := range map[string]string{
		"PROXY TCP4 203.0.113.7 10.0.0.1 50000 6432\r\n": "203.0.113.7:50000",
		tlvV2:                "203.0.113.7:50000",
		headerV2(0x20, 0, 0): "127.0.0.1:",
	} {
		conn, err := connect(trusting, header)
		if err != nil {
			t.Fatalf("%q: %v", header, err)
		}
		sessions := trusting.proxy.Sessions()
		if got := sessions[len(sessions)-1].Address; !strings.HasPrefix(got, want) {
			t.Errorf("%q: the address is %s", header, got)
		}
		_, err = conn.Exec(t.Context(), "INSERT INTO log VALUES ('x')").ReadAll()
		if blocked := err != nil; blocked != (want == "203.0.113.7:50000") {
			t.Errorf("%q: %v", header, err)
		}
	}
	if _, err := connect(trusting, ""); err == nil {
		t.Error("who is trusted to give an address gave none, and was let in")
	}
	wary := serveWith(t, cluster, byAddress, func(c *Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
	for _, header := range []string{"PROXY TCP4 203.0.113.7 10.0.0.1 50000 6432\r\n", fourV2} {
		if _, err := connect(wary, header); err == nil {
			t.Errorf("an address was taken from anybody: %+v", wary.proxy.Sessions())
		}
	}
	if _, err := connect(wary, ""); err != nil {
		t.Errorf("who is not a balancer needs no header: %v", err)
	}
}

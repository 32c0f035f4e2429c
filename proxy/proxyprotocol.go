package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A balancer that opens connections of its own says with the PROXY protocol
// (versions 1 and 2, as HAProxy's specification has them) who the client is. The
// address decides what rules match and what the audit log says, so it is believed
// only of peers that the configuration trusts, and of those it is demanded: a
// client that reached them by another way could not be told from the balancer.
//
// It is read here and not by pires/go-proxyproto because what follows must not
// sit in a buffer of its own: the start-up reads exact sizes until TLS is settled
// (CVE-2021-23214).

const (
	// relayedTime is how long a balancer may take for its header, which it sends
	// at once.
	relayedTime = 5 * time.Second
	// maxHeaderV1 is the longest line of version 1, its end included.
	maxHeaderV1 = 107
	// maxHeaderV2 bounds what follows the first 16 bytes of version 2: addresses
	// take up to 216, and what balancers add (TLS facts, cloud endpoint IDs) some
	// hundreds.
	maxHeaderV2 = 4096
)

var signatureV2 = []byte("\r\n\r\n\x00\r\nQUIT\n")

// relayedConn is a connection that a trusted balancer has passed on.
type relayedConn struct {
	net.Conn
	client net.Addr
}

// RemoteAddr is the client's address, as the balancer gave it.
func (c *relayedConn) RemoteAddr() net.Addr { return c.client }

// relayed reads the header of a peer that is trusted to give the client's
// address; other connections come back as they are.
func (p *Proxy) relayed(conn net.Conn) (net.Conn, error) {
	peer := ipOf(conn.RemoteAddr())
	trusted := false
	for _, n := range p.c.TrustedProxies {
		trusted = trusted || n.Contains(peer)
	}
	if !trusted {
		return conn, nil
	}
	if err := conn.SetReadDeadline(time.Now().Add(relayedTime)); err != nil {
		return conn, fmt.Errorf("set deadline: %w", err)
	}
	client, err := readProxyHeader(conn)
	if err != nil {
		return conn, fmt.Errorf("read PROXY header: %w", err)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return conn, fmt.Errorf("clear deadline: %w", err)
	}
	if !client.IsValid() { // the balancer's own, a health check
		return conn, nil
	}
	return &relayedConn{conn, net.TCPAddrFromAddrPort(client)}, nil
}

// readProxyHeader reads exactly one header. The address is not valid when the
// header gives none (UNKNOWN, LOCAL, or not of IP).
func readProxyHeader(r io.Reader) (netip.AddrPort, error) {
	head := make([]byte, len("PROXY "), maxHeaderV1)
	if _, err := io.ReadFull(r, head); err != nil {
		return netip.AddrPort{}, err
	}
	switch {
	case string(head) == "PROXY ":
		return readHeaderV1(r, head)
	case bytes.HasPrefix(signatureV2, head):
		return readHeaderV2(r, head)
	}
	return netip.AddrPort{}, errors.New("there is none, and the peer is one of proxy_protocol.trusted")
}

// readHeaderV1 reads the line to its end, byte by byte: what follows is not the
// header's.
func readHeaderV1(r io.Reader, line []byte) (netip.AddrPort, error) {
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if len(line) == maxHeaderV1 {
			return netip.AddrPort{}, errors.New("version 1: the line has no end")
		}
		line = line[:len(line)+1]
		if _, err := io.ReadFull(r, line[len(line)-1:]); err != nil {
			return netip.AddrPort{}, err
		}
	}
	f := strings.Split(string(line[:len(line)-2]), " ")
	if f[1] == "UNKNOWN" { // "the receiver must ignore anything presented before the CRLF"
		return netip.AddrPort{}, nil
	}
	if len(f) != 6 || f[1] != "TCP4" && f[1] != "TCP6" {
		return netip.AddrPort{}, errors.New("version 1: not of the form PROXY TCP4 source destination port port")
	}
	client, err := netip.ParseAddr(f[2])
	if err != nil || client.Is4() != (f[1] == "TCP4") || client.Zone() != "" {
		return netip.AddrPort{}, errors.New("version 1: the source is no address of its family")
	}
	port, err := strconv.ParseUint(f[4], 10, 16)
	if err != nil {
		return netip.AddrPort{}, errors.New("version 1: the source's port is no port")
	}
	return netip.AddrPortFrom(client.Unmap(), uint16(port)), nil
}

func readHeaderV2(r io.Reader, start []byte) (netip.AddrPort, error) {
	var head [16]byte
	n := copy(head[:], start)
	if _, err := io.ReadFull(r, head[n:]); err != nil {
		return netip.AddrPort{}, err
	}
	command, family, length := head[12], head[13], int(binary.BigEndian.Uint16(head[14:]))
	switch {
	case !bytes.HasPrefix(head[:], signatureV2):
		return netip.AddrPort{}, errors.New("version 2: not its signature")
	case command>>4 != 2 || command&0xf > 1:
		return netip.AddrPort{}, fmt.Errorf("version 2: unknown version and command %#x", command)
	case length > maxHeaderV2:
		return netip.AddrPort{}, fmt.Errorf("version 2: %d bytes are announced, more than %d", length, maxHeaderV2)
	}
	rest := make([]byte, length) // the addresses, then TLVs that nobody here needs
	if _, err := io.ReadFull(r, rest); err != nil {
		return netip.AddrPort{}, err
	}
	if command&0xf == 0 { // LOCAL
		return netip.AddrPort{}, nil
	}
	size := 0
	switch family {
	case 0x11: // TCP over IPv4
		size = 4
	case 0x21: // TCP over IPv6
		size = 16
	default:
		return netip.AddrPort{}, nil
	}
	if length < 2*size+4 {
		return netip.AddrPort{}, errors.New("version 2: too short for its addresses")
	}
	client, _ := netip.AddrFromSlice(rest[:size])
	return netip.AddrPortFrom(client.Unmap(), binary.BigEndian.Uint16(rest[2*size:])), nil
}

// ipOf is the IP address of a; not valid for a Unix-domain socket.
func ipOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

package proxy

import (
	"net"
	"time"
)

// KeepAlive is how connections on both sides are probed. Half a minute of silence
// starts it, so that no NAT, firewall or balancer forgets the connection (the
// shortest common limit is 4 minutes) and no client is lost while it waits for
// people. Two minutes without an answer end it: a laptop that changes its network
// comes back before that, and what a session that never comes back has locked is
// free again.
var KeepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 9}

// silence is how long a side may be silent that ought to answer: as KeepAlive has
// it, for where bytes are under way and the kernel does not probe.
const silence = 2 * time.Minute

// tcpOf is the TCP connection under TLS and a balancer's header; nil if there is
// none.
func tcpOf(conn net.Conn) *net.TCPConn {
	for {
		switch c := conn.(type) {
		case *net.TCPConn:
			return c
		case *relayedConn:
			conn = c.Conn
		case interface{ NetConn() net.Conn }: // *tls.Conn
			conn = c.NetConn()
		default:
			return nil
		}
	}
}

// keepAliveOf sets KeepAlive, also for a listener that systemd handed over.
func keepAliveOf(conn net.Conn) {
	if t := tcpOf(conn); t != nil {
		_ = t.SetKeepAliveConfig(KeepAlive) // without it a dead connection only takes longer to be given up
	}
}

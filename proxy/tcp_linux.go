package proxy

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// giveUpAfter bounds how long what was written to conn may stay unacknowledged;
// 0 leaves it to the kernel, which takes a quarter of an hour. It is used only
// while a statement is held: then a client that vanished without a word would
// otherwise have its statement run for nobody, since unacknowledged notices keep
// the kernel from probing. At other times a client that just does not read
// (tcp(7): "or buffered data may remain untransmitted") must not be cut off.
func giveUpAfter(conn net.Conn, d time.Duration) {
	set := func(fd uintptr) { // without it the client is only given up later
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	}
	if c, ok := conn.(*loopConn); ok {
		c.control(set)
	} else if t := tcpOf(conn); t != nil {
		if raw, err := t.SyscallConn(); err == nil {
			_ = raw.Control(set)
		}
	}
}

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
	t := tcpOf(conn)
	if t == nil {
		return
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	// Without it the client is only given up later.
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}

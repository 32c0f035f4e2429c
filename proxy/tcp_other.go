//go:build !linux

package proxy

import (
	"net"
	"time"
)

// giveUpAfter does nothing where there is no TCP_USER_TIMEOUT: a client that has
// vanished is given up when the kernel gives it up.
func giveUpAfter(net.Conn, time.Duration) {}

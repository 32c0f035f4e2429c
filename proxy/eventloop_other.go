//go:build !linux

package proxy

import "net"

// eventLoop leaves connections to the runtime where there is no epoll.
type eventLoop struct{}

func (*eventLoop) close() {}

func (*eventLoop) mayWait() {}

func (*eventLoop) wakes() {}

func (*eventLoop) take(conn net.Conn) (net.Conn, error) { return conn, nil }

func serve(net.Conn, func(reading) (over bool, err error)) (served bool, err error) {
	return false, nil
}

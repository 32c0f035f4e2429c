package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What systemd passes to a service and wants to hear of it (sd_notify(3),
// sd_listen_fds(3), sd_watchdog_enabled(3)): a datagram and three variables, less
// than a dependency would be.

// manager is who started the service and wants to know how it stands. The zero
// value is nobody.
type manager struct {
	socket   string        // where to tell it; empty: nobody listens
	watchdog time.Duration // how often it wants to hear something, at least; 0: it does not
}

func managerFromEnvironment() manager {
	m := manager{socket: os.Getenv("NOTIFY_SOCKET")}
	forUs := os.Getenv("WATCHDOG_PID")
	if usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 &&
		(forUs == "" || forUs == strconv.Itoa(os.Getpid())) {
		m.watchdog = time.Duration(usec) * time.Microsecond
	}
	return m
}

// tell sends lines such as READY=1 as one datagram.
func (m manager) tell(lines ...string) error {
	if m.socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	return nil
}

// reloading is what systemd wants to hear when a reload begins: with the time,
// so that it can tell this READY=1 from an earlier one (Type=notify-reload).
func reloading() []string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return []string{"RELOADING=1"}
	}
	return []string{"RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000)}
}

const (
	firstPassed = 3 // SD_LISTEN_FDS_START
	// passedName is FileDescriptorName= of the socket for clients, where a unit
	// has more than one.
	passedName = "clients"
)

// passedListener is the socket that systemd listens on for us, or nil if there is
// none.
func passedListener() (net.Listener, error) {
	pid, count := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	if pid != strconv.Itoa(os.Getpid()) {
		return nil, nil // for another process: variables are inherited
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("LISTEN_FDS is %q", count)
	}
	at := 0
	switch {
	case n == 0:
		return nil, nil
	case n > 1:
		if at = slices.Index(names, passedName); at < 0 || at >= n || slices.Contains(names[at+1:], passedName) {
			return nil, fmt.Errorf("systemd passed %d sockets, of which exactly one has to have FileDescriptorName=%s", n, passedName)
		}
	}
	for fd := firstPassed; fd < firstPassed+n; fd++ {
		unix.CloseOnExec(fd)
	}
	file := os.NewFile(uintptr(firstPassed+at), passedName)
	defer file.Close() // FileListener has one of its own
	l, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("listen on the socket that systemd passed: %w", err)
	}
	return l, nil
}

// listen accepts clients on the socket that systemd passed, else on an address.
func listen(address string) (net.Listener, error) {
	l, err := passedListener()
	if l != nil || err != nil {
		return l, err
	}
	if l, err = net.Listen("tcp", address); err != nil {
		return nil, fmt.Errorf("listen for clients: %w", err)
	}
	return l, nil
}

// closed makes the error of a listener that was closed before none.
func closed(l net.Listener) error {
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

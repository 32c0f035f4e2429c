package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// startRelay starts this program as a relay that reads nothing: two goroutines
// for each session, as pgsluice has, and not a byte looked at. What it costs is
// what Go's network stack costs.
func startRelay(ctx context.Context, c *pgcluster.Cluster) (target, error) {
	self, err := os.Executable()
	if err != nil {
		return target{}, fmt.Errorf("find the relay: %w", err)
	}
	port, err := pgcluster.FreePort()
	if err != nil {
		return target{}, err
	}
	listen := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	return startProxy(ctx, "relay", port, exec.Command(self, "-relay", listen+","+c.Addr()))
}

// relay serves on one address and passes everything on to another.
func relay(listen, server string) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	for {
		client, err := l.Accept()
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		go func() {
			defer client.Close()
			s, err := net.Dial("tcp", server)
			if err != nil {
				return
			}
			go pump(s, client)
			pump(client, s)
		}()
	}
}

// pump is io.Copy without splice(2), which a proxy that reads cannot use.
func pump(from, to net.Conn) {
	defer to.Close()
	_, _ = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, 8192)) // either side ends it
}

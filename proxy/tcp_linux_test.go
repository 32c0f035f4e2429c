package proxy

import (
	"context"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

func option(t *testing.T, conn net.Conn, name int) (value int) {
	t.Helper()
	err := net.ErrClosed
	conn.(*loopConn).control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, name) })
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// A client is probed at all times; only while it is held is it given up for not
// acknowledging what it was sent.
func TestVanishedClientsAreGivenUp(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	r := serveWith(t, cluster, holdDeletes, nil)
	c := connectTo(t, cluster.DSNAt(r.addr, db, "alice")+"&sslmode=disable")
	conn := r.proxy.list()[0].client
	for name, want := range map[int]int{unix.TCP_KEEPIDLE: 30, unix.TCP_KEEPINTVL: 10, unix.TCP_KEEPCNT: 9, unix.TCP_NODELAY: 1, unix.TCP_USER_TIMEOUT: 0} {
		if got := option(t, conn, name); got != want {
			t.Errorf("option %d is %d, want %d", name, got, want)
		}
	}
	got := make(chan error, 1)
	go func() {
		_, err := c.PgConn().Exec(context.Background(), "DELETE FROM accounts").ReadAll()
		got <- err
	}()
	q := r.request(t)
	untilGivenUp := func(want int) {
		for option(t, conn, unix.TCP_USER_TIMEOUT) != want {
			if t.Context().Err() != nil {
				t.Fatal("it never was so")
			}
		}
	}
	untilGivenUp(int(silence.Milliseconds()))
	if _, err := r.service.Approve(t.Context(), q.ID, "bob", "psql", "checked"); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	untilGivenUp(0)
}

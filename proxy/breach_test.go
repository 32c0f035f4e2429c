package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// TestBreachAmongMeasuredCopyEndsTheSession: a client that goes on with its batch
// while the server reads COPY data from it breaks the protocol. The server ends the
// session, and the proxy must not go on waiting for the rest of the answer.
func TestBreachAmongMeasuredCopyEndsTheSession(t *testing.T) {
	cluster := pgcluster.Shared(t)
	r := serveWith(t, cluster, measureAll, nil)
	db := inventory(t, cluster)
	lines := strings.Split(`-> Parse "" "COPY log FROM STDIN"
-> Bind "" ""
-> Execute ""
-> Close S "n"
-> Parse "n" "SHOW DateStyle"
-> Bind "p" "n"
-> Execute "p"
-> Sync
-> Query "SELECT 1"
until EOF`, "\n")
	for _, size := range []int{1 << 20, 1, 64} {
		converseIn(t, r.addr, db, lines, size)
	}
	for deadline := time.Now().Add(30 * time.Second); len(r.proxy.Sessions()) > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("still there: %+v", r.proxy.Sessions())
		}
	}
}

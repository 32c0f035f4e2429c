package proxy

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

var conversations = flag.Duration("conversations", 0, "how long to hold random conversations, instead of a fixed number of them")

// said are the messages that random conversations are made of, legal or not at
// the place where they fall. {delete} is what one of the policies blocks.
var said = []string{
	`Query "SELECT 1"`, `Query ""`, `Query "SELECT 1/0"`, `Query "SELEC"`, `Query "BEGIN"`, `Query "COMMIT"`, `Query "ROLLBACK"`,
	`Query "INSERT INTO log VALUES ('q')"`, `Query "SELECT count(*) FROM log"`, `Query "INSERT INTO log VALUES ('m'); SELECT 2; SELECT 1/0"`,
	`Query "SAVEPOINT s"`, `Query "ROLLBACK TO s"`, `Query "SELECT 1; BEGIN; SELECT 2"`, `Query "COMMIT AND CHAIN"`,
	`Query "PREPARE a AS SELECT 3"`, `Query "EXECUTE a"`, `Query "DEALLOCATE a"`, `Query "DEALLOCATE ALL"`, `Query "DISCARD ALL"`,
	`Query "DECLARE p CURSOR FOR SELECT id FROM accounts ORDER BY id"`, `Query "FETCH 3 FROM p"`, `Query "CLOSE p"`,
	`Query "SET application_name = 'x'"`, `Query "SET LOCAL TimeZone = 'UTC'"`, `Query "DO $$ BEGIN RAISE NOTICE 'n'; END $$"`,
	`Query "LISTEN news; NOTIFY news, 'x'"`, `Query "VACUUM log"`, `Query "{delete}"`, `Query "SELECT 4; {delete}"`,
	`Query "COPY log FROM STDIN"`, `Query "COPY accounts FROM STDIN"`, `Query "COPY log TO STDOUT WHERE"`, `Query "COPY (SELECT 5) TO STDOUT"`,
	`Query "SELECT 6; COPY log FROM STDIN; SELECT 7"`,
	`Parse "" "SELECT 8"`, `Parse "a" "SELECT g FROM generate_series(1, 5) g"`, `Parse "b" "INSERT INTO log VALUES ('e')"`, `Parse "a" "SELECT $1::int"`,
	`Parse "" "SELEC"`, `Parse "" ""`, `Parse "" "COPY log FROM STDIN"`, `Parse "" "BEGIN"`, `Parse "" "COMMIT"`, `Parse "" "SELECT 1/0"`,
	`Parse "" "{delete}"`, `Parse "b" "{delete}"`, `Parse "" "VACUUM log"`, `Parse "" "INSERT INTO log VALUES ($1)"`,
	`Bind "" ""`, `Bind "" "a"`, `Bind "p" "a"`, `Bind "p" "b"`, `Bind "" "" 7`, `Bind "" "nobody"`,
	`Describe S ""`, `Describe S "a"`, `Describe P ""`, `Describe P "p"`,
	`Execute ""`, `Execute ""`, `Execute "" 2`, `Execute "p" 2`, `Execute "p"`, `Close S "a"`, `Close P "p"`, `Close S ""`,
	`Sync`, `Sync`, `Sync`, `Sync`, `Sync`, `Flush`, `Flush`,
	`CopyData "line\n"`, `CopyData "half "`, `CopyData "1\t2\t3\n"`, `CopyData "\\.\n"`, `CopyDone`, `CopyDone`, `CopyFail "no"`,
	`FunctionCall 0`, `FunctionCall 89`,
	`Bytes "B\x00\x00\x00\x05x"`, `Bytes "E\x00\x00\x00\x04"`, `Bytes "P\x00\x00\x00\x07a\x00b"`, `Bytes "S\x00\x00\x00\x05x"`, `Bytes "H\x00\x00\x00\x05x"`,
	`Bytes "Q\x00\x00\x00\x05x"`, `Bytes "D\x00\x00\x00\x06X\x00"`, `Bytes "F\x00\x00\x00\x05x"`, `Bytes "C\x00\x00\x00\x06X\x00"`,
	`Bytes "y\x00\x00\x00\x04"`, `Bytes "S\x00\x00\x00\x02"`, `Bytes "p\x00\x00\x00\x04"`, `Bytes "S\x7f\xff\xff\xff"`, `Bytes "X\x00\x00\x00\x04"`,
}

// closings are the endings that leave a session behind or end it; they would
// make most conversations short, so they are rarer than the others.
const closings = 5

const (
	deletes = "DELETE FROM accounts WHERE id = 1"
	notSQL  = "refused by nobody"
)

// conversation makes lines of bytes: the first says in what pieces they are
// written, each of the others is one message.
func conversation(b []byte) (lines []string, chop int) {
	if len(b) == 0 {
		return nil, 1
	}
	chop = []int{1 << 20, 1, 3, 64}[b[0]%4]
	for _, c := range b[1:min(len(b), 64)] {
		i := int(c) % len(said)
		if i >= len(said)-closings && c < 128 {
			i -= 2 * closings
		}
		lines = append(lines, "-> "+said[i])
	}
	return lines, chop
}

// oracle compares conversations with and without the proxy: on two databases
// that stay alike as long as the two sides say the same.
type oracle struct {
	cluster       *pgcluster.Cluster
	allow, block  string // addresses
	here, through string // databases
}

func newOracle(tb testing.TB) *oracle {
	tb.Helper()
	cluster := pgcluster.Shared(tb)
	return &oracle{
		cluster: cluster, here: inventory(tb, cluster), through: inventory(tb, cluster),
		allow: serveWith(tb, cluster, allowAll, nil).addr,
		block: serveWith(tb, cluster, `
version: 1
defaults: {allowed: allow, unparsed: allow, unknown: allow}
rules: [{id: deletes, match: {statement: [delete]}, action: block}]
`, nil).addr,
	}
}

// refusals are the errors that a refused statement and text that is not SQL end
// with, in or out of a failed transaction.
var refusals = regexp.MustCompile(`ErrorResponse (42601|42501|25P02) .*`)

// compare holds one conversation with the server and through the proxy. Under
// the policy that allows everything the transcripts are the same, byte by byte;
// under the one that blocks, a blocked statement ends as a syntax error in its
// place would. What the client may lose when a connection is reset depends on
// the network, so only what repeats counts.
func (o *oracle) compare(tb testing.TB, b []byte) {
	tb.Helper()
	lines, chop := conversation(b)
	for _, kind := range []struct{ policy, addr, here, there string }{
		{"allow", o.allow, deletes + " AND false", deletes + " AND false"},
		{"block", o.block, notSQL, deletes},
	} {
		var direct, through string
		for range 3 {
			direct = converse(tb, o.cluster.Addr(), o.here, written(lines, kind.here))
			through = converseIn(tb, o.addr(kind.policy), o.through, written(lines, kind.there), chop)
			if kind.policy == "block" {
				direct, through = refusals.ReplaceAllString(direct, "refused"), refusals.ReplaceAllString(through, "refused")
			}
			if direct == through {
				break
			}
		}
		if direct != through {
			tb.Fatalf("policy %s, pieces of %d\n%s\n\ndirectly:\n%s\nthrough the proxy:\n%s", kind.policy, chop, strings.Join(lines, "\n"), direct, through)
		}
	}
}

func (o *oracle) addr(policy string) string {
	if policy == "block" {
		return o.block
	}
	return o.allow
}

func written(lines []string, deleting string) []string {
	var list []string
	for _, l := range lines {
		list = append(list, strings.ReplaceAll(l, "{delete}", deleting))
	}
	return list
}

// TestRandomConversations: the client cannot tell from any sequence of messages
// that the proxy is there, nor do blocked statements shift what comes after them.
func TestRandomConversations(t *testing.T) {
	o := newOracle(t)
	began := time.Now()
	for seed := uint64(1); ; seed++ {
		if *conversations == 0 && seed > 150 || *conversations > 0 && time.Since(began) > *conversations {
			t.Logf("%d conversations", seed-1)
			break
		}
		r := rand.New(rand.NewPCG(seed, uint64(*conversations)))
		b := make([]byte, 2+r.IntN(40))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { o.compare(t, b) }) {
			break
		}
	}
	for _, db := range []string{o.here, o.through} {
		if n := psql(t, o.cluster, o.cluster.DSN(db, o.cluster.Superuser), "SELECT count(*) FROM accounts"); n != "100" {
			t.Errorf("%s rows are left", n)
		}
	}
}

// FuzzConversation is the same, led by coverage.
func FuzzConversation(f *testing.F) {
	o := newOracle(f)
	f.Add([]byte{0, 34, 48, 58, 66, 0})
	f.Add([]byte{1, 40, 48, 58, 66, 73, 77, 66})
	f.Fuzz(func(t *testing.T, b []byte) { o.compare(t, b) })
}

package proxy

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// startupPacketOf is a packet without a type byte: a code or version, and then
// strings, each with its NUL.
func startupPacketOf(code uint32, strings ...string) []byte {
	body := binary.BigEndian.AppendUint32(nil, code)
	for _, s := range strings {
		body = appendCString(body, s)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)
}

// TestOracleOfStartup begins sessions in every way that a client may, and in some
// that none should: the answers are those of the server, of whatever version, and
// what was asked for is in force.
func TestOracleOfStartup(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	r := serveWith(t, cluster, allowAll, nil)
	packet := func(version uint32, more ...string) []byte {
		return startupPacketOf(version, append(append([]string{"user", "alice", "database", db}, more...), "")...)
	}
	const v30, v31, v32, v33, grease = 3 << 16, 3<<16 | 1, 3<<16 | 2, 3<<16 | 3, 3<<16 | 9999
	for name, said := range map[string][][]byte{
		"3.0":                               {packet(v30)},
		"3.1":                               {packet(v31)},
		"3.2":                               {packet(v32)},
		"3.2 and an option of the protocol": {packet(v32, "_pq_.nobody_knows", "1")},
		"3.0 and options of the protocol":   {packet(v30, "_pq_.one", "1", "_pq_.two", "")},
		"a version that is none, and an option (grease)": {packet(grease, "_pq_.test_protocol_negotiation", "")},
		"3.3":                             {packet(v33)},
		"no user":                         {startupPacketOf(v30, "database", db, "")},
		"no such database":                {startupPacketOf(v30, "user", "alice", "database", "nowhere", "")},
		"no such role":                    {startupPacketOf(v30, "user", "nobody", "database", db, "")},
		"a parameter that nobody knows":   {packet(v30, "no_such_setting", "1")},
		"a value that is none":            {packet(v30, "extra_float_digits", "many")},
		"the last of equal names wins":    {packet(v30, "application_name", "first", "application_name", "last")},
		"direct, and in options":          {packet(v30, "options", "-c application_name=from-options", "application_name", "direct")},
		"role needs its place":            {packet(v30, "session_authorization", "alice", "role", "none")},
		"quoting in options":              {packet(v30, "options", `-c application_name=a\ b --TimeZone=Asia/Tokyo -c search_path=pg_catalog`)},
		"an empty name":                   {packet(v30, "application_name", "")},
		"strings that end elsewhere":      {packet(v30, "options", "-c standard_conforming_strings=off")},
		"the same, spelt another way":     {packet(v30, "Standard_Conforming_Strings", "off")},
		"the same, with dashes":           {packet(v30, "options", "--standard-conforming-strings=off")},
		"another encoding":                {packet(v30, "client_encoding", "LATIN1")},
		"an encoding with quotes in it":   {packet(v30, "client_encoding", "'SJIS'")},
		"no terminator":                   {startupPacketOf(v30, "user", "alice", "database", db)},
		"a name without a value":          {startupPacketOf(v30, "user", "alice", "database", db, "options")},
		"replication off, in other words": {packet(v30, "replication", "off")},
		"too short":                       {{0, 0, 0, 7, 0, 3, 0}},
		"too long":                        {{0, 0, 39, 17, 0, 3, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			direct := startUpAt(t, cluster.Addr(), said, 1<<20)
			for _, chop := range []int{1 << 20, 1} {
				if through := startUpAt(t, r.addr, said, chop); direct != through {
					t.Errorf("directly:\n%s\nthrough the proxy, in pieces of %d:\n%s", direct, chop, through)
				}
			}
		})
	}
}

// TestEncryptionIsDeclined: a client that asks for GSSAPI encryption, as any with a
// Kerberos ticket does, or for TLS where the proxy has no certificate, goes on
// without. (A server may have GSSAPI; a proxy cannot, as it could read nothing.)
func TestEncryptionIsDeclined(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	r := serveWith(t, cluster, allowAll, nil)
	packet := startupPacketOf(3<<16, "user", "alice", "database", db, "")
	gss, ssl := startupPacketOf(codeGSSENCRequest), startupPacketOf(codeSSLRequest)
	direct := startUpAt(t, cluster.Addr(), [][]byte{packet}, 1<<20)
	for name, asked := range map[string][][]byte{"GSSAPI": {gss}, "GSSAPI, TLS": {gss, ssl}, "TLS, GSSAPI": {ssl, gss}} {
		want := strings.Repeat("N <nil>\n", len(asked)) + direct
		if got := startUpAt(t, r.addr, append(asked, packet), 1); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
		}
	}
}

// startUpAt sends packets, waiting for the one byte that answers all but the
// last, and then asks for what matters of the session.
func startUpAt(t *testing.T, addr string, packets [][]byte, chop int) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	write := func(b []byte) {
		for len(b) > 0 {
			n := min(chop, len(b))
			if _, err := conn.Write(b[:n]); err != nil {
				return // what is read shows it
			}
			b = b[n:]
		}
	}
	var said strings.Builder
	reader := bufio.NewReader(conn)
	for _, p := range packets[:len(packets)-1] {
		write(p)
		answer, err := reader.ReadByte()
		fmt.Fprintf(&said, "%c %v\n", answer, err)
	}
	write(packets[len(packets)-1])
	write(appendFrame(nil, 'Q', func(b []byte) []byte {
		return appendCString(b, "SELECT current_user, session_user, current_setting('application_name'), current_setting('TimeZone'), "+
			"current_setting('search_path'), current_setting('standard_conforming_strings'), current_setting('client_encoding'), E'\\u00e9'")
	}))
	write([]byte{'X', 0, 0, 0, 4})
	for {
		frame, err := readFrame(reader)
		if err != nil {
			said.WriteString("closed\n")
			return said.String()
		}
		said.WriteString(rendered(frame, true))
		if frame[0] != 'E' { // those of the proxy name no place in PostgreSQL's source
			fmt.Fprintf(&said, " (%d bytes)", len(frame))
		}
		said.WriteString("\n")
	}
}

// TestKeysGoThrough: the process ID and the key of a session are the server's own,
// of whatever length, so that pg_backend_pid() is what libpq says it is, and a
// request with them cancels; one with part of the key does not.
func TestKeysGoThrough(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	r := serveWith(t, cluster, allowAll, nil)
	length := map[string]int{}
	for _, version := range []string{"3.0", "3.2"} {
		for where, addr := range map[string]string{"directly": cluster.Addr(), "through": r.addr} {
			c, err := pgx.Connect(t.Context(), cluster.DSNAt(addr, db, "alice")+"&max_protocol_version="+version)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close(t.Context())
			var pid uint32
			if err := c.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil || pid != c.PgConn().PID() {
				t.Errorf("%s, %s: the server says %d, the session %d (%v)", version, where, pid, c.PgConn().PID(), err)
			}
			key := c.PgConn().SecretKey()
			length[version+where] = len(key)
			got := make(chan error, 1)
			go func() {
				_, err := c.Exec(t.Context(), "SELECT pg_sleep(600)")
				got <- err
			}()
			sleeps := fmt.Sprintf("SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND query LIKE 'SELECT pg_sleep%%'", pid)
			for psql(t, cluster, cluster.DSN(db, cluster.Superuser), sleeps) != "1" {
			}
			for _, part := range [][]byte{key[:len(key)-1], append([]byte{key[0] ^ 1}, key[1:]...)} {
				if answer := cancelAt(t, addr, pid, part); answer != "" {
					t.Errorf("%s, %s: a request with another key was answered with %q", version, where, answer)
				}
			}
			select {
			case err := <-got:
				t.Fatalf("%s, %s: another key has cancelled it: %v", version, where, err)
			default:
			}
			if answer := cancelAt(t, addr, pid, key); answer != "" {
				t.Errorf("%s, %s: a request was answered with %q", version, where, answer)
			}
			var e *pgconn.PgError
			if err := <-got; !errors.As(err, &e) || e.Code != "57014" {
				t.Errorf("%s, %s: got %v", version, where, err)
			}
		}
		if length[version+"directly"] != length[version+"through"] {
			t.Errorf("%s: the key has %d bytes directly, %d through the proxy", version, length[version+"directly"], length[version+"through"])
		}
	}
}

// cancelAt sends a CancelRequest and returns what is answered: nothing, ever.
func cancelAt(t *testing.T, addr string, pid uint32, key []byte) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(cancelPacket(cancelRequest{pid: pid, key: key})); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1)
	n, _ := conn.Read(buf) // an end of file or a reset
	return string(buf[:n])
}

// describing are the commands of psql that ask the catalogue.
var describing = strings.Fields(`\d \d+ \da \dA \dAc \dAf \dAo \dAp \db \dc \dC \dConfig \dd \dD \ddp \dE \dew \des \deu \det \df \df+ \dF \dFd \dFp \dFt
	\dg \di \di+ \dl \dL \dm \dn \dn+ \do \dO \dp \dP \dP+ \drds \dRp \dRs \ds \dt \dt+ \dT \dT+ \du \dv \dx \dX \dy \l \l+ \z \sf+ \sv`)

// TestDescribeCommands: psql's \d family prints the same.
func TestDescribeCommands(t *testing.T) {
	cluster := pgcluster.Shared(t)
	db := inventory(t, cluster)
	psql(t, cluster, cluster.DSN(db, cluster.Superuser), `
		CREATE VIEW names AS SELECT name FROM accounts; CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM accounts;
		CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at); CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
		CREATE INDEX ON parts (at); CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
		CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2'; CREATE SEQUENCE numbers; CREATE STATISTICS st ON id, name FROM accounts;
		CREATE TRIGGER tr BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
		CREATE POLICY mine ON accounts USING (true); COMMENT ON TABLE accounts IS 'those who pay'; CREATE PUBLICATION pub FOR TABLE accounts;
		ALTER TABLE log ADD COLUMN account int REFERENCES accounts`)
	script := "\\set VERBOSITY verbose\n"
	for _, c := range describing {
		script += "\\echo == " + c + "\n" + c + "\n"
		for _, name := range []string{"accounts", "parts", "*.names", "twice(int)"} {
			script += c + " " + name + "\n"
		}
	}
	ask := func(dsn string) string {
		cmd := exec.CommandContext(t.Context(), cluster.Bin("psql"), "-X", "-d", dsn, "-f", "-")
		cmd.Stdin, cmd.Env = strings.NewReader(script), pgcluster.CleanEnv()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("psql: %v\n%s", err, out)
		}
		return string(out)
	}
	direct := ask(cluster.DSN(db, cluster.Superuser))
	for name, text := range map[string]string{"allow all": allowAll, "standard": "version: 1\ninclude: standard\nrules: []\n"} {
		through := ask(cluster.DSNAt(serveWith(t, cluster, text, nil).addr, db, cluster.Superuser))
		if direct != through {
			t.Errorf("%s: %d bytes directly, %d through the proxy", name, len(direct), len(through))
		}
	}
	if len(direct) < 20_000 {
		t.Errorf("psql printed %d bytes only", len(direct))
	}
}

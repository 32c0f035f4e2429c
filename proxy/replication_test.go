package proxy

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// TestReplication: a login that the configuration names streams changes through
// the proxy as it would without it, and its SQL is judged; any other is refused.
func TestReplication(t *testing.T) {
	cluster, err := pgcluster.Start(t.Context(), pgcluster.Options{Settings: map[string]string{"wal_level": "logical"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Stop() })
	db := inventory(t, cluster)
	super := cluster.DSN(db, cluster.Superuser)
	psql(t, cluster, super, "ALTER ROLE alice REPLICATION; CREATE ROLE bob LOGIN REPLICATION")
	r := serveWith(t, cluster, `
version: 1
defaults: {allowed: allow, unparsed: hold, unknown: hold}
rules:
  - {id: never, match: {statement: [drop_table]}, action: block}
  - {id: deletes, match: {statement: [delete]}, action: hold, approve: [{group: dba, count: 1}]}
`, func(c *Config) { c.Replication = []string{"alice"} })
	as := func(addr, user, kind string) string { return cluster.DSNAt(addr, db, user) + "&replication=" + kind }

	for _, kind := range []string{"database", "true", "on", "1"} {
		if out, err := psqlErr(t, cluster, as(r.addr, "bob", kind), "IDENTIFY_SYSTEM"); err == nil || !strings.Contains(out, "replication.allow") {
			t.Errorf("%s, not named in the configuration: %v\n%s", kind, err, out)
		}
	}
	for sql, want := range map[string]string{
		"SHOW port":                                 "",
		"SELECT 1":                                  "1",
		"DROP TABLE accounts":                       "blocked by rule never",
		"DELETE FROM accounts":                      "cannot be asked for on a replication connection",
		`IDENTIFY_SYSTEM\; DELETE FROM accounts`:    "syntax error",
		`DELETE FROM accounts\; IDENTIFY_SYSTEM`:    "approval",
		`identify_system\; DELETE FROM accounts`:    "approval",
		`SELECT 1 \bind \g`:                         "",
		"DO $$ BEGIN DELETE FROM accounts; END $$":  "approval",
		`/* */ START_REPLICATION\; DROP TABLE log`:  "approval",
		"\n\tREAD_REPLICATION_SLOT nobody":          "",
		"DROP_REPLICATION_SLOT nobody":              `"nobody" does not exist`,
		"START_REPLICATION SLOT nobody LOGICAL 0/0": `"nobody" does not exist`,
	} {
		out, _ := psqlErr(t, cluster, as(r.addr, "alice", "database"), sql)
		if !strings.Contains(out, want) {
			t.Errorf("%s: %s", sql, out)
		}
	}
	if n := psql(t, cluster, super, "SELECT count(*) FROM accounts"); n != "100" {
		t.Errorf("%s rows are left", n)
	}

	for _, slot := range []string{"direct", "through"} {
		psql(t, cluster, super, "SELECT pg_create_logical_replication_slot('"+slot+"', 'test_decoding')")
	}
	psql(t, cluster, super, "INSERT INTO log SELECT 'line ' || g FROM generate_series(1, 2000) g; UPDATE accounts SET name = 'x'")
	end := psql(t, cluster, super, "SELECT pg_current_wal_insert_lsn()")
	psql(t, cluster, super, "INSERT INTO log VALUES ('after')")
	stream := func(slot, addr string) string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, cluster.Bin("pg_recvlogical"), "-d", cluster.DSNAt(addr, db, "alice"), "--slot", slot,
			"--start", "--endpos", end, "--no-loop", "-f", "-")
		cmd.Env = pgcluster.CleanEnv()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("pg_recvlogical: %v\n%s", err, out)
		}
		return string(out)
	}
	direct, through := stream("direct", cluster.Addr()), stream("through", r.addr)
	if direct != through || strings.Count(direct, "\n") < 2100 {
		t.Errorf("%d lines and %d bytes directly, %d bytes through the proxy\n%.300s", strings.Count(direct, "\n"), len(direct), len(through), through)
	}
}

// TestBaseBackup: a backup taken through the proxy, with the log that is streamed
// beside it, is whole.
func TestBaseBackup(t *testing.T) {
	cluster, err := pgcluster.Start(t.Context(), pgcluster.Options{HBA: []string{
		"local all all trust", "host all all 127.0.0.1/32 scram-sha-256", "host replication backup 127.0.0.1/32 trust"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Stop() })
	db := inventory(t, cluster)
	psql(t, cluster, cluster.DSN(db, cluster.Superuser), "CREATE ROLE backup LOGIN REPLICATION")
	r := serveWith(t, cluster, holdDeletes, func(c *Config) { c.Replication = []string{"backup"} })
	dir := filepath.Join(t.TempDir(), "backup")
	for _, program := range [][]string{
		{"pg_basebackup", "-d", cluster.DSNAt(r.addr, db, "backup"), "-D", dir, "-X", "stream", "-c", "fast"},
		{"pg_verifybackup", "-q", dir},
	} {
		cmd := exec.CommandContext(t.Context(), cluster.Bin(program[0]), program[1:]...)
		cmd.Env = pgcluster.CleanEnv()
		out, err := cmd.CombinedOutput()
		if strings.Contains(string(out), "incompatible server version") {
			t.Skipf("the distribution's pg_basebackup is too old for the server: %s", out)
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", program[0], err, out)
		}
	}
}

package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// TestWhoMistypesIsToldByTheServer: what the server's own grammar refuses nobody
// needs to approve. What only the grammar here does not know is held.
func TestWhoMistypesIsToldByTheServer(t *testing.T) {
	cluster := pgcluster.Shared(t)
	database := cluster.NewDatabase(t)
	r := serveWith(t, cluster, "version: 1\ninclude: standard\nrules: []\n", func(c *Config) { c.MaxWait = 0 })
	// To PostgreSQL 15 and 16 json_table is a name, from 17 on it is a key word, as
	// it is to the parser here. RETURNING WITH is new in 18.
	if out, err := cluster.Psql(t.Context(), "-d", database, "-c", `CREATE TABLE "json_table" (id int); INSERT INTO "json_table" VALUES (1), (2)`); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	conn, err := pgconn.Connect(t.Context(), cluster.DSNAt(r.addr, database, cluster.Superuser))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	said := func(sql string) string {
		_, err := conn.Exec(t.Context(), sql).ReadAll()
		var refused *pgconn.PgError
		if errors.As(err, &refused) {
			return refused.Code + " " + refused.Message
		}
		return fmt.Sprint(err)
	}
	for _, sql := range []string{
		"DELETE FORM t", "DELETE FROM\u00a0t", "SELECT 1; DELET FROM t; DROP TABLE t", "DELETE FROM t WHERE a = 'x", "DELETE FROM t /* WHERE", "UPDATE t SET a = 1 WHRE b -- x",
		"DROP TABLE t; SELECT (", "DELETE FROM t WHERE a = $$ x", `DELETE FROM "t`, "BEGIN; DELETE FROM t; COMMIT; DELETE FROM",
	} {
		if got := said(sql); !strings.HasPrefix(got, "42601 ") || strings.Contains(got, "approval") {
			t.Errorf("%s: %s", sql, got)
		}
	}
	version := conn.ParameterStatus("server_version")
	newer := map[bool]string{true: "DELETE FROM json_table", false: `DELETE FROM "json_table" RETURNING WITH (OLD AS o) o.id`}[version < "17"]
	for _, sql := range []string{newer, newer + "; SELECT 1", newer + " -- x", newer + ";;", "/* x */" + newer} {
		if got := said(sql); !strings.Contains(got, "approval") && !strings.HasPrefix(version, "17") {
			t.Errorf("%s at version %s: %s", sql, version, got)
		}
	}
	// Inside a transaction the question leaves nothing behind either.
	for _, sql := range []string{"BEGIN", `INSERT INTO "json_table" VALUES (3)`, "SAVEPOINT s"} {
		if got := said(sql); got != "<nil>" {
			t.Fatalf("%s: %s", sql, got)
		}
	}
	if got := said("DELETE FORM t"); !strings.HasPrefix(got, "42601 ") || conn.TxStatus() != 'E' {
		t.Errorf("inside a transaction: %s, %c", got, conn.TxStatus())
	}
	for _, sql := range []string{"ROLLBACK TO s", "COMMIT"} {
		if got := said(sql); got != "<nil>" {
			t.Errorf("%s: %s", sql, got)
		}
	}
	if out, err := cluster.Psql(t.Context(), "-A", "-t", "-d", database, "-c", `SELECT count(*) FROM "json_table"`); err != nil || strings.TrimSpace(string(out)) != "3" {
		t.Errorf("%v: %s rows", err, out)
	}
}

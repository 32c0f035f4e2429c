package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const clientsFolder = "../testdata/clients"

// heldAllTheSame is what clients and migration tools send and the built-in
// policy holds by its text, with the rule and the reason why that is right. None
// of it is in the files of testdata/clients.
var heldAllTheSame = []struct{ client, sql, rule, why string }{
	{"django", `ALTER TABLE "django_content_type" DROP COLUMN "name" CASCADE`, "drop-cascade", "a column is gone, and whatever hangs on it"},
	{"django", `ALTER TABLE "auth_user" ALTER COLUMN "last_login" DROP NOT NULL`, "alter-guard", "a constraint is gone"},
	{"django", `ALTER TABLE "auth_user" ALTER COLUMN "email" TYPE varchar(254)`, "alter-rewrite",
		"whether it makes the type wider or cuts values off is not in the text"},
	{"django", `DROP TABLE "shopapp_a" CASCADE`, "drop-cascade", "a migration that deletes a model"},
	{"django", `ALTER TABLE "shopapp_a" RENAME COLUMN "n" TO "m"`, "rename", "what runs the old code fails from now on"},
	{"django", `TRUNCATE "auth_user", "shopapp_a"`, "truncate", "manage.py flush"},
	{"rails", `DROP TABLE "as"`, "drop", "a migration that deletes a table"},
	{"rails", `ALTER TABLE "as" DROP COLUMN "m"`, "alter-drop", "a column is gone"},
	{"rails", `ALTER TABLE "as" DISABLE TRIGGER ALL`, "disable-trigger", "loading of fixtures, which belongs to tests"},
	{"rails", `ALTER TABLE "as" ALTER COLUMN "n" TYPE text`, "alter-rewrite", "see django"},
	{"knex", `update "knex_migrations_lock" set "is_locked" = $1`, "no-where",
		"that the table has one row is not in the text: allow it with a rule of one's own that names the table"},
	{"knex", `drop table if exists "kx"`, "drop", "the way back of a migration"},
	{"sequelize", `DROP TABLE IF EXISTS "Us" CASCADE`, "drop-cascade", "sync with force"},
	{"sequelize", `ALTER TABLE "public"."Us" ALTER COLUMN "n" DROP NOT NULL`, "alter-guard", "sync with alter"},
	{"typeorm", `ALTER TABLE "te" DROP COLUMN "n"`, "alter-drop", "synchronize throws a column away that the code has not"},
	{"liquibase", `DELETE FROM public.databasechangeloglock`, "no-where",
		"once in the life of a database, on the table that it has just made; see knex"},
	{"liquibase", `ALTER TABLE public.person DROP COLUMN country`, "alter-drop", "a change set that drops"},
	{"flyway", `DROP SCHEMA "shop" CASCADE`, "drop-cascade", "flyway clean"},
	{"prisma", `DROP SCHEMA "public" CASCADE`, "drop-cascade", "prisma migrate reset"},
	{"prisma", `ALTER TABLE "User" DROP COLUMN "email"`, "alter-drop", "a migration that drops"},
	{"hibernate", `alter table if exists orders drop constraint if exists FK1`, "alter-guard", "hbm2ddl create-drop"},
	{"hibernate", `drop sequence if exists orders_seq`, "drop", "hbm2ddl create-drop"},
	{"pgbench", `drop table if exists pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers`, "drop", "pgbench -i drops tables of these names"},
	{"pgbench", `truncate pgbench_history`, "truncate", "pgbench without -n"},
	{"pgadmin", `SELECT pg_catalog.pg_stat_reset_single_table_counters(16400::oid)`, "server-function", "Reset Statistics, which a person chose"},
}

// TestClientsAreNeverInTheWay: what clients send by themselves runs under the
// built-in policy, outside and inside a transaction, by its text alone: the
// server is asked nothing.
func TestClientsAreNeverInTheWay(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(clientsFolder, "*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("%d files in %s", len(files), clientsFolder)
	}
	standard, reader := Standard(), NewReader()
	for _, file := range files {
		client := strings.TrimSuffix(filepath.Base(file), ".sql")
		t.Run(client, func(t *testing.T) {
			messages := messagesOf(t, file)
			if len(messages) < 3 {
				t.Fatalf("%d messages", len(messages))
			}
			for _, m := range messages {
				for _, f := range reader.Read(m, usual) {
					if f.Class == ClassUnparsed || f.Class == ClassUnparsedRead {
						t.Errorf("the grammar does not know it\n%s", m)
					}
					for _, inTransaction := range []bool{false, true} {
						s := Session{User: "alice", Database: "shop", Application: client, InTransaction: inTransaction}
						if d := standard.Decide(&s, f); !d.Verdict.Runs() {
							t.Errorf("in transaction %v: %s %s: %s\n%s", inTransaction, d.Verdict, d.ID(), d.Reason, m)
						}
					}
				}
			}
		})
	}
}

func TestWhatMigrationToolsTakeAwayIsHeld(t *testing.T) {
	standard, reader := Standard(), NewReader()
	for _, c := range heldAllTheSame {
		verdict, rule := Allow, ""
		for _, f := range reader.Read(c.sql, usual) {
			if d := standard.Decide(&Session{User: "alice", Application: c.client}, f); d.Verdict < verdict {
				verdict, rule = d.Verdict, d.ID()
			}
		}
		if verdict != Hold || rule != c.rule {
			t.Errorf("%s: %s %s, want hold %s (%s)\n%s", c.client, verdict, rule, c.rule, c.why, c.sql)
		}
	}
}

// messagesOf reads a file of messages, each of which ends in a line that is a
// semicolon.
func messagesOf(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "-- ") {
		t.Errorf("%s does not say where it is from", file)
	}
	messages := strings.Split(string(text), "\n;\n")
	if last := len(messages) - 1; strings.TrimSpace(messages[last]) != "" {
		t.Errorf("%s does not end in a line that is a semicolon", file)
	}
	return messages[:len(messages)-1]
}

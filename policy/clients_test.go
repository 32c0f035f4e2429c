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
	{"knex", `update "knex_migrations_lock" set "is_locked" = $1`, "no-where", "whose table it is says the catalogue: see toolTables"},
	{"knex", `delete from "knex_migrations_lock"`, "no-where", "knex migrate:unlock; see toolTables"},
	{"knex", `drop table if exists "kx"`, "drop", "the way back of a migration"},
	{"sequelize", `DROP TABLE IF EXISTS "Us" CASCADE`, "drop-cascade", "sync with force"},
	{"sequelize", `ALTER TABLE "public"."Us" ALTER COLUMN "n" DROP NOT NULL`, "alter-guard", "sync with alter"},
	{"typeorm", `CREATE EXTENSION IF NOT EXISTS "uuid-ossp"`, "server",
		"runs a script as the owner of the server; installExtensions: false leaves it out"},
	{"typeorm", `ALTER TABLE "te" DROP COLUMN "n"`, "alter-drop", "synchronize throws a column away that the code has not"},
	{"liquibase", `DELETE FROM public.databasechangeloglock`, "no-where", "once in the life of a database; see toolTables"},
	{"golang-migrate", `TRUNCATE "public"."schema_migrations"`, "truncate", "see toolTables"},
	{"tern", `update public.schema_version set version=$1`, "no-where", "see toolTables"},
	{"sequel", `UPDATE "schema_info" SET "version" = 1`, "no-where", "see toolTables"},
	{"mikro-orm", `drop table if exists "shop"."customer" cascade`, "drop-cascade", "an update of the schema drops tables that the code has not"},
	{"node-pg-migrate", `CREATE FUNCTION "f"() RETURNS int AS $pga$select 1$pga$ VOLATILE LANGUAGE sql`, "code", "a migration that makes a function"},
	{"pg-boss", `CREATE FUNCTION pgboss.delete_queue(queue_name text) RETURNS void AS $$ BEGIN DELETE FROM pgboss.queue WHERE name = queue_name; END $$ LANGUAGE plpgsql`,
		"code", "its schema, once for each version"},
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

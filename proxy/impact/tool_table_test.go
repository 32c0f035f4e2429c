package impact

import (
	"testing"

	"github.com/pgsluice/pgsluice/policy"
)

// The tables as the tools make them; see testdata/clients.
const toolTables = `
CREATE TABLE "knex_migrations_lock" ("index" serial primary key, "is_locked" integer);
INSERT INTO knex_migrations_lock (is_locked) VALUES (0);
CREATE TABLE public.databasechangeloglock (ID INTEGER NOT NULL, LOCKED BOOLEAN NOT NULL, LOCKGRANTED TIMESTAMP WITHOUT TIME ZONE,
  LOCKEDBY VARCHAR(255), CONSTRAINT databasechangeloglock_pkey PRIMARY KEY (ID));
CREATE TABLE "public"."schema_migrations" (version bigint not null primary key, dirty boolean not null);
INSERT INTO schema_migrations VALUES (7, false);
CREATE TABLE public.schema_version (version int4 NOT NULL);
INSERT INTO schema_version VALUES (3);
CREATE TABLE "schema_info" ("version" integer DEFAULT 0 NOT NULL);
INSERT INTO schema_info VALUES (3);
CREATE TABLE strapi_database_schema ("id" serial primary key, "schema" json, "time" timestamp, "hash" varchar(255));
INSERT INTO strapi_database_schema (schema) SELECT json_agg(i) FROM generate_series(1, 20000) i;
CREATE SCHEMA others;
CREATE VIEW others.knex_migrations_lock AS SELECT * FROM public.knex_migrations_lock;
CREATE TABLE others.schema_version (version int4 NOT NULL);
INSERT INTO others.schema_version SELECT generate_series(1, 10);
CREATE TABLE others.schema_info (version int4 NOT NULL);
INSERT INTO others.schema_info SELECT generate_series(1, 1000);
CREATE TABLE others.schema_migrations (LIKE public.schema_migrations INCLUDING ALL);
INSERT INTO others.schema_migrations VALUES (1, false);
CREATE TABLE others.step (of bigint REFERENCES others.schema_migrations);
SELECT pg_stat_force_next_flush();`

func TestTheLockOfAToolIsKnownByWhatTheServerSaysOfIt(t *testing.T) {
	clerk := database(t, toolTables+"GRANT USAGE ON SCHEMA others TO clerk")
	reader, standard := policy.NewReader(), policy.Standard()
	lexing := policy.Lexing{Encoding: "UTF8", StandardConformingStrings: true, Known: true}
	for sql, want := range map[string]policy.Verdict{
		`update "knex_migrations_lock" set "is_locked" = $1`: policy.Allow,
		"DELETE FROM public.databasechangeloglock":           policy.Allow,
		`TRUNCATE "public"."schema_migrations"`:              policy.Allow,
		"update public.schema_version set version=$1":        policy.Allow,
		`UPDATE "schema_info" SET "version" = 1`:             policy.Allow,
		"truncate strapi_database_schema":                    policy.Allow,
		"DELETE FROM schema_version":                         policy.Hold,
		"UPDATE others.knex_migrations_lock SET is_locked=0": policy.Hold, // a view
		"UPDATE others.schema_version SET version = 1":       policy.Hold, // ten rows
		"UPDATE others.schema_info SET version = 1":          policy.Hold, // five pages
		"TRUNCATE others.schema_migrations":                  policy.Hold, // a foreign key to it
	} {
		f := reader.Read(sql, lexing)[0]
		c := ask(t, clerk, f.Names()...)
		if d := standard.Decide(&policy.Session{User: "clerk"}, reader.Refine(f, c)); d.Verdict != want {
			t.Errorf("%s: %s %s\n%+v", sql, d.Verdict, d.ID(), c.Relations)
		}
	}
}

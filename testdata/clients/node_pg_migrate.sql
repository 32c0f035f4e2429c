-- What node-pg-migrate 9.0.0 sends: migrations up and down, with and without a transaction.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15. What is rightly held is in the test.
--
-- Each message ends in a line that is a semicolon.
SELECT pg_try_advisory_lock(7241865325823964) AS "lockObtained"
;
SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_name = 'pgmigrations'
;
CREATE TABLE "public"."pgmigrations" (id SERIAL PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL)
;
SELECT name FROM "public"."pgmigrations" ORDER BY run_on, id
;
BEGIN;
;
CREATE TABLE "users" (
  "id" serial PRIMARY KEY,
  "name" varchar(100) NOT NULL
);
;
CREATE INDEX "users_name_index" ON "users" ("name");
;
CREATE TYPE "mood" AS ENUM ($pga$a$pga$, $pga$b$pga$);
;
ALTER TABLE "users"
  ADD "m" mood;
;
ALTER TABLE "users"
  ADD CONSTRAINT "uq" UNIQUE ("name");
;
CREATE VIEW "v" AS select 1 as a;
;
insert into users(name) values('x');
;
INSERT INTO "public"."pgmigrations" (name, run_on) VALUES ('1700000000000_a', NOW());
;
COMMIT;
;
CREATE INDEX CONCURRENTLY "users_m_index" ON "users" ("m");
;
INSERT INTO "public"."pgmigrations" (name, run_on) VALUES ('1700000000001_b', NOW());
;
SELECT pg_advisory_unlock(7241865325823964) AS "lockReleased"
;
SELECT constraint_name FROM information_schema.table_constraints WHERE table_schema = 'public' AND table_name = 'pgmigrations' AND constraint_type = 'PRIMARY KEY'
;
DELETE FROM "public"."pgmigrations" WHERE name='1700000000001_b';
;
DELETE FROM "public"."pgmigrations" WHERE name='1700000000000_a';
;

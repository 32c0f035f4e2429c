-- What golang-migrate 4.20.1 sends: up, down and force, with lib/pq and with pgx.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15. What is rightly held is in the test.
--
-- Each message ends in a line that is a semicolon.
;
;
SELECT CURRENT_SCHEMA()
;
SELECT pg_advisory_lock($1)
;
SELECT COUNT(1) FROM information_schema.tables WHERE table_schema = $1 AND table_name = $2 LIMIT 1
;
CREATE TABLE IF NOT EXISTS "public"."schema_migrations" (version bigint not null primary key, dirty boolean not null)
;
SELECT pg_advisory_unlock($1)
;
SELECT version, dirty FROM "public"."schema_migrations" LIMIT 1
;
BEGIN READ WRITE
;
INSERT INTO "public"."schema_migrations" (version, dirty) VALUES ($1, $2)
;
COMMIT
;
CREATE TABLE gm (id int); CREATE INDEX ON gm (id);
;
ALTER TABLE gm ADD n text
;
SELECT 1
;
-- ping
;
CREATE TABLE IF NOT EXISTS "public"."pgx_migrations" (version bigint not null primary key, dirty boolean not null)
;
SELECT version, dirty FROM "public"."pgx_migrations" LIMIT 1
;
begin
;
INSERT INTO "public"."pgx_migrations" (version, dirty) VALUES ($1, $2)
;
commit
;

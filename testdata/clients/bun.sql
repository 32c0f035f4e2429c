-- What Bun 1.3.0 sends: migrations with their lock, queries.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15.
--
-- Each message ends in a line that is a semicolon.
CREATE TABLE IF NOT EXISTS bun_migrations ("id" BIGSERIAL NOT NULL, "name" VARCHAR, "group_id" BIGINT, "migrated_at" TIMESTAMPTZ NOT NULL DEFAULT current_timestamp, PRIMARY KEY ("id"))
;
CREATE TABLE IF NOT EXISTS bun_migration_locks ("id" BIGSERIAL NOT NULL, "table_name" VARCHAR, PRIMARY KEY ("id"), UNIQUE ("table_name"))
;
INSERT INTO bun_migration_locks ("id", "table_name") VALUES (DEFAULT, 'bun_migrations') RETURNING "id"
;
SELECT * FROM bun_migrations
;
INSERT INTO bun_migrations ("id", "name", "group_id", "migrated_at") VALUES (DEFAULT, '20260101000000', 1, DEFAULT) RETURNING "id", "migrated_at"
;
CREATE TABLE "ba" ("id" BIGSERIAL NOT NULL, "name" VARCHAR, PRIMARY KEY ("id"))
;
CREATE TABLE IF NOT EXISTS "bb" ("id" BIGSERIAL NOT NULL, "ba_id" BIGINT, PRIMARY KEY ("id"), FOREIGN KEY ("ba_id") REFERENCES "ba" ("id") ON DELETE CASCADE)
;
DELETE FROM bun_migration_locks WHERE ("table_name" = 'bun_migrations')
;
INSERT INTO "ba" ("id", "name") VALUES (DEFAULT, 'x') RETURNING "id"
;
INSERT INTO "bb" AS "bb" ("id", "ba_id") VALUES (DEFAULT, 1) ON CONFLICT (id) DO UPDATE SET "ba_id" = EXCLUDED."ba_id" RETURNING "id"
;
UPDATE "ba" AS "ba" SET "name" = 'x' WHERE ("ba"."id" = 1)
;
WITH "_data" ("id", "name") AS (VALUES (1::BIGINT, 'x'::VARCHAR)) UPDATE "ba" AS "ba" SET "name" = _data."name" FROM _data WHERE ("ba"."id" = _data."id")
;
SELECT "ba"."id", "ba"."name" FROM "ba" WHERE (name LIKE '%x') LIMIT 2
;
SELECT "bb"."id", "bb"."ba_id" FROM "bb" WHERE ("bb"."ba_id" IN (1))
;
BEGIN
;
SELECT count(*) FROM "ba"
;
SAVEPOINT SP_a16197ecd8ae353ec7fca377e3bc
;
SELECT "ba"."id", "ba"."name" FROM "ba" WHERE ("ba"."id" = 1) FOR UPDATE
;
RELEASE SAVEPOINT SP_a16197ecd8ae353ec7fca377e3bc
;
COMMIT
;
DELETE FROM "ba" AS "ba" WHERE "ba"."id" IN (1)
;
DELETE FROM bun_migrations WHERE (id = 1)
;

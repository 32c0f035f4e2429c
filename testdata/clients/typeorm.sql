-- What TypeORM sends: synchronize, migrations, the repository.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15 with typeorm from npm of that day.
--
-- Each message ends in a line that is a semicolon.
SELECT version()
;
SELECT * FROM current_schema()
;
START TRANSACTION
;
SELECT * FROM current_database()
;
SELECT "table_schema", "table_name", obj_description((quote_ident("table_schema") || '.' || quote_ident("table_name"))::regclass, 'pg_class') AS table_comment FROM "information_schema"."tables" WHERE ("table_schema" = 'public' AND "table_name" = 'te')
;
SELECT * FROM "information_schema"."tables" WHERE "table_schema" = $1 AND "table_name" = $2
;
CREATE TABLE "te" ("id" SERIAL NOT NULL, "n" character varying, CONSTRAINT "PK_1a2e8ae957467521ef49d6100b9" PRIMARY KEY ("id"))
;
COMMIT
;
INSERT INTO "te"("n") VALUES ($1) RETURNING "id"
;
SELECT "te"."id" AS "te_id", "te"."n" AS "te_n" FROM "te" "te" WHERE "te"."id" = $1
;
UPDATE "te" SET "n" = $1 WHERE "id" = $2
;
DELETE FROM "te" WHERE "id" = $1
;
SELECT "te"."id" AS "te_id", "te"."n" AS "te_n" FROM "te" "te"
;
CREATE TABLE "migrations" ("id" SERIAL NOT NULL, "timestamp" bigint NOT NULL, "name" character varying NOT NULL, CONSTRAINT "PK_8c82d7f526340ab734260ea46be" PRIMARY KEY ("id"))
;
SELECT * FROM "migrations" "migrations" ORDER BY "id" DESC
;

-- What TypeORM 1.1.1 sends: synchronize, migrations, the repository.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15. What is rightly held is in the test.
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
SELECT "table_schema", "table_name", obj_description((quote_ident("table_schema") || '.' || quote_ident("table_name"))::regclass, 'pg_class') AS table_comment FROM "information_schema"."tables" WHERE ("table_schema" = 'public' AND "table_name" = 'te') OR ("table_schema" = 'public' AND "table_name" = 'tf')
;
SELECT * FROM "information_schema"."tables" WHERE "table_schema" = $1 AND "table_name" = $2
;
SELECT "n"."nspname", "t"."typname" FROM "pg_type" "t" INNER JOIN "pg_namespace" "n" ON "n"."oid" = "t"."typnamespace" WHERE "n"."nspname" = 'public' AND "t"."typname" = 'te_e_enum'
;
CREATE TYPE "public"."te_e_enum" AS ENUM('a', 'b')
;
CREATE TABLE "te" ("id" SERIAL NOT NULL, "n" character varying, "e" "public"."te_e_enum", "at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(), "gone" TIMESTAMP WITH TIME ZONE, CONSTRAINT "PK_1a2e8ae957467521ef49d6100b9" PRIMARY KEY ("id"))
;
CREATE INDEX "IDX_f15d2df389ce7dee4f9f855094" ON "te"  ("n")
;
CREATE TABLE "tf" ("id" uuid NOT NULL DEFAULT uuid_generate_v4(), "teId" integer, CONSTRAINT "PK_417994177679361726bcfedbdd9" PRIMARY KEY ("id"))
;
ALTER TABLE "tf" ADD CONSTRAINT "FK_34abced9fdf295a95d18d0d2168" FOREIGN KEY ("teId") REFERENCES "te"("id") ON DELETE CASCADE ON UPDATE NO ACTION
;
COMMIT
;
SELECT TRUE FROM information_schema.columns WHERE table_name = 'pg_class' and column_name = 'relispartition'
;
SELECT columns.*, pg_catalog.col_description((quote_ident(table_catalog) || '.' || quote_ident(table_schema) || '.' || quote_ident(table_name))::regclass::oid, ordinal_position) AS description, ('"' || "udt_schema" || '"."' || "udt_name" || '"')::"regtype"::text AS "regtype", pg_catalog.format_type("col_attr"."atttypid", "col_attr"."atttypmod") AS "format_type" FROM "information_schema"."columns" LEFT JOIN "pg_catalog"."pg_attribute" AS "col_attr" ON "col_attr"."attname" = "columns"."column_name" AND "col_attr"."attrelid" = ( SELECT "cls"."oid" FROM "pg_catalog"."pg_class" AS "cls" LEFT JOIN "pg_catalog"."pg_namespace" AS "ns" ON "ns"."oid" = "cls"."relnamespace" WHERE "cls"."relname" = "columns"."table_name" AND "ns"."nspname" = "columns"."table_schema" ) WHERE ("table_schema" = 'public' AND "table_name" = 'te') OR ("table_schema" = 'public' AND "table_name" = 'tf')
;
SELECT "ns"."nspname" AS "table_schema", "t"."relname" AS "table_name", "cnst"."conname" AS "constraint_name", pg_get_constraintdef("cnst"."oid") AS "expression", CASE "cnst"."contype" WHEN 'p' THEN 'PRIMARY' WHEN 'u' THEN 'UNIQUE' WHEN 'c' THEN 'CHECK' WHEN 'x' THEN 'EXCLUDE' END AS "constraint_type", "a"."attname" AS "column_name" FROM "pg_constraint" "cnst" INNER JOIN "pg_class" "t" ON "t"."oid" = "cnst"."conrelid" INNER JOIN "pg_namespace" "ns" ON "ns"."oid" = "cnst"."connamespace" LEFT JOIN "pg_attribute" "a" ON "a"."attrelid" = "cnst"."conrelid" AND "a"."attnum" = ANY ("cnst"."conkey") WHERE "t"."relkind" IN ('r', 'p') AND (("ns"."nspname" = 'public' AND "t"."relname" = 'te') OR ("ns"."nspname" = 'public' AND "t"."relname" = 'tf'))
;
SELECT "ns"."nspname" AS "table_schema", "t"."relname" AS "table_name", "i"."relname" AS "constraint_name", "a"."attname" AS "column_name", CASE "ix"."indisunique" WHEN 't' THEN 'TRUE' ELSE'FALSE' END AS "is_unique", pg_get_expr("ix"."indpred", "ix"."indrelid") AS "condition", "types"."typname" AS "type_name", "am"."amname" AS "index_type" FROM "pg_class" "t" INNER JOIN "pg_index" "ix" ON "ix"."indrelid" = "t"."oid" INNER JOIN "pg_attribute" "a" ON "a"."attrelid" = "t"."oid"  AND "a"."attnum" = ANY ("ix"."indkey") INNER JOIN "pg_namespace" "ns" ON "ns"."oid" = "t"."relnamespace" INNER JOIN "pg_class" "i" ON "i"."oid" = "ix"."indexrelid" INNER JOIN "pg_type" "types" ON "types"."oid" = "a"."atttypid" INNER JOIN "pg_am" "am" ON "i"."relam" = "am"."oid" LEFT JOIN "pg_constraint" "cnst" ON "cnst"."conname" = "i"."relname" WHERE "t"."relkind" IN ('r', 'p') AND "cnst"."contype" IS NULL AND (("ns"."nspname" = 'public' AND "t"."relname" = 'te') OR ("ns"."nspname" = 'public' AND "t"."relname" = 'tf'))
;
SELECT "con"."conname" AS "constraint_name", "con"."nspname" AS "table_schema", "con"."relname" AS "table_name", "att2"."attname" AS "column_name", "ns"."nspname" AS "referenced_table_schema", "cl"."relname" AS "referenced_table_name", "att"."attname" AS "referenced_column_name", "con"."confdeltype" AS "on_delete", "con"."confupdtype" AS "on_update", "con"."condeferrable" AS "deferrable", "con"."condeferred" AS "deferred" FROM ( SELECT UNNEST ("con1"."conkey") AS "parent", UNNEST ("con1"."confkey") AS "child", "con1"."confrelid", "con1"."conrelid", "con1"."conname", "con1"."contype", "ns"."nspname", "cl"."relname", "con1"."condeferrable", CASE WHEN "con1"."condeferred" THEN 'INITIALLY DEFERRED' ELSE 'INITIALLY IMMEDIATE' END as condeferred, CASE "con1"."confdeltype" WHEN 'a' THEN 'NO ACTION' WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' END as "confdeltype", CASE "con1"."confupdtype" WHEN 'a' THEN 'NO ACTION' WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' END as "confupdtype" FROM "pg_class" "cl" INNER JOIN "pg_namespace" "ns" ON "cl"."relnamespace" = "ns"."oid" INNER JOIN "pg_constraint" "con1" ON "con1"."conrelid" = "cl"."oid" WHERE "con1"."contype" = 'f' AND (("ns"."nspname" = 'public' AND "cl"."relname" = 'te') OR ("ns"."nspname" = 'public' AND "cl"."relname" = 'tf')) ) "con" INNER JOIN "pg_attribute" "att" ON "att"."attrelid" = "con"."confrelid" AND "att"."attnum" = "con"."child" INNER JOIN "pg_class" "cl" ON "cl"."oid" = "con"."confrelid"  AND "cl"."relispartition" = 'f'INNER JOIN "pg_namespace" "ns" ON "cl"."relnamespace" = "ns"."oid" INNER JOIN "pg_attribute" "att2" ON "att2"."attrelid" = "con"."conrelid" AND "att2"."attnum" = "con"."parent"
;
SELECT "udt_schema", "udt_name" FROM "information_schema"."columns" WHERE "table_schema" = 'public' AND "table_name" = 'te' AND "column_name"='e'
;
SELECT "e"."enumlabel" AS "value" FROM "pg_enum" "e" INNER JOIN "pg_type" "t" ON "t"."oid" = "e"."enumtypid" INNER JOIN "pg_namespace" "n" ON "n"."oid" = "t"."typnamespace" WHERE "n"."nspname" = 'public' AND "t"."typname" = 'te_e_enum' ORDER BY "e"."enumsortorder"
;
CREATE TABLE "migrations" ("id" SERIAL NOT NULL, "timestamp" bigint NOT NULL, "name" character varying NOT NULL, CONSTRAINT "PK_8c82d7f526340ab734260ea46be" PRIMARY KEY ("id"))
;
SELECT * FROM "migrations" "migrations" ORDER BY "id" DESC
;
create table "tm" (id int)
;
INSERT INTO "migrations"("timestamp", "name") VALUES ($1, $2)
;
DELETE FROM "migrations" WHERE "timestamp" = $1 AND "name" = $2
;
INSERT INTO "te"("n", "e", "at", "gone") VALUES ($1, $2, DEFAULT, DEFAULT) RETURNING "id", "at", "gone"
;
SELECT "te"."id" AS "te_id", "te"."n" AS "te_n", "te"."e" AS "te_e", "te"."at" AS "te_at", "te"."gone" AS "te_gone" FROM "te" "te" WHERE "te"."id" = $1
;
UPDATE "te" SET "n" = $1 WHERE "id" = $2
;
SELECT "te"."id" AS "te_id", "te"."n" AS "te_n", "te"."e" AS "te_e", "te"."at" AS "te_at", "te"."gone" AS "te_gone" FROM "te" "te" WHERE ( (("te"."n" = $1)) ) AND ( "te"."gone" IS NULL ) LIMIT 2
;
SELECT "te"."id" AS "te_id", "te"."n" AS "te_n", "te"."e" AS "te_e", "te"."at" AS "te_at", "te"."gone" AS "te_gone" FROM "te" "te" WHERE ( (("te"."id" = $1)) ) AND ( "te"."gone" IS NULL ) LIMIT 1
;
INSERT INTO "te"("n", "e", "at", "gone") VALUES ($1, DEFAULT, DEFAULT, DEFAULT) ON CONFLICT ( "id" ) DO UPDATE SET "id" = EXCLUDED."id", "n" = EXCLUDED."n" RETURNING "id", "at", "gone"
;
UPDATE "te" SET "id" = "id" + 10 WHERE "id" = $1
;
INSERT INTO "tf"("id", "teId") VALUES (DEFAULT, $1) RETURNING "id"
;
SELECT "tf"."id" AS "tf_id", "tf"."teId" AS "tf_teId", "tf__tf_te"."id" AS "tf__tf_te_id", "tf__tf_te"."n" AS "tf__tf_te_n", "tf__tf_te"."e" AS "tf__tf_te_e", "tf__tf_te"."at" AS "tf__tf_te_at", "tf__tf_te"."gone" AS "tf__tf_te_gone" FROM "tf" "tf" LEFT JOIN "te" "tf__tf_te" ON "tf__tf_te"."id"="tf"."teId" AND ("tf__tf_te"."gone" IS NULL)
;
SELECT "te"."id" AS "te_id", "te"."n" AS "te_n", "te"."e" AS "te_e", "te"."at" AS "te_at", "te"."gone" AS "te_gone" FROM "te" "te" WHERE ( (("te"."id" = $1)) ) AND ( "te"."gone" IS NULL ) LIMIT 1 FOR UPDATE
;
SAVEPOINT typeorm_1
;
SELECT COUNT(1) AS "cnt" FROM "te" "te" WHERE "te"."gone" IS NULL
;
RELEASE SAVEPOINT typeorm_1
;
UPDATE "te" SET "gone" = CURRENT_TIMESTAMP WHERE "id" = $1 AND "gone" IS NULL
;
UPDATE "te" SET "gone" = NULL WHERE "id" = $1 AND "gone" IS NOT NULL
;
DELETE FROM "te" WHERE "id" = $1
;
SELECT "te"."id" AS "te_id", "te"."n" AS "te_n", "te"."e" AS "te_e", "te"."at" AS "te_at", "te"."gone" AS "te_gone" FROM "te" "te" WHERE "te"."gone" IS NULL
;

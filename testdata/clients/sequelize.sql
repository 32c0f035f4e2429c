-- What Sequelize 6.37.8 and Umzug 3.8.3 send: authenticate, sync, introspection, migrations,
-- queries.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15. What is rightly held is in the test.
--
-- Each message ends in a line that is a semicolon.
SET client_min_messages TO warning;SET TIME ZONE INTERVAL '+00:00' HOUR TO MINUTE;
;
WITH ranges AS (  SELECT pg_range.rngtypid, pg_type.typname AS rngtypname,         pg_type.typarray AS rngtyparray, pg_range.rngsubtype    FROM pg_range LEFT OUTER JOIN pg_type ON pg_type.oid = pg_range.rngtypid)SELECT pg_type.typname, pg_type.typtype, pg_type.oid, pg_type.typarray,       ranges.rngtypname, ranges.rngtypid, ranges.rngtyparray  FROM pg_type LEFT OUTER JOIN ranges ON pg_type.oid = ranges.rngsubtype WHERE (pg_type.typtype IN('b', 'e'));
;
SELECT 1+1 AS result
;
SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_name = 'Us'
;
SELECT t.typname enum_name, array_agg(e.enumlabel ORDER BY enumsortorder) enum_value FROM pg_type t JOIN pg_enum e ON t.oid = e.enumtypid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = 'public' AND t.typname='enum_Us_e' GROUP BY 1
;
DO 'BEGIN CREATE TYPE "public"."enum_Us_e" AS ENUM(''a'', ''b''); EXCEPTION WHEN duplicate_object THEN null; END';
;
CREATE TABLE IF NOT EXISTS "Us" ("id"   SERIAL , "n" VARCHAR(255), "e" "public"."enum_Us_e", "j" JSONB, "createdAt" TIMESTAMP WITH TIME ZONE NOT NULL, "updatedAt" TIMESTAMP WITH TIME ZONE NOT NULL, "deletedAt" TIMESTAMP WITH TIME ZONE, PRIMARY KEY ("id"));
;
SELECT i.relname AS name, ix.indisprimary AS primary, ix.indisunique AS unique, ix.indkey AS indkey, array_agg(a.attnum) as column_indexes, array_agg(a.attname) AS column_names, pg_get_indexdef(ix.indexrelid) AS definition FROM pg_class t, pg_class i, pg_index ix, pg_attribute a WHERE t.oid = ix.indrelid AND i.oid = ix.indexrelid AND a.attrelid = t.oid AND t.relkind = 'r' and t.relname = 'Us' GROUP BY i.relname, ix.indexrelid, ix.indisprimary, ix.indisunique, ix.indkey ORDER BY i.relname;
;
CREATE INDEX "us_n" ON "Us" ("n")
;
SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_name = 'Vs'
;
CREATE TABLE IF NOT EXISTS "Vs" ("id"   SERIAL , "createdAt" TIMESTAMP WITH TIME ZONE NOT NULL, "updatedAt" TIMESTAMP WITH TIME ZONE NOT NULL, "UId" INTEGER REFERENCES "Us" ("id") ON DELETE SET NULL ON UPDATE CASCADE, PRIMARY KEY ("id"));
;
SELECT i.relname AS name, ix.indisprimary AS primary, ix.indisunique AS unique, ix.indkey AS indkey, array_agg(a.attnum) as column_indexes, array_agg(a.attname) AS column_names, pg_get_indexdef(ix.indexrelid) AS definition FROM pg_class t, pg_class i, pg_index ix, pg_attribute a WHERE t.oid = ix.indrelid AND i.oid = ix.indexrelid AND a.attrelid = t.oid AND t.relkind = 'r' and t.relname = 'Vs' GROUP BY i.relname, ix.indexrelid, ix.indisprimary, ix.indisunique, ix.indkey ORDER BY i.relname;
;
SELECT pk.constraint_type as "Constraint",c.column_name as "Field", c.column_default as "Default",c.is_nullable as "Null", (CASE WHEN c.udt_name = 'hstore' THEN c.udt_name ELSE c.data_type END) || (CASE WHEN c.character_maximum_length IS NOT NULL THEN '(' || c.character_maximum_length || ')' ELSE '' END) as "Type", (SELECT array_agg(e.enumlabel) FROM pg_catalog.pg_type t JOIN pg_catalog.pg_enum e ON t.oid=e.enumtypid WHERE t.typname=c.udt_name) AS "special", (SELECT pgd.description FROM pg_catalog.pg_statio_all_tables AS st INNER JOIN pg_catalog.pg_description pgd on (pgd.objoid=st.relid) WHERE c.ordinal_position=pgd.objsubid AND c.table_name=st.relname) AS "Comment" FROM information_schema.columns c LEFT JOIN (SELECT tc.table_schema, tc.table_name, cu.column_name, tc.constraint_type FROM information_schema.TABLE_CONSTRAINTS tc JOIN information_schema.KEY_COLUMN_USAGE  cu ON tc.table_schema=cu.table_schema and tc.table_name=cu.table_name and tc.constraint_name=cu.constraint_name and tc.constraint_type='PRIMARY KEY') pk ON pk.table_schema=c.table_schema AND pk.table_name=c.table_name AND pk.column_name=c.column_name WHERE c.table_name = 'Us' AND c.table_schema = 'public'
;
SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type LIKE '%TABLE' AND table_name != 'spatial_ref_sys';
;
SELECT DISTINCT tc.constraint_name as constraint_name, tc.constraint_schema as constraint_schema, tc.constraint_catalog as constraint_catalog, tc.table_name as table_name,tc.table_schema as table_schema,tc.table_catalog as table_catalog,tc.initially_deferred as initially_deferred,tc.is_deferrable as is_deferrable,kcu.column_name as column_name,ccu.table_schema  AS referenced_table_schema,ccu.table_catalog  AS referenced_table_catalog,ccu.table_name  AS referenced_table_name,ccu.column_name AS referenced_column_name FROM information_schema.table_constraints AS tc JOIN information_schema.key_column_usage AS kcu ON tc.constraint_name = kcu.constraint_name JOIN information_schema.constraint_column_usage AS ccu ON ccu.constraint_name = tc.constraint_name WHERE constraint_type = 'FOREIGN KEY' AND tc.table_name = 'Vs' AND tc.table_catalog = 'sequelize'
;
SELECT schema_name FROM information_schema.schemata WHERE schema_name <> 'information_schema' AND schema_name != 'public' AND schema_name !~ E'^pg_';
;
ALTER TABLE "public"."Us" ADD COLUMN "added" INTEGER;
;
CREATE INDEX "us_added" ON "Us" ("added")
;
ALTER TABLE "Us" ADD CONSTRAINT "ua" UNIQUE ("added");
;
INSERT INTO "Us" ("id","n","e","j","createdAt","updatedAt") VALUES (DEFAULT,$1,$2,$3,$4,$5) RETURNING "id","n","e","j","createdAt","updatedAt","deletedAt";
;
UPDATE "Us" SET "n"=$1,"updatedAt"=$2 WHERE "id" = $3
;
INSERT INTO "Us" ("id","n","createdAt","updatedAt") VALUES (DEFAULT,'1','2026-11-21 18:08:26.830 +00:00','2026-11-21 18:08:26.830 +00:00'),(DEFAULT,'2','2026-11-21 18:08:26.830 +00:00','2026-11-21 18:08:26.830 +00:00') ON CONFLICT ("id") DO UPDATE SET "n"=EXCLUDED."n" RETURNING "id","n","e","j","createdAt","updatedAt","deletedAt";
;
SELECT "U".*, "Vs"."id" AS "Vs.id", "Vs"."createdAt" AS "Vs.createdAt", "Vs"."updatedAt" AS "Vs.updatedAt", "Vs"."UId" AS "Vs.UId" FROM (SELECT "U"."id", "U"."n", "U"."e", "U"."j", "U"."createdAt", "U"."updatedAt", "U"."deletedAt" FROM "Us" AS "U" WHERE ("U"."deletedAt" IS NULL AND "U"."n" LIKE '%a') ORDER BY "U"."id" DESC LIMIT 3) AS "U" LEFT OUTER JOIN "Vs" AS "Vs" ON "U"."id" = "Vs"."UId" ORDER BY "U"."id" DESC;
;
START TRANSACTION;
;
SELECT "id", "n", "e", "j", "createdAt", "updatedAt", "deletedAt" FROM "Us" AS "U" WHERE ("U"."deletedAt" IS NULL AND "U"."n" = 'z') LIMIT 1;
;
CREATE OR REPLACE FUNCTION pg_temp.testfunc(OUT response "Us", OUT sequelize_caught_exception text) RETURNS RECORD AS $func_0473b95d29e54c0a999ad952ddb53a48$ BEGIN INSERT INTO "Us" ("id","n","createdAt","updatedAt") VALUES (DEFAULT,'z','2026-11-21 18:08:26.857 +00:00','2026-11-21 18:08:26.857 +00:00') RETURNING * INTO response; EXCEPTION WHEN unique_violation THEN GET STACKED DIAGNOSTICS sequelize_caught_exception = PG_EXCEPTION_DETAIL; END $func_0473b95d29e54c0a999ad952ddb53a48$ LANGUAGE plpgsql; SELECT (testfunc.response)."id", (testfunc.response)."n", (testfunc.response)."e", (testfunc.response)."j", (testfunc.response)."createdAt", (testfunc.response)."updatedAt", (testfunc.response)."deletedAt", testfunc.sequelize_caught_exception FROM pg_temp.testfunc(); DROP FUNCTION IF EXISTS pg_temp.testfunc();
;
COMMIT;
;
SELECT count(*) AS "count" FROM "Us" AS "U" WHERE ("U"."deletedAt" IS NULL);
;
SELECT "id", "n", "e", "j", "createdAt", "updatedAt", "deletedAt" FROM "Us" AS "U" WHERE ("U"."deletedAt" IS NULL);
;
INSERT INTO "Us" ("id","n","createdAt","updatedAt") VALUES ($1,$2,$3,$4) ON CONFLICT ("id") DO UPDATE SET "id"=EXCLUDED."id","n"=EXCLUDED."n","updatedAt"=EXCLUDED."updatedAt" RETURNING "id","n","e","j","createdAt","updatedAt","deletedAt";
;
UPDATE "Us" SET "id"="id"+ 10,"updatedAt"='2026-11-21 18:08:26.901 +00:00' WHERE "id" = 100 RETURNING *
;
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;
;
SELECT "id", "n", "e", "j", "createdAt", "updatedAt", "deletedAt" FROM "Us" AS "U" WHERE ("U"."deletedAt" IS NULL AND "U"."id" = 1) FOR UPDATE;
;
SAVEPOINT "303657ef-3b92-49c6-bd06-11407614d777-sp-1";
;
UPDATE "Us" SET "deletedAt"=$1,"updatedAt"=$2 WHERE "id" = $3
;
DELETE FROM "Us" WHERE "id" = 1
;
SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_name = 'SequelizeMeta'
;
CREATE TABLE IF NOT EXISTS "SequelizeMeta" ("name" VARCHAR(255) NOT NULL UNIQUE , PRIMARY KEY ("name"));
;
SELECT i.relname AS name, ix.indisprimary AS primary, ix.indisunique AS unique, ix.indkey AS indkey, array_agg(a.attnum) as column_indexes, array_agg(a.attname) AS column_names, pg_get_indexdef(ix.indexrelid) AS definition FROM pg_class t, pg_class i, pg_index ix, pg_attribute a WHERE t.oid = ix.indrelid AND i.oid = ix.indexrelid AND a.attrelid = t.oid AND t.relkind = 'r' and t.relname = 'SequelizeMeta' GROUP BY i.relname, ix.indexrelid, ix.indisprimary, ix.indisunique, ix.indkey ORDER BY i.relname;
;
SELECT "name" FROM "SequelizeMeta" AS "SequelizeMeta" ORDER BY "SequelizeMeta"."name" ASC;
;
CREATE TABLE IF NOT EXISTS "m1" ("id" INTEGER);
;
INSERT INTO "SequelizeMeta" ("name") VALUES ($1) RETURNING "name";
;
DELETE FROM "SequelizeMeta" WHERE "name" = 'm1'
;

-- What GORM 1.31.2 and gormigrate 2.1.7 send: AutoMigrate, introspection, queries, migrations.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15.
--
-- Each message ends in a line that is a semicolon.
-- ping
;
SELECT count(*) FROM information_schema.tables WHERE table_schema = CURRENT_SCHEMA() AND table_name = $1 AND table_type = $2
;
CREATE TABLE "gas" ("id" bigserial,"name" varchar(40),"age" bigint DEFAULT 3,"deleted_at" timestamptz,PRIMARY KEY ("id"))
;
CREATE INDEX IF NOT EXISTS "idx_gas_name" ON "gas" ("name")
;
CREATE TABLE "gbs" ("id" bigserial,"ga_id" bigint,PRIMARY KEY ("id"),CONSTRAINT "fk_gas_g_bs" FOREIGN KEY ("ga_id") REFERENCES "gas"("id") ON DELETE CASCADE)
;
SELECT CURRENT_DATABASE()
;
SELECT c.column_name, c.is_nullable = 'YES', c.udt_name, c.character_maximum_length, c.numeric_precision, c.numeric_precision_radix, c.numeric_scale, c.datetime_precision, 8 * typlen, c.column_default, pd.description, c.identity_increment FROM information_schema.columns AS c JOIN pg_type AS pgt ON c.udt_name = pgt.typname LEFT JOIN pg_catalog.pg_description as pd ON pd.objsubid = c.ordinal_position AND pd.objoid = (SELECT oid FROM pg_catalog.pg_class WHERE relname = c.table_name AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = c.table_schema)) where table_catalog = $1 AND table_schema = CURRENT_SCHEMA() AND table_name = $2
;
SELECT * FROM "gas" LIMIT  '1'
;
SELECT constraint_name FROM information_schema.table_constraints tc JOIN information_schema.constraint_column_usage AS ccu USING (constraint_schema, constraint_catalog, table_name, constraint_name) JOIN information_schema.columns AS c ON c.table_schema = tc.constraint_schema AND tc.table_name = c.table_name AND ccu.column_name = c.column_name WHERE constraint_type IN ('PRIMARY KEY', 'UNIQUE') AND c.table_catalog = $1 AND c.table_schema = CURRENT_SCHEMA() AND c.table_name = $2 AND constraint_type = $3
;
SELECT c.column_name, constraint_name, constraint_type FROM information_schema.table_constraints tc JOIN information_schema.constraint_column_usage AS ccu USING (constraint_schema, constraint_catalog, table_name, constraint_name) JOIN information_schema.columns AS c ON c.table_schema = tc.constraint_schema AND tc.table_name = c.table_name AND ccu.column_name = c.column_name WHERE constraint_type IN ('PRIMARY KEY', 'UNIQUE') AND c.table_catalog = $1 AND c.table_schema = CURRENT_SCHEMA() AND c.table_name = $2
;
SELECT a.attname as column_name, format_type(a.atttypid, a.atttypmod) AS data_type	FROM pg_attribute a JOIN pg_class b ON a.attrelid = b.oid AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = CURRENT_SCHEMA())	WHERE a.attnum > 0	AND NOT a.attisdropped	AND b.relname = $1
;
SELECT description FROM pg_catalog.pg_description WHERE objsubid = (SELECT ordinal_position FROM information_schema.columns WHERE table_schema = CURRENT_SCHEMA() AND table_name = $1 AND column_name = $2) AND objoid = (SELECT oid FROM pg_catalog.pg_class WHERE relname = $3 AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = CURRENT_SCHEMA()))
;
SELECT count(*) FROM pg_indexes WHERE tablename = $1 AND indexname = $2 AND schemaname = CURRENT_SCHEMA()
;
SELECT * FROM "gbs" LIMIT  '1'
;
SELECT count(*) FROM INFORMATION_SCHEMA.table_constraints WHERE table_schema = CURRENT_SCHEMA() AND table_name = $1 AND constraint_name = $2
;
SELECT count(*) FROM INFORMATION_SCHEMA.columns WHERE table_schema = CURRENT_SCHEMA() AND table_name = $1 AND column_name = $2
;
SELECT table_name FROM information_schema.tables WHERE table_schema = CURRENT_SCHEMA() AND table_type = $1
;
SELECT
	ct.relname AS table_name,
	ci.relname AS index_name,
	i.indisunique AS non_unique,
	i.indisprimary AS primary,
	a.attname AS column_name
FROM
	pg_index i
	LEFT JOIN pg_class ct ON ct.oid = i.indrelid
	LEFT JOIN pg_class ci ON ci.oid = i.indexrelid
	LEFT JOIN pg_attribute a ON a.attrelid = ct.oid
	LEFT JOIN pg_constraint con ON con.conindid = i.indexrelid
WHERE
	a.attnum = ANY(i.indkey)
	AND con.oid IS NULL
	AND ct.relkind = 'r'
	AND ct.relname = $1
 AND ct.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = CURRENT_SCHEMA())
;
begin
;
INSERT INTO "gas" ("name","age","deleted_at") VALUES ($1,$2,$3) RETURNING "id"
;
INSERT INTO "gbs" ("ga_id") VALUES ($1),($2) ON CONFLICT ("id") DO UPDATE SET "ga_id"="excluded"."ga_id" RETURNING "id"
;
commit
;
UPDATE "gas" SET "name"=$1,"age"=$2,"deleted_at"=$3 WHERE "gas"."deleted_at" IS NULL AND "id" = $4
;
INSERT INTO "gbs" ("ga_id","id") VALUES ($1,$2),($3,$4) ON CONFLICT ("id") DO UPDATE SET "ga_id"="excluded"."ga_id" RETURNING "id"
;
UPDATE "gas" SET "name"=$1 WHERE "gas"."deleted_at" IS NULL AND "id" = $2
;
SELECT * FROM "gas" WHERE name LIKE $1 AND "gas"."deleted_at" IS NULL LIMIT $2
;
SELECT * FROM "gbs" WHERE "gbs"."ga_id" = $1
;
SELECT * FROM "gas" WHERE "gas"."name" = $1 AND "gas"."deleted_at" IS NULL ORDER BY "gas"."id" LIMIT $2
;
INSERT INTO "gas" ("name","age","deleted_at","id") VALUES ($1,$2,$3,$4) ON CONFLICT ("id") DO UPDATE SET "name"="excluded"."name","age"="excluded"."age","deleted_at"="excluded"."deleted_at" RETURNING "id"
;
SELECT * FROM "gas" WHERE "gas"."id" = $1 AND "gas"."deleted_at" IS NULL ORDER BY "gas"."id" LIMIT $2 FOR UPDATE
;
SAVEPOINT sp2049001753015999245
;
SELECT count(*) FROM "gas" WHERE "gas"."deleted_at" IS NULL
;
UPDATE "gas" SET "deleted_at"=$1 WHERE "gas"."id" = $2 AND "gas"."deleted_at" IS NULL
;
DELETE FROM "gas" WHERE "gas"."id" = $1
;
UPDATE "gas" SET "deleted_at"=$1 WHERE age = $2 AND "gas"."deleted_at" IS NULL
;
UPDATE "gbs" SET "ga_id"=$1 WHERE "gbs"."ga_id" = $2
;
CREATE TABLE "migrations" ("id" varchar(255),PRIMARY KEY ("id"))
;
SELECT count(*) FROM "migrations" WHERE id = $1
;
INSERT INTO "migrations" ("id") VALUES ($1)
;
DELETE FROM "migrations" WHERE id = $1
;

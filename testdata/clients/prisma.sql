-- What Prisma's client, migrate and db pull send. Written from prisma-engines
-- (schema-engine/sql-schema-describer, sql-migration-connector).
--
-- Each message ends in a line that is a semicolon.
SELECT version()
;
SELECT current_setting('server_version_num')::integer as numeric_version
;
SELECT EXISTS(SELECT 1 FROM pg_namespace WHERE nspname = $1), version(), current_setting('server_version_num')::integer as numeric_version
;
SET search_path = "public"
;
SHOW search_path
;
SELECT pg_advisory_lock(72707369)
;
CREATE SCHEMA IF NOT EXISTS "shop"
;
select namespace.nspname as namespace_name from pg_namespace as namespace where namespace.nspname = any ( $1 ) order by namespace_name
;
SELECT tbl.relname AS table_name, namespace.nspname as namespace, (tbl.relhassubclass and tbl.relkind = 'p') as is_partition, tbl.relrowsecurity as has_row_level_security, obj_description(tbl.oid, 'pg_class') as description FROM pg_class AS tbl INNER JOIN pg_namespace AS namespace ON namespace.oid = tbl.relnamespace WHERE ((tbl.relkind = 'r' AND tbl.relispartition = 'f') OR tbl.relkind = 'p') AND namespace.nspname = ANY ( $1 ) ORDER BY namespace, table_name
;
SELECT oid.namespace, info.table_name, info.column_name, format_type(att.atttypid, att.atttypmod) as formatted_type, info.is_nullable, pg_get_expr(attdef.adbin, attdef.adrelid) AS column_default, col_description(att.attrelid, att.attnum) AS description FROM information_schema.columns info JOIN pg_attribute att ON att.attname = info.column_name JOIN (SELECT pg_class.oid, relname, pg_namespace.nspname as namespace FROM pg_class JOIN pg_namespace on pg_namespace.oid = pg_class.relnamespace AND pg_namespace.nspname = ANY ( $1 ) WHERE reltype > 0) as oid on oid.oid = att.attrelid AND relname = info.table_name AND namespace = info.table_schema LEFT OUTER JOIN pg_attrdef attdef ON attdef.adrelid = att.attrelid AND attdef.adnum = att.attnum WHERE table_schema = ANY ( $1 ) ORDER BY namespace, table_name, ordinal_position
;
SELECT schemainfo.nspname AS namespace, constr.conname AS constraint_name, pg_get_constraintdef(constr.oid) AS constraint_definition FROM pg_constraint constr JOIN pg_class AS tableinfo ON tableinfo.oid = constr.conrelid JOIN pg_namespace AS schemainfo ON schemainfo.oid = tableinfo.relnamespace WHERE schemainfo.nspname = ANY ( $1 ) AND contype NOT IN ('p', 'u', 'f') ORDER BY namespace, constraint_name
;
WITH rawindex AS (SELECT indrelid, indexrelid, unnest(indkey) AS indkeyid, generate_subscripts(indkey, 1) AS indkeyidx, unnest(indclass) AS indclass, unnest(indoption) AS indoption FROM pg_index WHERE indpred IS NULL AND NOT indisexclusion) SELECT indexinfo.relname AS index_name, CASE rawindex.indoption & 1 WHEN 1 THEN 'DESC' ELSE 'ASC' END AS column_order FROM rawindex INNER JOIN pg_class AS indexinfo ON indexinfo.oid = rawindex.indexrelid ORDER BY index_name
;
SELECT t.typname as name, e.enumlabel as value, n.nspname as namespace FROM pg_type t JOIN pg_enum e ON t.oid = e.enumtypid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = ANY ( $1 ) ORDER BY e.enumsortorder
;
SELECT views.viewname AS view_name, views.definition AS view_sql, obj_description(cls.oid, 'pg_class') AS description FROM pg_catalog.pg_views views JOIN pg_class cls ON views.viewname = cls.relname
;
SELECT ext.extname AS extension_name, ext.extversion AS extension_version, ext.extrelocatable AS extension_relocatable, pn.nspname AS extension_schema FROM pg_extension ext INNER JOIN pg_namespace pn ON ext.extnamespace = pn.oid ORDER BY ext.extname ASC
;
CREATE TABLE "_prisma_migrations" ("id" VARCHAR(36) PRIMARY KEY NOT NULL, "checksum" VARCHAR(64) NOT NULL, "finished_at" TIMESTAMPTZ, "migration_name" VARCHAR(255) NOT NULL, "logs" TEXT, "rolled_back_at" TIMESTAMPTZ, "started_at" TIMESTAMPTZ NOT NULL DEFAULT now(), "applied_steps_count" INTEGER NOT NULL DEFAULT 0)
;
SELECT "id", "checksum", "finished_at", "migration_name", "logs", "rolled_back_at", "started_at", "applied_steps_count" FROM "_prisma_migrations" ORDER BY "started_at" ASC
;
INSERT INTO "_prisma_migrations" ("id", "checksum", "started_at", "migration_name") VALUES ($1, $2, $3, $4)
;
UPDATE "_prisma_migrations" SET "applied_steps_count" = "applied_steps_count" + 1 WHERE "id" = $1
;
UPDATE "_prisma_migrations" SET "finished_at" = $1 WHERE "id" = $2
;
-- CreateTable
CREATE TABLE "User" ("id" SERIAL NOT NULL, "email" TEXT NOT NULL, "role" "Role" NOT NULL DEFAULT 'USER', CONSTRAINT "User_pkey" PRIMARY KEY ("id"));
-- CreateIndex
CREATE UNIQUE INDEX "User_email_key" ON "User"("email");
-- AddForeignKey
ALTER TABLE "Post" ADD CONSTRAINT "Post_authorId_fkey" FOREIGN KEY ("authorId") REFERENCES "User"("id") ON DELETE RESTRICT ON UPDATE CASCADE
;
CREATE TYPE "Role" AS ENUM ('USER', 'ADMIN')
;
BEGIN
;
SELECT "public"."User"."id", "public"."User"."email" FROM "public"."User" WHERE ("public"."User"."id" = $1 AND 1=1) LIMIT $2 OFFSET $3
;
INSERT INTO "public"."User" ("email") VALUES ($1) RETURNING "public"."User"."id"
;
UPDATE "public"."User" SET "email" = $1 WHERE ("public"."User"."id" = $2 AND 1=1) RETURNING "public"."User"."id"
;
UPDATE "public"."User" SET "email" = $1 WHERE ("public"."User"."id" IN ($2) AND 1=1)
;
DELETE FROM "public"."User" WHERE ("public"."User"."id" IN ($1,$2) AND 1=1)
;
DELETE FROM "public"."User" WHERE ("public"."User"."id" = $1 AND 1=1) RETURNING "public"."User"."id", "public"."User"."email"
;
COMMIT
;
ROLLBACK
;
DEALLOCATE ALL
;
SELECT 1
;

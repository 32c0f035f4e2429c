-- What Flyway sends around the migrations that it runs. Written from flyway-database-postgresql
-- (version 10).
--
-- Each message ends in a line that is a semicolon.
SELECT CURRENT_USER
;
SELECT current_schema
;
SHOW search_path
;
SELECT version()
;
select pg_is_in_recovery()
;
SELECT set_config('search_path', $1, false)
;
SELECT pg_try_advisory_lock(77431708279161)
;
SELECT pg_try_advisory_xact_lock(77431708279161)
;
SELECT COUNT(*) FROM pg_namespace WHERE nspname=$1
;
SELECT EXISTS (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_depend d ON d.objid = c.oid AND d.deptype = 'e' WHERE n.nspname = $1 AND d.objid IS NULL AND c.relkind IN ('r', 'v', 'S', 't') UNION ALL SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = $2)
;
SELECT EXISTS ( SELECT 1 FROM information_schema.tables WHERE table_schema=$1 AND table_type='BASE TABLE' AND table_name=$2)
;
CREATE SCHEMA "shop"
;
BEGIN
;
CREATE TABLE "shop"."flyway_schema_history" ("installed_rank" INT NOT NULL, "version" VARCHAR(50), "description" VARCHAR(200) NOT NULL, "type" VARCHAR(20) NOT NULL, "script" VARCHAR(1000) NOT NULL, "checksum" INTEGER, "installed_by" VARCHAR(100) NOT NULL, "installed_on" TIMESTAMP NOT NULL DEFAULT now(), "execution_time" INTEGER NOT NULL, "success" BOOLEAN NOT NULL)
;
ALTER TABLE "shop"."flyway_schema_history" ADD CONSTRAINT "flyway_schema_history_pk" PRIMARY KEY ("installed_rank")
;
CREATE INDEX "flyway_schema_history_s_idx" ON "shop"."flyway_schema_history" ("success")
;
SELECT * FROM "shop"."flyway_schema_history" LIMIT 1
;
LOCK TABLE "shop"."flyway_schema_history" IN SHARE UPDATE EXCLUSIVE MODE
;
/*NO LOAD BALANCE*/
SELECT "installed_rank","version","description","type","script","checksum","installed_on","installed_by","execution_time","success" FROM "shop"."flyway_schema_history" WHERE "installed_rank" > $1 ORDER BY "installed_rank"
;
INSERT INTO "shop"."flyway_schema_history" ("installed_rank","version","description","type","script","checksum","installed_by","execution_time","success") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
;
UPDATE "shop"."flyway_schema_history" SET "description" = $1 , "type" = $2 , "checksum" = $3 WHERE "installed_rank" = $4
;
DELETE FROM "shop"."flyway_schema_history" WHERE "success" = FALSE AND "version" = $1
;
SET ROLE 'migrator'
;
COMMIT
;
SELECT pg_advisory_unlock(77431708279161)
;

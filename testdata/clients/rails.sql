-- What Active Record 6.1 sends: migrations, the schema dumper, the ORM.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15.
--
-- Each message ends in a line that is a semicolon.
SET client_min_messages TO 'warning'
;
SET standard_conforming_strings = on
;
SET intervalstyle = iso_8601
;
SET SESSION timezone TO 'UTC'
;
SELECT t.oid, t.typname
FROM pg_type as t
WHERE t.typname IN ('int2', 'int4', 'int8', 'oid', 'float4', 'float8', 'numeric', 'bool', 'timestamp', 'timestamptz')
;
SELECT t.oid, t.typname, t.typelem, t.typdelim, t.typinput, r.rngsubtype, t.typtype, t.typbasetype
FROM pg_type as t
LEFT JOIN pg_range as r ON oid = rngtypid
WHERE
  t.typname IN ('int2', 'int4', 'int8', 'oid', 'float4', 'float8', 'text', 'varchar', 'char', 'name', 'bpchar', 'bool', 'bit', 'varbit', 'timestamptz', 'date', 'money', 'bytea', 'point', 'hstore', 'json', 'jsonb', 'cidr', 'inet', 'uuid', 'xml', 'tsvector', 'macaddr', 'citext', 'ltree', 'line', 'lseg', 'box', 'path', 'polygon', 'circle', 'time', 'timestamp', 'numeric', 'interval')
  OR t.typtype IN ('r', 'e', 'd')
  OR t.typinput = 'array_in(cstring,oid,integer)'::regprocedure
  OR t.typelem != 0
;
SHOW TIME ZONE
;
SELECT 1
;
SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY (current_schemas(false)) AND c.relname = 'schema_migrations' AND c.relkind IN ('r','p')
;
CREATE TABLE "schema_migrations" ("version" character varying NOT NULL PRIMARY KEY)
;
CREATE TABLE "ar_internal_metadata" ("key" character varying NOT NULL PRIMARY KEY, "value" character varying, "created_at" timestamp(6) NOT NULL, "updated_at" timestamp(6) NOT NULL)
;
SELECT current_database()
;
SELECT pg_try_advisory_lock(4475467841591330430)
;
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod,
       c.collname, col_description(a.attrelid, a.attnum) AS comment
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  LEFT JOIN pg_type t ON a.atttypid = t.oid
  LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
 WHERE a.attrelid = '"schema_migrations"'::regclass
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
;
SELECT "schema_migrations"."version" FROM "schema_migrations" ORDER BY "schema_migrations"."version" ASC
;
BEGIN
;
CREATE TABLE "as" ("id" bigserial primary key, "n" character varying, "j" jsonb, "created_at" timestamp(6) NOT NULL, "updated_at" timestamp(6) NOT NULL)
;
SHOW max_identifier_length
;
CREATE INDEX "index_as_on_n" ON "as" ("n")
;
CREATE TABLE "cs" ("id" bigserial primary key, "a_id" bigint, CONSTRAINT "fk_rails_3d2f7376cd"
FOREIGN KEY ("a_id")
  REFERENCES "as" ("id")
 ON DELETE CASCADE)
;
CREATE INDEX "index_cs_on_a_id" ON "cs" ("a_id")
;
SELECT 'integer'::regtype::oid
;
ALTER TABLE "as" ADD "m" integer DEFAULT 0
;
CREATE INDEX "index_as_on_m" ON "as" ("m")
;
SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY (current_schemas(false)) AND c.relkind IN ('r','v','m','p','f')
;
INSERT INTO "schema_migrations" ("version") VALUES ($1) RETURNING "version"
;
COMMIT
;
SHOW search_path
;
SELECT "ar_internal_metadata".* FROM "ar_internal_metadata" WHERE "ar_internal_metadata"."key" = $1 LIMIT $2
;
INSERT INTO "ar_internal_metadata" ("key", "value", "created_at", "updated_at") VALUES ($1, $2, $3, $4) RETURNING "key"
;
SELECT pg_advisory_unlock(4475467841591330430)
;
SELECT a.attname
  FROM (
         SELECT indrelid, indkey, generate_subscripts(indkey, 1) idx
           FROM pg_index
          WHERE indrelid = '"as"'::regclass
            AND indisprimary
       ) i
  JOIN pg_attribute a
    ON a.attrelid = i.indrelid
   AND a.attnum = i.indkey[i.idx]
 ORDER BY i.idx
;
INSERT INTO "as" ("n", "created_at", "updated_at") VALUES ($1, $2, $3) RETURNING "id"
;
INSERT INTO "cs" ("a_id") VALUES ($1) RETURNING "id"
;
UPDATE "as" SET "n" = $1, "updated_at" = $2 WHERE "as"."id" = $3
;
SELECT "as".* FROM "as" WHERE "as"."id" = $1 LIMIT $2 FOR UPDATE
;
SAVEPOINT active_record_1
;
SELECT "as".* FROM "as" WHERE "as"."id" = $1 LIMIT $2
;
RELEASE SAVEPOINT active_record_1
;
SELECT distinct i.relname, d.indisunique, d.indkey, pg_get_indexdef(d.indexrelid), t.oid,
                pg_catalog.obj_description(i.oid, 'pg_class') AS comment
FROM pg_class t
INNER JOIN pg_index d ON t.oid = d.indrelid
INNER JOIN pg_class i ON d.indexrelid = i.oid
LEFT JOIN pg_namespace n ON n.oid = i.relnamespace
WHERE i.relkind IN ('i', 'I')
  AND d.indisprimary = 'f'
  AND t.relname = 'as'
  AND n.nspname = ANY (current_schemas(false))
ORDER BY i.relname
;
SELECT a.attnum, a.attname
FROM pg_attribute a
WHERE a.attrelid = 17006
AND a.attnum IN (6)
;
INSERT INTO "as" ("n","created_at","updated_at") VALUES ('q', '2026-11-21 15:04:02.106183', '2026-11-21 15:04:02.106184') ON CONFLICT  DO NOTHING RETURNING "id"
;
INSERT INTO "as" ("id","n","created_at","updated_at") VALUES (99, 'q', '2026-11-21 15:04:02.108326', '2026-11-21 15:04:02.108327') ON CONFLICT ("id") DO UPDATE SET "n"=excluded."n","created_at"=excluded."created_at","updated_at"=excluded."updated_at" RETURNING "id"
;
UPDATE "as" SET "n" = $1 WHERE "as"."n" = $2
;
SELECT "as".* FROM "as" ORDER BY "as"."id" ASC LIMIT $1
;
SELECT 1 AS one FROM "as" WHERE "as"."id" = $1 LIMIT $2
;
SELECT COUNT(*) FROM "as"
;
DELETE FROM "as" WHERE "as"."n" = $1
;
SELECT "cs".* FROM "cs" WHERE "cs"."a_id" = $1
;
DELETE FROM "cs" WHERE "cs"."id" = $1
;
DELETE FROM "as" WHERE "as"."id" = $1
;
SET search_path TO shop,public
;
SELECT t2.oid::regclass::text AS to_table, a1.attname AS column, a2.attname AS primary_key, c.conname AS name, c.confupdtype AS on_update, c.confdeltype AS on_delete, c.convalidated AS valid
FROM pg_constraint c
JOIN pg_class t1 ON c.conrelid = t1.oid
JOIN pg_class t2 ON c.confrelid = t2.oid
JOIN pg_attribute a1 ON a1.attnum = c.conkey[1] AND a1.attrelid = t1.oid
JOIN pg_attribute a2 ON a2.attnum = c.confkey[1] AND a2.attrelid = t2.oid
JOIN pg_namespace t3 ON c.connamespace = t3.oid
WHERE c.contype = 'f'
  AND t1.relname = 'event_1'
  AND t3.nspname = ANY (current_schemas(false))
ORDER BY c.conname
;
SELECT pg_catalog.obj_description(c.oid, 'pg_class')
FROM pg_catalog.pg_class c
  LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = 'event_1'
  AND c.relkind IN ('r','p')
  AND n.nspname = ANY (current_schemas(false))
;
SELECT conname, pg_get_constraintdef(c.oid) AS constraintdef, c.convalidated AS valid
            FROM pg_constraint c
            JOIN pg_class t ON c.conrelid = t.oid
            WHERE c.contype = 'c'
              AND t.relname = 'event_1'
;
SELECT attr.attname, nsp.nspname, seq.relname
FROM pg_class      seq,
     pg_attribute  attr,
     pg_depend     dep,
     pg_constraint cons,
     pg_namespace  nsp
WHERE seq.oid           = dep.objid
  AND seq.relkind       = 'S'
  AND attr.attrelid     = dep.refobjid
  AND attr.attnum       = dep.refobjsubid
  AND attr.attrelid     = cons.conrelid
  AND attr.attnum       = cons.conkey[1]
  AND seq.relnamespace  = nsp.oid
  AND cons.contype      = 'p'
  AND dep.classid       = 'pg_class'::regclass
  AND dep.refobjid      = '"event_1"'::regclass
;
SELECT attr.attname, nsp.nspname,
  CASE
    WHEN pg_get_expr(def.adbin, def.adrelid) !~* 'nextval' THEN NULL
    WHEN split_part(pg_get_expr(def.adbin, def.adrelid), '''', 2) ~ '.' THEN
      substr(split_part(pg_get_expr(def.adbin, def.adrelid), '''', 2),
             strpos(split_part(pg_get_expr(def.adbin, def.adrelid), '''', 2), '.')+1)
    ELSE split_part(pg_get_expr(def.adbin, def.adrelid), '''', 2)
  END
FROM pg_class       t
JOIN pg_attribute   attr ON (t.oid = attrelid)
JOIN pg_attrdef     def  ON (adrelid = attrelid AND adnum = attnum)
JOIN pg_constraint  cons ON (conrelid = adrelid AND adnum = conkey[1])
JOIN pg_namespace   nsp  ON (t.relnamespace = nsp.oid)
WHERE t.oid = '"event_1"'::regclass
  AND cons.contype = 'p'
  AND pg_get_expr(def.adbin, def.adrelid) ~* 'nextval|uuid_generate'
;
SELECT extname FROM pg_extension
;
SELECT nspname
  FROM pg_namespace
 WHERE nspname !~ '^pg_.*'
   AND nspname NOT IN ('information_schema')
 ORDER by nspname
;
SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()
;
SELECT datcollate FROM pg_database WHERE datname = current_database()
;
DEALLOCATE a1
;
DISCARD ALL
;

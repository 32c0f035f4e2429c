-- What MikroORM 6.5.9 sends: schema update, migrations, the unit of work.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15. What is rightly held is in the test.
--
-- Each message ends in a line that is a semicolon.
select version();
;
select 1 from pg_database where datname = 'mikro_orm'
;
select 1
;
select table_name, table_schema as schema_name, (select pg_catalog.obj_description(c.oid) from pg_catalog.pg_class c
          where c.oid = (select ('"' || table_schema || '"."' || table_name || '"')::regclass::oid) and c.relname = table_name) as table_comment from information_schema.tables where "table_schema" not like 'pg_%' and "table_schema" not like 'crdb_%' and "table_schema" not like '_timescaledb_%' and "table_schema" not in ('information_schema', 'tiger', 'topology') and table_name != 'geometry_columns' and table_name != 'spatial_ref_sys' and table_type != 'VIEW' and table_name not in (select inhrelid::regclass::text from pg_inherits) order by table_name
;
select t.typname as enum_name, n.nspname as schema_name, array_agg(e.enumlabel order by e.enumsortorder) as enum_value
        from pg_type t
        join pg_enum e on t.oid = e.enumtypid
        join pg_catalog.pg_namespace n on n.oid = t.typnamespace
        where n.nspname in ('public')
        group by t.typname, n.nspname
;
select table_schema as schema_name, table_name, column_name,
      column_default,
      is_nullable,
      udt_name,
      udt_schema,
      coalesce(datetime_precision, character_maximum_length) length,
      atttypmod custom_length,
      numeric_precision,
      numeric_scale,
      data_type,
      is_identity,
      identity_generation,
      generation_expression,
      pg_catalog.col_description(pgc.oid, cols.ordinal_position::int) column_comment
      from information_schema.columns cols
      join pg_class pgc on cols.table_name = pgc.relname
      join pg_attribute pga on pgc.oid = pga.attrelid and cols.column_name = pga.attname
      where ((table_schema = 'shop' and table_name in ('customer','orders')))
      order by ordinal_position
;
select indrelid::regclass as table_name, ns.nspname as schema_name, relname as constraint_name, idx.indisunique as unique, idx.indisprimary as primary, contype, condeferrable, condeferred,
      array(
        select pg_get_indexdef(idx.indexrelid, k + 1, true)
        from generate_subscripts(idx.indkey, 1) as k
        order by k
      ) as index_def,
      pg_get_indexdef(idx.indexrelid) as expression,
      c.condeferrable as deferrable,
      c.condeferred as initially_deferred
      from pg_index idx
      join pg_class as i on i.oid = idx.indexrelid
      join pg_namespace as ns on i.relnamespace = ns.oid
      left join pg_constraint as c on c.conname = i.relname
      where indrelid in ('"shop"."customer"'::regclass, '"shop"."orders"'::regclass)
      order by relname
;
select ccu.table_name as table_name, ccu.table_schema as schema_name, pgc.conname as name, conrelid::regclass as table_from, ccu.column_name as column_name, pg_get_constraintdef(pgc.oid) as expression
      from pg_constraint pgc
      join pg_namespace nsp on nsp.oid = pgc.connamespace
      join pg_class cls on pgc.conrelid = cls.oid
      join information_schema.constraint_column_usage ccu on pgc.conname = ccu.constraint_name and nsp.nspname = ccu.constraint_schema
      where contype = 'c' and (ccu.table_name in ('customer','orders') and ccu.table_schema = 'shop')
      order by pgc.conname
;
select nsp1.nspname schema_name, cls1.relname table_name, nsp2.nspname referenced_schema_name,
      cls2.relname referenced_table_name, a.attname column_name, af.attname referenced_column_name, conname constraint_name,
      confupdtype update_rule, confdeltype delete_rule, array_position(con.conkey,a.attnum) as ord, condeferrable, condeferred,
      pg_get_constraintdef(con.oid) as constraint_def
      from pg_attribute a
      join pg_constraint con on con.conrelid = a.attrelid AND a.attnum = ANY (con.conkey)
      join pg_attribute af on af.attnum = con.confkey[array_position(con.conkey,a.attnum)] AND af.attrelid = con.confrelid
      join pg_namespace nsp1 on nsp1.oid = con.connamespace
      join pg_class cls1 on cls1.oid = con.conrelid
      join pg_class cls2 on cls2.oid = confrelid
      join pg_namespace nsp2 on nsp2.oid = cls2.relnamespace
      where ((cls1.relname in ('customer','orders') and nsp1.nspname = 'shop'))
      and confrelid > 0
      order by nsp1.nspname, cls1.relname, constraint_name, ord
;
set names 'utf8';
;
create table "a" ("id" serial primary key, "n" varchar(255) null, "e" text check ("e" in ('a', 'b')) null);
create index "a_n_index" on "a" ("n");
;
create table "b" ("id" serial primary key, "a_id" int not null);
;
alter table "b" add constraint "b_a_id_foreign" foreign key ("a_id") references "a" ("id") on update cascade on delete cascade;
;
select table_schema as schema_name, table_name, column_name,
      column_default,
      is_nullable,
      udt_name,
      udt_schema,
      coalesce(datetime_precision, character_maximum_length) length,
      atttypmod custom_length,
      numeric_precision,
      numeric_scale,
      data_type,
      is_identity,
      identity_generation,
      generation_expression,
      pg_catalog.col_description(pgc.oid, cols.ordinal_position::int) column_comment
      from information_schema.columns cols
      join pg_class pgc on cols.table_name = pgc.relname
      join pg_attribute pga on pgc.oid = pga.attrelid and cols.column_name = pga.attname
      where ((table_schema = 'public' and table_name in ('a','b')))
      order by ordinal_position
;
select indrelid::regclass as table_name, ns.nspname as schema_name, relname as constraint_name, idx.indisunique as unique, idx.indisprimary as primary, contype, condeferrable, condeferred,
      array(
        select pg_get_indexdef(idx.indexrelid, k + 1, true)
        from generate_subscripts(idx.indkey, 1) as k
        order by k
      ) as index_def,
      pg_get_indexdef(idx.indexrelid) as expression,
      c.condeferrable as deferrable,
      c.condeferred as initially_deferred
      from pg_index idx
      join pg_class as i on i.oid = idx.indexrelid
      join pg_namespace as ns on i.relnamespace = ns.oid
      left join pg_constraint as c on c.conname = i.relname
      where indrelid in ('"public"."a"'::regclass, '"public"."b"'::regclass)
      order by relname
;
select ccu.table_name as table_name, ccu.table_schema as schema_name, pgc.conname as name, conrelid::regclass as table_from, ccu.column_name as column_name, pg_get_constraintdef(pgc.oid) as expression
      from pg_constraint pgc
      join pg_namespace nsp on nsp.oid = pgc.connamespace
      join pg_class cls on pgc.conrelid = cls.oid
      join information_schema.constraint_column_usage ccu on pgc.conname = ccu.constraint_name and nsp.nspname = ccu.constraint_schema
      where contype = 'c' and (ccu.table_name in ('a','b') and ccu.table_schema = 'public')
      order by pgc.conname
;
select nsp1.nspname schema_name, cls1.relname table_name, nsp2.nspname referenced_schema_name,
      cls2.relname referenced_table_name, a.attname column_name, af.attname referenced_column_name, conname constraint_name,
      confupdtype update_rule, confdeltype delete_rule, array_position(con.conkey,a.attnum) as ord, condeferrable, condeferred,
      pg_get_constraintdef(con.oid) as constraint_def
      from pg_attribute a
      join pg_constraint con on con.conrelid = a.attrelid AND a.attnum = ANY (con.conkey)
      join pg_attribute af on af.attnum = con.confkey[array_position(con.conkey,a.attnum)] AND af.attrelid = con.confrelid
      join pg_namespace nsp1 on nsp1.oid = con.connamespace
      join pg_class cls1 on cls1.oid = con.conrelid
      join pg_class cls2 on cls2.oid = confrelid
      join pg_namespace nsp2 on nsp2.oid = cls2.relnamespace
      where ((cls1.relname in ('a','b') and nsp1.nspname = 'public'))
      and confrelid > 0
      order by nsp1.nspname, cls1.relname, constraint_name, ord
;
select schema_name from information_schema.schemata where "schema_name" not like 'pg_%' and "schema_name" not like 'crdb_%' and "schema_name" not like '_timescaledb_%' and "schema_name" not in ('information_schema', 'tiger', 'topology') order by schema_name
;
create table "public"."mikro_orm_migrations" ("id" serial primary key, "name" varchar(255), "executed_at" timestamptz default CURRENT_TIMESTAMP)
;
select * from "public"."mikro_orm_migrations" order by "id" asc
;
BEGIN;
;
SAVEPOINT trx3;
;
create table m1 (id int)
;
RELEASE SAVEPOINT trx3;
;
insert into "mikro_orm_migrations" ("name") values ('M1')
;
COMMIT;
;
SAVEPOINT trx5;
;
RELEASE SAVEPOINT trx5;
;
delete from "public"."mikro_orm_migrations" where "name" in ('M1', 'M1', 'M1.js', 'M1.ts')
;
insert into "a" ("n", "e") values ('x', 'a') returning "id"
;
insert into "b" ("a_id") values (1) returning "id"
;
update "a" set "n" = 'y' where "id" = 1
;
select "a0".*, "b1"."id" as "b1__id", "b1"."a_id" as "b1__a_id" from "a" as "a0" left join "b" as "b1" on "a0"."id" = "b1"."a_id" where "a0"."id" in (select "a0"."id" from (select "a0"."id" from "a" as "a0" left join "b" as "b1" on "a0"."id" = "b1"."a_id" where "a0"."n" like '%y' group by "a0"."id" limit 3) as "a0")
;
select "a0".* from "a" as "a0" where "a0"."id" = 1 limit 1 for update
;
SAVEPOINT trx9;
;
select count(*) as "count" from "a" as "a0"
;
RELEASE SAVEPOINT trx9;
;
insert into "a" ("id", "n") values (1, 'z') on conflict ("id") do update set "n" = excluded."n" returning "e"
;
insert into "a" ("n") values ('1'), ('2') returning "id"
;
update "a" set "n" = '3' where "id" = 2
;
delete from "a" where "id" = 3
;
delete from "a" where "id" in (1)
;

-- What Knex 3.3.0 sends: schema builder, migrations with their lock, unlocking, queries.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15. What is rightly held is in the test.
--
-- Each message ends in a line that is a semicolon.
select version();
;
select * from information_schema.tables where table_name = $1 and table_schema = current_schema()
;
create table "knex_migrations" ("id" serial primary key, "name" varchar(255), "batch" integer, "migration_time" timestamptz)
;
create table "knex_migrations_lock" ("index" serial primary key, "is_locked" integer)
;
select * from "knex_migrations_lock"
;
insert into "knex_migrations_lock" ("is_locked") values ($1)
;
select "name" from "knex_migrations" order by "id" asc
;
BEGIN;
;
update "knex_migrations_lock" set "is_locked" = $1 where "is_locked" = $2
;
COMMIT;
;
select max("batch") as "max_batch" from "knex_migrations"
;
create table "kx" ("id" serial primary key, "n" varchar(255) not null, "created_at" timestamptz not null default CURRENT_TIMESTAMP, "updated_at" timestamptz not null default CURRENT_TIMESTAMP, "j" jsonb, "e" text check ("e" in ('a', 'b')), "u" uuid default gen_random_uuid())
;
create index "kx_n_index" on "kx" ("n")
;
insert into "knex_migrations" ("batch", "migration_time", "name") values ($1, $2, $3)
;
create table "ky" ("id" serial primary key, "kx" integer)
;
alter table "ky" add constraint "ky_kx_foreign" foreign key ("kx") references "kx" ("id") on delete CASCADE
;
alter table "ky" add constraint "ky_kx_unique" unique ("kx")
;
alter table "kx" add column "m" varchar(255) default 'x'
;
ROLLBACK
;
create index concurrently kc on kx (m)
;
select * from "knex_migrations"
;
select * from information_schema.columns where table_name = $1 and column_name = $2 and table_schema = current_schema()
;
select * from information_schema.columns where table_name = $1 and table_catalog = current_database() and table_schema = current_schema()
;
insert into "kx" ("e", "n") values ($1, $2) returning "id"
;
insert into "kx" ("n") values ($1), ($2) on conflict ("id") do update set "n" = excluded."n"
;
update "kx" set "n" = $1 where "id" = $2
;
update "kx" set "id" = "id" + $1 where "id" > $2
;
select * from "kx" where "id" = $1 limit $2 for update
;
SAVEPOINT trx6;
;
select count(*) as "c" from "kx"
;
RELEASE SAVEPOINT trx6;
;
delete from "kx" where "id" in ($1, $2)
;
with "q" as (select "id" from "kx") select * from "q"
;
insert into "kx" ("n") values ($1)
;

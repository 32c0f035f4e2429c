-- What Knex sends: schema builder, migrations with their lock, queries.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15 with knex from npm of that day.
--
-- Each message ends in a line that is a semicolon.
select version()
;
select * from information_schema.tables where table_name = $1 and table_schema = current_schema()
;
create table "kx" ("id" serial primary key, "n" varchar(255) not null, "created_at" timestamptz not null default CURRENT_TIMESTAMP, "updated_at" timestamptz not null default CURRENT_TIMESTAMP, "j" jsonb, "e" text check ("e" in ('a', 'b')))
;
create index "kx_n_index" on "kx" ("n")
;
select * from information_schema.columns where table_name = $1 and column_name = $2 and table_schema = current_schema()
;
select * from information_schema.columns where table_name = $1 and table_catalog = current_database() and table_schema = current_schema()
;
alter table "kx" add column "m" varchar(255) default 'x'
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
BEGIN
;
update "knex_migrations_lock" set "is_locked" = $1 where "is_locked" = $2
;
select max("batch") as "max_batch" from "knex_migrations"
;
create table "ky" ("id" serial primary key, "kx" integer)
;
alter table "ky" add constraint "ky_kx_foreign" foreign key ("kx") references "kx" ("id") on delete CASCADE
;
insert into "knex_migrations" ("batch", "migration_time", "name") values ($1, $2, $3)
;
COMMIT
;
insert into "kx" ("e", "n") values ($1, $2) returning "id"
;
update "kx" set "n" = $1 where "id" = $2
;
select * from "kx" where "id" = $1 limit $2 for update
;
delete from "kx" where "id" = $1
;

-- What Drizzle ORM 0.45.4 sends: its migrator, queries.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15.
--
-- Each message ends in a line that is a semicolon.
CREATE SCHEMA IF NOT EXISTS "drizzle"
;
CREATE TABLE IF NOT EXISTS "drizzle"."__drizzle_migrations" (
				id SERIAL PRIMARY KEY,
				hash text NOT NULL,
				created_at bigint
			)
;
select id, hash, created_at from "drizzle"."__drizzle_migrations" order by created_at desc limit 1
;
begin
;
CREATE TABLE "users" ("id" serial PRIMARY KEY NOT NULL, "name" text);
;
CREATE INDEX "ni" ON "users" USING btree ("name");
;
insert into "drizzle"."__drizzle_migrations" ("hash", "created_at") values($1, $2)
;
commit
;
insert into "users" ("id", "name") values (default, $1), (default, $2) returning "id", "name"
;
insert into "users" ("id", "name") values ($1, $2) on conflict ("id") do update set "name" = $3
;
update "users" set "name" = $1 where "users"."id" = $2
;
select "id", "name" from "users" where ("users"."id" > $1 and "users"."name" like $2) limit $3
;
select count(*) as count from "users";
;
begin isolation level repeatable read
;
select "id", "name" from "users" for update
;
savepoint sp1
;
select count(*) from "users"
;
release savepoint sp1
;
delete from "users" where "users"."id" in ($1, $2)
;

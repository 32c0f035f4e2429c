-- What sql-migrate 1.8.1 sends: up and down.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15.
--
-- Each message ends in a line that is a semicolon.
create table if not exists "gorp_migrations" ("id" text not null primary key, "applied_at" timestamp with time zone) ;
;
-- ping
;
SELECT * FROM "gorp_migrations"
;
begin
;
CREATE TABLE sm (id int)
;
insert into "gorp_migrations" ("id","applied_at") values ($1,$2);
;
commit
;
SELECT 1
;
delete from "gorp_migrations" where "id"=$1;
;

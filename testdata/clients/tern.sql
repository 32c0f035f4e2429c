-- What tern 2.3.4 sends around the migrations that it runs.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15. What is rightly held is in the test.
--
-- Each message ends in a line that is a semicolon.
select pg_advisory_lock($1)
;
select count(*) from pg_catalog.pg_tables where schemaname=$1 and tablename=$2
;
create table if not exists public.schema_version(version int4 not null);

    insert into public.schema_version(version)
    select 0
    where 0=(select count(*) from public.schema_version);
;
select pg_advisory_unlock($1)
;
select version from public.schema_version
;
begin
;
create table ta (id int);
;
reset all
;
commit
;
alter table ta add n text;
;

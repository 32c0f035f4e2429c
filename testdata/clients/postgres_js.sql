-- What postgres.js sends: its type fetch, cursors, savepoints, listen.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15 with postgres from npm of that day.
--
-- Each message ends in a line that is a semicolon.
select b.oid, b.typarray
      from pg_catalog.pg_type a
      left join pg_catalog.pg_type b on b.oid = a.typelem
      where a.typcategory = 'A'
      group by b.oid, b.typarray
      order by b.oid
;
SELECT * FROM shop.orders WHERE id = $1
;
begin
;
SELECT 1
;
savepoint "s0"
;
commit
;
INSERT INTO shop.customer ("email")values($1),($2)
;
SELECT 1; SELECT 2
;
SELECT * FROM shop.orders
;
listen "ch"
;
select pg_notify($1, $2)
;

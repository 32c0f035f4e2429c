-- What vacuumdb 15 sends: VACUUM, ANALYZE, in stages, of single tables, with two jobs.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15.
--
-- Each message ends in a line that is a semicolon.
SELECT pg_catalog.set_config('search_path', '', false)
;
RESET search_path
;
SELECT c.relname, ns.nspname FROM pg_catalog.pg_class c
 JOIN pg_catalog.pg_namespace ns ON c.relnamespace OPERATOR(pg_catalog.=) ns.oid
 LEFT JOIN pg_catalog.pg_class t ON c.reltoastrelid OPERATOR(pg_catalog.=) t.oid
 WHERE c.relpersistence OPERATOR(pg_catalog.!=) 't'
 AND c.relkind OPERATOR(pg_catalog.=) ANY (array['r', 'm'])
 ORDER BY c.relpages DESC
;
VACUUM shop.orders
;
VACUUM shop.customer
;
VACUUM shop.log_old
;
VACUUM shop.log
;
VACUUM shop.sales
;
VACUUM shop.event_1
;
VACUUM shop.event_d
;
VACUUM (ANALYZE) shop.orders
;
VACUUM (ANALYZE) shop.customer
;
VACUUM (ANALYZE) shop.log_old
;
VACUUM (ANALYZE) shop.log
;
VACUUM (ANALYZE) shop.sales
;
VACUUM (ANALYZE) shop.event_1
;
VACUUM (ANALYZE) shop.event_d
;
SET default_statistics_target=1; SET vacuum_cost_delay=0
;
ANALYZE shop.orders
;
ANALYZE shop.customer
;
ANALYZE shop.log_old
;
ANALYZE shop.log
;
ANALYZE shop.sales
;
ANALYZE shop.event_1
;
ANALYZE shop.event_d
;
SET default_statistics_target=10; RESET vacuum_cost_delay
;
RESET default_statistics_target
;
WITH listed_tables (table_oid, column_list) AS (
  VALUES ('shop.orders'::pg_catalog.regclass, NULL::pg_catalog.text),
  ('shop.customer'::pg_catalog.regclass, NULL::pg_catalog.text)
)
SELECT c.relname, ns.nspname, listed_tables.column_list FROM pg_catalog.pg_class c
 JOIN pg_catalog.pg_namespace ns ON c.relnamespace OPERATOR(pg_catalog.=) ns.oid
 LEFT JOIN pg_catalog.pg_class t ON c.reltoastrelid OPERATOR(pg_catalog.=) t.oid
 JOIN listed_tables ON listed_tables.table_oid OPERATOR(pg_catalog.=) c.oid
 WHERE c.relpersistence OPERATOR(pg_catalog.!=) 't'
 ORDER BY c.relpages DESC
;

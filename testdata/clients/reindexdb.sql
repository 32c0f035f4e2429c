-- What reindexdb 15 sends with --concurrently.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15.
--
-- Each message ends in a line that is a semicolon.
SELECT pg_catalog.set_config('search_path', '', false)
;
RESET search_path
;
SELECT c.relname, ns.nspname
 FROM pg_catalog.pg_class c, pg_catalog.pg_namespace ns
 WHERE c.relnamespace OPERATOR(pg_catalog.=) ns.oid
  AND c.oid OPERATOR(pg_catalog.=) 'shop.orders'::pg_catalog.regclass
;
REINDEX TABLE CONCURRENTLY shop.orders
;
REINDEX DATABASE CONCURRENTLY maintenance
;

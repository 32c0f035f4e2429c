-- What lib/pq 1.12.3 sends.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15.
--
-- Each message ends in a line that is a semicolon.
SELECT 1
;
SELECT count(*) FROM shop.orders WHERE id = $1
;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY
;
COMMIT
;
BEGIN READ WRITE
;
COPY "shop"."log" ("line") FROM STDIN
;

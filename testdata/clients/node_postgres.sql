-- What node-postgres sends.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15 with pg from npm of that day.
--
-- Each message ends in a line that is a semicolon.
SELECT $1::int
;
SELECT * FROM shop.orders WHERE id = $1
;
BEGIN
;
UPDATE shop.customer SET email = $1 WHERE id = $2
;
COMMIT
;
LISTEN ch
;
UNLISTEN *
;
SELECT 1; SELECT 2
;

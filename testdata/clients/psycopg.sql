-- What psycopg2 2.9.5 and psycopg 3.1.7 send: types, cursors, COPY, transactions, pipeline.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15.
--
-- Each message ends in a line that is a semicolon.
BEGIN
;
SELECT 1
;
SELECT * FROM shop.orders WHERE id = 3
;
COMMIT
;
SELECT t.oid, typarray
FROM pg_type t JOIN pg_namespace ns
    ON typnamespace = ns.oid
WHERE typname = 'hstore'
;
ROLLBACK
;
SELECT t.oid, typarray, attname, atttypid
FROM pg_type t
JOIN pg_namespace ns ON typnamespace = ns.oid
JOIN pg_attribute a ON attrelid = typrelid
WHERE typname = 'pair' AND nspname = 'shop'
    AND attnum > 0 AND NOT attisdropped
ORDER BY attnum
;
DECLARE "named" CURSOR WITHOUT HOLD FOR SELECT * FROM shop.orders
;
FETCH FORWARD 5 FROM "named"
;
FETCH FORWARD ALL FROM "named"
;
CLOSE "named"
;
INSERT INTO shop.customer (email) VALUES ('x0'),('x1'),('x2')
;
UPDATE shop.customer SET born = '2000-01-01' WHERE id = 1;UPDATE shop.customer SET born = '2000-01-02' WHERE id = 2
;
COPY shop.log FROM STDIN
;
COPY shop.log TO STDOUT
;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE
;
DISCARD ALL
;
SELECT
    typname AS name, oid, typarray AS array_oid,
    oid::regtype::text AS regtype, typdelim AS delimiter
FROM pg_type t
WHERE t.oid = $1::regtype
ORDER BY t.oid
;
SELECT
    t.typname AS name, t.oid AS oid, t.typarray AS array_oid,
    t.oid::regtype::text AS regtype,
    coalesce(a.fnames, '{}') AS field_names,
    coalesce(a.ftypes, '{}') AS field_types
FROM pg_type t
LEFT JOIN (
    SELECT
        attrelid,
        array_agg(attname) AS fnames,
        array_agg(atttypid) AS ftypes
    FROM (
        SELECT a.attrelid, a.attname, a.atttypid
        FROM pg_attribute a
        JOIN pg_type t ON t.typrelid = a.attrelid
        WHERE t.oid = $1::regtype
        AND a.attnum > 0
        AND NOT a.attisdropped
        ORDER BY a.attnum
    ) x
    GROUP BY attrelid
) a ON a.attrelid = t.typrelid
WHERE t.oid = $1::regtype
;
SELECT name, oid, array_oid, array_agg(label) AS labels
FROM (
    SELECT
        t.typname AS name, t.oid AS oid, t.typarray AS array_oid,
        e.enumlabel AS label
    FROM pg_type t
    LEFT JOIN  pg_enum e
    ON e.enumtypid = t.oid
    WHERE t.oid = $1::regtype
    ORDER BY e.enumsortorder
) x
GROUP BY name, oid, array_oid
;
SELECT t.typname AS name, t.oid AS oid, t.typarray AS array_oid,
    t.oid::regtype::text AS regtype,
    r.rngsubtype AS subtype_oid
FROM pg_type t
JOIN pg_range r ON t.oid = r.rngtypid
WHERE t.oid = $1::regtype
;
SELECT t.typname AS name, t.oid AS oid, t.typarray AS array_oid,
    t.oid::regtype::text AS regtype,
    r.rngtypid AS range_oid, r.rngsubtype AS subtype_oid
FROM pg_type t
JOIN pg_range r ON t.oid = r.rngmultitypid
WHERE t.oid = $1::regtype
;
SELECT * FROM shop.orders WHERE id = $1
;
SAVEPOINT "_pg3_2"
;
RELEASE "_pg3_2"
;
ROLLBACK TO "_pg3_2"
;
DEALLOCATE ALL
;
UPDATE shop.customer SET extra = $1 WHERE id = $2
;
DECLARE "srv" CURSOR FOR SELECT * FROM shop.orders
;
FETCH FORWARD 3 FROM "srv"
;
MOVE 1 FROM "srv"
;
CLOSE "srv"
;
COPY shop.log (line) FROM STDIN
;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY
;

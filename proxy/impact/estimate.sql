/* How many rows the tables of these names hold, partitions and what inherits
   included, by what ANALYZE has counted or the statistics have counted since, as
   Table.Rows says: -1 where neither has. $1 and $2 are schemas ('' for none) and
   names. Everything is qualified, as the session's search_path is the client's. */
WITH RECURSIVE named AS MATERIALIZED (
  SELECT DISTINCT pg_catalog.to_regclass(CASE WHEN n.schema OPERATOR(pg_catalog.=) '' THEN '' ELSE pg_catalog.quote_ident(n.schema) OPERATOR(pg_catalog.||) '.' END
    OPERATOR(pg_catalog.||) pg_catalog.quote_ident(n.name))::pg_catalog.oid AS oid
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) n(schema, name)
),
tree(top, oid) AS (
  SELECT n.oid, n.oid FROM named n WHERE n.oid IS NOT NULL
  UNION
  SELECT t.top, i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent OPERATOR(pg_catalog.=) t.oid
),
size AS (
  SELECT t.top, pg_catalog.sum(CASE
      WHEN c.reltuples OPERATOR(pg_catalog.<) 0::pg_catalog.float4 THEN x.live
      WHEN x.live OPERATOR(pg_catalog.>) 0::pg_catalog.float8 AND x.looked OPERATOR(pg_catalog.>) 0::pg_catalog.int8
        THEN LEAST(c.reltuples::pg_catalog.float8, x.live)
      ELSE c.reltuples::pg_catalog.float8 END) FILTER (
      WHERE c.reltuples OPERATOR(pg_catalog.>=) 0::pg_catalog.float4 OR x.live OPERATOR(pg_catalog.>) 0::pg_catalog.float8) AS rows
  FROM tree t JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.oid
    CROSS JOIN LATERAL (SELECT pg_catalog.pg_stat_get_live_tuples(c.oid)::pg_catalog.float8 AS live,
      pg_catalog.pg_stat_get_analyze_count(c.oid) OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_autoanalyze_count(c.oid)
        OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_vacuum_count(c.oid) OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_autovacuum_count(c.oid) AS looked) x
  WHERE c.relkind OPERATOR(pg_catalog.=) 'r'
  GROUP BY t.top
)
SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('schema', s.nspname, 'name', c.relname,
    'rows', COALESCE(z.rows, (-1)::pg_catalog.float8))), '[]'::pg_catalog.json)
FROM size z JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) z.top
JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) c.relnamespace

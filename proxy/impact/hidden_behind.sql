/* Says whether code that is not built in is reached from the relations and types that
   a statement names or declares: by views, by row security, by the checks of domains,
   or whether a foreign table is. pg_depend has no rows for what is built in, and so none
   for the built-in functions that run a query or set parameters; the texts that are
   stored have them. The parameters are those of hidden.sql. */
WITH RECURSIVE asked AS MATERIALIZED (
  SELECT n.kind, n.name, CASE
    WHEN n.kind OPERATOR(pg_catalog.=) ANY ('{relation,type}'::pg_catalog.text[])
      AND (n.schema OPERATOR(pg_catalog.=) ANY (ARRAY['', 'pg_temp']) OR EXISTS (
        SELECT FROM pg_catalog.pg_namespace s
        WHERE s.nspname OPERATOR(pg_catalog.=) n.schema::pg_catalog.name AND pg_catalog.has_schema_privilege(s.oid, 'USAGE')))
    THEN CASE WHEN n.schema OPERATOR(pg_catalog.=) '' THEN '' ELSE pg_catalog.quote_ident(n.schema) OPERATOR(pg_catalog.||) '.' END
      OPERATOR(pg_catalog.||) pg_catalog.quote_ident(n.name) END AS written
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.text[])) n(schema, name, kind)
),
/* What is reached, as pg_depend names it: 1259 pg_class, 1247 pg_type, 2618 pg_rewrite,
   3256 pg_policy, 2606 pg_constraint. */
reach(class, oid) AS (
  SELECT CASE a.kind WHEN 'type' THEN 1247::pg_catalog.oid ELSE 1259::pg_catalog.oid END, CASE a.kind
    WHEN 'type' THEN pg_catalog.to_regtype(a.written)::pg_catalog.oid ELSE pg_catalog.to_regclass(a.written)::pg_catalog.oid END
  FROM asked a WHERE a.written IS NOT NULL
  UNION ALL
  SELECT 1247::pg_catalog.oid, CASE a.kind WHEN 'declared' THEN a.name::pg_catalog.oid END
  FROM asked a WHERE a.kind OPERATOR(pg_catalog.=) 'declared'
  UNION
  SELECT next.class, next.oid FROM reach r CROSS JOIN LATERAL (
    SELECT 2618::pg_catalog.oid, w.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_rewrite w ON w.ev_class OPERATOR(pg_catalog.=) c.oid
      WHERE r.class OPERATOR(pg_catalog.=) 1259::pg_catalog.oid AND c.oid OPERATOR(pg_catalog.=) r.oid
        AND c.relkind OPERATOR(pg_catalog.=) 'v' AND w.ev_type OPERATOR(pg_catalog.=) '1'
    UNION ALL
    SELECT 3256::pg_catalog.oid, p.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_policy p ON p.polrelid OPERATOR(pg_catalog.=) c.oid
      WHERE r.class OPERATOR(pg_catalog.=) 1259::pg_catalog.oid AND c.oid OPERATOR(pg_catalog.=) r.oid AND c.relrowsecurity
    UNION ALL
    SELECT x.refclassid, x.refobjid FROM pg_catalog.pg_depend x
      WHERE r.class OPERATOR(pg_catalog.=) ANY ('{2618,3256,2606}'::pg_catalog.oid[])
        AND x.classid OPERATOR(pg_catalog.=) r.class AND x.objid OPERATOR(pg_catalog.=) r.oid
    UNION ALL
    SELECT 1247::pg_catalog.oid, b.oid FROM pg_catalog.pg_type t CROSS JOIN LATERAL (
        SELECT t.typbasetype UNION ALL SELECT t.typelem
        UNION ALL SELECT g.rngsubtype FROM pg_catalog.pg_range g WHERE g.rngtypid OPERATOR(pg_catalog.=) t.oid
        UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) t.typrelid) b(oid)
      WHERE r.class OPERATOR(pg_catalog.=) 1247::pg_catalog.oid AND t.oid OPERATOR(pg_catalog.=) r.oid
    UNION ALL
    SELECT 2606::pg_catalog.oid, k.oid FROM pg_catalog.pg_constraint k
      WHERE r.class OPERATOR(pg_catalog.=) 1247::pg_catalog.oid AND k.contypid OPERATOR(pg_catalog.=) r.oid
  ) next(class, oid)
  WHERE next.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
),
bounded AS MATERIALIZED (SELECT r.class, r.oid FROM reach r LIMIT 1001)
SELECT (EXISTS (SELECT FROM bounded b OFFSET 1000)
  OR EXISTS (SELECT FROM bounded b WHERE b.class OPERATOR(pg_catalog.=) ANY ('{1255,2617,2605}'::pg_catalog.oid[]))
  OR EXISTS (SELECT FROM bounded b WHERE b.class OPERATOR(pg_catalog.=) 1259::pg_catalog.oid
    AND (SELECT c.relkind FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) b.oid) OPERATOR(pg_catalog.=) 'f')
  /* set_config, table_to_xml and its like, ts_rewrite and ts_stat */
  OR EXISTS (SELECT FROM bounded b CROSS JOIN LATERAL (
      SELECT w.ev_action::pg_catalog.text FROM pg_catalog.pg_rewrite w
        WHERE b.class OPERATOR(pg_catalog.=) 2618::pg_catalog.oid AND w.oid OPERATOR(pg_catalog.=) b.oid
      UNION ALL SELECT p.polqual::pg_catalog.text FROM pg_catalog.pg_policy p
        WHERE b.class OPERATOR(pg_catalog.=) 3256::pg_catalog.oid AND p.oid OPERATOR(pg_catalog.=) b.oid
      UNION ALL SELECT k.conbin::pg_catalog.text FROM pg_catalog.pg_constraint k
        WHERE b.class OPERATOR(pg_catalog.=) 2606::pg_catalog.oid AND k.oid OPERATOR(pg_catalog.=) b.oid) stored(text)
    WHERE stored.text OPERATOR(pg_catalog.~) ':funcid (2078|292[3-9]|293[03-8]|368[459]|3690) ')
)::pg_catalog.text

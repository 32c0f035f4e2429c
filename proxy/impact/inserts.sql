/* Says how many of the tables could do more than take the rows when something is
   inserted: by a trigger, a rule, a view or partitions. $1 and $2 hold the schema
   ('' for none) and the name of each, $3 is not looked at. It is qualified as
   catalog.sql is, and for the same reasons. */
SELECT pg_catalog.count(*)::pg_catalog.text
FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.text[])) n(schema, name, kind)
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) (
  CASE WHEN n.schema OPERATOR(pg_catalog.=) ANY (ARRAY['', 'pg_temp']) OR EXISTS (
      SELECT FROM pg_catalog.pg_namespace s
      WHERE s.nspname OPERATOR(pg_catalog.=) n.schema::pg_catalog.name AND pg_catalog.has_schema_privilege(s.oid, 'USAGE'))
    THEN pg_catalog.to_regclass(CASE WHEN n.schema OPERATOR(pg_catalog.=) '' THEN ''
      ELSE pg_catalog.quote_ident(n.schema) OPERATOR(pg_catalog.||) '.' END OPERATOR(pg_catalog.||) pg_catalog.quote_ident(n.name))::pg_catalog.oid
  END)
WHERE c.relkind OPERATOR(pg_catalog.<>) 'r' OR c.relhasrules OR c.relhastriggers AND EXISTS (
  SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid AND NOT t.tgisinternal)

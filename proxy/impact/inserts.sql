/* Says how many of the tables could do more than take the rows when something is
   inserted: by a trigger, a rule, a view, partitions or row security, or because a
   default, a check or an index calls a function that is not built in, or a column
   has a type that is not. pg_depend has no rows for what is built in. $1 and $2 hold the schema
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
WHERE c.relkind OPERATOR(pg_catalog.<>) 'r' OR c.relhasrules OR c.relrowsecurity OR c.relhastriggers AND EXISTS (
  SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid AND NOT t.tgisinternal)
OR EXISTS (
  SELECT FROM (
    SELECT 2604::pg_catalog.oid, d.oid FROM pg_catalog.pg_attrdef d WHERE d.adrelid OPERATOR(pg_catalog.=) c.oid
    UNION ALL SELECT 2606::pg_catalog.oid, k.oid FROM pg_catalog.pg_constraint k
      WHERE k.conrelid OPERATOR(pg_catalog.=) c.oid AND k.contype OPERATOR(pg_catalog.=) 'c'
    UNION ALL SELECT 1259::pg_catalog.oid, i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid
    UNION ALL SELECT 1259::pg_catalog.oid, c.oid
  ) own(class, oid) JOIN pg_catalog.pg_depend x
    ON x.classid OPERATOR(pg_catalog.=) own.class AND x.objid OPERATOR(pg_catalog.=) own.oid
  /* pg_proc, pg_operator, pg_cast, and pg_type for a domain's checks */
  WHERE x.refclassid OPERATOR(pg_catalog.=) ANY ('{1255,2617,2605}'::pg_catalog.oid[])
    OR x.refclassid OPERATOR(pg_catalog.=) 1247::pg_catalog.oid AND EXISTS (
      SELECT FROM pg_catalog.pg_type t WHERE t.oid OPERATOR(pg_catalog.=) x.refobjid AND t.typtype OPERATOR(pg_catalog.<>) 'e'))

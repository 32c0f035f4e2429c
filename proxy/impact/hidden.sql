/* Says whether what a statement names may hide code that is not built in: "true" where
   a function, an attribute, an operator or a cast is not the one which its name says, or
   a table is a foreign one; "behind" where there are views, row security or types of
   people's own, of which hidden_behind.sql tells; else "false". Code in C stands behind
   operators and casts of many extensions, and only superusers can make it: it does not
   count. $1, $2 and $3 are those of catalog.sql, which says why everything is qualified.
   What is declared is a type of people's own, by its OID. A name of pg_catalog is one
   of a function that reads what nobody knows. */
WITH asked AS MATERIALIZED (
  SELECT n.schema, n.name, n.kind, CASE
    WHEN n.kind OPERATOR(pg_catalog.=) ANY ('{relation,type}'::pg_catalog.text[])
      AND (n.schema OPERATOR(pg_catalog.=) ANY (ARRAY['', 'pg_temp']) OR EXISTS (
        SELECT FROM pg_catalog.pg_namespace s
        WHERE s.nspname OPERATOR(pg_catalog.=) n.schema::pg_catalog.name AND pg_catalog.has_schema_privilege(s.oid, 'USAGE')))
    THEN CASE WHEN n.schema OPERATOR(pg_catalog.=) '' THEN '' ELSE pg_catalog.quote_ident(n.schema) OPERATOR(pg_catalog.||) '.' END
      OPERATOR(pg_catalog.||) pg_catalog.quote_ident(n.name) END AS written
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.text[])) n(schema, name, kind)
)
SELECT CASE WHEN EXISTS (SELECT FROM asked a WHERE a.kind OPERATOR(pg_catalog.=) 'function' AND a.schema OPERATOR(pg_catalog.=) 'pg_catalog')
  OR EXISTS (SELECT FROM asked a CROSS JOIN LATERAL (SELECT * FROM pg_catalog.pg_proc p WHERE p.proname OPERATOR(pg_catalog.=) a.name::pg_catalog.name OFFSET 0) p
    JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) p.pronamespace
    WHERE a.kind OPERATOR(pg_catalog.=) ANY ('{function,attribute}'::pg_catalog.text[])
      AND p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND p.prolang OPERATOR(pg_catalog.<>) ALL ('{12,13}'::pg_catalog.oid[])
      AND s.nspname OPERATOR(pg_catalog.=) ANY (pg_catalog.current_schemas(true))
      AND (a.kind OPERATOR(pg_catalog.=) 'function' OR EXISTS (SELECT FROM pg_catalog.pg_type t
        WHERE t.oid OPERATOR(pg_catalog.=) p.proargtypes[0] AND t.typtype OPERATOR(pg_catalog.=) ANY ('{c,d,p}'::pg_catalog."char"[]))))
  OR EXISTS (SELECT FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) o.oprcode::pg_catalog.oid
    JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) o.oprnamespace
    WHERE o.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND p.prolang OPERATOR(pg_catalog.<>) ALL ('{12,13}'::pg_catalog.oid[])
      AND s.nspname OPERATOR(pg_catalog.=) ANY (pg_catalog.current_schemas(true))
      AND EXISTS (SELECT FROM pg_catalog.pg_operator b WHERE b.oprname OPERATOR(pg_catalog.=) o.oprname AND b.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid))
  OR EXISTS (SELECT FROM pg_catalog.pg_cast k JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) k.castfunc
    WHERE k.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND p.prolang OPERATOR(pg_catalog.<>) ALL ('{12,13}'::pg_catalog.oid[]))
  OR EXISTS (SELECT FROM asked a JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(a.written)::pg_catalog.oid
    WHERE a.kind OPERATOR(pg_catalog.=) 'relation' AND c.relkind OPERATOR(pg_catalog.=) 'f')
THEN 'true'
WHEN EXISTS (SELECT FROM asked a JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(a.written)::pg_catalog.oid
    WHERE a.kind OPERATOR(pg_catalog.=) 'relation' AND c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
      AND (c.relkind OPERATOR(pg_catalog.=) 'v' OR c.relrowsecurity))
  OR EXISTS (SELECT FROM asked a WHERE a.kind OPERATOR(pg_catalog.=) 'type'
    AND pg_catalog.to_regtype(a.written)::pg_catalog.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid)
  OR EXISTS (SELECT FROM asked a WHERE a.kind OPERATOR(pg_catalog.=) 'declared')
THEN 'behind' ELSE 'false' END

/* Asks the catalogue about the names of a statement. $1, $2 and $3 hold the
   schema ('' for none), the name and the kind of each. Everything is qualified
   with pg_catalog, operators too, because the session's search_path is the
   client's. A schema that the role may not use is passed over: naming it to
   to_regclass would be an error, and abort the client's transaction. */
WITH RECURSIVE
asked AS MATERIALIZED (
  SELECT n.place, n.schema, n.name, n.kind,
    CASE WHEN n.schema OPERATOR(pg_catalog.=) ANY (ARRAY['', 'pg_temp']) OR EXISTS (
        SELECT FROM pg_catalog.pg_namespace s
        WHERE s.nspname OPERATOR(pg_catalog.=) n.schema::pg_catalog.name AND pg_catalog.has_schema_privilege(s.oid, 'USAGE'))
      THEN CASE WHEN n.schema OPERATOR(pg_catalog.=) '' THEN '' ELSE pg_catalog.quote_ident(n.schema) OPERATOR(pg_catalog.||) '.' END
        OPERATOR(pg_catalog.||) pg_catalog.quote_ident(n.name)
    END AS written
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]),
    pg_catalog.unnest($3::pg_catalog.text[])) WITH ORDINALITY n(schema, name, kind, place)
),
found AS MATERIALIZED (
  SELECT a.*, CASE
      WHEN a.kind OPERATOR(pg_catalog.=) 'relation' THEN pg_catalog.to_regclass(a.written)::pg_catalog.oid
      WHEN a.kind OPERATOR(pg_catalog.=) 'type' THEN pg_catalog.to_regtype(a.written)::pg_catalog.oid
      WHEN a.kind OPERATOR(pg_catalog.=) 'schema' THEN (SELECT s.oid FROM pg_catalog.pg_namespace s WHERE s.nspname OPERATOR(pg_catalog.=) a.name::pg_catalog.name)
    END AS oid
  FROM asked a
),
reach(oid, via) AS (
  SELECT f.oid, 'name' FROM found f WHERE f.kind OPERATOR(pg_catalog.=) 'relation' AND f.oid IS NOT NULL
  UNION
  SELECT next.oid, next.via FROM reach r CROSS JOIN LATERAL (
    SELECT i.inhrelid, CASE WHEN r.via OPERATOR(pg_catalog.=) 'foreign key' THEN r.via ELSE 'child' END
    FROM pg_catalog.pg_inherits i WHERE i.inhparent OPERATOR(pg_catalog.=) r.oid
    UNION ALL
    /* pg_constraint has no index by the referenced table; the triggers that
       carry a foreign key out stand on it, and have one. */
    SELECT k.conrelid, 'foreign key'
    FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_constraint k ON k.oid OPERATOR(pg_catalog.=) t.tgconstraint
    WHERE t.tgrelid OPERATOR(pg_catalog.=) r.oid AND t.tgisinternal AND k.contype OPERATOR(pg_catalog.=) 'f'
      AND k.confrelid OPERATOR(pg_catalog.=) r.oid
    UNION ALL
    SELECT d.refobjid, 'base'
    FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_depend d
      ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) w.oid
    WHERE w.ev_class OPERATOR(pg_catalog.=) r.oid AND w.rulename OPERATOR(pg_catalog.=) '_RETURN' AND w.ev_type OPERATOR(pg_catalog.=) '1'
      AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid OPERATOR(pg_catalog.<>) r.oid
  ) next(oid, via)
),
/* The recursion stops where nobody reads on: LIMIT bounds it. */
bounded AS MATERIALIZED (SELECT r.oid, r.via FROM reach r LIMIT 201),
near AS MATERIALIZED (
  SELECT b.oid, pg_catalog.bool_or(b.via OPERATOR(pg_catalog.=) 'name') AS named,
    pg_catalog.bool_or(b.via OPERATOR(pg_catalog.<>) 'foreign key') AS acted
  FROM bounded b GROUP BY b.oid
),
relation AS MATERIALIZED (
  SELECT n.named, n.acted, c.*, s.nspname FROM near n
  JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) n.oid
  JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) c.relnamespace
),
/* The types of columns, and below each domain the type that it is over. */
typed AS (
  SELECT r.oid AS relation, a.attnum, a.atttypid AS type
  FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) r.oid
  WHERE r.named AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
  UNION ALL
  SELECT d.relation, d.attnum, t.typbasetype FROM typed d JOIN pg_catalog.pg_type t
    ON t.oid OPERATOR(pg_catalog.=) d.type AND t.typtype OPERATOR(pg_catalog.=) 'd'
),
meant AS MATERIALIZED (
  SELECT d.relation, d.attnum, t.oid AS type, t.typtype, CASE WHEN t.typtype OPERATOR(pg_catalog.=) 'c' THEN 'record'
    WHEN t.typtype OPERATOR(pg_catalog.=) 'e' OR t.typnamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid
    THEN t.typname::pg_catalog.text END AS name
  FROM typed d JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) d.type AND t.typtype OPERATOR(pg_catalog.<>) 'd'
),
domain_check AS MATERIALIZED (
  SELECT d.relation, d.attnum, pg_catalog.pg_get_expr(k.conbin, 0) AS condition
  FROM typed d JOIN pg_catalog.pg_constraint k ON k.contypid OPERATOR(pg_catalog.=) d.type
  WHERE k.contype OPERATOR(pg_catalog.=) 'c' AND k.convalidated
),
trigger AS MATERIALIZED (
  /* OFFSET 0 keeps the planner, which cannot know how few relations there are,
     from reading the whole of pg_trigger. */
  SELECT t.* FROM relation r CROSS JOIN LATERAL (SELECT * FROM pg_catalog.pg_trigger t
    WHERE t.tgrelid OPERATOR(pg_catalog.=) r.oid AND NOT t.tgisinternal AND t.tgenabled OPERATOR(pg_catalog.<>) 'D' OFFSET 0) t
)
SELECT pg_catalog.json_build_object(
  'server_version', pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
  'cut', (SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>) 200 FROM bounded b),
  'found', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('schema', f.schema, 'name', f.name, 'kind', f.kind,
      'hidden', f.written IS NULL AND EXISTS (
        SELECT FROM pg_catalog.pg_namespace s WHERE s.nspname OPERATOR(pg_catalog.=) f.schema::pg_catalog.name), 'oid', COALESCE(f.oid, 0::pg_catalog.oid)::pg_catalog.int8) ORDER BY f.place) FROM found f),
  'relations', (SELECT pg_catalog.json_agg(pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
      'oid', r.oid::pg_catalog.int8, 'schema', r.nspname, 'name', r.relname, 'kind', r.relkind,
      /* A superuser can drop those of other sessions, too: they are no scratch of
         this one. */
      'temporary', r.relpersistence OPERATOR(pg_catalog.=) 't' AND r.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema(), 'rows', r.reltuples, 'pages', r.relpages,
      'row_security', r.relrowsecurity,
      /* As in inserts.sql: a default, a check, an index or a type that is not built in. */
      'calls', CASE WHEN r.named THEN EXISTS (SELECT FROM (
          SELECT 2604::pg_catalog.oid, d.oid FROM pg_catalog.pg_attrdef d WHERE d.adrelid OPERATOR(pg_catalog.=) r.oid
          UNION ALL SELECT 2606::pg_catalog.oid, k.oid FROM pg_catalog.pg_constraint k
            WHERE k.conrelid OPERATOR(pg_catalog.=) r.oid AND k.contype OPERATOR(pg_catalog.=) 'c'
          UNION ALL SELECT 1259::pg_catalog.oid, i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid OPERATOR(pg_catalog.=) r.oid
          UNION ALL SELECT 1259::pg_catalog.oid, r.oid
        ) own(class, oid) JOIN pg_catalog.pg_depend x ON x.classid OPERATOR(pg_catalog.=) own.class AND x.objid OPERATOR(pg_catalog.=) own.oid
        WHERE x.refclassid OPERATOR(pg_catalog.=) ANY ('{1255,2617,2605}'::pg_catalog.oid[])
          OR x.refclassid OPERATOR(pg_catalog.=) 1247::pg_catalog.oid AND EXISTS (
            SELECT FROM pg_catalog.pg_type t WHERE t.oid OPERATOR(pg_catalog.=) x.refobjid AND t.typtype OPERATOR(pg_catalog.<>) 'e')) END,
      'empty', r.acted AND CASE WHEN r.relkind OPERATOR(pg_catalog.=) ANY ('{r,m}'::pg_catalog."char"[])
          THEN pg_catalog.pg_relation_size(r.oid) OPERATOR(pg_catalog.=) 0
          ELSE r.relkind OPERATOR(pg_catalog.=) 'p' END,
      'size', CASE WHEN r.named AND r.relkind OPERATOR(pg_catalog.=) 'r' THEN pg_catalog.pg_relation_size(r.oid) END,
      'live', CASE WHEN r.named AND r.relkind OPERATOR(pg_catalog.=) 'r' THEN pg_catalog.pg_stat_get_live_tuples(r.oid) END,
      'last_value', CASE WHEN r.relkind OPERATOR(pg_catalog.=) 'S' AND pg_catalog.has_sequence_privilege(r.oid, 'USAGE,SELECT')
          AND EXISTS (SELECT FROM pg_catalog.pg_sequence q WHERE q.seqrelid OPERATOR(pg_catalog.=) r.oid AND q.seqincrement OPERATOR(pg_catalog.>) 0::pg_catalog.int8)
          THEN pg_catalog.pg_sequence_last_value(r.oid) END,
      'columns', CASE WHEN r.named THEN (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname,
          'not_null', a.attnotnull, 'kind', CASE
            WHEN a.atttypid OPERATOR(pg_catalog.=) ANY ('{20,21,23,700,701,1700}'::pg_catalog.oid[]) THEN 'num'
            WHEN a.atttypid OPERATOR(pg_catalog.=) 16::pg_catalog.oid THEN 'bool'
            WHEN a.atttypid OPERATOR(pg_catalog.=) ANY ('{25,1043}'::pg_catalog.oid[]) THEN 'text'
            ELSE 'other' END, 'type', m.name, 'labels', CASE WHEN m.typtype OPERATOR(pg_catalog.=) 'e' THEN (
              SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e
              WHERE e.enumtypid OPERATOR(pg_catalog.=) m.type) END,
            'checks', (SELECT pg_catalog.json_agg(k.condition) FROM domain_check k
              WHERE k.relation OPERATOR(pg_catalog.=) r.oid AND k.attnum OPERATOR(pg_catalog.=) a.attnum)) ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute a LEFT JOIN meant m ON m.relation OPERATOR(pg_catalog.=) r.oid AND m.attnum OPERATOR(pg_catalog.=) a.attnum
        WHERE a.attrelid OPERATOR(pg_catalog.=) r.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped) END,
      /* One that children do not inherit is true of the table's own rows only. */
      'checks', CASE WHEN r.named THEN (SELECT pg_catalog.json_agg(pg_catalog.pg_get_expr(k.conbin, k.conrelid) ORDER BY k.conname)
        FROM pg_catalog.pg_constraint k WHERE k.conrelid OPERATOR(pg_catalog.=) r.oid AND k.contype OPERATOR(pg_catalog.=) 'c' AND k.convalidated
          AND (NOT k.connoinherit OR NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent OPERATOR(pg_catalog.=) r.oid))) END,
      /* A partition meets the bounds of those that it is in, too. The order of a
         type is the one that its default operator class and the column's own
         collation give. */
      'bounds', CASE WHEN r.named AND r.relispartition THEN (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
          'text', pg_catalog.pg_get_expr(c.relpartbound, 0), 'columns', (
            SELECT pg_catalog.json_agg(CASE WHEN o.opcdefault AND o.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid
                AND a.attcollation OPERATOR(pg_catalog.=) u.collated THEN a.attname::pg_catalog.text ELSE '' END ORDER BY u.place)
            FROM ROWS FROM (pg_catalog.unnest(p.partattrs::pg_catalog.int2[]), pg_catalog.unnest(p.partclass::pg_catalog.oid[]),
                pg_catalog.unnest(p.partcollation::pg_catalog.oid[])) WITH ORDINALITY u(attnum, class, collated, place)
              JOIN pg_catalog.pg_opclass o ON o.oid OPERATOR(pg_catalog.=) u.class
              LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) p.partrelid
                AND a.attnum OPERATOR(pg_catalog.=) u.attnum AND a.attnum OPERATOR(pg_catalog.>) 0)))
        FROM pg_catalog.pg_partition_ancestors(r.oid::pg_catalog.regclass) x(oid)
          JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) x.oid::pg_catalog.oid AND c.relispartition
          JOIN pg_catalog.pg_inherits i ON i.inhrelid OPERATOR(pg_catalog.=) c.oid
          JOIN pg_catalog.pg_partitioned_table p ON p.partrelid OPERATOR(pg_catalog.=) i.inhparent) END,
      'keys', CASE WHEN r.named THEN (SELECT pg_catalog.json_agg(k.columns ORDER BY k.indexrelid) FROM (
          SELECT i.indexrelid, pg_catalog.json_agg(a.attname ORDER BY a.attnum) AS columns, pg_catalog.bool_and(a.attnotnull) AS sure
          FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid
            AND a.attnum OPERATOR(pg_catalog.=) ANY ((i.indkey::pg_catalog.int2[])[0:(i.indnkeyatts OPERATOR(pg_catalog.-) 1)])
          WHERE i.indrelid OPERATOR(pg_catalog.=) r.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
            AND i.indpred IS NULL AND i.indexprs IS NULL
          GROUP BY i.indexrelid) k WHERE k.sure) END,
      'below', (SELECT pg_catalog.json_agg(i.inhrelid::pg_catalog.int8 ORDER BY i.inhrelid)
        FROM pg_catalog.pg_inherits i WHERE i.inhparent OPERATOR(pg_catalog.=) r.oid),
      'bases', CASE WHEN r.relkind OPERATOR(pg_catalog.=) 'v' THEN (SELECT pg_catalog.json_agg(DISTINCT d.refobjid::pg_catalog.int8)
        FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_depend d
          ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) w.oid
        WHERE w.ev_class OPERATOR(pg_catalog.=) r.oid AND w.ev_type OPERATOR(pg_catalog.=) '1'
          AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
          AND d.refobjid OPERATOR(pg_catalog.<>) r.oid) END,
      'triggers', CASE WHEN r.relhastriggers THEN (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', t.tgname,
          'timing', CASE WHEN (t.tgtype OPERATOR(pg_catalog.&) 64::pg_catalog.int2) OPERATOR(pg_catalog.<>) 0 THEN 'instead of'
            WHEN (t.tgtype OPERATOR(pg_catalog.&) 2::pg_catalog.int2) OPERATOR(pg_catalog.<>) 0 THEN 'before' ELSE 'after' END,
          'events', pg_catalog.array_remove(ARRAY[
            CASE WHEN (t.tgtype OPERATOR(pg_catalog.&) 4::pg_catalog.int2) OPERATOR(pg_catalog.<>) 0 THEN 'insert' END,
            CASE WHEN (t.tgtype OPERATOR(pg_catalog.&) 8::pg_catalog.int2) OPERATOR(pg_catalog.<>) 0 THEN 'delete' END,
            CASE WHEN (t.tgtype OPERATOR(pg_catalog.&) 16::pg_catalog.int2) OPERATOR(pg_catalog.<>) 0 THEN 'update' END,
            CASE WHEN (t.tgtype OPERATOR(pg_catalog.&) 32::pg_catalog.int2) OPERATOR(pg_catalog.<>) 0 THEN 'truncate' END], NULL),
          'row', (t.tgtype OPERATOR(pg_catalog.&) 1::pg_catalog.int2) OPERATOR(pg_catalog.<>) 0,
          'conditional', t.tgqual IS NOT NULL OR t.tgattr::pg_catalog.text OPERATOR(pg_catalog.<>) '',
          'columns', (SELECT pg_catalog.json_agg(a.attname) FROM pg_catalog.pg_attribute a
            WHERE a.attrelid OPERATOR(pg_catalog.=) t.tgrelid AND a.attnum OPERATOR(pg_catalog.=) ANY (t.tgattr::pg_catalog.int2[])),
          'definition', CASE WHEN t.tgqual IS NULL THEN '' ELSE pg_catalog.pg_get_triggerdef(t.oid) END,
          'function', t.tgfoid::pg_catalog.int8) ORDER BY t.tgname)
        FROM trigger t WHERE t.tgrelid OPERATOR(pg_catalog.=) r.oid) END,
      'rules', CASE WHEN r.relhasrules AND r.acted THEN (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', w.rulename,
          'event', CASE WHEN w.ev_type OPERATOR(pg_catalog.=) '2' THEN 'update' WHEN w.ev_type OPERATOR(pg_catalog.=) '3' THEN 'insert' WHEN w.ev_type OPERATOR(pg_catalog.=) '4' THEN 'delete' END,
          'instead', w.is_instead, 
          /* It runs a query of its own under the session's search_path: not where
             that finds another operator before the one of pg_catalog. */
          'definition', CASE WHEN (SELECT pg_catalog.array_position(p.path, 'pg_catalog'::pg_catalog.name) OPERATOR(pg_catalog.=) CASE
              WHEN pg_catalog.starts_with(p.path[1]::pg_catalog.text, 'pg_temp_') THEN 2 ELSE 1 END FROM pg_catalog.current_schemas(true) p(path))
            THEN pg_catalog.pg_get_ruledef(w.oid) ELSE '' END) ORDER BY w.rulename)
        FROM pg_catalog.pg_rewrite w WHERE w.ev_class OPERATOR(pg_catalog.=) r.oid
          AND w.ev_type OPERATOR(pg_catalog.<>) '1' AND w.ev_enabled OPERATOR(pg_catalog.<>) 'D') END,
      'written', CASE WHEN r.acted AND r.relkind OPERATOR(pg_catalog.=) 'r' THEN pg_catalog.pg_stat_get_tuples_inserted(r.oid)
          OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_tuples_updated(r.oid) OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_tuples_deleted(r.oid) END,
      'last_analyzed', CASE WHEN r.acted AND r.relkind OPERATOR(pg_catalog.=) 'r' THEN GREATEST(
          pg_catalog.pg_stat_get_last_analyze_time(r.oid), pg_catalog.pg_stat_get_last_autoanalyze_time(r.oid)) END
    )) ORDER BY r.oid) FROM relation r),
  'foreign_keys', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', k.conname,
      'from', k.conrelid::pg_catalog.int8, 'to', k.confrelid::pg_catalog.int8, 'validated', k.convalidated,
      'columns', (SELECT pg_catalog.json_agg(a.attname ORDER BY u.place)
        FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY u(attnum, place) JOIN pg_catalog.pg_attribute a
          ON a.attrelid OPERATOR(pg_catalog.=) k.conrelid AND a.attnum OPERATOR(pg_catalog.=) u.attnum),
      'referenced_columns', (SELECT pg_catalog.json_agg(a.attname ORDER BY u.place)
        FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY u(attnum, place) JOIN pg_catalog.pg_attribute a
          ON a.attrelid OPERATOR(pg_catalog.=) k.confrelid AND a.attnum OPERATOR(pg_catalog.=) u.attnum),
      'on_delete', CASE WHEN k.confdeltype OPERATOR(pg_catalog.=) 'c' THEN 'cascade' WHEN k.confdeltype OPERATOR(pg_catalog.=) 'n' THEN 'set null' WHEN k.confdeltype OPERATOR(pg_catalog.=) 'd' THEN 'set default'
        WHEN k.confdeltype OPERATOR(pg_catalog.=) 'r' THEN 'restrict' ELSE 'no action' END,
      'on_update', CASE WHEN k.confupdtype OPERATOR(pg_catalog.=) 'c' THEN 'cascade' WHEN k.confupdtype OPERATOR(pg_catalog.=) 'n' THEN 'set null' WHEN k.confupdtype OPERATOR(pg_catalog.=) 'd' THEN 'set default'
        WHEN k.confupdtype OPERATOR(pg_catalog.=) 'r' THEN 'restrict' ELSE 'no action' END,
      /* pg_stats shows a role the columns that it may read. */
      'spread', (SELECT pg_catalog.json_build_object('distinct', s.n_distinct,
          'most_common', COALESCE(s.most_common_freqs[1], 0::pg_catalog.float4), 'nulls', s.null_frac)
        FROM pg_catalog.pg_stats s WHERE s.schemaname OPERATOR(pg_catalog.=) r.nspname AND s.tablename OPERATOR(pg_catalog.=) r.relname
          AND s.inherited OPERATOR(pg_catalog.=) (r.relkind OPERATOR(pg_catalog.=) 'p')
          AND s.attname OPERATOR(pg_catalog.=) ANY (SELECT a.attname FROM pg_catalog.pg_attribute a
            WHERE a.attrelid OPERATOR(pg_catalog.=) k.conrelid AND a.attnum OPERATOR(pg_catalog.=) ANY (k.conkey))
        ORDER BY CASE WHEN s.n_distinct OPERATOR(pg_catalog.<) 0::pg_catalog.float4
          THEN s.n_distinct OPERATOR(pg_catalog.*) (OPERATOR(pg_catalog.-) GREATEST(r.reltuples, 1::pg_catalog.float4)) ELSE s.n_distinct END DESC LIMIT 1)
      ) ORDER BY k.oid)
    FROM relation r CROSS JOIN LATERAL (SELECT * FROM pg_catalog.pg_constraint k
      WHERE k.conrelid OPERATOR(pg_catalog.=) r.oid AND k.contype OPERATOR(pg_catalog.=) 'f' OFFSET 0) k
    /* Those of what a statement names say how values are spread, too. */
    WHERE (r.named OR EXISTS (SELECT FROM near n WHERE n.oid OPERATOR(pg_catalog.=) k.confrelid))
      /* Partitions have copies of a foreign key, on either side. */
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint p JOIN near n ON n.oid OPERATOR(pg_catalog.=) p.confrelid
        WHERE p.oid OPERATOR(pg_catalog.=) k.conparentid AND (p.confrelid OPERATOR(pg_catalog.=) k.confrelid
          OR p.conrelid OPERATOR(pg_catalog.=) k.conrelid))),
  /* Operators of people's own over types that others use, too. Those of an
     extension's own types are not meant. */
  'operators', (SELECT pg_catalog.json_agg(DISTINCT o.oprname) FROM pg_catalog.pg_operator o
    LEFT JOIN pg_catalog.pg_type l ON l.oid OPERATOR(pg_catalog.=) o.oprleft
    JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) o.oprright
    JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) o.oprnamespace
    WHERE o.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND s.nspname OPERATOR(pg_catalog.=) ANY (pg_catalog.current_schemas(true))
      AND (l.oid IS NULL OR l.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid OR l.typtype OPERATOR(pg_catalog.=) ANY ('{d,e}'::pg_catalog."char"[]))
      AND (t.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid OR t.typtype OPERATOR(pg_catalog.=) ANY ('{d,e}'::pg_catalog."char"[]))),
  'functions', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('oid', p.oid::pg_catalog.int8, 'schema', s.nspname,
      'name', p.proname, 'kind', p.prokind, 'volatility', p.provolatile, 'language', l.lanname,
      'security_definer', p.prosecdef, 'strict', p.proisstrict,
      'arguments', CASE WHEN l.lanname OPERATOR(pg_catalog.=) ANY ('{sql,plpgsql}'::pg_catalog.name[]) THEN (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', COALESCE(n.name, ''), 'kind', CASE
            WHEN t.type OPERATOR(pg_catalog.=) ANY ('{20,21,23,700,701,1700}'::pg_catalog.oid[]) THEN 'num'
            WHEN t.type OPERATOR(pg_catalog.=) 16::pg_catalog.oid THEN 'bool'
            WHEN t.type OPERATOR(pg_catalog.=) ANY ('{25,1043}'::pg_catalog.oid[]) THEN 'text'
            ELSE 'other' END) ORDER BY t.place)
        FROM pg_catalog.unnest(p.proargtypes::pg_catalog.oid[]) WITH ORDINALITY t(type, place)
        LEFT JOIN (SELECT u.name, pg_catalog.row_number() OVER (ORDER BY u.place) AS place
          FROM ROWS FROM (pg_catalog.unnest(p.proargnames), pg_catalog.unnest(p.proargmodes)) WITH ORDINALITY u(name, mode, place)
          WHERE u.mode IS NULL OR u.mode OPERATOR(pg_catalog.=) ANY ('{i,b,v}'::pg_catalog."char"[])) n
        ON n.place OPERATOR(pg_catalog.=) t.place) END, 'settings', p.proconfig IS NOT NULL,
      'built_in', p.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid AND s.nspname OPERATOR(pg_catalog.=) 'pg_catalog',
      'body', CASE WHEN l.lanname OPERATOR(pg_catalog.=) ANY ('{sql,plpgsql}'::pg_catalog.name[])
          AND p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND pg_catalog.length(p.prosrc) OPERATOR(pg_catalog.<) 65536
        THEN COALESCE(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc) ELSE '' END) ORDER BY p.oid)
    FROM (
      SELECT p.oid FROM found f JOIN pg_catalog.pg_proc p ON p.proname OPERATOR(pg_catalog.=) f.name::pg_catalog.name
        JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) p.pronamespace
      WHERE f.kind OPERATOR(pg_catalog.=) 'function' AND CASE
        WHEN f.schema OPERATOR(pg_catalog.=) '' THEN s.nspname OPERATOR(pg_catalog.=) ANY (pg_catalog.current_schemas(true))
        WHEN f.schema OPERATOR(pg_catalog.=) 'pg_temp' THEN s.oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()
        ELSE s.nspname OPERATOR(pg_catalog.=) f.schema::pg_catalog.name END
      UNION
      SELECT t.tgfoid FROM trigger t
    ) wanted JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) wanted.oid
      JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) p.pronamespace
      JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang)
)::pg_catalog.text

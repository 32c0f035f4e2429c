/* Measures the open transaction of the session that it is sent in. Everything is
   qualified with pg_catalog, operators too, because the session's search_path is
   the client's. IN, BETWEEN, NULLIF, CASE x WHEN, IS DISTINCT FROM and USING stay
   out: they look their operator up in the search_path. */
WITH own AS MATERIALIZED (
  SELECT l.locktype, l.relation, l.mode, l.transactionid FROM pg_catalog.pg_lock_status() l
  WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
),
held AS MATERIALIZED (
  SELECT h.oid, pg_catalog.bool_or(h.exclusive) AS exclusive FROM (
    /* Who changes rows holds ROW EXCLUSIVE or more until the end of the
       transaction. SHARE UPDATE EXCLUSIVE and SHARE are ANALYZE and CREATE INDEX. */
    SELECT o.relation, o.mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock' FROM own o
    WHERE o.locktype OPERATOR(pg_catalog.=) 'relation' AND o.mode OPERATOR(pg_catalog.=) ANY
      ('{RowExclusiveLock,ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}'::pg_catalog.text[])
    UNION ALL
    /* lo_unlink keeps no lock on pg_largeobject and pg_largeobject_metadata. */
    SELECT o.oid, false FROM pg_catalog.unnest('{2613,2995}'::pg_catalog.oid[]) o(oid)
  ) h(oid, exclusive) GROUP BY h.oid
),
found AS MATERIALIZED (
  /* OFFSET 0 keeps the planner, which cannot know how few locks there are, from
     reading the whole of pg_class. */
  SELECT h.oid, h.exclusive, c.relname, c.relnamespace, c.relkind, c.relam, c.relpersistence, c.relispartition,
    c.relhastriggers, c.reltuples, c.relpages
  FROM held h LEFT JOIN LATERAL (
    SELECT * FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) h.oid OFFSET 0) c ON true
),
counted AS MATERIALIZED (
  SELECT f.*, pg_catalog.pg_stat_get_xact_tuples_inserted(f.oid) AS inserted,
    pg_catalog.pg_stat_get_xact_tuples_updated(f.oid) AS updated, pg_catalog.pg_stat_get_xact_tuples_deleted(f.oid) AS deleted
  FROM found f WHERE f.relkind IS NULL OR f.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,m,f}'::pg_catalog."char"[])
),
listed AS MATERIALIZED (
  SELECT c.* FROM counted c
  WHERE c.exclusive OR c.relkind OPERATOR(pg_catalog.=) 'f'
    OR (c.inserted OPERATOR(pg_catalog.+) c.updated OPERATOR(pg_catalog.+) c.deleted) OPERATOR(pg_catalog.>) 0
      /* DDL writes system catalogs, and keeps its lock on some. UPDATE and DELETE
         keep those on the indexes besides. 11 is pg_catalog. */
      AND (c.relnamespace OPERATOR(pg_catalog.<>) 11::pg_catalog.oid
        OR c.oid OPERATOR(pg_catalog.=) ANY ('{2613,2995}'::pg_catalog.oid[])
        OR EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid
          AND i.indexrelid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT h.oid FROM held h)) OFFSET 0))
)
SELECT pg_catalog.encode(pg_catalog.convert_to(pg_catalog.json_build_object(
  'track_counts', pg_catalog.current_setting('track_counts')::pg_catalog.bool,
  'xid', pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL,
  'deferred', EXISTS (SELECT FROM found f WHERE f.relhastriggers AND EXISTS (
    SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid OPERATOR(pg_catalog.=) f.oid
      AND t.tgdeferrable AND NOT t.tgisinternal AND t.tgenabled OPERATOR(pg_catalog.<>) 'D' OFFSET 0)),
  'tables', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'oid', l.oid::pg_catalog.int8, 'name', l.relname, 'kind', COALESCE(l.relkind, ''),
      'schema', (SELECT s.nspname FROM pg_catalog.pg_namespace s WHERE s.oid OPERATOR(pg_catalog.=) l.relnamespace OFFSET 0),
      'temporary', COALESCE(l.relpersistence OPERATOR(pg_catalog.=) 't' AND l.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema(), false),
      'inserted', l.inserted, 'updated', l.updated, 'deleted', l.deleted, 'exclusive', l.exclusive,
      /* The rows of a table's system columns are written when it is made and never
         again. A transaction and its subtransactions hold a lock on their own IDs. */
      'created', l.exclusive AND EXISTS (SELECT FROM pg_catalog.pg_attribute a
        WHERE a.attrelid OPERATOR(pg_catalog.=) l.oid AND a.attnum OPERATOR(pg_catalog.=) (-6)::pg_catalog.int2
          AND a.xmin OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT o.transactionid FROM own o
            WHERE o.locktype OPERATOR(pg_catalog.=) 'transactionid' AND o.mode OPERATOR(pg_catalog.=) 'ExclusiveLock')) OFFSET 0),
      /* Unknown until the first ANALYZE or VACUUM, and after TRUNCATE or DROP in
         this transaction; the statistics of the server still know. */
      'rows', CASE WHEN l.reltuples OPERATOR(pg_catalog.>=) 0::pg_catalog.float4 THEN l.reltuples::pg_catalog.int8
        WHEN pg_catalog.pg_stat_get_live_tuples(l.oid) OPERATOR(pg_catalog.>) 0 THEN pg_catalog.pg_stat_get_live_tuples(l.oid)
        ELSE -1 END,
      'pages', COALESCE(l.relpages, 0),
      'root', CASE WHEN l.relispartition THEN (SELECT pg_catalog.json_build_object('oid', r.oid::pg_catalog.int8, 'schema', s.nspname, 'name', r.relname)
        FROM pg_catalog.pg_class r JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) r.relnamespace
        WHERE r.oid OPERATOR(pg_catalog.=) pg_catalog.pg_partition_root(l.oid)::pg_catalog.oid OFFSET 0) END,
      /* 2 is heap, which counts; another access method may not. */
      'counts', COALESCE(l.relkind OPERATOR(pg_catalog.=) 'p' OR l.relam OPERATOR(pg_catalog.=) 2::pg_catalog.oid, true)
    ) ORDER BY l.oid) FROM listed l),
  'sequences', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('schema', s.nspname, 'name', f.relname) ORDER BY f.oid)
    FROM found f JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) f.relnamespace
    WHERE f.relkind OPERATOR(pg_catalog.=) 'S'),
  /* A cursor that was declared in an earlier transaction has run. */
  'cursors', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', c.name, 'statement', c.statement))
    FROM pg_catalog.pg_cursor() c
    WHERE c.is_holdable AND c.creation_time OPERATOR(pg_catalog.>=) pg_catalog.transaction_timestamp())
)::pg_catalog.text,
  /* Bytes of no encoding cannot be converted. */
  CASE WHEN pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.=) 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END::pg_catalog.name), 'hex')
FROM pg_catalog.pg_stat_force_next_flush()

/* Measures the open transaction of the session that it is sent in. It has to be
   planned each time, so it is one look at the locks, and DecodeMeasurement does
   what can be done without the server. Everything is qualified with pg_catalog,
   operators too, because the session's search_path is the client's. IN, BETWEEN,
   NULLIF, CASE x WHEN, IS DISTINCT FROM and USING stay out: they look their
   operator up in the search_path. */
SELECT pg_catalog.encode(pg_catalog.convert_to(pg_catalog.json_build_object(
  'track_counts', pg_catalog.current_setting('track_counts')::pg_catalog.bool,
  'xid', pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL,
  /* pg_largeobject and pg_largeobject_metadata: lo_unlink keeps no lock on them. */
  'large_objects', ARRAY[
    pg_catalog.pg_stat_get_xact_tuples_inserted(2613), pg_catalog.pg_stat_get_xact_tuples_updated(2613), pg_catalog.pg_stat_get_xact_tuples_deleted(2613),
    pg_catalog.pg_stat_get_xact_tuples_inserted(2995), pg_catalog.pg_stat_get_xact_tuples_updated(2995), pg_catalog.pg_stat_get_xact_tuples_deleted(2995)],
  'locks', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'mode', l.mode, 'oid', l.relation::pg_catalog.int8,
      'object', CASE WHEN c.relkind OPERATOR(pg_catalog.<>) ALL ('{i,I,t}'::pg_catalog."char"[])
        THEN (pg_catalog.pg_identify_object_as_address(1259::pg_catalog.oid, l.relation, 0)).object_names END,
      'kind', c.relkind, 'catalog', c.relnamespace OPERATOR(pg_catalog.=) 11::pg_catalog.oid,
      'temporary', c.relpersistence OPERATOR(pg_catalog.=) 't' AND c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema(),
      'counts', ARRAY[pg_catalog.pg_stat_get_xact_tuples_inserted(l.relation),
        pg_catalog.pg_stat_get_xact_tuples_updated(l.relation), pg_catalog.pg_stat_get_xact_tuples_deleted(l.relation)],
      'heap', c.relam OPERATOR(pg_catalog.=) 2::pg_catalog.oid,
      'rows', c.reltuples::pg_catalog.int8, 'live', pg_catalog.pg_stat_get_live_tuples(l.relation),
      'analyzed', pg_catalog.pg_stat_get_analyze_count(l.relation) OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_autoanalyze_count(l.relation),
      'vacuumed', pg_catalog.pg_stat_get_vacuum_count(l.relation) OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_autovacuum_count(l.relation),
      'pages', c.relpages,
      /* TOAST is neither analyzed nor updated. */
      'updated', CASE WHEN c.oid IS NULL THEN pg_catalog.pg_stat_get_tuples_updated(l.relation) END,
      /* Whether the table was ever given another file than its first, and how large it is. */
      'refiled', CASE WHEN x.exclusive THEN pg_catalog.pg_relation_filenode(l.relation::pg_catalog.regclass) OPERATOR(pg_catalog.<>) l.relation END,
      'size', CASE WHEN x.exclusive AND c.relkind OPERATOR(pg_catalog.=) 'r' THEN pg_catalog.pg_relation_size(l.relation::pg_catalog.regclass) END,
      'root', CASE WHEN c.relispartition THEN
        (pg_catalog.pg_identify_object_as_address(1259::pg_catalog.oid, pg_catalog.pg_partition_root(l.relation), 0)).object_names END,
      /* A system column's row is written when its table is made, and never again. It
         is there to be seen, so that it is this transaction's own where who wrote it
         has not committed: pg_locks does not tell of a subtransaction that is over.
         pg_xact_status wants 64 bits, and no number that has not been given out: what
         no transaction has completed is ours if it is not much later, and the table
         new to the statistics. Rows that are frozen keep numbers of other epochs. */
      'made', CASE WHEN x.exclusive THEN (SELECT CASE
          WHEN n.xid OPERATOR(pg_catalog.<) x.completed
            THEN pg_catalog.pg_xact_status(n.xid::pg_catalog.text::pg_catalog.xid8) OPERATOR(pg_catalog.=) 'in progress'
          ELSE n.xid OPERATOR(pg_catalog.<) (x.completed OPERATOR(pg_catalog.+) 65536)
            AND pg_catalog.pg_stat_get_live_tuples(l.relation) OPERATOR(pg_catalog.=) 0::pg_catalog.int8 END
        FROM (SELECT x.own OPERATOR(pg_catalog.+) ((a.xmin::pg_catalog.text::pg_catalog.int8 OPERATOR(pg_catalog.-) x.own)
            OPERATOR(pg_catalog.&) 4294967295::pg_catalog.int8) AS xid
          FROM pg_catalog.pg_attribute a
          WHERE a.attrelid OPERATOR(pg_catalog.=) l.relation AND a.attnum OPERATOR(pg_catalog.=) (-6)::pg_catalog.int2) n) END,
      'deferred', c.relhastriggers AND EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid OPERATOR(pg_catalog.=) l.relation
        AND t.tgdeferrable AND NOT t.tgisinternal AND t.tgenabled OPERATOR(pg_catalog.<>) 'D' OFFSET 0)))
    FROM pg_catalog.pg_lock_status() l LEFT JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) l.relation
      CROSS JOIN LATERAL (SELECT l.mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock' AS exclusive,
        pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text::pg_catalog.int8 AS own,
        pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::pg_catalog.text::pg_catalog.int8 AS completed) x
    /* SHARE UPDATE EXCLUSIVE and SHARE, of ANALYZE and CREATE INDEX, change no row. */
    WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND l.relation IS NOT NULL
      AND l.mode OPERATOR(pg_catalog.=) ANY ('{RowExclusiveLock,ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}'::pg_catalog.text[])),
  'cursors', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', c.name, 'statement', c.statement))
    FROM pg_catalog.pg_cursor() c
    WHERE c.is_holdable AND c.creation_time OPERATOR(pg_catalog.>=) pg_catalog.transaction_timestamp())
)::pg_catalog.text,
  /* Bytes of no encoding cannot be converted. */
  CASE WHEN pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.=) 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END::pg_catalog.name), 'hex')
FROM pg_catalog.pg_stat_force_next_flush()

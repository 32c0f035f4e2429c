/* Asks what the transaction of this session holds, and who waits. It takes no lock
   but AccessShareLock on catalogs, and is one look at the locks. What stands in
   measure.sql about names and operators holds here too. */
WITH l AS MATERIALIZED (SELECT * FROM pg_catalog.pg_lock_status())
SELECT pg_catalog.encode(pg_catalog.convert_to(pg_catalog.json_build_object(
  'pid', pg_catalog.pg_backend_pid(),
  'now', pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()),
  'since', pg_catalog.date_part('epoch', pg_catalog.transaction_timestamp()),
  'xid', pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL,
  'held', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('all', h.all_of_them, 'mode', h.mode,
      'object', (pg_catalog.pg_identify_object_as_address(1259::pg_catalog.oid, h.relation, 0)).object_names))
    FROM (SELECT l.relation, (pg_catalog.array_agg(l.mode ORDER BY m.strength))[1] AS mode, pg_catalog.count(*) OVER () AS all_of_them
      FROM l JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) l.relation
      JOIN pg_catalog.unnest('{AccessExclusiveLock,ExclusiveLock,ShareRowExclusiveLock,ShareLock,ShareUpdateExclusiveLock,RowExclusiveLock,RowShareLock}'::pg_catalog.text[])
        WITH ORDINALITY AS m (mode, strength) ON m.mode OPERATOR(pg_catalog.=) l.mode
      WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND l.granted AND l.locktype OPERATOR(pg_catalog.=) 'relation'
        AND c.relkind OPERATOR(pg_catalog.<>) ALL ('{i,I,t}'::pg_catalog."char"[])
      GROUP BY l.relation ORDER BY pg_catalog.min(m.strength), l.relation LIMIT 10) h),
  'waiting', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('pid', w.pid, 'all', w.all_of_them,
      'login', (SELECT r.rolname FROM pg_catalog.pg_roles r WHERE r.oid OPERATOR(pg_catalog.=) a.usesysid),
      'since', pg_catalog.date_part('epoch', COALESCE(w.waitstart, a.query_start)),
      'type', w.locktype, 'mode', w.mode, 'blockers', pg_catalog.pg_blocking_pids(w.pid),
      'object', (SELECT (pg_catalog.pg_identify_object_as_address(1259::pg_catalog.oid, c.oid, 0)).object_names
        FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) COALESCE(w.relation,
          /* Who waits for the end of a transaction to have one of its rows has that row's own lock. */
          (SELECT t.relation FROM l t WHERE t.pid OPERATOR(pg_catalog.=) w.pid AND t.granted AND t.locktype OPERATOR(pg_catalog.=) 'tuple'
            AND t.database OPERATOR(pg_catalog.=) w.here LIMIT 1))
        AND (w.relation IS NULL OR w.database OPERATOR(pg_catalog.=) w.here OR w.database OPERATOR(pg_catalog.=) 0::pg_catalog.oid))))
    FROM (SELECT l.*, pg_catalog.count(*) OVER () AS all_of_them, d.oid AS here
      FROM l, pg_catalog.pg_database d WHERE NOT l.granted AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
      ORDER BY l.waitstart LIMIT 100) w
    LEFT JOIN LATERAL pg_catalog.pg_stat_get_activity(w.pid) a ON true)
)::pg_catalog.text,
  /* Bytes of no encoding cannot be converted. */
  CASE WHEN pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.=) 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END::pg_catalog.name), 'hex')

/* Opens a look at the relations that there are now, for when some of them are gone:
   the cursor sees what was there when it was opened, whatever the transaction does
   meanwhile. Which ones are asked for is said by a setting, when it is read; it is read
   once. The empty row comes first, and is gone where somebody else has read on. What
   stands in measure.sql about names and operators holds here too. */
DECLARE pgsluice_before NO SCROLL CURSOR FOR SELECT ''::pg_catalog.text
UNION ALL SELECT pg_catalog.encode(pg_catalog.convert_to(pg_catalog.json_build_object(
    'oid', c.oid::pg_catalog.int8, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
    'temporary', c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema(),
    'table', (SELECT i.indrelid::pg_catalog.int8 FROM pg_catalog.pg_index i WHERE i.indexrelid OPERATOR(pg_catalog.=) c.oid)
  )::pg_catalog.text,
  CASE WHEN pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.=) 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END::pg_catalog.name), 'hex')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.oid OPERATOR(pg_catalog.=) ANY (pg_catalog.string_to_array(pg_catalog.current_setting('pgsluice.gone', true), ',')::pg_catalog.oid[])

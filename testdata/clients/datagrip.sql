-- What DataGrip and the other JetBrains IDEs send by themselves: connecting, keep-alive and
-- introspection. Its source is closed: written from server logs that others have published
-- (datafusion-postgres issue 165, version 2025.2; crate issue 12086), the longer queries in our
-- own words with the same functions and casts.
--
-- Each message ends in a line that is a semicolon.
SET extra_float_digits = 3
;
SET application_name = ''
;
SET application_name = 'DataGrip 2025.2.3'
;
select version()
;
select current_database() as a, current_schemas(false) as b
;
select current_database(), current_schema(), current_user
;
SHOW TRANSACTION ISOLATION LEVEL
;
select round(extract(epoch from pg_postmaster_start_time() at time zone 'UTC')) as startup_time
;
select case when pg_catalog.pg_is_in_recovery() then null else pg_catalog.txid_current()::varchar::bigint end as current_txid
;
select case when pg_catalog.pg_is_in_recovery() then null else pg_catalog.pg_current_xact_id()::varchar::bigint end as current_txid
;
select L.transactionid::varchar::bigint as transaction_id from pg_catalog.pg_locks L where L.transactionid is not null order by pg_catalog.age(L.transactionid) desc limit 1
;
select N.oid::bigint as id, datname as name, D.description, datistemplate as is_template, datallowconn as allow_connections, pg_catalog.pg_get_userbyid(N.datdba) as "owner" from pg_catalog.pg_database N left join pg_catalog.pg_shdescription D on N.oid = D.objoid order by case when datname = pg_catalog.current_database() then -1::bigint else N.oid::bigint end
;
select R.oid::bigint as role_id, rolname as role_name, rolsuper as is_super, rolconnlimit as conn_limit, rolvaliduntil as valid_until, rolconfig as config, D.description from pg_catalog.pg_roles R left join pg_catalog.pg_shdescription D on D.objoid = R.oid
;
select member id, roleid role_id, admin_option from pg_catalog.pg_auth_members order by id, roleid::text
;
select N.oid::bigint as id, N.xmin as state_number, nspname as name, D.description, pg_catalog.pg_get_userbyid(N.nspowner) as "owner" from pg_catalog.pg_namespace N left join pg_catalog.pg_description D on N.oid = D.objoid order by case when nspname = pg_catalog.current_schema() then -1::bigint else N.oid::bigint end
;
select T.oid as object_id, T.spcname as name, T.xmin as state_number, pg_catalog.pg_get_userbyid(T.spcowner) as owner, pg_catalog.pg_tablespace_location(T.oid) as location, T.spcoptions as options from pg_catalog.pg_tablespace T where pg_catalog.age(T.xmin) <= pg_catalog.age(pg_catalog.int8in('0')::varchar::xid)
;
select T.relkind as table_kind, T.relname as table_name, T.oid as table_id, T.xmin as table_state_number, T.reltablespace as tablespace_id, T.reloptions as options, T.relpersistence as persistence, (select pg_catalog.array_agg(inhparent::bigint order by inhseqno)::varchar from pg_catalog.pg_inherits where T.oid = inhrelid) as ancestors, T.relispartition as is_partition, pg_catalog.pg_get_partkeydef(T.oid) as partition_key, pg_catalog.pg_get_expr(T.relpartbound, T.oid) as partition_expression, pg_catalog.pg_get_userbyid(T.relowner) as "owner" from pg_catalog.pg_class T where relnamespace = $1::oid and relkind in ('r', 'm', 'v', 'f', 'p') order by table_kind, table_id
;
with T as (select distinct T.oid as table_id, T.relname as table_name from pg_catalog.pg_class T, pg_catalog.pg_attribute A where T.relnamespace = $1::oid and T.relkind in ('r', 'm', 'v', 'f', 'p') and A.attrelid = T.oid) select T.table_id, C.attnum as column_position, C.attname as column_name, C.xmin as column_state_number, C.atttypmod as type_mod, pg_catalog.format_type(C.atttypid, C.atttypmod) as type_spec, C.attnotnull as mandatory, pg_catalog.pg_get_expr(D.adbin, T.table_id) as column_default_expression, not C.attislocal as column_is_inherited, C.attidentity as identity_kind, C.attgenerated as generated from T join pg_catalog.pg_attribute C on T.table_id = C.attrelid left join pg_catalog.pg_attrdef D on (C.attrelid, C.attnum) = (D.adrelid, D.adnum) where attnum > 0 order by table_id, attnum
;
select tab.oid table_id, tab.relkind table_kind, ind_stor.relname index_name, ind_head.indexrelid index_id, ind_head.indisunique is_unique, ind_head.indisprimary is_primary, pg_catalog.pg_get_expr(ind_head.indpred, ind_head.indrelid) as condition, opcmethod as access_method_id from pg_catalog.pg_class tab join pg_catalog.pg_index ind_head on ind_head.indrelid = tab.oid join pg_catalog.pg_class ind_stor on tab.relnamespace = ind_stor.relnamespace and ind_stor.oid = ind_head.indexrelid left join pg_catalog.pg_opclass on pg_opclass.oid = any(indclass) where tab.relnamespace = $1::oid order by tab.oid, index_name
;
select T.oid table_id, relkind table_kind, C.oid::bigint con_id, pg_catalog.pg_get_expr(conbin, T.oid) as con_expression, conkey con_columns, confrelid ref_table_id, confupdtype::char on_update, confdeltype::char on_delete, connoinherit no_inherit from pg_catalog.pg_constraint C join pg_catalog.pg_class T on C.conrelid = T.oid where relkind in ('r', 'v', 'f', 'p') and relnamespace = $1::oid and contype in ('p', 'u', 'f', 'c', 'x')
;
select P.oid as routine_id, P.prosrc as source_text, pg_catalog.pg_get_function_sqlbody(P.oid) from pg_catalog.pg_proc P where pronamespace = $1::oid
;
select T.oid as view_id, pg_catalog.pg_get_viewdef(T.oid) as source_text from pg_catalog.pg_class T where T.relnamespace = $1::oid and T.relkind in ('v', 'm')
;
select TG.oid as trigger_id, tgrelid as table_id, pg_catalog.pg_get_triggerdef(TG.oid, true) as source_code from pg_catalog.pg_trigger TG where not TG.tgisinternal
;
select cls.xmin as sequence_state_number, cls.oid as sequence_id, cls.relname as sequence_name, pg_catalog.format_type(sq.seqtypid, null) as data_type, seqstart, seqincrement, seqmax, seqmin, seqcycle from pg_catalog.pg_sequence sq join pg_catalog.pg_class cls on sq.seqrelid = cls.oid where cls.relnamespace = $1::oid
;
select E.oid as id, E.xmin as state_number, extname as name, extversion as version, array(select unnest from unnest(available_versions) where unnest > extversion) from pg_catalog.pg_extension E left join (select name, array_agg(version) as available_versions from pg_catalog.pg_available_extension_versions() group by name) V on E.extname = V.name
;
select A.oid as access_method_id, A.amname, A.amhandler::oid as handler_id, pg_catalog.quote_ident(N.nspname) || '.' || pg_catalog.quote_ident(P.proname) as handler_name from pg_catalog.pg_am A join pg_catalog.pg_proc P on A.amhandler::oid = P.oid join pg_catalog.pg_namespace N on P.pronamespace = N.oid
;
set search_path to "shop"
;
SELECT t.* FROM shop.orders t LIMIT 501
;
UPDATE shop.orders SET state = 'paid' WHERE id = 42
;
select count(*) from shop.orders
;
BEGIN
;
ROLLBACK
;

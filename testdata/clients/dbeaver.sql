-- What DBeaver sends by itself: connecting, the navigator, the editor's pings, its lock and
-- session managers. Written from its source of 2024-10-24 (org.jkiss.dbeaver.ext.postgresql)
-- and from a server log of version 25.1 (datafusion-postgres issue 135); parameters as pgjdbc
-- sends them.
--
-- Each message ends in a line that is a semicolon.
SET extra_float_digits = 3
;
SET application_name = 'DBeaver 25.1.5 - Main <shop>'
;
SET application_name = 'DBeaver 25.1.5 - SQLEditor <Script-1.sql>'
;
SELECT current_schema(),session_user
;
SHOW search_path
;
SET search_path = shop,public,"$user"
;
SELECT version()
;
SELECT current_database()
;
SELECT 1
;
SELECT db.oid,db.* FROM pg_catalog.pg_database db WHERE 1 = 1 AND datallowconn AND NOT datistemplate OR db.datname = $1
ORDER BY db.datname
;
SELECT db.oid,db.* FROM pg_catalog.pg_database db WHERE datname=$1
;
SELECT db.datname,pg_database_size(db.oid) FROM pg_catalog.pg_database db
;
select description from pg_shdescription join pg_database on objoid = pg_database.oid where datname = $1
;
SELECT n.oid,n.*,d.description FROM pg_catalog.pg_namespace n
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=n.oid AND d.objsubid=0 AND d.classoid='pg_namespace'::regclass
 ORDER BY nspname
;
SELECT n.nspname = ANY(current_schemas(true)), n.nspname, t.typname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON t.typnamespace = n.oid WHERE t.oid = $1
;
SELECT t.oid,t.*,c.relkind,format_type(nullif(t.typbasetype, 0), t.typtypmod) as base_type_name, d.description
FROM pg_catalog.pg_type t
LEFT OUTER JOIN pg_catalog.pg_type et ON et.oid=t.typelem
LEFT OUTER JOIN pg_catalog.pg_class c ON c.oid=t.typrelid
LEFT OUTER JOIN pg_catalog.pg_description d ON t.oid=d.objoid
WHERE t.typname IS NOT NULL
AND (c.relkind IS NULL OR c.relkind = 'c') AND (et.typcategory IS NULL OR et.typcategory <> 'C')
AND t.typnamespace=$1
;
SELECT a.oid,a.*,pd.description FROM pg_catalog.pg_roles a
left join pg_catalog.pg_shdescription pd on a.oid = pd.objoid
ORDER BY a.rolname
;
SELECT * FROM pg_catalog.pg_auth_members WHERE roleid=$1
;
select * from pg_catalog.pg_settings where name=$1
;
select * from pg_catalog.pg_settings
;
SELECT c.oid,c.*,d.description,pg_catalog.pg_get_expr(c.relpartbound, c.oid) as partition_expr,  pg_catalog.pg_get_partkeydef(c.oid) as partition_key
FROM pg_catalog.pg_class c
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_class'::regclass
WHERE c.relnamespace=$1 AND c.relkind not in ('i','I','c')
;
SELECT c.relname,a.*,pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) as def_value,dsc.description,dep.objid
FROM pg_catalog.pg_attribute a
INNER JOIN pg_catalog.pg_class c ON (a.attrelid=c.oid)
LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON (a.attrelid=ad.adrelid AND a.attnum = ad.adnum)
LEFT OUTER JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid)
LEFT OUTER JOIN pg_depend dep on dep.refobjid = a.attrelid AND dep.deptype = 'i' and dep.refobjsubid = a.attnum and dep.classid = dep.refclassid
WHERE NOT a.attisdropped AND c.relkind not in ('i','I','c') AND c.oid=$1
ORDER BY a.attnum
;
SELECT c.oid,c.*,t.relname as tabrelname,rt.relnamespace as refnamespace,d.description, case when c.contype='c' then "substring"(pg_get_constraintdef(c.oid), 7) else null end consrc_copy
FROM pg_catalog.pg_constraint c
INNER JOIN pg_catalog.pg_class t ON t.oid=c.conrelid
LEFT OUTER JOIN pg_catalog.pg_class rt ON rt.oid=c.confrelid
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_constraint'::regclass
WHERE c.conrelid=$1
ORDER BY c.oid
;
SELECT i.*,i.indkey as keys,c.relname,c.relnamespace,c.relam,c.reltablespace,tc.relname as tabrelname,dsc.description,pg_catalog.pg_get_expr(i.indpred, i.indrelid) as pred_expr,pg_catalog.pg_get_expr(i.indexprs, i.indrelid, true) as expr,pg_catalog.pg_relation_size(i.indexrelid) as index_rel_size,pg_catalog.pg_stat_get_numscans(i.indexrelid) as index_num_scans
FROM pg_catalog.pg_index i
INNER JOIN pg_catalog.pg_class c ON c.oid=i.indexrelid
INNER JOIN pg_catalog.pg_class tc ON tc.oid=i.indrelid
LEFT OUTER JOIN pg_catalog.pg_description dsc ON i.indexrelid=dsc.objoid
WHERE  i.indrelid=$1 ORDER BY c.relname
;
SELECT p.oid as poid,p.*,pg_catalog.pg_get_expr(p.proargdefaults, 0) as arg_defaults,d.description
FROM pg_catalog.pg_proc p
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=p.oid and d.classoid='pg_proc'::regclass  AND d.objsubid = 0
WHERE p.pronamespace=$1
ORDER BY p.proname
;
select c.oid,pg_catalog.pg_total_relation_size(c.oid) as total_rel_size,pg_catalog.pg_relation_size(c.oid) as rel_size
FROM pg_class c
WHERE c.relnamespace=$1
;
select pg_catalog.pg_total_relation_size($1) as total_rel_size,pg_catalog.pg_relation_size($2) as rel_size
;
SELECT x.oid,x.*,p.pronamespace as func_schema_id,d.description
FROM pg_catalog.pg_trigger x
LEFT OUTER JOIN pg_catalog.pg_proc p ON p.oid=x.tgfoid
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=x.oid AND d.objsubid=0
WHERE x.tgrelid = $1
;
SELECT r.oid,r.*, pg_get_ruledef(r.oid) AS definition
FROM pg_rewrite r
WHERE r.ev_class=16402 AND r.rulename <> '_RETURN'
;
SELECT i.*,c.relnamespace FROM pg_catalog.pg_inherits i,pg_catalog.pg_class c WHERE i.inhrelid=$1 AND c.oid=i.inhparent ORDER BY i.inhseqno
;
SELECT DISTINCT connamespace FROM pg_catalog.pg_constraint WHERE confrelid=$1
;
select pg_get_expr(c.relpartbound, c.oid, true) as partition_range from "pg_catalog".pg_class c where relname = $1 and relnamespace = $2
;
select * from pg_catalog.pg_policies where schemaname=$1 and tablename=$2
;
SELECT * from pg_catalog.pg_sequences WHERE schemaname=$1 AND sequencename=$2
;
SELECT pg_get_functiondef(16500)
;
SELECT pg_get_viewdef(16501, true)
;
SELECT pg_catalog.pg_get_indexdef($1)
;
SELECT pg_catalog.pg_get_triggerdef($1)
;
SELECT pg_catalog.pg_get_constraintdef($1)
;
SELECT e.enumlabel
FROM pg_catalog.pg_enum e
WHERE e.enumtypid=$1
ORDER BY e.enumsortorder
;
SELECT DISTINCT dep.deptype, dep.classid, dep.objid, cl.relkind, attr.attname,pg_get_expr(ad.adbin, ad.adrelid) adefval
FROM pg_depend dep
LEFT JOIN pg_class cl ON dep.objid=cl.oid
LEFT JOIN pg_attribute attr ON dep.objid=attr.attrelid and dep.objsubid=attr.attnum
LEFT JOIN pg_attrdef ad ON ad.oid=dep.objid
WHERE dep.refobjid=$1
;
SELECT x.attname,x.attrelid,x.atttypid,c.relnamespace FROM pg_catalog.pg_attribute x, pg_catalog.pg_class c WHERE c.oid=x.attrelid AND x.attname ILIKE $1 ORDER BY x.attname LIMIT 1000
;
SELECT pc.oid,pc.relname,pc.relnamespace,pc.relkind FROM pg_catalog.pg_class pc WHERE pc.relkind in('r','v','m','f','p') AND (pc.relname ILIKE $1 OR obj_description(pc.oid, 'pg_class') ILIKE $2) AND pc.relnamespace IN ($3) ORDER BY pc.relname LIMIT 100
;
SELECT name,default_version,installed_version,comment FROM pg_catalog.pg_available_extensions ORDER BY name
;
SELECT n.oid, n.nspacl FROM pg_catalog.pg_namespace n WHERE n.nspacl IS NOT NULL
;
SELECT DISTINCT g.* FROM (SELECT *, (aclexplode(defaclacl)).grantee as grantee FROM pg_default_acl a WHERE a.defaclnamespace <> 0) as g where g.grantee = $1
;
SELECT sa.* FROM pg_catalog.pg_stat_activity sa
;
select coalesce(db.datname,'') as datname, coalesce(lock.relation::regclass::varchar,'') as relation, coalesce(lock.transactionid::varchar,'') as tid, lock.pid as pid, lock.granted from pg_catalog.pg_locks lock left join pg_catalog.pg_database db on db.oid = lock.database where lock.pid = $1
;
SELECT relkind FROM pg_catalog.pg_class WHERE 1<>1 LIMIT 1
;
SELECT o.id, o.customer_id FROM shop.orders o LIMIT 200
;
SELECT count(*) FROM (SELECT * FROM shop.orders) dbvrcnt
;
UPDATE shop.orders SET state=$1 WHERE id=$2
;
INSERT INTO shop.orders (customer_id, total) VALUES($1, $2)
;
DELETE FROM shop.orders WHERE id=$1
;
EXPLAIN (FORMAT XML, VERBOSE, COSTS) SELECT * FROM shop.orders
;
BEGIN
;
SAVEPOINT sp1
;
ROLLBACK TO SAVEPOINT sp1
;
COMMIT
;
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED
;
SHOW TRANSACTION ISOLATION LEVEL
;

-- What Hibernate 6 sends: schema update and validation, sequences and tables as generators,
-- flushes, bulk statements of its query language, pessimistic locks. Written from its
-- PostgreSQL dialect.
--
-- Each message ends in a line that is a semicolon.
select 1
;
select version()
;
select current_schema()
;
select * from information_schema.sequences
;
select tc.table_name, ccu.column_name from information_schema.table_constraints tc join information_schema.constraint_column_usage ccu on tc.constraint_name = ccu.constraint_name where tc.table_schema = $1
;
create sequence orders_seq start with 1 increment by 50
;
create table orders (id bigint not null, version integer not null, customer_id bigint, state varchar(255) check (state in ('NEW','PAID')), at timestamp(6) with time zone, primary key (id))
;
create table if not exists hibernate_sequences (sequence_name varchar(255) not null, next_val bigint, primary key (sequence_name))
;
alter table if exists orders add column note varchar(255)
;
alter table if exists orders add constraint FKpxtb8awmi0dk6smoh2vp1litg foreign key (customer_id) references customer
;
create index idx_orders_state on orders (state)
;
select nextval('orders_seq')
;
select tbl.next_val from hibernate_sequences tbl where tbl.sequence_name=$1 for update
;
update hibernate_sequences set next_val=$1 where next_val=$2 and sequence_name=$3
;
insert into orders (at,customer_id,note,state,version,id) values ($1,$2,$3,$4,$5,$6)
;
update orders set at=$1,customer_id=$2,note=$3,state=$4,version=$5 where id=$6 and version=$7
;
delete from orders where id=$1 and version=$2
;
delete from orders_tags where orders_id=$1
;
select o1_0.id,o1_0.at,c1_0.email from orders o1_0 left join customer c1_0 on c1_0.id=o1_0.customer_id where o1_0.id=$1
;
select o1_0.id,o1_0.version from orders o1_0 where o1_0.id=$1 for no key update
;
select o1_0.id from orders o1_0 where o1_0.state=$1 order by o1_0.id fetch first $2 rows only for update of o1_0 skip locked
;
select o1_0.id from orders o1_0 where $1=any(o1_0.tags) offset $2 rows fetch first $3 rows only
;
update orders o1_0 set state=$1 where o1_0.customer_id=$2
;
delete from orders o1_0 where o1_0.at<$1
;
merge into orders as t using (select cast($1 as bigint) id, cast($2 as text) note) as s on (t.id=s.id) when not matched then insert (id, note) values (s.id, s.note) when matched then update set note=s.note
;
create local temporary table if not exists HTE_orders(id bigint, rn_ integer not null, primary key (rn_)) on commit drop
;
insert into HTE_orders (id,rn_) select o1_0.id,row_number() over() from orders o1_0 where o1_0.state=$1
;
set session characteristics as transaction isolation level read committed
;
BEGIN
;
COMMIT
;
ROLLBACK
;

pragma application_id = 1399156076;
CREATE TABLE semel_meta (name text primary key, value text not null) without rowid, strict;
insert into semel_meta values ('format', '1');
insert into semel_meta values ('generations', '1');
insert into semel_meta values ('hash_key', '31efb32791e21450');
insert into semel_meta values ('log_id', '3c1ef3dc0513279860511f11b1adfaaf');
CREATE TABLE semel_topic (
  id integer primary key,
  name text not null unique,
  dedup_window_ms integer not null
) strict;
insert into semel_topic values (1, 'orders', 60000);
CREATE TABLE semel_partition (
  id integer primary key,
  topic_id integer not null references semel_topic (id),
  partition integer not null,
  earliest integer not null default 0,
  next_offset integer not null default 0,
  append_time integer not null default 0,
  duplicates integer not null default 0,
  sealed_to integer not null default 0,
  unique (topic_id, partition)
) strict;
insert into semel_partition values (1, 1, 0, 0, 12, 1700000000000, 0, 8);
CREATE TABLE semel_batch (
  place integer primary key,
  count integer not null,
  append_time integer not null,
  crc integer not null,
  prints_crc integer,
  skips text,
  head text not null,
  prints blob,
  body text not null
) strict;
insert into semel_batch values (1099511627776, 8, 1700000000000, 3012636020, 2877389016, NULL, '{"v":1,"ids":["00000000-0000-4000-8000-000000000000","order-1","00000000-0000-4000-8000-000000000002","order-3","00000000-0000-4000-8000-000000000004","order-5","00000000-0000-4000-8000-000000000006","order-7"],"keys":null,"types":"test","sources":"/test","times":1}', X'000000008FA51A2943998EA2A578354E9283A0BE1EECE9ADD31801114A938F80B3AB33338ECC31C584734D927A24E9A9AB06362CD54A54058F53DA4D793524D50AF3D8D1', '[{"first":0,"second":"two"},{"first":1,"second":"two"},{"first":2,"second":"two"},{"first":3,"second":"two"},{"first":4,"second":"two"},{"first":5,"second":"two"},{"first":6,"second":"two"},{"first":7,"second":"two"}]');
insert into semel_batch values (1099511627784, 4, 1700000000000, 477795652, 1438053273, NULL, '{"v":1,"ids":["00000000-0000-4000-8000-000000000008","order-9","00000000-0000-4000-8000-000000000010","order-11"],"keys":null,"types":"test","sources":"/test","times":1}', X'00000000A8BB92E1AE4601F0D86E860D68252900A5ED23DA3F0D510D8CC3633B7D02B3C4', '[{"first":8,"second":"two"},{"first":9,"second":"two"},{"first":10,"second":"two"},{"first":11,"second":"two"}]');
CREATE TABLE semel_task (
  id integer primary key,
  grp text not null,
  topic text not null,
  partition integer not null,
  epoch integer not null default 0,
  owner text,
  expires_at integer not null default 0,
  position integer,
  log_id text,
  unique (grp, topic, partition)
) strict;
CREATE TABLE semel_store (
  id integer primary key,
  task_id integer not null references semel_task (id),
  name text not null,
  unique (task_id, name)
) strict;
CREATE TABLE semel_state (
  store_id integer not null,
  key text not null,
  value text not null,
  primary key (store_id, key)
) without rowid, strict;
CREATE TABLE semel_member (
  grp text not null,
  member text not null,
  seen_at integer not null,
  lease_ms integer not null,
  report text not null,
  primary key (grp, member)
) without rowid, strict;
CREATE TABLE semel_id_generation (
  id integer primary key,
  topic_id integer not null,
  rank integer not null,
  entries integer not null,
  chunks integer not null,
  oldest_ms integer not null,
  newest_ms integer not null
) strict;
insert into semel_id_generation values (1, 1, 1, 8, 1, 1700000000000, 1700000000000);
CREATE TABLE semel_id_chunk (row integer primary key, entries blob not null) strict;
insert into semel_id_chunk values (16777216, X'007000000000704200100000000070420050000000007042002000000000704200000000000070420060000000007042004000000000704200300000000070420EBE7D0F24FE19218C89CC5E8EE3AB6F8DC0AA7219D6DD744BA91992B4D5A5C8D27D424430415DBC6B936FC4A21935AA8B8708DA4BB6C43CBCC792B28A505A58');
CREATE TABLE semel_id_filter (row integer primary key, bits blob not null) strict;
insert into semel_id_filter values (16777216, X'000410100041000000080208000240021004000000006040000200000000000000004000140801180088240A0009000000080000044000100400844602082040');
CREATE TABLE semel_id_build (
  topic_id integer primary key,
  generation integer not null,
  chunks integer not null,
  builder text not null,
  seen_at integer not null
) strict;
CREATE TABLE semel_id_garbage (generation integer primary key, chunks integer not null, deleted integer not null) strict;
CREATE VIEW semel_events as
with entry as (
  select
    b.place, b.append_time, b.skips, b.head, e.key as i, e.type as data_type, e.value as data_value, e.atom as data_atom,
    (select count(*) from json_each(coalesce(b.skips, '[]')) s where s.value < e.key) as skipped
  from semel_batch b join json_each(b.body) e
  where b.skips is null or e.key not in (select value from json_each(b.skips))
)
select
  t.name as topic,
  p.partition as partition,
  n.place % 1099511627776 + n.i - n.skipped as "offset",
  json_extract(n.head, '$.ids[' || n.i || ']') as id,
  iif(json_type(n.head, '$.types') = 'array', json_extract(n.head, '$.types[' || n.i || ']'), json_extract(n.head, '$.types')) as type,
  iif(json_type(n.head, '$.sources') = 'array', json_extract(n.head, '$.sources[' || n.i || ']'), json_extract(n.head, '$.sources')) as source,
  iif(json_type(n.head, '$.keys') = 'array', json_extract(n.head, '$.keys[' || n.i || ']'), json_extract(n.head, '$.keys')) as key,
  strftime('%Y-%m-%dT%H:%M:%fZ', iif(json_type(n.head, '$.times') = 'array', json_extract(n.head, '$.times[' || n.i || ']'), json_extract(n.head, '$.times')) / 1000.0, 'unixepoch') as time,
  strftime('%Y-%m-%dT%H:%M:%fZ', n.append_time / 1000.0, 'unixepoch') as append_time,
  json_extract(n.head, '$.attrs.subject."' || n.i || '"') as subject,
  json_extract(n.head, '$.attrs.datacontenttype."' || n.i || '"') as datacontenttype,
  json_extract(n.head, '$.attrs.dataschema."' || n.i || '"') as dataschema,
  json_extract(n.head, '$.attrs.correlationid."' || n.i || '"') as correlationid,
  json_extract(n.head, '$.attrs.causationid."' || n.i || '"') as causationid,
  json_extract(n.head, '$.attrs.traceparent."' || n.i || '"') as traceparent,
  json_extract(n.head, '$.attrs.producersequence."' || n.i || '"') as producersequence,
  iif(n.data_type in ('object', 'array'), n.data_value, n.data_atom) as data
from entry n
join semel_partition p on p.id = n.place / 1099511627776
join semel_topic t on t.id = p.topic_id;

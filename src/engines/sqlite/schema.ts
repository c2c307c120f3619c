/** `PRAGMA application_id` of our files, so that tools such as `file` can tell: "Seml". */
export const applicationId = 0x53656d6c

/**
 * Everything Semel keeps in a file. The prefix keeps it apart from the user's own tables.
 *
 * A batch of events is one row: three to five times faster than a row per event, and one checksum covers it. Rows are in
 * the order of commits, found by the index of their places: in the order of places each would be in the middle of the b-tree,
 * which writes its neighbours anew (files that were made before have it so; the same statements serve both). A row's
 * columns, in the order they are needed: `skips` lists entries of the batch that are no events (duplicates and
 * failed calls, left in because cutting them out would mean encoding the rest again); `prints` has 8 bytes for each
 * entry, where ids were the caller's own and may come again: a repeated event is compared by them (`prints.ts`). They
 * have a checksum of their own and the body comes last, so looking an event up does not read its row's body.
 */
export const schemaSql = `
create table semel_meta (name text primary key, value text not null) without rowid, strict;

create table semel_topic (
  id integer primary key,
  name text not null unique,
  dedup_window_ms integer not null
) strict;

create table semel_partition (
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

create table semel_batch (
  place integer not null unique,
  count integer not null,
  append_time integer not null,
  crc integer not null,
  prints_crc integer,
  skips text,
  head text not null,
  prints blob,
  body text not null
) strict;

create table semel_task (
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

create table semel_store (
  id integer primary key,
  task_id integer not null references semel_task (id),
  name text not null,
  unique (task_id, name)
) strict;

create table semel_state (
  store_id integer not null,
  key text not null,
  value text not null,
  primary key (store_id, key)
) without rowid, strict;

create table semel_member (
  grp text not null,
  member text not null,
  seen_at integer not null,
  lease_ms integer not null,
  report text not null,
  primary key (grp, member)
) without rowid, strict;

create table semel_id_generation (
  id integer primary key,
  topic_id integer not null,
  rank integer not null,
  entries integer not null,
  chunks integer not null,
  oldest_ms integer not null,
  newest_ms integer not null,
  entry_bytes integer not null
) strict;

create table semel_id_chunk (row integer primary key, entries blob not null) strict;

create table semel_id_filter (row integer primary key, bits blob not null) strict;

create table semel_id_build (
  topic_id integer primary key,
  generation integer not null,
  chunks integer not null,
  builder text not null,
  seen_at integer not null
) strict;

create table semel_id_garbage (generation integer primary key, chunks integer not null, deleted integer not null) strict;

create view semel_events as
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
`

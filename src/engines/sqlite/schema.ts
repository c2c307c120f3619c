/** Version of the file format. Opening migrates forward and refuses backward (STORAGE_FORMAT). */
export const formatVersion = 1

/**
 * Everything Semel keeps in a file. The prefix keeps it apart from the user's own tables.
 *
 * A batch of events is one row: three to five times faster than a row per event, and one checksum covers it.
 * The view shows single events to anyone with a SQL shell.
 */
export const schemaSql = `
create table if not exists semel_meta (name text primary key, value text not null) without rowid, strict;

create table if not exists semel_topic (
  id integer primary key,
  name text not null unique,
  partitions integer not null,
  dedup_window_ms integer not null
) strict;

create table if not exists semel_partition (
  id integer primary key,
  topic_id integer not null references semel_topic (id),
  partition integer not null,
  earliest integer not null default 0,
  next_offset integer not null default 0,
  append_time integer not null default 0,
  duplicates integer not null default 0,
  unique (topic_id, partition)
) strict;

create table if not exists semel_batch (
  place integer primary key,
  count integer not null,
  append_time integer not null,
  crc integer not null,
  head text not null,
  body text not null
) strict;

create table if not exists semel_task (
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

create table if not exists semel_state (
  task_id integer not null,
  store text not null,
  key text not null,
  value text not null,
  primary key (task_id, store, key)
) without rowid, strict;

create table if not exists semel_member (
  grp text not null,
  member text not null,
  seen_at integer not null,
  lease_ms integer not null,
  report text not null,
  primary key (grp, member)
) without rowid, strict;

create table if not exists semel_dedup_segment (
  id integer primary key,
  topic_id integer not null,
  level integer not null,
  entries integer not null,
  newest_ms integer not null,
  filter blob not null
) strict;

create table if not exists semel_dedup_chunk (
  segment_id integer not null,
  first_hash integer not null,
  entries blob not null,
  primary key (segment_id, first_hash)
) without rowid, strict;

create table if not exists semel_dedup_mark (partition_id integer primary key, sealed_to integer not null) strict;

create view if not exists semel_events as
select
  t.name as topic,
  p.partition as partition,
  b.place % 68719476736 + e.key as "offset",
  json_extract(b.head, '$.ids[' || e.key || ']') as id,
  iif(json_type(b.head, '$.types') = 'array', json_extract(b.head, '$.types[' || e.key || ']'), json_extract(b.head, '$.types')) as type,
  iif(json_type(b.head, '$.sources') = 'array', json_extract(b.head, '$.sources[' || e.key || ']'), json_extract(b.head, '$.sources')) as source,
  iif(json_type(b.head, '$.keys') = 'array', json_extract(b.head, '$.keys[' || e.key || ']'), json_extract(b.head, '$.keys')) as key,
  strftime('%Y-%m-%dT%H:%M:%fZ', iif(json_type(b.head, '$.times') = 'array', json_extract(b.head, '$.times[' || e.key || ']'), json_extract(b.head, '$.times')) / 1000.0, 'unixepoch') as time,
  strftime('%Y-%m-%dT%H:%M:%fZ', b.append_time / 1000.0, 'unixepoch') as append_time,
  json_extract(b.head, '$.attrs.subject."' || e.key || '"') as subject,
  iif(e.type in ('object', 'array'), e.value, e.atom) as data
from semel_batch b
join semel_partition p on p.id = b.place / 68719476736
join semel_topic t on t.id = p.topic_id
join json_each(b.body) e;
`

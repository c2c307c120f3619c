-- The log. Rows are only ever inserted here: no row is updated per event or per batch, so a snapshot that somebody
-- holds open for hours leaves nothing behind that would slow the next append down.

create table semel.meta (
  name text collate "C" primary key,
  value text not null
);

create table semel.topic (
  id integer generated always as identity primary key,
  name text collate "C" not null unique,
  -- 0: ids are not remembered.
  dedup_window_ms bigint not null,
  -- Grows with every change of the sealed ids: whoever keeps them in memory loads them again.
  ids_version bigint not null default 0
);

-- Whoever appends locks this row until it commits, or, where ids are remembered, the row of the topic. Offsets are
-- therefore dense and in the order of the commits: no reader can pass over a late one.
create table semel.partition (
  id integer generated always as identity primary key,
  topic_id integer not null references semel.topic (id),
  partition integer not null,
  earliest bigint not null default 0,
  unique (topic_id, partition)
);

create table semel.batch (
  partition_id integer not null,
  first_offset bigint not null,
  count integer not null,
  -- Milliseconds since 1970 on this server's clock; never decreases within a partition.
  append_time bigint not null,
  -- CRC-32 of head and body, as they are in UTF-8.
  crc bigint not null,
  -- Running number of the row among all of its topic, where ids are remembered.
  topic_id integer,
  seq bigint,
  head text not null,
  body text not null,
  primary key (partition_id, first_offset)
);

-- Compressing costs more time than writing: 130,000 events/s instead of 350,000.
alter table semel.batch alter column head set storage external, alter column body set storage external;

create unique index batch_seq on semel.batch (topic_id, seq) where seq is not null;

-- Refused duplicates, for the status. Written at most once a second by each process.
create table semel.refused (
  partition_id integer primary key,
  duplicates bigint not null
) with (fillfactor = 50);

create function semel.now_ms() returns bigint
language sql volatile
return floor(extract(epoch from pg_catalog.clock_timestamp()) * 1000)::bigint;

-- Every statement that runs often is a function with a search_path of its own: a role's search_path may lead to
-- another operator `=`, and a statement inside a function is planned once per session without being given a name.

create function semel.topics(p_names text[])
returns table (id integer, name text, dedup_window_ms bigint, partition_id integer, partition integer)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select t.id, t.name, t.dedup_window_ms, p.id, p.partition
    from semel.topic t join semel.partition p on p.topic_id = t.id
    where t.name = any (p_names) order by t.id, p.partition
$$;

-- Creates missing topics and stores changed windows. Answers declarations that contradict what is stored, with what
-- is stored; then nothing was changed.
create function semel.declare(p_names text[], p_partitions integer[], p_windows bigint[])
returns table (name text, partitions bigint, dedup_window_ms bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if exists (
    select 1 from unnest(p_names, p_windows) u (name, window_ms)
      where not exists (select 1 from semel.topic t where t.name = u.name and t.dedup_window_ms = u.window_ms)
  ) then
    -- Processes that declare at once take turns.
    lock table semel.topic in share row exclusive mode;
  end if;
  return query
    select t.name, count(*), t.dedup_window_ms
      from semel.topic t
      join semel.partition p on p.topic_id = t.id
      join unnest(p_names, p_partitions, p_windows) u (name, partitions, window_ms) on u.name = t.name
      group by t.id, u.partitions, u.window_ms
      having count(*) <> u.partitions or (t.dedup_window_ms > 0) <> (u.window_ms > 0);
  if found then
    return;
  end if;
  with made as (
    insert into semel.topic (name, dedup_window_ms)
      select u.name, u.window_ms from unnest(p_names, p_windows) u (name, window_ms)
        where not exists (select 1 from semel.topic t where t.name = u.name)
      returning id, name
  )
  insert into semel.partition (topic_id, partition)
    select m.id, n
      from made m
      join unnest(p_names, p_partitions) u (name, partitions) on u.name = m.name
      cross join lateral generate_series(0, u.partitions - 1) n
      order by m.id, n;
  update semel.topic t set dedup_window_ms = u.window_ms
    from unnest(p_names, p_windows) u (name, window_ms)
    where t.name = u.name and t.dedup_window_ms <> u.window_ms;
end
$$;

create function semel.add_refused(p_partitions integer[], p_duplicates integer[]) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  insert into semel.refused as r (partition_id, duplicates)
    select u.id, u.n from unnest(p_partitions, p_duplicates) u (id, n) where u.n > 0 order by u.id
    on conflict (partition_id) do update set duplicates = r.duplicates + excluded.duplicates
$$;

-- Under a held snapshot every version of a value stays, and a value that each unit writes has its versions in `state` and, as its
-- pages are full, an entry in the index for each. So keys that are written again and again are not written there: the state of a
-- unit is one row of a log, and only what is still the last value when its row leaves the log goes to `state`.

create table semel.state_log (
  store_id integer not null,
  seq bigint not null,
  -- The oldest row that counts.
  first_seq bigint not null,
  keys text[] collate "C" not null,
  -- Null: the key was deleted.
  "values" text[] not null,
  primary key (store_id, seq)
) with (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
  toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 20000
);

alter table semel.state_log alter column keys set storage external, alter column "values" set storage external;

-- Number of the newest row of a store's log; null if it has none. From the end, as a snapshot keeps dead rows before it.
create function semel.state_log_end(p_store integer) returns bigint
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select l.seq from semel.state_log l where l.store_id = p_store order by l.seq desc limit 1
$$;

-- Writes state into `state`, whatever the logs say.
alter function semel.write_state(integer[], text[], text[], bigint) rename to put_state;

-- For `write`. A program that does not know of logs, or not of this one, must not write behind its back.
create function semel.write_state(p_stores integer[], p_keys text[], p_values text[], p_now_ms bigint) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select 1 from (select distinct u.store from unnest(p_stores) u (store)) s where semel.state_log_end(s.store) > 0) then
    raise exception 'a store has a log that its owner does not know of'
      using hint = 'another version of the program has begun to work here: run the same version everywhere';
  end if;
  perform semel.put_state(p_stores, p_keys, p_values, p_now_ms);
end
$$;

-- As `write`; in the same transaction, rows of the log of state come and go.
create function semel.write_logged(
  p_flush boolean,
  p_topics integer[],
  p_seqs bigint[],
  p_windows bigint[],
  p_planned_at bigint,
  p_partitions integer[],
  p_floors bigint[],
  p_duplicates integer[],
  p_row_places integer[],
  p_row_starts integer[],
  p_row_counts integer[],
  p_row_crcs bigint[],
  p_row_topics integer[],
  p_row_steps integer[],
  p_row_heads text[],
  p_row_bodies text[],
  p_tasks integer[],
  p_epochs bigint[],
  p_froms bigint[],
  p_tos bigint[],
  p_log_ids text[],
  p_stores integer[],
  p_keys text[],
  p_values text[],
  -- Rows to add: the row before it (0: none), its own number, the oldest that counts from now on, and which of p_new_keys it has.
  p_new_stores integer[],
  p_new_lasts bigint[],
  p_new_seqs bigint[],
  p_new_firsts bigint[],
  p_new_starts integer[],
  p_new_ends integer[],
  p_new_keys text[],
  p_new_values text[],
  -- Rows that no longer count.
  p_old_stores integer[],
  p_old_seqs bigint[],
  out written boolean,
  out now_ms bigint,
  out seqs bigint[],
  out windows bigint[],
  out ends bigint[],
  out times bigint[],
  out epochs bigint[],
  out positions bigint[]
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
set enable_bitmapscan = off
set jit = off
as $$
begin
  select w.* into written, now_ms, seqs, windows, ends, times, epochs, positions
    from semel.write(p_flush, p_topics, p_seqs, p_windows, p_planned_at, p_partitions, p_floors, p_duplicates, p_row_places,
      p_row_starts, p_row_counts, p_row_crcs, p_row_topics, p_row_steps, p_row_heads, p_row_bodies, p_tasks, p_epochs, p_froms,
      p_tos, p_log_ids, array[]::integer[], array[]::text[], array[]::text[]) w;
  if not written then
    return;
  end if;
  -- Under the lock of the task, whose epoch is the caller's.
  if exists (
    select 1 from unnest(p_new_stores, p_new_lasts) u (store, last) where coalesce(semel.state_log_end(u.store), 0) <> u.last
  ) then
    raise exception 'the log of a store is not as its owner left it';
  end if;
  insert into semel.state_log (store_id, seq, first_seq, keys, "values")
    select u.store, u.seq, u.first, p_new_keys[u.start:u.stop], p_new_values[u.start:u.stop]
      from unnest(p_new_stores, p_new_seqs, p_new_firsts, p_new_starts, p_new_ends) u (store, seq, first, start, stop);
  delete from semel.state_log l using unnest(p_old_stores, p_old_seqs) u (store, seq)
    where l.store_id = u.store and l.seq = u.seq;
  if cardinality(p_keys) > 0 then
    perform semel.put_state(p_stores, p_keys, p_values, now_ms);
  end if;
end
$$;

-- What counts of the logs of stores, in the order in which it was written. Value null: deleted.
create function semel.state_logs(p_stores integer[])
returns table (store_id integer, seq bigint, key text, value text)
language sql stable rows 10000
set search_path = pg_catalog, pg_temp
-- The table is small, and may be full of dead rows.
set enable_seqscan = off
set enable_bitmapscan = off
as $$
  select l.store_id, l.seq, e.key, e.value
    from unnest(p_stores) u (store)
    cross join lateral (
      select n.first_seq from semel.state_log n where n.store_id = u.store order by n.seq desc limit 1
    ) newest
    -- `offset 0`: both conditions are to be looked up in the index.
    cross join lateral (
      select * from semel.state_log o where o.store_id = u.store and o.seq >= newest.first_seq offset 0
    ) l
    cross join lateral unnest(l.keys, l."values") with ordinality e (key, value, n)
    order by l.store_id, l.seq, e.n
$$;

-- The last value in the log of a store, of each key that has one there. Value null: deleted.
create function semel.logged_state(p_store integer)
returns table (key text, value text)
language sql stable rows 10000
set search_path = pg_catalog, pg_temp
as $$
  select distinct on (l.key) l.key, l.value
    from semel.state_logs(array[p_store]) l
    order by l.key, l.seq desc
$$;

-- All of a store.
create function semel.whole_state(p_store integer)
returns table (key text, value text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with logged as materialized (select l.key, l.value from semel.logged_state(p_store) l)
  select l.key, l.value from logged l where l.value is not null
  union all
  select s.key, s.value from semel.state s
    where s.store_id = p_store and not exists (select 1 from logged l where l.key = s.key)
$$;

-- For `read_state`, of a store that has a log.
create function semel.read_logged_state(p_store integer, p_keys text[])
returns setof text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with logged as materialized (select l.key, l.value from semel.logged_state(p_store) l)
  select case when l.key is null then s.value else l.value end
    from unnest(p_keys) with ordinality u (key, n)
    left join logged l on l.key = u.key
    left join lateral (
      select o.value from semel.state o
        where l.key is null and o.store_id = p_store and o.key = u.key order by o.step desc limit 1
    ) s on true
    order by u.n
$$;

-- Values in the order of the keys, for who knows the log of the store up to p_log_end, and that none of these keys is in it. Nothing
-- if the log does not end there.
create function semel.read_table_state(p_store integer, p_log_end bigint, p_keys text[])
returns setof text
language plpgsql stable rows 100
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
  if semel.state_log_end(p_store) is distinct from p_log_end then
    return;
  end if;
  return query
    select s.value
      from unnest(p_keys) with ordinality u (key, n)
      left join lateral (
        select o.value from semel.state o where o.store_id = p_store and o.key = u.key order by o.step desc limit 1
      ) s on true
      order by u.n;
end
$$;

-- Values in the order of the keys.
create or replace function semel.read_state(p_grp text, p_topic text, p_partition integer, p_store text, p_keys text[])
returns setof text
language plpgsql stable rows 100
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
  v_store integer;
begin
  select s.id into v_store
    from semel.task t join semel.store s on s.task_id = t.id
    where t.grp = p_grp and t.topic = p_topic and t.partition = p_partition and s.name = p_store;
  if not found then
    return;
  end if;
  if semel.state_log_end(v_store) is null then
    return query select * from semel.read_table_state(v_store, null, p_keys);
  else
    return query select * from semel.read_logged_state(v_store, p_keys);
  end if;
end
$$;

-- The next entries of `state` behind a key, by an index.
create function semel.state_behind(p_store integer, p_after text, p_limit bigint)
returns table (key text, value text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if p_after is null then
    return query select s.key, s.value from semel.state s where s.store_id = p_store order by s.key limit p_limit;
  else
    return query
      select s.key, s.value from semel.state s where s.store_id = p_store and s.key > p_after order by s.key limit p_limit;
  end if;
end
$$;

create or replace function semel.scan_state(
  p_grp text, p_topic text, p_partition integer, p_store text, p_after text, p_limit bigint
)
returns table (key text, value text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_store integer;
begin
  select s.id into v_store
    from semel.task t join semel.store s on s.task_id = t.id
    where t.grp = p_grp and t.topic = p_topic and t.partition = p_partition and s.name = p_store;
  if not found then
    return;
  end if;
  return query
    with logged as materialized (select l.key, l.value from semel.logged_state(v_store) l)
    select a.key, a.value
      from (
        select l.key, l.value from logged l
          where l.value is not null and (p_after is null or l.key collate "C" > p_after)
        union all
        -- Of so many entries enough are left when those are gone that the log replaces.
        select s.key, s.value from semel.state_behind(v_store, p_after, p_limit + (select count(*) from logged)) s
          where not exists (select 1 from logged l where l.key = s.key)
      ) a
      order by a.key collate "C" limit p_limit;
end
$$;

-- What is stored, as one snapshot. p_dead: name of the store that holds dead letters.
create or replace function semel.status(p_dead text)
returns table (kind text, content text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select 'partition', json_build_array(t.name, t.dedup_window_ms, p.partition, p.earliest,
      coalesce(b.first_offset + b.count, p.earliest), coalesce(r.duplicates, 0), b.append_time)::text
    from semel.topic t
    join semel.partition p on p.topic_id = t.id
    left join semel.refused r on r.partition_id = p.id
    left join lateral (
      select o.first_offset, o.count, o.append_time from semel.batch o
        where o.partition_id = p.id order by o.first_offset desc limit 1
    ) b on true
  union all
  select 'task', json_build_array(t.grp, t.topic, t.partition, t.epoch,
      case when l.expires_at > semel.now_ms() then l.owner end, g.position, w.append_time,
      (select count(*) from semel.store n cross join lateral semel.whole_state(n.id) s
        where n.task_id = t.id and n.name = p_dead))::text
    from semel.task t
    left join semel.lease l on l.task_id = t.id
    left join lateral (
      select o.position from semel.progress o where o.task_id = t.id order by o.step desc limit 1
    ) g on true
    left join semel.topic s on s.name = t.topic
    left join semel.partition p on p.topic_id = s.id and p.partition = t.partition
    left join lateral (
      select case when o.first_offset + o.count > g.position then o.append_time end as append_time
        from semel.batch o where o.partition_id = p.id and o.first_offset <= greatest(g.position, p.earliest)
        order by o.first_offset desc limit 1
    ) w on true
  union all
  select 'member', json_build_array(m.grp, m.member, m.report, greatest(0, semel.now_ms() - m.seen_at))::text
    from semel.member m
$$;

-- For the status. Counting stops at 100,000. p_store, p_key: where the sequencer keeps what ails it.
create or replace function semel.outbox_status(p_grp text, p_store text, p_key text)
returns table (waiting bigint, oldest_ms bigint, refused bigint, refusal text, problem text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select
    (select count(*) from (select 1 from semel.outbox limit 100000) o),
    (select greatest(0, semel.now_ms() - o.created_ms)
      from semel.outbox_order r join semel.outbox o on o.xact = r.xact order by r.seq, o.id limit 1),
    (select count(*) from (select 1 from semel.outbox_refused limit 100000) r),
    (select r.id || ' ' || r.reason from semel.outbox_refused r order by r.id limit 1),
    (select s.value from semel.task t
      join semel.store n on n.task_id = t.id and n.name = p_store
      cross join lateral semel.whole_state(n.id) s
      where t.grp = p_grp and s.key = p_key limit 1)
$$;

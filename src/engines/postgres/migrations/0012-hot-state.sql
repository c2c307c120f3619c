-- A key that leaves its page, as its page is full of rows that a snapshot keeps, is written often: it moves to a table whose pages
-- begin nearly empty. There, some ten updates find room in the page, and need no entry in an index; in `state`, where pages begin
-- two thirds full, hardly one did.

create table semel.hot_state (
  store_id integer not null,
  key text collate "C" not null,
  step bigint not null,
  -- Where its first update found it.
  page integer,
  value text not null,
  primary key (store_id, key, step)
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000);

alter table semel.hot_state alter column value set storage external;

-- A key is in one of the two.
create view semel.all_state as
  select s.store_id, s.key, s.step, s.value from semel.hot_state s
  union all
  select s.store_id, s.key, s.step, s.value from semel.state s;

-- As before, but keys move to `hot_state`, and stay there until they are deleted.
create or replace function semel.write_state(p_stores integer[], p_keys text[], p_values text[], p_now_ms bigint) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Longer than a key that is written all the time stays in its page while a snapshot is held.
  c_recent_ms constant bigint := 4000;
  v_places tid[];
  v_steps bigint[];
  v_pages integer[];
  -- What becomes of each: it is new, stays in its page, or leaves it; and which table it is in.
  v_hot boolean[];
  v_stay boolean[];
begin
  select array_agg(c.place order by u.n), array_agg(c.step order by u.n), array_agg(c.page order by u.n),
      array_agg(c.hot order by u.n),
      array_agg((c.began is null or c.began = c.page) and u.value is not null order by u.n)
    into v_places, v_steps, v_pages, v_hot, v_stay
    from unnest(p_stores, p_keys, p_values) with ordinality u (store, key, value, n)
    left join lateral (
      select s.place, s.step, s.page as began, (s.place::text::point)[0]::integer as page, s.hot
        from (
          (select r.ctid as place, r.step, r.page, true as hot from semel.hot_state r
            where r.store_id = u.store and r.key = u.key and r.step > p_now_ms - c_recent_ms
            order by r.step desc limit 1)
          union all
          (select r.ctid, r.step, r.page, false from semel.state r
            where r.store_id = u.store and r.key = u.key and r.step > p_now_ms - c_recent_ms
            order by r.step desc limit 1)
          union all
          (select r.ctid, r.step, r.page, true from semel.hot_state r
            where r.store_id = u.store and r.key = u.key order by r.step desc limit 1)
          union all
          (select r.ctid, r.step, r.page, false from semel.state r
            where r.store_id = u.store and r.key = u.key order by r.step desc limit 1)
        ) s
        limit 1
    ) c on true;
  if array_position(v_hot, true) is not null then
    update semel.hot_state r set value = u.value, page = u.page
      from unnest(v_places, v_pages, v_hot, v_stay, p_values) u (place, page, hot, stay, value)
      where u.hot and u.stay and r.ctid = u.place;
  end if;
  if array_position(v_hot, false) is not null then
    update semel.state r set value = u.value, page = u.page
      from unnest(v_places, v_pages, v_hot, v_stay, p_values) u (place, page, hot, stay, value)
      where not u.hot and u.stay and r.ctid = u.place;
  end if;
  if array_position(v_stay, false) is not null then
    delete from semel.hot_state r using unnest(v_places, v_hot, v_stay) u (place, hot, stay)
      where u.hot and not u.stay and r.ctid = u.place;
    delete from semel.state r using unnest(v_places, v_hot, v_stay) u (place, hot, stay)
      where not u.hot and not u.stay and r.ctid = u.place;
    insert into semel.hot_state (store_id, key, step, value)
      select u.store, u.key, greatest(u.step + 1, p_now_ms), u.value
        from unnest(p_stores, p_keys, p_values, v_steps, v_stay) u (store, key, value, step, stay)
        where u.value is not null and u.step is not null and not u.stay;
  end if;
  if array_position(v_places, null) is not null then
    -- A key that is new begins at the time, so that rows of it that were deleted stay behind it.
    insert into semel.state (store_id, key, step, value)
      select u.store, u.key, p_now_ms, u.value
        from unnest(p_stores, p_keys, p_values, v_places) u (store, key, value, place)
        where u.value is not null and u.place is null;
  end if;
end
$$;

-- Values in the order of the keys.
create or replace function semel.read_state(p_grp text, p_topic text, p_partition integer, p_store text, p_keys text[])
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
    select s.value
      from unnest(p_keys) with ordinality u (key, n)
      left join lateral (
        (select o.value from semel.hot_state o where o.store_id = v_store and o.key = u.key order by o.step desc limit 1)
        union all
        (select o.value from semel.state o where o.store_id = v_store and o.key = u.key order by o.step desc limit 1)
        limit 1
      ) s on true
      order by u.n;
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
  if p_after is null then
    return query select s.key, s.value from semel.all_state s where s.store_id = v_store order by s.key limit p_limit;
  else
    return query
      select s.key, s.value from semel.all_state s
        where s.store_id = v_store and s.key > p_after order by s.key limit p_limit;
  end if;
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
      (select count(*) from semel.store n join semel.all_state s on s.store_id = n.id
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
      join semel.all_state s on s.store_id = n.id and s.key = p_key
      where t.grp = p_grp limit 1)
$$;

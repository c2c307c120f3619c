-- Who wrote a row of state remembers where it is and says so the next time: looking for it in an index was half of the work of
-- writing it, and under a held snapshot, where each key has a page of its index of its own, more.

drop function semel.write;
drop function semel.write_state;

-- Writes state. p_values null: delete. For `write`, with its settings and under its locks.
create function semel.write_state(
  p_stores integer[],
  p_keys text[],
  p_values text[],
  p_now_ms bigint,
  p_places tid[],
  p_tables integer[],
  out state_numbers integer[],
  out state_places tid[],
  out hot_numbers integer[],
  out hot_places tid[]
)
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
    from unnest(p_stores, p_keys, p_values, p_places, p_tables) with ordinality u (store, key, value, place, home, n)
    left join lateral (
      select s.place, s.step, s.page as began, (s.place::text::point)[0]::integer as page, s.hot
        from (
          -- What moved from there is not seen there, and who came instead has another key.
          (select r.ctid as place, r.step, r.page, true as hot from semel.hot_state r
            where u.home = 2 and r.ctid = u.place and r.store_id = u.store and r.key = u.key)
          union all
          (select r.ctid, r.step, r.page, false from semel.state r
            where u.home = 1 and r.ctid = u.place and r.store_id = u.store and r.key = u.key)
          union all
          (select r.ctid, r.step, r.page, true from semel.hot_state r
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
    with w as (
      update semel.hot_state r set value = u.value, page = u.page
        from unnest(v_places, v_pages, v_hot, v_stay, p_values) with ordinality u (place, page, hot, stay, value, n)
        where u.hot and u.stay and r.ctid = u.place
        returning u.n, r.ctid as place
    )
    select array_agg(w.n), array_agg(w.place) into hot_numbers, hot_places from w;
  end if;
  if array_position(v_hot, false) is not null then
    with w as (
      update semel.state r set value = u.value, page = u.page
        from unnest(v_places, v_pages, v_hot, v_stay, p_values) with ordinality u (place, page, hot, stay, value, n)
        where not u.hot and u.stay and r.ctid = u.place
        returning u.n, r.ctid as place
    )
    select array_agg(w.n), array_agg(w.place) into state_numbers, state_places from w;
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

-- As before, but for places.
create function semel.write(
  p_flush boolean,
  -- Topics that remember ids, by rising id: number of their last row, and their window.
  p_topics integer[],
  p_seqs bigint[],
  p_windows bigint[],
  -- The server's time by which the caller decided what is inside a window; null if it had nothing to decide.
  p_planned_at bigint,
  -- Partitions, by rising id, and what the caller knows to have been committed to them.
  p_partitions integer[],
  p_floors bigint[],
  p_duplicates integer[],
  -- Rows: place in p_partitions, offset after the partition's end, place in p_topics (0: none), number after its last.
  p_row_places integer[],
  p_row_starts integer[],
  p_row_counts integer[],
  p_row_crcs bigint[],
  p_row_topics integer[],
  p_row_steps integer[],
  p_row_heads text[],
  p_row_bodies text[],
  -- Tasks, by rising id. From -1: no position yet. To -1: only to be compared.
  p_tasks integer[],
  p_epochs bigint[],
  p_froms bigint[],
  p_tos bigint[],
  p_log_ids text[],
  -- State. Value null: delete.
  p_stores integer[],
  p_keys text[],
  p_values text[],
  -- Where the caller believes each row of state to be, and in which table (1: state, 2: hot_state, 0: not known).
  p_places tid[] default null,
  p_tables integer[] default null,
  out written boolean,
  out now_ms bigint,
  out seqs bigint[],
  out windows bigint[],
  out ends bigint[],
  out times bigint[],
  out epochs bigint[],
  out positions bigint[],
  -- Which rows of state were written in place, and where they are now.
  out state_numbers integer[],
  out state_places tid[],
  out hot_numbers integer[],
  out hot_places tid[]
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
-- Plans are kept, and some were made while a table was empty.
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_steps bigint[];
  v_count bigint;
begin
  -- At any other level a statement does not see what was committed while we waited for a lock.
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'transactions are % by default, but a write needs read committed',
      current_setting('transaction_isolation') using errcode = 'SM001';
  end if;

  if p_flush then
    -- A role or database may have switched it off. What is stronger than `on` stays.
    if current_setting('synchronous_commit') in ('off', 'local') then
      perform set_config('synchronous_commit', 'on', true);
    end if;
  else
    perform set_config('synchronous_commit', 'off', true);
  end if;

  -- Whoever keeps a lock for long is a broken process or a stalled disk. Not waiting for ever keeps us answering.
  if current_setting('lock_timeout') = '0' then
    perform set_config('lock_timeout', '10s', true);
  end if;

  if cardinality(p_topics) > 0 then
    perform 1 from semel.topic t where t.id = any (p_topics) order by t.id for update;
  end if;
  if cardinality(p_partitions) > 0 then
    -- Under the lock of its topic a partition needs none of its own.
    perform 1 from semel.partition p
      where p.id = any (p_partitions) and p.topic_id <> all (p_topics) order by p.id for update;
  end if;
  if cardinality(p_tasks) > 0 then
    perform 1 from semel.task t where t.id = any (p_tasks) order by t.id for update;
  end if;

  -- From here on each statement sees what was committed before the locks were ours.
  now_ms := semel.now_ms();
  written := true;

  if cardinality(p_topics) > 0 then
    select array_agg(coalesce(b.seq, 0) order by t.id), array_agg(t.dedup_window_ms order by t.id)
      into seqs, windows
      from semel.topic t
      left join lateral (
        select r.seq from semel.batch r
          where r.topic_id = t.id and r.seq is not null order by r.seq desc limit 1
      ) b on true
      where t.id = any (p_topics);
    written := written and seqs = p_seqs and windows = p_windows
      and (p_planned_at is null or abs(now_ms - p_planned_at) < 1000);
  end if;

  if cardinality(p_partitions) > 0 then
    -- Of a sealed partition, -1 is less than whatever anybody knows of it.
    select array_agg(case when p.sealed then -1 else coalesce(b.first_offset + b.count, p.earliest) end order by p.id),
        array_agg(greatest(coalesce(b.append_time, 0), now_ms) order by p.id)
      into ends, times
      from semel.partition p
      left join lateral (
        select r.first_offset, r.count, r.append_time from semel.batch r
          where r.partition_id = p.id order by r.first_offset desc limit 1
      ) b on true
      where p.id = any (p_partitions);
    written := written and cardinality(ends) = cardinality(p_partitions)
      and not exists (select 1 from unnest(ends, p_floors) u (has, knew) where u.has < u.knew);
  end if;

  if cardinality(p_tasks) > 0 then
    select array_agg(t.epoch order by t.id), array_agg(coalesce(g.position, -1) order by t.id),
        array_agg(coalesce(g.step, 0) order by t.id)
      into epochs, positions, v_steps
      from semel.task t
      left join lateral (
        select r.position, r.step from semel.progress r where r.task_id = t.id order by r.step desc limit 1
      ) g on true
      where t.id = any (p_tasks);
    written := written and epochs = p_epochs and positions = p_froms;
  end if;

  if not coalesce(written, false) then
    written := false;
    return;
  end if;

  if cardinality(p_row_places) > 0 then
    insert into semel.batch (partition_id, first_offset, count, append_time, crc, topic_id, seq, head, body)
      select p_partitions[u.place], ends[u.place] + u.start, u.count, times[u.place], u.crc,
          p_topics[nullif(u.topic, 0)], seqs[nullif(u.topic, 0)] + u.step, u.head, u.body
        from unnest(p_row_places, p_row_starts, p_row_counts, p_row_crcs, p_row_topics, p_row_steps,
          p_row_heads, p_row_bodies) u (place, start, count, crc, topic, step, head, body);
  end if;

  if cardinality(p_duplicates) > 0 then
    perform semel.add_refused(p_partitions, p_duplicates);
  end if;

  if cardinality(p_tasks) > 0 then
    insert into semel.progress (task_id, step, position, log_id)
      select t.id, u.step + 1, u.goal, u.log_id
        from unnest(p_tasks, p_epochs, v_steps, p_tos, p_log_ids) u (id, epoch, step, goal, log_id)
        join semel.task t on t.id = u.id and t.epoch = u.epoch
        where u.goal >= 0;
    get diagnostics v_count = row_count;
    if v_count <> (select count(*) from unnest(p_tos) u (goal) where u.goal >= 0) then
      raise exception 'a task has another epoch than a moment ago, under its lock';
    end if;
    delete from semel.progress g using unnest(p_tasks, v_steps, p_tos) u (id, step, goal)
      where g.task_id = u.id and g.step = u.step and u.goal >= 0;
  end if;

  if cardinality(p_keys) > 0 then
    select s.* into state_numbers, state_places, hot_numbers, hot_places
      from semel.write_state(p_stores, p_keys, p_values, now_ms, p_places, p_tables) s;
  end if;
end
$$;

-- Rows from the one that holds p_offset on, at most p_rows and about p_events and p_bytes of them; always one.
-- The first row of the answer also says where the partition begins and ends; of no such partition there is no row.
create function semel.read(p_topic text, p_partition integer, p_offset bigint, p_rows integer, p_events bigint, p_bytes bigint)
returns table (
  earliest bigint, "end" bigint, first_offset bigint, count integer, append_time bigint, crc bigint, head text, body text
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_id integer;
  v_earliest bigint;
  v_end bigint;
  v_first bigint;
begin
  select p.id, p.earliest into v_id, v_earliest
    from semel.partition p join semel.topic t on t.id = p.topic_id
    where t.name = p_topic and p.partition = p_partition;
  if not found then
    return;
  end if;
  select b.first_offset + b.count into v_end
    from semel.batch b where b.partition_id = v_id order by b.first_offset desc limit 1;
  v_end := coalesce(v_end, v_earliest);
  if p_offset >= v_end or p_offset < v_earliest then
    return query select v_earliest, v_end, null::bigint, null::integer, null::bigint, null::bigint, null::text, null::text;
    return;
  end if;
  select b.first_offset into v_first
    from semel.batch b where b.partition_id = v_id and b.first_offset <= p_offset order by b.first_offset desc limit 1;
  return query
    select v_earliest, v_end, r.first_offset, r.count, r.append_time, r.crc, r.head, r.body
      from (
        select b.*,
            sum(b.count) over w - b.count as events_before,
            sum(octet_length(b.head) + octet_length(b.body)) over w - octet_length(b.head) - octet_length(b.body) as bytes_before
          from (
            select * from semel.batch c
              where c.partition_id = v_id and c.first_offset >= coalesce(v_first, p_offset)
              order by c.first_offset limit p_rows
          ) b
          window w as (order by b.first_offset rows unbounded preceding)
      ) r
      where r.first_offset <= p_offset or (r.events_before < p_events + (p_offset - v_first) and r.bytes_before < p_bytes)
      order by r.first_offset;
end
$$;

-- First offset that was appended at or after p_time: a binary search, as append times never decrease.
create function semel.offset_at(p_topic text, p_partition integer, p_time bigint) returns bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_id integer;
  v_low bigint;
  v_high bigint;
  v_row record;
begin
  select p.id, p.earliest into v_id, v_low
    from semel.partition p join semel.topic t on t.id = p.topic_id
    where t.name = p_topic and p.partition = p_partition;
  if not found then
    return null;
  end if;
  select b.first_offset + b.count into v_high
    from semel.batch b where b.partition_id = v_id order by b.first_offset desc limit 1;
  v_high := greatest(v_high, v_low);
  while v_low < v_high loop
    select b.first_offset, b.count, b.append_time into v_row
      from semel.batch b where b.partition_id = v_id and b.first_offset <= (v_low + v_high) / 2
      order by b.first_offset desc limit 1;
    if not found then
      return v_low;
    end if;
    if v_row.append_time >= p_time then
      v_high := greatest(v_row.first_offset, v_low);
      exit when v_high = v_low;
    else
      v_low := v_row.first_offset + v_row.count;
    end if;
  end loop;
  return v_low;
end
$$;

create function semel.bounds(p_topic text)
returns table (partition integer, earliest bigint, "end" bigint)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select p.partition, p.earliest, coalesce(b.first_offset + b.count, p.earliest)
    from semel.topic t
    join semel.partition p on p.topic_id = t.id
    left join lateral (
      select o.first_offset, o.count from semel.batch o
        where o.partition_id = p.id order by o.first_offset desc limit 1
    ) b on true
    where t.name = p_topic
    order by p.partition
$$;

-- Numbers of tasks and of their stores. Only whoever holds a lease asks for a task, so it is there.
create function semel.task_id(p_grp text, p_topic text, p_partition integer) returns integer
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select t.id from semel.task t where t.grp = p_grp and t.topic = p_topic and t.partition = p_partition
$$;

create function semel.make_store(p_task_id integer, p_name text) returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_id integer;
begin
  select s.id into v_id from semel.store s where s.task_id = p_task_id and s.name = p_name;
  if found then
    return v_id;
  end if;
  insert into semel.store (task_id, name) values (p_task_id, p_name) on conflict (task_id, name) do nothing;
  select s.id into v_id from semel.store s where s.task_id = p_task_id and s.name = p_name;
  return v_id;
end
$$;

create function semel.position(p_grp text, p_topic text, p_partition integer)
returns table ("position" bigint, log_id text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select g.position, g.log_id
    from semel.task t join semel.progress g on g.task_id = t.id
    where t.grp = p_grp and t.topic = p_topic and t.partition = p_partition
    order by g.step desc limit 1
$$;

-- Values in the order of the keys.
create function semel.read_state(p_grp text, p_topic text, p_partition integer, p_store text, p_keys text[])
returns setof text
language plpgsql stable rows 100
set search_path = pg_catalog, pg_temp
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
        select o.value from semel.state o where o.store_id = v_store and o.key = u.key order by o.step desc limit 1
      ) s on true
      order by u.n;
end
$$;

create function semel.scan_state(
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
    return query select s.key, s.value from semel.state s where s.store_id = v_store order by s.key limit p_limit;
  else
    return query
      select s.key, s.value from semel.state s where s.store_id = v_store and s.key > p_after order by s.key limit p_limit;
  end if;
end
$$;

create function semel.release(p_grp text, p_topic text, p_partition integer, p_epoch bigint) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  update semel.lease l set owner = null, expires_at = 0
    from semel.task t
    where t.id = l.task_id and t.grp = p_grp and t.topic = p_topic and t.partition = p_partition and t.epoch = p_epoch
$$;

create function semel.leave(p_grp text, p_member text) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  delete from semel.member m where m.grp = p_grp and m.member = p_member
$$;

-- The steps of the lease table. All times are this server's clock.

-- Takes a task that nobody holds, if its epoch is still the one that was seen. Null: somebody was faster.
create function semel.acquire(
  p_grp text, p_topic text, p_partition integer, p_member text, p_lease_ms bigint, p_epoch bigint
) returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_task semel.task;
  v_now bigint;
begin
  if current_setting('synchronous_commit') in ('off', 'local') then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  insert into semel.task (grp, topic, partition) values (p_grp, p_topic, p_partition)
    on conflict (grp, topic, partition) do nothing;
  select t.* into v_task from semel.task t
    where t.grp = p_grp and t.topic = p_topic and t.partition = p_partition for update;
  if v_task.epoch <> p_epoch then
    return null;
  end if;
  v_now := semel.now_ms();
  insert into semel.lease as l (task_id, owner, expires_at) values (v_task.id, p_member, v_now + p_lease_ms)
    on conflict (task_id) do update set owner = excluded.owner, expires_at = excluded.expires_at
    where l.owner is null or l.expires_at <= v_now;
  if not found then
    return null;
  end if;
  update semel.task set epoch = p_epoch + 1 where id = v_task.id;
  return p_epoch + 1;
end
$$;

-- A member lives until p_lease_ms from now, and so do its leases. Answers the whole view of its group.
create function semel.heartbeat(p_grp text, p_member text, p_lease_ms bigint, p_report text)
returns table (kind text, name text, partition integer, epoch bigint, owner text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_now bigint := semel.now_ms();
begin
  insert into semel.member (grp, member, seen_at, lease_ms, report)
    values (p_grp, p_member, v_now, p_lease_ms, p_report)
    on conflict (grp, member) do update
      set seen_at = excluded.seen_at, lease_ms = excluded.lease_ms, report = excluded.report;
  delete from semel.member m
    where (m.grp, m.member) in (
      select o.grp, o.member from semel.member o
        where o.grp = p_grp and o.member <> p_member and o.seen_at + o.lease_ms <= v_now
        order by o.member for update skip locked
    );
  update semel.lease l set expires_at = v_now + p_lease_ms
    where l.task_id in (
      select o.task_id from semel.lease o join semel.task t on t.id = o.task_id
        where t.grp = p_grp and o.owner = p_member and o.expires_at > v_now order by o.task_id for update of o
    );
  return query
    select 'member', m.member, null::integer, null::bigint, null::text
      from semel.member m where m.grp = p_grp
    union all
    select 'lease', t.topic, t.partition, t.epoch, case when l.expires_at > v_now then l.owner end
      from semel.task t left join semel.lease l on l.task_id = t.id where t.grp = p_grp;
end
$$;

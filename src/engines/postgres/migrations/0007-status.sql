-- What is stored, as one snapshot. p_dead: name of the store that holds dead letters.
create function semel.status(p_dead text)
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
      (select count(*) from semel.store n join semel.state s on s.store_id = n.id
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

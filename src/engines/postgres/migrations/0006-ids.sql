-- Memory of event ids (N1 to N5).

-- Rows of a topic after p_seq, for a process that keeps the ids in memory; those out of the window are left out.
create function semel.rows_after(p_topic_id integer, p_seq bigint, p_since bigint, p_limit integer)
returns table (seq bigint, partition integer, first_offset bigint, head text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select b.seq, p.partition, b.first_offset, case when b.append_time > p_since then b.head end
    from (
      select r.seq, r.partition_id, r.first_offset, r.append_time, r.head from semel.batch r
        where r.topic_id = p_topic_id and r.seq > p_seq order by r.seq limit p_limit
    ) b
    join semel.partition p on p.id = b.partition_id
    order by b.seq
$$;

-- The rows that hold some offsets, each once.
create function semel.rows_at(p_partitions integer[], p_offsets bigint[])
returns table (partition_id integer, first_offset bigint, count integer, append_time bigint, crc bigint, head text, body text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select distinct on (b.partition_id, b.first_offset)
      b.partition_id, b.first_offset, b.count, b.append_time, b.crc, b.head, b.body
    from unnest(p_partitions, p_offsets) u (partition_id, at)
    cross join lateral (
      select * from semel.batch r where r.partition_id = u.partition_id and r.first_offset <= u.at
        order by r.first_offset desc limit 1
    ) b
    where u.at < b.first_offset + b.count
    order by b.partition_id, b.first_offset
$$;

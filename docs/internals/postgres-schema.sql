create table semel.batch (
  partition_id integer not null,
  first_offset bigint not null,
  count integer not null,
  append_time bigint not null,
  crc bigint not null,
  topic_id integer,
  seq bigint,
  head text not null storage external,
  body text not null storage external,
  PRIMARY KEY (partition_id, first_offset)
);

create table semel.lease (
  task_id integer not null,
  owner text,
  expires_at bigint not null,
  FOREIGN KEY (task_id) REFERENCES semel.task(id),
  PRIMARY KEY (task_id)
) with (fillfactor=50, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=500);

create table semel.member (
  grp text collate "C" not null,
  member text collate "C" not null,
  seen_at bigint not null,
  lease_ms bigint not null,
  report text not null,
  PRIMARY KEY (grp, member)
) with (fillfactor=50, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=500);

create table semel.meta (
  name text collate "C" not null,
  value text not null,
  PRIMARY KEY (name)
);

create table semel.outbox (
  xact xid8 not null,
  id bigint not null generated always as identity,
  is_first boolean not null,
  topic text collate "C" not null,
  key text collate "C",
  event_id text collate "C" not null,
  type text not null,
  source text not null,
  time_ms bigint not null,
  attributes text,
  encoding text collate "C" not null,
  data text not null storage external,
  created_ms bigint not null,
  PRIMARY KEY (xact, id)
) with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=2000);

create table semel.outbox_order (
  xact xid8 not null,
  seq bigint not null,
  PRIMARY KEY (xact),
  UNIQUE (seq)
) with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=2000);

create table semel.outbox_refused (
  id bigint not null,
  topic text collate "C" not null,
  key text collate "C",
  event_id text collate "C" not null,
  type text not null,
  source text not null,
  time_ms bigint not null,
  attributes text,
  encoding text collate "C" not null,
  data text not null,
  created_ms bigint not null,
  refused_ms bigint not null,
  reason text not null,
  PRIMARY KEY (id)
);

create table semel.partition (
  id integer not null generated always as identity,
  topic_id integer not null,
  partition integer not null,
  earliest bigint not null default 0,
  sealed boolean not null default false,
  FOREIGN KEY (topic_id) REFERENCES semel.topic(id),
  PRIMARY KEY (id),
  UNIQUE (topic_id, partition)
);

create table semel.progress (
  task_id integer not null,
  step bigint not null,
  "position" bigint not null,
  log_id text not null,
  PRIMARY KEY (task_id, step)
) with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=2000);

create table semel.refused (
  partition_id integer not null,
  duplicates bigint not null,
  PRIMARY KEY (partition_id)
) with (fillfactor=50);

create table semel.state (
  store_id integer not null,
  key text collate "C" not null,
  step bigint not null,
  page integer,
  value text not null storage external,
  PRIMARY KEY (store_id, key, step)
) with (fillfactor=70, autovacuum_vacuum_scale_factor=0.05, autovacuum_vacuum_threshold=2000);

create table semel.state_log (
  store_id integer not null,
  seq bigint not null,
  first_seq bigint not null,
  keys text[] collate "C" not null storage external,
  "values" text[] not null storage external,
  PRIMARY KEY (store_id, seq)
) with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=1000);

create table semel.store (
  id integer not null generated always as identity,
  task_id integer not null,
  name text collate "C" not null,
  FOREIGN KEY (task_id) REFERENCES semel.task(id),
  PRIMARY KEY (id),
  UNIQUE (task_id, name)
);

create table semel.task (
  id integer not null generated always as identity,
  grp text collate "C" not null,
  topic text collate "C" not null,
  partition integer not null,
  epoch bigint not null default 0,
  PRIMARY KEY (id),
  UNIQUE (grp, topic, partition)
);

create table semel.topic (
  id integer not null generated always as identity,
  name text collate "C" not null,
  dedup_window_ms bigint not null,
  ids_version bigint not null default 0,
  seal text,
  PRIMARY KEY (id),
  UNIQUE (name)
);

CREATE UNIQUE INDEX batch_seq ON semel.batch USING btree (topic_id, seq) WHERE (seq IS NOT NULL);

create sequence semel.outbox_period;

create sequence semel.outbox_seq;

CREATE OR REPLACE FUNCTION semel."position"(p_grp text, p_topic text, p_partition integer)
 RETURNS TABLE("position" bigint, log_id text)
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select g.position, g.log_id
    from "semel".task t join "semel".progress g on g.task_id = t.id
    where t.grp = p_grp and t.topic = p_topic and t.partition = p_partition
    order by g.step desc limit 1
$function$;

CREATE OR REPLACE FUNCTION semel.acquire(p_grp text, p_topic text, p_partition integer, p_member text, p_lease_ms bigint, p_epoch bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_task "semel".task;
  v_now bigint;
begin
  if current_setting('synchronous_commit') in ('off', 'local') then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  perform 1 from "semel".topic t where t.name = p_topic for share;
  if exists (select 1 from "semel".topic t where t.name = p_topic and t.seal is not null) then
    raise exception '%', p_topic using errcode = 'SM002';
  end if;
  insert into "semel".task (grp, topic, partition) values (p_grp, p_topic, p_partition)
    on conflict (grp, topic, partition) do nothing;
  select t.* into v_task from "semel".task t
    where t.grp = p_grp and t.topic = p_topic and t.partition = p_partition for update;
  if v_task.epoch <> p_epoch then
    return null;
  end if;
  v_now := "semel".now_ms();
  insert into "semel".lease as l (task_id, owner, expires_at) values (v_task.id, p_member, v_now + p_lease_ms)
    on conflict (task_id) do update set owner = excluded.owner, expires_at = excluded.expires_at
    where l.owner is null or l.expires_at <= v_now;
  if not found then
    return null;
  end if;
  update "semel".task set epoch = p_epoch + 1 where id = v_task.id;
  return p_epoch + 1;
end
$function$;

CREATE OR REPLACE FUNCTION semel.add_refused(p_partitions integer[], p_duplicates integer[])
 RETURNS void
 LANGUAGE sql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  insert into "semel".refused as r (partition_id, duplicates)
    select u.id, u.n from unnest(p_partitions, p_duplicates) u (id, n) where u.n > 0 order by u.id
    on conflict (partition_id) do update set duplicates = r.duplicates + excluded.duplicates
$function$;

CREATE OR REPLACE FUNCTION semel.bounds(p_topic text)
 RETURNS TABLE(partition integer, earliest bigint, "end" bigint)
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select p.partition, p.earliest, coalesce(b.first_offset + b.count, p.earliest)
    from "semel".topic t
    join "semel".partition p on p.topic_id = t.id
    left join lateral (
      select o.first_offset, o.count from "semel".batch o
        where o.partition_id = p.id order by o.first_offset desc limit 1
    ) b on true
    where t.name = p_topic
    order by p.partition
$function$;

CREATE OR REPLACE FUNCTION semel.declare(p_names text[], p_partitions integer[], p_windows bigint[])
 RETURNS TABLE(name text, partitions bigint, dedup_window_ms bigint)
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
begin
  if exists (
    select 1 from unnest(p_names, p_windows) u (name, window_ms)
      where not exists (select 1 from "semel".topic t where t.name = u.name and t.dedup_window_ms = u.window_ms)
  ) then
    lock table "semel".topic in share row exclusive mode;
  end if;
  return query
    select t.name, count(*), t.dedup_window_ms
      from "semel".topic t
      join "semel".partition p on p.topic_id = t.id
      join unnest(p_names, p_partitions, p_windows) u (name, partitions, window_ms) on u.name = t.name
      group by t.id, u.partitions, u.window_ms
      having count(*) <> u.partitions or (t.dedup_window_ms > 0) <> (u.window_ms > 0);
  if found then
    return;
  end if;
  with made as (
    insert into "semel".topic (name, dedup_window_ms)
      select u.name, u.window_ms from unnest(p_names, p_windows) u (name, window_ms)
        where not exists (select 1 from "semel".topic t where t.name = u.name)
      returning id, name
  )
  insert into "semel".partition (topic_id, partition)
    select m.id, n
      from made m
      join unnest(p_names, p_partitions) u (name, partitions) on u.name = m.name
      cross join lateral generate_series(0, u.partitions - 1) n
      order by m.id, n;
  update "semel".topic t set dedup_window_ms = u.window_ms
    from unnest(p_names, p_windows) u (name, window_ms)
    where t.name = u.name and t.dedup_window_ms <> u.window_ms;
end
$function$;

CREATE OR REPLACE FUNCTION semel.heartbeat(p_grp text, p_member text, p_lease_ms bigint, p_report text)
 RETURNS TABLE(kind text, name text, partition integer, epoch bigint, owner text)
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  v_now bigint := "semel".now_ms();
begin
  insert into "semel".member (grp, member, seen_at, lease_ms, report)
    values (p_grp, p_member, v_now, p_lease_ms, p_report)
    on conflict (grp, member) do update
      set seen_at = excluded.seen_at, lease_ms = excluded.lease_ms, report = excluded.report;
  delete from "semel".member m
    where (m.grp, m.member) in (
      select o.grp, o.member from "semel".member o
        where o.grp = p_grp and o.member <> p_member and o.seen_at + o.lease_ms <= v_now
        order by o.member for update skip locked
    );
  update "semel".lease l set expires_at = v_now + p_lease_ms
    where l.task_id in (
      select o.task_id from "semel".lease o join "semel".task t on t.id = o.task_id
        where t.grp = p_grp and o.owner = p_member and o.expires_at > v_now order by o.task_id for update of o
    );
  return query
    select 'member', m.member, null::integer, null::bigint, null::text
      from "semel".member m where m.grp = p_grp
    union all
    select 'lease', t.topic, t.partition, t.epoch, case when l.expires_at > v_now then l.owner end
      from "semel".task t left join "semel".lease l on l.task_id = t.id where t.grp = p_grp;
end
$function$;

CREATE OR REPLACE FUNCTION semel.leave(p_grp text, p_member text)
 RETURNS void
 LANGUAGE sql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  delete from "semel".member m where m.grp = p_grp and m.member = p_member
$function$;

CREATE OR REPLACE FUNCTION semel.lock_topic(p_topic text)
 RETURNS TABLE(seal text, now_ms bigint)
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
begin
  if current_setting('synchronous_commit') in ('off', 'local') then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  if current_setting('lock_timeout') = '0' then
    perform set_config('lock_timeout', '10s', true);
  end if;
  perform 1 from "semel".topic t where t.name = p_topic for update;
  perform 1 from "semel".partition p join "semel".topic t on t.id = p.topic_id
    where t.name = p_topic order by p.id for update of p;
  perform 1 from "semel".task t where t.topic = p_topic order by t.id for update;
  return query select t.seal, "semel".now_ms() from "semel".topic t where t.name = p_topic;
end
$function$;

CREATE OR REPLACE FUNCTION semel.logged_state(p_store integer)
 RETURNS TABLE(key text, value text)
 LANGUAGE sql
 STABLE ROWS 10000
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select distinct on (l.key) l.key, l.value
    from "semel".state_logs(array[p_store]) l
    order by l.key, l.seq desc
$function$;

CREATE OR REPLACE FUNCTION semel.make_store(p_task_id integer, p_name text)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_id integer;
begin
  select s.id into v_id from "semel".store s where s.task_id = p_task_id and s.name = p_name;
  if found then
    return v_id;
  end if;
  insert into "semel".store (task_id, name) values (p_task_id, p_name) on conflict (task_id, name) do nothing;
  select s.id into v_id from "semel".store s where s.task_id = p_task_id and s.name = p_name;
  return v_id;
end
$function$;

CREATE OR REPLACE FUNCTION semel.now_ms()
 RETURNS bigint
 LANGUAGE sql
RETURN (floor((EXTRACT(epoch FROM clock_timestamp()) * (1000)::numeric)))::bigint;

CREATE OR REPLACE FUNCTION semel.offset_at(p_topic text, p_partition integer, p_time bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_id integer;
  v_low bigint;
  v_high bigint;
  v_row record;
begin
  select p.id, p.earliest into v_id, v_low
    from "semel".partition p join "semel".topic t on t.id = p.topic_id
    where t.name = p_topic and p.partition = p_partition;
  if not found then
    return null;
  end if;
  select b.first_offset + b.count into v_high
    from "semel".batch b where b.partition_id = v_id order by b.first_offset desc limit 1;
  v_high := greatest(v_high, v_low);
  while v_low < v_high loop
    select b.first_offset, b.count, b.append_time into v_row
      from "semel".batch b where b.partition_id = v_id and b.first_offset <= (v_low + v_high) / 2
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
$function$;

CREATE OR REPLACE FUNCTION semel.outbox_number()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_setting text := "semel".outbox_setting();
  v_bucket integer;
  v_period bigint;
begin
  for v_bucket in
    select q::integer from string_to_table(current_setting(v_setting, true), ',') q where q <> '' order by 1
  loop
    perform pg_advisory_xact_lock(hashtext('"semel".outbox'), v_bucket);
  end loop;
  loop
    select p.last_value into v_period from "semel".outbox_period p;
    perform pg_advisory_xact_lock_shared(hashtext('"semel".outbox'), -v_period::integer);
    exit when v_period = (select p.last_value from "semel".outbox_period p);
  end loop;
  insert into "semel".outbox_order as r (xact, seq) values (new.xact, nextval('"semel".outbox_seq'))
    on conflict (xact) do update set seq = excluded.seq;
  perform set_config(v_setting, '', true);
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION semel.outbox_put(p_topic text, p_key text, p_id text, p_type text, p_source text, p_time_ms bigint, p_attributes text, p_encoding text, p_data text)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_setting text := "semel".outbox_setting();
  v_queues text := coalesce(current_setting(v_setting, true), '');
  v_queue text := '';
begin
  if p_topic is null or not exists (select 1 from "semel".topic t where t.name = p_topic) then
    raise exception 'semel: topic % does not exist', coalesce(quote_literal(p_topic), 'null') using
      errcode = 'invalid_parameter_value', hint = 'open a bus that declares it once';
  end if;
  if octet_length(p_key) > 1024 then
    raise exception 'semel: a key has at most 1024 bytes, not %', octet_length(p_key) using
      errcode = 'invalid_parameter_value';
  end if;
  if octet_length(p_id) not between 1 and 256 then
    raise exception 'semel: an id has 1 to 256 bytes, not %', octet_length(p_id) using
      errcode = 'invalid_parameter_value';
  end if;
  if octet_length(p_type) not between 1 and 4096 or octet_length(p_source) not between 1 and 4096 then
    raise exception 'semel: type and source have 1 to 4096 bytes' using errcode = 'invalid_parameter_value';
  end if;
  if p_data is null or octet_length(p_data) > 1500000 then
    raise exception 'semel: data is JSON of at most 1 MiB' using errcode = 'invalid_parameter_value';
  end if;
  if p_key is not null then
    v_queue := (hashtextextended(p_key, hashtextextended(p_topic, 0)) & 1023)::text;
  end if;
  if v_queues = '' or strpos(v_queues, ',' || v_queue || ',') = 0 then
    perform set_config(v_setting, coalesce(nullif(v_queues, ''), ',') || v_queue || ',', true);
  end if;
  insert into "semel".outbox
    (xact, is_first, topic, key, event_id, type, source, time_ms, attributes, encoding, data, created_ms)
    values (pg_current_xact_id(), v_queues = '', p_topic, p_key, coalesce(p_id, gen_random_uuid()::text), coalesce(p_type, p_topic),
      coalesce(p_source, '/semel'), coalesce(p_time_ms, "semel".now_ms()), p_attributes, p_encoding, p_data,
      "semel".now_ms())
    returning event_id into p_id;
  return p_id;
end
$function$;

CREATE OR REPLACE FUNCTION semel.outbox_retry(p_id bigint)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v "semel".outbox_refused;
begin
  delete from "semel".outbox_refused r where r.id = p_id returning * into v;
  if not found then
    return false;
  end if;
  perform "semel".outbox_put(v.topic, v.key, v.event_id, v.type, v.source, v.time_ms, v.attributes, v.encoding, v.data);
  return true;
end
$function$;

CREATE OR REPLACE FUNCTION semel.outbox_set_aside(p_row text, p_reason text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v json := p_row::json;
begin
  insert into "semel".outbox_refused
    (id, topic, key, event_id, type, source, time_ms, attributes, encoding, data, created_ms, refused_ms, reason)
    values ((v ->> 'place')::bigint, v ->> 'topic', v ->> 'key', v ->> 'id', v ->> 'type', v ->> 'source',
      (v ->> 'time')::bigint, v ->> 'attributes', v ->> 'encoding', v ->> 'data', (v ->> 'createdMs')::bigint,
      "semel".now_ms(), p_reason);
end
$function$;

CREATE OR REPLACE FUNCTION semel.outbox_setting()
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
RETURN ('semel_outbox.q'::text || to_hex(hashtextextended('"semel".outbox'::text, (0)::bigint)));

CREATE OR REPLACE FUNCTION semel.outbox_settle(OUT seq bigint, OUT server text)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v_period bigint;
begin
  select p.last_value into v_period from "semel".outbox_period p;
  if not pg_try_advisory_xact_lock(hashtext('"semel".outbox'), (1 - v_period)::integer)
    or v_period <> (select p.last_value from "semel".outbox_period p) then
    return;
  end if;
  select o.last_value, pg_postmaster_start_time()::text into seq, server from "semel".outbox_seq o;
  perform nextval('"semel".outbox_period');
end
$function$;

CREATE OR REPLACE FUNCTION semel.outbox_status(p_grp text, p_store text, p_key text)
 RETURNS TABLE(waiting bigint, oldest_ms bigint, refused bigint, refusal text, problem text)
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select
    (select count(*) from (select 1 from "semel".outbox limit 100000) o),
    (select greatest(0, "semel".now_ms() - o.created_ms)
      from "semel".outbox_order r join "semel".outbox o on o.xact = r.xact order by r.seq, o.id limit 1),
    (select count(*) from (select 1 from "semel".outbox_refused limit 100000) r),
    (select r.id || ' ' || r.reason from "semel".outbox_refused r order by r.id limit 1),
    (select s.value from "semel".task t
      join "semel".store n on n.task_id = t.id and n.name = p_store
      cross join lateral "semel".whole_state(n.id) s
      where t.grp = p_grp and s.key = p_key limit 1)
$function$;

CREATE OR REPLACE FUNCTION semel.outbox_take(p_events integer, p_bytes bigint, p_settled bigint, p_server text)
 RETURNS TABLE(seq bigint, id bigint, topic text, partitions bigint, key text, event_id text, type text, source text, time_ms bigint, attributes text, encoding text, data text, created_ms bigint)
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  v_after bigint := case when p_server = pg_postmaster_start_time()::text then p_settled else 0 end;
  v_orders xid8[];
  v_seqs bigint[];
  v_taken "semel".outbox[];
begin
  select array_agg(r.xact order by r.seq), array_agg(r.seq order by r.seq) into v_orders, v_seqs
    from (select o.xact, o.seq from "semel".outbox_order o where o.seq > v_after order by o.seq limit p_events) r;
  if v_orders is null then
    return;
  end if;
  select array_agg(s.o order by s.n_events) into v_taken
    from (
      select o, row_number() over w as n_events, sum(octet_length(o.data)) over w as n_bytes
        from unnest(v_orders) with ordinality u (xact, n)
        cross join lateral (select * from "semel".outbox r where r.xact = u.xact order by r.id limit p_events) o
        window w as (order by u.n, o.id)
        order by u.n, o.id limit p_events
    ) s
    where s.n_events = 1 or s.n_bytes <= p_bytes;
  delete from "semel".outbox o using unnest(v_taken) t where o.xact = t.xact and o.id = t.id;
  delete from "semel".outbox_order r
    where r.xact = any (v_orders) and not exists (select 1 from "semel".outbox o where o.xact = r.xact);
  return query
    select u.seq, t.id, t.topic, c.partitions, t.key, t.event_id, t.type, t.source, t.time_ms, t.attributes,
        t.encoding, t.data, t.created_ms
      from unnest(v_taken) with ordinality t (xact, id, is_first, topic, key, event_id, type, source, time_ms,
        attributes, encoding, data, created_ms, n)
      join unnest(v_orders, v_seqs) u (xact, seq) on u.xact = t.xact
      join (
        select r.name, count(*) as partitions
          from "semel".topic r join "semel".partition p on p.topic_id = r.id group by r.name
      ) c on c.name = t.topic
      order by t.n;
end
$function$;

CREATE OR REPLACE FUNCTION semel.publish(topic text, key text, type text, data json, id text DEFAULT NULL::text, source text DEFAULT NULL::text, "time" timestamp with time zone DEFAULT NULL::timestamp with time zone, attributes json DEFAULT NULL::json)
 RETURNS text
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN semel.outbox_put(topic, key, id, type, source, (floor((EXTRACT(epoch FROM "time") * (1000)::numeric)))::bigint, (attributes)::text, 'json'::text, (data)::text)
-- rights: {postgres=X/postgres};

CREATE OR REPLACE FUNCTION semel.publish_event(event text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  v json := event::json;
begin
  return "semel".outbox_put(v ->> 'topic', v ->> 'key', v ->> 'id', v ->> 'type', v ->> 'source',
    (v ->> 'time')::bigint, v ->> 'attributes', v ->> 'encoding', v ->> 'data');
end
$function$
-- rights: {postgres=X/postgres};

CREATE OR REPLACE FUNCTION semel.put_state(p_stores integer[], p_keys text[], p_values text[], p_now_ms bigint)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
declare
  c_recent_ms constant bigint := 4000;
  v_places tid[];
  v_steps bigint[];
  v_pages integer[];
  v_stay boolean[];
begin
  select array_agg(c.place order by u.n), array_agg(c.step order by u.n), array_agg(c.page order by u.n),
      array_agg((c.began is null or c.began = c.page) and u.value is not null order by u.n)
    into v_places, v_steps, v_pages, v_stay
    from unnest(p_stores, p_keys, p_values) with ordinality u (store, key, value, n)
    left join lateral (
      select s.place, s.step, s.page as began, (s.place::text::point)[0]::integer as page
        from (
          (select r.ctid as place, r.step, r.page from "semel".state r
            where r.store_id = u.store and r.key = u.key and r.step > p_now_ms - c_recent_ms
            order by r.step desc limit 1)
          union all
          (select r.ctid, r.step, r.page from "semel".state r
            where r.store_id = u.store and r.key = u.key order by r.step desc limit 1)
        ) s
        limit 1
    ) c on true;
  update "semel".state r set value = u.value, page = u.page
    from unnest(v_places, v_pages, v_stay, p_values) u (place, page, stay, value)
    where u.stay and r.ctid = u.place;
  if array_position(v_places, null) is not null or array_position(v_stay, false) is not null then
    delete from "semel".state r using unnest(v_places, v_stay) u (place, stay)
      where not u.stay and r.ctid = u.place;
    insert into "semel".state (store_id, key, step, value)
      select u.store, u.key, greatest(u.step + 1, p_now_ms), u.value
        from unnest(p_stores, p_keys, p_values, v_steps, v_places, v_stay) u (store, key, value, step, place, stay)
        where u.value is not null and (u.place is null or not u.stay);
  end if;
end
$function$;

CREATE OR REPLACE FUNCTION semel.read(p_topic text, p_partition integer, p_offset bigint, p_rows integer, p_events bigint, p_bytes bigint)
 RETURNS TABLE(earliest bigint, "end" bigint, first_offset bigint, count integer, append_time bigint, crc bigint, head text, body text)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  v_id integer;
  v_earliest bigint;
  v_end bigint;
  v_first bigint;
begin
  select p.id, p.earliest into v_id, v_earliest
    from "semel".partition p join "semel".topic t on t.id = p.topic_id
    where t.name = p_topic and p.partition = p_partition;
  if not found then
    return;
  end if;
  select b.first_offset + b.count into v_end
    from "semel".batch b where b.partition_id = v_id order by b.first_offset desc limit 1;
  v_end := coalesce(v_end, v_earliest);
  if p_offset >= v_end or p_offset < v_earliest then
    return query select v_earliest, v_end, null::bigint, null::integer, null::bigint, null::bigint, null::text, null::text;
    return;
  end if;
  select b.first_offset into v_first
    from "semel".batch b where b.partition_id = v_id and b.first_offset <= p_offset order by b.first_offset desc limit 1;
  return query
    select v_earliest, v_end, r.first_offset, r.count, r.append_time, r.crc, r.head, r.body
      from (
        select b.*,
            sum(b.count) over w - b.count as events_before,
            sum(octet_length(b.head) + octet_length(b.body)) over w - octet_length(b.head) - octet_length(b.body) as bytes_before
          from (
            select * from "semel".batch c
              where c.partition_id = v_id and c.first_offset >= coalesce(v_first, p_offset)
              order by c.first_offset limit p_rows
          ) b
          window w as (order by b.first_offset rows unbounded preceding)
      ) r
      where r.first_offset <= p_offset or (r.events_before < p_events + (p_offset - v_first) and r.bytes_before < p_bytes)
      order by r.first_offset;
end
$function$;

CREATE OR REPLACE FUNCTION semel.read_logged_state(p_store integer, p_keys text[])
 RETURNS SETOF text
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  with logged as materialized (select l.key, l.value from "semel".logged_state(p_store) l)
  select case when l.key is null then s.value else l.value end
    from unnest(p_keys) with ordinality u (key, n)
    left join logged l on l.key = u.key
    left join lateral (
      select o.value from "semel".state o
        where l.key is null and o.store_id = p_store and o.key = u.key order by o.step desc limit 1
    ) s on true
    order by u.n
$function$;

CREATE OR REPLACE FUNCTION semel.read_state(p_grp text, p_topic text, p_partition integer, p_store text, p_keys text[])
 RETURNS SETOF text
 LANGUAGE plpgsql
 STABLE ROWS 100
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_store integer;
begin
  select s.id into v_store
    from "semel".task t join "semel".store s on s.task_id = t.id
    where t.grp = p_grp and t.topic = p_topic and t.partition = p_partition and s.name = p_store;
  if not found then
    return;
  end if;
  if "semel".state_log_end(v_store) is null then
    return query select * from "semel".read_table_state(v_store, null, p_keys);
  else
    return query select * from "semel".read_logged_state(v_store, p_keys);
  end if;
end
$function$;

CREATE OR REPLACE FUNCTION semel.read_table_state(p_store integer, p_log_end bigint, p_keys text[])
 RETURNS SETOF text
 LANGUAGE plpgsql
 STABLE ROWS 100
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
begin
  if "semel".state_log_end(p_store) is distinct from p_log_end then
    return;
  end if;
  return query
    select s.value
      from unnest(p_keys) with ordinality u (key, n)
      left join lateral (
        select o.value from "semel".state o where o.store_id = p_store and o.key = u.key order by o.step desc limit 1
      ) s on true
      order by u.n;
end
$function$;

CREATE OR REPLACE FUNCTION semel.release(p_grp text, p_topic text, p_partition integer, p_epoch bigint)
 RETURNS void
 LANGUAGE sql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  update "semel".lease l set owner = null, expires_at = 0
    from "semel".task t
    where t.id = l.task_id and t.grp = p_grp and t.topic = p_topic and t.partition = p_partition and t.epoch = p_epoch
$function$;

CREATE OR REPLACE FUNCTION semel.rows_after(p_topic_id integer, p_seq bigint, p_since bigint, p_limit integer)
 RETURNS TABLE(seq bigint, partition integer, first_offset bigint, head text)
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select b.seq, p.partition, b.first_offset, case when b.append_time > p_since then b.head end
    from (
      select r.seq, r.partition_id, r.first_offset, r.append_time, r.head from "semel".batch r
        where r.topic_id = p_topic_id and r.seq > p_seq order by r.seq limit p_limit
    ) b
    join "semel".partition p on p.id = b.partition_id
    order by b.seq
$function$;

CREATE OR REPLACE FUNCTION semel.rows_at(p_partitions integer[], p_offsets bigint[])
 RETURNS TABLE(partition_id integer, first_offset bigint, count integer, append_time bigint, crc bigint, head text, body text)
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select distinct on (b.partition_id, b.first_offset)
      b.partition_id, b.first_offset, b.count, b.append_time, b.crc, b.head, b.body
    from unnest(p_partitions, p_offsets) u (partition_id, at)
    cross join lateral (
      select * from "semel".batch r where r.partition_id = u.partition_id and r.first_offset <= u.at
        order by r.first_offset desc limit 1
    ) b
    where u.at < b.first_offset + b.count
    order by b.partition_id, b.first_offset
$function$;

CREATE OR REPLACE FUNCTION semel.scan_state(p_grp text, p_topic text, p_partition integer, p_store text, p_after text, p_limit bigint)
 RETURNS TABLE(key text, value text)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  v_store integer;
begin
  select s.id into v_store
    from "semel".task t join "semel".store s on s.task_id = t.id
    where t.grp = p_grp and t.topic = p_topic and t.partition = p_partition and s.name = p_store;
  if not found then
    return;
  end if;
  return query
    with logged as materialized (select l.key, l.value from "semel".logged_state(v_store) l)
    select a.key, a.value
      from (
        select l.key, l.value from logged l
          where l.value is not null and (p_after is null or l.key collate "C" > p_after)
        union all
        select s.key, s.value from "semel".state_behind(v_store, p_after, p_limit + (select count(*) from logged)) s
          where not exists (select 1 from logged l where l.key = s.key)
      ) a
      order by a.key collate "C" limit p_limit;
end
$function$;

CREATE OR REPLACE FUNCTION semel.seal(p_topic text, p_seal text, p_fence boolean)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  update "semel".topic t set seal = p_seal where t.name = p_topic;
  update "semel".partition p set sealed = p_seal is not null
    from "semel".topic t
    where t.id = p.topic_id and t.name = p_topic and p.sealed <> (p_seal is not null);
  if p_fence then
    update "semel".task t set epoch = t.epoch + 1 where t.topic = p_topic;
    update "semel".lease l set owner = null, expires_at = 0 from "semel".task t
      where t.id = l.task_id and t.topic = p_topic;
  end if;
end
$function$;

CREATE OR REPLACE FUNCTION semel.seals()
 RETURNS TABLE(topic text, seal text)
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select t.name, t.seal from "semel".topic t where t.seal is not null
$function$;

CREATE OR REPLACE FUNCTION semel.state_behind(p_store integer, p_after text, p_limit bigint)
 RETURNS TABLE(key text, value text)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
begin
  if p_after is null then
    return query select s.key, s.value from "semel".state s where s.store_id = p_store order by s.key limit p_limit;
  else
    return query
      select s.key, s.value from "semel".state s where s.store_id = p_store and s.key > p_after order by s.key limit p_limit;
  end if;
end
$function$;

CREATE OR REPLACE FUNCTION semel.state_log_end(p_store integer)
 RETURNS bigint
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select l.seq from "semel".state_log l where l.store_id = p_store order by l.seq desc limit 1
$function$;

CREATE OR REPLACE FUNCTION semel.state_logs(p_stores integer[])
 RETURNS TABLE(store_id integer, seq bigint, key text, value text)
 LANGUAGE sql
 STABLE ROWS 10000
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$
  select l.store_id, l.seq, e.key, e.value
    from unnest(p_stores) u (store)
    cross join lateral (
      select n.first_seq from "semel".state_log n where n.store_id = u.store order by n.seq desc limit 1
    ) newest
    cross join lateral (
      select * from "semel".state_log o where o.store_id = u.store and o.seq >= newest.first_seq offset 0
    ) l
    cross join lateral unnest(l.keys, l."values") with ordinality e (key, value, n)
    order by l.store_id, l.seq, e.n
$function$;

CREATE OR REPLACE FUNCTION semel.status(p_dead text)
 RETURNS TABLE(kind text, content text)
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select 'partition', json_build_array(t.name, t.dedup_window_ms, p.partition, p.earliest,
      coalesce(b.first_offset + b.count, p.earliest), coalesce(r.duplicates, 0), b.append_time)::text
    from "semel".topic t
    join "semel".partition p on p.topic_id = t.id
    left join "semel".refused r on r.partition_id = p.id
    left join lateral (
      select o.first_offset, o.count, o.append_time from "semel".batch o
        where o.partition_id = p.id order by o.first_offset desc limit 1
    ) b on true
  union all
  select 'task', json_build_array(t.grp, t.topic, t.partition, t.epoch,
      case when l.expires_at > "semel".now_ms() then l.owner end, g.position, w.append_time,
      (select count(*) from "semel".store n cross join lateral "semel".whole_state(n.id) s
        where n.task_id = t.id and n.name = p_dead))::text
    from "semel".task t
    left join "semel".lease l on l.task_id = t.id
    left join lateral (
      select o.position from "semel".progress o where o.task_id = t.id order by o.step desc limit 1
    ) g on true
    left join "semel".topic s on s.name = t.topic
    left join "semel".partition p on p.topic_id = s.id and p.partition = t.partition
    left join lateral (
      select case when o.first_offset + o.count > g.position then o.append_time end as append_time
        from "semel".batch o where o.partition_id = p.id and o.first_offset <= greatest(g.position, p.earliest)
        order by o.first_offset desc limit 1
    ) w on true
  union all
  select 'member', json_build_array(m.grp, m.member, m.report, greatest(0, "semel".now_ms() - m.seen_at))::text
    from "semel".member m
$function$;

CREATE OR REPLACE FUNCTION semel.stores(p_grp text, p_topic text, p_partition integer)
 RETURNS SETOF text
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select s.name from "semel".task t join "semel".store s on s.task_id = t.id
    where t.grp = p_grp and t.topic = p_topic and t.partition = p_partition order by s.name
$function$;

CREATE OR REPLACE FUNCTION semel.task_id(p_grp text, p_topic text, p_partition integer)
 RETURNS integer
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select t.id from "semel".task t where t.grp = p_grp and t.topic = p_topic and t.partition = p_partition
$function$;

CREATE OR REPLACE FUNCTION semel.topics(p_names text[])
 RETURNS TABLE(id integer, name text, dedup_window_ms bigint, partition_id integer, partition integer)
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  select t.id, t.name, t.dedup_window_ms, p.id, p.partition
    from "semel".topic t join "semel".partition p on p.topic_id = t.id
    where t.name = any (p_names) order by t.id, p.partition
$function$;

CREATE OR REPLACE FUNCTION semel.whole_state(p_store integer)
 RETURNS TABLE(key text, value text)
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  with logged as materialized (select l.key, l.value from "semel".logged_state(p_store) l)
  select l.key, l.value from logged l where l.value is not null
  union all
  select s.key, s.value from "semel".state s
    where s.store_id = p_store and not exists (select 1 from logged l where l.key = s.key)
$function$;

CREATE OR REPLACE FUNCTION semel.write(p_flush boolean, p_topics integer[], p_seqs bigint[], p_windows bigint[], p_planned_at bigint, p_partitions integer[], p_floors bigint[], p_duplicates integer[], p_row_places integer[], p_row_starts integer[], p_row_counts integer[], p_row_crcs bigint[], p_row_topics integer[], p_row_steps integer[], p_row_heads text[], p_row_bodies text[], p_tasks integer[], p_epochs bigint[], p_froms bigint[], p_tos bigint[], p_log_ids text[], p_stores integer[], p_keys text[], p_values text[], OUT written boolean, OUT now_ms bigint, OUT seqs bigint[], OUT windows bigint[], OUT ends bigint[], OUT times bigint[], OUT epochs bigint[], OUT positions bigint[])
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_bitmapscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  v_steps bigint[];
  v_count bigint;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'transactions are % by default, but a write needs read committed',
      current_setting('transaction_isolation') using errcode = 'SM001';
  end if;

  if p_flush then
    if current_setting('synchronous_commit') in ('off', 'local') then
      perform set_config('synchronous_commit', 'on', true);
    end if;
  else
    perform set_config('synchronous_commit', 'off', true);
  end if;

  if current_setting('lock_timeout') = '0' then
    perform set_config('lock_timeout', '10s', true);
  end if;

  if cardinality(p_topics) > 0 then
    perform 1 from "semel".topic t where t.id = any (p_topics) order by t.id for update;
  end if;
  if cardinality(p_partitions) > 0 then
    perform 1 from "semel".partition p
      where p.id = any (p_partitions) and p.topic_id <> all (p_topics) order by p.id for update;
  end if;
  if cardinality(p_tasks) > 0 then
    perform 1 from "semel".task t where t.id = any (p_tasks) order by t.id for update;
  end if;

  now_ms := "semel".now_ms();
  written := true;

  if cardinality(p_topics) > 0 then
    select array_agg(coalesce(b.seq, 0) order by t.id), array_agg(t.dedup_window_ms order by t.id)
      into seqs, windows
      from "semel".topic t
      left join lateral (
        select r.seq from "semel".batch r
          where r.topic_id = t.id and r.seq is not null order by r.seq desc limit 1
      ) b on true
      where t.id = any (p_topics);
    written := written and seqs = p_seqs and windows = p_windows
      and (p_planned_at is null or abs(now_ms - p_planned_at) < 1000);
  end if;

  if cardinality(p_partitions) > 0 then
    select array_agg(case when p.sealed then -1 else coalesce(b.first_offset + b.count, p.earliest) end order by p.id),
        array_agg(greatest(coalesce(b.append_time, 0), now_ms) order by p.id)
      into ends, times
      from "semel".partition p
      left join lateral (
        select r.first_offset, r.count, r.append_time from "semel".batch r
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
      from "semel".task t
      left join lateral (
        select r.position, r.step from "semel".progress r where r.task_id = t.id order by r.step desc limit 1
      ) g on true
      where t.id = any (p_tasks);
    written := written and epochs = p_epochs and positions = p_froms;
  end if;

  if not coalesce(written, false) then
    written := false;
    return;
  end if;

  if cardinality(p_row_places) > 0 then
    insert into "semel".batch (partition_id, first_offset, count, append_time, crc, topic_id, seq, head, body)
      select p_partitions[u.place], ends[u.place] + u.start, u.count, times[u.place], u.crc,
          p_topics[nullif(u.topic, 0)], seqs[nullif(u.topic, 0)] + u.step, u.head, u.body
        from unnest(p_row_places, p_row_starts, p_row_counts, p_row_crcs, p_row_topics, p_row_steps,
          p_row_heads, p_row_bodies) u (place, start, count, crc, topic, step, head, body);
  end if;

  if cardinality(p_duplicates) > 0 then
    perform "semel".add_refused(p_partitions, p_duplicates);
  end if;

  if cardinality(p_tasks) > 0 then
    insert into "semel".progress (task_id, step, position, log_id)
      select t.id, u.step + 1, u.goal, u.log_id
        from unnest(p_tasks, p_epochs, v_steps, p_tos, p_log_ids) u (id, epoch, step, goal, log_id)
        join "semel".task t on t.id = u.id and t.epoch = u.epoch
        where u.goal >= 0;
    get diagnostics v_count = row_count;
    if v_count <> (select count(*) from unnest(p_tos) u (goal) where u.goal >= 0) then
      raise exception 'a task has another epoch than a moment ago, under its lock';
    end if;
    delete from "semel".progress g using unnest(p_tasks, v_steps, p_tos) u (id, step, goal)
      where g.task_id = u.id and g.step = u.step and u.goal >= 0;
  end if;

  if cardinality(p_keys) > 0 then
    perform "semel".write_state(p_stores, p_keys, p_values, now_ms);
  end if;
end
$function$;

CREATE OR REPLACE FUNCTION semel.write_logged(p_flush boolean, p_topics integer[], p_seqs bigint[], p_windows bigint[], p_planned_at bigint, p_partitions integer[], p_floors bigint[], p_duplicates integer[], p_row_places integer[], p_row_starts integer[], p_row_counts integer[], p_row_crcs bigint[], p_row_topics integer[], p_row_steps integer[], p_row_heads text[], p_row_bodies text[], p_tasks integer[], p_epochs bigint[], p_froms bigint[], p_tos bigint[], p_log_ids text[], p_stores integer[], p_keys text[], p_values text[], p_new_stores integer[], p_new_lasts bigint[], p_new_seqs bigint[], p_new_firsts bigint[], p_new_starts integer[], p_new_ends integer[], p_new_keys text[], p_new_values text[], p_old_stores integer[], p_old_seqs bigint[], OUT written boolean, OUT now_ms bigint, OUT seqs bigint[], OUT windows bigint[], OUT ends bigint[], OUT times bigint[], OUT epochs bigint[], OUT positions bigint[])
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_bitmapscan TO 'off'
 SET jit TO 'off'
AS $function$
begin
  select w.* into written, now_ms, seqs, windows, ends, times, epochs, positions
    from "semel".write(p_flush, p_topics, p_seqs, p_windows, p_planned_at, p_partitions, p_floors, p_duplicates, p_row_places,
      p_row_starts, p_row_counts, p_row_crcs, p_row_topics, p_row_steps, p_row_heads, p_row_bodies, p_tasks, p_epochs, p_froms,
      p_tos, p_log_ids, array[]::integer[], array[]::text[], array[]::text[]) w;
  if not written then
    return;
  end if;
  if exists (
    select 1 from unnest(p_new_stores, p_new_lasts) u (store, last) where coalesce("semel".state_log_end(u.store), 0) <> u.last
  ) then
    raise exception 'the log of a store is not as its owner left it';
  end if;
  insert into "semel".state_log (store_id, seq, first_seq, keys, "values")
    select u.store, u.seq, u.first, p_new_keys[u.start:u.stop], p_new_values[u.start:u.stop]
      from unnest(p_new_stores, p_new_seqs, p_new_firsts, p_new_starts, p_new_ends) u (store, seq, first, start, stop);
  delete from "semel".state_log l using unnest(p_old_stores, p_old_seqs) u (store, seq)
    where l.store_id = u.store and l.seq = u.seq;
  if cardinality(p_keys) > 0 then
    perform "semel".put_state(p_stores, p_keys, p_values, now_ms);
  end if;
end
$function$;

CREATE OR REPLACE FUNCTION semel.write_state(p_stores integer[], p_keys text[], p_values text[], p_now_ms bigint)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if exists (select 1 from (select distinct u.store from unnest(p_stores) u (store)) s where "semel".state_log_end(s.store) > 0) then
    raise exception 'a store has a log that its owner does not know of'
      using hint = 'another version of the program has begun to work here: run the same version everywhere';
  end if;
  perform "semel".put_state(p_stores, p_keys, p_values, p_now_ms);
end
$function$;

CREATE CONSTRAINT TRIGGER outbox_number AFTER INSERT ON semel.outbox DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.is_first) EXECUTE FUNCTION semel.outbox_number();

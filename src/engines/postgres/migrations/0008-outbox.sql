-- The outbox: events that exist if and only if the transaction that published them committed.
--
-- ORDER. Events of one key get into the log in the order in which their transactions committed. A number drawn when a
-- row is inserted would not say that: transactions commit in another order than they insert. So the number is drawn at
-- the end, by a trigger that is deferred to the commit, under a lock that is held until the commit is visible. Whoever
-- sees a number of a key sees all smaller ones of that key; there are no gaps to guess about, and no snapshot of
-- another transaction, however old, is waited for.
--
-- The lock is one of 1,024 that all keys share, taken in rising order: no deadlock among publishers, and the server's
-- lock table cannot overflow however many keys a transaction publishes. Transactions that share one queue for the
-- length of a commit, not of a transaction.
--
-- SETTLED NUMBERS. Rows are deleted as they are moved, and while somebody holds an old snapshot open, deleted rows stay
-- in the index. So as not to pass over them at every step, the sequencer wants to know a number below which nothing can
-- come any more. Numbers are drawn in periods: whoever draws holds a shared lock of the current period until its commit.
-- When the lock of a period before can be had alone, all numbers drawn in it, and before, have been committed or never
-- will be. At most two periods have holders, since a new one begins only after that.

create table semel.outbox (
  xact xid8 not null,
  id bigint generated always as identity,
  -- The first row of its transaction draws the number at the commit.
  is_first boolean not null,
  topic text collate "C" not null,
  key text collate "C",
  event_id text collate "C" not null,
  type text not null,
  source text not null,
  -- Milliseconds since 1970.
  time_ms bigint not null,
  -- Optional attributes, a JSON object.
  attributes text,
  -- json: a value; raw: JSON text that readers get as it is; base64: bytes.
  encoding text collate "C" not null,
  data text not null,
  created_ms bigint not null,
  primary key (xact, id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

alter table semel.outbox alter column data set storage external;

-- One row for each transaction that committed and is not in the log yet.
create table semel.outbox_order (
  xact xid8 primary key,
  seq bigint not null unique
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

create sequence semel.outbox_seq owned by semel.outbox_order.seq;
create sequence semel.outbox_period owned by semel.outbox_order.seq;
-- A sequence whose first value was not taken yet says that it was.
select nextval('semel.outbox_seq'), nextval('semel.outbox_period');

-- Events that the log cannot take, with the reason. Kept until a person decides.
create table semel.outbox_refused (
  id bigint primary key,
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
  reason text not null
);

-- Name of the setting, local to a transaction, in which it keeps the queues of its keys so far: ',17,900,'. Absent or
-- empty: no event since the last number. A savepoint that is rolled back takes its queues along. A table would not do:
-- reading it would make transactions of the level serializable fail each other for nothing.
create function semel.outbox_setting() returns text
language sql immutable
return 'semel_outbox.q' || to_hex(hashtextextended('semel.outbox', 0));

create function semel.outbox_number() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_setting text := semel.outbox_setting();
  v_bucket integer;
  v_period bigint;
begin
  for v_bucket in
    select q::integer from string_to_table(current_setting(v_setting, true), ',') q where q <> '' order by 1
  loop
    perform pg_advisory_xact_lock(hashtext('semel.outbox'), v_bucket);
  end loop;
  loop
    select p.last_value into v_period from semel.outbox_period p;
    perform pg_advisory_xact_lock_shared(hashtext('semel.outbox'), -v_period::integer);
    exit when v_period = (select p.last_value from semel.outbox_period p);
  end loop;
  -- Another number replaces the first one where `set constraints all immediate` made this run before the last event.
  insert into semel.outbox_order as r (xact, seq) values (new.xact, nextval('semel.outbox_seq'))
    on conflict (xact) do update set seq = excluded.seq;
  perform set_config(v_setting, '', true);
  return null;
end
$$;

create constraint trigger outbox_number after insert on semel.outbox
  deferrable initially deferred
  for each row when (new.is_first) execute function semel.outbox_number();

-- Also for a session that loads data with triggers switched off (session_replication_role).
alter table semel.outbox enable always trigger outbox_number;

-- Checks what the log will demand, as far as SQL can, so that the mistake is the publisher's error and not a refused
-- event that nobody waits for.
create function semel.outbox_put(
  p_topic text, p_key text, p_id text, p_type text, p_source text, p_time_ms bigint, p_attributes text,
  p_encoding text, p_data text
) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_setting text := semel.outbox_setting();
  v_queues text := coalesce(current_setting(v_setting, true), '');
  v_queue text := '';
begin
  if p_topic is null or not exists (select 1 from semel.topic t where t.name = p_topic) then
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
  insert into semel.outbox
    (xact, is_first, topic, key, event_id, type, source, time_ms, attributes, encoding, data, created_ms)
    values (pg_current_xact_id(), v_queues = '', p_topic, p_key, coalesce(p_id, gen_random_uuid()::text), coalesce(p_type, p_topic),
      coalesce(p_source, '/semel'), coalesce(p_time_ms, semel.now_ms()), p_attributes, p_encoding, p_data,
      semel.now_ms())
    returning event_id into p_id;
  return p_id;
end
$$;

-- Publishes an event within the current transaction. Answers its id.
--   select semel.publish('orders', 'customer-7', 'order.placed', '{"amount": 12}');
create function semel.publish(
  topic text, key text, type text, data json,
  id text default null, source text default null, "time" timestamptz default null, attributes json default null
) returns text
language sql volatile security definer
set search_path = pg_catalog, pg_temp
return semel.outbox_put(topic, key, id, type, source, floor(extract(epoch from "time") * 1000)::bigint,
  attributes::text, 'json', data::text);

-- The same for an event as one JSON text, which every driver can send: what the adapters of semel/outbox use.
create function semel.publish_event(event text) returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v json := event::json;
begin
  return semel.outbox_put(v ->> 'topic', v ->> 'key', v ->> 'id', v ->> 'type', v ->> 'source',
    (v ->> 'time')::bigint, v ->> 'attributes', v ->> 'encoding', v ->> 'data');
end
$$;

-- Who may publish is said by name: grant execute on function …publish to a_role.
revoke execute on function semel.publish(text, text, text, json, text, text, timestamptz, json) from public;
revoke execute on function semel.publish_event(text) from public;

-- Begins another period, if nobody draws numbers in the one before the current any more; else null. Answers a number
-- which is settled when this has worked once more. It is good for this server only, as `server` tells: one that was
-- promoted may draw numbers again that another had drawn.
create function semel.outbox_settle(out seq bigint, out server text)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_period bigint;
begin
  select p.last_value into v_period from semel.outbox_period p;
  if not pg_try_advisory_xact_lock(hashtext('semel.outbox'), (1 - v_period)::integer)
    or v_period <> (select p.last_value from semel.outbox_period p) then
    return;
  end if;
  select o.last_value, pg_postmaster_start_time()::text into seq, server from semel.outbox_seq o;
  perform nextval('semel.outbox_period');
end
$$;

-- Takes events out of the outbox, in their order; at most so many, and of so much data. Called in the transaction that
-- appends them to the log, so an event is in the log if and only if it left the outbox. Below p_settled, a number of
-- p_server, nothing is looked for.
create function semel.outbox_take(p_events integer, p_bytes bigint, p_settled bigint, p_server text)
returns table (
  seq bigint, id bigint, topic text, partitions bigint, key text, event_id text, type text, source text,
  time_ms bigint, attributes text, encoding text, data text, created_ms bigint
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_after bigint := case when p_server = pg_postmaster_start_time()::text then p_settled else 0 end;
  v_orders xid8[];
  v_seqs bigint[];
  v_taken semel.outbox[];
begin
  select array_agg(r.xact order by r.seq), array_agg(r.seq order by r.seq) into v_orders, v_seqs
    from (select o.xact, o.seq from semel.outbox_order o where o.seq > v_after order by o.seq limit p_events) r;
  if v_orders is null then
    return;
  end if;
  select array_agg(s.o order by s.n_events) into v_taken
    from (
      select o, row_number() over w as n_events, sum(octet_length(o.data)) over w as n_bytes
        from unnest(v_orders) with ordinality u (xact, n)
        cross join lateral (select * from semel.outbox r where r.xact = u.xact order by r.id limit p_events) o
        window w as (order by u.n, o.id)
        order by u.n, o.id limit p_events
    ) s
    where s.n_events = 1 or s.n_bytes <= p_bytes;
  delete from semel.outbox o using unnest(v_taken) t where o.xact = t.xact and o.id = t.id;
  delete from semel.outbox_order r
    where r.xact = any (v_orders) and not exists (select 1 from semel.outbox o where o.xact = r.xact);
  return query
    select u.seq, t.id, t.topic, c.partitions, t.key, t.event_id, t.type, t.source, t.time_ms, t.attributes,
        t.encoding, t.data, t.created_ms
      from unnest(v_taken) with ordinality t (xact, id, is_first, topic, key, event_id, type, source, time_ms,
        attributes, encoding, data, created_ms, n)
      join unnest(v_orders, v_seqs) u (xact, seq) on u.xact = t.xact
      join (
        select r.name, count(*) as partitions
          from semel.topic r join semel.partition p on p.topic_id = r.id group by r.name
      ) c on c.name = t.topic
      order by t.n;
end
$$;

-- Keeps an event that was just taken, but that the log cannot have. p_row: its columns by the names of publish_event.
create function semel.outbox_set_aside(p_row text, p_reason text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v json := p_row::json;
begin
  insert into semel.outbox_refused
    (id, topic, key, event_id, type, source, time_ms, attributes, encoding, data, created_ms, refused_ms, reason)
    values ((v ->> 'place')::bigint, v ->> 'topic', v ->> 'key', v ->> 'id', v ->> 'type', v ->> 'source',
      (v ->> 'time')::bigint, v ->> 'attributes', v ->> 'encoding', v ->> 'data', (v ->> 'createdMs')::bigint,
      semel.now_ms(), p_reason);
end
$$;

-- Puts an event that was set aside back into the outbox, behind all others. False: there is none of this number.
create function semel.outbox_retry(p_id bigint) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v semel.outbox_refused;
begin
  delete from semel.outbox_refused r where r.id = p_id returning * into v;
  if not found then
    return false;
  end if;
  perform semel.outbox_put(v.topic, v.key, v.event_id, v.type, v.source, v.time_ms, v.attributes, v.encoding, v.data);
  return true;
end
$$;

-- For the status. Counting stops at 100,000. p_store, p_key: where the sequencer keeps what ails it.
create function semel.outbox_status(p_grp text, p_store text, p_key text)
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
      join semel.state s on s.store_id = n.id and s.key = p_key
      where t.grp = p_grp limit 1)
$$;

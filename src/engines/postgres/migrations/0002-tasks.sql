-- Consumer groups: who owns a task, how far it is, what it remembers.

create table semel.task (
  id integer generated always as identity primary key,
  grp text collate "C" not null,
  topic text collate "C" not null,
  partition integer not null,
  -- Grows at each change of owner, and at nothing else. A unit commits under the lock of this row (Z1).
  epoch bigint not null default 0,
  unique (grp, topic, partition)
);

-- Apart from the task, so that a heartbeat never waits for a commit.
create table semel.lease (
  task_id integer primary key references semel.task (id),
  owner text,
  expires_at bigint not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

create table semel.member (
  grp text collate "C" not null,
  member text collate "C" not null,
  seen_at bigint not null,
  lease_ms bigint not null,
  report text not null,
  primary key (grp, member)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- The newest row is the position. A step is inserted and the one before it deleted, never updated: the newest entry
-- of the index is found at once, however many dead ones a held snapshot keeps beside it.
create table semel.progress (
  task_id integer not null,
  step bigint not null,
  position bigint not null,
  log_id text not null,
  primary key (task_id, step)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

create table semel.store (
  id integer generated always as identity primary key,
  task_id integer not null references semel.task (id),
  name text collate "C" not null,
  unique (task_id, name)
);

-- One row for each key. There is room in every page: an update stays in its page and touches no index (HOT). Under a
-- held snapshot pages fill up, and each update that leaves its page adds an entry of equal rank to the index, until every
-- look at the key passes thousands of dead ones. So a row that has left the page its step began in is replaced by one of
-- the next step, which stands before all that is dead.
create table semel.state (
  store_id integer not null,
  key text collate "C" not null,
  step bigint not null,
  -- Where its first update found it.
  page integer,
  value text not null,
  primary key (store_id, key, step)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000);

alter table semel.state alter column value set storage external;

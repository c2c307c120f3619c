import type {
  EngineStatus,
  MemberStatus,
  OutboxStatus,
  PartitionStatus,
  TaskStatus,
} from '../../engine/status.ts'
import { outboxTask, storeNames } from '../../engine/store-names.ts'
import type { Session } from './session.ts'
import { quoteIdentifier } from './sql-text.ts'
import { TopicSeals } from './topic-seals.ts'

/** What is stored, as one snapshot. */
export async function postgresStatus(session: Session, schema: string): Promise<EngineStatus> {
  const rows = await session.rows(`select * from ${quoteIdentifier(schema)}.status($1)`, [
    storeNames.deadLetters,
  ])
  const topics = new Map<string, { dedupWindowMs: number; partitions: [number, PartitionStatus][] }>()
  const moved = await new TopicSeals(schema).moved(session)
  const groups: TaskStatus[] = []
  const members: MemberStatus[] = []
  for (const [kind, content] of rows) {
    const cells: readonly unknown[] = JSON.parse(content!)
    if (kind === 'partition') addPartition(topics, cells)
    else if (kind === 'task') groups.push(taskOf(cells))
    else members.push(memberOf(cells))
  }
  return {
    topics: [...topics].sort(byName).map(([topic, { dedupWindowMs, partitions }]) => ({
      topic,
      dedupWindowMs,
      movedTo: moved.get(topic),
      partitions: partitions.sort(([a], [b]) => a - b).map(([, status]) => status),
    })),
    groups: groups.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1)),
    members: members.sort((a, b) => (a.group + a.member < b.group + b.member ? -1 : 1)),
    storage: {},
    outbox: await outboxStatus(session, schema),
  }
}

async function outboxStatus(session: Session, schema: string): Promise<OutboxStatus> {
  const text = `select * from ${quoteIdentifier(schema)}.outbox_status($1, $2, $3)`
  const [row] = await session.rows(text, [outboxTask.group, storeNames.outbox, outboxTask.problemKey])
  const [waiting, oldestMs, refused, refusal, problem] = row!
  return {
    waitingEvents: Number(waiting),
    oldestMs: Number(oldestMs),
    refusedEvents: Number(refused),
    refusal: refusal ?? undefined,
    problem: problem == null ? undefined : JSON.parse(problem),
  }
}

function addPartition(
  topics: Map<string, { dedupWindowMs: number; partitions: [number, PartitionStatus][] }>,
  [topic, windowMs, partition, earliest, end, duplicates, time]: readonly unknown[],
): void {
  const entry = topics.get(String(topic)) ?? { dedupWindowMs: Number(windowMs), partitions: [] }
  topics.set(String(topic), entry)
  const status = {
    earliest: Number(earliest),
    end: Number(end),
    duplicates: Number(duplicates),
    lastAppendTime: optionalNumber(time),
  }
  entry.partitions.push([Number(partition), status])
}

function taskOf([
  group,
  topic,
  partition,
  epoch,
  owner,
  position,
  time,
  dead,
]: readonly unknown[]): TaskStatus {
  return {
    group: String(group),
    topic: String(topic),
    partition: Number(partition),
    position: optionalNumber(position),
    waitingSince: optionalNumber(time),
    epoch: Number(epoch),
    owner: owner === null ? undefined : String(owner),
    deadLetters: Number(dead),
  }
}

function memberOf([group, member, report, silentMs]: readonly unknown[]): MemberStatus {
  return {
    group: String(group),
    member: String(member),
    report: JSON.parse(String(report)),
    silentMs: Number(silentMs),
  }
}

function optionalNumber(value: unknown): number | undefined {
  return value === null ? undefined : Number(value)
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1
}

function nameOf({ group, topic, partition }: TaskStatus): string {
  return `${group}\u0000${topic}\u0000${String(partition).padStart(10, '0')}`
}

const serverFigures = `select
  (select pg_catalog.count(*) from pg_catalog.pg_stat_replication),
  (select pg_catalog.max(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), replay_lsn)) from pg_catalog.pg_stat_replication),
  (select pg_catalog.max(extract(epoch from replay_lag)) from pg_catalog.pg_stat_replication),
  (select pg_catalog.max(extract(epoch from pg_catalog.clock_timestamp() operator(pg_catalog.-) xact_start))
    from pg_catalog.pg_stat_activity where backend_xmin is not null),
  (select pg_catalog.count(*) from pg_catalog.pg_prepared_xacts),
  pg_catalog.pg_total_relation_size($1::pg_catalog.regclass),
  pg_catalog.pg_total_relation_size($2::pg_catalog.regclass)`

/** Figures of the server: replication, who keeps dead rows alive, table sizes. A role may not see all of them. */
export async function serverStorage(
  session: Session,
  schema: string,
): Promise<Readonly<Record<string, number>>> {
  const name = quoteIdentifier(schema)
  const [row] = await session.rows(serverFigures, [`${name}.batch`, `${name}.state`])
  const [standbys, lagBytes, lagSeconds, oldestSeconds, prepared, logBytes, stateBytes] = row!.map(Number)
  return {
    standbys: standbys!,
    ...(standbys! > 0
      ? { replicationLagBytes: lagBytes!, replicationLagMs: Math.round(lagSeconds! * 1000) }
      : undefined),
    oldestTransactionMs: Math.round(oldestSeconds! * 1000),
    preparedTransactions: prepared!,
    logBytes: logBytes!,
    stateBytes: stateBytes!,
  }
}

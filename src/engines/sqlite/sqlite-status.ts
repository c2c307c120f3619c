import type { DatabaseSync } from 'node:sqlite'
import type { EngineStatus, MemberStatus, TaskStatus, TopicStatus } from '../../engine/status.ts'
import { storeNames } from '../../engine/store-names.ts'
import { fileBytes } from '../../platform/files.ts'
import type { LogReader } from './log-reader.ts'
import { movedTopics } from './topic-seals.ts'

/** Reads what the file knows about itself. */
export function sqliteStatus(
  database: DatabaseSync,
  reader: LogReader,
  file: string,
  now: number,
): EngineStatus {
  return {
    topics: topicStatus(database),
    groups: taskStatus(database, reader, now),
    members: memberStatus(database, now),
    storage: { file, fileBytes: fileBytes(file), walBytes: fileBytes(`${file}-wal`) },
  }
}

function topicStatus(database: DatabaseSync): TopicStatus[] {
  const rows = database
    .prepare(
      `select t.name, t.dedup_window_ms, p.earliest, p.next_offset, p.duplicates, p.append_time
       from semel_topic t join semel_partition p on p.topic_id = t.id order by t.name, p.partition`,
    )
    .all()
  const topics = new Map<string, { dedupWindowMs: number; partitions: TopicStatus['partitions'][number][] }>()
  for (const row of rows) {
    const name = String(row.name)
    const topic = topics.get(name) ?? { dedupWindowMs: Number(row.dedup_window_ms), partitions: [] }
    topics.set(name, topic)
    topic.partitions.push({
      earliest: Number(row.earliest),
      end: Number(row.next_offset),
      duplicates: Number(row.duplicates),
      lastAppendTime: Number(row.append_time) || undefined,
    })
  }
  const moved = movedTopics(database)
  return [...topics].map(([topic, rest]) => ({ topic, ...rest, movedTo: moved.get(topic) }))
}

function taskStatus(database: DatabaseSync, reader: LogReader, now: number): TaskStatus[] {
  const rows = database
    .prepare(
      `select grp, topic, partition, epoch, owner, expires_at, position,
         (select count(*) from semel_state s join semel_store n on n.id = s.store_id
          where n.task_id = k.id and n.name = ?) as dead
       from semel_task k order by grp, topic, partition`,
    )
    .all(storeNames.deadLetters)
  return rows.map((row) => {
    const topic = String(row.topic)
    const partition = Number(row.partition)
    const position = row.position === null ? undefined : Number(row.position)
    return {
      group: String(row.grp),
      topic,
      partition,
      position,
      waitingSince: waitingSince(database, reader, { topic, partition, position }),
      epoch: Number(row.epoch),
      owner: row.owner === null || Number(row.expires_at) <= now ? undefined : String(row.owner),
      deadLetters: Number(row.dead),
    }
  })
}

function waitingSince(
  database: DatabaseSync,
  reader: LogReader,
  { topic, partition, position }: { topic: string; partition: number; position: number | undefined },
): number | undefined {
  if (position === undefined) return undefined
  const known = database
    .prepare(
      'select 1 from semel_partition p join semel_topic t on t.id = p.topic_id where t.name = ? and p.partition = ?',
    )
    .get(topic, partition)
  // The task may belong to a topic of another engine, whose log this file does not hold.
  if (known === undefined) return undefined
  const row = reader.partition(topic, partition)
  if (position >= row.end) return undefined
  return reader.appendTimeAt(row, Math.max(position, row.earliest))
}

function memberStatus(database: DatabaseSync, now: number): MemberStatus[] {
  const rows = database
    .prepare('select grp, member, seen_at, report from semel_member order by grp, member')
    .all()
  return rows.map((row) => ({
    group: String(row.grp),
    member: String(row.member),
    report: JSON.parse(String(row.report)),
    silentMs: Math.max(0, now - Number(row.seen_at)),
  }))
}

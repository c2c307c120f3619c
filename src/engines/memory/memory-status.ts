import type { LeaseRow } from '../../engine/lease-table.ts'
import type { EngineStatus, TaskStatus, TopicStatus } from '../../engine/status.ts'
import { storeNames } from '../../engine/store-names.ts'
import { endOf, type MemoryLog, type MemoryTopic, taskName } from './memory-log.ts'

/** One snapshot: nothing else runs while it is taken. */
export function memoryStatus(log: MemoryLog): EngineStatus {
  const leases = new Map(log.leases.rows().map((row) => [taskName(row.task), row]))
  const tasks = new Map(log.tasks.map(({ task }) => [taskName(task), task]))
  for (const [name, { task }] of leases) tasks.set(name, task)
  return {
    topics: [...log.topics].map(([name, topic]) => ({
      ...topicStatus(name, topic),
      movedTo: log.movedTo(name),
    })),
    groups: [...tasks].map(([name, task]) => {
      return taskStatus(log, leases.get(name) ?? { task, epoch: 0, owner: undefined })
    }),
    members: log.leases.members(),
    storage: {},
  }
}

function topicStatus(topic: string, { dedupWindowMs, partitions }: MemoryTopic): TopicStatus {
  return {
    topic,
    dedupWindowMs,
    partitions: partitions.map((partition) => ({
      earliest: partition.earliest,
      end: endOf(partition),
      duplicates: partition.duplicates,
      lastAppendTime: partition.lastAppendTime,
    })),
  }
}

function taskStatus(log: MemoryLog, { task, epoch, owner }: LeaseRow): TaskStatus {
  const stored = log.task(task)
  const position = stored?.position
  const source = log.topics.get(task.topic)?.partitions[task.partition]
  return {
    ...task,
    position,
    waitingSince: position === undefined ? undefined : source?.events[position - source.earliest]?.appendTime,
    epoch,
    owner,
    deadLetters: stored?.stores.get(storeNames.deadLetters)?.size ?? 0,
  }
}

import type { AppendBatch, Engine, TaskId } from '../../engine/engine.ts'
import { storeNames } from '../../engine/store-names.ts'
import type { EventRecord } from '../../event/event.ts'
import { limits } from '../../limits.ts'
import { isRedriveCommand, redriveTopicName } from '../redrive-command.ts'
import type { OffsetMap } from './offset-map.ts'

/**
 * Redrive commands of a task that it has not come to, as events for the target's own redrive topic. One that is there
 * twice, after a move that was tried twice, finds its dead letter handled and does nothing.
 */
export async function openRedrives(
  source: Engine,
  task: TaskId,
  map: OffsetMap,
): Promise<readonly AppendBatch[]> {
  const topic = redriveTopicName(task.group)
  const { topics } = await source.status()
  if (!topics.some((known) => known.topic === topic)) return []
  const [next] = await source.readState(task, storeNames.redrive, [''])
  const [bounds] = await source.bounds(topic)
  const records: EventRecord[] = []
  for (let offset = Number(next ?? 0); offset < bounds!.end; ) {
    const { readEventsMax: maxEvents, readBytesMax: maxBytes } = limits
    const read = await source.read({ topic, partition: 0, offset, maxEvents, maxBytes })
    for (const event of read.events) {
      const { data } = event
      if (!isRedriveCommand(data) || data.topic !== task.topic || data.partition !== task.partition) continue
      const moved = map.exactly(data.offset)
      if (moved !== undefined) records.push({ ...event, data: { ...data, offset: moved } })
    }
    offset = read.next
  }
  if (records.length === 0) return []
  return [{ topic, partition: 0, records, callOf: undefined, fresh: false }]
}

import type { Engine } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import type { StoredEvent } from '../../event/event.ts'
import { canonicalJson, fingerprint } from '../../event/fingerprint.ts'
import { limits } from '../../limits.ts'
import type { CopyPlan } from './copy-plan.ts'

/** What was compared in one partition. */
export interface VerifiedPartition {
  readonly partition: number
  /** Events of the source, all of which are in the target, in their order. */
  readonly events: number
  /** Events that only the target has. */
  readonly others: number
  /** Whether each event has the same offset here and there. */
  readonly sameOffsets: boolean
}

/**
 * Reads both topics from their beginnings and compares: every event of the source is in the same partition of the
 * target, with its id and content, in the source's order.
 *
 * @throws SemelError COPY_DIFFERS at the first event that is not.
 */
export async function verifyCopy(
  plan: CopyPlan,
  signal: AbortSignal | undefined,
): Promise<readonly VerifiedPartition[]> {
  const verified: VerifiedPartition[] = []
  for (const partition of plan.partitions.keys())
    verified.push(await verifyPartition(plan, partition, signal))
  return verified
}

async function verifyPartition(
  { source, target, topic, partitions }: CopyPlan,
  partition: number,
  signal: AbortSignal | undefined,
): Promise<VerifiedPartition> {
  const ends = { source: partitions[partition]!.end, target: (await target.bounds(topic))[partition]!.end }
  const copies = eventsOf(target, topic, partition, ends.target, signal)
  let [events, others] = [0, 0]
  let sameOffsets = true
  for await (const event of eventsOf(source, topic, partition, ends.source, signal)) {
    for (;;) {
      const { value: copy, done } = await copies.next()
      if (done === true) throw missing(topic, partition, event)
      if (isCopy(event, copy)) {
        events++
        sameOffsets &&= copy.offset === event.offset
        break
      }
      others++
    }
  }
  for await (const _ of copies) others++
  return { partition, events, others, sameOffsets }
}

async function* eventsOf(
  engine: Engine,
  topic: string,
  partition: number,
  end: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<StoredEvent, undefined> {
  const bounds = await engine.bounds(topic)
  let offset = bounds[partition]!.earliest
  while (offset < end) {
    signal?.throwIfAborted()
    const maxEvents = Math.min(limits.readEventsMax, end - offset)
    const request = { topic, partition, offset, maxEvents, maxBytes: limits.readBytesMax }
    const { events, next } = await engine.read(request)
    yield* events
    offset = next
  }
  return undefined
}

function isCopy(event: StoredEvent, copy: StoredEvent): boolean {
  return (
    event.id === copy.id &&
    event.time === copy.time &&
    canonicalJson(event.attributes ?? {}) === canonicalJson(copy.attributes ?? {}) &&
    fingerprint(event) === fingerprint(copy)
  )
}

function missing(topic: string, partition: number, { id, offset }: StoredEvent): SemelError {
  return new SemelError(
    'COPY_DIFFERS',
    `event ${JSON.stringify(id)}, offset ${offset} of ${topic}/${partition}, is not in the target where it belongs`,
    {
      actual: offset,
      hint: 'a target that knew an id already keeps its own event: copy to an empty one, without deduplication if ids of the source repeat',
    },
  )
}

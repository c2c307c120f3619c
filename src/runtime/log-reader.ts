import type { Engine } from '../engine/engine.ts'
import { SemelError } from '../errors.ts'
import type { StoredEvent } from '../event/event.ts'
import { limits } from '../limits.ts'
import type { Platform } from '../platform/platform.ts'
import { Wake } from './wake.ts'

/** An event with its full place, as readers without a group get it. */
export interface LogEvent<T = unknown> extends StoredEvent {
  readonly data: T
  readonly topic: string
  readonly partition: number
}

export interface LogRange {
  readonly topic: string
  readonly partition: number
  readonly from: number
  /** Go on with events that come later, until the signal aborts. */
  readonly follow: boolean
  /** Stop before this offset; `undefined`: the end at the time of the first read, or never when following. */
  readonly until: number | undefined
}

/**
 * Reads one partition in order, pulling as fast as the caller asks (R1). Ends quietly when `signal` aborts.
 *
 * @throws SemelError OFFSET_OUT_OF_RANGE below the earliest retained offset; no silent jump (R3).
 */
export async function* readPartition(
  engine: Engine,
  platform: Platform,
  range: LogRange,
  signal: AbortSignal,
): AsyncGenerator<LogEvent> {
  const { topic, partition, follow } = range
  const wake = new Wake(platform)
  const ring = (): void => wake.ring()
  let isTold = false
  const unlisten = follow
    ? engine.onAppend((places) => {
        const isHere = places?.some((place) => place.topic === topic && place.partition === partition)
        if (isHere !== false) wake.ring(isHere === true ? 'here' : 'anywhere')
      })
    : undefined
  signal.addEventListener('abort', ring, { once: true })
  let offset = range.from
  let { until } = range
  try {
    while (!signal.aborted && (until === undefined || offset < until)) {
      const request = {
        topic,
        partition,
        offset,
        maxEvents: limits.readEventsMax,
        maxBytes: limits.readBytesMax,
        isTold,
      }
      const result = await engine.read(request)
      if (!follow) until ??= result.end
      for (const event of result.events) {
        if (signal.aborted || (until !== undefined && event.offset >= until)) return
        yield { ...event, topic, partition }
      }
      if (result.next === offset) {
        if (!follow) return
        isTold = (await wake.wait(limits.pollMsMax)) === 'here'
      }
      offset = result.next
    }
  } finally {
    unlisten?.()
    signal.removeEventListener('abort', ring)
  }
}

/** Merges partitions: each in its own order, none waiting for another (O3). */
export async function* mergePartitions(
  sources: readonly AsyncGenerator<LogEvent>[],
): AsyncGenerator<LogEvent> {
  const pending = new Map(sources.map((source, i) => [i, nextOf(source, i)]))
  try {
    while (pending.size > 0) {
      const { index, result } = await Promise.race(pending.values())
      if (result.done === true) {
        pending.delete(index)
        continue
      }
      pending.set(index, nextOf(sources[index]!, index))
      yield result.value
    }
  } finally {
    // Nobody waits for these any more; one that fails now must not end the process.
    for (const next of pending.values()) next.catch(() => undefined)
    for (const source of sources) source.return(undefined).catch(() => undefined)
  }
}

async function nextOf(
  source: AsyncGenerator<LogEvent>,
  index: number,
): Promise<{ index: number; result: IteratorResult<LogEvent> }> {
  return { index, result: await source.next() }
}

/** A whole offset from 0, or INVALID_OFFSET. */
export function checkOffset(field: string, offset: number): number {
  if (Number.isSafeInteger(offset) && offset >= 0) return offset
  throw new SemelError('INVALID_OFFSET', `${field} must be a whole number from 0`, { field })
}

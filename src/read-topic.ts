import type { Engine } from './engine/engine.ts'
import { SemelError } from './errors.ts'
import { checkTime } from './event/make-record.ts'
import { checkOptionNames, requireOptions, wholeNumber } from './options.ts'
import type { Platform } from './platform/platform.ts'
import { checkOffset, type LogEvent, mergePartitions, readPartition } from './runtime/log-reader.ts'

export interface ReadOptions {
  /** Only this partition. Default: all, each in its own order. */
  readonly partition?: number | undefined
  /**
   * Where to begin: `earliest` (default), `latest`, `{ offset }` (needs `partition`), or `{ time }`: the first event
   * appended at or after it.
   */
  readonly from?:
    | 'earliest'
    | 'latest'
    | { readonly offset: number }
    | { readonly time: number | Date }
    | undefined
  /** Stop before this offset; needs `partition`. */
  readonly until?: number | undefined
  /** Go on with what comes later, until `signal` aborts or the loop is left. Default false. */
  readonly follow?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/** Reads a topic without a group. Checks happen at the first step of the iteration. */
export async function* readTopic(
  engine: Engine,
  platform: Platform,
  topic: { readonly name: string; readonly partitions: number },
  options: ReadOptions,
  closed: AbortSignal,
): AsyncGenerator<LogEvent> {
  requireOptions('read options', options)
  checkOptionNames('read', options, ['partition', 'from', 'until', 'follow', 'signal'])
  const signal = options.signal === undefined ? closed : AbortSignal.any([closed, options.signal])
  const one = options.partition !== undefined
  const first = wholeNumber('partition', options.partition, {
    min: 0,
    max: topic.partitions - 1,
    fallback: 0,
  })
  const count = one ? 1 : topic.partitions
  if (!one && (options.until !== undefined || isOffset(options.from))) {
    throw new SemelError('INVALID_OFFSET', 'an offset belongs to one partition: say which', {
      field: 'partition',
    })
  }
  const until = options.until === undefined ? undefined : checkOffset('until', options.until)
  const readers: AsyncGenerator<LogEvent>[] = []
  for (let partition = first; partition < first + count; partition++) {
    const from = await startOffset(engine, topic.name, partition, options.from)
    const range = { topic: topic.name, partition, from, follow: options.follow ?? false, until }
    readers.push(readPartition(engine, platform, range, signal))
  }
  yield* readers.length === 1 ? readers[0]! : mergePartitions(readers)
}

function isOffset(from: ReadOptions['from']): from is { readonly offset: number } {
  return typeof from === 'object' && from !== null && 'offset' in from
}

async function startOffset(
  engine: Engine,
  topic: string,
  partition: number,
  from: ReadOptions['from'],
): Promise<number> {
  if (isOffset(from)) return checkOffset('from.offset', from.offset)
  if (typeof from === 'object' && from !== null && 'time' in from)
    return await engine.offsetAt(topic, partition, checkTime('from.time', from.time))
  const bounds = (await engine.bounds(topic))[partition]!
  if (from === undefined || from === 'earliest') return bounds.earliest
  if (from === 'latest') return bounds.end
  throw new SemelError('INVALID_OPTION', 'from must be "earliest", "latest", { offset } or { time }', {
    field: 'from',
  })
}

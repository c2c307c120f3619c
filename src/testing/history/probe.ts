import { crc32 } from 'node:zlib'
import type { Bus, Receipt } from '../../bus.ts'
import type { Engine } from '../../engine/engine.ts'
import type { AnyTopic, OutgoingEvent, Topic } from '../../event/topic.ts'
import type { Handler } from '../../runtime/handler.ts'
import type { LogEvent } from '../../runtime/log-reader.ts'
import type { Placed, PolledRecord, Sent } from './record.ts'
import { isNotApplied, recordEngine, UnitRecording } from './record-engine.ts'
import type { HistoryClient, HistoryRecorder } from './recorder.ts'

const readsAtOnce = 500

/** What a probe publishes: with an id of the caller's own, unique in the run, and its key said aloud. */
export interface ProbeEvent {
  readonly topic: AnyTopic
  readonly data: unknown
  readonly id: string
  readonly key: string | null
  /** Amount it carries, for the ledger. */
  readonly n?: number | undefined
}

/**
 * Writes down what one process does with its bus, so that `checkHistory` can judge it: wrap the engine before
 * `openBus`, wrap the handlers, publish and read through here.
 */
export class HistoryProbe {
  readonly #publisher: HistoryClient
  readonly #consumer: HistoryClient
  readonly #reader: HistoryClient
  readonly #recording: UnitRecording

  constructor(recorder: HistoryRecorder) {
    this.#publisher = recorder.client('publisher')
    this.#consumer = recorder.client('consumer')
    this.#reader = recorder.client('reader')
    this.#recording = new UnitRecording(this.#consumer)
  }

  engine(engine: Engine): Engine {
    return recordEngine(engine, this.#recording)
  }

  handler<T>(group: string, handler: Handler<T>): Handler<T> {
    return async (event, tx) => {
      const { topic, partition: p, offset: off, id, key, attempt } = event
      const epoch = this.#recording.epochOf(group, topic, p)
      const call = { g: group, topic, p, off, id, key, attempt, epoch }
      const operation = this.#consumer.start('handle', call)
      try {
        await handler(event, tx)
      } catch (error) {
        operation.fail('HANDLER_FAILED')
        throw error
      }
      // What a handler does after its attempt was given up counts for nothing.
      if (event.signal.aborted) operation.info('ABANDONED')
      else operation.ok()
    }
  }

  async publish(bus: Bus, event: ProbeEvent): Promise<void> {
    const publish = async () => placedOf((await bus.publishMany([outgoingOf(event)]))[0]!)
    await this.#publisher.run('publish', sentOf(event), publish, isNotApplied)
  }

  async publishMany(bus: Bus, events: readonly ProbeEvent[]): Promise<void> {
    const micro = events.map((event) => ({ f: 'send', ...sentOf(event) }) as const)
    const publish = async () => ({ micro: (await bus.publishMany(events.map(outgoingOf))).map(placedOf) })
    await this.#publisher.run('publishMany', { micro }, publish, isNotApplied)
  }

  /**
   * Notes where each partition ends in the log that was just opened, and which log it is (D5, D6). What is acknowledged
   * while the question is under way need not be in the answer.
   */
  async opened(bus: Bus, topics: readonly AnyTopic[]): Promise<void> {
    for (const { name: topic, partitions } of topics) {
      const asked = Array.from({ length: partitions }, (_, p) => this.#reader.start('open', { topic, p }))
      const bounds = await bus.engine.bounds(topic)
      for (const [p, { end }] of bounds.entries()) asked[p]!.ok({ end, logId: bus.engine.logId })
    }
  }

  /** Reads all of a topic in a session of its own, as the final reads of a run do. Answers what it read. */
  async readAll<T>(bus: Bus, topic: Topic<T>): Promise<LogEvent<T>[]> {
    this.#reader.newSession()
    const found: LogEvent<T>[] = []
    let from = 0
    for await (const event of bus.read(topic)) {
      found.push(event)
      if (found.length - from === readsAtOnce) from = this.#polled(topic, found, from)
    }
    this.#polled(topic, found, from)
    return found
  }

  #polled({ name }: AnyTopic, events: readonly LogEvent[], from: number): number {
    const recs: Record<string, PolledRecord[]> = {}
    for (const { partition, offset, id, data, key } of events.slice(from)) {
      recs[partition] ??= []
      recs[partition].push([offset, id, id, crcOf(data), key])
    }
    this.#reader.start('poll', { topic: name }).ok({ recs })
    return events.length
  }
}

/** The amount that the ledger counts and the key are the caller's; the value is the id, which is unique in a run. */
function sentOf({ topic, data, id, key, n }: ProbeEvent): Sent {
  return { topic: topic.name, key, id, val: id, crc: crcOf(data), ...(n === undefined ? undefined : { n }) }
}

function outgoingOf({ topic, data, id, key }: ProbeEvent): OutgoingEvent {
  return { topic, data, attributes: key === null ? { id } : { id, key } }
}

function placedOf({ partition, offset, duplicate }: Receipt): Placed {
  return { p: partition, off: offset, ...(duplicate ? { dup: true } : undefined) }
}

function crcOf(data: unknown): number {
  return crc32(JSON.stringify(data) ?? '')
}

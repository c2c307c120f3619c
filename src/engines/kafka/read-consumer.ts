import type { Timer } from '../../platform/platform.ts'
import type { Clients } from './client.ts'
import { blockingCall, call } from './client.ts'
import type { Consumer, Message } from './client-types.ts'
import type { FetchedMemory } from './fetched-memory.ts'
import { kafkaLimits } from './kafka-limits.ts'
import { recordOf } from './log-record.ts'
import type { ReadCursor } from './read-cursor.ts'

const placeOf = (topic: string, partition: number) => `${topic}/${partition}`

/** How much is fetched for one call: what is fetched costs this process's thread time, whoever reads it or not. */
export interface ReadPlan {
  readonly recordsPerCall: number
  /** What a cursor holds at most, where we fetch ourselves. */
  readonly recordsHeld: number
  /** Of each partition, in the client's own memory. */
  readonly prefetchKib: number
  /** A broker answers with so much of a partition at a time, or with the one batch that is larger. */
  readonly fetchBytes: number
  /** A cursor that nobody asked for so long no longer fetches ahead. */
  readonly idleMs: number
}

/** What the leader said of a partition as it was asked: up to where it has records, and up to where they are committed. */
export interface PartitionEnds {
  readonly earliest: number
  readonly highest: number
  readonly stable: number
  /** What the answer came by. With another one, the leader may be another, or a new one that does not know its end yet. */
  readonly connection: object
}

/** Fetches for at most one cursor of each partition. */
export interface FetchingConsumer {
  /** Whether fetches answer where the partition ends. */
  readonly tellsEnds: boolean
  meet(topic: string): Promise<void>
  cursor(topic: string, partition: number): ReadCursor | undefined
  add(cursor: ReadCursor): void
  /** Resolves when there is news for the cursor, and after `waitMs` in any case. */
  fetch(cursor: ReadCursor, waitMs: number): Promise<PartitionEnds | undefined>
  close(): Promise<void>
}

/**
 * A consumer of the client's, without a group, that fetches for at most one cursor of each partition, and only while somebody waits.
 * Assignments change between two calls of `consume` alone, so no message of an earlier place can come into a cursor.
 */
export class ReadConsumer implements FetchingConsumer {
  readonly tellsEnds = false
  readonly #clients: Clients
  readonly #consumer: Consumer
  readonly #plan: ReadPlan
  readonly #memory: FetchedMemory
  readonly #cursors = new Map<string, ReadCursor>()
  readonly #topics = new Set<string>()
  readonly #ends: EndOfPartition[] = []
  #waiting = 0
  #running: Promise<void> | undefined
  #resting: Timer | undefined

  private constructor(clients: Clients, consumer: Consumer, plan: ReadPlan, memory: FetchedMemory) {
    this.#clients = clients
    this.#consumer = consumer
    this.#plan = plan
    this.#memory = memory
  }

  static async open(
    clients: Clients,
    group: string,
    plan: ReadPlan,
    memory: FetchedMemory,
  ): Promise<ReadConsumer> {
    const consumer = await clients.consumer({
      'group.id': group,
      'enable.partition.eof': true,
      'fetch.wait.max.ms': kafkaLimits.fetchWaitMs,
      'fetch.queue.backoff.ms': kafkaLimits.consumeMs,
      'fetch.error.backoff.ms': kafkaLimits.fetchWaitMs,
      'queued.max.messages.kbytes': plan.prefetchKib,
      'fetch.message.max.bytes': plan.fetchBytes,
      'fetch.max.bytes': kafkaLimits.answerBytes,
      'topic.metadata.refresh.fast.interval.ms': 50,
    })
    consumer.setDefaultConsumeTimeout(kafkaLimits.consumeMs)
    const reader = new ReadConsumer(clients, consumer, plan, memory)
    consumer.on('partition.eof', ({ topic, partition, offset }: EndOfPartition) => {
      reader.#ends.push({ topic, partition, offset })
    })
    return reader
  }

  /** Asks for the topic's leaders. Without it a first fetch waits for a timer of the client, up to a second. */
  async meet(topic: string): Promise<void> {
    if (this.#topics.has(topic)) return
    const options = { topic, timeout: this.#clients.operationMs }
    await blockingCall((done) => this.#consumer.getMetadata(options, done))
    this.#topics.add(topic)
  }

  cursor(topic: string, partition: number): ReadCursor | undefined {
    return this.#cursors.get(placeOf(topic, partition))
  }

  add(cursor: ReadCursor): void {
    this.#cursors.set(placeOf(cursor.topic, cursor.partition), cursor)
    this.#memory.add(cursor)
  }

  get cursors(): Iterable<ReadCursor> {
    return this.#cursors.values()
  }

  /** Resolves at the cursor's next news, or after `waitMs`. */
  async fetch(cursor: ReadCursor, waitMs: number): Promise<undefined> {
    this.#waiting += 1
    try {
      await new Promise<void>((resolve, reject) => {
        const timer = this.#clients.platform.timers.after(waitMs, resolve)
        const end = (): void => {
          timer.cancel()
          resolve()
        }
        cursor.whenNews(end)
        this.#running ??= this.#run().finally(() => {
          this.#running = undefined
        })
        this.#running.catch(reject)
      })
      return undefined
    } finally {
      cursor.whenNews(undefined)
      this.#waiting -= 1
    }
  }

  /** Attached cursors make brokers and client talk all the time: not when nobody has asked for a while. */
  #restLater(ms: number): void {
    this.#resting?.cancel()
    this.#resting = this.#clients.platform.timers.after(ms, () => {
      if (this.#running !== undefined) return
      this.#assign()
      for (const { isEmpty } of this.#cursors.values())
        if (!isEmpty) return this.#restLater(kafkaLimits.bufferIdleMs)
    })
  }

  async close(): Promise<void> {
    await this.#running?.catch(() => undefined)
    this.#resting?.cancel()
    await this.#clients.disconnect(this.#consumer)
  }

  async #run(): Promise<void> {
    // A turn first: whoever started this has not said yet what it waits for.
    await Promise.resolve()
    while (this.#waiting > 0) {
      this.#assign()
      this.#deliver(await this.#consume())
    }
    this.#restLater(kafkaLimits.cursorIdleMs * 2)
  }

  async #consume(): Promise<readonly Message[]> {
    try {
      return await call<Message[]>((done) => this.#consumer.consume(this.#plan.recordsPerCall, done))
    } catch {
      // An error of one partition, such as an offset that is gone. Its reader notices that nothing comes, and asks.
      return []
    }
  }

  #assign(): void {
    const now = this.#clients.platform.clock.monotonic()
    const isBufferFull = this.#memory.bounds()
    const stop: ReadCursor[] = []
    const start: ReadCursor[] = []
    for (const cursor of this.#cursors.values()) {
      const isFull = isBufferFull(cursor)
      const wanted = cursor.isBusy && !isFull
      const isIdle = !cursor.isBusy && cursor.usedAt <= now - this.#plan.idleMs
      if (isIdle && cursor.usedAt <= now - kafkaLimits.bufferIdleMs) cursor.drop()
      if (cursor.isAttached && (isFull || isIdle || cursor.wantsRestart)) stop.push(cursor)
      if (wanted && (!cursor.isAttached || cursor.wantsRestart)) start.push(cursor)
    }
    if (stop.length > 0)
      this.#consumer.incrementalUnassign(stop.map(({ topic, partition }) => ({ topic, partition })))
    for (const cursor of stop) {
      cursor.isAttached = false
      cursor.wantsRestart = false
    }
    if (start.length === 0) return
    this.#consumer.incrementalAssign(
      start.map(({ topic, partition, fetchedTo }) => ({ topic, partition, offset: fetchedTo })),
    )
    for (const cursor of start) {
      cursor.isAttached = true
      cursor.wantsRestart = false
    }
  }

  #deliver(messages: readonly Message[]): void {
    const now = this.#clients.platform.clock.monotonic()
    let cursor: ReadCursor | undefined
    for (const message of messages) {
      const { topic, partition } = message
      if (cursor?.partition !== partition || cursor.topic !== topic) cursor = this.cursor(topic, partition)
      if (!cursor?.isAttached || cursor.wantsRestart) continue
      if (message.offset >= cursor.fetchedTo) cursor.push(recordOf(message))
      cursor.fetchedAt = now
    }
    for (const { topic, partition, offset } of this.#ends.splice(0)) {
      const cursor = this.cursor(topic, partition)
      if (cursor?.isAttached && !cursor.wantsRestart) cursor.pass(offset)
    }
  }
}

interface EndOfPartition {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

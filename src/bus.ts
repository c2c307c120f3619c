import { type ConsumeOptions, resolveConsume } from './consume-options.ts'
import { DeadLetters } from './dead-letters.ts'
import type { Engine } from './engine/engine.ts'
import type { Durability } from './engine/facts.ts'
import { guardEngine } from './engine/guard.ts'
import { SemelError } from './errors.ts'
import { checkAgainstSchema } from './event/check-schema.ts'
import { type AnyTopic, type OutgoingEvent, type PublishAttributes, Topic } from './event/topic.ts'
import { UuidV7Generator } from './event/uuid-v7.ts'
import { type GuaranteeCard, guaranteeCard } from './features/guarantees/guarantee-card.ts'
import { limits } from './limits.ts'
import { type OpenBusOptions, type ResolvedBusOptions, resolveOpenBus } from './open-bus-options.ts'
import { checkOptionNames, invalidOption, oneOf, requireFunction, requireOptions } from './options.ts'
import { type ReadOptions, readTopic } from './read-topic.ts'
import { channels } from './runtime/channels.ts'
import { unknownTopic } from './runtime/event-transaction.ts'
import { type Consumer, GroupConsumer, resolveStop, type StopOptions } from './runtime/group-consumer.ts'
import { GroupCounters } from './runtime/group-counters.ts'
import type { Handler } from './runtime/handler.ts'
import { handlerScope } from './runtime/handler-scope.ts'
import type { LogEvent } from './runtime/log-reader.ts'
import {
  atIndex,
  CallPreparer,
  type CheckedEvent,
  type MutableBatch,
  type PreparedCall,
  snapshot,
} from './runtime/prepare-call.ts'
import { type CallOptions, type CallResult, Publisher } from './runtime/publisher.ts'
import { TaskMemory } from './runtime/task-memory.ts'
import { type BusStatus, StatusReader } from './status.ts'

export interface PublishOptions {
  /** When the publish is acknowledged (D1, D2, D3). Default: the bus's durability. */
  readonly durability?: Durability | undefined
  /** Gives up waiting. What was queued is not applied; what was under way is `unknown`. */
  readonly signal?: AbortSignal | undefined
}

/** Where one event went. */
export interface Receipt {
  readonly topic: string
  readonly partition: number
  /** Offset of the event; of the first one with this id if it is a duplicate (N1). */
  readonly offset: number
  readonly id: string
  readonly duplicate: boolean
}

/** A group whose effects are kept in another place than the log it reads; see `consume`. */
export interface ConsumeElsewhere extends ConsumeOptions {
  /**
   * An open bus whose engine keeps this group's leases, position, state, dead letters, SQL and emitted events.
   * Default: the bus itself.
   */
  readonly sink?: Bus | undefined
}

/** Where a group keeps its dead letters. */
export interface DeadLettersOptions {
  /** The `sink` that the group consumes with. Default: the bus itself. */
  readonly sink?: Bus | undefined
}

/**
 * The open bus: publish, consume, read, look. Made by `openBus`; closed by `stop` or `await using`.
 */
export class Bus implements AsyncDisposable {
  readonly #engine: Engine
  readonly #options: ResolvedBusOptions
  readonly #topics: ReadonlyMap<string, AnyTopic>
  readonly #publisher: Publisher
  readonly #publishDefaults: CallOptions
  readonly #preparer: CallPreparer
  readonly #ids: UuidV7Generator
  readonly #status: StatusReader
  readonly #consumers = new Set<GroupConsumer>()
  readonly #memory = new TaskMemory()
  readonly #readers = new AbortController()
  #stopped: Promise<void> | undefined
  /** Calls whose schemas answer later, and what was called behind them (P2). */
  #checking: Promise<unknown> | undefined

  /** Use `openBus`. */
  constructor(engine: Engine, options: ResolvedBusOptions) {
    const { platform } = options
    this.#engine = engine
    this.#options = options
    this.#topics = options.topics
    this.#ids = new UuidV7Generator(platform.random)
    this.#preparer = new CallPreparer(this.#ids, () => platform.clock.now())
    this.#publisher = new Publisher(engine, platform, options.publish)
    this.#publishDefaults = { durability: options.durability, signal: undefined }
    this.#status = new StatusReader(engine, platform)
  }

  /**
   * Publishes one event and waits until it is safe.
   *
   * @throws SemelError with an `outcome`; after `unknown`, publish again with the same id (U2).
   */
  async publish<T>(
    topic: Topic<T>,
    data: T,
    attributes?: PublishAttributes,
    options?: PublishOptions,
  ): Promise<Receipt> {
    const settings = this.#resolvePublish(options)
    const prepared = this.#prepare([{ topic, data, attributes }])
    const call = prepared instanceof Promise ? await prepared : prepared
    const startedMs = this.#startedMs()
    const result = await this.#publisher.publish(call, settings)
    this.#tellPublished(call, result, startedMs)
    return receiptOf(call.batches[0]!, 0, result, 0)
  }

  /**
   * Publishes events all or nothing, also across partitions and topics (P3). Answers in the order given.
   * An empty list is fine and does nothing.
   */
  async publishMany(events: readonly OutgoingEvent[], options?: PublishOptions): Promise<Receipt[]> {
    const settings = this.#resolvePublish(options)
    if (!Array.isArray(events)) throw invalidOption('events', 'an array of events', events)
    if (events.length === 0) return []
    if (events.length > limits.publishManyEventsMax) throw tooMany(events.length)
    const prepared = this.#prepare(events)
    const call = prepared instanceof Promise ? await prepared : prepared
    const startedMs = this.#startedMs()
    const result = await this.#publisher.publish(call, settings)
    this.#tellPublished(call, result, startedMs)
    return receiptsOf(call, result)
  }

  /**
   * Joins a consumer group and handles its events until `stop`. Returns at once; `ready()` tells when it joined.
   * With `sink`, events are read here and everything the handler does through `tx` is committed there, together with
   * the position, exactly once (X2). Emits then go to topics of the sink.
   */
  consume<T>(
    topics: Topic<T> | readonly Topic<T>[],
    options: ConsumeElsewhere,
    handler: Handler<T>,
  ): Consumer {
    this.#requireOpen('consume')
    const { sink, ...given } = requireOptions('consume options', options) as ConsumeElsewhere
    const settings = resolveConsume(given)
    requireFunction('handler', handler)
    const list = topics instanceof Topic ? [topics] : topics
    if (!Array.isArray(list) || list.length === 0)
      throw invalidOption('topics', 'a topic or a list of topics', topics)
    for (const each of list) {
      if (!(each instanceof Topic)) throw invalidOption('topics', 'made by topic()', each)
      this.#requireTopic(each.name)
    }
    const names = list.map(({ name }) => name)
    this.#requireNewMember(settings.group, names)
    const target = this.#sinkOf(sink, 'consume')
    const context = {
      settings,
      handler,
      source: this.#engine,
      sink: target.#engine,
      platform: this.#options.platform,
      counters: new GroupCounters(),
      memory: this.#memory,
      topics: this.#topics,
      emittable: target.#topics,
      ids: this.#ids,
      reached: new Map<string, number>(),
      storeNames: new Set<string>(),
    }
    // Whichever bus stops first takes the consumer along: it cannot do without either.
    const buses = [this, target]
    const consumer = new GroupConsumer(context, names, () => {
      for (const bus of buses) bus.#consumers.delete(consumer)
    })
    for (const bus of buses) bus.#consumers.add(consumer)
    consumer.start()
    stopOnAbort(consumer, given.signal)
    return consumer
  }

  /** Reads events without a group: from an offset, a time, an end; live if asked (R1, R2, R3). */
  read<T>(topic: Topic<T>, options?: ReadOptions): AsyncGenerator<LogEvent<T>> {
    this.#requireOpen('read')
    if (!(topic instanceof Topic)) throw invalidOption('topic', 'a topic', topic)
    this.#requireTopic(topic.name)
    const reading = readTopic(
      this.#engine,
      this.#options.platform,
      topic,
      options ?? {},
      this.#readers.signal,
    )
    // What is stored under a typed topic was checked on the way in.
    return reading as AsyncGenerator<LogEvent<T>>
  }

  /** A group's dead letters: list and redrive. Of a group that commits elsewhere, with its `sink`. */
  deadLetters(group: string, options?: DeadLettersOptions): DeadLetters {
    this.#requireOpen('deadLetters')
    const given = requireOptions('deadLetters', options)
    checkOptionNames('deadLetters', given, ['sink'])
    const target = this.#sinkOf(given.sink, 'deadLetters')
    const publishing = { publisher: target.#publisher, preparer: target.#preparer }
    return new DeadLetters(target.#engine, group, this.#topics, publishing)
  }

  /** One snapshot of everything. */
  async status(): Promise<BusStatus> {
    this.#requireOpen('status')
    return await this.#status.read(this.#options.durability, this.#publisher.queuedEvents)
  }

  /**
   * Which clauses of docs/reference/guarantees.md hold in this configuration, which do not and why, and which tests
   * prove each. Counts the groups that this process consumes in.
   */
  async guarantees(): Promise<GuaranteeCard> {
    this.#requireOpen('guarantees')
    const { exceptions = [] } = await this.#engine.status()
    const groups = new Map([...this.#consumers].map(({ promised }) => [promised.group, promised]))
    return guaranteeCard({
      facts: this.#engine.facts,
      durability: this.#options.durability,
      topics: [...this.#topics.values()],
      groups: [...groups.values()],
      exceptions,
    })
  }

  /** Its declared topics by name. */
  get topics(): ReadonlyMap<string, AnyTopic> {
    return this.#topics
  }

  /** The engine behind this bus, guarded. For tools that go below the API. */
  get engine(): Engine {
    return this.#engine
  }

  /**
   * Stops consumers (finishing or abandoning handlers within the deadline), waits for publishes under way, closes
   * the engine. Twice is fine.
   */
  async stop(options?: StopOptions): Promise<void> {
    resolveStop(options)
    this.#stopped ??= this.#stop(options)
    await this.#stopped
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #stop(options: StopOptions | undefined): Promise<void> {
    this.#readers.abort(new SemelError('BUS_CLOSED', 'the bus was stopped'))
    const stops = await Promise.allSettled([...this.#consumers].map((consumer) => consumer.stop(options)))
    const ends = await Promise.allSettled([this.#publisher.close()])
    ends.push(...(await Promise.allSettled([this.#engine.close()])))
    const failures = [...stops, ...ends]
      .filter((end) => end.status === 'rejected')
      .map((end): unknown => end.reason)
    if (failures.length === 1) throw failures[0]
    if (failures.length > 1) throw new AggregateError(failures, 'the bus did not stop cleanly')
  }

  #requireOpen(operation: string): void {
    if (this.#stopped !== undefined)
      throw new SemelError('BUS_CLOSED', `${operation} after the bus was stopped`)
  }

  #sinkOf(sink: Bus | undefined, operation: string): Bus {
    if (sink === undefined) return this
    if (!(sink instanceof Bus)) throw invalidOption('sink', 'an open bus', sink)
    sink.#requireOpen(`${operation} with this sink`)
    return sink
  }

  #requireMayPublish(): void {
    this.#requireOpen('publish')
    const scope = handlerScope.getStore()
    if (scope?.strict !== true) return
    throw new SemelError(
      'OUTSIDE_TRANSACTION',
      `publish inside a handler of ${scope.group} would not be part of its unit`,
      {
        hint: 'use tx.emit, or set strict: false on the group if the event may be published twice',
      },
    )
  }

  /** The engine refuses a second member of a process, too, but only when it joins, which this call does not wait for. */
  #requireNewMember(group: string, topicNames: readonly string[]): void {
    for (const consumer of this.#consumers) {
      if (!consumer.takes(group, this.#engine, topicNames)) continue
      throw new SemelError('INVALID_GROUP', `this process consumes in group ${group} already`, {
        field: 'group',
        hint: 'raise `concurrency`, wait for stop() of the other consumer, or use another group',
      })
    }
  }

  #requireTopic(name: string): void {
    if (!this.#topics.has(name)) throw unknownTopic(name)
  }

  /** The declared topic decides where a key goes (P4); another object of its name must agree with it. */
  #requireSameTopic({ name, partitions }: AnyTopic): void {
    this.#requireTopic(name)
    const declared = this.#topics.get(name)!
    if (declared.partitions === partitions) return
    throw new SemelError(
      'TOPIC_CONTRADICTION',
      `topic ${name} was declared with ${declared.partitions} partitions, not ${partitions}`,
      { field: 'partitions', limit: declared.partitions, actual: partitions },
    )
  }

  #resolvePublish(options: PublishOptions | undefined): CallOptions {
    this.#requireMayPublish()
    if (options === undefined) return this.#publishDefaults
    requireOptions('publish options', options)
    checkOptionNames('publish', options, ['durability', 'signal'])
    const { signal } = options
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw invalidOption('signal', 'an AbortSignal', signal)
    }
    const { durability: levels } = this.#engine.facts
    return {
      durability: oneOf('durability', options.durability, levels, this.#options.durability),
      signal,
    }
  }

  #prepare(events: readonly OutgoingEvent[]): PreparedCall | Promise<PreparedCall> {
    const checked = this.#checkSchemas(events)
    const atOnce = !(checked instanceof Promise) && this.#checking === undefined
    return atOnce ? this.#preparer.prepare(checked) : this.#inTurn(checked)
  }

  /** When a publish began that somebody wants to hear of. */
  #startedMs(): number | undefined {
    return channels.publish.hasSubscribers ? this.#options.platform.clock.monotonic() : undefined
  }

  #tellPublished({ events }: PreparedCall, { duplicates }: CallResult, startedMs: number | undefined): void {
    if (startedMs === undefined) return
    const tookMs = this.#options.platform.clock.monotonic() - startedMs
    channels.publish.publish({ events, duplicates: duplicates?.size ?? 0, tookMs })
  }

  #checkSchemas(
    events: readonly OutgoingEvent[],
  ): readonly CheckedEvent[] | Promise<readonly CheckedEvent[]> {
    let plain = true
    for (let i = 0; i < events.length; i++) {
      const event = events[i]
      if (!(event?.topic instanceof Topic)) throw invalidOption(`events[${i}].topic`, 'a topic', event?.topic)
      this.#requireSameTopic(event.topic)
      if (event.topic.schema !== undefined) plain = false
    }
    if (plain) return events
    let late = false
    const checked = events.map(({ topic, data, attributes }, index) => {
      const value = checkAt(index, topic, data)
      if (topic.schema !== undefined && value instanceof Promise) late = true
      return { topic, data: value, attributes }
    })
    return late ? settledData(checked) : checked
  }

  /** Waits until the calls before this one have been queued, so that a slow schema changes no order. */
  #inTurn(checked: readonly CheckedEvent[] | Promise<readonly CheckedEvent[]>): Promise<PreparedCall> {
    const before = this.#checking
    const prepare = (events: readonly CheckedEvent[]): PreparedCall =>
      snapshot(this.#preparer.prepare(events))
    const call = checked instanceof Promise ? checked.then(prepare) : prepare(checked)
    const turn = Promise.allSettled([call, before]).then(async () => await call)
    const done = turn
      .catch(() => undefined)
      .then(() => {
        if (this.#checking === done) this.#checking = undefined
      })
    this.#checking = done
    return turn
  }
}

function checkAt(index: number, topic: AnyTopic, data: unknown): unknown {
  try {
    const value = checkAgainstSchema(topic, data)
    return topic.schema !== undefined && value instanceof Promise
      ? value.catch((error: unknown) => Promise.reject(atIndex(error, index)))
      : value
  } catch (error) {
    throw atIndex(error, index)
  }
}

async function settledData(events: readonly CheckedEvent[]): Promise<readonly CheckedEvent[]> {
  const kept = events.map((event) => ({ ...event, attributes: event.attributes && { ...event.attributes } }))
  const data = await Promise.all(events.map((event) => event.data))
  return kept.map((event, i) => ({ ...event, data: data[i] }))
}

function stopOnAbort(consumer: Consumer, signal: AbortSignal | undefined): void {
  // What stop() could not do shows again when the bus itself is stopped.
  const stop = (): void => void consumer.stop().catch(() => undefined)
  if (signal?.aborted) stop()
  else signal?.addEventListener('abort', stop, { once: true })
}

function receiptsOf(call: PreparedCall, result: CallResult): Receipt[] {
  const receipts = new Array<Receipt>(call.events)
  const cursors = call.batches.map(() => 0)
  for (let i = 0; i < call.events; i++) {
    const b = call.batchOf[i]!
    receipts[i] = receiptOf(call.batches[b]!, cursors[b]!, result, i)
    cursors[b] = cursors[b]! + 1
  }
  return receipts
}

/** `index` is its place in the batch, `i` in the call. */
function receiptOf(batch: MutableBatch, index: number, result: CallResult, i: number): Receipt {
  const { topic, partition, records } = batch
  return {
    topic,
    partition,
    offset: result.offsets[i]!,
    id: records[index]!.id,
    duplicate: result.duplicates?.has(i) ?? false,
  }
}

function tooMany(count: number): SemelError {
  const limit = limits.publishManyEventsMax
  return new SemelError('TOO_LARGE', `one call may publish ${limit} events, not ${count}`, {
    field: 'events',
    limit,
    actual: count,
  })
}

/**
 * Opens a bus: opens the engine, declares the topics. Refuses what cannot keep its promises (D7).
 *
 * @throws SemelError INVALID_OPTION, UNKNOWN_OPTION, TOPIC_CONTRADICTION, ENGINE_OPEN_FAILED and the STORAGE_ codes.
 */
export async function openBus(options: OpenBusOptions): Promise<Bus> {
  const resolved = resolveOpenBus(options)
  const engine = guardEngine(resolved.engine)
  const { platform, durability, member } = resolved
  await engine.open({ platform, durability, member })
  try {
    const specs = [...resolved.topics.values()].map(({ name, partitions, dedupWindowMs }) => ({
      name,
      partitions,
      dedupWindowMs,
    }))
    await engine.declareTopics(specs)
  } catch (error) {
    await engine.close()
    throw error
  }
  return new Bus(engine, resolved)
}

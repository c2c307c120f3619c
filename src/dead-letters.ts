import type { Engine } from './engine/engine.ts'
import { storeNames } from './engine/store-names.ts'
import { SemelError } from './errors.ts'
import { checkGroupName, checkTopicName } from './event/check-names.ts'
import type { AnyTopic } from './event/topic.ts'
import { type DeadLetter, deadLetterKey, decodeDeadLetter } from './features/dead-letter-record.ts'
import { redriveTopicName } from './features/redrive-command.ts'
import { limits } from './limits.ts'
import { checkOptionNames, invalidOption, requireOptions, wholeNumber } from './options.ts'
import { unknownTopic } from './runtime/event-transaction.ts'
import { checkOffset } from './runtime/log-reader.ts'
import type { CallPreparer, RoutedTopic } from './runtime/prepare-call.ts'
import type { Publisher } from './runtime/publisher.ts'

const pageMax = 1000

export interface DeadLetterPlace {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

export interface ListDeadLetters {
  /** Only this topic. Default: every declared topic. */
  readonly topic?: string | undefined
  /** At most this many, 1 to 1000. Default 100. */
  readonly limit?: number | undefined
  /** Go on after this place, as the last answer's last letter gave it. */
  readonly after?: DeadLetterPlace | undefined
}

/**
 * A group's dead letters: events that no attempt could handle, kept whole with the reason (L3).
 */
export class DeadLetters {
  readonly #engine: Engine
  readonly #group: string
  readonly #topics: ReadonlyMap<string, AnyTopic>
  readonly #publisher: Publisher
  readonly #preparer: CallPreparer

  constructor(
    engine: Engine,
    group: string,
    topics: ReadonlyMap<string, AnyTopic>,
    publishing: { publisher: Publisher; preparer: CallPreparer },
  ) {
    this.#engine = engine
    this.#group = checkGroupName(group)
    this.#topics = topics
    this.#publisher = publishing.publisher
    this.#preparer = publishing.preparer
  }

  /** Open dead letters by topic, partition and offset. */
  async list(options?: ListDeadLetters): Promise<DeadLetter[]> {
    const given = requireOptions('deadLetters.list', options)
    checkOptionNames('deadLetters.list', given, ['topic', 'limit', 'after'])
    const limit = wholeNumber('limit', given.limit, { min: 1, max: pageMax, fallback: 100 })
    checkAfter(given.after)
    const names = given.topic === undefined ? [...this.#topics.keys()].sort() : [checkTopicName(given.topic)]
    const found: DeadLetter[] = []
    for (const name of names) {
      const partitions = this.#topics.get(name)?.partitions
      if (partitions === undefined)
        throw new SemelError('UNKNOWN_TOPIC', `topic ${name} is not declared`, { field: 'topic' })
      for (let partition = 0; partition < partitions && found.length < limit; partition++) {
        const after = afterKey(given.after, name, partition)
        if (after === 'passed') continue
        found.push(...(await this.#listPartition(name, partition, after, limit - found.length)))
      }
    }
    return found
  }

  /**
   * Asks for dead letters to be handled again, by the group's own handler, with state and emits like any event.
   * Returns when the request is durable. A letter leaves the list when its handler succeeds.
   */
  async redrive(places: readonly DeadLetterPlace[]): Promise<void> {
    if (!Array.isArray(places)) throw invalidOption('places', 'an array of places', places)
    if (places.length === 0) return
    if (places.length > limits.publishManyEventsMax) {
      throw new SemelError('TOO_LARGE', `one call may redrive ${limits.publishManyEventsMax} dead letters`, {
        field: 'places',
        limit: limits.publishManyEventsMax,
        actual: places.length,
      })
    }
    const name = redriveTopicName(this.#group)
    const topic = commandTopic(name)
    const events = places.map(({ topic: from, partition, offset }) => ({
      topic,
      data: {
        ...this.#checkPlace(from, partition),
        offset: checkOffset('offset', offset),
      },
      attributes: undefined,
    }))
    await this.#engine.declareTopics([{ name, partitions: 1, dedupWindowMs: 0 }])
    const call = this.#preparer.prepare(events)
    await this.#publisher.publish(call, { durability: this.#engine.facts.durability[0]!, signal: undefined })
  }

  /** A command that no task would ever see is refused instead of forgotten. */
  #checkPlace(topic: string, partition: number): { readonly topic: string; readonly partition: number } {
    const partitions = this.#topics.get(checkTopicName(topic))?.partitions
    if (partitions === undefined) throw unknownTopic(topic)
    const index = wholeNumber('partition', partition, { min: 0, max: partitions - 1, fallback: -1 })
    return { topic, partition: checkOffset('partition', index) }
  }

  async #listPartition(
    topic: string,
    partition: number,
    after: string | undefined,
    limit: number,
  ): Promise<DeadLetter[]> {
    const task = { group: this.#group, topic, partition }
    const entries = await this.#engine.scanState({ task, store: storeNames.deadLetters, after, limit })
    return entries.map(({ key, value }) => decodeDeadLetter(topic, partition, key, value))
  }
}

function checkAfter(after: DeadLetterPlace | undefined): void {
  if (after === undefined) return
  if (typeof after !== 'object' || after === null || Array.isArray(after)) {
    throw invalidOption('after', 'the place of a dead letter', after)
  }
  checkTopicName(after.topic)
  checkOffset('after.partition', after.partition)
  checkOffset('after.offset', after.offset)
}

/** Where to go on within this partition; `passed` if the place given lies behind it. */
function afterKey(
  after: DeadLetterPlace | undefined,
  topic: string,
  partition: number,
): string | 'passed' | undefined {
  if (after === undefined || topic > after.topic) return undefined
  if (topic < after.topic || partition < after.partition) return 'passed'
  return partition === after.partition ? deadLetterKey(after.offset) : undefined
}

function commandTopic(name: string): RoutedTopic {
  return { name, partitions: 1, key: undefined, type: 'semel.redrive', source: '/semel' }
}

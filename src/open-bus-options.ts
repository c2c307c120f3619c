import type { Engine } from './engine/engine.ts'
import type { Durability } from './engine/facts.ts'
import { SemelError } from './errors.ts'
import { checkText } from './event/check-names.ts'
import { type AnyTopic, Topic } from './event/topic.ts'
import { limits } from './limits.ts'
import { checkOptionNames, invalidOption, oneOf, requireOptions, wholeNumber } from './options.ts'
import type { Platform } from './platform/platform.ts'
import { realPlatform } from './platform/real-platform.ts'
import type { PublisherOptions } from './runtime/publisher.ts'

export interface OpenBusOptions {
  /** `memory()`, `sqlite({ file })`, … */
  readonly engine: Engine
  /** Every topic this program publishes to or reads. */
  readonly topics: readonly AnyTopic[]
  /** When a publish is acknowledged, unless it says otherwise. Default: the strongest the engine has. */
  readonly durability?: Durability | undefined
  /** Name of this process in leases and status. Default: random. */
  readonly member?: string | undefined
  readonly publish?: PublishLimits | undefined
  /** Clock, chance and timers; tests replace them. Default: the real ones. */
  readonly platform?: Platform | undefined
}

export interface PublishLimits {
  /** Events that may wait for the engine. Default 50,000. */
  readonly queueEvents?: number | undefined
  /** Bytes that may. Default 64 MiB. */
  readonly queueBytes?: number | undefined
  /** When the queue is full, a publish waits for room, or fails with BUSY (retryable). Default `wait`. */
  readonly whenFull?: 'wait' | 'fail' | undefined
  /** Every publish settles within this time (U3). Default 30 s. */
  readonly deadlineMs?: number | undefined
}

export interface ResolvedBusOptions {
  readonly engine: Engine
  readonly topics: ReadonlyMap<string, AnyTopic>
  readonly durability: Durability
  readonly member: string
  readonly platform: Platform
  readonly publish: PublisherOptions
}

const memberBytesMax = 200

/** Fills in the defaults, or says which option is wrong. */
export function resolveOpenBus(options: OpenBusOptions): ResolvedBusOptions {
  if (options === undefined) throw invalidOption('openBus options', 'an object of options', options)
  requireOptions('openBus options', options)
  checkOptionNames('openBus', options, ['engine', 'topics', 'durability', 'member', 'publish', 'platform'])
  const { engine } = options
  if (typeof engine?.open !== 'function' || engine.facts === undefined) {
    throw invalidOption('engine', 'an engine such as memory() or sqlite({ file })', engine)
  }
  const platform = options.platform ?? realPlatform
  return {
    engine,
    topics: resolveTopics(options.topics),
    durability: oneOf('durability', options.durability, engine.facts.durability, engine.facts.durability[0]!),
    member: resolveMember(options.member, platform),
    platform,
    publish: resolvePublish(options.publish),
  }
}

function resolveTopics(topics: readonly AnyTopic[]): ReadonlyMap<string, AnyTopic> {
  if (!Array.isArray(topics)) throw invalidOption('topics', 'an array of topics', topics)
  const byName = new Map<string, AnyTopic>()
  for (const topic of topics) {
    if (!(topic instanceof Topic)) throw invalidOption('topics', 'made by topic()', topic)
    if (byName.has(topic.name)) {
      throw new SemelError('INVALID_TOPIC', `topic ${topic.name} is declared twice`, { field: 'topics' })
    }
    byName.set(topic.name, topic)
  }
  return byName
}

function resolveMember(member: string | undefined, platform: Platform): string {
  if (member !== undefined) return checkText('INVALID_OPTION', 'member', member, memberBytesMax, false)
  const { random } = platform
  return `member-${random.uint32().toString(36)}${random.uint32().toString(36)}`
}

function resolvePublish(given: PublishLimits | undefined): PublisherOptions {
  const options = requireOptions('publish', given)
  checkOptionNames('publish', options, ['queueEvents', 'queueBytes', 'whenFull', 'deadlineMs'])
  const { publishDeadlineMsDefault, publishQueueBytesDefault, publishQueueEventsDefault, waitMsMax } = limits
  return {
    queueEventsMax: wholeNumber('publish.queueEvents', options.queueEvents, {
      min: 1,
      max: 10_000_000,
      fallback: publishQueueEventsDefault,
    }),
    queueBytesMax: wholeNumber('publish.queueBytes', options.queueBytes, {
      min: 1,
      max: 2 ** 32,
      fallback: publishQueueBytesDefault,
    }),
    whenFull: oneOf('publish.whenFull', options.whenFull, ['wait', 'fail'], 'wait'),
    deadlineMs: wholeNumber('publish.deadlineMs', options.deadlineMs, {
      min: 1,
      max: waitMsMax,
      fallback: publishDeadlineMsDefault,
    }),
  }
}

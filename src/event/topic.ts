import { limits } from '../limits.ts'
import { checkOptionNames, invalidOption, requireFunction, requireOptions, wholeNumber } from '../options.ts'
import { checkText, checkTopicName } from './check-names.ts'
import type { StandardSchema } from './standard-schema.ts'

const partitionsDefault = 4

export interface TopicOptions<T> {
  /** Number of partitions, 1 to 1024, fixed when the topic is created (P4). Default 4. */
  readonly partitions?: number | undefined
  /** Partition key of an event: events with equal keys stay in order. Default: no key. */
  readonly key?: ((data: T) => string | null) | undefined
  /** Any Standard Schema (Zod, Valibot, ArkType …); its output type is the topic's type. Checked at publish. */
  readonly schema?: StandardSchema<T> | undefined
  /** How long an id is remembered (N3), or `false` for no deduplication. Default 7 days. */
  readonly dedup?: { readonly windowMs?: number | undefined } | false | undefined
  /** CloudEvents `type` of events that name none. Default: the topic's name. */
  readonly type?: string | undefined
  /** CloudEvents `source` of events that name none. Default `/semel`. */
  readonly source?: string | undefined
}

/** Attributes a publisher may set for one event; everything has a default. */
export interface PublishAttributes {
  /** Identity for deduplication (N1). Default: a new monotonic UUIDv7. */
  readonly id?: string | undefined
  /** Overrides the topic's key function. */
  readonly key?: string | null | undefined
  readonly type?: string | undefined
  readonly source?: string | undefined
  /** Event time: ms since 1970 or a Date. Default: now. */
  readonly time?: number | Date | undefined
  readonly subject?: string | undefined
  readonly datacontenttype?: string | undefined
  readonly dataschema?: string | undefined
  readonly correlationid?: string | undefined
  readonly causationid?: string | undefined
  readonly traceparent?: string | undefined
  readonly producersequence?: number | undefined
}

/** One event on its way to a topic, for `publishMany`. Made by `topic.event(data, attributes)`. */
export interface OutgoingEvent {
  readonly topic: AnyTopic
  readonly data: unknown
  readonly attributes: PublishAttributes | undefined
}

/** A topic of whatever type: what is left when the type of its data does not matter. */
export interface AnyTopic {
  readonly name: string
  readonly partitions: number
  readonly key: ((data: never) => string | null) | undefined
  readonly schema: StandardSchema<unknown> | undefined
  readonly dedupWindowMs: number
  readonly type: string
  readonly source: string
}

/** A named stream of events of one type. Made by `topic()`; plain data and safe to share. */
export class Topic<T = unknown> implements AnyTopic {
  readonly name: string
  readonly partitions: number
  readonly key: ((data: T) => string | null) | undefined
  readonly schema: StandardSchema<T> | undefined
  /** Milliseconds; 0 means no deduplication. */
  readonly dedupWindowMs: number
  readonly type: string
  readonly source: string

  constructor(name: string, options: TopicOptions<T> = {}) {
    requireOptions('topic options', options)
    checkOptionNames(`topic ${name}`, options, ['partitions', 'key', 'schema', 'dedup', 'type', 'source'])
    this.name = checkTopicName(name)
    this.partitions = wholeNumber('partitions', options.partitions, {
      min: 1,
      max: limits.partitionsMax,
      fallback: partitionsDefault,
    })
    this.key = options.key === undefined ? undefined : requireFunction('key', options.key)
    this.schema = options.schema
    if (options.schema !== undefined && typeof options.schema?.['~standard']?.validate !== 'function') {
      throw invalidOption('schema', 'a Standard Schema (an object with "~standard")', options.schema)
    }
    this.dedupWindowMs = resolveDedup(options.dedup)
    this.type = checkText('INVALID_ATTRIBUTE', 'type', options.type ?? name, limits.attributeBytesMax, false)
    this.source = checkText(
      'INVALID_ATTRIBUTE',
      'source',
      options.source ?? '/semel',
      limits.attributeBytesMax,
      false,
    )
  }

  /** An event for this topic, for `bus.publishMany`. Nothing is checked before it is published. */
  event(data: T, attributes?: PublishAttributes): OutgoingEvent {
    return { topic: this, data, attributes }
  }
}

function resolveDedup(dedup: TopicOptions<unknown>['dedup']): number {
  if (dedup === false) return 0
  const options = requireOptions('dedup', dedup)
  checkOptionNames('dedup', options, ['windowMs'])
  return wholeNumber('dedup.windowMs', options.windowMs, {
    min: 1,
    max: limits.dedupWindowMsMax,
    fallback: limits.dedupWindowMsDefault,
  })
}

/**
 * Declares a topic. Its type comes from the schema, from the key function's parameter, or from `topic<Type>(…)`.
 *
 * @throws SemelError INVALID_TOPIC, INVALID_OPTION or UNKNOWN_OPTION.
 */
export function topic<T = unknown>(name: string, options: TopicOptions<T> = {}): Topic<T> {
  return new Topic(name, options)
}

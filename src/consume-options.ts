import { SemelError } from './errors.ts'
import { checkGroupName } from './event/check-names.ts'
import { checkTime } from './event/make-record.ts'
import { limits } from './limits.ts'
import { checkOptionNames, invalidOption, oneOf, requireOptions, wholeNumber } from './options.ts'
import { type RetryOptions, resolveRetry } from './runtime/retry-policy.ts'
import type { GroupSettings, Guarantee, StartAt } from './runtime/task-context.ts'

export interface ConsumeOptions {
  /** Name of the consumer group. Its members, in any process, share the partitions. */
  readonly group: string
  /** Default `exactly-once`: what goes through `tx` takes effect once (X1). */
  readonly guarantee?: Guarantee | undefined
  /** Handlers side by side per partition, each on another key. 1: the whole partition in order. Default 16. */
  readonly concurrency?: number | undefined
  /** Where a new group begins. Default `earliest`. Time: ms since 1970 or a Date. */
  readonly startAt?: 'earliest' | 'latest' | { readonly time: number | Date } | undefined
  readonly retry?: RetryOptions | undefined
  /**
   * Remembers the ids of the group's events for `windowMs` on the append clock: another event of the same id, in the same
   * partition of its topic, is passed over; with other content it is a dead letter, ID_CONFLICT (N7). For logs that do not
   * know ids, such as Kafka's. Exact also after crashes and takeovers, except with at-most-once. Default: no inbox.
   */
  readonly inbox?: { readonly windowMs: number } | undefined
  /**
   * Events that finish while others are under way share a unit, until the first of them has waited so long: the fewer
   * units, the less each event costs, and the later it counts. When nothing else is about to finish, a unit is committed
   * at once. On Kafka, where a commit is a transaction, a unit may wait up to a second while more events are at hand, and
   * so long after the last one otherwise. Default 100 ms.
   */
  readonly unitAgeMs?: number | undefined
  /** An attempt fails after this long. Default 30 s. */
  readonly handlerTimeoutMs?: number | undefined
  /**
   * A silent member loses its partitions after this long. Default 10 s. A member gets none while its storage takes
   * longer than a quarter of this for a heartbeat, which is one durable write.
   */
  readonly leaseMs?: number | undefined
  /** Events read ahead or finished out of order, per partition. Default 16,000. */
  readonly windowEvents?: number | undefined
  /**
   * Whether `bus.publish` inside a handler of this group is refused (OUTSIDE_TRANSACTION): it would not be part
   * of the unit. Default: true for exactly-once, false otherwise.
   */
  readonly strict?: boolean | undefined
  /** Stops the consumer when it aborts, as `stop()` does. */
  readonly signal?: AbortSignal | undefined
}

const names: readonly (keyof ConsumeOptions)[] = [
  'group',
  'guarantee',
  'concurrency',
  'unitAgeMs',
  'startAt',
  'retry',
  'inbox',
  'handlerTimeoutMs',
  'leaseMs',
  'windowEvents',
  'strict',
  'signal',
]

/** Fills in the defaults, or says which option is wrong. */
export function resolveConsume(options: ConsumeOptions): GroupSettings {
  requireOptions('consume options', options)
  checkOptionNames('consume', options, names)
  const guarantee = oneOf(
    'guarantee',
    options.guarantee,
    ['at-most-once', 'at-least-once', 'exactly-once'],
    'exactly-once',
  )
  const { concurrencyDefault, handlerTimeoutMsDefault, leaseMsDefault, windowEventsDefault } = limits
  if (options.strict !== undefined && typeof options.strict !== 'boolean') {
    throw invalidOption('strict', 'true or false', options.strict)
  }
  return {
    group: checkGroupName(options.group),
    guarantee,
    concurrency: wholeNumber('concurrency', options.concurrency, {
      min: 1,
      max: limits.concurrencyMax,
      fallback: concurrencyDefault,
    }),
    unitAgeMs: wholeNumber('unitAgeMs', options.unitAgeMs, {
      min: 0,
      max: limits.unitAgeMsMax,
      fallback: limits.unitAgeMsDefault,
    }),
    windowEvents: wholeNumber('windowEvents', options.windowEvents, {
      min: 1,
      max: limits.windowEventsDefault * 10,
      fallback: windowEventsDefault,
    }),
    handlerTimeoutMs: wholeNumber('handlerTimeoutMs', options.handlerTimeoutMs, {
      min: 1,
      max: limits.waitMsMax,
      fallback: handlerTimeoutMsDefault,
    }),
    leaseMs: wholeNumber('leaseMs', options.leaseMs, {
      min: limits.leaseMsMin,
      max: limits.leaseMsMax,
      fallback: leaseMsDefault,
    }),
    retry: resolveRetry(options.retry),
    startAt: resolveStart(options.startAt),
    inboxWindowMs: resolveInbox(options.inbox),
    strict: options.strict ?? guarantee === 'exactly-once',
  }
}

function resolveInbox(inbox: ConsumeOptions['inbox']): number {
  if (inbox === undefined) return 0
  const given = requireOptions('inbox', inbox)
  checkOptionNames('inbox', given, ['windowMs'])
  const { dedupWindowMsDefault: fallback, dedupWindowMsMax: max } = limits
  return wholeNumber('inbox.windowMs', given.windowMs, { min: 1, max, fallback })
}

function resolveStart(startAt: ConsumeOptions['startAt']): StartAt {
  if (startAt === undefined) return 'earliest'
  if (startAt === 'earliest' || startAt === 'latest') return startAt
  if (typeof startAt !== 'object' || startAt === null || !('time' in startAt)) {
    throw new SemelError('INVALID_OPTION', 'startAt must be "earliest", "latest" or { time }', {
      field: 'startAt',
    })
  }
  return { time: checkTime('startAt.time', startAt.time) }
}

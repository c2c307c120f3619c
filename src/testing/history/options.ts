import type { AnomalyName } from './anomaly-names.ts'
import type { Gates } from './gates.ts'

/** What a group was promised (A1, L1, X1). */
export type Guarantee = 'at-most-once' | 'at-least-once' | 'exactly-once'

export interface GroupOptions {
  /** Default `exactly-once`, which expects the most. */
  readonly guarantee?: Guarantee | undefined
  /** `broken`: the group chose an O2 policy that breaks key order, such as `retryLater`. Default `kept`. */
  readonly keyOrder?: 'kept' | 'broken' | undefined
  /** Where the group began: at the first event, or at the first one it handled in each partition. */
  readonly from?: 'earliest' | 'first-handled' | undefined
  /** `each`: every event it handles makes one effect in each of its sinks. `some`: handlers may filter. */
  readonly effects?: 'each' | 'some' | undefined
}

export interface CheckOptions {
  /**
   * True (default) for engines whose transactions become visible at once (P3: embedded, PostgreSQL). False for
   * Kafka, where writes of different transactions interleave: G0, write cycles and int-send-skip are normal there.
   */
  readonly atomicVisibility?: boolean | undefined
  /** By name. A group that is not named is held to the strictest promises. */
  readonly groups?: Readonly<Record<string, GroupOptions>> | undefined
  /** `none`: producers chose `order: "none"` (P2). */
  readonly order?: 'call' | 'none' | undefined
  /** How long ids are remembered (N3); `none`: the engine promises nothing about ids (N7). Default: for ever. */
  readonly dedup?: { readonly windowMs: number } | 'none' | undefined
  /** False: the run ended without final reads, so that what was not seen proves nothing. */
  readonly drained?: boolean | undefined
  /** Deadline of calls that name none (U3), and what we grant on top of any deadline. */
  readonly deadlineMs?: number | undefined
  readonly graceMs?: number | undefined
  /** V1: all groups reach the end this long after the last fault. Not checked if absent. */
  readonly healMs?: number | undefined
  /** P4: where a key belongs. Absent: a key must stay in the partition where it was first. */
  readonly partitionOf?: ((topic: string, key: string) => number) | undefined
  /** Anomalies that this run's configuration permits, e.g. `lost-write` under durability `memory`. */
  readonly allow?: readonly AnomalyName[] | undefined
  readonly gates?: Gates | undefined
  /** Witnesses kept of each anomaly, from 8 to 32. */
  readonly witnessesMax?: number | undefined
}

export type ResolvedGroup = Required<{ [K in keyof GroupOptions]: NonNullable<GroupOptions[K]> }>

export interface ResolvedOptions {
  readonly atomicVisibility: boolean
  readonly groups: Readonly<Record<string, GroupOptions>>
  readonly ordered: boolean
  /** Undefined: ids promise nothing. */
  readonly dedupWindowMs: number | undefined
  readonly drained: boolean
  readonly deadlineMs: number
  readonly graceMs: number
  readonly healMs: number | undefined
  readonly partitionOf: ((topic: string, key: string) => number) | undefined
  readonly allow: readonly AnomalyName[]
  readonly gates: Gates
  readonly witnessesMax: number
}

const deadlineMsDefault = 30_000
const graceMsDefault = 5_000
const witnessesLeast = 8
const witnessesMost = 32

export function resolveCheckOptions(given: CheckOptions): ResolvedOptions {
  const witnessesMax = given.witnessesMax ?? witnessesLeast
  if (!Number.isInteger(witnessesMax) || witnessesMax < witnessesLeast || witnessesMax > witnessesMost)
    throw new RangeError(`witnessesMax must be a whole number from ${witnessesLeast} to ${witnessesMost}`)
  const { dedup = { windowMs: Infinity } } = given
  return {
    atomicVisibility: given.atomicVisibility ?? true,
    groups: given.groups ?? {},
    ordered: given.order !== 'none',
    dedupWindowMs: dedup === 'none' ? undefined : dedup.windowMs,
    drained: given.drained ?? true,
    deadlineMs: given.deadlineMs ?? deadlineMsDefault,
    graceMs: given.graceMs ?? graceMsDefault,
    healMs: given.healMs,
    partitionOf: given.partitionOf,
    allow: given.allow ?? [],
    gates: given.gates ?? {},
    witnessesMax,
  }
}

export function groupOptionsOf(options: ResolvedOptions, group: string): ResolvedGroup {
  const given = Object.hasOwn(options.groups, group) ? options.groups[group]! : {}
  return {
    guarantee: given.guarantee ?? 'exactly-once',
    keyOrder: given.keyOrder ?? 'kept',
    from: given.from ?? 'earliest',
    effects: given.effects ?? 'each',
  }
}

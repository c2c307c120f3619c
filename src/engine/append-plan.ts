import { SemelError } from '../errors.ts'
import { fingerprint } from '../event/fingerprint.ts'
import type { AppendBatch, AppendGroup } from './engine.ts'

/** What an engine knows of an id that was published before, inside the topic's window. */
export interface KnownEvent {
  readonly offset: number
  readonly fingerprint: string
}

/** What the plan asks the engine. All answers are taken inside the engine's own transaction. */
export interface AppendLookup {
  /** The event first accepted under `id`, if it is still remembered. Not asked for topics without dedup. */
  known(topic: string, id: string): KnownEvent | undefined
  remembers(topic: string): boolean
  nextOffset(topic: string, partition: number): number
  /** A call that touches this partition must fail, because one before it failed and its publisher knew not (P2). */
  blocked(topic: string, partition: number): boolean
}

export interface BatchPlan {
  readonly firstOffset: number
  /** Indexes of the records to append, in order; `undefined`: all of them. */
  readonly keep: readonly number[] | undefined
  /** Offset of each record (the first one's for duplicates, -1 in failed calls); `undefined`: consecutive. */
  readonly offsets: readonly number[] | undefined
  readonly duplicates: ReadonlySet<number> | undefined
}

export interface AppendPlan {
  readonly batches: readonly BatchPlan[]
  readonly failures: ReadonlyMap<number, SemelError>
}

interface Place {
  readonly batch: number
  readonly index: number
}

/**
 * Decides call by call what a group of publishes comes to (N1, N2, P2, P3). Pure: all engines share it, so all
 * engines agree. Engines may skip it when they can see at once that no id is known and nothing is blocked.
 */
export function planAppend(group: AppendGroup, lookup: AppendLookup): AppendPlan {
  const planner = new AppendPlanner(group, lookup)
  return planner.plan()
}

class AppendPlanner {
  readonly #group: AppendGroup
  readonly #lookup: AppendLookup
  readonly #next = new Map<string, number>()
  readonly #blocked = new Set<string>()
  readonly #accepted = new Map<string, KnownEvent>()
  readonly #failures = new Map<number, SemelError>()
  readonly #offsets: number[][]
  readonly #keep: number[][]
  readonly #duplicates: Set<number>[]
  readonly #first: number[]

  constructor(group: AppendGroup, lookup: AppendLookup) {
    this.#group = group
    this.#lookup = lookup
    this.#offsets = group.batches.map((batch) => new Array<number>(batch.records.length).fill(-1))
    this.#keep = group.batches.map(() => [])
    this.#duplicates = group.batches.map(() => new Set())
    this.#first = group.batches.map(() => -1)
  }

  plan(): AppendPlan {
    const calls = placesByCall(this.#group)
    for (let call = 0; call < calls.length; call++) this.#planCall(call, calls[call]!)
    const batches = this.#group.batches.map((batch, b): BatchPlan => {
      const whole = this.#keep[b]!.length === batch.records.length
      return {
        firstOffset: this.#first[b]!,
        keep: whole ? undefined : this.#keep[b]!,
        offsets: whole ? undefined : this.#offsets[b]!,
        duplicates: this.#duplicates[b]!.size === 0 ? undefined : this.#duplicates[b]!,
      }
    })
    return { batches, failures: this.#failures }
  }

  #planCall(call: number, places: readonly Place[]): void {
    const error = this.#obstacle(places)
    if (error === undefined) {
      for (const place of places) this.#accept(place)
      return
    }
    this.#failures.set(call, error)
    for (const { batch } of places) this.#blocked.add(partitionName(this.#group.batches[batch]!))
  }

  /** A call behind a failed one is answered with that first: what its ids mean depends on what is retried before. */
  #obstacle(places: readonly Place[]): SemelError | undefined {
    return this.#failedPredecessor(places) ?? this.#conflict(places)
  }

  #failedPredecessor(places: readonly Place[]): SemelError | undefined {
    let checked = -1
    for (const { batch: b } of places) {
      if (b === checked) continue
      checked = b
      const batch = this.#group.batches[b]!
      if (this.#blocked.has(partitionName(batch)) || this.#lookup.blocked(batch.topic, batch.partition)) {
        return predecessorFailed(batch)
      }
    }
    return undefined
  }

  #conflict(places: readonly Place[]): SemelError | undefined {
    const own = new Map<string, string>()
    for (const { batch: b, index } of places) {
      const batch = this.#group.batches[b]!
      if (!this.#lookup.remembers(batch.topic)) continue
      const record = batch.records[index]!
      const name = idName(batch.topic, record.id)
      const before = this.#find(batch, record.id)?.fingerprint ?? own.get(name)
      if (before === undefined && batch.fresh) continue
      const mine = fingerprint(record)
      if (before !== undefined && before !== mine) return idConflict(batch, record.id, index)
      own.set(name, mine)
    }
    return undefined
  }

  #accept({ batch: b, index }: Place): void {
    const batch = this.#group.batches[b]!
    const record = batch.records[index]!
    const known = this.#lookup.remembers(batch.topic) ? this.#find(batch, record.id) : undefined
    if (known !== undefined) {
      this.#offsets[b]![index] = known.offset
      this.#duplicates[b]!.add(index)
      return
    }
    const name = partitionName(batch)
    const offset = this.#next.get(name) ?? this.#lookup.nextOffset(batch.topic, batch.partition)
    this.#next.set(name, offset + 1)
    this.#offsets[b]![index] = offset
    if (this.#keep[b]!.length === 0) this.#first[b] = offset
    this.#keep[b]!.push(index)
    if (!batch.fresh) {
      this.#accepted.set(idName(batch.topic, record.id), { offset, fingerprint: fingerprint(record) })
    }
  }

  #find(batch: AppendBatch, id: string): KnownEvent | undefined {
    return this.#accepted.get(idName(batch.topic, id)) ?? this.#lookup.known(batch.topic, id)
  }
}

function placesByCall(group: AppendGroup): readonly Place[][] {
  const calls: Place[][] = Array.from({ length: group.calls }, () => [])
  group.batches.forEach((batch, b) => {
    for (let index = 0; index < batch.records.length; index++) {
      calls[batch.callOf?.[index] ?? 0]!.push({ batch: b, index })
    }
  })
  return calls
}

function partitionName(batch: AppendBatch): string {
  return `${batch.topic}/${batch.partition}`
}

function idName(topic: string, id: string): string {
  return `${topic}\u0000${id}`
}

function predecessorFailed(batch: AppendBatch): SemelError {
  return new SemelError(
    'PREDECESSOR_FAILED',
    `an earlier publish to ${batch.topic}/${batch.partition} failed, so this one was not applied either`,
    { retryable: true, hint: 'publish it again: order within the partition is kept that way' },
  )
}

function idConflict(batch: AppendBatch, id: string, index: number): SemelError {
  return new SemelError(
    'ID_CONFLICT',
    `event id ${JSON.stringify(id)} was already published to ${batch.topic} with other content`,
    {
      field: 'id',
      index,
      hint: 'use a new id for a new event; retry an old event with its own content',
    },
  )
}

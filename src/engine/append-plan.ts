import { SemelError } from '../errors.ts'

/** How an event's content is compared: quickly by print, and where prints differ, exactly. */
export interface Content {
  /** Equal prints mean equal content; `undefined` if none is at hand. */
  readonly print: string | undefined
  /** Decides where prints differ (`event/fingerprint.ts`). */
  fingerprint(): string
}

/** What an engine knows of an id that was published before, inside the topic's window. */
export interface KnownEvent extends Content {
  readonly offset: number
}

/** What the plan asks the engine. All answers are taken inside the engine's own transaction. */
export interface AppendLookup {
  /** The event first accepted under `id`, if it is still remembered. Not asked for topics without dedup. */
  known(topic: string, id: string): KnownEvent | undefined
  remembers(topic: string): boolean
  nextOffset(topic: string, partition: number): number
  /** A call that touches this partition must fail, because one before it failed and its publisher knew not (P2). */
  blocked(topic: string, partition: number): boolean
  /** Why nothing may be appended to a topic, if so (`Engine.seal`). */
  obstacle?(topic: string): SemelError | undefined
  /** Content of a record of the group. */
  content(batch: number, index: number): Content
}

/** The part of an append group that decides: who is who, not what is in it. */
export interface PlannedGroup {
  readonly calls: number
  readonly batches: readonly PlannedBatch[]
}

export interface PlannedBatch {
  readonly topic: string
  readonly partition: number
  readonly ids: readonly string[]
  readonly callOf: ArrayLike<number> | undefined
  readonly fresh: boolean
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
export function planAppend(group: PlannedGroup, lookup: AppendLookup): AppendPlan {
  const planner = new AppendPlanner(group, lookup)
  return planner.plan()
}

class AppendPlanner {
  readonly #group: PlannedGroup
  readonly #lookup: AppendLookup
  readonly #next = new Map<string, number>()
  readonly #blocked = new Set<string>()
  readonly #accepted = new Map<string, KnownEvent>()
  readonly #failures = new Map<number, SemelError>()
  readonly #offsets: number[][]
  readonly #keep: number[][]
  readonly #duplicates: Set<number>[]
  readonly #first: number[]

  constructor(group: PlannedGroup, lookup: AppendLookup) {
    this.#group = group
    this.#lookup = lookup
    this.#offsets = group.batches.map((batch) => new Array<number>(batch.ids.length).fill(-1))
    this.#keep = group.batches.map(() => [])
    this.#duplicates = group.batches.map(() => new Set())
    this.#first = group.batches.map(() => -1)
  }

  plan(): AppendPlan {
    const calls = placesByCall(this.#group)
    for (let call = 0; call < calls.length; call++) this.#planCall(call, calls[call]!)
    const batches = this.#group.batches.map((batch, b): BatchPlan => {
      const whole = this.#keep[b]!.length === batch.ids.length
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
    // Whether a predecessor failed comes first: it does not depend on which ids happen to be known by now.
    for (const { batch: b } of places) {
      const batch = this.#group.batches[b]!
      if (this.#blocked.has(partitionName(batch)) || this.#lookup.blocked(batch.topic, batch.partition)) {
        return predecessorFailed(batch)
      }
    }
    for (const b of new Set(places.map(({ batch }) => batch))) {
      const obstacle = this.#lookup.obstacle?.(this.#group.batches[b]!.topic)
      if (obstacle !== undefined) return obstacle
    }
    const own = new Map<string, Content>()
    for (const { batch: b, index } of places) {
      const batch = this.#group.batches[b]!
      if (!this.#lookup.remembers(batch.topic)) continue
      const id = batch.ids[index]!
      const name = idName(batch.topic, id)
      const before = this.#find(batch, id) ?? own.get(name)
      if (before === undefined && batch.fresh) continue
      const mine = this.#lookup.content(b, index)
      if (before !== undefined && !sameContent(before, mine)) return idConflict(batch, id, index)
      own.set(name, mine)
    }
    return undefined
  }

  #accept({ batch: b, index }: Place): void {
    const batch = this.#group.batches[b]!
    const id = batch.ids[index]!
    const known = this.#lookup.remembers(batch.topic) ? this.#find(batch, id) : undefined
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
    if (batch.fresh) return
    const content = this.#lookup.content(b, index)
    this.#accepted.set(idName(batch.topic, id), {
      offset,
      print: content.print,
      fingerprint: () => content.fingerprint(),
    })
  }

  #find(batch: PlannedBatch, id: string): KnownEvent | undefined {
    return this.#accepted.get(idName(batch.topic, id)) ?? this.#lookup.known(batch.topic, id)
  }
}

function sameContent(a: Content, b: Content): boolean {
  if (a.print !== undefined && a.print === b.print) return true
  return a.fingerprint() === b.fingerprint()
}

function placesByCall(group: PlannedGroup): readonly Place[][] {
  const calls: Place[][] = Array.from({ length: group.calls }, () => [])
  group.batches.forEach((batch, b) => {
    for (let index = 0; index < batch.ids.length; index++) {
      calls[batch.callOf?.[index] ?? 0]!.push({ batch: b, index })
    }
  })
  return calls
}

function partitionName(batch: PlannedBatch): string {
  return `${batch.topic}/${batch.partition}`
}

function idName(topic: string, id: string): string {
  return `${topic}\u0000${id}`
}

function predecessorFailed(batch: PlannedBatch): SemelError {
  return new SemelError(
    'PREDECESSOR_FAILED',
    `an earlier publish to ${batch.topic}/${batch.partition} failed, so this one was not applied either`,
    { retryable: true, hint: 'publish it again: order within the partition is kept that way' },
  )
}

function idConflict(batch: PlannedBatch, id: string, index: number): SemelError {
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

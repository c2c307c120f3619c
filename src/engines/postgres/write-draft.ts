import type { BatchPlan } from '../../engine/append-plan.ts'
import type { Place, Unit } from '../../engine/engine.ts'
import type { EncodedBatch } from '../../event/batch-codec.ts'
import { int4Array, int8Array, textArray } from './binary-arrays.ts'
import { type EncodedAppend, keptRows } from './encoded-rows.ts'
import { indexOfPending } from './group-planner.ts'
import type { StateLog, StatePlan } from './state-log.ts'
import type { OwnedStore, StateLogs } from './state-logs.ts'
import { rowChecksum } from './stored-row.ts'
import type { PartitionEntry, TopicEntry, TopicTable } from './topic-table.ts'

/** Row of a task, and the rows of its stores by name. */
export interface TaskRows {
  readonly id: number
  readonly stores: ReadonlyMap<string, number>
}

/** A row of the draft with the ids in it, to remember them when it is written. */
export interface DraftRow extends EncodedBatch {
  readonly slot: number
  readonly start: number
  readonly count: number
  readonly topic: number
  readonly step: number
  readonly crc: number
  readonly ids: readonly string[]
}

interface DraftUnit {
  readonly unit: Unit
  readonly rows: TaskRows
  readonly checkOnly: boolean
}

/** What a unit does to one of its stores. */
export interface StateWrite {
  readonly unit: Unit
  readonly owned: OwnedStore
  readonly log: StateLog
  readonly plan: StatePlan
}

const noPosition = -1

/**
 * One call of the function `write` (migrations/0003-write.sql, or 0012-state-log.sql) in the making: what is believed, and what is to be
 * written if that is so. Topics, partitions and tasks are in the order in which the server locks them.
 */
export class WriteDraft {
  /** Topics that remember ids. */
  readonly topics: readonly TopicEntry[]
  readonly partitions: readonly PartitionEntry[]
  readonly rows: DraftRow[] = []
  /** Of the last `planState`. */
  state: readonly StateWrite[] = []
  readonly #slots = new Map<PartitionEntry, number>()
  readonly #counts: number[] = []
  readonly #steps: number[]
  readonly #units: DraftUnit[] = []
  readonly #duplicates: number[]
  readonly #table: TopicTable

  constructor(table: TopicTable, appends: readonly EncodedAppend[]) {
    this.#table = table
    const topics = new Set<TopicEntry>()
    const partitions = new Set<PartitionEntry>()
    for (const { topic, partition } of appends) {
      const entry = table.topic(topic)
      if (entry.ids !== undefined) topics.add(entry)
      partitions.add(table.partition(topic, partition))
    }
    this.topics = [...topics].sort((a, b) => a.id - b.id)
    this.partitions = [...partitions].sort((a, b) => a.id - b.id)
    for (const [slot, entry] of this.partitions.entries()) this.#slots.set(entry, slot)
    this.#steps = this.topics.map(() => 0)
    this.#counts = this.partitions.map(() => 0)
    this.#duplicates = this.partitions.map(() => 0)
  }

  slotOf(topic: string, partition: number): number {
    return this.#slots.get(this.#table.partition(topic, partition))!
  }

  /** How many events each partition gets. */
  get counts(): readonly number[] {
    return this.#counts
  }

  /** Where events come to be. */
  get places(): readonly Place[] {
    return this.partitions.filter((_, slot) => this.#counts[slot]! > 0)
  }

  get units(): readonly DraftUnit[] {
    return this.#units
  }

  addAppend(append: EncodedAppend, { keep, firstOffset }: BatchPlan): void {
    const rows = keep === undefined ? append.rows : keptRows(append, keep)
    if (rows.length === 0) return
    const entry = this.#table.topic(append.topic)
    const topic = entry.ids === undefined ? 0 : this.topics.indexOf(entry) + 1
    const slot = this.slotOf(append.topic, append.partition)
    const ids = keep === undefined ? append.ids : keep.map((index) => append.ids[index]!)
    let start = indexOfPending(firstOffset)
    let index = 0
    for (const row of rows) {
      const step = topic === 0 ? 0 : ++this.#steps[topic - 1]!
      const crc = rowChecksum(row)
      const { count, head, body } = row
      this.rows.push({
        slot,
        start,
        count,
        topic,
        step,
        crc,
        ids: ids.slice(index, index + count),
        head,
        body,
      })
      start += count
      index += count
    }
    this.#counts[slot]! += index
  }

  /** `checkOnly`: its emits were refused, which is its answer only if it is not fenced. */
  addUnit(unit: Unit, rows: TaskRows, checkOnly: boolean): void {
    this.#units.push({ unit, rows, checkOnly })
  }

  /** Refused duplicates that are due to be written with the rest. */
  addRefused(take: (entry: PartitionEntry) => number): void {
    for (const [slot, entry] of this.partitions.entries()) this.#duplicates[slot] = take(entry)
  }

  get refused(): readonly number[] {
    return this.#duplicates
  }

  /** Stores of units that are written. */
  get stores(): readonly OwnedStore[] {
    return this.#stateChanges().map(({ owned }) => owned)
  }

  /** Takes the logs of its stores, which must be known. `seqMin`: number of what comes first into a log. */
  planState(logs: StateLogs, seqMin: number): void {
    const { mayGrow } = logs
    this.state = this.#stateChanges().map(({ unit, owned, changes }) => {
      const log = logs.take(owned)
      return { unit, owned, log, plan: log.plan(changes, seqMin, mayGrow) }
    })
  }

  #stateChanges() {
    return this.#units.flatMap(({ unit, rows, checkOnly }) => {
      if (checkOnly) return []
      return unit.state.map((changes) => ({
        unit,
        owned: { store: rows.stores.get(changes.store)!, epoch: unit.lease.epoch },
        changes,
      }))
    })
  }

  /** Whether rows come into logs or leave them: then it is a call of `write_logged`. */
  get isLogged(): boolean {
    return this.state.some(({ plan }) => plan.added !== undefined || plan.removed.length > 0)
  }

  /** Parameters of `write` or `write_logged`. `seqs`: number of the last row that each topic is believed to have. */
  parameters(flush: boolean, seqs: readonly number[], plannedAt: number | undefined): readonly unknown[] {
    const units = this.#units.sort((a, b) => a.rows.id - b.rows.id)
    const hasRefused = this.#duplicates.some((count) => count > 0)
    return [
      flush,
      int4Array(this.topics.map(({ id }) => id)),
      int8Array(seqs),
      int8Array(this.topics.map(({ dedupWindowMs }) => dedupWindowMs)),
      plannedAt ?? null,
      int4Array(this.partitions.map(({ id }) => id)),
      int8Array(this.partitions.map(({ floor }) => floor)),
      int4Array(hasRefused ? this.#duplicates : []),
      int4Array(this.rows.map(({ slot }) => slot + 1)),
      int4Array(this.rows.map(({ start }) => start)),
      int4Array(this.rows.map(({ count }) => count)),
      int8Array(this.rows.map(({ crc }) => crc)),
      int4Array(this.rows.map(({ topic }) => topic)),
      int4Array(this.rows.map(({ step }) => step)),
      textArray(this.rows.map(({ head }) => head)),
      textArray(this.rows.map(({ body }) => body)),
      int4Array(units.map(({ rows }) => rows.id)),
      int8Array(units.map(({ unit }) => unit.lease.epoch)),
      int8Array(units.map(({ unit }) => unit.from ?? noPosition)),
      int8Array(units.map(({ unit, checkOnly }) => (checkOnly ? noPosition : unit.to))),
      textArray(units.map(({ unit }) => unit.logId)),
      ...this.#stateParameters(),
    ]
  }

  #stateParameters(): readonly unknown[] {
    const stores = this.state.flatMap(({ owned, plan }) => plan.keys.map(() => owned.store))
    const keys = this.state.flatMap(({ plan }) => plan.keys)
    const values = this.state.flatMap(({ plan }) => plan.values)
    const table = [int4Array(stores), textArray(keys), textArray(values)]
    return this.isLogged ? [...table, ...this.#logParameters()] : table
  }

  #logParameters(): readonly unknown[] {
    const added = this.state.filter(({ plan }) => plan.added !== undefined)
    const rows = added.map(({ plan }) => plan.added!)
    const removed = this.state.flatMap(({ owned, plan }) => {
      return plan.removed.map(({ seq }) => ({ store: owned.store, seq }))
    })
    const ends: number[] = []
    for (const { keys } of rows) ends.push((ends.at(-1) ?? 0) + keys.length)
    return [
      int4Array(added.map(({ owned }) => owned.store)),
      int8Array(added.map(({ log }) => log.lastSeq)),
      int8Array(rows.map(({ seq }) => seq)),
      int8Array(added.map(({ log, plan }) => log.firstSeqAfter(plan))),
      int4Array(rows.map(({ keys }, index) => ends[index]! - keys.length + 1)),
      int4Array(ends),
      textArray(rows.flatMap(({ keys }) => keys)),
      textArray(rows.flatMap(({ values }) => values)),
      int4Array(removed.map(({ store }) => store)),
      int8Array(removed.map(({ seq }) => seq)),
    ]
  }
}

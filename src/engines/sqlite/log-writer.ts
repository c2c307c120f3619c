import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { type BatchPlan, type KnownEvent, planAppend } from '../../engine/append-plan.ts'
import { assert, type SemelError } from '../../errors.ts'
import { decodeIds, encodeBatch } from '../../event/batch-codec.ts'
import type { EventRecord } from '../../event/event.ts'
import { fingerprint } from '../../event/fingerprint.ts'
import { type IncomingBatch, IncomingRow, incomingBatch } from './append-request.ts'
import { crashPoint } from './crash-points.ts'
import { FailedCalls } from './failed-calls.ts'
import { hashBytes, idBytes } from './id-hash.ts'
import type { KnownEvents } from './known-events.ts'
import type { LogTables, PartitionEntry, TopicEntry } from './log-tables.ts'
import { placeOf } from './place.ts'
import { QuickPlanner } from './quick-plan.ts'
import { rowChecksum } from './stored-row.ts'
import type { AppendReply, AppendRequest, WireAppended, WireBatch } from './writer-protocol.ts'

/** A row is encoded anew if more of it than this would be dead weight. */
const skippedShareMax = 0.5

interface Planned {
  readonly batches: readonly BatchPlan[]
  readonly failures: ReadonlyMap<number, SemelError>
}

/** What a unit's emitted events come to, decided but not written. */
export interface PlannedEmits {
  readonly batches: readonly IncomingBatch[]
  readonly plans: readonly BatchPlan[]
}

const noFailures: ReadonlyMap<number, SemelError> = new Map()

/** Appends batches to the log inside the writer's transaction, with deduplication (N1, N2, N3) and order (P2). */
export class LogWriter {
  readonly #tables: LogTables
  readonly #known: KnownEvents
  readonly #quick: QuickPlanner
  readonly #insert: StatementSync
  readonly #failed = new FailedCalls()

  constructor(database: DatabaseSync, tables: LogTables, known: KnownEvents) {
    this.#tables = tables
    this.#known = known
    this.#quick = new QuickPlanner(known)
    this.#insert = database.prepare(
      'insert into semel_batch values (?, ?, ?, ?, ?, cast(? as text), ?, cast(? as text))',
    )
  }

  /** All calls of a request were refused by something outside: later ones of theirs must not overtake (P2). */
  noteRejected({ calls, batches }: AppendRequest): void {
    this.#failed.note(calls, batches)
  }

  append(request: AppendRequest, nowMs: number): AppendReply {
    const batches = request.batches.map((wire) => incomingBatch(this.#tables, wire))
    const { batches: plans, failures } = this.#plan(request, batches, nowMs)
    this.#noteFailures(request, failures)
    const stored = batches.map((batch, b) => this.#store(batch, plans[b]!, nowMs))
    return {
      batches: stored,
      failures: [...failures].map(([call, error]) => [call, error.toJSON()] as const),
    }
  }

  /** Emitted events of a unit: duplicates are left out, a conflict refuses the unit before anything is written. */
  planEmits(wires: readonly WireBatch[], nowMs: number): PlannedEmits {
    const batches = wires.map((wire) => incomingBatch(this.#tables, wire))
    const request = { calls: 1, failuresSeen: Number.POSITIVE_INFINITY }
    const { batches: plans, failures } = this.#plan(request, batches, nowMs)
    for (const failure of failures.values()) throw failure
    return { batches, plans }
  }

  storeEmits({ batches, plans }: PlannedEmits, nowMs: number): void {
    for (const [b, batch] of batches.entries()) this.#store(batch, plans[b]!, nowMs)
  }

  #plan(
    request: { readonly calls: number; readonly failuresSeen: number },
    batches: readonly IncomingBatch[],
    nowMs: number,
  ): Planned {
    const isBlocked = (topic: string, partition: number): boolean => {
      return this.#failed.blocks(topic, partition, request.failuresSeen)
    }
    if (!batches.some(({ wire }) => isBlocked(wire.topic, wire.partition))) {
      const quick = this.#quick.plan(batches, nowMs)
      if (quick !== undefined) return { batches: quick, failures: noFailures }
    }
    return this.#fullPlan(request.calls, batches, isBlocked, nowMs)
  }

  /** Decides event by event; decodes what it must compare. */
  #fullPlan(
    calls: number,
    batches: readonly IncomingBatch[],
    isBlocked: (topic: string, partition: number) => boolean,
    nowMs: number,
  ): Planned {
    const group = {
      calls,
      batches: batches.map(({ wire, rows }) => {
        const { topic, partition, callOf, fresh } = wire
        return {
          topic,
          partition,
          callOf,
          fresh,
          ids: rows.flatMap(({ head }) => decodeIds(head.toString())),
        }
      }),
    }
    return planAppend(group, {
      known: (topic, id) => this.#find(this.#tables.topic(topic), id, nowMs),
      remembers: (topic) => this.#tables.topic(topic).dedup !== undefined,
      nextOffset: (topic, partition) => this.#tables.partition(topic, partition).nextOffset,
      blocked: isBlocked,
      content: (b, index) => {
        return { print: undefined, fingerprint: () => fingerprint(recordAt(batches[b]!, index)) }
      },
    })
  }

  #find(topic: TopicEntry, id: string, nowMs: number): KnownEvent | undefined {
    const bytes = idBytes(id)
    const hash = { hi: 0, lo: 0 }
    hashBytes(bytes, 0, bytes.length, this.#tables.hashSeed, hash)
    if (!topic.dedup!.mayKnow(hash.hi, hash.lo)) return undefined
    const { known } = this.#known.find(topic, hash, bytes, nowMs - topic.dedupWindowMs)
    if (known === undefined) return undefined
    const { offset, row, index } = known
    return { offset, print: undefined, fingerprint: () => fingerprint(row.records[index]!) }
  }

  #noteFailures({ batches }: AppendRequest, failures: ReadonlyMap<number, SemelError>): void {
    if (failures.size === 0) return
    const touched = batches.filter(({ callOf }) => {
      return callOf === undefined ? failures.has(0) : callOf.some((call) => failures.has(call))
    })
    this.#failed.note(failures.size, touched)
  }

  #store(batch: IncomingBatch, plan: BatchPlan, nowMs: number): WireAppended {
    const { firstOffset, keep, offsets, duplicates } = plan
    const { head, rows } = batch
    this.#tables.touch(head)
    head.duplicates += duplicates?.size ?? 0
    const kept = keep === undefined ? undefined : new Set(keep)
    if (kept === undefined || kept.size > 0) {
      assert(head.nextOffset === firstOffset, 'nothing comes between a plan and its writes')
      head.appendTime = Math.max(head.appendTime, nowMs)
    }
    for (const row of rows) this.#storeRow(batch, row, kept)
    return { firstOffset, offsets, duplicates: duplicates === undefined ? undefined : [...duplicates] }
  }

  #storeRow(batch: IncomingBatch, row: IncomingRow, kept: ReadonlySet<number> | undefined): void {
    const { head, topic, wire } = batch
    const skips = kept === undefined ? [] : skipsOf(row, kept)
    const count = row.entries - skips.length
    if (count === 0) return
    if (skips.length > row.entries * skippedShareMax) {
      this.#storeRow(batch, withoutSkipped(row, skips), undefined)
      return
    }
    const place = placeOf(head.id, head.nextOffset)
    const frame = {
      place,
      count,
      appendTime: head.appendTime,
      skips: skips.length === 0 ? null : JSON.stringify(skips),
    }
    const crc = rowChecksum(frame, row.head, row.body)
    // Ids that this process made will not come again, so nobody will look for their place in the body.
    const ends = topic.dedup === undefined || wire.fresh ? null : row.ends
    this.#insert.run(place, count, head.appendTime, crc, frame.skips, row.head, ends, row.body)
    head.nextOffset += count
    if (topic.dedup !== undefined) this.#remember(topic, head, row, skips, place)
    crashPoint('writer.row-stored')
  }

  #remember(
    topic: TopicEntry,
    head: PartitionEntry,
    row: IncomingRow,
    skips: readonly number[],
    firstPlace: number,
  ): void {
    const dedup = topic.dedup!
    const hashes = row.hashes(this.#tables.hashSeed)
    const skipped = skips.length === 0 ? undefined : new Set(skips)
    let place = firstPlace
    for (let i = 0; i < row.entries; i++) {
      if (skipped?.has(i)) continue
      dedup.add(hashes[2 * i]!, hashes[2 * i + 1]!, place++, head.appendTime, row.expired?.get(i))
    }
  }
}

function recordAt({ rows }: IncomingBatch, index: number): EventRecord {
  const row = rows.findLast(({ first }) => first <= index)!
  return row.records[index - row.first]!
}

function skipsOf(row: IncomingRow, kept: ReadonlySet<number>): number[] {
  const skips: number[] = []
  for (let i = 0; i < row.entries; i++) if (!kept.has(row.first + i)) skips.push(i)
  return skips
}

function withoutSkipped(row: IncomingRow, skips: readonly number[]): IncomingRow {
  const skipped = new Set(skips)
  const records = row.records.filter((_, i) => !skipped.has(i))
  const { head, body } = encodeBatch(records)
  return new IncomingRow(head, body, records.length, row.first)
}

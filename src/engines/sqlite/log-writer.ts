import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { type Content, type KnownEvent, planAppend } from '../../engine/append-plan.ts'
import { assert, type SemelError } from '../../errors.ts'
import { decodeIds, encodeBatch } from '../../event/batch-codec.ts'
import { fingerprint } from '../../event/fingerprint.ts'
import { type IncomingBatch, IncomingRow, incomingBatch } from './append-request.ts'
import { duplicatesIn, exceptedIn, outcomeOf } from './batch-outcome.ts'
import { crashPoint } from './crash-points.ts'
import { FailedCalls } from './failed-calls.ts'
import { hashId, idBytes } from './id-hash.ts'
import { bytesOf } from './keyed-hash.ts'
import type { BatchEvent, KnownEvents } from './known-events.ts'
import type { LogTables, TopicEntry } from './log-tables.ts'
import { placeOf } from './place.ts'
import { printText } from './prints.ts'
import { QuickPlanner } from './quick-plan.ts'
import { rememberRow } from './remember-row.ts'
import { checksumOn, headChecksum } from './stored-row.ts'
import type { TopicSeals } from './topic-seals.ts'
import { utf8Rows } from './utf8-block.ts'
import type { AppendReply, AppendRequest, WireAppended, WireBatch } from './writer-protocol.ts'

/** A row is encoded anew if more of it than this would be dead weight. */
const skippedShareMax = 0.5

interface Planned {
  readonly outcomes: readonly WireAppended[]
  readonly failures: ReadonlyMap<number, SemelError>
}

/** What a unit's emitted events come to, decided but not written. */
export interface PlannedEmits {
  readonly batches: readonly IncomingBatch[]
  readonly outcomes: readonly WireAppended[]
}

const noFailures: ReadonlyMap<number, SemelError> = new Map()

/** Appends batches to the log inside the writer's transaction, with deduplication (N1, N2, N3) and order (P2). */
export class LogWriter {
  readonly #tables: LogTables
  readonly #seals: TopicSeals
  readonly #known: KnownEvents
  readonly #quick: QuickPlanner
  readonly #insert: StatementSync
  readonly #failed = new FailedCalls()

  constructor(database: DatabaseSync, tables: LogTables, seals: TopicSeals, known: KnownEvents) {
    this.#tables = tables
    this.#seals = seals
    this.#known = known
    this.#quick = new QuickPlanner(known)
    this.#insert = database.prepare(
      'insert into semel_batch values (?, ?, ?, ?, ?, ?, cast(? as text), ?, cast(? as text))',
    )
  }

  /** All calls of a request were refused by something outside: later ones of theirs must not overtake (P2). */
  noteRejected({ calls, batches }: AppendRequest): void {
    this.#failed.note(calls, batches)
  }

  append(request: AppendRequest, nowMs: number): AppendReply {
    const batches = request.batches.map((wire) => incomingBatch(this.#tables, wire))
    const { outcomes, failures } = this.#plan(request, batches, nowMs)
    this.#noteFailures(request, failures)
    for (const [b, batch] of batches.entries()) this.#store(batch, outcomes[b]!, nowMs)
    return {
      batches: outcomes,
      failures: [...failures].map(([call, error]) => [call, error.toJSON()] as const),
    }
  }

  /** Emitted events of a unit: duplicates are left out, a conflict refuses the unit before anything is written. */
  planEmits(wires: readonly WireBatch[], nowMs: number): PlannedEmits {
    const batches = wires.map((wire) => incomingBatch(this.#tables, wire))
    const request = { calls: 1, failuresSeen: Number.POSITIVE_INFINITY }
    const { outcomes, failures } = this.#plan(request, batches, nowMs)
    for (const failure of failures.values()) throw failure
    return { batches, outcomes }
  }

  storeEmits({ batches, outcomes }: PlannedEmits, nowMs: number): void {
    for (const [b, batch] of batches.entries()) this.#store(batch, outcomes[b]!, nowMs)
  }

  #plan(
    request: { readonly calls: number; readonly failuresSeen: number },
    batches: readonly IncomingBatch[],
    nowMs: number,
  ): Planned {
    const isBlocked = (topic: string, partition: number): boolean => {
      return this.#failed.blocks(topic, partition, request.failuresSeen)
    }
    const isRefused = ({ wire: { topic, partition } }: IncomingBatch): boolean => {
      return isBlocked(topic, partition) || this.#seals.obstacle(topic, nowMs) !== undefined
    }
    if (!batches.some(isRefused)) {
      const quick = this.#quick.plan(batches, nowMs)
      if (quick !== undefined) return { outcomes: quick, failures: noFailures }
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
    const plan = planAppend(group, {
      known: (topic, id) => this.#find(this.#tables.topic(topic), id, nowMs),
      remembers: (topic) => this.#tables.topic(topic).dedup !== undefined,
      nextOffset: (topic, partition) => this.#tables.partition(topic, partition).nextOffset,
      blocked: isBlocked,
      obstacle: (topic) => this.#seals.obstacle(topic, nowMs),
      content: (b, index) => contentOf(eventAt(batches[b]!, index)),
    })
    const outcomes = plan.batches.map((batch, b) => outcomeOf(batch, batches[b]!.count))
    return { outcomes, failures: plan.failures }
  }

  #find(topic: TopicEntry, id: string, nowMs: number): KnownEvent | undefined {
    const bytes = idBytes(id)
    const hash = hashId(bytes, this.#tables.idFormat)
    if (!topic.dedup!.mayKnow(hash.hi, hash.lo)) return undefined
    const { known } = this.#known.find(topic, hash, bytes, nowMs - topic.dedupWindowMs)
    return known && { offset: known.offset, ...contentOf(known) }
  }

  #noteFailures({ batches }: AppendRequest, failures: ReadonlyMap<number, SemelError>): void {
    if (failures.size === 0) return
    const touched = batches.filter(({ callOf }) => {
      return callOf === undefined ? failures.has(0) : callOf.some((call) => failures.has(call))
    })
    this.#failed.note(failures.size, touched)
  }

  #store(batch: IncomingBatch, outcome: WireAppended, nowMs: number): void {
    const { head, rows, count } = batch
    this.#tables.touch(head)
    head.duplicates += duplicatesIn(outcome)
    if (count * 2 > (outcome.exceptions?.length ?? 0)) {
      assert(head.nextOffset === outcome.firstOffset, 'nothing comes between a plan and its writes')
      head.appendTime = Math.max(head.appendTime, nowMs)
    }
    for (const row of rows) {
      this.#storeRow(batch, row, exceptedIn(outcome, row.first, row.first + row.entries))
    }
  }

  #storeRow(batch: IncomingBatch, row: IncomingRow, skips: readonly number[]): void {
    const { head, topic, wire } = batch
    const count = row.entries - skips.length
    if (count === 0) return
    if (skips.length > row.entries * skippedShareMax) {
      this.#storeRow(batch, this.#withoutSkipped(row, skips), [])
      return
    }
    const place = placeOf(head.id, head.nextOffset)
    const frame = {
      place,
      count,
      appendTime: head.appendTime,
      skips: skips.length === 0 ? null : JSON.stringify(skips),
    }
    const headCrc = headChecksum(frame, row.head)
    const crc = checksumOn(headCrc, row.body)
    // Ids that this process made will not come again, so nobody will ask for their content.
    const prints = topic.dedup === undefined || wire.fresh ? null : bytesOf(row.prints)
    const printsCrc = prints === null ? null : checksumOn(headCrc, prints)
    const { appendTime } = head
    this.#insert.run(place, count, appendTime, crc, printsCrc, frame.skips, row.head, prints, row.body)
    head.nextOffset += count
    if (topic.dedup !== undefined) {
      const marks = prints === null ? undefined : row.marks
      const ids = { hashes: row.ids.hashes, marks, skips, expired: row.expired }
      rememberRow(topic.dedup, ids, place, appendTime)
    }
    crashPoint('writer.row-stored')
  }

  #withoutSkipped(row: IncomingRow, skips: readonly number[]): IncomingRow {
    const skipped = new Set(skips)
    const records = row.records.filter((_, i) => !skipped.has(i))
    const [wire] = utf8Rows([{ ...encodeBatch(records), count: records.length }])
    return new IncomingRow(wire!, row.first, this.#tables.idFormat)
  }
}

function eventAt({ rows }: IncomingBatch, index: number): BatchEvent {
  const row = rows.findLast(({ first }) => first <= index)!
  return { row, index: index - row.first }
}

function contentOf({ row, index }: BatchEvent): Content {
  return { print: printText(row.prints, index), fingerprint: () => fingerprint(row.records[index]!) }
}

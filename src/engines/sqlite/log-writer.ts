import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { type AppendPlan, type Content, type KnownEvent, planAppend } from '../../engine/append-plan.ts'
import { assert, SemelError } from '../../errors.ts'
import {
  type BatchIds,
  decodeBatch,
  decodeIds,
  decodePrints,
  type EncodedBatch,
  encodeBatch,
  selectFromBatch,
} from '../../event/batch-codec.ts'
import type { EventRecord } from '../../event/event.ts'
import { fingerprint, printAt } from '../../event/fingerprint.ts'
import type { LogTables, PartitionEntry, TopicEntry } from './log-tables.ts'
import { offsetOf, placeOf } from './place.ts'
import { toWire } from './sqlite-errors.ts'
import type { AppendReply, AppendRequest, WireAppended, WireBatch } from './writer-protocol.ts'

/**
 * Appends batches to the log inside the writer's transaction, with deduplication (N1, N2, N3) and order (P2).
 *
 * The fast path: no id of the group may be known, so every batch is stored as the text it came in. Otherwise the
 * batches are decoded and the shared plan decides event by event.
 */
export class LogWriter {
  readonly #tables: LogTables
  readonly #now: () => number
  readonly #insert: StatementSync
  readonly #rowAt: StatementSync
  readonly #bodyAt: StatementSync
  /** Failed calls reported so far, and the last count at which each partition was hit (P2). */
  #failures = 0
  readonly #failedAt = new Map<string, number>()

  constructor(database: DatabaseSync, tables: LogTables, now: () => number) {
    this.#tables = tables
    this.#now = now
    this.#insert = database.prepare(
      'insert into semel_batch (place, count, append_time, crc, head, body) values (?, ?, ?, ?, ?, ?)',
    )
    this.#rowAt = database.prepare(
      'select place, count, append_time, head from semel_batch where place <= ? order by place desc limit 1',
    )
    this.#bodyAt = database.prepare('select body from semel_batch where place = ?')
  }

  /** All calls of a request were refused by something outside: later ones of theirs must not overtake (P2). */
  noteRejected(request: AppendRequest): void {
    this.#failures += request.calls
    for (const { topic, partition } of request.batches)
      this.#failedAt.set(`${topic}/${partition}`, this.#failures)
  }

  append(request: AppendRequest): AppendReply {
    const heads = request.batches.map((batch) => this.#headOf(batch))
    if (this.#isSurelyNew(request)) {
      return { batches: request.batches.map((batch, b) => this.#store(batch, heads[b]!)), failures: [] }
    }
    return this.#appendPlanned(request)
  }

  /** Emitted events of a unit: duplicates are left out, a conflict refuses the unit. */
  appendEmitted(batches: readonly WireBatch[]): void {
    const request: AppendRequest = {
      op: 'append',
      calls: 1,
      failuresSeen: Number.POSITIVE_INFINITY,
      durability: 'fsync',
      batches,
    }
    if (this.#isSurelyNew(request)) {
      for (const batch of batches) this.#store(batch, this.#headOf(batch))
      return
    }
    const plan = this.#plan(request)
    const failure = plan.failures.get(0)
    if (failure !== undefined) throw failure
    this.#storePlanned(request, plan)
  }

  #isSurelyNew(request: AppendRequest): boolean {
    if (
      request.failuresSeen < this.#failures &&
      request.batches.some((batch) => this.#isBlocked(batch, request))
    )
      return false
    let explicit = 0
    for (const batch of request.batches) {
      const { dedup } = this.#tables.topic(batch.topic)
      if (dedup === undefined || batch.fresh) continue
      explicit++
      const ids = decodeIds(batch.head)
      if (ids.some((id) => dedup.mayKnow(id)) || new Set(ids).size < ids.length) return false
    }
    // One id may come twice in one call, under keys of different partitions.
    return explicit < 2 || allDistinct(request.batches)
  }

  #isBlocked(batch: { topic: string; partition: number }, request: AppendRequest): boolean {
    return (this.#failedAt.get(`${batch.topic}/${batch.partition}`) ?? 0) > request.failuresSeen
  }

  #appendPlanned(request: AppendRequest): AppendReply {
    const plan = this.#plan(request)
    for (const [call] of plan.failures) this.#noteFailure(request, call)
    const batches = this.#storePlanned(request, plan)
    return {
      batches,
      failures: [...plan.failures].map(([call, error]) => [call, toWire(error, '')] as const),
    }
  }

  #plan(request: AppendRequest): AppendPlan {
    const heads = request.batches.map((batch) => decodePrints(batch.head))
    const batches = request.batches.map(({ topic, partition, callOf, fresh }, b) => {
      return { topic, partition, callOf, fresh, ids: heads[b]!.ids }
    })
    return planAppend(
      { calls: request.calls, batches },
      {
        known: (topic, id) => this.#known(this.#tables.topic(topic), id),
        remembers: (topic) => this.#tables.topic(topic).dedup !== undefined,
        nextOffset: (topic, partition) => this.#tables.topic(topic).partitions[partition]!.nextOffset,
        blocked: (topic, partition) => this.#isBlocked({ topic, partition }, request),
        content: (b, index) => contentOf(heads[b]!, index, () => decodeBatch(request.batches[b]!)[index]!),
      },
    )
  }

  #storePlanned(request: AppendRequest, plan: AppendPlan): WireAppended[] {
    return request.batches.map((batch, b) => {
      const { firstOffset, keep, offsets, duplicates } = plan.batches[b]!
      const head = this.#headOf(batch)
      if (duplicates !== undefined) {
        head.duplicates += duplicates.size
        head.dirty = true
      }
      if (keep === undefined) this.#store(batch, head)
      else if (keep.length > 0) this.#store({ ...batch, ...select(batch, keep), count: keep.length }, head)
      return { firstOffset, offsets, duplicates: duplicates === undefined ? undefined : [...duplicates] }
    })
  }

  #store(batch: WireBatch, head: PartitionEntry): WireAppended {
    const topic = this.#tables.topic(batch.topic)
    const firstOffset = head.nextOffset
    const place = placeOf(head.id, firstOffset)
    head.appendTime = Math.max(head.appendTime, this.#now())
    head.nextOffset += batch.count
    head.dirty = true
    this.#insert.run(
      place,
      batch.count,
      head.appendTime,
      batchChecksum(batch.head, batch.body),
      batch.head,
      batch.body,
    )
    if (topic.dedup !== undefined) {
      const ids = decodeIds(batch.head)
      assert(ids.length === batch.count, 'a batch has one id per event')
      for (let i = 0; i < ids.length; i++) topic.dedup.remember(ids[i]!, place + i, head.appendTime)
      head.indexedTo = head.nextOffset
    }
    return { firstOffset, offsets: undefined, duplicates: undefined }
  }

  /** The first event with this id that is still inside the topic's window. */
  #known(topic: TopicEntry, id: string): KnownEvent | undefined {
    const since = this.#now() - topic.dedupWindowMs
    for (const place of topic.dedup!.candidates(id)) {
      const row = this.#rowAt.get(place)
      if (row === undefined) continue
      const index = place - Number(row.place)
      // A place whose row is gone was passed by retention; its id went with it.
      if (index >= Number(row.count) || Number(row.append_time) <= since) continue
      const head = String(row.head)
      const stored = decodePrints(head)
      if (stored.ids[index] !== id) continue
      const decode = (): EventRecord =>
        decodeBatch({ head, body: String(this.#bodyAt.get(Number(row.place))?.body) })[index]!
      const { print, fingerprint: exact } = contentOf(stored, index, decode)
      return { offset: offsetOf(place), print, fingerprint: exact }
    }
    return undefined
  }

  #noteFailure(request: AppendRequest, call: number): void {
    this.#failures++
    for (const batch of request.batches) {
      const touched = batch.callOf === undefined ? call === 0 : batch.callOf.includes(call)
      if (touched) this.#failedAt.set(`${batch.topic}/${batch.partition}`, this.#failures)
    }
  }

  #headOf(batch: WireBatch): PartitionEntry {
    const head = this.#tables.topic(batch.topic).partitions[batch.partition]
    if (head !== undefined) return head
    throw new SemelError('UNKNOWN_TOPIC', `topic ${batch.topic} has no partition ${batch.partition}`, {
      field: 'partition',
    })
  }
}

/** CRC-32 over both texts of a batch. Written with it, compared at every read (F3). */
export function batchChecksum(head: string, body: string): number {
  return crc32(body, crc32(head))
}

function contentOf(head: BatchIds, index: number, decode: () => EventRecord): Content {
  const print = head.prints === undefined ? undefined : printAt(head.prints, index)
  return { print, fingerprint: () => fingerprint(decode()) }
}

function select(batch: WireBatch, keep: readonly number[]): EncodedBatch {
  if (batch.ends !== undefined) return selectFromBatch({ ...batch, ends: batch.ends }, keep)
  const records = decodeBatch(batch)
  return encodeBatch(keep.map((index) => records[index]!))
}

function allDistinct(batches: readonly WireBatch[]): boolean {
  const seen = new Set<string>()
  for (const batch of batches) {
    for (const id of decodeIds(batch.head)) {
      const name = `${batch.topic}\u0000${id}`
      if (seen.has(name)) return false
      seen.add(name)
    }
  }
  return true
}

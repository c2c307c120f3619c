import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { hashId } from './hash-id.ts'
import { HotIds } from './hot-ids.ts'
import { IdFilter } from './id-filter.ts'

/** Ids in memory before they are sealed: at most this many, and about as many again while a seal is under way. */
const hotIdsMax = 2 ** 18
const chunkEntriesMax = 512
/** Chunks written per transaction while sealing, so that no commit waits for a whole seal. */
const chunksPerStep = 32

interface Segment {
  readonly id: number
  readonly filter: IdFilter
  readonly newestMs: number
  readonly entries: number
}

interface Sealing {
  readonly ids: HotIds
  readonly segmentId: number
  readonly hashes: Float64Array
  readonly places: Float64Array
  readonly newestMs: number
  /** Offset per partition up to which all ids are in this seal or earlier ones. */
  readonly sealedTo: ReadonlyMap<number, number>
  next: number
}

/**
 * The ids of one topic inside its window (N1 to N5): hash to place of the first event with that id.
 *
 * HOT ids are a table in memory, rebuilt from the log at open. When it is full it becomes SEALING: written in
 * steps, inside the transactions that come anyway, as chunks sorted by hash. Then it is a SEGMENT: on disk, with a
 * small filter in memory. Segments whose newest id is out of the window are dropped whole.
 * Everything found is only a candidate; the caller compares with the id in the log row.
 */
export class DedupIndex {
  readonly #database: DatabaseSync
  readonly #topicId: number
  #hot = new HotIds()
  #hotNewestMs = 0
  #sealing: Sealing | undefined
  #segments: Segment[] = []
  readonly #chunkOf: StatementSync
  readonly #insertChunk: StatementSync

  constructor(database: DatabaseSync, topicId: number) {
    this.#database = database
    this.#topicId = topicId
    this.#chunkOf = database.prepare(
      'select entries from semel_dedup_chunk where segment_id = ? and first_hash <= ? order by first_hash desc limit 1',
    )
    this.#insertChunk = database.prepare('insert into semel_dedup_chunk values (?, ?, ?)')
  }

  get idsInMemory(): number {
    return this.#hot.size + (this.#sealing?.ids.size ?? 0)
  }

  get idsSealed(): number {
    return this.#segments.reduce((sum, { entries }) => sum + entries, 0)
  }

  get bytesInMemory(): number {
    const filters = this.#segments.reduce((sum, { filter }) => sum + filter.bytes.length, 0)
    return this.#hot.bytes + (this.#sealing?.ids.bytes ?? 0) + filters
  }

  /** Loads the filters of sealed segments; answers the partitions' offsets from which the log must be read. */
  load(): Map<number, number> {
    this.#hot = new HotIds()
    this.#sealing = undefined
    const rows = this.#database
      .prepare(
        'select id, entries, newest_ms, filter from semel_dedup_segment where topic_id = ? order by id',
      )
      .all(this.#topicId)
    this.#segments = rows.map((row) => ({
      id: Number(row.id),
      entries: Number(row.entries),
      newestMs: Number(row.newest_ms),
      filter: new IdFilter(row.filter instanceof Uint8Array ? row.filter : new Uint8Array(64)),
    }))
    const marks = this.#database
      .prepare(
        'select partition_id, sealed_to from semel_dedup_mark where partition_id in (select id from semel_partition where topic_id = ?)',
      )
      .all(this.#topicId)
    return new Map(marks.map((mark) => [Number(mark.partition_id), Number(mark.sealed_to)]))
  }

  /** Whether this process knows all segments there are. */
  isCurrent(newestSegmentId: number): boolean {
    return (this.#segments.at(-1)?.id ?? 0) === newestSegmentId
  }

  remember(id: string, place: number, appendMs: number): void {
    this.#hot.add(hashId(id), place)
    if (appendMs > this.#hotNewestMs) this.#hotNewestMs = appendMs
  }

  /** `false`: the id is surely new. */
  mayKnow(id: string): boolean {
    const hash = hashId(id)
    if (this.#hot.has(hash) || this.#sealing?.ids.has(hash) === true) return true
    return this.#segments.some(({ filter }) => filter.mayHold(hash))
  }

  /** Places of all events whose id has the same hash, the newest generation first. */
  candidates(id: string): number[] {
    const hash = hashId(id)
    const found = this.#hot.find(hash)
    if (this.#sealing !== undefined) found.push(...this.#sealing.ids.find(hash))
    for (let i = this.#segments.length - 1; i >= 0; i--) {
      const segment = this.#segments[i]!
      if (segment.filter.mayHold(hash)) found.push(...this.#findSealed(segment.id, hash))
    }
    return found
  }

  /** Does a bounded piece of sealing, inside the caller's transaction. `ends` are the partitions' next offsets. */
  step(ends: ReadonlyMap<number, number>, forgetBeforeMs: number): void {
    if (this.#sealing !== undefined) this.#sealStep(this.#sealing)
    else if (this.#hot.size >= hotIdsMax) this.#startSeal(ends, forgetBeforeMs)
  }

  #startSeal(ends: ReadonlyMap<number, number>, forgetBeforeMs: number): void {
    this.#dropExpired(forgetBeforeMs)
    const row = this.#database
      .prepare('select coalesce(max(segment_id), 0) as id from semel_dedup_chunk')
      .get()
    const sealed = this.#database.prepare('select coalesce(max(id), 0) as id from semel_dedup_segment').get()
    const segmentId = Math.max(Number(row?.id), Number(sealed?.id)) + 1
    const ids = this.#hot
    this.#hot = new HotIds(hotIdsMax * 2)
    this.#sealing = {
      ids,
      segmentId,
      ...ids.sorted(),
      newestMs: this.#hotNewestMs,
      sealedTo: new Map(ends),
      next: 0,
    }
  }

  #sealStep(sealing: Sealing): void {
    const { hashes, places, segmentId } = sealing
    for (let chunk = 0; chunk < chunksPerStep && sealing.next < hashes.length; chunk++) {
      let end = Math.min(hashes.length, sealing.next + chunkEntriesMax)
      // Equal hashes stay in one chunk, so that one look finds them all.
      while (end < hashes.length && hashes[end] === hashes[end - 1]) end++
      const entries = new Float64Array((end - sealing.next) * 2)
      entries.set(hashes.subarray(sealing.next, end), 0)
      entries.set(places.subarray(sealing.next, end), end - sealing.next)
      this.#insertChunk.run(segmentId, hashes[sealing.next]!, new Uint8Array(entries.buffer))
      sealing.next = end
    }
    if (sealing.next === hashes.length) this.#finishSeal(sealing)
  }

  #finishSeal(sealing: Sealing): void {
    const filter = IdFilter.of(sealing.hashes)
    const { segmentId: id, newestMs } = sealing
    const entries = sealing.hashes.length
    this.#database
      .prepare('insert into semel_dedup_segment values (?, ?, 0, ?, ?, ?)')
      .run(id, this.#topicId, entries, newestMs, filter.bytes)
    const mark = this.#database.prepare(
      'insert into semel_dedup_mark values (?, ?) on conflict do update set sealed_to = max(sealed_to, excluded.sealed_to)',
    )
    for (const [partitionId, sealedTo] of sealing.sealedTo) mark.run(partitionId, sealedTo)
    this.#segments.push({ id, filter, newestMs, entries })
    this.#sealing = undefined
  }

  #dropExpired(forgetBeforeMs: number): void {
    for (const { id, newestMs } of this.#segments) {
      if (newestMs >= forgetBeforeMs) continue
      this.#database.prepare('delete from semel_dedup_chunk where segment_id = ?').run(id)
      this.#database.prepare('delete from semel_dedup_segment where id = ?').run(id)
    }
    this.#segments = this.#segments.filter(({ newestMs }) => newestMs >= forgetBeforeMs)
  }

  #findSealed(segmentId: number, hash: number): number[] {
    const row = this.#chunkOf.get(segmentId, hash)
    if (!(row?.entries instanceof Uint8Array)) return []
    const { buffer, byteOffset, byteLength } = row.entries
    const entries = new Float64Array(buffer.slice(byteOffset, byteOffset + byteLength))
    const count = entries.length / 2
    const found: number[] = []
    let low = 0
    let high = count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (entries[middle]! < hash) low = middle + 1
      else high = middle
    }
    for (; low < count && entries[low] === hash; low++) found.push(entries[count + low]!)
    return found
  }
}

import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { TopicSpec } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import { DedupIndex } from './dedup-index.ts'
import { plainEntryBytes } from './id-chunk.ts'
import type { IdFormat } from './id-format.ts'
import { type GenerationRow, type GenerationRows, IdGeneration } from './id-generation.ts'
import { offsetOf, partitionIdMax, partitionIdOf, placeOf } from './place.ts'
import { rememberStoredRow } from './remember-row.ts'
import { checkContradiction } from './topic-contradiction.ts'

/** What is in the file that this process has not seen: after a start, that is all of it. */
export type Unseen = 'nothing' | 'of others' | 'all'

const neverRead = -1

/** What the writer knows of a topic. */
export interface TopicEntry {
  readonly id: number
  readonly name: string
  readonly partitions: readonly PartitionEntry[]
  dedupWindowMs: number
  /** Ids inside the window; absent where the topic asks for none. */
  dedup: DedupIndex | undefined
  /** Its generations changed since somebody looked whether some should become one. */
  mayMerge: boolean
}

/** What a transaction changes of a partition. */
export interface HeadState {
  nextOffset: number
  appendTime: number
  duplicates: number
}

/** Head of a partition. Changed in memory as the transaction goes, written once at its end. */
export interface PartitionEntry extends HeadState {
  readonly id: number
  readonly partition: number
  dirty: boolean
  /** As the file has it: what a rollback goes back to. */
  committed: HeadState
  /** Offset up to which the dedup index knows the partition's ids. */
  indexedTo: number
  /** Offset up to which the ids are in sealed generations. */
  sealedTo: number
}

/**
 * The writer's picture of topics, partition heads and ids. It is only trusted inside a transaction, after
 * `catchUp` compared it with what other processes committed.
 */
export class LogTables {
  readonly #database: DatabaseSync
  readonly #generationRows: GenerationRows
  readonly idFormat: IdFormat
  readonly #topics = new Map<string, TopicEntry>()
  readonly #dirty: PartitionEntry[] = []
  readonly #readDataVersion: StatementSync
  readonly #updateHead: StatementSync
  readonly #rowsToIndex: StatementSync
  #dataVersion = neverRead
  #declared = false

  constructor(database: DatabaseSync, generationRows: GenerationRows, idFormat: IdFormat) {
    this.#database = database
    this.#generationRows = generationRows
    this.idFormat = idFormat
    this.#readDataVersion = database.prepare('pragma data_version')
    this.#updateHead = database.prepare(
      'update semel_partition set next_offset = ?, append_time = ?, duplicates = ? where id = ?',
    )
    this.#rowsToIndex = database.prepare(
      `select place, count, append_time, skips, prints_crc, cast(head as blob) as head, prints from semel_batch
       where place >= ? and place < ? order by place`,
    )
  }

  get topics(): Iterable<TopicEntry> {
    return this.#topics.values()
  }

  topic(name: string): TopicEntry {
    const topic = this.#topics.get(name)
    if (topic !== undefined) return topic
    throw new SemelError('UNKNOWN_TOPIC', `topic ${name} does not exist in this file`, { field: 'topic' })
  }

  partition(topic: string, partition: number): PartitionEntry {
    const head = this.topic(topic).partitions[partition]
    if (head !== undefined) return head
    throw new SemelError('UNKNOWN_TOPIC', `topic ${topic} has no partition ${partition}`, {
      field: 'partition',
    })
  }

  /** The latest append time of all partitions: the append clock never shows less (R2, N3). */
  latestAppendTime(): number {
    let latest = 0
    for (const { partitions } of this.#topics.values()) {
      for (const { appendTime } of partitions) if (appendTime > latest) latest = appendTime
    }
    return latest
  }

  /** Called first in every transaction: takes in what other processes committed. Answers what there was. */
  catchUp(nowMs: number): Unseen {
    const version = Number(this.#readDataVersion.get()?.data_version)
    if (version === this.#dataVersion) return 'nothing'
    this.#readTopics()
    for (const topic of this.#topics.values()) this.#catchUpIds(topic, nowMs)
    const isFirst = this.#dataVersion === neverRead
    this.#dataVersion = version
    return isFirst ? 'all' : 'of others'
  }

  /** A head is about to change. */
  touch(head: PartitionEntry): void {
    if (head.dirty) return
    head.dirty = true
    this.#dirty.push(head)
  }

  /** Writes changed heads. The last thing before commit. */
  flush(): void {
    for (const { id, nextOffset, appendTime, duplicates } of this.#dirty) {
      this.#updateHead.run(nextOffset, appendTime, duplicates, id)
    }
  }

  /** The transaction is durable. */
  keep(): void {
    for (const head of this.#dirty) {
      const { nextOffset, appendTime, duplicates } = head
      head.committed = { nextOffset, appendTime, duplicates }
      head.indexedTo = nextOffset
      head.dirty = false
    }
    this.#dirty.length = 0
    this.#declared = false
    for (const { dedup } of this.#topics.values()) dedup?.keep()
  }

  /** The transaction was rolled back: memory goes back to what the file says. */
  undo(): void {
    for (const head of this.#dirty) {
      Object.assign(head, head.committed)
      head.dirty = false
    }
    this.#dirty.length = 0
    for (const { dedup } of this.#topics.values()) dedup?.undo()
    if (!this.#declared) return
    // Topics that were created, or windows that were changed, are known again as the file has them.
    this.#declared = false
    this.#topics.clear()
    this.#dataVersion = neverRead
  }

  /** Creates missing topics; TOPIC_CONTRADICTION before anything is written. */
  declare(specs: readonly TopicSpec[]): void {
    for (const spec of specs) checkContradiction(spec, this.#topics.get(spec.name))
    let partitions = 0
    for (const topic of this.#topics.values()) partitions += topic.partitions.length
    for (const spec of specs) if (!this.#topics.has(spec.name)) partitions += spec.partitions
    if (partitions > partitionIdMax) {
      throw new SemelError(
        'TOO_LARGE',
        `a file holds at most ${partitionIdMax} partitions, not ${partitions}`,
        {
          field: 'partitions',
          limit: partitionIdMax,
          actual: partitions,
        },
      )
    }
    for (const spec of specs) {
      const known = this.#topics.get(spec.name)
      if (known === undefined) this.#create(spec)
      else if (known.dedupWindowMs !== spec.dedupWindowMs) this.#changeWindow(known, spec.dedupWindowMs)
    }
  }

  #create({ name, partitions: count, dedupWindowMs }: TopicSpec): void {
    this.#declared = true
    const { lastInsertRowid } = this.#database
      .prepare('insert into semel_topic (name, dedup_window_ms) values (?, ?)')
      .run(name, dedupWindowMs)
    const id = Number(lastInsertRowid)
    const insert = this.#database.prepare('insert into semel_partition (topic_id, partition) values (?, ?)')
    const partitions = Array.from({ length: count }, (_, partition) => {
      const partitionId = Number(insert.run(id, partition).lastInsertRowid)
      return newHead(partitionId, partition, { nextOffset: 0, appendTime: 0, duplicates: 0 })
    })
    const dedup = dedupWindowMs > 0 ? new DedupIndex() : undefined
    this.#topics.set(name, { id, name, partitions, dedupWindowMs, dedup, mayMerge: false })
  }

  #changeWindow(topic: TopicEntry, windowMs: number): void {
    this.#declared = true
    this.#database.prepare('update semel_topic set dedup_window_ms = ? where id = ?').run(windowMs, topic.id)
    topic.dedupWindowMs = windowMs
  }

  #readTopics(): void {
    const rows = this.#database
      .prepare(
        `select t.id as topic_id, t.name, t.dedup_window_ms, p.id, p.partition, p.next_offset, p.append_time, p.duplicates
         from semel_topic t join semel_partition p on p.topic_id = t.id order by t.id, p.partition`,
      )
      .all()
    for (const row of rows) {
      const name = String(row.name)
      const topic = this.#topics.get(name)
      const state = {
        nextOffset: Number(row.next_offset),
        appendTime: Number(row.append_time),
        duplicates: Number(row.duplicates),
      }
      const known = topic?.partitions[Number(row.partition)]
      if (known !== undefined) Object.assign(known, state, { committed: state })
      else this.#addHead(row, newHead(Number(row.id), Number(row.partition), state))
      if (topic !== undefined) topic.dedupWindowMs = Number(row.dedup_window_ms)
    }
  }

  #addHead(row: Record<string, unknown>, head: PartitionEntry): void {
    const name = String(row.name)
    const topic = this.#topics.get(name)
    if (topic !== undefined) {
      // A topic's partitions are created with it, in order, so this only goes on where the last row ended.
      Object.assign(topic, { partitions: [...topic.partitions, head] })
      return
    }
    const dedupWindowMs = Number(row.dedup_window_ms)
    const dedup = dedupWindowMs > 0 ? new DedupIndex() : undefined
    this.#topics.set(name, {
      id: Number(row.topic_id),
      name,
      partitions: [head],
      dedupWindowMs,
      dedup,
      mayMerge: true,
    })
  }

  /** Brings the id index up to the heads: loads new generations, then reads the ids of rows it has not seen. */
  #catchUpIds(topic: TopicEntry, nowMs: number): void {
    const { dedup } = topic
    if (dedup === undefined) return
    this.#loadGenerations(topic, dedup)
    this.#forgetSealed(topic, dedup)
    const before = nowMs - topic.dedupWindowMs
    for (const head of topic.partitions) this.#indexRows(dedup, head, before)
    dedup.keep()
  }

  #loadGenerations(topic: TopicEntry, dedup: DedupIndex): void {
    const known = new Map(dedup.generations.map((generation) => [generation.row.id, generation]))
    const rows = this.#database
      .prepare('select * from semel_id_generation where topic_id = ? order by rank')
      .all(topic.id)
    const isSame = rows.length === known.size && rows.every(({ id }) => known.has(Number(id)))
    if (isSame) return
    topic.mayMerge = true
    dedup.setGenerations(
      rows.map((row) => known.get(Number(row.id)) ?? this.#loadGeneration(generationOf(row))),
    )
  }

  #loadGeneration(row: GenerationRow): IdGeneration {
    const filter = this.#generationRows.readFilter(row.id, row.entries)
    return new IdGeneration(row, filter, this.#generationRows)
  }

  #forgetSealed(topic: TopicEntry, dedup: DedupIndex): void {
    const rows = this.#database
      .prepare('select id, partition, sealed_to from semel_partition where topic_id = ?')
      .all(topic.id)
    const sealedTo = new Map(rows.map((row) => [Number(row.id), Number(row.sealed_to)]))
    if (topic.partitions.every((head) => head.sealedTo === sealedTo.get(head.id))) return
    for (const head of topic.partitions) {
      head.sealedTo = sealedTo.get(head.id) ?? 0
      head.indexedTo = Math.max(head.indexedTo, head.sealedTo)
    }
    dedup.forgetSealed((place) => offsetOf(place) < (sealedTo.get(partitionIdOf(place)) ?? 0))
  }

  #indexRows(dedup: DedupIndex, head: PartitionEntry, beforeMs: number): void {
    if (head.indexedTo >= head.nextOffset) return
    const from = placeOf(head.id, head.indexedTo)
    for (const row of this.#rowsToIndex.iterate(from, placeOf(head.id, head.nextOffset))) {
      if (Number(row.append_time) > beforeMs) rememberStoredRow(dedup, row, this.idFormat)
    }
    head.indexedTo = head.nextOffset
  }
}

function newHead(id: number, partition: number, state: HeadState): PartitionEntry {
  return { ...state, id, partition, dirty: false, committed: state, indexedTo: 0, sealedTo: 0 }
}

function generationOf(row: Record<string, unknown>): GenerationRow {
  return {
    id: Number(row.id),
    rank: Number(row.rank),
    entries: Number(row.entries),
    chunks: Number(row.chunks),
    oldestMs: Number(row.oldest_ms),
    newestMs: Number(row.newest_ms),
    // A file of format 1 has no such column.
    entryBytes: Number(row.entry_bytes ?? plainEntryBytes),
  }
}

import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { TopicSpec } from '../../engine/engine.ts'
import { assert, SemelError } from '../../errors.ts'
import { decodeIds } from '../../event/batch-codec.ts'
import { DedupIndex } from './dedup-index.ts'
import { partitionIdMax, placeOf } from './place.ts'

/** What the writer knows of a topic. */
export interface TopicEntry {
  readonly id: number
  readonly name: string
  readonly partitions: readonly PartitionEntry[]
  dedupWindowMs: number
  /** Ids inside the window; absent where the topic asks for none. */
  dedup: DedupIndex | undefined
}

/** Head of a partition. Changed in memory as the transaction goes, written once at its end. */
export interface PartitionEntry {
  readonly id: number
  readonly partition: number
  nextOffset: number
  appendTime: number
  duplicates: number
  dirty: boolean
  /** Offset up to which the dedup index knows the partition's ids. */
  indexedTo: number
}

/**
 * The writer's picture of topics, partition heads and ids. It is only trusted inside a transaction, after
 * `catchUp` compared it with what other processes committed.
 */
export class LogTables {
  readonly #database: DatabaseSync
  readonly #topics = new Map<string, TopicEntry>()
  readonly #readDataVersion: StatementSync
  readonly #updateHead: StatementSync
  #dataVersion = -1

  constructor(database: DatabaseSync) {
    this.#database = database
    this.#readDataVersion = database.prepare('pragma data_version')
    this.#updateHead = database.prepare(
      'update semel_partition set next_offset = ?, append_time = ?, duplicates = ? where id = ?',
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

  /** Called first in every transaction: takes in what other processes committed. Answers whether there was any. */
  catchUp(): boolean {
    const version = Number(this.#readDataVersion.get()?.data_version)
    if (version === this.#dataVersion) return false
    this.#dataVersion = version
    this.#readTopics()
    const newest = this.#newestSegments()
    for (const topic of this.#topics.values()) this.#catchUpIds(topic, newest.get(topic.id) ?? 0)
    return true
  }

  /** Forgets everything; used after a rollback, when memory is ahead of the file. */
  forget(): void {
    this.#topics.clear()
    this.#dataVersion = -1
  }

  /** Creates missing topics; TOPIC_CONTRADICTION before anything is written. */
  declare(specs: readonly TopicSpec[]): void {
    for (const spec of specs) checkContradiction(spec, this.#topics.get(spec.name))
    for (const spec of specs) {
      const known = this.#topics.get(spec.name)
      if (known === undefined) this.#create(spec)
      else if (known.dedupWindowMs !== spec.dedupWindowMs) this.#changeWindow(known, spec.dedupWindowMs)
    }
  }

  /** Writes changed heads. The last thing before commit. */
  flush(): void {
    for (const topic of this.#topics.values()) {
      for (const head of topic.partitions) {
        if (!head.dirty) continue
        head.dirty = false
        this.#updateHead.run(head.nextOffset, head.appendTime, head.duplicates, head.id)
      }
    }
  }

  #create(spec: TopicSpec): void {
    const { lastInsertRowid } = this.#database
      .prepare('insert into semel_topic (name, partitions, dedup_window_ms) values (?, ?, ?)')
      .run(spec.name, spec.partitions, spec.dedupWindowMs)
    const topicId = Number(lastInsertRowid)
    const insert = this.#database.prepare('insert into semel_partition (topic_id, partition) values (?, ?)')
    const partitions: PartitionEntry[] = []
    for (let partition = 0; partition < spec.partitions; partition++) {
      const id = Number(insert.run(topicId, partition).lastInsertRowid)
      if (id > partitionIdMax)
        throw new SemelError('TOO_LARGE', 'this file holds too many partitions', { limit: partitionIdMax })
      partitions.push({
        id,
        partition,
        nextOffset: 0,
        appendTime: 0,
        duplicates: 0,
        dirty: false,
        indexedTo: 0,
      })
    }
    const dedup = spec.dedupWindowMs > 0 ? new DedupIndex(this.#database, topicId) : undefined
    this.#topics.set(spec.name, {
      id: topicId,
      name: spec.name,
      partitions,
      dedupWindowMs: spec.dedupWindowMs,
      dedup,
    })
  }

  #changeWindow(topic: TopicEntry, windowMs: number): void {
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
    const before = new Map(this.#topics)
    const partitions = new Map<string, PartitionEntry[]>()
    for (const row of rows) {
      const name = String(row.name)
      const known = before.get(name)
      const list = partitions.get(name) ?? []
      partitions.set(name, list)
      const indexedTo = known?.partitions[Number(row.partition)]?.indexedTo ?? 0
      list.push(headOf(row, indexedTo))
      if (list.length === 1) {
        const dedupWindowMs = Number(row.dedup_window_ms)
        const id = Number(row.topic_id)
        this.#topics.set(name, { id, name, partitions: list, dedupWindowMs, dedup: known?.dedup })
      }
    }
  }

  #newestSegments(): Map<number, number> {
    const rows = this.#database
      .prepare('select topic_id, max(id) as id from semel_dedup_segment group by topic_id')
      .all()
    return new Map(rows.map((row) => [Number(row.topic_id), Number(row.id)]))
  }

  /** Brings the id index up to the heads: loads new segments, then reads the ids of rows it has not seen. */
  #catchUpIds(topic: TopicEntry, newestSegment: number): void {
    if (topic.dedupWindowMs === 0) return
    if (topic.dedup === undefined || !topic.dedup.isCurrent(newestSegment)) {
      topic.dedup ??= new DedupIndex(this.#database, topic.id)
      const sealedTo = topic.dedup.load()
      for (const head of topic.partitions) head.indexedTo = sealedTo.get(head.id) ?? 0
    }
    for (const head of topic.partitions) this.#indexRows(topic, head)
  }

  #indexRows(topic: TopicEntry, head: PartitionEntry): void {
    if (head.indexedTo >= head.nextOffset) return
    const rows = this.#database
      .prepare(
        'select place, append_time, head from semel_batch where place >= ? and place < ? order by place',
      )
      .iterate(placeOf(head.id, head.indexedTo), placeOf(head.id, head.nextOffset))
    for (const row of rows) {
      const place = Number(row.place)
      const appendTime = Number(row.append_time)
      const ids = decodeIds(String(row.head))
      for (let i = 0; i < ids.length; i++) topic.dedup!.remember(ids[i]!, place + i, appendTime)
    }
    head.indexedTo = head.nextOffset
  }
}

function headOf(row: Record<string, unknown>, indexedTo: number): PartitionEntry {
  return {
    id: Number(row.id),
    partition: Number(row.partition),
    nextOffset: Number(row.next_offset),
    appendTime: Number(row.append_time),
    duplicates: Number(row.duplicates),
    dirty: false,
    indexedTo,
  }
}

function checkContradiction(spec: TopicSpec, known: TopicEntry | undefined): void {
  if (known === undefined) return
  const stored = known.partitions.length
  if (stored !== spec.partitions) {
    throw new SemelError(
      'TOPIC_CONTRADICTION',
      `topic ${spec.name} has ${stored} partitions, not ${spec.partitions}`,
      {
        field: 'partitions',
        actual: spec.partitions,
        limit: stored,
        hint: 'declare it as it is stored; changing the count is a migration',
      },
    )
  }
  assert(known.name === spec.name, 'topics are found by name')
  if (known.dedupWindowMs > 0 === spec.dedupWindowMs > 0) return
  throw new SemelError(
    'TOPIC_CONTRADICTION',
    `topic ${spec.name} was created ${known.dedupWindowMs > 0 ? 'with' : 'without'} deduplication`,
    { field: 'dedup', hint: 'declare it as it is stored' },
  )
}

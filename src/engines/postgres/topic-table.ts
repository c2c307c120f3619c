import type { TopicSpec } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import { textArray } from './binary-arrays.ts'
import type { Session } from './session.ts'
import { quoteIdentifier } from './sql-text.ts'
import { TopicIds } from './topic-ids.ts'

/** A partition as this process knows it. */
export interface PartitionEntry {
  readonly id: number
  readonly topic: string
  readonly partition: number
  /** Events up to here are known to be committed: if the log is shorter, it went back (D6). */
  floor: number
  /** Refused duplicates that are not in the database yet. */
  refused: number
}

export interface TopicEntry {
  readonly id: number
  readonly name: string
  readonly partitions: readonly PartitionEntry[]
  dedupWindowMs: number
  /** Absent where ids are not remembered. */
  readonly ids: TopicIds | undefined
}

/** Topics of the log, loaded when they are first asked for. */
export class TopicTable {
  readonly #topics = new Map<string, TopicEntry>()
  readonly #hashSeed: number
  readonly #schema: string
  readonly #load: string

  constructor(schema: string, hashSeed: number) {
    this.#schema = schema
    this.#hashSeed = hashSeed
    this.#load = `select * from ${quoteIdentifier(schema)}.topics($1)`
  }

  get all(): Iterable<TopicEntry> {
    return this.#topics.values()
  }

  has(name: string): boolean {
    return this.#topics.has(name)
  }

  /** UNKNOWN_TOPIC if it was not found by the last `load`. */
  topic(name: string): TopicEntry {
    const topic = this.#topics.get(name)
    if (topic !== undefined) return topic
    throw new SemelError('UNKNOWN_TOPIC', `topic ${name} does not exist in schema ${this.#schema}`, {
      field: 'topic',
    })
  }

  partition(name: string, partition: number): PartitionEntry {
    const entry = this.topic(name).partitions[partition]
    if (entry !== undefined) return entry
    throw new SemelError('UNKNOWN_TOPIC', `topic ${name} has no partition ${partition}`, {
      field: 'partition',
    })
  }

  async load(session: Session, names: readonly string[]): Promise<void> {
    const missing = names.filter((name) => !this.#topics.has(name))
    if (missing.length === 0) return
    const rows = await session.rows(this.#load, [textArray(missing)])
    const found = new Map<string, { id: number; window: number; partitions: PartitionEntry[] }>()
    for (const [id, name, window, partitionId, partition] of rows) {
      const topic = found.get(name!) ?? { id: Number(id), window: Number(window), partitions: [] }
      found.set(name!, topic)
      topic.partitions.push({
        id: Number(partitionId),
        topic: name!,
        partition: Number(partition),
        floor: 0,
        refused: 0,
      })
    }
    for (const [name, { id, window, partitions }] of found) {
      // Somebody else may have loaded it meanwhile; what that one knows by now must stay.
      if (this.#topics.has(name)) continue
      const ids = window > 0 ? new TopicIds(this.#hashSeed) : undefined
      this.#topics.set(name, { id, name, partitions, dedupWindowMs: window, ids })
    }
  }

  noteWindow(spec: TopicSpec): void {
    const topic = this.#topics.get(spec.name)
    if (topic !== undefined) topic.dedupWindowMs = spec.dedupWindowMs
  }
}

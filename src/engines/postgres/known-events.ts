import type { KnownEvent } from '../../engine/append-plan.ts'
import { decodeBatch, decodeIds } from '../../event/batch-codec.ts'
import type { EventRecord } from '../../event/event.ts'
import { fingerprint } from '../../event/fingerprint.ts'
import { int4Array, int8Array } from './binary-arrays.ts'
import { offsetOf, partitionOf } from './place.ts'
import type { Session } from './session.ts'
import { quoteIdentifier } from './sql-text.ts'
import { damagedRow, rowChecksum } from './stored-row.ts'
import type { TopicEntry } from './topic-table.ts'

/** Known events of a topic by id. */
export type KnownIds = ReadonlyMap<string, KnownEvent>

/** A row of the log in which some known event is. Decoded as far as somebody looks. */
class FoundRow {
  readonly firstOffset: number
  readonly count: number
  readonly appendTime: number
  readonly #head: string
  readonly #body: string
  #ids: readonly string[] | undefined
  #records: readonly EventRecord[] | undefined

  constructor(row: readonly (string | null)[], where: string) {
    this.firstOffset = Number(row[1])
    this.count = Number(row[2])
    this.appendTime = Number(row[3])
    this.#head = row[5]!
    this.#body = row[6]!
    if (rowChecksum({ head: this.#head, body: this.#body }) !== Number(row[4])) {
      throw damagedRow(where, this.firstOffset, this.count)
    }
  }

  get ids(): readonly string[] {
    this.#ids ??= decodeIds(this.#head)
    return this.#ids
  }

  get records(): readonly EventRecord[] {
    this.#records ??= decodeBatch({ head: this.#head, body: this.#body })
    return this.#records
  }
}

/** Decides exactly whether ids are known (N5): every candidate of the index is compared with its row in the log. */
export class KnownEvents {
  readonly #rowsAt: string

  constructor(schema: string) {
    this.#rowsAt = `select * from ${quoteIdentifier(schema)}.rows_at($1, $2)`
  }

  /** Those of `ids` that are inside the window. `nowMs` is the append clock. */
  async find(session: Session, topic: TopicEntry, ids: Iterable<string>, nowMs: number): Promise<KnownIds> {
    const candidates = new Map<string, readonly number[]>()
    for (const id of ids) {
      const places: number[] = []
      topic.ids!.candidates(id, places)
      if (places.length > 0) candidates.set(id, places)
    }
    const known = new Map<string, KnownEvent>()
    if (candidates.size === 0) return known
    const rows = await this.#read(session, topic, [...candidates.values()].flat())
    for (const [id, places] of candidates) {
      const event = newest(id, places, rows, nowMs - topic.dedupWindowMs)
      if (event !== undefined) known.set(id, event)
    }
    return known
  }

  async #read(
    session: Session,
    topic: TopicEntry,
    places: readonly number[],
  ): Promise<Map<number, FoundRow[]>> {
    const found = await session.rows(this.#rowsAt, [
      int4Array(places.map((place) => topic.partitions[partitionOf(place)]!.id)),
      int8Array(places.map(offsetOf)),
    ])
    const partitionOfId = new Map(topic.partitions.map(({ id, partition }) => [id, partition]))
    const rows = new Map<number, FoundRow[]>()
    for (const row of found) {
      const partition = partitionOfId.get(Number(row[0]))!
      const list = rows.get(partition) ?? []
      list.push(new FoundRow(row, `${topic.name}/${partition}`))
      rows.set(partition, list)
    }
    return rows
  }
}

/** The event of this very id that was accepted after `sinceMs`; at most one was. */
function newest(
  id: string,
  places: readonly number[],
  rows: ReadonlyMap<number, readonly FoundRow[]>,
  sinceMs: number,
): KnownEvent | undefined {
  for (const place of places) {
    const offset = offsetOf(place)
    const row = rowWith(rows.get(partitionOf(place)) ?? [], offset)
    if (row === undefined || row.appendTime <= sinceMs) continue
    const index = offset - row.firstOffset
    if (row.ids[index] !== id) continue
    return { offset, print: undefined, fingerprint: () => fingerprint(row.records[index]!) }
  }
  return undefined
}

/** Rows are in the order of their offsets. */
function rowWith(rows: readonly FoundRow[], offset: number): FoundRow | undefined {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const row = rows[middle]!
    if (offset < row.firstOffset) high = middle
    else if (offset >= row.firstOffset + row.count) low = middle + 1
    else return row
  }
  return undefined
}

import type { DedupIndex } from './dedup-index.ts'
import type { IdFormat } from './id-format.ts'
import { hashHeadIds } from './id-hash.ts'
import { viewOf } from './keyed-hash.ts'
import { type Marks, marksOf, markWords, noMark } from './marks.ts'
import { printsBytes } from './prints.ts'
import { checksumOn, entriesOf, headChecksum, parseSkips, type RowFrame } from './stored-row.ts'

/** A row's ids on their way into the index. */
export interface RowIds {
  /** Halves by turns, as in `HeadIds`. */
  readonly hashes: Uint32Array
  /** Absent where the ids were made by Semel, which nobody was expected to repeat, or the format knows none. */
  readonly marks: Marks | undefined
  /** Entries that are no events, in rising order. */
  readonly skips: readonly number[]
  /** By index: place of an older event with the same id, out of its window. */
  readonly expired: ReadonlyMap<number, number> | undefined
}

/** The index knows the events of a row from now on; the first is at `firstPlace`. */
export function rememberRow(dedup: DedupIndex, ids: RowIds, firstPlace: number, appendMs: number): void {
  const { hashes, marks, expired } = ids
  const skips = ids.skips.length === 0 ? undefined : new Set(ids.skips)
  dedup.fetch(hashes)
  const id = { hi: 0, lo: 0, place: firstPlace, marks: marks ?? noMark, at: 0 }
  for (let i = 0; 2 * i < hashes.length; i++) {
    if (skips?.has(i)) continue
    id.hi = hashes[2 * i]!
    id.lo = hashes[2 * i + 1]!
    if (marks !== undefined) id.at = i * markWords
    dedup.add(id, appendMs, expired?.get(i))
    id.place++
  }
}

/** The same for a row of the file, without its body. */
export function rememberStoredRow(dedup: DedupIndex, row: Record<string, unknown>, format: IdFormat): void {
  const { head, prints } = row
  if (!(head instanceof Uint8Array)) return
  const frame: RowFrame = {
    place: Number(row.place),
    count: Number(row.count),
    appendTime: Number(row.append_time),
    skips: row.skips === null ? null : String(row.skips),
  }
  const ids = hashHeadIds(head, entriesOf(frame), format)
  // A mark decides without the row, so it is only made of what matches its checksum (F3).
  const isSound =
    prints instanceof Uint8Array &&
    prints.length === printsBytes(entriesOf(frame)) &&
    checksumOn(headChecksum(frame, head), prints) === Number(row.prints_crc)
  const marks = isSound ? marksOf(ids, viewOf(prints)) : undefined
  const rowIds = { hashes: ids.hashes, marks, skips: parseSkips(frame.skips), expired: undefined }
  rememberRow(dedup, rowIds, frame.place, frame.appendTime)
}

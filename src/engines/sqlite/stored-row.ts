import { crc32 } from 'node:zlib'
import { SemelError } from '../../errors.ts'
import { decodeBatch } from '../../event/batch-codec.ts'
import type { EventRecord } from '../../event/event.ts'
import type { IdFormat } from './id-format.ts'
import { commonIdBytes, type HeadIds, hashHeadIds, idGap } from './id-hash.ts'
import { type Marks, marksOf } from './marks.ts'
import { type Prints, printsOf } from './prints.ts'

/** What a row's checksum covers besides its two texts. */
export interface RowFrame {
  readonly place: number
  readonly count: number
  readonly appendTime: number
  readonly skips: string | null
}

/**
 * CRC-32 over what a row says beside its body or prints. A row has two checksums, written with it and compared at
 * every read (F3): this and the body, and this and the prints.
 */
export function headChecksum(
  { place, count, appendTime, skips }: RowFrame,
  head: Uint8Array | string,
): number {
  return crc32(head, crc32(`${place} ${count} ${appendTime} ${skips ?? ''}`))
}

/** Goes on from a head's checksum. */
export function checksumOn(headCrc: number, rest: Uint8Array | string): number {
  return crc32(rest, headCrc)
}

/** Entries of a row that are no events, in rising order. */
export function parseSkips(skips: unknown): readonly number[] {
  if (skips === null || skips === undefined) return []
  const list: readonly number[] = JSON.parse(String(skips))
  return list
}

/** Entries of the row's two arrays. */
export function entriesOf({ count, skips }: RowFrame): number {
  return count + parseSkips(skips).length
}

/** An encoded batch as bytes, whole: on its way into the file, or read from it. */
export class BatchBytes {
  readonly head: Buffer
  readonly body: Buffer
  readonly entries: number
  readonly #format: IdFormat
  #ids: HeadIds | undefined
  #prints: Prints | undefined
  #marks: Marks | undefined
  #records: readonly EventRecord[] | undefined

  constructor(head: Buffer, body: Buffer, entries: number, format: IdFormat) {
    this.head = head
    this.body = body
    this.entries = entries
    this.#format = format
  }

  get ids(): HeadIds {
    this.#ids ??= hashHeadIds(this.head, this.entries, this.#format)
    return this.#ids
  }

  get prints(): Prints {
    this.#prints ??= printsOf(this, commonIdBytes(this.ids), this.#format.key)
    return this.#prints
  }

  /** `undefined` where the file's format knows none. */
  get marks(): Marks | undefined {
    this.#marks ??= marksOf(this.ids, this.prints)
    return this.#marks
  }

  get records(): readonly EventRecord[] {
    this.#records ??= decodeBatch({ head: this.head.toString(), body: this.body.toString() })
    return this.#records
  }

  /** Bytes of an id as they stand in the head. */
  idAt(index: number): Buffer {
    const { starts } = this.ids
    return this.head.subarray(starts[index]!, starts[index + 1]! - idGap)
  }
}

export function damagedRow(file: string, where: string, from: number, count: number): SemelError {
  return new SemelError(
    'STORAGE_CORRUPT',
    `${file} is damaged: offsets ${from} to ${from + count - 1} of ${where} do not match their checksum`,
    { hint: 'keep a copy of the file, then restore from a backup; nothing was deleted or skipped' },
  )
}

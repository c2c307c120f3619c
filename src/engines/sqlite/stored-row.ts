import { crc32 } from 'node:zlib'
import { SemelError } from '../../errors.ts'
import { type BatchEnvelopes, decodeBatch, decodeEnvelopes } from '../../event/batch-codec.ts'
import type { EventRecord } from '../../event/event.ts'
import { entryAt, entryEnds, type HeadLayout, idAt, keyAt, layoutOf, sameBytes } from './batch-bytes.ts'

/** What a row's checksum covers besides its two texts. */
export interface RowFrame {
  readonly place: number
  readonly count: number
  readonly appendTime: number
  readonly skips: string | null
}

/** CRC-32 over everything a row says. Written with it, compared at every read (F3). */
export function rowChecksum(
  { place, count, appendTime, skips }: RowFrame,
  head: Uint8Array | string,
  body: Uint8Array | string,
): number {
  return crc32(body, crc32(head, crc32(`${place} ${count} ${appendTime} ${skips ?? ''}`)))
}

/** Entries of a row that are no events, in rising order. */
export function parseSkips(skips: unknown): readonly number[] {
  if (skips === null || skips === undefined) return []
  const list: readonly number[] = JSON.parse(String(skips))
  return list
}

/** An encoded batch as bytes, whole: on its way into the file, or read from it to look one event up. */
export class BatchBytes {
  readonly head: Buffer
  readonly body: Buffer
  readonly entries: number
  #ends: Uint8Array | undefined
  #layout: HeadLayout | undefined
  #records: readonly EventRecord[] | undefined
  #envelopes: BatchEnvelopes | undefined

  constructor(head: Buffer, body: Buffer, entries: number, ends?: Uint8Array) {
    this.head = head
    this.body = body
    this.entries = entries
    this.#ends = ends
  }

  get ends(): Uint8Array {
    this.#ends ??= entryEnds(this.body, this.entries)
    return this.#ends
  }

  get records(): readonly EventRecord[] {
    this.#records ??= decodeBatch({ head: this.head.toString(), body: this.body.toString() })
    return this.#records
  }

  idAt(index: number): Uint8Array {
    return idAt(this.head, index)
  }

  /**
   * Whether two events are the same byte for byte in all that counts as content (N2). `false` only means that it
   * must be looked at more closely: a retry may be written in another way.
   */
  isSurelySame(index: number, other: BatchBytes, otherIndex: number): boolean {
    if (!sameBytes(entryAt(this.body, this.ends, index), entryAt(other.body, other.ends, otherIndex)))
      return false
    const [mine, theirs] = [this.layout, other.layout]
    // Batches of mixed events: the heads are small, so decoding them is cheap where decoding the bodies is not.
    if (mine.common === undefined || theirs.common === undefined) {
      return this.envelopes.contentAt(index) === other.envelopes.contentAt(otherIndex)
    }
    return (
      sameBytes(mine.common, theirs.common) &&
      sameBytes(keyAt(this.head, mine, index), keyAt(other.head, theirs, otherIndex))
    )
  }

  get envelopes(): BatchEnvelopes {
    this.#envelopes ??= decodeEnvelopes(this.head.toString())
    return this.#envelopes
  }

  get layout(): HeadLayout {
    this.#layout ??= layoutOf(this.head)
    return this.#layout
  }
}

export function damagedRow(file: string, where: string, from: number, count: number): SemelError {
  return new SemelError(
    'STORAGE_CORRUPT',
    `${file} is damaged: offsets ${from} to ${from + count - 1} of ${where} do not match their checksum`,
    { hint: 'keep a copy of the file, then restore from a backup; nothing was deleted or skipped' },
  )
}

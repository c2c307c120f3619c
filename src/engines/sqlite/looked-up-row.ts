import type { EventRecord } from '../../event/event.ts'
import { idAt, sameBytes } from './batch-bytes.ts'
import { idGap, idsStart } from './id-hash.ts'
import { idBytesOf, type Prints } from './prints.ts'
import { type BatchBytes, parseSkips, type RowFrame } from './stored-row.ts'

/** What is at hand of a row before its body is read. */
export interface RowWithoutBody {
  readonly frame: RowFrame
  readonly head: Buffer
  /** Absent where the ids were made by Semel: nobody was expected to look them up. */
  readonly prints: Prints | undefined
}

/** A row of the log, read to compare one of its events. The body is read only if something needs it. */
export class LookedUpRow {
  readonly frame: RowFrame
  readonly #skips: readonly number[]
  readonly #head: Buffer
  readonly #prints: Prints | undefined
  readonly #readWhole: () => BatchBytes
  #whole: BatchBytes | undefined

  constructor({ frame, head, prints }: RowWithoutBody, readWhole: () => BatchBytes) {
    this.frame = frame
    this.#skips = parseSkips(frame.skips)
    this.#head = head
    this.#prints = prints
    this.#readWhole = readWhole
  }

  get prints(): Prints {
    return this.#prints ?? this.#bytes.prints
  }

  get records(): readonly EventRecord[] {
    return this.#bytes.records
  }

  holds(place: number): boolean {
    const { place: first, count } = this.frame
    return place >= first && place < first + count
  }

  /** Number of the entry that is the event at `place`. */
  indexOf(place: number): number {
    let index = place - this.frame.place
    for (const skipped of this.#skips) {
      if (skipped > index) break
      index++
    }
    return index
  }

  /** Whether the id at `index` has these bytes. Where all ids are as long, its place is known without a walk. */
  hasIdAt(index: number, id: Uint8Array): boolean {
    const length = this.#prints === undefined ? 0 : idBytesOf(this.#prints)
    if (length === 0) return sameBytes(idAt(this.#head, index), id)
    const start = idsStart + index * (length + idGap)
    return length === id.length && sameBytes(this.#head.subarray(start, start + length), id)
  }

  get #bytes(): BatchBytes {
    this.#whole ??= this.#readWhole()
    return this.#whole
  }
}

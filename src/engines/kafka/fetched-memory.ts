import { kafkaLimits } from './kafka-limits.ts'
import type { ReadCursor } from './read-cursor.ts'

/**
 * What all cursors of an engine hold fetched and not yet asked for. Each has its share of `fetchedBytesMax` by the number
 * of those that hold something or are read. What one call of the client brings may come on top of it.
 */
export class FetchedMemory {
  readonly #cursors = new Set<ReadCursor>()

  add(cursor: ReadCursor): void {
    this.#cursors.add(cursor)
  }

  /** What one without records may take now: its share, or what is left of all. */
  get room(): number {
    const { held, share } = this.#use()
    return Math.max(1, Math.min(share, kafkaLimits.fetchedBytesMax - held))
  }

  /** What is left to hold for each of them, and for all. One without records is never full. */
  bounds(): (cursor: ReadCursor) => boolean {
    const { held, share } = this.#use()
    const isFull = held > kafkaLimits.fetchedBytesMax
    return ({ bytes, records }) => {
      return records > 0 && (isFull || bytes > share || records > kafkaLimits.readBufferRecordsMax)
    }
  }

  #use(): { readonly held: number; readonly share: number } {
    let held = 0
    let users = 0
    for (const { bytes, isBusy, isEmpty } of this.#cursors) {
      held += bytes
      if (isBusy || !isEmpty) users += 1
    }
    const share = Math.min(kafkaLimits.readBufferBytesMax, kafkaLimits.fetchedBytesMax / Math.max(1, users))
    return { held, share }
  }
}

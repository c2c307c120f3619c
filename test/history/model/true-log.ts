import type { SeededRandom } from '../../../src/platform/seeded-random.ts'

export const topic = 'orders'
export const partitions = 3

export interface Event {
  readonly val: string
  readonly id: string
  readonly key: string
  readonly crc: number
  readonly n: number
  readonly p: number
  /** Its handler fails every time. */
  readonly poison: boolean
}

export interface Stored {
  readonly off: number
  readonly event: Event
}

/** The log as it really is: what a right engine would hold. */
export class TrueLog {
  readonly stored: Stored[][] = Array.from({ length: partitions }, () => [])
  readonly #places = new Map<string, number>()
  readonly #random: SeededRandom

  constructor(random: SeededRandom) {
    this.#random = random
  }

  /** Appends one call's events; what is there already is a duplicate. Events of one partition stay together. */
  append(events: readonly Event[]): { p: number; off: number; dup: boolean }[] {
    // Aborted transactions leave gaps (P1), but never inside a call here.
    const gaps = Array.from({ length: partitions }, () => (this.#random.below(8) === 0 ? 1 : 0))
    return events.map((event) => {
      const known = this.#places.get(event.id)
      if (known !== undefined) return { p: event.p, off: known, dup: true }
      const off = this.end(event.p) + gaps[event.p]!
      gaps[event.p] = 0
      this.stored[event.p]!.push({ off, event })
      this.#places.set(event.id, off)
      return { p: event.p, off, dup: false }
    })
  }

  end(p: number): number {
    return (this.stored[p]!.at(-1)?.off ?? -1) + 1
  }

  /** Events from an offset on. */
  from(p: number, off: number, count: number): Stored[] {
    const stored = this.stored[p]!
    const at = stored.findIndex((each) => each.off >= off)
    return at < 0 ? [] : stored.slice(at, at + count)
  }

  hash(p: number, from: number, to: number): { hash: string; count: number } {
    const inside = this.stored[p]!.filter(({ off }) => off >= from && off < to)
    return { hash: inside.map(({ off, event }) => `${off}=${event.val}`).join(','), count: inside.length }
  }
}

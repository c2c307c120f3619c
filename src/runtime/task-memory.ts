import { limits } from '../limits.ts'

/** A task that holds events of its partition. */
export interface Holder {
  /** What it holds, and what may come with a read that is under way. */
  readonly bytes: number
}

/** How much may be read at once. */
export interface Allowance {
  readonly events: number
  readonly bytes: number
}

/** Of an event that was read: its objects in memory, beside what is stored. */
export const eventObjectsBytes = 512
/** Of an event that a unit emits: its objects here, and in the client of a server. */
export const emittedObjectsBytes = 1_024
/** Of an event that is done, while one before it is not. */
export const doneEventBytes = 192

/**
 * What all tasks of a bus may hold in memory: events that were read and not passed yet (`readAheadBytesMax`), and units
 * that are not committed yet (`openUnitsBytesMax`). Each task has its share by their number, and reads on when half of
 * that is free. What others hold above a share that has just become smaller is waited for. Whoever holds nothing may
 * read one event, however large, so nobody waits for ever.
 */
export class TaskMemory {
  readonly #readAheadMax: number
  readonly #holders = new Set<Holder>()

  constructor(readAheadMax: number = limits.readAheadBytesMax) {
    this.#readAheadMax = readAheadMax
  }

  join(holder: Holder): void {
    this.#holders.add(holder)
  }

  leave(holder: Holder): void {
    this.#holders.delete(holder)
  }

  /** What all of them hold of events that were read. */
  get bytes(): number {
    let bytes = 0
    for (const holder of this.#holders) bytes += holder.bytes
    return bytes
  }

  /** How large the open unit of a task may become. Another one may be on its way to the engine. */
  get unitBytes(): number {
    return Math.min(limits.unitBytesMax, limits.openUnitsBytesMax / 2 / this.#holders.size)
  }

  /** Whether enough of its own share is free. Asked with each event that ends. */
  hasRoom(holder: Holder): boolean {
    return holder.bytes <= this.#half
  }

  /** What it may read now, half of its share at most; `undefined`: it waits. */
  allowance(holder: Holder): Allowance | undefined {
    if (this.hasRoom(holder) && this.bytes + this.#half <= this.#readAheadMax) {
      const bytes = Math.max(1, Math.floor(this.#half / 2))
      return { events: Math.max(1, Math.floor(bytes / eventObjectsBytes)), bytes }
    }
    return holder.bytes === 0 ? { events: 1, bytes: 1 } : undefined
  }

  get #half(): number {
    return this.#readAheadMax / this.#holders.size / 2
  }
}

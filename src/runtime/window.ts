import type { ReadResult } from '../engine/engine.ts'
import type { Verdict } from './inbox.ts'
import { Slot } from './slot.ts'
import type { SourceMark } from './source-mark.ts'
import type { StateCell } from './state-cache.ts'
import { doneEventBytes, eventObjectsBytes } from './task-memory.ts'

/** Half-open range of offsets. */
export type OffsetRange = readonly [from: number, to: number]

/**
 * The part of the partition that a task has read and not yet passed: from its position to its read position.
 */
export class Window {
  #slots: Slot[] = []
  #head = 0
  #cursor = 0
  #doneAbove = 0
  #highestDone = -1
  #bytes = 0
  #passed: SourceMark | undefined
  #nextRead: number
  /** Finished in an earlier life, above the loaded position. */
  #finishedBefore: OffsetRange[]

  constructor(position: number, finishedBefore: readonly OffsetRange[]) {
    this.#nextRead = position
    this.#finishedBefore = [...finishedBefore]
  }

  /** Offset where the next read starts. */
  get nextRead(): number {
    return this.#nextRead
  }

  /** Events read and not yet started. */
  get ready(): number {
    return this.#slots.length - this.#cursor
  }

  /** Events between the position and the read position. */
  get size(): number {
    return this.#slots.length - this.#head
  }

  /** What it holds in memory, about. */
  get bytes(): number {
    return this.#bytes
  }

  /** Lowest unfinished offset: everything below it is settled (L1). */
  get position(): number {
    return this.#head < this.#slots.length ? this.#slots[this.#head]!.offset : this.#nextRead
  }

  /** The last event below the position, of those that were read. */
  get passed(): SourceMark | undefined {
    return this.#passed
  }

  /** Adds what was read. Duplicates and events finished in an earlier life are skipped. Answers those in conflict. */
  add(
    { events, copies, bytes, next }: Omit<ReadResult, 'end'>,
    verdicts?: ReadonlyMap<number, Verdict>,
    cells?: readonly (StateCell | undefined)[],
  ): readonly Slot[] {
    const conflicts: Slot[] = []
    // With what makes its data anew, an event is there twice.
    const eventBytes =
      eventObjectsBytes + ((copies === undefined ? 1 : 2) * bytes) / Math.max(1, events.length)
    for (const [i, event] of events.entries()) {
      const slot = new Slot(event, undefined, copies?.[i], cells?.[i])
      slot.bytes = eventBytes
      this.#bytes += eventBytes
      this.#slots.push(slot)
      const verdict = verdicts?.get(event.offset)
      if (this.#finishedBefore.length > 0 && this.#wasFinished(event.offset)) this.#markDone(slot)
      else if (verdict === 'duplicate') this.#markDone(slot)
      else if (verdict === 'conflict') conflicts.push(slot)
    }
    this.#nextRead = next
    this.#finishedBefore = this.#finishedBefore.filter(([, to]) => to > next)
    this.#advance()
    return conflicts
  }

  /** The next slot to start, in offset order. */
  take(): Slot | undefined {
    while (this.#cursor < this.#slots.length) {
      const slot = this.#slots[this.#cursor++]!
      if (!slot.done) return slot
    }
    return undefined
  }

  /** Keys of the events that are still to be started. */
  *upcomingKeys(): Iterable<string> {
    for (let i = this.#cursor; i < this.#slots.length; i++) {
      const { key, done } = this.#slots[i]!
      if (key !== null && !done) yield key
    }
  }

  finish(slot: Slot): void {
    this.#markDone(slot)
    if (this.#slots[this.#head] === slot) this.#advance()
  }

  /** Finished offsets above the position, as ranges. */
  finishedAbove(): OffsetRange[] {
    const ranges: [number, number][] = []
    if (this.#doneAbove > 0) {
      for (let i = this.#head; i < this.#slots.length && this.#slots[i]!.offset <= this.#highestDone; i++) {
        const slot = this.#slots[i]!
        if (!slot.done) continue
        const last = ranges.at(-1)
        if (last !== undefined && this.#slots[i - 1]!.done) last[1] = slot.offset + 1
        else ranges.push([slot.offset, slot.offset + 1])
      }
    }
    // What was read of an earlier range is in the slots by now; the rest of it is still to be remembered.
    const ahead = this.#finishedBefore.filter(([, to]) => to > this.#nextRead)
    return [...ranges, ...ahead.map(([from, to]): OffsetRange => [Math.max(from, this.#nextRead), to])]
  }

  #wasFinished(offset: number): boolean {
    return this.#finishedBefore.some(([from, to]) => offset >= from && offset < to)
  }

  #markDone(slot: Slot): void {
    slot.done = true
    slot.event = undefined
    slot.copy = undefined
    slot.cell = undefined
    slot.tx = undefined
    this.#bytes -= slot.bytes - doneEventBytes
    this.#doneAbove++
    if (slot.offset > this.#highestDone) this.#highestDone = slot.offset
  }

  #advance(): void {
    while (this.#head < this.#slots.length && this.#slots[this.#head]!.done) {
      this.#passed = this.#slots[this.#head++]
      this.#bytes -= doneEventBytes
      this.#doneAbove--
    }
    if (this.#cursor < this.#head) this.#cursor = this.#head
    if (this.#head < 1024 || this.#head * 2 < this.#slots.length) return
    this.#slots = this.#slots.slice(this.#head)
    this.#cursor -= this.#head
    this.#head = 0
  }
}

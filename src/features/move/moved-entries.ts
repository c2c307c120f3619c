import type { StateEntry } from '../../engine/engine.ts'
import { reservedStorePrefix, storeNames } from '../../engine/store-names.ts'
import { SemelError } from '../../errors.ts'
import type { OffsetRange } from '../../runtime/window.ts'
import { deadLetterKey } from '../dead-letter-record.ts'
import type { OffsetMap } from './offset-map.ts'

/**
 * What becomes of an entry of a task's state in the target: the same, or, where it speaks of offsets, the same events
 * by their new offsets. `undefined`: it does not come along.
 */
export type MoveEntry = (entry: StateEntry) => StateEntry | undefined

/** Does not come along: what speaks of other logs, or of this process alone. Redrive commands are moved as commands. */
const leftBehind: readonly string[] = [
  storeNames.redrive,
  storeNames.sourceMark,
  storeNames.handedOut,
  storeNames.moving,
]

/** Whether the store keeps the user's own values under the user's own keys, so that it can be copied before its time. */
export function isPlain(store: string): boolean {
  return !store.startsWith(reservedStorePrefix)
}

/** Whether entries keep their keys. */
export function keepsKeys(store: string): boolean {
  return isPlain(store) || store === storeNames.inbox
}

/** How entries of a store are moved; `undefined`: none of them is. */
export function moverOf(store: string, map: OffsetMap): MoveEntry | undefined {
  if (isPlain(store)) return (entry) => entry
  if (leftBehind.includes(store)) return undefined
  if (store === storeNames.finished) return ({ key, value }) => movedRanges(key, JSON.parse(value), map)
  if (store === storeNames.deadLetters) return ({ key, value }) => ({ key: movedLetterKey(key, map), value })
  if (store === storeNames.inbox) return ({ key, value }) => ({ key, value: movedInboxEntry(value, map) })
  throw new SemelError('UNSUPPORTED', `this version of Semel cannot move the store ${store}`)
}

/** Work that was finished above the position. */
function movedRanges(key: string, ranges: readonly OffsetRange[], map: OffsetMap): StateEntry | undefined {
  const moved = ranges
    .map(([from, to]): OffsetRange => [map.from(from), map.before(to)])
    .filter(([from, to]) => from < to)
  return moved.length === 0 ? undefined : { key, value: JSON.stringify(moved) }
}

function movedLetterKey(key: string, map: OffsetMap): string {
  const offset = map.exactly(Number(key))
  if (offset !== undefined) return deadLetterKey(offset)
  throw new SemelError('UNSUPPORTED', `the log no longer holds the dead letter at offset ${Number(key)}`, {
    hint: 'redrive it until it is handled, then move',
  })
}

/** Of an event that the log no longer holds, it only matters that it was before all others. */
function movedInboxEntry(value: string, map: OffsetMap): string {
  const [offset, ...rest]: readonly [number, ...unknown[]] = JSON.parse(value)
  return JSON.stringify([map.exactly(offset) ?? -1, ...rest])
}

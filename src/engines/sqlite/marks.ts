import { type HeadIds, restWords } from './id-hash.ts'
import type { Hash64 } from './keyed-hash.ts'
import { type Prints, printHalves } from './prints.ts'

/** Numbers of 32 bits of one mark. */
export const markWords = 4

/**
 * The marks of several events, four words each: what the hash of the id leaves open of it (`HeadIds.rests`), and the print
 * of the content. Hash and rest are equal exactly if the ids are (N5), and events of one id and equal print are the same (N1,
 * `prints.ts`), so a mark decides without the row that an event is known. Marks that differ decide nothing: another content
 * (N2), or the same written in another way; then the row is read.
 *
 * No mark is four zeros: ids that are no UUIDs, or whose content nobody was expected to ask for. The row decides.
 */
export type Marks = Uint32Array

export const noMark: Marks = new Uint32Array(markWords)

const print: Hash64 = { hi: 0, lo: 0 }

/** The marks of a row's entries; `undefined` where the format knows none. */
export function marksOf({ rests }: HeadIds, prints: Prints): Marks | undefined {
  if (rests === undefined) return undefined
  const entries = rests.length / restWords
  const marks = new Uint32Array(entries * markWords)
  for (let i = 0; i < entries; i++) {
    const restHi = rests[restWords * i]!
    const restLo = rests[restWords * i + 1]!
    // A UUID whose rest happens to be 0 goes without a mark like an id that has no rest.
    if (restHi === 0 && restLo === 0) continue
    printHalves(prints, i, print)
    const at = i * markWords
    marks[at] = restHi
    marks[at + 1] = restLo
    marks[at + 2] = print.hi
    marks[at + 3] = print.lo
  }
  return marks
}

/** Whether there is a mark at `at`. */
export function isMarked(marks: Marks, at: number): boolean {
  return marks[at] !== 0 || marks[at + 1] !== 0
}

export function sameMark(a: Marks, at: number, b: Marks, bt: number): boolean {
  return a[at] === b[bt] && a[at + 1] === b[bt + 1] && a[at + 2] === b[bt + 2] && a[at + 3] === b[bt + 3]
}

export function copyMark(to: Marks, at: number, from: Marks, ft: number): void {
  to[at] = from[ft]!
  to[at + 1] = from[ft + 1]!
  to[at + 2] = from[ft + 2]!
  to[at + 3] = from[ft + 3]!
}

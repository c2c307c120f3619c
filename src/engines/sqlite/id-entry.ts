import type { Marks } from './marks.ts'

/** One id: the two halves of its hash, the place of its event, and its mark, which is at `at` of `marks`. */
export type TakeEntry = (hi: number, lo: number, place: number, marks: Marks, at: number) => void

/** What a look-up by mark answers if not a place: no entry has the hash, or one has and the row must decide. */
export const Sighting = { none: -1, unsure: 0 } as const

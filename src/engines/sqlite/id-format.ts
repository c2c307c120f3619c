import type { HashKey } from './keyed-hash.ts'
import { type UuidKeys, uuidKeys } from './uuid-hash.ts'

/**
 * What a file's format says of its ids. A file keeps the format it was created with, because ids are found by hashes that
 * are in the file already.
 *
 *  1  the hash of an id is the hash of its text; entries of sealed generations have 16 bytes
 *  2  a UUID is hashed by a bijection (`uuid-hash.ts`) and its entry has a mark (`marks.ts`): 32 bytes; other ids as in 1
 */
export interface IdFormat {
  /** Secret to the file, so that nobody can choose ids that hash alike. */
  readonly key: HashKey
  /** Absent in format 1, which has no marks. */
  readonly uuid: UuidKeys | undefined
}

/** The oldest format that is still read and written, and that of new files. */
export const oldestFormat = 1
export const newestFormat = 2

export function idFormat(format: number, key: HashKey): IdFormat {
  return { key, uuid: format === 1 ? undefined : uuidKeys(key) }
}

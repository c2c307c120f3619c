import type { IdFormat } from './id-format.ts'
import { type Hash64, hashBytes, viewOf } from './keyed-hash.ts'
import { hashUuid, uuidBytes } from './uuid-hash.ts'

/*
 * Event ids as they stand in a batch head, without parsing it: the bytes between the quotes, escapes included.
 * `JSON.stringify` writes one string in one way only, so equal ids have equal bytes.
 */
const headPrefix = Buffer.from('{"v":1,"ids":["')
const quote = 0x22
const backslash = 0x5c
/** Bytes between two ids: `","`. */
export const idGap = 3
/** Position of the first id's first byte in every head. */
export const idsStart = headPrefix.length
/** Numbers of 32 bits of one rest. */
export const restWords = 2

/** The ids of a head, found in one walk. */
export interface HeadIds {
  /** High half at `2 * i`, low half at `2 * i + 1`. */
  readonly hashes: Uint32Array
  /** First byte of each id, and where one behind the last would begin: id `i` ends `idGap` before number `i + 1`. */
  readonly starts: Uint32Array
  /**
   * What the hash leaves open of an id, halves by turns: ids are equal exactly if hash and rest are. 0 and 0 for ids that
   * are no UUIDs: then the texts must be compared. Absent where the file's format knows no rests.
   */
  readonly rests: Uint32Array | undefined
}

const hash: Hash64 = { hi: 0, lo: 0 }
const rest: Hash64 = { hi: 0, lo: 0 }

/** Finds and hashes a head's ids. */
export function hashHeadIds(head: Uint8Array, count: number, format: IdFormat): HeadIds {
  checkPrefix(head)
  const hashes = new Uint32Array(count * 2)
  const rests = format.uuid === undefined ? undefined : new Uint32Array(count * restWords)
  const starts = new Uint32Array(count + 1)
  const view = viewOf(head)
  let start = idsStart
  for (let i = 0; i < count; i++) {
    const isUuid = isUuidAt(head, start, format)
    const end = isUuid ? start + uuidBytes : endOfString(head, start)
    if (!isUuid) hashBytes(view, start, end, format.key, hash)
    hashes[2 * i] = hash.hi
    hashes[2 * i + 1] = hash.lo
    if (rests !== undefined && isUuid) {
      rests[restWords * i] = rest.hi
      rests[restWords * i + 1] = rest.lo
    }
    starts[i] = start
    start = end + idGap
  }
  starts[count] = start
  return { hashes, starts, rests }
}

/** The hash of an id's bytes. */
export function hashId(id: Uint8Array, { uuid, key }: IdFormat): Hash64 {
  const isUuid = uuid !== undefined && id.length === uuidBytes && hashUuid(id, 0, uuid, hash, rest)
  if (!isUuid) hashBytes(viewOf(id), 0, id.length, key, hash)
  return { ...hash }
}

/** Whether the string that begins at `start` is a UUID that the format knows; then `hash` and `rest` are its own. */
function isUuidAt(head: Uint8Array, start: number, { uuid }: IdFormat): boolean {
  return uuid !== undefined && head[start + uuidBytes] === quote && hashUuid(head, start, uuid, hash, rest)
}

/** Bytes of each of the ids if all have the same number, else 0. */
export function commonIdBytes({ starts }: HeadIds): number {
  const step = starts[1]! - starts[0]!
  for (let i = 2; i < starts.length; i++) if (starts[i]! - starts[i - 1]! !== step) return 0
  return step - idGap
}

/** Throws unless the head begins as all do. */
export function checkPrefix(head: Uint8Array): void {
  for (let i = 0; i < headPrefix.length; i++) {
    if (head[i] !== headPrefix[i]) throw new RangeError('a batch head begins with its ids')
  }
}

/** Position of the quote that ends the JSON string whose first byte is at `start`. */
export function endOfString(json: Uint8Array, start: number): number {
  let at = start
  while (json[at] !== quote) {
    if (at >= json.length) throw new RangeError('a JSON string ends')
    at += json[at] === backslash ? 2 : 1
  }
  return at
}

/** An id as its bytes stand in a head. */
export function idBytes(id: string): Uint8Array {
  return Buffer.from(JSON.stringify(id).slice(1, -1))
}

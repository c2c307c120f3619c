import { checkPrefix, endOfString, idGap, idsStart } from './id-hash.ts'

/*
 * Looks into encoded batches (`event/batch-codec.ts`) without parsing them: to find one event of a row of hundreds,
 * and to compare a retried event with the stored one. Whatever these functions do not recognise they leave to the
 * codec, which is slower and always right.
 */

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const afterIds = Buffer.from('"],"keys":')
const afterKeys = Buffer.from(',"types":')
const afterSources = Buffer.from(',"times":')
const special = [Buffer.from(',"attrs":{'), Buffer.from(',"raw":['), Buffer.from(',"binary":[')]

/** End of each entry of a JSON array: the position of the comma or bracket behind it. */
export function entryEnds(body: Uint8Array, count: number): Uint32Array {
  const ends = new Uint32Array(count)
  const last = body.length - 1
  let entry = 0
  let depth = 0
  for (let at = 1; at < last; at++) {
    const byte = body[at]!
    if (byte === quote) {
      at++
      while (body[at] !== quote) at += body[at] === backslash ? 2 : 1
    } else if (byte === 0x7b || byte === 0x5b) depth++
    else if (byte === 0x7d || byte === 0x5d) depth--
    else if (byte === comma && depth === 0) ends[entry++] = at
  }
  ends[entry] = last
  return ends
}

/** Bytes of one id between its quotes, escapes included. */
export function idAt(head: Uint8Array, index: number): Uint8Array {
  checkPrefix(head)
  let start = idsStart
  for (let i = 0; i < index; i++) start = endOfString(head, start) + idGap
  return head.subarray(start, endOfString(head, start))
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0
}

/** What a head says besides ids, keys and times, and where its keys are. */
export interface HeadLayout {
  readonly keysStart: number
  /** `"types":…,"sources":…` as text; `undefined` unless all events agree on both and have nothing special. */
  readonly common: Buffer | undefined
}

export function layoutOf(head: Buffer): HeadLayout {
  // An unescaped quote cannot be part of a string, so these marks are found nowhere else.
  const idsEnd = head.indexOf(afterIds)
  const keysStart = idsEnd + afterIds.length
  const typesStart = head.indexOf(afterKeys, keysStart)
  const timesStart = head.indexOf(afterSources, typesStart)
  if (idsEnd < 0 || typesStart < 0 || timesStart < 0) return { keysStart: -1, common: undefined }
  const common = head.subarray(typesStart, timesStart)
  const isCommon =
    common[afterKeys.length] === quote &&
    common.includes('","sources":"') &&
    special.every((mark) => !head.includes(mark, timesStart))
  return { keysStart, common: isCommon ? common : undefined }
}

/** Where a string or `null` ends. */
export function endOfScalar(json: Uint8Array, start: number): number {
  return json[start] === quote ? endOfString(json, start + 1) + 1 : start + 4
}

import { deriveKey, type Hash64, type HashKey, hashPair } from './keyed-hash.ts'

/*
 * Nearly everybody's event ids are UUIDs: 128 bits. Two rounds of a Feistel network over their halves L and R, keyed with the
 * file's secret, are a bijection, whatever the round function is:
 *
 *   rest = R ^ F1(L)      hash = L ^ F2(rest)
 *
 * So two UUIDs are equal exactly if both hash and rest are (N5): the index can tell them apart without their text. And
 * as F is HalfSipHash, nobody without the key can choose UUIDs that hash alike. A part of the file format.
 */

/** Keys of the two rounds. */
export type UuidKeys = readonly [HashKey, HashKey]

export function uuidKeys(key: HashKey): UuidKeys {
  return [deriveKey(key, 'semel uuid 1'), deriveKey(key, 'semel uuid 2')]
}

/** Bytes of a UUID's canonical text. */
export const uuidBytes = 36

const dash = 0x2d
/** The value of a lower-case hexadecimal digit; whatever is none sets a bit that no digit reaches, even if shifted. */
const digits = new Int32Array(256).fill(1 << 16)
for (let value = 0; value < 16; value++) digits[value.toString(16).charCodeAt(0)] = value

const round: Hash64 = { hi: 0, lo: 0 }
/** The first round of the last id: those that Semel makes in one millisecond have the same left half. */
const first = { hi: 0, lo: 0, leftHi: 0, leftLo: 0, keys: undefined as UuidKeys | undefined }

/**
 * Hash and rest of the UUID whose text is at `start`. `false` if these 36 bytes are no UUID in canonical text (lower case,
 * dashes in place): another text of the same number is another id.
 */
export function hashUuid(
  text: Uint8Array,
  start: number,
  keys: UuidKeys,
  hash: Hash64,
  rest: Hash64,
): boolean {
  const a = digitsAt(text, start)
  const b = digitsAt(text, start + 4)
  const c = digitsAt(text, start + 9)
  const d = digitsAt(text, start + 14)
  const e = digitsAt(text, start + 19)
  const f = digitsAt(text, start + 24)
  const g = digitsAt(text, start + 28)
  const h = digitsAt(text, start + 32)
  if ((a | b | c | d | e | f | g | h) >>> 16 !== 0 || !hasDashes(text, start)) return false
  const leftHi = (a << 16) | b
  const leftLo = (c << 16) | d
  if (leftHi !== first.leftHi || leftLo !== first.leftLo || keys !== first.keys) {
    hashPair(leftHi, leftLo, keys[0], first)
    first.leftHi = leftHi
    first.leftLo = leftLo
    first.keys = keys
  }
  rest.hi = (((e << 16) | f) ^ first.hi) >>> 0
  rest.lo = (((g << 16) | h) ^ first.lo) >>> 0
  hashPair(rest.hi, rest.lo, keys[1], round)
  hash.hi = (leftHi ^ round.hi) >>> 0
  hash.lo = (leftLo ^ round.lo) >>> 0
  return true
}

/** The value of four digits, or more than 16 bits. */
function digitsAt(text: Uint8Array, at: number): number {
  return (
    (digits[text[at]!]! << 12) |
    (digits[text[at + 1]!]! << 8) |
    (digits[text[at + 2]!]! << 4) |
    digits[text[at + 3]!]!
  )
}

function hasDashes(text: Uint8Array, start: number): boolean {
  return (
    text[start + 8] === dash &&
    text[start + 13] === dash &&
    text[start + 18] === dash &&
    text[start + 23] === dash
  )
}

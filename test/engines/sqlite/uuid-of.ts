import { type Hash64, hashPair } from '../../../src/engines/sqlite/keyed-hash.ts'
import type { UuidKeys } from '../../../src/engines/sqlite/uuid-hash.ts'

/** The UUID with this hash and rest: the two rounds backwards. So a test can make ids whose hashes are equal. */
export function uuidOf(hash: Hash64, rest: Hash64, keys: UuidKeys): string {
  const left = xor(hash, hashOf(rest, keys[1]))
  const right = xor(rest, hashOf(left, keys[0]))
  const hex = [left.hi, left.lo, right.hi, right.lo]
    .map((word) => word.toString(16).padStart(8, '0'))
    .join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

function hashOf({ hi, lo }: Hash64, key: UuidKeys[0]): Hash64 {
  const out = { hi: 0, lo: 0 }
  hashPair(hi, lo, key, out)
  return out
}

function xor(a: Hash64, b: Hash64): Hash64 {
  return { hi: (a.hi ^ b.hi) >>> 0, lo: (a.lo ^ b.lo) >>> 0 }
}

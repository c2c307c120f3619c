/** The secret of a file: with another key every hash is another one. */
export interface HashKey {
  readonly k0: number
  readonly k1: number
}

/** Two 32-bit halves of one hash. */
export interface Hash64 {
  hi: number
  lo: number
}

/** A hash under way; at least four numbers. */
export type HashState = Int32Array

/*
 * HalfSipHash-1-3 (Aumasson, Bernstein, "SipHash: a fast short-input PRF", 2012, in its 32-bit form), 64-bit output:
 * who does not know the key cannot choose inputs that hash alike. Faster here than unkeyed hashes made of
 * multiplications, if the input is read through a `DataView`. A part of the file format: every process and version must compute the same.
 */

export function hashState(): HashState {
  return new Int32Array(4)
}

export function beginHash(state: HashState, { k0, k1 }: HashKey): void {
  state[0] = k0
  state[1] = k1 ^ 0xee
  state[2] = k0 ^ 0x6c796765
  state[3] = k1 ^ 0x74656462
}

export function copyHash(to: HashState, from: HashState): void {
  to[0] = from[0]!
  to[1] = from[1]!
  to[2] = from[2]!
  to[3] = from[3]!
}

/** Adds one piece of input, with its length behind it. */
export function addToHash(state: HashState, bytes: DataView, start: number, end: number): void {
  let v0 = state[0]!
  let v1 = state[1]!
  let v2 = state[2]!
  let v3 = state[3]!
  for (let at = start; at <= end; at += 4) {
    const word = at + 4 <= end ? wordAt(bytes, at) : lastWord(bytes, start, at, end)
    v3 ^= word
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
    v0 ^= word
  }
  state[0] = v0
  state[1] = v1
  state[2] = v2
  state[3] = v3
}

function wordAt(bytes: DataView, at: number): number {
  return bytes.getInt32(at, true)
}

function lastWord(bytes: DataView, start: number, from: number, end: number): number {
  let word = (end - start) << 24
  for (let at = from, shift = 0; at < end; at++, shift += 8) word |= bytes.getUint8(at) << shift
  return word
}

/** The hash of all that was added. `state` is used up. */
export function endHash(state: HashState, out: Hash64): void {
  let v0 = state[0]!
  let v1 = state[1]!
  let v2 = state[2]! ^ 0xee
  let v3 = state[3]!
  for (let rounds = 1; rounds <= 6; rounds++) {
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
    if (rounds !== 3) continue
    out.hi = (v1 ^ v3) >>> 0
    v1 ^= 0xdd
  }
  out.lo = (v1 ^ v3) >>> 0
}

export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength)
}

export function bytesOf({ buffer, byteOffset, byteLength }: DataView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

const scratch = hashState()
/** The last word of eight bytes: their number, and none of them. */
const pairEnd = 8 << 24

/** The hash of eight bytes: two numbers of 32 bits, little-endian. The same as above in one piece, for two calls an id. */
export function hashPair(first: number, second: number, { k0, k1 }: HashKey, out: Hash64): void {
  let v0 = k0
  let v1 = k1 ^ 0xee
  let v2 = k0 ^ 0x6c796765
  let v3 = k1 ^ 0x74656462
  for (let rounds = 1; rounds <= 9; rounds++) {
    const word = rounds === 1 ? first : rounds === 2 ? second : rounds === 3 ? pairEnd : 0
    v3 ^= word
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
    v0 ^= word
    if (rounds === 3) v2 ^= 0xee
    if (rounds !== 6) continue
    out.hi = (v1 ^ v3) >>> 0
    v1 ^= 0xdd
  }
  out.lo = (v1 ^ v3) >>> 0
}

/** Another key, made of a file's secret for one purpose. */
export function deriveKey(key: HashKey, purpose: string): HashKey {
  const bytes = new TextEncoder().encode(purpose)
  const hash = { hi: 0, lo: 0 }
  hashBytes(viewOf(bytes), 0, bytes.length, key, hash)
  return { k0: hash.hi | 0, k1: hash.lo | 0 }
}

export function hashBytes(bytes: DataView, start: number, end: number, key: HashKey, out: Hash64): void {
  beginHash(scratch, key)
  addToHash(scratch, bytes, start, end)
  endHash(scratch, out)
}

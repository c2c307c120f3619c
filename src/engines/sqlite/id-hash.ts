/**
 * Hashes event ids as they stand in a batch head, without parsing it: the bytes between the quotes, escapes
 * included. `JSON.stringify` writes one string in one way only, so equal ids have equal bytes.
 */
const headPrefix = Buffer.from('{"v":1,"ids":["')
const quote = 0x22
const backslash = 0x5c

/** Two 32-bit halves of one hash. */
export interface IdHash {
  hi: number
  lo: number
}

/**
 * MurmurHash3's mixing with two lanes of different constants. Only a first sieve: whatever matches is compared with
 * the stored id (N5). The seed is secret to the file, so nobody can choose ids that all hash alike.
 */
export function hashBytes(bytes: Uint8Array, start: number, end: number, seed: number, out: IdHash): void {
  let a = seed | 0
  let b = Math.imul(seed, 0x9e3779b1) ^ (end - start)
  let at = start
  for (; at + 4 <= end; at += 4) {
    const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    const x = Math.imul(word, 0xcc9e2d51)
    a ^= Math.imul((x << 15) | (x >>> 17), 0x1b873593)
    a = (Math.imul((a << 13) | (a >>> 19), 5) + 0xe6546b64) | 0
    const y = Math.imul(word, 0x239b961b)
    b ^= Math.imul((y << 16) | (y >>> 16), 0xab0e9789)
    b = (Math.imul((b << 15) | (b >>> 17), 5) + 0x561ccd1b) | 0
  }
  let word = 0
  for (let shift = 0; at < end; at++, shift += 8) word |= bytes[at]! << shift
  a ^= Math.imul(word, 0xcc9e2d51)
  b ^= Math.imul((word << 16) | (word >>> 16), 0x239b961b)
  a = (a + b) | 0
  b = (b + a) | 0
  a = finish(a)
  b = finish(b)
  a = (a + b) | 0
  b = (b + a) | 0
  out.hi = a >>> 0
  out.lo = b >>> 0
}

function finish(hash: number): number {
  let h = hash
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

const scratch: IdHash = { hi: 0, lo: 0 }

/** Hashes of a head's ids: high half at `2 * i`, low half at `2 * i + 1`. */
export function hashHeadIds(head: Uint8Array, count: number, seed: number): Uint32Array {
  const hashes = new Uint32Array(count * 2)
  let start = startOfIds(head)
  for (let i = 0; i < count; i++) {
    const end = endOfString(head, start)
    hashBytes(head, start, end, seed, scratch)
    hashes[2 * i] = scratch.hi
    hashes[2 * i + 1] = scratch.lo
    // Over `","` to the next id.
    start = end + 3
  }
  return hashes
}

/** Position of the first id's first byte. */
export function startOfIds(head: Uint8Array): number {
  for (let i = 0; i < headPrefix.length; i++) {
    if (head[i] !== headPrefix[i]) throw new RangeError('a batch head begins with its ids')
  }
  return headPrefix.length
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

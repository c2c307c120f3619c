/** Two 32-bit halves of one hash. */
export interface IdHash {
  hi: number
  lo: number
}

/**
 * Hash of an event id: MurmurHash3's mixing over its UTF-16 units, with two lanes of different constants. Only a first
 * sieve: whatever matches is compared with the stored id (N5). The seed is secret to the log, so nobody can choose ids
 * that all hash alike. Sealed ids are stored by it, so it never changes.
 */
export function hashId(id: string, seed: number, out: IdHash): void {
  const units = id.length
  let a = seed | 0
  let b = Math.imul(seed, 0x9e3779b1) ^ units
  for (let at = 0; at < units; at += 2) {
    const word = id.charCodeAt(at) | ((at + 1 < units ? id.charCodeAt(at + 1) : 0) << 16)
    const x = Math.imul(word, 0xcc9e2d51)
    a ^= Math.imul((x << 15) | (x >>> 17), 0x1b873593)
    a = (Math.imul((a << 13) | (a >>> 19), 5) + 0xe6546b64) | 0
    const y = Math.imul(word, 0x239b961b)
    b ^= Math.imul((y << 16) | (y >>> 16), 0xab0e9789)
    b = (Math.imul((b << 15) | (b >>> 17), 5) + 0x561ccd1b) | 0
  }
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

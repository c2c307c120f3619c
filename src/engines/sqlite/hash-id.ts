/**
 * 53 bits of hash of an event id, never 0: two multiply-xor lanes over UTF-16 units, finished like MurmurHash3.
 * Only a first sieve: whatever matches is compared with the stored id (N5).
 */
export function hashId(id: string): number {
  let a = 0x9e3779b9
  let b = 0x85ebca6b
  for (let i = 0; i < id.length; i++) {
    const unit = id.charCodeAt(i)
    a = Math.imul(a ^ unit, 0xcc9e2d51)
    b = Math.imul(b ^ unit, 0x1b873593)
    a ^= a >>> 15
  }
  a = Math.imul(a ^ (b >>> 16), 0x85ebca6b)
  b = Math.imul(b ^ (a >>> 13), 0xc2b2ae35)
  a ^= b >>> 16
  b ^= a >>> 15
  return (b & 0x1fffff) * 2 ** 32 + (a >>> 0) || 1
}

/** Castagnoli's polynomial, its bits in reverse, as batches of records want it (RFC 3720). Node's own CRC-32 has another. */
const polynomial = 0x82f63b78
const tableCount = 8

/** Eight tables of 256, one after another: the n-th moves a byte n bytes further than the first. */
const tables = ((): Int32Array => {
  const all = new Int32Array(tableCount * 256)
  for (let byte = 0; byte < 256; byte++) {
    let sum = byte
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ polynomial : sum >>> 1
    all[byte] = sum
  }
  for (let at = 256; at < all.length; at++) all[at] = (all[at - 256]! >>> 8) ^ all[all[at - 256]! & 0xff]!
  return all
})()

/** Of the bytes from `from` on, eight at a time. */
export function crc32c(bytes: Uint8Array, from: number): number {
  let sum = -1
  let at = from
  for (const end = bytes.length - 7; at < end; at += 8) {
    sum ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    sum =
      tables[0x700 | (sum & 0xff)]! ^
      tables[0x600 | ((sum >>> 8) & 0xff)]! ^
      tables[0x500 | ((sum >>> 16) & 0xff)]! ^
      tables[0x400 | (sum >>> 24)]! ^
      tables[0x300 | bytes[at + 4]!]! ^
      tables[0x200 | bytes[at + 5]!]! ^
      tables[0x100 | bytes[at + 6]!]! ^
      tables[bytes[at + 7]!]!
  }
  for (; at < bytes.length; at++) sum = tables[(sum ^ bytes[at]!) & 0xff]! ^ (sum >>> 8)
  return ~sum >>> 0
}

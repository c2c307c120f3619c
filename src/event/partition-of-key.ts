/**
 * Kafka's key-to-partition map: murmur2 of the UTF-8 key, sign bit cleared, modulo the partition count (P4).
 *
 * The hash is Austin Appleby's MurmurHash2 with Kafka's seed, as in
 * `org.apache.kafka.common.utils.Utils#murmur2`; test/event/partition-of-key.test.ts holds its published vectors.
 */
const seed = 0x9747b28c
const m = 0x5bd1e995

/** MurmurHash2 (32 bit, Kafka's seed) of `bytes`, as a signed 32-bit integer like Java's. */
export function murmur2(bytes: Uint8Array, length: number = bytes.length): number {
  let h = seed ^ length
  const blocks = length & ~3
  for (let i = 0; i < blocks; i += 4) {
    let k = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
    k = Math.imul(k, m)
    k ^= k >>> 24
    h = Math.imul(h, m) ^ Math.imul(k, m)
  }
  const left = length & 3
  if (left === 3) h ^= bytes[blocks + 2]! << 16
  if (left >= 2) h ^= bytes[blocks + 1]! << 8
  if (left >= 1) h = Math.imul(h ^ bytes[blocks]!, m)
  h ^= h >>> 13
  h = Math.imul(h, m)
  return h ^ (h >>> 15)
}

const encoder = new TextEncoder()
const scratch = new Uint8Array(4096)

/** The partition that events with `key` go to, from 0 to `partitions` - 1. `key` must be well-formed Unicode. */
export function partitionOfKey(key: string, partitions: number): number {
  if (key.length * 3 > scratch.length) return (murmur2(encoder.encode(key)) & 0x7fffffff) % partitions
  const length = writeAscii(key) ?? encoder.encodeInto(key, scratch).written
  return (murmur2(scratch, length) & 0x7fffffff) % partitions
}

// Most keys are short ASCII; writing them by hand is several times faster than a call into the encoder.
function writeAscii(key: string): number | undefined {
  const length = key.length
  for (let i = 0; i < length; i++) {
    const code = key.charCodeAt(i)
    if (code > 0x7f) return undefined
    scratch[i] = code
  }
  return length
}

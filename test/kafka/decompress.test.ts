import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { decompressed } from '../../src/engines/kafka/decompress.ts'
import { kafkaLimits } from '../../src/engines/kafka/kafka-limits.ts'

const [gzip, snappy, lz4, zstd] = [1, 2, 3, 4]
const refused = { name: 'SemelError', code: 'ENGINE_FAILED', limit: kafkaLimits.decompressedBytesMax }

test('a batch that would fill the memory is refused, whatever it is compressed with', () => {
  const tooMuch = Buffer.alloc(kafkaLimits.decompressedBytesMax + 1)
  assert.throws(() => decompressed(gzip!, gzipSync(tooMuch)), refused)
  assert.throws(() => decompressed(zstd!, zstdCompressSync(tooMuch)), refused)
  // A size of 2 GiB, in front of nothing.
  assert.throws(() => decompressed(snappy!, Buffer.from([0x80, 0x80, 0x80, 0x80, 0x08])), refused)
  // One literal, and then itself again for 2^28 bytes.
  const lengths = Buffer.alloc(1 << 20, 0xff)
  const block = Buffer.concat([Buffer.from([0x1f, 0x61, 0x01, 0x00]), lengths, Buffer.from([0])])
  const frame = Buffer.alloc(11)
  frame.writeUInt32LE(0x184d2204, 0)
  frame.writeUInt32LE(block.length, 7)
  assert.throws(() => decompressed(lz4!, Buffer.concat([frame, block, Buffer.alloc(4)])), refused)
})

test('a batch that ends too early, or holds something else, is refused with a typed error', () => {
  for (const codec of [gzip!, snappy!, lz4!, zstd!]) {
    assert.throws(() => decompressed(codec, Buffer.from('what is this')), refused)
    assert.throws(() => decompressed(codec, Buffer.alloc(3, 0x04)), refused)
  }
  assert.throws(() => decompressed(5, Buffer.alloc(9)), { code: 'ENGINE_FAILED' })
})

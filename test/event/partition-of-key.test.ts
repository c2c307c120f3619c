import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { murmur2, partitionOfKey } from '../../src/event/partition-of-key.ts'

/** From Kafka's own UtilsTest#testMurmur2. */
const published: Readonly<Record<string, number>> = {
  '21': -973_932_308,
  foobar: -790_332_482,
  'a-little-bit-long-string': -985_981_536,
  'a-little-bit-longer-string': -1_486_304_829,
  lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8: -58_897_971,
  abc: 479_470_107,
}

for (const [text, hash] of Object.entries(published)) {
  test(`murmur2 of ${text} is Kafka's (P4)`, () => {
    assert.equal(murmur2(Buffer.from(text)), hash)
    for (const partitions of [1, 7, 12, 1_024]) {
      assert.equal(partitionOfKey(text, partitions), (hash & 0x7fffffff) % partitions)
    }
  })
}

test('short, long, ASCII and other keys all take the way of their UTF-8 bytes', () => {
  const keys = fc.oneof(
    fc.string({ unit: 'grapheme-ascii', maxLength: 40 }),
    fc.string({ unit: 'binary', maxLength: 40 }).filter((text) => text.isWellFormed()),
    fc.constantFrom('', 'x'.repeat(1_365), 'x'.repeat(1_366), 'ü'.repeat(3_000), '漢'.repeat(1_365)),
  )
  fc.assert(
    fc.property(keys, fc.integer({ min: 1, max: 1_024 }), (key, partitions) => {
      const expected = (murmur2(Buffer.from(key)) & 0x7fffffff) % partitions
      assert.equal(partitionOfKey(key, partitions), expected)
    }),
  )
})

test('keys spread over all partitions', () => {
  const counts = new Array<number>(16).fill(0)
  for (let i = 0; i < 16_000; i++) counts[partitionOfKey(`customer-${i}`, 16)]! += 1
  for (const count of counts) assert.ok(count > 850 && count < 1_150, counts.join())
})

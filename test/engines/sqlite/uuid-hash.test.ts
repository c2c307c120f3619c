import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type Hash64, hashBytes, hashPair, viewOf } from '../../../src/engines/sqlite/keyed-hash.ts'
import { hashUuid, uuidKeys } from '../../../src/engines/sqlite/uuid-hash.ts'
import { uuidOf } from './uuid-of.ts'

const key = { k0: 0x03020100, k1: 0x07060504 }
const keys = uuidKeys(key)

interface Hashed {
  readonly hash: Hash64
  readonly rest: Hash64
}

/** `undefined`: no UUID in canonical text. */
function hashed(id: string, under = keys): Hashed | undefined {
  const hash = { hi: 0, lo: 0 }
  const rest = { hi: 0, lo: 0 }
  // Something before it, as in a head.
  return hashUuid(Buffer.from(`"${id}"`), 1, under, hash, rest) ? { hash, rest } : undefined
}

/** All 128 bits, not only those that the versions leave. */
const uuids = fc
  .bigInt({ min: 0n, max: 2n ** 128n - 1n })
  .map((bits) => bits.toString(16).padStart(32, '0'))
  .map((hex) => hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'))

describe('the hash of a UUID (N5)', () => {
  test('is a bijection: hash and rest together give the UUID back', () => {
    fc.assert(
      fc.property(uuids, (id) => {
        const { hash, rest } = hashed(id)!
        assert.equal(uuidOf(hash, rest, keys), id)
      }),
      { examples: [['00000000-0000-0000-0000-000000000000'], ['ffffffff-ffff-ffff-ffff-ffffffffffff']] },
    )
  })

  test('depends on nothing but the UUID and the key, whatever was hashed before', () => {
    const others = uuidKeys({ k0: 1, k1: 2 })
    const left = fc.constantFrom('0190b5e8-6c1f-7d3a', '0190b5e8-6c1f-7d3b', '1190b5e8-6c1f-7d3a')
    fc.assert(
      fc.property(fc.array(fc.tuple(left, uuids, fc.boolean()), { minLength: 2 }), (steps) => {
        for (const [half, id, isOther] of steps) {
          const under = isOther ? others : keys
          const near = half + id.slice(18)
          const { hash, rest } = hashed(near, under)!
          assert.equal(uuidOf(hash, rest, under), near)
        }
      }),
    )
  })

  test('differs in half of its bits, on average, for UUIDs that differ in one', () => {
    let [flipped, compared] = [0, 0]
    fc.assert(
      fc.property(uuids, fc.nat(127), (id, bit) => {
        const digits = id.replaceAll('-', '')
        const other = (BigInt(`0x${digits}`) ^ (1n << BigInt(bit))).toString(16).padStart(32, '0')
        const text = other.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
        const [a, b] = [hashed(id)!, hashed(text)!]
        assert.notDeepEqual(a, b)
        flipped += ones(a.hash.hi ^ b.hash.hi) + ones(a.hash.lo ^ b.hash.lo)
        compared += 64
      }),
      { numRuns: 1_000 },
    )
    assert.ok(Math.abs(flipped / compared - 0.5) < 0.02, `${flipped} of ${compared} bits`)
  })

  test('is not made of a text that is no UUID in lower case with its dashes in place', () => {
    const id = '0190b5e8-6c1f-7d3a-9b42-5f0e8c7a1d36'
    assert.ok(hashed(id) !== undefined)
    for (let at = 0; at < id.length; at++) {
      const isDash = id[at] === '-'
      for (const other of isDash ? ['0', '_', ' '] : ['-', 'g', 'A', 'F', '/', ':', '`', 'ä', '\\']) {
        const near = id.slice(0, at) + other + id.slice(at + 1)
        assert.equal(hashed(near), undefined, near)
      }
    }
    assert.equal(hashed(id.toUpperCase()), undefined)
    assert.equal(hashed(`{${id.slice(0, 34)}}`), undefined)
    assert.equal(hashed(id.slice(0, 35)), undefined)
  })

  test('uses the same function of eight bytes as everything else does', () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.nat(0xffffffff), (first, second) => {
        const bytes = Buffer.alloc(8)
        bytes.writeUInt32LE(first, 0)
        bytes.writeUInt32LE(second, 4)
        const [long, pair] = [
          { hi: 0, lo: 0 },
          { hi: 0, lo: 0 },
        ]
        hashBytes(viewOf(bytes), 0, 8, key, long)
        hashPair(first, second, key, pair)
        assert.deepEqual(pair, long)
      }),
    )
  })

  test('stays the same in all versions, for it is a part of the file format', () => {
    // Computed by another program.
    const { hash, rest } = hashed('0190b5e8-6c1f-7d3a-9b42-5f0e8c7a1d36')!
    assert.deepEqual(
      [hash.hi, hash.lo, rest.hi, rest.lo],
      [3_614_004_382, 1_564_031_029, 1_364_065_308, 1_461_074_395],
    )
  })
})

function ones(word: number): number {
  return (word >>> 0).toString(2).replaceAll('0', '').length
}

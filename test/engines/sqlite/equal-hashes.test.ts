import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { hashId, idBytes } from '../../../src/engines/sqlite/id-hash.ts'
import { batch, newFile, newFileOfFormat1, record, WriterRig } from './rig.ts'
import { uuidOf } from './uuid-of.ts'

const small = { hotIdsMax: 6, hotIdsTotalMax: 1_000, sealSliceMs: 0 }

function openRig(file: string): WriterRig {
  const rig = new WriterRig(file, small)
  rig.declare('orders', 1, 60_000)
  return rig
}

/** Ids of all kinds that have one hash, under this file's key. Nobody else could make them. */
function idsOfOneHash({ idFormat }: WriterRig): string[] {
  const name = 'order-1'
  const hash = hashId(idBytes(name), idFormat)
  const rests = [0, 1, 2, 2 ** 31, 2 ** 32 - 1].map((lo) => ({ hi: 0, lo }))
  const uuids = rests.map((rest) => uuidOf(hash, rest, idFormat.uuid!))
  for (const id of uuids) assert.deepEqual(hashId(idBytes(id), idFormat), hash)
  return [name, ...uuids]
}

const places = (count: number): Float64Array => Float64Array.from({ length: 2 * count }, (_, i) => i >> 1)

describe('ids of equal hash are told apart exactly (N5)', () => {
  // One UUID's rest is 0, so it has no mark, like the name.
  const kinds = ['in one call', 'one by one', 'sealed', 'opened again', 'sealed and opened again']
  for (const kind of kinds) {
    test(kind, () => {
      const file = newFile()
      let rig = openRig(file)
      // The same content, so that nothing but the ids can tell them apart.
      const events = idsOfOneHash(rig).map((id) => record(id, 'same'))
      if (kind === 'in one call') assert.equal(rig.append([batch(events)]).batches[0]!.exceptions, undefined)
      else
        for (const event of events)
          assert.equal(rig.append([batch([event])]).batches[0]!.exceptions, undefined)
      if (kind.includes('sealed')) assert.ok(rig.doChores() > 0)
      if (kind.includes('opened')) {
        rig.close()
        rig = openRig(file)
      }
      assert.deepEqual(rig.append([batch(events)]).batches[0]!.exceptions, places(events.length))
      for (const { id } of events) {
        const { failures } = rig.append([batch([record(id, 'other')])])
        assert.equal(failures[0]?.[1].code, 'ID_CONFLICT')
      }
      rig.close()
    })
  }

  test('a UUID in capitals is another id, and looked up in its row', () => {
    for (const file of [newFile(), newFileOfFormat1()]) {
      let rig = openRig(file)
      const lower = '0190b5e8-6c1f-7d3a-9b42-5f0e8c7a1d36'
      const near = [
        lower,
        lower.toUpperCase(),
        `${lower.slice(0, 35)}g`,
        lower.replace('-', '_'),
        lower.replaceAll('-', ''),
      ]
      const events = near.map((id) => record(id, 'same'))
      assert.equal(rig.append([batch(events)]).batches[0]!.exceptions, undefined)
      rig.append([batch([record('order-1')])])
      assert.ok(rig.doChores() > 0)
      assert.deepEqual(rig.append([batch(events)]).batches[0]!.exceptions, places(near.length))
      rig.database.exec(`update semel_batch set head = '{}'`)
      rig.close()
      rig = openRig(file)
      for (const [i, event] of events.entries()) {
        const again = (): unknown => rig.append([batch([event])]).batches[0]!.exceptions
        if (i === 0 && rig.idFormat.uuid !== undefined) assert.deepEqual(again(), Float64Array.of(0, 0))
        else assert.throws(again, { code: 'STORAGE_CORRUPT' })
      }
      rig.close()
    }
  })
})

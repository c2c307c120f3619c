import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { batch, newFile, record, WriterRig } from './rig.ts'

const hotIdsMax = 1_000
const small = { hotIdsMax, hotIdsTotalMax: 10_000, sealSliceMs: 0 }
const fanIn = 4
const windowMs = 1_000_000
/** Chunks that a slice writes here: one. A merge has several. */
const sliceOfMerge = 3

function openRig(file: string): WriterRig {
  const rig = new WriterRig(file, small)
  rig.declare('orders', 1, windowMs)
  return rig
}

function events(from: number, count = hotIdsMax) {
  return Array.from({ length: count }, (_, i) => record(`id-${from + i}`))
}

/** Four sealed generations, of which some chunks are merged. Answers the number of the merge's generation. */
function beginMerge(rig: WriterRig): number {
  for (let n = 0; n < fanIn - 1; n++) {
    rig.append([batch(events(n * hotIdsMax))])
    rig.doChores()
  }
  rig.append([batch(events((fanIn - 1) * hotIdsMax))])
  while (generations(rig).length < fanIn) rig.doChores(1)
  rig.doChores(1 + sliceOfMerge)
  const merge = Number(rig.database.prepare('select generation from semel_id_build').get()?.generation)
  assert.ok(merge > fanIn && chunksOf(rig, merge) > 0, 'the merge has begun')
  assert.equal(generations(rig).length, fanIn, 'and is not done')
  return merge
}

function generations(rig: WriterRig): { id: number; rank: number; entries: number }[] {
  const rows = rig.database.prepare('select id, rank, entries from semel_id_generation order by rank').all()
  return rows.map(({ id, rank, entries }) => ({
    id: Number(id),
    rank: Number(rank),
    entries: Number(entries),
  }))
}

function chunksOf(rig: WriterRig, generation: number): number {
  const rows = rig.database.prepare('select count(*) as n from semel_id_chunk where row / 16777216 = ?')
  return Number(rows.get(generation)?.n)
}

function garbage(rig: WriterRig): number[] {
  const rows = rig.database.prepare('select generation from semel_id_garbage order by generation').all()
  return rows.map(({ generation }) => Number(generation))
}

/** Every id is where it was, and nothing is left of what was built and not used. */
function assertSound(rig: WriterRig, ids: number): void {
  const { batches } = rig.append([batch(events(0, ids))])
  const exceptions = [...(batches[0]!.exceptions ?? [])]
  assert.deepEqual(exceptions, Array.from({ length: ids }, (_, i) => [i, i]).flat())
  assert.deepEqual(garbage(rig), [])
  const chunks = generations(rig).reduce((sum, { id }) => sum + chunksOf(rig, id), 0)
  const { n } = rig.database.prepare('select count(*) as n from semel_id_chunk').get()!
  assert.equal(Number(n), chunks)
}

describe('a merge under way when a hot table is full', () => {
  test('waits until that is sealed, and goes on where it was', () => {
    const rig = openRig(newFile())
    const merge = beginMerge(rig)
    const written = chunksOf(rig, merge)
    rig.append([batch(events(fanIn * hotIdsMax))])
    while (generations(rig).length === fanIn) rig.doChores(1)
    assert.equal(chunksOf(rig, merge), written, 'the seal came first')
    assert.deepEqual(garbage(rig), [merge], 'should this process end now, somebody clears up')
    assert.equal(rig.writer.figures().dedupIdsInMemory, 0)
    rig.doChores(1)
    assert.deepEqual(garbage(rig), [])
    rig.doChores()
    assert.deepEqual(
      generations(rig).map(({ id, entries }) => [id, entries]),
      [
        [merge, fanIn * hotIdsMax],
        [merge + 1, hotIdsMax],
      ],
    )
    assertSound(rig, (fanIn + 1) * hotIdsMax)
    rig.close()
  })

  test('begins anew if another process has begun to clear it up', () => {
    const file = newFile()
    const rig = openRig(file)
    const merge = beginMerge(rig)
    rig.append([batch(events(fanIn * hotIdsMax))])
    while (generations(rig).length === fanIn) rig.doChores(1)
    rig.database.prepare('delete from semel_id_chunk where row = ?').run(merge * 2 ** 24)
    rig.database.prepare('update semel_id_garbage set deleted = 1 where generation = ?').run(merge)
    rig.doChores()
    const merged = generations(rig).find(({ entries }) => entries === fanIn * hotIdsMax)
    assert.ok(merged !== undefined && merged.id !== merge)
    assertSound(rig, (fanIn + 1) * hotIdsMax)
    rig.close()
  })

  test('leaves nothing behind if its process ends meanwhile', () => {
    const file = newFile()
    const first = openRig(file)
    const merge = beginMerge(first)
    first.append([batch(events(fanIn * hotIdsMax))])
    while (generations(first).length === fanIn) first.doChores(1)
    first.close()
    const second = openRig(file)
    second.doChores()
    assert.equal(chunksOf(second, merge), 0)
    assertSound(second, (fanIn + 1) * hotIdsMax)
    second.close()
  })

  test('is given up if what it is made of is out of the window meanwhile (N3)', () => {
    const rig = openRig(newFile())
    beginMerge(rig)
    rig.now += 2 * windowMs
    rig.append([batch(events(fanIn * hotIdsMax))])
    while (rig.doChores(1) > 0)
      assert.ok(
        generations(rig).every(({ entries }) => entries === hotIdsMax),
        'nothing was merged',
      )
    assert.equal(generations(rig).length, 1)
    const { batches } = rig.append([batch(events(0))])
    assert.equal(batches[0]!.exceptions, undefined)
    rig.doChores()
    assert.deepEqual(garbage(rig), [])
    rig.close()
  })

  test('of another topic waits as well', () => {
    const rig = openRig(newFile())
    rig.declare('bills', 1, windowMs)
    const merge = beginMerge(rig)
    rig.append([batch(events(0), 'bills')])
    while (generations(rig).length === fanIn) rig.doChores(1)
    assert.deepEqual(garbage(rig), [], 'its claim stands')
    rig.doChores()
    assert.ok(generations(rig).some(({ id }) => id === merge))
    assertSound(rig, fanIn * hotIdsMax)
    rig.close()
  })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DedupIndex } from '../../../src/engines/sqlite/dedup-index.ts'
import { HotIds } from '../../../src/engines/sqlite/hot-ids.ts'
import { IdFilter } from '../../../src/engines/sqlite/id-filter.ts'
import { GenerationRows, IdGeneration } from '../../../src/engines/sqlite/id-generation.ts'
import { noMark } from '../../../src/engines/sqlite/marks.ts'
import { newFile, WriterRig } from './rig.ts'

const entries = 150_000
const kib = 1024
/** What others in this process may take or give meanwhile. */
const slackBytes = 256 * kib

/** Memory of buffers, of garbage, too, that V8 has not collected. */
function bufferBytes(): number {
  return process.memoryUsage().arrayBuffers
}

function fill(ids: HotIds, marks: Uint32Array): void {
  for (let i = 1; i <= entries; i++) ids.add((i * 2_654_435_761) >>> 0, i, i, marks, 0)
}

for (const [name, marks] of [
  ['without marks', noMark],
  ['with marks', Uint32Array.of(1, 2, 3, 4)],
] as const) {
  test(`a hot table keeps no memory of the smaller ones it was, and none after its release: ${name}`, () => {
    const before = bufferBytes()
    const ids = new HotIds()
    fill(ids, marks)
    const { bytes } = ids
    const grown = bufferBytes() - before
    assert.ok(Math.abs(grown - bytes) < slackBytes, `${grown} bytes for a table of ${bytes}`)
    ids.release()
    // Still referred to, so it is no collection of garbage that gave it back.
    assert.equal(ids.bytes, 0)
    const left = bufferBytes() - before
    assert.ok(left < slackBytes, `${left} bytes are left`)
  })
}

test('a generation that is replaced gives its filter back, those that stay do not, and whoever still asks looks at the chunks (N5)', () => {
  const rig = new WriterRig(newFile())
  const rows = new GenerationRows(rig.database, 'a file')
  const row = { rank: 1, entries: 1_000_000, chunks: 1, oldestMs: 1, newestMs: 1, entryBytes: 16 }
  const [a, b, c] = [1, 2, 3].map((id) => new IdGeneration({ ...row, id }, IdFilter.for(row.entries), rows))
  const index = new DedupIndex()
  index.setGenerations([a!, b!])
  const filterBytes = a!.bytes
  assert.ok(filterBytes > 1_000 * kib)
  const before = bufferBytes()
  index.setGenerations([b!, c!])
  assert.ok(before - bufferBytes() > filterBytes - slackBytes)
  assert.deepEqual([a!.bytes < kib, b!.bytes, c!.bytes], [true, filterBytes, filterBytes])
  assert.deepEqual([a!.mayHold(1, 1), b!.mayHold(1, 1)], [true, false])
  index.setGenerations([c!])
  a!.release()
  assert.deepEqual([a!.mayHold(1, 1), b!.mayHold(1, 1), c!.mayHold(1, 1)], [true, true, false])
  rig.close()
})

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { ReadOnlyFile } from '../../../src/cli/read-only-file.ts'
import { batch, newFile, newFileOfFormat1, record, WriterRig } from './rig.ts'

const small = { hotIdsMax: 8, hotIdsTotalMax: 1_000, sealSliceMs: 0 }
const windowMs = 60_000

/** As Semel wrote it before there was a format 2: 12 events, the ids of 8 of them sealed. */
function oldFile(): string {
  const file = newFile()
  const database = new DatabaseSync(file)
  database.exec(readFileSync(new URL('./format-1.sql', import.meta.url), 'utf8'))
  database.close()
  return file
}

function openRig(file: string): WriterRig {
  const rig = new WriterRig(file, small)
  rig.declare('orders', 1, windowMs)
  return rig
}

function idOf(n: number): string {
  return n % 2 === 0 ? `00000000-0000-4000-8000-${String(n).padStart(12, '0')}` : `order-${n}`
}

function events(from: number, to: number, second = 'two') {
  return Array.from({ length: to - from }, (_, i) => record(idOf(from + i), { first: from + i, second }))
}

function places(from: number, to: number): Float64Array {
  return Float64Array.from({ length: 2 * (to - from) }, (_, i) => (i % 2 === 0 ? 0 : from) + (i >> 1))
}

function formatOf({ database }: WriterRig): unknown {
  return database.prepare("select value from semel_meta where name = 'format'").get()?.value
}

function chunkBytes({ database }: WriterRig): unknown[] {
  return database
    .prepare(
      'select g.entries, sum(length(c.entries)) as bytes from semel_id_generation g join semel_id_chunk c on c.row / 16777216 = g.id group by g.id',
    )
    .all()
    .map(({ entries, bytes }) => Number(bytes) / Number(entries))
}

describe('a file of format 1', () => {
  test('is known as before: repeats, contradictions, and what is new (N1, N2)', () => {
    const rig = openRig(oldFile())
    assert.deepEqual(rig.append([batch(events(0, 12))]).batches[0]!.exceptions, places(0, 12))
    for (let n = 0; n < 12; n++) {
      const { failures } = rig.append([batch(events(n, n + 1, 'other'))])
      assert.equal(failures[0]?.[1].code, 'ID_CONFLICT', idOf(n))
    }
    assert.equal(rig.append([batch(events(12, 14))]).batches[0]!.exceptions, undefined)
    rig.now += windowMs
    assert.equal(rig.append([batch(events(0, 12))]).batches[0]!.exceptions, undefined)
    rig.close()
  })

  test('is written on in its own format over reopens, seals and a merge', () => {
    const file = oldFile()
    let rig = openRig(file)
    for (let from = 12; from < 60; from += 8) {
      rig.append([batch(events(from, from + 8))])
      rig.doChores()
      rig.close()
      rig = openRig(file)
      assert.deepEqual(rig.append([batch(events(0, from + 8))]).batches[0]!.exceptions, places(0, from + 8))
    }
    assert.equal(formatOf(rig), '1')
    const bytes = chunkBytes(rig)
    assert.ok(bytes.length > 0 && bytes.every((each) => each === 16), String(bytes))
    const merged = rig.database
      .prepare('select count(*) as n from semel_id_generation where rank <> id')
      .get()
    assert.ok(Number(merged?.n) > 0)
    assert.equal(rig.append([batch(events(20, 21, 'other'))]).failures[0]?.[1].code, 'ID_CONFLICT')
    rig.close()
  })

  test('is read by the command', async () => {
    const file = new ReadOnlyFile(oldFile())
    assert.equal((await file.status()).topics[0]?.partitions[0]?.end, 12)
    await file.close()
  })

  test('differs from the next by the width of entries: the tests that make one do it right', () => {
    const columnsOf = (file: string): unknown => {
      const database = new DatabaseSync(file)
      const columns = database
        .prepare(
          `select t.name as "table", c.name, c.type, c."notnull" from sqlite_schema t, pragma_table_info(t.name) c order by 1, c.cid`,
        )
        .all()
      database.close()
      return columns
    }
    assert.deepEqual(columnsOf(newFileOfFormat1()), columnsOf(oldFile()))
  })

  test('an entry of the next format is never written to it', () => {
    const rig = openRig(newFileOfFormat1())
    rig.append([batch(events(0, 8))])
    rig.doChores()
    assert.deepEqual(chunkBytes(rig), [16])
    rig.close()
    const next = openRig(newFile())
    next.append([batch(events(0, 8))])
    next.doChores()
    // Each chunk has four bytes of checksum.
    assert.deepEqual(chunkBytes(next), [32 + 4 / 8])
    assert.equal(formatOf(next), '2')
    next.close()
  })
})

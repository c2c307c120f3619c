import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { openForReading } from '../../../src/engines/sqlite/database-file.ts'
import { LogReader } from '../../../src/engines/sqlite/log-reader.ts'
import { placeOf } from '../../../src/engines/sqlite/place.ts'
import { sqliteLimits } from '../../../src/engines/sqlite/sqlite-limits.ts'
import { hasCode } from '../../../src/errors.ts'
import { batch, newFile, newFileInPlaceOrder, record, WriterRig } from './rig.ts'

const partitions = 4
const windowMs = 60_000
const rowEvents = 32
const data = { text: 'x'.repeat(200) }

function openRig(file: string): WriterRig {
  const rig = new WriterRig(file)
  rig.declare('orders', partitions, windowMs)
  return rig
}

const events = (commit: number, partition: number) =>
  Array.from({ length: rowEvents }, (_, i) => record(`${commit}-${partition}-${i}`, data))

const append = (rig: WriterRig, commit: number) =>
  rig.append(Array.from({ length: partitions }, (_, p) => batch(events(commit, p), 'orders', p)))

/** Pages that each of 40 commits with a row for each partition writes. */
function pagesPerCommit(file: string): number {
  const rig = openRig(file)
  const walBytes = () => statSync(`${file}-wal`).size
  const commits = 40
  const before = walBytes()
  for (let n = 0; n < commits; n++) append(rig, n)
  const bytes = walBytes() - before
  rig.close()
  return bytes / commits / sqliteLimits.pageBytes
}

describe('rows are appended', () => {
  test('so a commit does not write the neighbours of its rows anew', () => {
    const appended = pagesPerCommit(newFile())
    const inPlaceOrder = pagesPerCommit(newFileInPlaceOrder())
    assert.ok(appended < 0.8 * inPlaceOrder, `${appended} and ${inPlaceOrder} pages`)
  })

  for (const [layout, make] of [
    ['appended', newFile],
    ['in the order of their places', newFileInPlaceOrder],
  ] as const) {
    test(`a file with rows ${layout} is read in order and knows its ids, also after a reopen (O1, N1)`, () => {
      const file = make()
      let rig = openRig(file)
      for (let n = 0; n < 10; n++) append(rig, n)
      rig.close()
      rig = openRig(file)
      for (let n = 5; n < 15; n++) append(rig, n)
      const database = openForReading(file)
      const reader = new LogReader(database, file)
      for (let partition = 0; partition < partitions; partition++) {
        const ids: string[] = []
        for (let offset = 0, end = 1; offset < end; ) {
          const request = { topic: 'orders', partition, offset, maxEvents: 50, maxBytes: 1_000_000 }
          const { events: read, next, end: last } = reader.read(request)
          ids.push(...read.map(({ id }) => id))
          offset = next
          end = last
        }
        const expected = Array.from({ length: 15 }, (_, n) => events(n, partition).map(({ id }) => id))
        assert.deepEqual(ids, expected.flat())
      }
      database.close()
      rig.close()
    })
  }

  test('an index that names the wrong row is found by the checksum, which covers the place (F3)', () => {
    const file = newFile()
    const rig = openRig(file)
    for (let n = 0; n < 10; n++) rig.append([batch(events(n, 0))])
    rig.close()
    const offset = 3 * rowEvents
    nameAnotherRow(file, placeOf(1, offset))
    const database = openForReading(file)
    const reader = new LogReader(database, file)
    const request = { topic: 'orders', partition: 0, maxEvents: rowEvents, maxBytes: 1_000_000 }
    assert.equal(reader.read({ ...request, offset: 0 }).next, rowEvents)
    assert.throws(
      () => reader.read({ ...request, offset }),
      (error) => hasCode(error, 'STORAGE_CORRUPT'),
    )
    database.close()
  })
})

/** Changes the number of a row in the index of places: an entry there is a place in six bytes and a row in one. */
function nameAnotherRow(file: string, place: number): void {
  const database = new DatabaseSync(file)
  const sql = "select rootpage from sqlite_schema where type = 'index' and tbl_name = 'semel_batch'"
  const page = Number(database.prepare(sql).get()?.rootpage)
  database.close()
  const bytes = readFileSync(file)
  const key = Buffer.alloc(6)
  key.writeUIntBE(place, 0, 6)
  const start = (page - 1) * sqliteLimits.pageBytes
  const at = bytes.indexOf(key, start)
  assert.ok(at > 0 && at < start + sqliteLimits.pageBytes, 'the place is in the index')
  bytes[at + key.length]! += 1
  writeFileSync(file, bytes)
}

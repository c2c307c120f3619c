import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { markedEntryBytes, plainEntryBytes } from '../../../src/engines/sqlite/id-chunk.ts'
import type { EventRecord } from '../../../src/event/event.ts'
import { batch, newFile, newFileOfFormat1, record, WriterRig } from './rig.ts'

const windowMs = 20_000
const small = { hotIdsMax: 40, hotIdsTotalMax: 1_000, sealSliceMs: 0 }
/** Longer than chores rest after one of them failed. */
const choresPauseMs = 1_001
const startMs = 1_700_000_000_000

/** Events whose ids are UUIDs. */
function eventsOf(name: string, count = small.hotIdsMax): EventRecord[] {
  const last = Buffer.from(name.padEnd(6)).toString('hex')
  return Array.from({ length: count }, (_, i) => {
    return record(`${String(i).padStart(8, '0')}-0000-4000-8000-${last}`, { first: i, second: name })
  })
}

function openRig(file: string, now = startMs): WriterRig {
  const rig = new WriterRig(file, small)
  rig.now = now
  rig.declare('orders', 1, windowMs)
  return rig
}

/** Appends the events and seals them as a generation of their own. */
function sealed(rig: WriterRig, events: readonly EventRecord[]): void {
  rig.append([batch(events)])
  rig.doChores()
}

/** Index in the call and offset of each event that was not appended; of a refused call the error's code. */
function publish(rig: WriterRig, events: readonly EventRecord[]): readonly (readonly number[])[] | string {
  const { batches, failures } = rig.append([batch(events)])
  if (failures.length > 0) return String(failures[0]![1].code)
  const flat = [...(batches[0]!.exceptions ?? [])]
  return flat.flatMap((index, i) => (i % 2 === 0 ? [[index, flat[i + 1]!]] : []))
}

function places(from: number, count = small.hotIdsMax): number[][] {
  return Array.from({ length: count }, (_, i) => [i, from + i])
}

function entryBytes(rig: WriterRig): number[] {
  const rows = rig.database.prepare('select entry_bytes from semel_id_generation order by rank').all()
  return rows.map((row) => Number(row.entry_bytes))
}

const unreadableRows = `update semel_batch set head = '{}'`

describe('a UUID with a mark (N1, N2, N3)', () => {
  for (const isSealed of [false, true]) {
    const where = isSealed ? 'sealed' : 'hot'

    test(`is known without its row: ${where}`, () => {
      const rig = openRig(newFile())
      rig.append([batch(eventsOf('a'))])
      if (isSealed) rig.doChores()
      assert.deepEqual(entryBytes(rig), isSealed ? [markedEntryBytes] : [])
      rig.database.exec(unreadableRows)
      assert.deepEqual(publish(rig, eventsOf('a')), places(0))
      rig.close()
    })

    test(`with other content is a contradiction, and written in another way it is the same: ${where}`, () => {
      const rig = openRig(newFile())
      const events = eventsOf('a')
      const { id } = events[3]!
      rig.append([batch(events)])
      if (isSealed) rig.doChores()
      assert.equal(publish(rig, [record(id, { first: 3, second: 'b' })]), 'ID_CONFLICT')
      assert.deepEqual(publish(rig, [record(id, { second: 'a', first: 3 })]), [[0, 3]])
      rig.close()
    })
  }

  test('of another id has another mark, whatever the content', () => {
    const rig = openRig(newFile())
    const same = (name: string): EventRecord[] => eventsOf(name).map(({ id }) => record(id, 'same'))
    sealed(rig, same('a'))
    assert.deepEqual(publish(rig, same('b')), [])
    rig.close()
  })

  test('is known to the last millisecond of its window, and new after it', () => {
    for (const [afterMs, expected] of [
      [windowMs - 1, places(0)],
      [windowMs, []],
    ] as const) {
      const rig = openRig(newFile())
      sealed(rig, eventsOf('a'))
      rig.now += afterMs
      assert.deepEqual(publish(rig, eventsOf('a')), expected)
      rig.close()
    }
  })

  test('is left to its row once the oldest of its generation is out of the window', () => {
    const rig = openRig(newFile())
    rig.append([batch(eventsOf('old', 20))])
    rig.now += 10
    sealed(rig, eventsOf('new', 20))
    rig.now += windowMs - 10
    assert.deepEqual(publish(rig, eventsOf('new', 20)), places(20, 20))
    assert.deepEqual(publish(rig, eventsOf('old', 20)), [])
    rig.close()
  })

  test('is known after its file was opened again, sealed or not', () => {
    const file = newFile()
    const first = openRig(file)
    sealed(first, eventsOf('sealed'))
    first.append([batch(eventsOf('hot', 10))])
    first.close()
    const rig = openRig(file)
    rig.database.exec(unreadableRows)
    assert.deepEqual(publish(rig, eventsOf('sealed')), places(0))
    assert.deepEqual(publish(rig, eventsOf('hot', 10)), places(small.hotIdsMax, 10))
    rig.close()
  })

  test('is given no mark at open from a row that does not match its checksum (F3)', () => {
    for (const sql of [
      'update semel_batch set prints = zeroblob(length(prints))',
      'update semel_batch set prints_crc = prints_crc + 1',
      'update semel_batch set append_time = append_time + 1',
    ]) {
      const file = newFile()
      const first = openRig(file)
      first.append([batch(eventsOf('a', 10))])
      first.database.exec(sql)
      first.close()
      const rig = openRig(file)
      assert.throws(() => publish(rig, eventsOf('a', 10)), {
        code: 'STORAGE_CORRUPT',
        outcome: 'not-applied',
      })
      rig.close()
    }
  })
})

describe('entries without marks', () => {
  test('are those of ids that Semel made, and cost no bytes for marks', () => {
    const rig = openRig(newFile())
    rig.append([{ ...batch(eventsOf('a')), fresh: true }])
    rig.doChores()
    assert.deepEqual(entryBytes(rig), [plainEntryBytes])
    assert.deepEqual(publish(rig, eventsOf('a')), places(0))
    rig.close()
  })

  test('are merged with others, and the row goes on deciding for them', () => {
    const file = newFile()
    const first = openRig(file)
    const names = ['a', 'b', 'c', 'd']
    for (const [i, name] of names.entries()) {
      first.append([{ ...batch(eventsOf(name)), fresh: i % 2 === 0 }])
      first.doChores()
    }
    assert.deepEqual(entryBytes(first), [markedEntryBytes])
    for (const [i, name] of names.entries()) {
      assert.deepEqual(publish(first, eventsOf(name)), places(i * small.hotIdsMax))
      assert.equal(publish(first, [record(eventsOf(name)[0]!.id, 'other')]), 'ID_CONFLICT')
    }
    first.database.exec(unreadableRows)
    first.close()
    const rig = openRig(file)
    assert.deepEqual(publish(rig, eventsOf('b')), places(small.hotIdsMax))
    assert.throws(() => publish(rig, eventsOf('a')), { code: 'STORAGE_CORRUPT' })
    rig.close()
  })
})

test('rows are small only where one is read for each repeat: of other ids, and in files of format 1', () => {
  const uuids = eventsOf('a', 250)
  const names = uuids.map((event, i) => ({ ...event, id: `order-${i}` }))
  for (const [file, events, rows] of [
    [newFile(), uuids, 1],
    [newFile(), names, 4],
    [newFileOfFormat1(), uuids, 4],
  ] as const) {
    const rig = openRig(file)
    rig.append([batch(events)])
    assert.equal(rig.database.prepare('select count(*) as n from semel_batch').get()?.n, rows)
    rig.close()
  }
})

describe('a damaged chunk of marks (F3)', () => {
  for (const [what, sql] of [
    ['one byte', "update semel_id_chunk set entries = cast(x'07' || substr(entries, 2) as blob)"],
    ['one bit of a mark', 'update semel_id_chunk set entries = $flipped'],
    [
      'cut short',
      `update semel_id_chunk set entries = substr(entries, 1, length(entries) - ${markedEntryBytes})`,
    ],
    ['without its checksum', 'update semel_id_chunk set entries = substr(entries, 1, length(entries) - 4)'],
    ['empty', "update semel_id_chunk set entries = x''"],
    ['gone', 'delete from semel_id_chunk'],
  ] as const) {
    test(`is found before anything is concluded from it, and new events go on: ${what}`, () => {
      const rig = openRig(newFile())
      sealed(rig, eventsOf('a'))
      rig.database.exec(sql.replace('$flipped', `x'${flippedChunk(rig)}'`))
      const code = { code: 'STORAGE_CORRUPT', outcome: 'not-applied' }
      assert.throws(() => publish(rig, eventsOf('a')), code)
      // Enough for a merge, which has to give up.
      for (const name of ['b', 'c', 'd', 'e']) {
        sealed(rig, eventsOf(name))
        rig.wait(choresPauseMs)
      }
      rig.doChores()
      assert.equal(entryBytes(rig).length, 5)
      rig.declare('other', 1, windowMs)
      rig.append([batch(eventsOf('a'), 'other')])
      rig.wait(choresPauseMs)
      rig.doChores()
      assert.equal(entryBytes(rig).length, 6)
      assert.throws(() => publish(rig, eventsOf('a')), code)
      assert.deepEqual(publish(rig, eventsOf('e')), places(4 * small.hotIdsMax))
      rig.close()
    })
  }

  /** The first chunk, in which one bit of the last mark is another. */
  function flippedChunk(rig: WriterRig): string {
    const entries = Buffer.from(
      rig.database.prepare('select entries from semel_id_chunk').get()!.entries as Uint8Array,
    )
    entries[entries.length - 5]! ^= 1
    return entries.toString('hex')
  }
})

import assert from 'node:assert/strict'
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { readAll } from '../../support/read-all.ts'
import { failsWith } from '../../support/rejects.ts'
import { lockFile, newFolder, open, parts, publishEach } from './bus-rig.ts'

/** Writes other bytes over the first place where `text` stands in the file; answers how many there were. */
function overwrite(file: string, text: string, by: string): number {
  assert.equal(by.length, text.length)
  const bytes = readFileSync(file)
  let found = 0
  const fd = openSync(file, 'r+')
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) {
    writeSync(fd, by, at)
    found++
  }
  closeSync(fd)
  return found
}

function sql(file: string, statement: string): void {
  const database = new DatabaseSync(file)
  database.exec(statement)
  database.close()
}

describe('a file that another program keeps locked', () => {
  test('a publish is refused within the bound, surely not applied, and goes through afterwards', async (t) => {
    const file = join(newFolder(t), 'semel.db')
    await using bus = await open(file, 300)
    const [kept] = await publishEach(bus, 1, 'kept')
    const locker = await lockFile(file, 'begin exclusive')
    const started = performance.now()
    const error = await failsWith('STORAGE_LOCKED', bus.publish(parts, { key: 'a' }, { id: 'late' }))
    const tookMs = performance.now() - started
    assert.equal(error.outcome, 'not-applied')
    assert.equal(error.retryable, true)
    assert.ok(error.message.includes(file))
    assert.ok(tookMs >= 250 && tookMs < 5_000, `it took ${tookMs} ms`)
    assert.equal((await readAll(bus, parts)).length, 1, 'reading goes on')
    await locker.release()
    const receipt = await bus.publish(parts, { key: 'a' }, { id: 'late' })
    assert.equal(receipt.duplicate, false, 'not-applied was the truth')
    assert.equal(
      (await bus.publish(parts, { key: 'a', n: 0, marker: 'kept-marker-0;' }, { id: kept!.id })).duplicate,
      true,
    )
  })

  test('a publish that finds the lock waits for its end', async (t) => {
    const file = join(newFolder(t), 'semel.db')
    await using bus = await open(file)
    const locker = await lockFile(file, 'begin exclusive')
    const publishing = bus.publish(parts, { key: 'a' }, { id: 'waits' })
    await locker.release()
    assert.equal((await publishing).offset, 0)
  })

  test('a file that is locked for good is not opened, and the error says why', async (t) => {
    const file = join(newFolder(t), 'semel.db')
    await (await open(file)).stop()
    const locker = await lockFile(
      file,
      'pragma locking_mode = exclusive; create table t (a); insert into t values (1)',
    )
    const error = await failsWith('STORAGE_LOCKED', open(file, 300))
    assert.equal(error.outcome, 'not-applied')
    assert.equal(error.retryable, true)
    await locker.release()
    await (await open(file)).stop()
  })
})

describe('a path that cannot be used', () => {
  test('a missing folder, and a file where a folder is needed', async (t) => {
    const folder = newFolder(t)
    const missing = await failsWith('ENGINE_OPEN_FAILED', open(join(folder, 'nowhere', 'semel.db')))
    assert.equal(missing.field, 'file')
    writeFileSync(join(folder, 'plain'), '')
    await failsWith('ENGINE_OPEN_FAILED', open(join(folder, 'plain', 'semel.db')))
  })

  test('a folder instead of a file', async (t) => {
    const folder = newFolder(t)
    mkdirSync(join(folder, 'semel.db'))
    const error = await failsWith('ENGINE_OPEN_FAILED', open(join(folder, 'semel.db')))
    assert.equal(error.field, 'file')
    assert.match(error.message, /is a folder/)
  })

  test('a file is made for its owner alone (0600), with all that stands beside it', async (t) => {
    const file = join(newFolder(t), 'semel.db')
    await using bus = await open(file)
    await publishEach(bus, 1)
    for (const name of [file, `${file}-wal`, `${file}-shm`]) {
      assert.equal(statSync(name).mode & 0o777, 0o600, name)
    }
  })
})

describe('a file that is not what it should be', () => {
  test('not a database', async (t) => {
    const file = join(newFolder(t), 'semel.db')
    const text = 'this is a letter, not a database; '.repeat(1_000)
    writeFileSync(file, text)
    const error = await failsWith('STORAGE_CORRUPT', open(file))
    assert.equal(error.field, 'file')
    assert.equal(readFileSync(file, 'utf8'), text, 'and it is left alone')
  })

  test('an empty file is a new one: a crash right after it was made leaves just that', async (t) => {
    const file = join(newFolder(t), 'semel.db')
    writeFileSync(file, '')
    await using bus = await open(file)
    assert.equal((await publishEach(bus, 1))[0]!.offset, 0)
  })

  test('a database of somebody else keeps its tables', async (t) => {
    const file = join(newFolder(t), 'semel.db')
    sql(file, "create table people (name text); insert into people values ('Ada')")
    await (await open(file)).stop()
    const database = new DatabaseSync(file)
    assert.deepEqual({ ...database.prepare('select name from people').get() }, { name: 'Ada' })
    database.close()
  })

  test('a newer format: the error names both, and nothing is touched', async (t) => {
    const file = join(newFolder(t), 'semel.db')
    await (await open(file)).stop()
    sql(file, "update semel_meta set value = '3' where name = 'format'")
    const error = await failsWith('STORAGE_FORMAT', open(file))
    assert.equal(error.actual, 3)
    assert.equal(error.limit, 2)
    assert.match(error.message, /format 3.*knows 2/)
  })

  test('a file that does not say what it is', async (t) => {
    const file = join(newFolder(t), 'semel.db')
    await (await open(file)).stop()
    for (const statement of [
      "update semel_meta set value = 'x' where name = 'format'",
      "update semel_meta set value = '1' where name = 'format'; delete from semel_meta where name = 'log_id'",
    ]) {
      sql(file, statement)
      await failsWith('STORAGE_CORRUPT', open(file))
    }
  })
})

describe('a damaged file (F3): told, never repaired, never skipped', () => {
  /** A file of some dozens of rows, folded into one file; answers events per partition. */
  async function fill(file: string, count = 60): Promise<readonly number[]> {
    const bus = await open(file)
    const receipts = await publishEach(bus, count)
    await bus.stop()
    return [0, 1].map((partition) => receipts.filter((receipt) => receipt.partition === partition).length)
  }

  async function partitionOf(file: string, id: string): Promise<{ partition: number; offset: number }> {
    await using bus = await open(file)
    const event = (await readAll(bus, parts)).find((candidate) => candidate.id === id)!
    return { partition: event.partition, offset: event.offset }
  }

  test('flipped bytes in a row: file and offsets are named, the other partition is read', async (t) => {
    const file = join(newFolder(t), 'semel.db')
    const counts = await fill(file)
    const { partition, offset } = await partitionOf(file, 'event-20')
    assert.ok(overwrite(file, 'event-marker-20;', 'event-marker-2X;') > 0)
    await using bus = await open(file)
    const error = await failsWith('STORAGE_CORRUPT', readAll(bus, parts, { partition }))
    assert.ok(error.message.includes(file), error.message)
    assert.match(error.message, new RegExp(`offsets ${offset} to ${offset} of parts/${partition}`))
    assert.equal((await readAll(bus, parts, { partition: 1 - partition })).length, counts[1 - partition])
    const before = await readAll(bus, parts, { partition, until: offset })
    assert.equal(before.length, offset, 'and so is all before it')
    const behind = await readAll(bus, parts, { partition, from: { offset: offset + 1 } })
    assert.equal(behind.length, counts[partition]! - offset - 1, 'whoever says so may go on behind it')
  })

  test('a group stands still before a damaged event, and its other partition goes on', async (t) => {
    const file = join(newFolder(t), 'semel.db')
    const counts = await fill(file)
    const { partition, offset } = await partitionOf(file, 'event-20')
    overwrite(file, 'event-marker-20;', 'event-marker-2X;')
    await using bus = await open(file)
    const seen: number[][] = [[], []]
    const consumer = bus.consume(parts, { group: 'stands', guarantee: 'at-least-once' }, (event) => {
      seen[event.partition]!.push(event.offset)
    })
    await consumer.ready()
    const due = performance.now() + 5_000
    while (performance.now() < due && seen[1 - partition]!.length < counts[1 - partition]!) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await consumer.stop().catch(() => undefined)
    assert.equal(seen[1 - partition]!.length, counts[1 - partition])
    assert.ok(
      seen[partition]!.every((at) => at < offset),
      'nothing was skipped',
    )
  })

  test('the repeat of an event that is damaged is no new event', async (t) => {
    const file = join(newFolder(t), 'semel.db')
    await fill(file)
    const { partition, offset } = await partitionOf(file, 'event-20')
    overwrite(file, 'event-marker-20;', 'event-marker-2X;')
    await using bus = await open(file)
    const data = { key: 'c', n: 20, marker: 'event-marker-20;' }
    // What decides a repeat is sound: id and print. The damage of the data is told to whoever needs the data.
    const repeat = await bus.publish(parts, data, { id: 'event-20' })
    assert.deepEqual([repeat.duplicate, repeat.partition, repeat.offset], [true, partition, offset])
    const other = { ...data, n: 21 }
    await failsWith('STORAGE_CORRUPT', bus.publish(parts, other, { id: 'event-20' }))
    await failsWith('STORAGE_CORRUPT', readAll(bus, parts, { partition }))
    assert.equal((await bus.publish(parts, { key: 'c' }, { id: 'other' })).duplicate, false)
  })

  test('a row that is missing: the offsets between are named', async (t) => {
    const file = join(newFolder(t), 'semel.db')
    await fill(file)
    const { partition, offset } = await partitionOf(file, 'event-20')
    sql(file, `delete from semel_batch where body like '%event-marker-20;%'`)
    await using bus = await open(file)
    const error = await failsWith('STORAGE_CORRUPT', readAll(bus, parts, { partition }))
    assert.ok(error.message.includes(file) && error.message.includes(`parts/${partition}`), error.message)
    assert.match(error.message, /missing/)
    await failsWith('STORAGE_CORRUPT', readAll(bus, parts, { partition, from: { offset } }))
  })

  test('the last row is missing', async (t) => {
    const file = join(newFolder(t), 'semel.db')
    await fill(file)
    const { partition } = await partitionOf(file, 'event-59')
    sql(file, `delete from semel_batch where body like '%event-marker-59;%'`)
    await using bus = await open(file)
    await failsWith('STORAGE_CORRUPT', readAll(bus, parts, { partition }))
  })

  test('a file cut short, at several lengths', async (t) => {
    for (let eighths = 1; eighths < 8; eighths += 2) {
      const file = join(newFolder(t), 'semel.db')
      const counts = await fill(file, 400)
      truncateSync(file, Math.floor((statSync(file).size * eighths) / 8))
      const read = open(file).then(async (bus) => {
        try {
          return await readAll(bus, parts)
        } finally {
          await bus.stop().catch(() => undefined)
        }
      })
      await read.then(
        (events) => assert.equal(events.length, counts[0]! + counts[1]!, 'nothing was skipped in silence'),
        (error: unknown) => {
          const { code, message } = Object(error)
          assert.equal(code, 'STORAGE_CORRUPT', message)
          assert.ok(String(message).includes(file), message)
        },
      )
    }
  })

  test('pages that are garbage', async (t) => {
    const pageBytes = 8192
    const pages = 8
    for (let page = 0; page < pages; page++) {
      const file = join(newFolder(t), 'semel.db')
      await fill(file, 400)
      const total = statSync(file).size / pageBytes
      const fd = openSync(file, 'r+')
      const at = page === 0 ? 100 : Math.floor((total * page) / pages) * pageBytes
      writeSync(fd, Buffer.alloc(pageBytes - (at % pageBytes), 0xa5), 0, undefined, at)
      closeSync(fd)
      const read = open(file).then(async (bus) => {
        try {
          return (await readAll(bus, parts)).length
        } finally {
          await bus.stop().catch(() => undefined)
        }
      })
      await read.then(
        (count) => assert.equal(count, 400),
        (error: unknown) => assert.equal(Object(error).code, 'STORAGE_CORRUPT', String(error)),
      )
    }
  })
})

describe('what stands in the file', () => {
  test('the view semel_events shows single events', async (t) => {
    const file = join(newFolder(t), 'semel.db')
    const bus = await open(file)
    await bus.publishMany([0, 1, 2].map((n) => parts.event({ key: 'a', n }, { id: `many-${n}` })))
    await bus.stop()
    const database = new DatabaseSync(file)
    const rows = database
      .prepare('select topic, "offset", id, key, data from semel_events order by "offset"')
      .all()
    database.close()
    assert.deepEqual(
      rows.map((row) => ({ ...row })),
      [0, 1, 2].map((n) => ({
        topic: 'parts',
        offset: n,
        id: `many-${n}`,
        key: 'a',
        data: JSON.stringify({ key: 'a', n }),
      })),
    )
  })

  test('the write-ahead log stays bounded while much is written, and goes at the end', async (t) => {
    const file = join(newFolder(t), 'semel.db')
    const bus = await open(file)
    const filler = 'x'.repeat(60_000)
    let most = 0
    for (let round = 0; round < 30; round++) {
      const events = Array.from({ length: 100 }, () => parts.event({ key: 'a', filler }))
      await bus.publishMany(events)
      most = Math.max(most, statSync(`${file}-wal`).size)
    }
    await bus.stop()
    assert.ok(statSync(file).size > 180_000_000)
    assert.ok(most < 128 * 1024 * 1024, `the log grew to ${most} bytes`)
    assert.equal(statSync(`${file}-wal`, { throwIfNoEntry: false }), undefined)
  })
})

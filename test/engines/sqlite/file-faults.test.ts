import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { sqlite } from '../../../src/engines/sqlite/index.ts'
import { type Bus, isSemelError, openBus, type SemelError, topic } from '../../../src/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'semel-file-faults-'))
const events = topic<{ n: number; text: string }>('events', { partitions: 1 })
let files = 0

after(() => rmSync(folder, { recursive: true, force: true }))

function newFile(): string {
  return join(folder, `${++files}.db`)
}

function open(file: string, lockWaitMs = 2_000): Promise<Bus> {
  return openBus({ engine: sqlite({ file, lockWaitMs }), topics: [events] })
}

async function refusal(work: () => Promise<unknown>): Promise<SemelError> {
  try {
    await work()
  } catch (error) {
    assert.ok(isSemelError(error), String(error))
    return error
  }
  throw new Error('it was not refused')
}

async function filled(file: string, count: number): Promise<void> {
  await using bus = await open(file)
  for (let n = 0; n < count; n++) await bus.publish(events, { n, text: `marker-${n}` })
}

async function readAll(bus: Bus): Promise<number[]> {
  const found: number[] = []
  for await (const { data } of bus.read(events)) found.push(data.n)
  return found
}

test('a folder that is missing, or stands where the file should, is named', async () => {
  const missing = await refusal(() => open(join(folder, 'nowhere', 'a.db')))
  assert.equal(missing.code, 'ENGINE_OPEN_FAILED')
  assert.equal(missing.field, 'file')
  mkdirSync(join(folder, 'folder.db'))
  assert.equal((await refusal(() => open(join(folder, 'folder.db')))).code, 'ENGINE_OPEN_FAILED')
})

test('a file that is no database is left as it is', async () => {
  const file = newFile()
  writeFileSync(file, 'these are notes, not a database\n'.repeat(100))
  const before = readFileSync(file)
  const error = await refusal(() => open(file))
  assert.equal(error.code, 'STORAGE_CORRUPT')
  assert.ok(error.message.includes(file))
  assert.deepEqual(readFileSync(file), before)
})

test('a file of a newer format is refused with both versions', async () => {
  const file = newFile()
  await filled(file, 1)
  const database = new DatabaseSync(file)
  database.exec("update semel_meta set value = '99' where name = 'format'")
  database.close()
  const error = await refusal(() => open(file))
  assert.equal(error.code, 'STORAGE_FORMAT')
  assert.match(error.message, /format 99, this version of Semel knows \d+/)
})

test('a foreign lock makes writes wait, then fail as retryable and not applied; afterwards all goes on', async () => {
  const file = newFile()
  await using bus = await open(file, 300)
  const foreign = new DatabaseSync(file, { timeout: 30_000 })
  foreign.exec('begin immediate')
  const error = await refusal(() => bus.publish(events, { n: 1, text: 'a' }))
  assert.equal(error.code, 'STORAGE_LOCKED')
  assert.equal(error.retryable, true)
  assert.equal(error.outcome, 'not-applied')
  foreign.exec('rollback')
  foreign.close()
  await bus.publish(events, { n: 2, text: 'b' })
  assert.deepEqual(await readAll(bus), [2])
})

test('a flipped byte in a stored event is found, named and never skipped (D5, F3)', async () => {
  const file = newFile()
  await filled(file, 30)
  const bytes = readFileSync(file)
  const at = bytes.indexOf('marker-17')
  assert.ok(at > 0)
  bytes[at] = bytes[at]! ^ 1
  writeFileSync(file, bytes)
  await using bus = await open(file)
  const error = await refusal(() => readAll(bus))
  assert.equal(error.code, 'STORAGE_CORRUPT')
  assert.ok(error.message.includes(file))
  assert.match(error.message, /17/)
})

test('an event row that was deleted behind our back is found, not passed over (D5)', async () => {
  const file = newFile()
  await filled(file, 10)
  const database = new DatabaseSync(file)
  database.exec('delete from semel_batch where place = (select min(place) + 5 from semel_batch)')
  database.close()
  await using bus = await open(file)
  const error = await refusal(() => readAll(bus))
  assert.equal(error.code, 'STORAGE_CORRUPT')
})

test('a file cut in half is refused or read up to the damage, never as a shorter log', async () => {
  const file = newFile()
  await filled(file, 200)
  const bytes = readFileSync(file)
  writeFileSync(file, bytes.subarray(0, Math.floor(bytes.length / 2)))
  const error = await refusal(async () => {
    await using bus = await open(file)
    const found = await readAll(bus)
    assert.equal(found.length, 200, 'a shorter log was read without an error')
  })
  assert.match(error.code, /STORAGE_CORRUPT|ENGINE_OPEN_FAILED|ENGINE_FAILED/)
})

test('only the owner may read a new file', async () => {
  const file = newFile()
  await filled(file, 1)
  assert.equal(statSync(file).mode & 0o777, 0o600)
})

const isRoot = process.getuid?.() === 0
test('a full disk: an honest outcome, everything acknowledged is kept, and it goes on with space (D1, D4)', {
  skip: isRoot ? false : 'needs root to mount a small disk',
}, async () => {
  const disk = join(folder, 'disk')
  mkdirSync(disk)
  execFileSync('dd', ['if=/dev/zero', `of=${folder}/disk.img`, 'bs=1M', 'count=12'], { stdio: 'ignore' })
  execFileSync('mkfs.ext4', ['-q', '-F', `${folder}/disk.img`])
  execFileSync('mount', ['-o', 'loop', `${folder}/disk.img`, disk])
  const file = join(disk, 'full.db')
  try {
    const acked: number[] = []
    const unknown: number[] = []
    const bus = await open(file)
    let full: SemelError | undefined
    for (let n = 0; full === undefined && n < 400; n++) {
      try {
        await bus.publish(events, { n, text: 'x'.repeat(60_000) })
        acked.push(n)
      } catch (error) {
        assert.ok(isSemelError(error), String(error))
        full = error
        if (error.outcome === 'unknown') unknown.push(n)
      }
    }
    assert.match(full?.code ?? 'the disk never filled', /STORAGE_FULL|ENGINE_FAILED/)
    assert.deepEqual((await readAll(bus)).slice(0, acked.length), acked, 'reads go on')
    await bus.stop()
    execFileSync('mount', ['-o', 'remount,ro', disk])
    execFileSync('mount', ['-o', 'remount,rw', disk])
    const copy = newFile()
    for (const end of ['', '-wal']) {
      try {
        writeFileSync(`${copy}${end}`, readFileSync(`${file}${end}`))
      } catch {
        // No write-ahead log was left behind.
      }
    }
    await using again = await open(copy)
    const found = await readAll(again)
    assert.deepEqual(found.slice(0, acked.length), acked, 'acknowledged events are kept')
    assert.deepEqual(
      found.slice(acked.length).filter((n) => !unknown.includes(n)),
      [],
      'nothing refused shows up',
    )
    await again.publish(events, { n: 1000, text: 'after' })
  } finally {
    execFileSync('umount', ['-l', disk])
  }
})

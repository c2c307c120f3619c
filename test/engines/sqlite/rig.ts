import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after } from 'node:test'
import type { AppendBatch } from '../../../src/engine/engine.ts'
import { openForWriting } from '../../../src/engines/sqlite/database-file.ts'
import { toWireBatches } from '../../../src/engines/sqlite/encode-request.ts'
import type { IdLimits } from '../../../src/engines/sqlite/id-keeper.ts'
import { sqliteLimits } from '../../../src/engines/sqlite/sqlite-limits.ts'
import { Writer } from '../../../src/engines/sqlite/writer.ts'
import type { AppendReply, WriteRequest } from '../../../src/engines/sqlite/writer-protocol.ts'
import type { EventRecord } from '../../../src/event/event.ts'
import { realPlatform } from '../../../src/platform/real-platform.ts'
import { SeededRandom } from '../../../src/platform/seeded-random.ts'

const folder = mkdtempSync(join(tmpdir(), 'semel-sqlite-'))
let files = 0
/** A file's hashes are the same in each run: with a secret of its own, some run's filter would take an id for a known one. */
const platform = { ...realPlatform, random: new SeededRandom(1) }
after(() => rmSync(folder, { recursive: true, force: true }))

/** Path for a database file in a new folder, which is removed when the tests of this file have ended. */
export function newFile(): string {
  const own = join(folder, String(++files))
  mkdirSync(own)
  return join(own, 'semel.db')
}

/** The same, with rows in the order of their places, as all files had them before rows were appended. */
export function newFileInPlaceOrder(): string {
  const file = newFile()
  const { database } = openForWriting(file, 1_000, platform)
  const [batches, view] = ['semel_batch', 'semel_events'].map((name) =>
    String(database.prepare('select sql from sqlite_schema where name = ?').get(name)?.sql),
  )
  const before = batches!.replace('place integer not null unique', 'place integer primary key')
  assert.notEqual(before, batches)
  database.exec(`drop view semel_events; drop table semel_batch; ${before}; ${view}`)
  database.close()
  return file
}

/** The same, of a log as the first format had it. */
export function newFileOfFormat1(): string {
  const file = newFileInPlaceOrder()
  const database = new DatabaseSync(file)
  database.exec(`
    alter table semel_id_generation drop column entry_bytes;
    update semel_meta set value = '1' where name = 'format'`)
  database.close()
  return file
}

const tickMs = 0.02

/** A writer in this thread, so that a test can look at it between two steps. */
export class WriterRig {
  readonly writer: Writer
  readonly database
  readonly idFormat
  now = 1_700_000_000_000
  /** How often the writer left room for other processes. */
  pauses = 0
  #ticks = 0

  constructor(file: string, idLimits: IdLimits = sqliteLimits) {
    const { database, idFormat } = openForWriting(file, 1_000, platform)
    this.database = database
    this.idFormat = idFormat
    const { clock, random } = platform
    const pause = (): void => {
      this.pauses++
    }
    this.writer = new Writer({
      database,
      file,
      // Time passes by being asked for, so that slices of sealing end at the same step on every machine.
      clock: { now: () => clock.now(), monotonic: () => this.#monotonic(), pause },
      lockWaitMs: 1_000,
      idFormat,
      builder: `rig-${random.uint32()}`,
      idLimits,
    })
  }

  #monotonic(): number {
    this.#ticks += tickMs
    return this.#ticks
  }

  /** Lets time pass for chores. */
  wait(ms: number): void {
    this.#ticks += ms
  }

  run(request: WriteRequest): unknown {
    const [answer] = this.writer.run([{ request, now: this.now }])
    if ('error' in answer!) throw Object.assign(new Error(String(answer.error.message)), answer.error)
    return answer!.reply
  }

  declare(name: string, partitions: number, dedupWindowMs: number): void {
    this.run({ op: 'declare', topics: [{ name, partitions, dedupWindowMs }] })
  }

  append(batches: readonly AppendBatch[], calls = 1): AppendReply {
    const wire = toWireBatches(batches, this.idFormat.uuid !== undefined)
    const failuresSeen = Number.POSITIVE_INFINITY
    return this.run({ op: 'append', calls, failuresSeen, durability: 'memory', batches: wire }) as AppendReply
  }

  /** All chores there are, or a number of them. */
  doChores(most = Number.POSITIVE_INFINITY): number {
    let done = 0
    while (done < most && this.writer.hasChores) {
      this.writer.doChores(this.now)
      done++
    }
    return done
  }

  close(): void {
    this.database.close()
  }
}

export function record(id: string, data: unknown = { id }, rest: Partial<EventRecord> = {}): EventRecord {
  return { id, source: '/test', type: 'test', time: 1, key: null, data, attributes: undefined, ...rest }
}

export function batch(records: readonly EventRecord[], topic = 'orders', partition = 0): AppendBatch {
  return { topic, partition, records, callOf: undefined, fresh: false }
}

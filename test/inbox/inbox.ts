import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { memory } from '../../src/engines/memory/index.ts'
import { postgres } from '../../src/engines/postgres/index.ts'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { type Bus, openBus } from '../../src/index.ts'
import { freshDatabase } from '../rig/postgres/fresh.ts'
import { type PostgresAddress, queryOnce } from '../rig/postgres/server.ts'
import { readAll } from '../support/read-all.ts'
import { until } from '../support/until.ts'
import { booked, type Payment, payments } from './topics.ts'

const folder = mkdtempSync(join(tmpdir(), 'semel-inbox-'))
let made = 0
after(() => rmSync(folder, { recursive: true, force: true }))

export function newFile(): string {
  return join(folder, `source-${++made}.db`)
}

/** A database with the user's table in it, which has no key: what is written twice is there twice. */
export async function newSink(server: PostgresAddress) {
  const database = await freshDatabase(server)
  await queryOnce(database.url, 'create table ledger (account text, n integer, seq serial)')
  return database
}

/** Engines that events are read from. */
export const sources: readonly {
  name: string
  create: (server: PostgresAddress) => Promise<() => Engine>
}[] = [
  { name: 'memory', create: async () => memory },
  {
    name: 'sqlite',
    create: async () => {
      const file = newFile()
      return () => sqlite({ file })
    },
  },
  {
    name: 'another PostgreSQL',
    create: async (server) => {
      const { url } = await freshDatabase(server)
      return () => postgres({ url })
    },
  },
]

export function openSource(engine: Engine): Promise<Bus> {
  return openBus({ engine, topics: [payments] })
}

export function openSink(url: string): Promise<Bus> {
  return openBus({ engine: postgres({ url, reconnectMs: 30_000 }), topics: [booked] })
}

export const quick = { attempts: 50, baseDelayMs: 1, maxDelayMs: 4 } as const

export function paymentsOf(accounts: number, each: number, from = 0): Payment[] {
  return Array.from({ length: accounts * each }, (_, i) => ({
    account: `a${i % accounts}`,
    n: from + Math.floor(i / accounts),
  }))
}

export async function untilBooked(sink: PostgresAddress, rows: number): Promise<void> {
  const count = async () =>
    Number((await queryOnce<{ n: string }>(sink.url, 'select count(*) as n from ledger'))[0]!.n)
  await until(async () => (await count()) >= rows, 60_000, `${rows} rows`)
}

/** X1, X2: rows, state and emitted events are what one run over `given` without any fault would have left. */
export async function requireExactlyOnce(
  sink: PostgresAddress,
  bus: Bus,
  given: readonly Payment[],
): Promise<void> {
  const rows = await queryOnce<Payment>(sink.url, 'select account, n from ledger order by seq')
  const emitted = (await readAll(bus, booked)).map(({ data }) => data)
  for (const account of new Set(given.map((payment) => payment.account))) {
    const truth = given.filter((payment) => payment.account === account).map(({ n }) => n)
    const ofAccount = (list: readonly Payment[]) => list.filter((each) => each.account === account)
    assert.deepEqual(
      ofAccount(rows).map(({ n }) => n),
      truth,
      `rows of ${account}`,
    )
    assert.deepEqual(
      emitted.filter((each) => each.account === account).map(({ n, count }) => [n, count]),
      truth.map((n, i) => [n, i + 1]),
      `emitted for ${account}`,
    )
  }
  assert.deepEqual([rows.length, emitted.length], [given.length, given.length])
}

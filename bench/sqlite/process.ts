import type { DatabaseSync } from 'node:sqlite'
import type { BenchCase, Figures } from '../measure.ts'
import { rate } from '../measure.ts'
import {
  processAtLeastOnce as processAtLeastOnceOn,
  processExactlyOnce as processExactlyOnceOn,
} from '../semel-programs.ts'
import { orderOf } from '../workload.ts'
import { openByHand, openSqliteBus } from './by-hand.ts'

const backlogEvents = 600_000
const readEvents = 500

function fillByHand(folder: string, count: number): DatabaseSync {
  const database = openByHand(folder)
  database.exec('create table event (id integer primary key, data text)')
  database.exec('create table output (id integer primary key, data text)')
  database.exec('create table state (key text primary key, value int) without rowid')
  database.exec('create table position (id integer primary key, at int); insert into position values (1, 0)')
  const insert = database.prepare('insert into event (data) values (?)')
  database.exec('begin')
  for (let n = 0; n < count; n++) insert.run(JSON.stringify(orderOf(n)))
  database.exec('commit')
  return database
}

export const processAtLeastOnce: BenchCase = {
  name: 'process-at-least-once',
  figure: 'eventsPerSecond',
  better: 'higher',
  reach: { eventsPerSecond: 250_000 },
  ratios: { 'bare read loop, batches of 500': 0.6 },
  programs: {
    semel: async (folder): Promise<Figures> => {
      await using bus = await openSqliteBus(folder)
      return await processAtLeastOnceOn(bus, backlogEvents)
    },
    'bare read loop, batches of 500': async (folder): Promise<Figures> => {
      const database = fillByHand(folder, backlogEvents)
      const read = database.prepare('select id, data from event where id > ? order by id limit ?')
      const save = database.prepare('update position set at = ? where id = 1')
      const handle = async (_event: unknown): Promise<void> => undefined
      const started = performance.now()
      for (let at = 0; ; ) {
        const rows = read.all(at, readEvents)
        if (rows.length === 0) break
        for (const row of rows) await handle(JSON.parse(String(row.data)))
        at = Number(rows.at(-1)!.id)
        save.run(at)
      }
      const eventsPerSecond = rate(backlogEvents, started)
      database.close()
      return { eventsPerSecond }
    },
  },
}

function processByHand(database: DatabaseSync, count: number, perTransaction: number): number {
  const read = database.prepare('select id, data from event where id > ? order by id limit ?')
  const getState = database.prepare('select value from state where key = ?')
  const setState = database.prepare(
    'insert into state values (?, ?) on conflict do update set value = excluded.value',
  )
  const emit = database.prepare('insert into output (data) values (?)')
  const save = database.prepare('update position set at = ? where id = 1')
  const started = performance.now()
  for (let at = 0; at < count; ) {
    database.exec('begin immediate')
    const rows = read.all(at, perTransaction)
    for (const row of rows) {
      const order = JSON.parse(String(row.data))
      const sum = Number(getState.get(order.customer)?.value ?? 0) + order.total
      setState.run(order.customer, sum)
      emit.run(JSON.stringify({ customer: order.customer, sum }))
    }
    at = Number(rows.at(-1)!.id)
    save.run(at)
    database.exec('commit')
  }
  return rate(count, started)
}

export const processExactlyOnce: BenchCase = {
  name: 'process-exactly-once',
  figure: 'eventsPerSecond',
  better: 'higher',
  reach: { eventsPerSecond: 200_000 },
  ratios: { 'transaction per 500 events': 1.7, 'transaction per event': 35 },
  programs: {
    semel: async (folder): Promise<Figures> => {
      await using bus = await openSqliteBus(folder)
      return await processExactlyOnceOn(bus, backlogEvents)
    },
    'transaction per 500 events': async (folder): Promise<Figures> => {
      const database = fillByHand(folder, 300_000)
      const eventsPerSecond = processByHand(database, 300_000, readEvents)
      database.close()
      return { eventsPerSecond }
    },
    'transaction per event': async (folder): Promise<Figures> => {
      const database = fillByHand(folder, 10_000)
      const eventsPerSecond = processByHand(database, 10_000, 1)
      database.close()
      return { eventsPerSecond }
    },
  },
}

// Change tables of your own in the same commit as the position: exactly once, with plain SQL.
// In a program of your own, import from 'semel' and 'semel/sqlite'.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout } from 'node:timers/promises'
import { sqlite } from '../src/engines/sqlite/index.ts'
import { openBus, topic } from '../src/index.ts'

const payments = topic<{ account: string; amount: number }>('payments', { key: ({ account }) => account })

const folder = mkdtempSync(join(tmpdir(), 'semel-example-'))
const file = join(folder, 'shop.db')

// Your tables and Semel's live in one file; Semel's names begin with semel_.
const database = new DatabaseSync(file)
database.exec('create table balance (account text primary key, amount integer not null check (amount >= 0))')

const bus = await openBus({ engine: sqlite({ file }), topics: [payments] })

bus.consume(payments, { group: 'ledger', retry: { attempts: 1 } }, async ({ data }, tx) => {
  await tx.query('insert or ignore into balance values (?, 0)', [data.account])
  await tx.query('update balance set amount = amount + ? where account = ?', [data.amount, data.account])
})

await bus.publishMany([
  payments.event({ account: 'ada', amount: 50 }),
  payments.event({ account: 'bob', amount: 10 }),
  payments.event({ account: 'ada', amount: -20 }),
  // The check refuses this one: its statements are undone, and the event becomes a dead letter.
  payments.event({ account: 'bob', amount: -99 }),
])

const letters = bus.deadLetters('ledger')
while ((await letters.list()).length === 0 || (await lag()) > 0) await setTimeout(10)
await bus.stop()

for (const { account, amount } of database.prepare('select * from balance order by account').all())
  console.log(`${account} ${amount}`)

// Anyone with a SQL shell can look at single events too.
const { stored } = database.prepare('select count(*) as stored from semel_events').get() ?? {}
console.log(`${stored} events in the file`)
database.close()
rmSync(folder, { recursive: true })

async function lag(): Promise<number> {
  const { groups } = await bus.status()
  return groups.reduce((sum, { lagEvents }) => sum + lagEvents, 0)
}

// Prints:
// ada 30
// bob 10
// 4 events in the file

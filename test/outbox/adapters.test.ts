import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { inspect } from 'node:util'
import { postgres } from '../../src/engines/postgres/index.ts'
import { type Bus, openBus, topic } from '../../src/index.ts'
import {
  type OutboxSequencer,
  type OutboxTransaction,
  publishIn,
  sequenceOutbox,
} from '../../src/outbox/index.ts'
import { type FreshDatabase, freshDatabase } from '../rig/postgres/fresh.ts'
import { queryOnce } from '../rig/postgres/server.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { readAll } from '../support/read-all.ts'
import { failsWith } from '../support/rejects.ts'
import { until } from '../support/until.ts'
import { openDrizzle } from './libraries/drizzle.ts'
import { openKnex } from './libraries/knex.ts'
import { openKysely } from './libraries/kysely.ts'
import type { Library } from './libraries/library.ts'
import { openMikroOrm } from './libraries/mikro-orm.ts'
import { openPg } from './libraries/pg.ts'
import { openPostgresJs } from './libraries/postgres-js.ts'
import { openPrisma } from './libraries/prisma.ts'
import { openSequelize } from './libraries/sequelize.ts'
import { openTypeOrm } from './libraries/typeorm.ts'

const libraries: Readonly<Record<string, (url: string) => Promise<Library>>> = {
  pg: openPg,
  'postgres.js': openPostgresJs,
  Drizzle: openDrizzle,
  Kysely: openKysely,
  Knex: openKnex,
  Prisma: openPrisma,
  TypeORM: openTypeOrm,
  MikroORM: openMikroOrm,
  Sequelize: openSequelize,
}

interface Opened {
  readonly account: number
  readonly text: string
}

const opened = topic<Opened>('opened', { key: ({ account }) => String(account) })
/** What each library has to carry unchanged. */
const text = `it's "quoted" \\ $1 ? :name \u0000 𝄞 {"a":[1]}`
const publish = (outbox: OutboxTransaction, account: number) =>
  publishIn(outbox, opened, { account, text }, { id: `account-${account}` })
const changedMind = new Error('the program changed its mind')

let database: FreshDatabase
let bus: Bus
let sequencer: OutboxSequencer

before(async () => {
  database = await freshDatabase(await sharedPostgres(18))
  bus = await openBus({ engine: postgres({ url: database.url }), topics: [opened] })
  await queryOnce(database.url, 'create table account (id integer primary key)')
  sequencer = await sequenceOutbox(bus)
})

after(async () => {
  await sequencer.stop()
  await bus.stop()
  await database.drop()
})

/** Whatever was published and shall arrive has arrived. */
async function arrived(): Promise<readonly number[]> {
  await until(async () => (await bus.status()).outbox!.waitingEvents === 0)
  const events = await readAll(bus, opened)
  for (const { data, id } of events) assert.deepEqual(data, { account: Number(id.split('-')[1]), text })
  return events.map(({ data }) => data.account).sort((a, b) => a - b)
}

async function accounts(): Promise<readonly number[]> {
  const rows = await queryOnce<{ id: number }>(database.url, 'select id from account order by id')
  return rows.map(({ id }) => id)
}

for (const [index, [name, open]] of Object.entries(libraries).entries()) {
  describe(name, () => {
    const first = index * 100
    const own = (ids: readonly number[]) =>
      ids.filter((id) => id >= first && id < first + 100).map((id) => id - first)
    let library: Library

    before(async () => {
      library = await open(database.url)
    })
    after(() => library.close())

    test('an event exists if and only if the transaction committed (P5)', async () => {
      await library.transaction(async ({ outbox, insert }) => {
        await insert(first)
        assert.equal(await publish(outbox, first), `account-${first}`)
      })
      const error = library.transaction(async ({ outbox, insert }) => {
        await insert(first + 1)
        await publish(outbox, first + 1)
        throw changedMind
      })
      await assert.rejects(error, changedMind)
      const violation = library.transaction(async ({ outbox, insert }) => {
        await publish(outbox, first + 2)
        await insert(first)
      })
      await assert.rejects(violation, (cause: unknown) => cause instanceof Error)
      assert.deepEqual(own(await arrived()), [0])
      assert.deepEqual(own(await accounts()), [0])
    })

    test('what a savepoint took back never arrives', async () => {
      await library.transaction(async ({ outbox, insert, savepoint }) => {
        const undone = savepoint(async (inner) => {
          await inner.insert(first + 10)
          await publish(inner.outbox, first + 10)
          throw changedMind
        })
        await assert.rejects(undone, changedMind)
        await savepoint(async (inner) => {
          await inner.insert(first + 11)
          await publish(inner.outbox, first + 11)
        })
        await insert(first + 12)
        await publish(outbox, first + 12)
      })
      assert.deepEqual(
        own(await arrived()).filter((id) => id >= 10),
        [11, 12],
      )
      assert.deepEqual(
        own(await accounts()).filter((id) => id >= 10),
        [11, 12],
      )
    })

    test('a statement that fails says so, and publishing without a transaction is refused', async () => {
      const unknown = topic<unknown>('nowhere')
      const failing = library.transaction(async ({ outbox }) => {
        await publishIn(outbox, unknown, 1)
      })
      await assert.rejects(failing, (error: Error) => /topic 'nowhere' does not exist/.test(inspect(error)))
      await failsWith('OUTSIDE_TRANSACTION', () => {
        library.outside()
      })
    })
  })
}

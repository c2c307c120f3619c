import assert from 'node:assert/strict'
import { publishIn, viaPg } from '../../src/outbox/index.ts'
import { readAll } from '../support/read-all.ts'
import type { OutboxDatabase } from './outbox-database.ts'
import { orders } from './outbox-topics.ts'

const customers = ['customer-0', 'customer-1', 'customer-2']

/**
 * Publishers whose transactions take a random time and sometimes roll back. Each publishes first and counts its key's
 * row last, so that the count says in which order the transactions of a key committed.
 */
export class CountedPublishers {
  /** Count by id, of committed transactions. */
  readonly counts = new Map<string, number>()
  readonly #database: OutboxDatabase
  #published = 0

  private constructor(database: OutboxDatabase) {
    this.#database = database
  }

  static async on(database: OutboxDatabase): Promise<CountedPublishers> {
    await database.query('create table semel.counted (key text primary key, n integer not null)')
    for (const key of customers) await database.query('insert into semel.counted values ($1, 0)', [key])
    return new CountedPublishers(database)
  }

  /** So many publishers until `done` says so. */
  async run(publishers: number, done: (round: number) => boolean): Promise<void> {
    const one = async () => {
      for (let round = 0; !done(round); round++) await this.#publish(`event-${++this.#published}`)
    }
    await Promise.all(Array.from({ length: publishers }, one))
  }

  async #publish(id: string): Promise<void> {
    const customer = customers[Math.floor(Math.random() * customers.length)]!
    const fails = Math.random() < 0.2
    const { schema } = this.#database
    const publishing = this.#database.transaction(async (client) => {
      await publishIn(viaPg(client), orders, { customer, n: 1 }, { id }, { schema })
      await client.query('select pg_sleep(random() * 0.02)')
      const { rows } = await client.query(
        `update ${schema}.counted set n = n + 1 where key = $1 returning n`,
        [customer],
      )
      if (fails) throw new Error('rolled back')
      this.counts.set(id, rows[0].n)
    })
    await publishing.catch((error: Error) => assert.equal(error.message, 'rolled back'))
  }

  /** Everything that was committed is in the log, once, per key in the order of the commits; and nothing else. */
  async check(): Promise<void> {
    const events = await readAll(this.#database.bus, orders)
    assert.ok(events.length > 0)
    assert.deepEqual(new Set(events.map(({ id }) => id)), new Set(this.counts.keys()))
    assert.equal(events.length, this.counts.size)
    for (const customer of customers) {
      const order = events.filter(({ key }) => key === customer).map(({ id }) => this.counts.get(id)!)
      assert.deepEqual(
        order,
        [...order].sort((a, b) => a - b),
      )
    }
  }
}

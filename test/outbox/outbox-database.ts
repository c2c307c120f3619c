import pg from 'pg'
import { postgres } from '../../src/engines/postgres/index.ts'
import { type Bus, openBus } from '../../src/index.ts'
import { freshSchema } from '../rig/postgres/fresh.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { readAll } from '../support/read-all.ts'
import { notes, orders } from './outbox-topics.ts'

/** A schema of its own on the shared server, with a bus on it and connections of the user's program. */
export class OutboxDatabase implements AsyncDisposable {
  readonly url: string
  readonly schema: string
  readonly bus: Bus
  readonly pool: pg.Pool
  readonly #drop: () => Promise<void>
  readonly #held = new Set<pg.PoolClient>()

  private constructor(url: string, schema: string, bus: Bus, drop: () => Promise<void>) {
    this.url = url
    this.schema = schema
    this.bus = bus
    this.pool = new pg.Pool({ connectionString: url, max: 20 })
    this.pool.on('error', () => undefined)
    this.pool.on('acquire', (client) => this.#held.add(client))
    this.pool.on('release', (_, client) => this.#held.delete(client))
    this.#drop = drop
  }

  static async open(version: 16 | 18 = 18): Promise<OutboxDatabase> {
    return await OutboxDatabase.on(await sharedPostgres(version))
  }

  static async on({ url }: { readonly url: string }): Promise<OutboxDatabase> {
    const schema = freshSchema({ url })
    const bus = await openBus({ engine: postgres({ url, schema: schema.name }), topics: [orders, notes] })
    return new OutboxDatabase(url, schema.name, bus, () => schema.drop())
  }

  /** Another process's bus, as far as the database can tell. */
  async openBus(member?: string): Promise<Bus> {
    return await openBus({
      engine: postgres({ url: this.url, schema: this.schema }),
      topics: [orders, notes],
      member,
    })
  }

  /** Statements of one of the user's transactions. */
  async transaction<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.pool.connect()
    try {
      await client.query('begin')
      const result = await work(client)
      await client.query('commit')
      return result
    } catch (error) {
      await client.query('rollback')
      throw error
    } finally {
      client.release()
    }
  }

  async query(text: string, values: unknown[] = []): Promise<pg.QueryResult> {
    return await this.pool.query(text.replaceAll('semel.', `${this.schema}.`), values)
  }

  async waiting(): Promise<number> {
    return (await this.bus.status()).outbox!.waitingEvents
  }

  async ids(): Promise<string[]> {
    return (await readAll(this.bus, orders)).map(({ id }) => id)
  }

  /** Also after a test that failed with a connection in its hands. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.bus.stop()
    for (const client of this.#held) client.release(true)
    await this.pool.end()
    await this.#drop()
  }
}

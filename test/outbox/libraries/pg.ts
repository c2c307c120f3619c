import pg from 'pg'
import { viaPg } from '../../../src/outbox/index.ts'
import { bySql, type Library, type Within } from './library.ts'

export async function openPg(url: string): Promise<Library> {
  const pool = new pg.Pool({ connectionString: url })
  const within = (client: pg.PoolClient): Within => ({
    outbox: viaPg(client),
    insert: (id) => client.query('insert into account values ($1)', [id]),
    savepoint: (work) =>
      bySql(
        (text) => client.query(text),
        () => work(within(client)),
      ),
  })
  return {
    transaction: async (work) => {
      const client = await pool.connect()
      try {
        await client.query('begin')
        await work(within(client))
        await client.query('commit')
      } catch (error) {
        await client.query('rollback')
        throw error
      } finally {
        client.release()
      }
    },
    // @ts-expect-error a pool gives every statement a connection of its own
    outside: () => viaPg(pool),
    close: () => pool.end(),
  }
}

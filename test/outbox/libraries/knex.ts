import knex, { type Knex } from 'knex'
import { viaKnex } from '../../../src/outbox/index.ts'
import type { Library, Within } from './library.ts'

export async function openKnex(url: string): Promise<Library> {
  const db = knex({ client: 'pg', connection: url })
  const within = (trx: Knex.Transaction): Within => ({
    outbox: viaKnex(trx),
    insert: async (id) => await trx('account').insert({ id }),
    savepoint: (work) => trx.transaction((inner) => work(within(inner))),
  })
  return {
    transaction: (work) => db.transaction((trx) => work(within(trx))),
    // @ts-expect-error the instance, which has no commit
    outside: () => viaKnex(db),
    close: () => db.destroy(),
  }
}

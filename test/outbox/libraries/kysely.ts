import { CompiledQuery, Kysely, PostgresDialect, type Transaction } from 'kysely'
import pg from 'pg'
import { viaKysely } from '../../../src/outbox/index.ts'
import { bySql, type Library, type Within } from './library.ts'

interface Tables {
  account: { id: number }
}

export async function openKysely(url: string): Promise<Library> {
  const db = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: url }) }),
  })
  const within = (trx: Transaction<Tables>): Within => ({
    outbox: viaKysely(trx),
    insert: (id) => trx.insertInto('account').values({ id }).execute(),
    savepoint: (work) =>
      bySql(
        (text) => trx.executeQuery(CompiledQuery.raw(text)),
        () => work(within(trx)),
      ),
  })
  return {
    transaction: (work) => db.transaction().execute((trx) => work(within(trx))),
    outside: () => viaKysely(db),
    close: () => db.destroy(),
  }
}

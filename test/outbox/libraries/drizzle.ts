import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { viaDrizzle } from '../../../src/outbox/index.ts'
import type { Library, Within } from './library.ts'

const account = pgTable('account', { id: integer().primaryKey() })

export async function openDrizzle(url: string): Promise<Library> {
  const pool = new pg.Pool({ connectionString: url })
  const db = drizzle(pool)
  const within = (tx: Parameters<Parameters<typeof db.transaction>[0]>[0]): Within => ({
    outbox: viaDrizzle(tx, sql),
    insert: async (id) => await tx.insert(account).values({ id }),
    savepoint: (work) => tx.transaction((inner) => work(within(inner))),
  })
  return {
    transaction: (work) => db.transaction((tx) => work(within(tx))),
    // @ts-expect-error the database, which has no rollback
    outside: () => viaDrizzle(db, sql),
    close: () => pool.end(),
  }
}

import postgres from 'postgres'
import { viaPostgresJs } from '../../../src/outbox/index.ts'
import type { Library, Within } from './library.ts'

export async function openPostgresJs(url: string): Promise<Library> {
  const sql = postgres(url)
  const within = (inner: postgres.TransactionSql): Within => ({
    outbox: viaPostgresJs(inner),
    insert: async (id) => await inner`insert into account values (${id})`,
    savepoint: async (work) => {
      await inner.savepoint((innermost) => work(within(innermost)))
    },
  })
  return {
    transaction: async (work) => {
      await sql.begin((inner) => work(within(inner)))
    },
    // @ts-expect-error the sql outside of begin
    outside: () => viaPostgresJs(sql),
    close: () => sql.end(),
  }
}

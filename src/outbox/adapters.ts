import type { OutboxTransaction } from './publish-in.ts'

/*
 * One adapter for each library: it takes the library's own transaction object and runs one parameterised statement
 * through it. The types name only the members that are called, so no library is a dependency.
 */

type Query = (text: string, values: string[]) => Promise<unknown>

/** `pg`: a client on which BEGIN was sent. Also any client that speaks like it, such as PGlite. */
export function viaPg(client: { query: Query }): OutboxTransaction {
  return { publish: ({ numbered }, event) => client.query(numbered, [event]) }
}

/** `postgres` (postgres.js): the `sql` that `sql.begin(async (sql) => …)` hands out. */
export function viaPostgresJs(sql: {
  unsafe(text: string, values: string[]): PromiseLike<unknown>
}): OutboxTransaction {
  return { publish: async ({ numbered }, event) => await sql.unsafe(numbered, [event]) }
}

/** Drizzle's template function `sql`. */
export interface DrizzleSql<Query> {
  (strings: TemplateStringsArray, ...values: unknown[]): Query
  raw(text: string): unknown
}

/** Drizzle: the `tx` of `db.transaction(async (tx) => …)`, and `sql` from `drizzle-orm`. */
export function viaDrizzle<Query>(
  tx: { execute(query: Query): PromiseLike<unknown> },
  sql: DrizzleSql<Query>,
): OutboxTransaction {
  return {
    publish: async ({ parts: [before, after] }, event) =>
      await tx.execute(sql`${sql.raw(before)}${event}::text${sql.raw(after)}`),
  }
}

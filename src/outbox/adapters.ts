import { SemelError } from '../errors.ts'
import type { OutboxTransaction } from './publish-in.ts'

/*
 * One adapter for each library: it takes the library's own transaction object and runs one parameterised statement
 * through it. The types name only the members that are used, so no library is a dependency.
 *
 * Each also makes sure that there is a transaction, as far as its library can tell: what is published outside of one
 * would be there whatever becomes of the program's other statements.
 */

/** `pg`: a client on which BEGIN was sent. Other drivers with the same `query` do as well. */
export function viaPg(client: {
  query(text: string, values: string[]): Promise<unknown>
  getTransactionStatus?(): string | null
  readonly totalCount?: never
}): OutboxTransaction {
  requireInside(!('totalCount' in client) && client.getTransactionStatus?.() !== 'I', 'a client after BEGIN')
  return { publish: ({ numbered }, event) => client.query(numbered, [event]) }
}

/** `postgres` (postgres.js): the `sql` that `sql.begin(async (sql) => …)` hands out. */
export function viaPostgresJs(sql: {
  unsafe(text: string, values: string[]): PromiseLike<unknown>
  savepoint(work: never): unknown
}): OutboxTransaction {
  requireInside(typeof sql.savepoint === 'function', 'the sql of sql.begin')
  return { publish: async ({ numbered }, event) => await sql.unsafe(numbered, [event]) }
}

/** Drizzle: the `tx` of `db.transaction(async (tx) => …)`, and `sql` from `drizzle-orm`. */
export function viaDrizzle<Query>(
  tx: { execute(query: Query): PromiseLike<unknown>; rollback(): never },
  sql: { (strings: TemplateStringsArray, ...values: unknown[]): Query; raw(text: string): unknown },
): OutboxTransaction {
  requireInside(typeof tx.rollback === 'function', 'the tx of db.transaction')
  return {
    publish: async ({ parts: [before, after] }, event) =>
      await tx.execute(sql`${sql.raw(before)}${event}::text${sql.raw(after)}`),
  }
}

interface KyselyStatement {
  readonly sql: string
  readonly parameters: readonly string[]
  readonly query: {
    readonly kind: 'RawNode'
    readonly sqlFragments: readonly string[]
    readonly parameters: []
  }
  readonly queryId: { readonly queryId: string }
}

/** Kysely: the `trx` of `db.transaction().execute(async (trx) => …)`. */
export function viaKysely(trx: {
  executeQuery(statement: KyselyStatement): Promise<unknown>
  readonly isTransaction: boolean
}): OutboxTransaction {
  requireInside(trx.isTransaction, 'the trx of db.transaction().execute')
  return {
    publish: ({ numbered }, event) =>
      trx.executeQuery({
        sql: numbered,
        parameters: [event],
        query: { kind: 'RawNode', sqlFragments: [numbered], parameters: [] },
        queryId: { queryId: 'semel-outbox' },
      }),
  }
}

/** Knex: the `trx` of `knex.transaction(async (trx) => …)`. */
export function viaKnex(trx: {
  raw(text: string, values: readonly string[]): PromiseLike<unknown>
  readonly isTransaction?: boolean | undefined
  commit(): unknown
}): OutboxTransaction {
  requireInside(trx.isTransaction === true, 'the trx of knex.transaction')
  return { publish: async ({ questionMark }, event) => await trx.raw(questionMark, [event]) }
}

/** Prisma: the `tx` of `prisma.$transaction(async (tx) => …)`. */
export function viaPrisma(tx: {
  $queryRawUnsafe(text: string, ...values: string[]): PromiseLike<unknown>
  readonly $connect?: never
}): OutboxTransaction {
  requireInside(tx.$connect === undefined, 'the tx of prisma.$transaction')
  return { publish: async ({ numbered }, event) => await tx.$queryRawUnsafe(numbered, event) }
}

/** TypeORM: the `manager` of `dataSource.transaction(async (manager) => …)`. */
export function viaTypeOrm(manager: {
  query(text: string, values: string[]): Promise<unknown>
  readonly queryRunner?: { readonly isTransactionActive: boolean } | undefined
}): OutboxTransaction {
  requireInside(manager.queryRunner?.isTransactionActive === true, 'the manager of dataSource.transaction')
  return { publish: ({ numbered }, event) => manager.query(numbered, [event]) }
}

/** MikroORM: the `em` of `em.transactional(async (em) => …)`, or one after `em.begin()`. */
export function viaMikroOrm(em: {
  execute(text: string, values: string[]): Promise<unknown>
  isInTransaction(): boolean
}): OutboxTransaction {
  requireInside(em.isInTransaction(), 'the em of em.transactional')
  return { publish: ({ questionMark }, event) => em.execute(questionMark, [event]) }
}

/** Sequelize: the instance, and the `transaction` of `sequelize.transaction(async (transaction) => …)`. */
export function viaSequelize<Transaction extends object>(
  sequelize: {
    query(text: string, options: { bind: string[]; transaction: NoInfer<Transaction> }): Promise<unknown>
  },
  transaction: Transaction,
): OutboxTransaction {
  requireInside(transaction !== undefined && transaction !== null, 'the transaction of sequelize.transaction')
  return { publish: ({ numbered }, event) => sequelize.query(numbered, { bind: [event], transaction }) }
}

function requireInside(isInside: boolean, wanted: string): void {
  if (isInside) return
  throw new SemelError('OUTSIDE_TRANSACTION', `publishIn needs an open transaction: ${wanted}`, {
    field: 'transaction',
    hint: 'bus.publish is for events that stand alone',
  })
}

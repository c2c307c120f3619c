import type { OutboxTransaction } from '../../../src/outbox/index.ts'

/** A library in a user's hands: how its transactions look, in the library's own idiom. */
export interface Library {
  /** Runs `work` in a transaction; commits, or rolls back and rejects if it throws. */
  transaction(work: (within: Within) => Promise<void>): Promise<void>
  /** For `publishIn`, made of what is no transaction: what a person gets wrong. */
  outside(): OutboxTransaction
  close(): Promise<void>
}

export interface Within {
  /** For `publishIn`. */
  readonly outbox: OutboxTransaction
  /** Inserts a row into `account (id integer primary key)`. */
  insert(id: number): Promise<unknown>
  /** Runs `work` in a savepoint; rolls back to it and rejects if it throws. */
  savepoint(work: (within: Within) => Promise<void>): Promise<void>
}

/** Savepoints for libraries that leave them to their users' SQL. */
export async function bySql(
  run: (text: string) => Promise<unknown>,
  work: () => Promise<void>,
): Promise<void> {
  await run('savepoint inner_work')
  try {
    await work()
  } catch (error) {
    await run('rollback to savepoint inner_work')
    throw error
  }
  await run('release savepoint inner_work')
}

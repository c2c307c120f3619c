import { assert } from '../../errors.ts'
import { StatementFailure } from './postgres-errors.ts'
import { postgresLimits } from './postgres-limits.ts'
import type { Session } from './session.ts'

/** Read committed, whatever the role's default is: after a lock was waited for, the next statement must see what is new. */
export const beginSql = `begin isolation level read committed; set local idle_in_transaction_session_timeout = ${postgresLimits.idleInTransactionMs}`

/** Runs `work` in a transaction of the session. A failure rolls back; one at the end leaves open what happened. */
export async function inTransaction<T>(session: Session, work: () => Promise<T>): Promise<T> {
  await session.command(beginSql)
  let result: T
  try {
    result = await work()
  } catch (error) {
    await rollback(session)
    throw error instanceof StatementFailure && error.isLost ? beforeCommit(error) : error
  }
  await commit(session)
  return result
}

/** The server answers COMMIT with ROLLBACK if a statement before had failed. */
export async function commit(session: Session): Promise<void> {
  const command = await session.command('commit')
  assert(command === 'COMMIT', `a transaction whose statements all worked commits, not ${command}`)
}

/** Never fails: a connection on which it does is cut, and the server rolls back by itself. */
export async function rollback(session: Session): Promise<void> {
  if (session.isBroken) return
  try {
    await session.command('rollback')
  } catch {
    session.destroy()
  }
}

/** Lost before COMMIT was sent: the server rolls back, so it is as good as refused, only the connection is gone. */
function beforeCommit(error: StatementFailure): StatementFailure {
  return new StatementFailure(error.message, error.sqlState ?? '08006', false)
}

import type { Engine } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import { checkOptionNames, requireOptions, wholeNumber } from '../../options.ts'
import { SqliteEngine } from './sqlite-engine.ts'
import { sqliteLimits } from './sqlite-limits.ts'

export { sqliteFacts } from './facts.ts'

export interface SqliteOptions {
  /** Path of the database file; its folder must exist. Created if missing. Several processes may open one file. */
  readonly file: string
  /** How long a write waits while another program keeps the file locked. Default 10 s. */
  readonly lockWaitMs?: number | undefined
}

/**
 * The embedded engine, for one machine: events, positions, state and the user's own tables in one SQLite file,
 * acknowledged after fsync (D1).
 */
export function sqlite(options: SqliteOptions): Engine {
  requireOptions('sqlite options', options)
  checkOptionNames('sqlite', options, ['file', 'lockWaitMs'])
  const { file } = options
  if (typeof file !== 'string' || file === '' || file.includes('\u0000') || file === ':memory:') {
    throw new SemelError('INVALID_OPTION', 'file must be the path of a database file', {
      field: 'file',
      hint: file === ':memory:' ? 'use memory() from "semel/memory"' : undefined,
    })
  }
  const lockWaitMs = wholeNumber('lockWaitMs', options.lockWaitMs, {
    min: 1,
    max: sqliteLimits.lockWaitMsMax,
    fallback: sqliteLimits.lockWaitMsDefault,
  })
  return new SqliteEngine({ file, lockWaitMs })
}

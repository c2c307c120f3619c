import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { type Bus, openBus } from '../../src/index.ts'
import { orders, totals } from '../workload.ts'

export function openSqliteBus(folder: string): Promise<Bus> {
  return openBus({ engine: sqlite({ file: join(folder, 'semel.db') }), topics: [orders, totals] })
}

/** What a careful engineer writes by hand: WAL, full sync, prepared statements. */
export function openByHand(folder: string): DatabaseSync {
  const database = new DatabaseSync(join(folder, 'hand.db'))
  database.exec('pragma journal_mode = wal; pragma synchronous = full')
  return database
}

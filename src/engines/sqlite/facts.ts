import type { EngineFacts } from '../../engine/facts.ts'
import { sqliteLimits } from './sqlite-limits.ts'

/** What the SQLite engine is, as data. */
export const sqliteFacts = {
  name: 'sqlite',
  durability: ['fsync', 'os', 'memory'],
  sharedByProcesses: true,
  sharedByMachines: false,
  atomicVisibility: true,
  dedup: 'topic',
  sql: 'sqlite',
  ownership: 'lease-table',
  denseOffsets: true,
  seals: true,
  appendGroupsMax: 2,
  commitShareMax: 1,
  taskReadEventsMax: sqliteLimits.taskReadEventsMax,
  emittedRows: { events: sqliteLimits.rowEventsMax, chars: sqliteLimits.rowCharsTarget },
  appendClock: 'process',
} as const satisfies EngineFacts

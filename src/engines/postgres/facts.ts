import type { EngineFacts } from '../../engine/facts.ts'

/** What the PostgreSQL engine is, as data. `memory` is missing: a server has no level below `os`. */
export const postgresFacts = {
  name: 'postgres',
  durability: ['fsync', 'os'],
  sharedByProcesses: true,
  sharedByMachines: true,
  atomicVisibility: true,
  dedup: 'topic',
  sql: 'postgres',
  ownership: 'lease-table',
  denseOffsets: true,
  seals: true,
  appendGroupsMax: 16,
  commitShareMax: 1,
  taskReadEventsMax: undefined,
  emittedRows: undefined,
  appendClock: 'database',
} as const satisfies EngineFacts

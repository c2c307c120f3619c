import type { EngineFacts } from '../../engine/facts.ts'

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
  appendClock: 'process',
} as const satisfies EngineFacts

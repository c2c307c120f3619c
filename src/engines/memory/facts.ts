import type { EngineFacts } from '../../engine/facts.ts'

export const memoryFacts: EngineFacts = {
  name: 'memory',
  durability: ['memory'],
  sharedByProcesses: false,
  sharedByMachines: false,
  atomicVisibility: true,
  dedup: 'topic',
  sql: undefined,
  ownership: 'lease-table',
  denseOffsets: true,
  seals: true,
  appendGroupsMax: 2,
  commitShareMax: 1,
  taskReadEventsMax: undefined,
  emittedRows: undefined,
  appendClock: 'process',
}

import type { EngineFacts } from '../../engine/facts.ts'

export const kafkaFacts: EngineFacts = {
  name: 'kafka',
  durability: ['fsync', 'os'],
  sharedByProcesses: true,
  sharedByMachines: true,
  atomicVisibility: false,
  dedup: 'inbox',
  sql: undefined,
  ownership: 'broker-group',
  denseOffsets: false,
  seals: false,
  appendGroupsMax: 2,
  commitShareMax: 0.1,
  taskReadEventsMax: undefined,
  emittedRows: undefined,
  appendClock: 'broker',
}

import { describe, test } from 'node:test'
import { MemoryLog, memory, memoryFacts } from '../../src/engines/memory/index.ts'
import { MemoryLeases } from '../../src/engines/memory/memory-leases.ts'
import { engineConformance, leaseTableConformance } from '../../src/testing/conformance/index.ts'
import { ManualPlatform } from '../engine/manual-platform.ts'

engineConformance({
  test,
  describe,
  name: 'memory',
  facts: memoryFacts,
  instances: 'many',
  retention: true,
  expectSkips: ['sql=undefined'],
  open: () => {
    const log = new MemoryLog()
    return {
      engine: () => memory({ log }),
      deleteBefore: async (topic, partition, offset) => log.deleteBefore(topic, partition, offset),
    }
  },
})

leaseTableConformance({
  test,
  name: 'memory',
  open: () => {
    const platform = new ManualPlatform()
    const table = new MemoryLeases()
    table.useClock(platform.clock)
    return { table, advance: (ms) => platform.advance(ms) }
  },
})

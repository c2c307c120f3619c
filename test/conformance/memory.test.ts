import { describe, test } from 'node:test'
import { MemoryLog, memory, memoryFacts } from '../../src/engines/memory/index.ts'
import { engineConformance } from '../../src/testing/conformance/index.ts'

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

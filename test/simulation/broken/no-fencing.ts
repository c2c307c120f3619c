import { memory } from '../../../src/engines/memory/index.ts'
import { type SimulatedStorage, soundStorage } from '../../../src/testing/simulation/index.ts'
import { wrapEngine } from '../../support/wrap-engine.ts'

/** Whoever thinks that it owns a task may commit for it: neither epoch nor position is compared (Z1). */
export function noFencing(): SimulatedStorage {
  const { log } = soundStorage()
  return {
    log,
    crash: () => undefined,
    engine: () => {
      const engine = memory({ log })
      return wrapEngine(engine, {
        commit: async (unit) => {
          const { task } = unit.lease
          const lease = { task, epoch: log.leases.epochOf(task) }
          await engine.commit({ ...unit, lease, from: log.task(task)?.position })
        },
      })
    },
  }
}

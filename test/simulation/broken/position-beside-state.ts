import { memory } from '../../../src/engines/memory/index.ts'
import { type Scheduler, type SimulatedStorage, soundStorage } from '../../../src/testing/simulation/index.ts'
import { storageFailure, wrapEngine } from '../../support/wrap-engine.ts'

const betweenMs = 10

/** Saves effects first and the position after them: a crash between the two runs the effects again (X1). */
export function positionBesideState(scheduler: Scheduler): SimulatedStorage {
  const { log } = soundStorage()
  let crashes = 0
  return {
    log,
    crash: () => crashes++,
    engine: () => {
      const engine = memory({ log })
      return wrapEngine(engine, {
        commit: async (unit) => {
          const before = crashes
          await engine.commit({ ...unit, to: unit.from ?? 0 })
          await scheduler.sleep(betweenMs)
          if (crashes !== before) throw storageFailure('unknown')
          await engine.commit({ ...unit, from: unit.from ?? 0, appends: [], state: [] })
        },
      })
    },
  }
}

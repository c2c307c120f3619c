import type { Unit } from '../../../src/engine/engine.ts'
import { storeNames } from '../../../src/engine/store-names.ts'
import { memory } from '../../../src/engines/memory/index.ts'
import { type SimulatedStorage, soundStorage } from '../../../src/testing/simulation/index.ts'
import { wrapEngine } from '../../support/wrap-engine.ts'

/** Saves the highest offset that is finished instead of the lowest that is not (L1). */
export function commitOverHole(): SimulatedStorage {
  const { log } = soundStorage()
  return {
    log,
    crash: () => undefined,
    engine: () => {
      const engine = memory({ log })
      return wrapEngine(engine, {
        commit: async (unit) => {
          const from = log.task(unit.lease.task)?.position
          await engine.commit({ ...unit, from, to: Math.max(from ?? 0, highestFinished(unit)) })
        },
      })
    },
  }
}

function highestFinished({ to, state }: Unit): number {
  const finished = state.find(({ store }) => store === storeNames.finished)?.values[0]
  const ranges: number[][] = finished === undefined ? [] : JSON.parse(finished)
  return Math.max(to, ...ranges.flat())
}

import { memory } from '../../../src/engines/memory/index.ts'
import { type Scheduler, type SimulatedStorage, soundStorage } from '../../../src/testing/simulation/index.ts'
import { wrapEngine } from '../../support/wrap-engine.ts'

const commitMsMax = 80
const lateShare = 0.3

/** Numbers are given out before the commit, and readers go by the number: they pass over who commits late (P1, R1). */
export function readBySequence(scheduler: Scheduler): SimulatedStorage {
  const { log } = soundStorage()
  const random = scheduler.stream('late commits')
  const visibleAt = new Map<string, number>()
  return {
    log,
    crash: () => undefined,
    engine: () => {
      const engine = memory({ log })
      return wrapEngine(engine, {
        append: async (group, options) => {
          const result = await engine.append(group, options)
          for (const [b, { topic, partition }] of group.batches.entries()) {
            if (random.fraction() >= lateShare) continue
            const at = `${topic}/${partition}/${result.batches[b]!.firstOffset}`
            visibleAt.set(at, scheduler.nowMs + random.fraction() * commitMsMax)
          }
          return result
        },
        read: async (request) => {
          const { topic, partition } = request
          const result = await engine.read(request)
          const isVisible = (offset: number): boolean =>
            (visibleAt.get(`${topic}/${partition}/${offset}`) ?? 0) <= scheduler.nowMs
          return { ...result, events: result.events.filter(({ offset }) => isVisible(offset)) }
        },
      })
    },
  }
}

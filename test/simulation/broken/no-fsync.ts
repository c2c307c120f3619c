import { memory } from '../../../src/engines/memory/index.ts'
import { type Scheduler, type SimulatedStorage, soundStorage } from '../../../src/testing/simulation/index.ts'

const flushEveryMs = 50

/** Writes, shows and acknowledges, but flushes only now and then: a power loss takes what came since (D1). */
export function noFsync(scheduler: Scheduler): SimulatedStorage {
  const { log } = soundStorage()
  let flushed = new Map<string, number>()
  const flush = (): void => {
    flushed = new Map(
      [...log.topics].flatMap(([topic, { partitions }]) =>
        partitions.map(({ events }, p): [string, number] => [`${topic}/${p}`, events.length]),
      ),
    )
    scheduler.after(flushEveryMs, flush)
  }
  flush()
  return {
    log,
    engine: () => memory({ log }),
    crash: () => {
      for (const [topic, { partitions, ids }] of log.topics) {
        for (const [p, { events }] of partitions.entries()) {
          const lost = new Set(events.splice(flushed.get(`${topic}/${p}`) ?? 0))
          for (const [id, event] of ids) if (lost.has(event)) ids.delete(id)
        }
      }
    },
  }
}

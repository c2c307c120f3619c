import type { AppendGroup, AppendOptions, AppendResult, Engine } from '../../../src/engine/engine.ts'
import { type MemoryLog, memory } from '../../../src/engines/memory/index.ts'
import { type Scheduler, type SimulatedStorage, soundStorage } from '../../../src/testing/simulation/index.ts'
import { wrapEngine } from '../../support/wrap-engine.ts'

const writeDelayMs = 30

/** Acknowledges at once and writes a little later: what a crash finds unwritten was acknowledged (D1). */
export function ackBeforeWrite(scheduler: Scheduler): SimulatedStorage {
  const { log } = soundStorage()
  const unwritten = new Set<object>()
  const later = (engine: Engine, group: AppendGroup, options: AppendOptions): void => {
    unwritten.add(group)
    scheduler.after(writeDelayMs, () => {
      if (unwritten.delete(group)) void engine.append(group, options)
    })
  }
  return {
    log,
    crash: () => unwritten.clear(),
    engine: () => {
      const engine = memory({ log })
      return wrapEngine(engine, {
        append: async (group, options) => {
          later(engine, group, options)
          return guessed(log, group)
        },
      })
    },
  }
}

function guessed(log: MemoryLog, { batches }: AppendGroup): AppendResult {
  return {
    failures: new Map(),
    batches: batches.map(({ topic, partition }) => {
      const { earliest, events } = log.partition(topic, partition)
      return { firstOffset: earliest + events.length, offsets: undefined, duplicates: undefined }
    }),
  }
}

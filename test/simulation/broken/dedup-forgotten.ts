import { type SimulatedStorage, soundStorage } from '../../../src/testing/simulation/index.ts'

/** Remembers ids in memory only: after a restart every id is new (N4). */
export function dedupForgotten(): SimulatedStorage {
  const storage = soundStorage()
  return {
    ...storage,
    crash: () => {
      for (const { ids } of storage.log.topics.values()) ids.clear()
    },
  }
}

import { type Bus, openBus } from '../../../bus.ts'
import type { SimulatedCluster, SimulatedProcess } from '../cluster.ts'
import type { Knobs } from './knobs.ts'
import { type Topics, topicsOf } from './topics.ts'

const openAgainMs = 50

/** One run under way: what its parts share. */
export interface Run {
  readonly cluster: SimulatedCluster
  readonly knobs: Knobs
  readonly topics: Topics
  /** Set when all faults are over: poison can be handled from then on. */
  healed: boolean
}

export interface Member {
  readonly process: SimulatedProcess
  readonly bus: Bus
  /** Set before a clean stop: nothing new is begun. */
  stopping: boolean
}

export function newRun(cluster: SimulatedCluster, knobs: Knobs): Run {
  return { cluster, knobs, topics: topicsOf(knobs), healed: false }
}

/** Starts the next process of a role, with an open bus. Opening is tried until the storage answers. */
export async function startMember(run: Run, role: string): Promise<Member> {
  const { cluster, knobs, topics } = run
  const process = await cluster.start(role)
  for (;;) {
    try {
      const bus = await openBus({
        engine: process.engine,
        topics: [topics.input, topics.output],
        member: process.name,
        platform: process.platform,
        publish: { deadlineMs: knobs.publishDeadlineMs, queueEvents: knobs.queueEvents },
      })
      return { process, bus, stopping: false }
    } catch {
      await cluster.scheduler.sleep(openAgainMs)
    }
  }
}

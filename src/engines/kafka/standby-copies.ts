import type { JoinRequest, TaskId } from '../../engine/engine.ts'
import type { Platform } from '../../platform/platform.ts'
import { sleep } from '../../platform/wait.ts'
import { kafkaLimits } from './kafka-limits.ts'
import type { TaskView } from './task-view.ts'

export interface StandbyParts {
  readonly platform: Platform
  view(task: TaskId): TaskView
  isOwned(task: TaskId): boolean
}

/**
 * Keeps this process's copies of a group's state up to date for tasks that others own. Whoever takes one of them over
 * then reads what came since the last look, not the whole changelog. Each member that does so reads all of it.
 */
export class StandbyCopies {
  readonly #parts: StandbyParts
  readonly #tasks: readonly TaskId[]
  readonly #stop = new AbortController()
  readonly #ended: Promise<void>

  constructor({ group, topics }: JoinRequest, parts: StandbyParts) {
    this.#parts = parts
    this.#tasks = topics.flatMap(({ topic, partitions }) =>
      Array.from({ length: partitions }, (_, partition) => ({ group, topic, partition })),
    )
    this.#ended = this.#run()
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#ended
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      for (const task of this.#tasks) {
        if (signal.aborted) return
        // A broker that is away is asked again in the next round; whoever takes the task over reads by itself.
        if (!this.#parts.isOwned(task))
          await this.#parts
            .view(task)
            .catchUp()
            .catch(() => undefined)
      }
      await sleep(this.#parts.platform, kafkaLimits.standbyPollMs, signal).catch(() => undefined)
    }
  }
}

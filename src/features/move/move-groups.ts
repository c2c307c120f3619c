import type { StateChanges, TaskId, Unit } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import { copyGroup } from '../copy/copy-plan.ts'
import { redriveTopicName } from '../redrive-command.ts'
import type { MovedTask, MovePlan } from './move-plan.ts'
import { isPlain, moverOf } from './moved-entries.ts'
import { openRedrives } from './moved-redrives.ts'
import type { OffsetMap } from './offset-map.ts'
import { copyStore, digestOf } from './store-copy.ts'
import { TargetGroup } from './target-group.ts'

interface SourceTask {
  readonly task: TaskId
  readonly position: number
}

/** The groups' part of a move: positions, and state by stores. */
export class MoveGroups implements AsyncDisposable {
  readonly #plan: MovePlan
  readonly #maps: readonly OffsetMap[]
  readonly #groups = new Map<string, TargetGroup>()

  constructor(plan: MovePlan, maps: readonly OffsetMap[]) {
    this.#plan = plan
    this.#maps = maps
  }

  /** State under the user's own names, as it is in this moment: what is written now need not be written later. */
  async copyEarly(signal: AbortSignal | undefined): Promise<void> {
    for (const { task } of await this.#joined(signal)) {
      signal?.throwIfAborted()
      const { source } = this.#plan
      for (const store of (await source.stores(task)).filter(isPlain)) await this.#copyStore(task, store)
    }
  }

  /** While the source is closed: positions and state, exactly. */
  async copyAll(signal: AbortSignal | undefined): Promise<readonly SourceTask[]> {
    const tasks = await this.#joined(signal)
    for (const { task, position } of tasks) {
      signal?.throwIfAborted()
      const { source, target } = this.#plan
      const map = this.#maps[task.partition]!
      const appends = await openRedrives(source, task, map)
      if (appends.length > 0) {
        const name = redriveTopicName(task.group)
        await target.declareTopics([{ name, partitions: 1, dedupWindowMs: 0 }])
      }
      await this.#commit(task, { to: map.from(position), appends })
      for (const store of await source.stores(task)) await this.#copyStore(task, store)
    }
    return tasks
  }

  /** @throws SemelError COPY_DIFFERS if a position or a digest of state is not what it should be. */
  async verify(tasks: readonly SourceTask[]): Promise<readonly MovedTask[]> {
    const moved: MovedTask[] = []
    for (const { task, position } of tasks) {
      const to = this.#maps[task.partition]!.from(position)
      const stored = await this.#groups.get(task.group)!.load(task.partition)
      if (stored.position !== to || stored.logId !== this.#plan.target.logId)
        throw differs(task, `the position is ${stored.position}, not ${to}`)
      moved.push({
        group: task.group,
        partition: task.partition,
        from: position,
        to,
        ...(await this.#digest(task)),
      })
    }
    return moved
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#groups.values()].map((group) => group.leave()))
  }

  /** Tasks of the source that have a position in its log, with their groups joined in the target. */
  async #joined(signal: AbortSignal | undefined): Promise<readonly SourceTask[]> {
    const { source, topic } = this.#plan
    const { groups } = await source.status()
    const tasks: SourceTask[] = []
    for (const { group, topic: name, partition, epoch } of groups) {
      if (name !== topic || group === copyGroup) continue
      const task = { group, topic, partition }
      const { position, logId } = await source.load({ task, epoch })
      // A position in another log: a group that only commits here.
      if (position !== undefined && logId === source.logId) tasks.push({ task, position })
    }
    await Promise.all(
      [...new Set(tasks.map(({ task }) => task.group))].map((group) => this.#join(group, signal)),
    )
    return tasks
  }

  async #join(name: string, signal: AbortSignal | undefined): Promise<void> {
    const group = this.#groups.get(name) ?? (await TargetGroup.join(name, this.#plan))
    this.#groups.set(name, group)
    await group.untilAllHeld(signal)
  }

  async #copyStore(task: TaskId, store: string): Promise<void> {
    const { source, target } = this.#plan
    const move = moverOf(store, this.#maps[task.partition]!)
    if (move === undefined) return
    const commit = (changes: StateChanges) => this.#commit(task, { state: [changes] })
    await copyStore({ source, target, task, store, move, commit })
  }

  /** Until the topic has arrived nobody begins at the position, so it may be any. */
  async #commit({ group: name, partition }: TaskId, parts: Partial<Unit>): Promise<void> {
    const group = this.#groups.get(name)!
    const { position } = await group.load(partition)
    const { logId } = this.#plan.target
    await group.commit(partition, {
      from: position,
      to: position ?? 0,
      logId,
      appends: [],
      state: [],
      ...parts,
    })
  }

  async #digest(task: TaskId): Promise<{ entries: number; digest: string }> {
    const { source, target } = this.#plan
    const digests: string[] = []
    let entries = 0
    for (const store of [...(await source.stores(task))].sort()) {
      const move = moverOf(store, this.#maps[task.partition]!)
      if (move === undefined) continue
      const [there, here] = [await digestOf(source, task, store, move), await digestOf(target, task, store)]
      if (there.entries !== here.entries)
        throw differs(
          task,
          `store ${store} has ${here.entries} entries, not the ${there.entries} of the source`,
        )
      if (there.digest !== here.digest)
        throw differs(task, `store ${store} has other entries than the source`)
      entries += here.entries
      digests.push(`${store}=${here.digest}`)
    }
    return { entries, digest: digests.join(' ') }
  }
}

function differs({ group, topic, partition }: TaskId, what: string): SemelError {
  return new SemelError('COPY_DIFFERS', `${group} on ${topic}/${partition} of the target: ${what}`, {
    hint: 'nothing was switched; somebody else writes to the target: stop that, and run the move again',
  })
}

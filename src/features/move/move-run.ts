import { obstacleOf } from '../../engine/topic-seal.ts'
import { isSemelError, SemelError } from '../../errors.ts'
import { sleep } from '../../platform/wait.ts'
import { markMoving, unmarkMoving } from './arrival.ts'
import { MoveGroups } from './move-groups.ts'
import { MoveLog } from './move-log.ts'
import type { MovedTask, MovePlan, MoveProgress, MoveStep } from './move-plan.ts'
import { TopicHold } from './topic-hold.ts'

const attemptsMax = 5
const attemptPauseMs = 500

/** What became of a move. */
export interface Moved {
  /** Events of the log, compared one by one; `undefined` if an earlier call had switched already. */
  readonly events: number | undefined
  readonly tasks: readonly MovedTask[]
}

/**
 * Moves a topic. Killed at any step, it begins again and finds what is done:
 *
 *  before the hold       nothing has changed in the source; the target is not arrived, so nobody begins there
 *  while it holds        the source opens when the hold has run out, and goes on as if nothing had been
 *  after it has switched the source is closed for good, and the next run takes away the target's mark
 */
export class MoveRun {
  readonly #plan: MovePlan
  readonly #onProgress: (progress: MoveProgress) => void
  #total = 0

  constructor(plan: MovePlan, onProgress: (progress: MoveProgress) => void) {
    this.#plan = plan
    this.#onProgress = onProgress
  }

  async run(signal: AbortSignal | undefined): Promise<Moved> {
    if (await this.#isSwitched()) {
      await this.#finish(signal)
      return { events: undefined, tasks: [] }
    }
    this.#step('preparing')
    const { target, topic: name, partitions, dedupWindowMs } = this.#plan
    const window = target.facts.dedup === 'topic' ? dedupWindowMs : 0
    await target.declareTopics([{ name, partitions, dedupWindowMs: window }])
    await markMoving(this.#plan, signal)
    const log = new MoveLog(this.#plan, (progress) => {
      this.#total = progress.total
      this.#onProgress(progress)
    })
    await log.untilNear(signal)
    const tasks = await this.#moveGroups(log, signal)
    await this.#finish(signal)
    return { events: log.events, tasks }
  }

  async #isSwitched(): Promise<boolean> {
    const { source, topic, to } = this.#plan
    const { topics } = await source.status()
    const movedTo = topics.find((known) => known.topic === topic)?.movedTo
    if (movedTo === undefined) return false
    if (movedTo === to) return true
    throw obstacleOf(topic, { holder: '', untilMs: 0, movedTo }, 0)!
  }

  async #moveGroups(log: MoveLog, signal: AbortSignal | undefined): Promise<readonly MovedTask[]> {
    await using groups = new MoveGroups(this.#plan, log.maps)
    for (let attempt = 1; ; attempt++) {
      try {
        this.#step('state')
        await groups.copyEarly(signal)
        return await this.#switch(log, groups, signal)
      } catch (error) {
        if (!mayPass(error) || attempt === attemptsMax) throw error
        await sleep(this.#plan.platform, attemptPauseMs * attempt, signal)
      }
    }
  }

  /** All that must be true in one moment: nothing is appended and no unit commits in the source from the hold on. */
  async #switch(
    log: MoveLog,
    groups: MoveGroups,
    signal: AbortSignal | undefined,
  ): Promise<readonly MovedTask[]> {
    this.#step('holding')
    const hold = await TopicHold.take(this.#plan, signal)
    try {
      await this.#requireEmptyOutbox()
      await log.toEnd(signal)
      this.#step('positions')
      const tasks = await groups.copyAll(signal)
      this.#step('verifying')
      hold.check()
      await log.requireNothingElse(signal)
      const moved = await groups.verify(tasks)
      this.#step('switching')
      await hold.move(this.#plan.to)
      return moved
    } finally {
      await hold.end()
    }
  }

  async #finish(signal: AbortSignal | undefined): Promise<void> {
    this.#step('finishing')
    await unmarkMoving(this.#plan, signal)
  }

  /** Committed in a user's transaction and not yet in the log: nobody could bring them there any more. */
  async #requireEmptyOutbox(): Promise<void> {
    const { outbox } = await this.#plan.source.status()
    const waiting = outbox?.waitingEvents ?? 0
    if (waiting === 0) return
    throw new SemelError('TOPIC_MOVED', `${waiting} events of the source's outbox are not in its log yet`, {
      retryable: true,
      actual: waiting,
      hint: 'publish without the outbox, or let the sequencer run until it is empty',
    })
  }

  #step(step: MoveStep): void {
    this.#onProgress({ step, copied: this.#total, total: this.#total })
  }
}

/** The hold or a task was lost, or a server was away for a moment: from the state of things, all can be done again. */
function mayPass(error: unknown): boolean {
  if (!isSemelError(error) || error.code === 'BUSY') return false
  return error.retryable || error.outcome === 'unknown' || error.code === 'FENCED'
}

import { Bus } from './bus.ts'
import type { Engine } from './engine/engine.ts'
import { SemelError } from './errors.ts'
import { type AnyTopic, Topic } from './event/topic.ts'
import type { MovedTask, MoveProgress } from './features/move/move-plan.ts'
import { MoveRun } from './features/move/move-run.ts'
import { limits } from './limits.ts'
import { checkOptionNames, invalidOption, requireFunction, requireOptions, wholeNumber } from './options.ts'
import type { Platform } from './platform/platform.ts'
import { realPlatform } from './platform/real-platform.ts'

export interface MoveTopicOptions {
  readonly from: Bus
  readonly to: Bus
  /** Has the same number of partitions in both. Made in `to` if it is not there. */
  readonly topic: AnyTopic
  /** Where `to` is, for the people who read the error at the old place. Without a password. */
  readonly place: string
  /** So long after a move that was killed at the wrong moment, the source takes events again. Default 10 s. */
  readonly holdMs?: number | undefined
  /** Ends the move; a later call goes on where it ended. */
  readonly signal?: AbortSignal | undefined
  /** Called at the beginning of each step, and while events are copied. */
  readonly onProgress?: ((progress: MoveProgress) => void) | undefined
  /** Clock, chance and timers; tests replace them. Default: the real ones. */
  readonly platform?: Platform | undefined
}

export interface MoveResult {
  readonly topic: string
  /** Events of the log, compared one by one; `undefined` if an earlier call had switched already. */
  readonly events: number | undefined
  /** What each group had in each partition, by its position there and here. */
  readonly tasks: readonly MovedTask[]
}

/**
 * Moves a topic to another engine while its publishers and consumers run: the log, ids and order as `copyTopic` copies
 * them, and of each group positions, work finished above them, state, dead letters, asked redrives and inbox. Everything
 * is compared before the source is closed; from then on whoever publishes or consumes there gets TOPIC_MOVED.
 *
 * An event takes effect once in each group, here or there (X2). Killed at any moment and called again, it goes on; until
 * it has switched, the source goes on as well, at most `holdMs` after the kill. Groups begin in the target when this
 * has resolved, not before. Positions of groups that commit to a sink elsewhere are in the sink, and are not moved.
 *
 * @throws SemelError UNSUPPORTED where `facts.seals` is not set; TOPIC_CONTRADICTION, COPY_DIFFERS, POSITION_MISMATCH,
 * LOG_REGRESSED if the target held something else; BUSY if consumers run there; TOPIC_MOVED if it was moved elsewhere.
 */
export async function moveTopic(options: MoveTopicOptions): Promise<MoveResult> {
  const given = requireOptions('moveTopic options', options)
  const names = ['from', 'to', 'topic', 'place', 'holdMs', 'signal', 'onProgress', 'platform']
  checkOptionNames('moveTopic', given, names)
  const { from, to, topic, place, signal, onProgress, platform = realPlatform } = given
  if (!(from instanceof Bus)) throw invalidOption('from', 'an open bus', from)
  if (!(to instanceof Bus)) throw invalidOption('to', 'an open bus', to)
  if (!(topic instanceof Topic)) throw invalidOption('topic', 'a topic', topic)
  if (typeof place !== 'string' || place === '') throw invalidOption('place', 'a text', place)
  if (onProgress !== undefined) requireFunction('onProgress', onProgress)
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw invalidOption('signal', 'an AbortSignal', signal)
  const holdMs = wholeNumber('holdMs', given.holdMs, {
    min: limits.leaseMsMin,
    max: limits.leaseMsMax,
    fallback: limits.leaseMsDefault,
  })
  return await moveBetween({
    source: from.engine,
    target: to.engine,
    topic,
    place,
    holdMs,
    signal,
    onProgress,
    platform,
  })
}

export interface MoveBetween {
  readonly source: Engine
  readonly target: Engine
  readonly topic: Pick<AnyTopic, 'name' | 'partitions' | 'dedupWindowMs'>
  readonly place: string
  readonly holdMs: number
  readonly signal: AbortSignal | undefined
  readonly onProgress: ((progress: MoveProgress) => void) | undefined
  readonly platform: Platform
}

/** `moveTopic` on engines, for the command. */
export async function moveBetween(move: MoveBetween): Promise<MoveResult> {
  const { source, target, topic, place, holdMs, signal, onProgress, platform } = move
  signal?.throwIfAborted()
  const { name, partitions, dedupWindowMs } = topic
  if (source.logId === target.logId)
    throw invalidOption('to', 'another log than the one to move from', source.logId)
  if (!source.facts.seals) {
    throw new SemelError('UNSUPPORTED', `no topic can be moved away from the ${source.facts.name} engine`, {
      field: 'from',
    })
  }
  const stored = (await source.bounds(name)).length
  if (stored !== partitions) {
    throw new SemelError(
      'TOPIC_CONTRADICTION',
      `topic ${name} has ${stored} partitions in the source, not ${partitions}`,
      { field: 'partitions', limit: stored, actual: partitions },
    )
  }
  const plan = { source, target, topic: name, partitions, dedupWindowMs, to: place, holdMs, platform }
  const moved = await new MoveRun(plan, onProgress ?? (() => undefined)).run(signal)
  return { topic: name, ...moved }
}

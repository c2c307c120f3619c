import { Bus } from './bus.ts'
import type { Engine } from './engine/engine.ts'
import { SemelError } from './errors.ts'
import { type AnyTopic, Topic } from './event/topic.ts'
import type { CopyPlan } from './features/copy/copy-plan.ts'
import { CopyRun } from './features/copy/copy-run.ts'
import { type VerifiedPartition, verifyCopy } from './features/copy/verify-copy.ts'
import { checkOptionNames, invalidOption, requireFunction, requireOptions } from './options.ts'
import type { Platform } from './platform/platform.ts'
import { realPlatform } from './platform/real-platform.ts'

export interface CopyTopicOptions {
  readonly from: Bus
  readonly to: Bus
  /** Has the same number of partitions in both. Made in `to` if it is not there. */
  readonly topic: AnyTopic
  /** Ends the copy; a later call goes on where it ended. */
  readonly signal?: AbortSignal | undefined
  /** Called after each step. */
  readonly onProgress?: ((progress: CopyProgress) => void) | undefined
  /** Whether to read both topics afterwards and compare them. Default true. */
  readonly verify?: boolean | undefined
  /** Clock, chance and timers; tests replace them. Default: the real ones. */
  readonly platform?: Platform | undefined
}

export interface CopyProgress {
  readonly step: 'copying' | 'verifying'
  /** Events of the source that the target has, also from earlier calls. An upper bound where offsets have holes. */
  readonly copied: number
  readonly total: number
}

export interface CopyResult {
  readonly topic: string
  /** Events of the source up to where it ended when the copy began. An upper bound where offsets have holes. */
  readonly total: number
  /** What was compared; `undefined` with `verify: false`. */
  readonly verified: readonly VerifiedPartition[] | undefined
}

/**
 * Copies a topic from one engine to another, up to where it ended when the copy began. An event keeps its partition, its
 * place in the partition's order, its id, key, time, data and attributes; its offset as well if the partition of the
 * target was empty and that of the source begins at 0. Its append time is that of the copy, and events of one call that
 * went to several partitions appear one partition after the other.
 *
 * Exactly once, also when it is killed and called again, on the same or another machine (X2). Whoever publishes to the
 * source meanwhile needs another call afterwards; whoever publishes to the target mixes in. Ends with a comparison of
 * both sides: each event is there, with its content, in its order.
 *
 * @throws SemelError TOPIC_CONTRADICTION, LOG_REGRESSED if the source is not the one of the last call (D6),
 * ID_CONFLICT or COPY_DIFFERS if the target held other events of the same ids.
 */
export async function copyTopic(options: CopyTopicOptions): Promise<CopyResult> {
  const given = requireOptions('copyTopic options', options)
  checkOptionNames('copyTopic', given, ['from', 'to', 'topic', 'signal', 'onProgress', 'verify', 'platform'])
  const { from, to, topic, signal, onProgress, verify = true, platform = realPlatform } = given
  if (!(from instanceof Bus)) throw invalidOption('from', 'an open bus', from)
  if (!(to instanceof Bus)) throw invalidOption('to', 'an open bus', to)
  if (!(topic instanceof Topic)) throw invalidOption('topic', 'a topic', topic)
  if (onProgress !== undefined) requireFunction('onProgress', onProgress)
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw invalidOption('signal', 'an AbortSignal', signal)
  return await copyBetween({
    source: from.engine,
    target: to.engine,
    topic,
    signal,
    onProgress,
    verify,
    platform,
  })
}

export interface CopyBetween {
  readonly source: Engine
  readonly target: Engine
  readonly topic: Pick<AnyTopic, 'name' | 'partitions' | 'dedupWindowMs'>
  readonly signal: AbortSignal | undefined
  readonly onProgress: ((progress: CopyProgress) => void) | undefined
  readonly verify: boolean
  readonly platform: Platform
}

/** `copyTopic` on engines, for the command: the source may be open for reading only. */
export async function copyBetween(copy: CopyBetween): Promise<CopyResult> {
  const { source, target, topic, signal, onProgress, verify, platform } = copy
  signal?.throwIfAborted()
  if (source.logId === target.logId)
    throw invalidOption('to', 'another log than the one to copy', source.logId)
  const { name, partitions, dedupWindowMs } = topic
  const bounds = await source.bounds(name)
  if (bounds.length !== partitions) throw otherPartitions(name, bounds.length, partitions)
  const window = target.facts.dedup === 'topic' ? dedupWindowMs : 0
  await target.declareTopics([{ name, partitions, dedupWindowMs: window }])
  const plan: CopyPlan = { source, target, topic: name, partitions: bounds, platform }
  const total = bounds.reduce((sum, { earliest, end }) => sum + end - earliest, 0)
  const report = (step: CopyProgress['step']) => (positions: readonly number[]) => {
    const copied = bounds.reduce(
      (sum, { earliest, end }, p) => sum + Math.min(end, positions[p]!) - earliest,
      0,
    )
    onProgress?.({ step, copied: Math.max(0, copied), total })
  }
  await new CopyRun(plan, report('copying')).untilDone(signal)
  if (!verify) return { topic: name, total, verified: undefined }
  report('verifying')(bounds.map(({ end }) => end))
  return { topic: name, total, verified: await verifyCopy(plan, signal) }
}

function otherPartitions(name: string, actual: number, partitions: number): SemelError {
  return new SemelError(
    'TOPIC_CONTRADICTION',
    `topic ${name} has ${actual} partitions in the source, not ${partitions}`,
    { field: 'partitions', limit: actual, actual: partitions },
  )
}

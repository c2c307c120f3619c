import { storeNames } from '../../engine/store-names.ts'
import { SemelError } from '../../errors.ts'
import { sleep } from '../../platform/wait.ts'
import { copyGroup } from '../copy/copy-plan.ts'
import type { MovePlan } from './move-plan.ts'
import { movingFrom } from './moving-mark.ts'
import { TargetGroup } from './target-group.ts'

const idleWaitMsMax = 6_000
const idleLookMs = 100

/** Marks the target's partitions as not arrived, so that no group begins there (`checkArrived`). */
export async function markMoving(plan: MovePlan, signal: AbortSignal | undefined): Promise<void> {
  const { source, target, topic, partitions } = plan
  const marks = await Promise.all(
    Array.from({ length: partitions }, (_, partition) => movingFrom(target, { topic, partition })),
  )
  if (marks.some((mark) => mark === undefined)) await requireUntouched(plan)
  if (marks.some((mark) => mark !== source.logId)) await setMarks(plan, source.logId, signal)
  await requireIdle(plan, signal)
}

/** Whoever began before the marks were set may not have seen them. A move that was killed is gone after a while. */
async function requireIdle(
  { target, topic, platform }: MovePlan,
  signal: AbortSignal | undefined,
): Promise<void> {
  const dueMs = platform.clock.monotonic() + idleWaitMsMax
  for (;;) {
    const { groups } = await target.status()
    const early = groups.find(({ topic: name, group, owner }) => {
      return name === topic && group !== copyGroup && owner !== undefined
    })
    if (early === undefined) return
    if (platform.clock.monotonic() >= dueMs) {
      throw new SemelError('BUSY', `group ${early.group} runs on ${topic} in the target already`, {
        retryable: true,
        hint: 'stop its consumers there until the topic was moved',
      })
    }
    await sleep(platform, idleLookMs, signal)
  }
}

/** The topic has arrived: groups begin. */
export async function unmarkMoving(plan: MovePlan, signal: AbortSignal | undefined): Promise<void> {
  await setMarks(plan, undefined, signal)
}

/** A group that was there before there were events has done nothing. */
async function requireUntouched({ target, topic }: MovePlan): Promise<void> {
  const { groups } = await target.status()
  const bounds = await target.bounds(topic)
  const known = groups.find(({ topic: name, group, partition, position = 0 }) => {
    return name === topic && group !== copyGroup && position > bounds[partition]!.earliest
  })
  if (known === undefined) return
  throw new SemelError(
    'POSITION_MISMATCH',
    `group ${known.group} has worked on ${topic} in the target, and would get another position and state there`,
    { hint: 'move to a place where no group has worked on the topic' },
  )
}

async function setMarks(
  plan: MovePlan,
  mark: string | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { source, topic, partitions } = plan
  const bounds = await source.bounds(topic)
  const group = await TargetGroup.join(copyGroup, plan)
  try {
    await group.untilAllHeld(signal)
    for (let partition = 0; partition < partitions; partition++) {
      const { position, logId } = await group.load(partition)
      if (logId !== undefined && logId !== source.logId) throw copyOfAnother(topic, partition)
      await group.commit(partition, {
        from: position,
        to: position ?? bounds[partition]!.earliest,
        logId: source.logId,
        appends: [],
        state: [{ store: storeNames.moving, keys: [''], values: [mark] }],
      })
    }
  } finally {
    await group.leave()
  }
}

function copyOfAnother(topic: string, partition: number): SemelError {
  return new SemelError('LOG_REGRESSED', `${topic}/${partition} of the target is a copy of another log`, {
    hint: 'the source was re-created or replaced; move to a new target',
  })
}

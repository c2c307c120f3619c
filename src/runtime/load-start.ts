import type { Engine } from '../engine/engine.ts'
import { storeNames } from '../engine/store-names.ts'
import { SemelError } from '../errors.ts'
import { checkArrived } from '../features/move/moving-mark.ts'
import { noteReached, reached } from './reached.ts'
import { checkMark, isApart } from './source-mark.ts'
import type { TaskContext } from './task-context.ts'
import type { SessionStart } from './task-session.ts'
import type { OffsetRange } from './window.ts'

/**
 * Loads what a session starts from, and checks that the log still is the one the position belongs to (D6).
 *
 * @throws SemelError LOG_REGRESSED if the log was replaced or is shorter than the position, TOPIC_MOVED while the topic
 * is on its way here from another engine.
 */
export async function loadStart(context: TaskContext): Promise<SessionStart> {
  const { sink, source, lease } = context
  const { task } = lease
  const [stored] = await Promise.all([sink.load(lease), checkArrived(source, task)])
  if (stored.logId !== undefined && stored.logId !== source.logId) throw logReplaced(context)
  if ((stored.position ?? 0) < reached(context)) throw positionWentBack(context, stored.position)
  const position = stored.position ?? (await firstPosition(context))
  const bounds = (await source.bounds(task.topic))[task.partition]!
  if (position > bounds.end) throw logShorter(context, position, bounds.end)
  const mark = isApart(context) ? await ownState(sink, context, storeNames.sourceMark) : undefined
  if (mark !== undefined) await checkMark(source, task, mark, bounds.earliest)
  noteReached(context, stored.position ?? 0)
  const finishedStored = await ownState(sink, context, storeNames.finished)
  const finished: OffsetRange[] = finishedStored === undefined ? [] : JSON.parse(finishedStored)
  const redriveNext = await ownState(sink, context, storeNames.redrive)
  // Whoever held the task before may have started anything up to a window above its position.
  const redeliveredBelow = lease.epoch === 1 ? 0 : position + context.settings.windowEvents
  return {
    stored: stored.position,
    position,
    finished,
    finishedStored: finishedStored ?? '',
    redeliveredBelow: Math.min(redeliveredBelow, bounds.end),
    redriveNext: Number(redriveNext ?? 0),
  }
}

async function ownState(sink: Engine, context: TaskContext, store: string): Promise<string | undefined> {
  const [value] = await sink.readState(context.lease.task, store, [''])
  return value
}

async function firstPosition(context: TaskContext): Promise<number> {
  const { source, settings, lease } = context
  const { topic, partition } = lease.task
  const { startAt } = settings
  if (typeof startAt === 'object') return await source.offsetAt(topic, partition, startAt.time)
  const bounds = (await source.bounds(topic))[partition]!
  return startAt === 'earliest' ? bounds.earliest : bounds.end
}

function logReplaced(context: TaskContext): SemelError {
  const { group, topic, partition } = context.lease.task
  return new SemelError(
    'LOG_REGRESSED',
    `the position of ${group} on ${topic}/${partition} belongs to another log`,
    {
      hint: 'the storage was re-created or replaced; decide where the group goes on, nothing is guessed',
    },
  )
}

function positionWentBack(context: TaskContext, stored: number | undefined): SemelError {
  const { group, topic, partition } = context.lease.task
  return new SemelError(
    'LOG_REGRESSED',
    `${group} had committed ${reached(context)} on ${topic}/${partition}, but is at ${stored ?? 'no position'} now`,
    {
      actual: stored ?? 0,
      hint: 'its storage went back, and the effects after that position with it; a new process goes on from what is stored',
    },
  )
}

function logShorter(context: TaskContext, position: number, end: number): SemelError {
  const { group, topic, partition } = context.lease.task
  return new SemelError(
    'LOG_REGRESSED',
    `${group} is at ${position} on ${topic}/${partition}, but the log ends at ${end}: acknowledged events are gone`,
    { end, actual: position, hint: 'an older copy was restored, or a standby without them was promoted' },
  )
}

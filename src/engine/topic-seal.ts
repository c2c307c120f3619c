import { SemelError } from '../errors.ts'
import type { SealRequest } from './engine.ts'

/** What is stored of a topic that is being moved to another engine, or was. */
export interface TopicSeal {
  readonly holder: string
  /** On the engine's clock. Meaningless once the topic was moved. */
  readonly untilMs: number
  /** Where it is now; absent while it is only held. */
  readonly movedTo?: string | undefined
}

export interface SealChange {
  /** What is stored from now on; `undefined`: nothing. */
  readonly seal: TopicSeal | undefined
  /** Whether every task of the topic gets another epoch, in the same step. */
  readonly fences: boolean
}

/**
 * Decides what one step of a move makes of the stored seal. Pure: engines call it inside their own transaction.
 *
 *  OPEN  -> HELD   `hold`, which fences all tasks
 *  HELD  -> HELD   `renew` by its holder
 *  HELD  -> OPEN   `release` by its holder; or its time is over and somebody appends, acquires or holds (`obstacleOf`)
 *  HELD  -> MOVED  `move` by its holder, for good
 *
 * @throws SemelError FENCED if the holder lost it meanwhile, TOPIC_MOVED if somebody else has it or has moved the topic.
 */
export function changedSeal(stored: TopicSeal | undefined, request: SealRequest, nowMs: number): SealChange {
  const { topic, holder } = request
  if (request.step === 'hold') {
    if (stored?.holder !== holder || stored.movedTo !== undefined) {
      const obstacle = stored && obstacleOf(topic, stored, nowMs)
      if (obstacle !== undefined) throw obstacle
    }
    return { seal: { holder, untilMs: nowMs + request.forMs }, fences: true }
  }
  const isOurs = stored?.holder === holder
  if (request.step === 'release') {
    return { seal: isOurs && stored.movedTo === undefined ? undefined : stored, fences: false }
  }
  if (isOurs && request.step === 'move') {
    return { seal: { holder, untilMs: stored.untilMs, movedTo: request.to }, fences: false }
  }
  if (isOurs && request.step === 'renew' && stored.movedTo === undefined)
    return { seal: { holder, untilMs: nowMs + request.forMs }, fences: false }
  throw new SemelError('FENCED', `topic ${topic} is no longer held by this move`, {
    hint: 'it took longer than it had held the topic for; others have gone on, so begin again',
  })
}

/**
 * Why nothing may be appended to a topic, and none of its tasks acquired; `undefined` if its seal has run out. Whoever
 * is told so removes the seal in the step in which they go on: then its holder finds out, whatever the clocks say.
 */
export function obstacleOf(topic: string, seal: TopicSeal, nowMs: number): SemelError | undefined {
  if (seal.movedTo !== undefined) return movedError(topic, seal.movedTo)
  if (nowMs >= seal.untilMs) return undefined
  return new SemelError('TOPIC_MOVED', `topic ${topic} is being moved to another engine`, {
    retryable: true,
    hint: 'try again: in a few seconds it is either open again, or the error says where it is',
  })
}

function movedError(topic: string, to: string): SemelError {
  return new SemelError('TOPIC_MOVED', `topic ${topic} was moved to ${to}`, {
    hint: 'give the bus an engine there: events, positions and state are the same',
  })
}

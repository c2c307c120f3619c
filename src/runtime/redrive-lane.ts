import type { ReadResult } from '../engine/engine.ts'
import { storeNames } from '../engine/store-names.ts'
import { SemelError } from '../errors.ts'
import type { StoredEvent } from '../event/event.ts'
import { deadLetterKey, decodeDeadLetter } from '../features/dead-letter-record.ts'
import { isRedriveCommand, redriveTopicName } from '../features/redrive-command.ts'
import { limits } from '../limits.ts'
import type { Committer } from './committer.ts'
import { Slot } from './slot.ts'
import type { TaskContext } from './task-context.ts'

const checkEveryMs = 100

/** A read of the redrive topic. */
interface Look {
  readonly result: Promise<ReadResult>
  /** It found something, or failed: `next` is to see to it. */
  isDue: boolean
}

/**
 * A task's second input: commands to run dead letters again.
 *
 * Commands are events in the group's own redrive topic, so asking for a redrive is durable and may come from any
 * process. One command at a time: the dead letter leaves its store in the same unit as the handler's effects, so a
 * second command for it finds nothing, whether that unit is committed yet or not (peers.md: redrive is idempotent).
 */
export class RedriveLane {
  readonly #context: TaskContext
  readonly #topic: string
  readonly #onDue: () => void
  #next: number
  #running = false
  #look: Look | undefined
  /** What became of dead letters in units that may not be committed yet, by key; `undefined`: it is gone. */
  readonly #changed = new Map<string, string | undefined>()
  #checkedMs = Number.NEGATIVE_INFINITY

  /** `onDue`: `next` should be called soon. */
  constructor(context: TaskContext, next: number, onDue: () => void) {
    this.#context = context
    this.#topic = redriveTopicName(context.settings.group)
    this.#next = next
    this.#onDue = onDue
  }

  /**
   * The next dead letter to run, if a command asks for one and none is running. It does not wait while commands are
   * looked for, since events are waiting meanwhile: what a look finds, a later call answers.
   */
  async next(committer: Committer): Promise<Slot | undefined> {
    if (this.#running) return undefined
    if (this.#look === undefined) this.#lookIfTime()
    if (this.#look?.isDue !== true) return undefined
    const { result } = this.#look
    this.#look = undefined
    if (committer.idle) this.#changed.clear()
    const { events, next } = await result
    for (const event of events) {
      const slot = await this.#slotFor(event)
      if (slot === undefined) continue
      this.#running = true
      if (this.#context.settings.guarantee === 'at-most-once') this.#takeOff(slot, committer)
      return slot
    }
    if (next > this.#next) this.#passTo(next, committer)
    return undefined
  }

  /** Resolves when nothing is being looked for. */
  async idle(): Promise<void> {
    await this.#look?.result.catch(() => undefined)
  }

  #lookIfTime(): void {
    const nowMs = this.#context.platform.clock.monotonic()
    if (nowMs - this.#checkedMs < checkEveryMs) return
    this.#checkedMs = nowMs
    const place = { topic: this.#topic, partition: 0, offset: this.#next }
    const result = this.#context.sink.read({ ...place, maxEvents: 100, maxBytes: limits.readBytesMax })
    const look: Look = { result, isDue: false }
    this.#look = look
    const tell = (): void => {
      look.isDue = true
      this.#onDue()
    }
    result.then(({ next }) => {
      if (next > place.offset) tell()
      else this.#look = undefined
    }, tell)
  }

  /** A1: the letter is off its list before the handler sees it, so that no crash shows it to a handler again. */
  #takeOff(slot: Slot, committer: Committer): void {
    const key = deadLetterKey(slot.offset)
    this.#changed.set(key, undefined)
    committer.setOwnState(storeNames.deadLetters, key, undefined)
    this.#passTo(slot.redrive!.next, committer)
  }

  /** `letter`: the dead letter as it is now; `undefined` if its handler succeeded. */
  finished(slot: Slot, committer: Committer, letter: string | undefined): void {
    const key = deadLetterKey(slot.offset)
    this.#changed.set(key, letter)
    committer.setOwnState(storeNames.deadLetters, key, letter)
    if (letter === undefined) this.#context.counters.redriven++
    this.#passTo(slot.redrive!.next, committer)
    this.#running = false
    this.#checkedMs = Number.NEGATIVE_INFINITY
  }

  async reread(slot: Slot): Promise<StoredEvent> {
    const event = await this.#deadLetter(slot.offset)
    if (event !== undefined) return event.event
    throw new SemelError('NOT_FOUND', `dead letter ${slot.offset} is gone`)
  }

  #passTo(next: number, committer: Committer): void {
    this.#next = next
    committer.setOwnState(storeNames.redrive, '', String(next))
  }

  async #slotFor(command: StoredEvent): Promise<Slot | undefined> {
    const { topic, partition } = this.#context.lease.task
    const { data } = command
    if (!isRedriveCommand(data) || data.topic !== topic || data.partition !== partition) return undefined
    const letter = await this.#deadLetter(data.offset)
    if (letter === undefined) return undefined
    return new Slot(letter.event, { next: command.offset + 1, attemptsBefore: letter.attempts })
  }

  async #deadLetter(offset: number): Promise<ReturnType<typeof decodeDeadLetter> | undefined> {
    const { task } = this.#context.lease
    const key = deadLetterKey(offset)
    const [stored] = await this.#context.sink.readState(task, storeNames.deadLetters, [key])
    const value = this.#changed.has(key) ? this.#changed.get(key) : stored
    return value === undefined ? undefined : decodeDeadLetter(task.topic, task.partition, key, value)
  }
}

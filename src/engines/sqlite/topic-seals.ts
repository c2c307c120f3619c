import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { SealRequest } from '../../engine/engine.ts'
import { changedSeal, obstacleOf, type TopicSeal } from '../../engine/topic-seal.ts'
import type { SemelError } from '../../errors.ts'

/** A seal is an entry of `semel_meta` with this before the topic's name. */
const prefix = 'seal:'

/**
 * Topics that are being moved to another engine, or were, as the writer knows them. Only trusted inside a transaction:
 * the hold of a process whose time is over ends in the transaction of whoever goes on.
 */
export class TopicSeals {
  readonly #seals = new Map<string, TopicSeal>()
  readonly #all: StatementSync
  readonly #put: StatementSync
  readonly #remove: StatementSync
  readonly #fence: StatementSync
  #isStale = true
  #isChanged = false

  constructor(database: DatabaseSync) {
    this.#all = database.prepare("select name, value from semel_meta where name glob 'seal:*'")
    this.#put = database.prepare('insert or replace into semel_meta values (?, ?)')
    this.#remove = database.prepare('delete from semel_meta where name = ?')
    this.#fence = database.prepare(
      'update semel_task set epoch = epoch + 1, owner = null, expires_at = 0 where topic = ?',
    )
  }

  /** Called first in every transaction. */
  catchUp(othersWrote: boolean): void {
    if (!othersWrote && !this.#isStale) return
    this.#seals.clear()
    for (const [topic, seal] of readSeals(this.#all)) this.#seals.set(topic, seal)
    this.#isStale = false
  }

  keep(): void {
    this.#isChanged = false
  }

  undo(): void {
    this.#isStale ||= this.#isChanged
    this.#isChanged = false
  }

  /** Why the topic is closed, if it is. */
  obstacle(topic: string, nowMs: number): SemelError | undefined {
    if (this.#seals.size === 0) return undefined
    const seal = this.#seals.get(topic)
    if (seal === undefined) return undefined
    const obstacle = obstacleOf(topic, seal, nowMs)
    if (obstacle === undefined) this.#set(topic, undefined)
    return obstacle
  }

  change(request: SealRequest, nowMs: number): void {
    const { topic } = request
    const { seal, fences } = changedSeal(this.#seals.get(topic), request, nowMs)
    this.#set(topic, seal)
    if (fences) this.#fence.run(topic)
  }

  #set(topic: string, seal: TopicSeal | undefined): void {
    this.#isChanged = true
    if (seal === undefined) {
      this.#seals.delete(topic)
      this.#remove.run(`${prefix}${topic}`)
    } else {
      this.#seals.set(topic, seal)
      this.#put.run(`${prefix}${topic}`, JSON.stringify(seal))
    }
  }
}

/** Where topics were moved to, by their names here. */
export function movedTopics(database: DatabaseSync): ReadonlyMap<string, string> {
  const all = database.prepare("select name, value from semel_meta where name glob 'seal:*'")
  const moved = new Map<string, string>()
  for (const [topic, { movedTo }] of readSeals(all)) if (movedTo !== undefined) moved.set(topic, movedTo)
  return moved
}

function readSeals(all: StatementSync): [topic: string, seal: TopicSeal][] {
  return all.all().map(({ name, value }) => [String(name).slice(prefix.length), JSON.parse(String(value))])
}

import type { SealRequest } from '../../engine/engine.ts'
import { changedSeal, obstacleOf, type TopicSeal } from '../../engine/topic-seal.ts'
import { SemelError } from '../../errors.ts'
import type { Session } from './session.ts'
import { quoteIdentifier } from './sql-text.ts'
import { inTransaction } from './transaction.ts'

/** Topics that are being moved to another engine, or were (migrations/0010-move.sql). */
export class TopicSeals {
  readonly #lock: string
  readonly #set: string
  readonly #all: string

  constructor(schema: string) {
    const name = quoteIdentifier(schema)
    this.#lock = `select * from ${name}.lock_topic($1)`
    this.#set = `select ${name}.seal($1, $2, $3)`
    this.#all = `select * from ${name}.seals()`
  }

  async change(session: Session, request: SealRequest): Promise<void> {
    await inTransaction(session, async () => {
      const { seal: stored, nowMs } = await this.#locked(session, request.topic)
      const { seal, fences } = changedSeal(stored, request, nowMs)
      await this.#put(session, request.topic, seal, fences)
    })
  }

  /** Why the topic is closed, if it is; a hold that has run out ends here. In the transaction of whoever asks, if it has one. */
  async obstacle(session: Session, topic: string): Promise<SemelError | undefined> {
    const look = async (): Promise<SemelError | undefined> => {
      const { seal, nowMs } = await this.#locked(session, topic)
      const obstacle = seal && obstacleOf(topic, seal, nowMs)
      if (obstacle === undefined && seal !== undefined) await this.#put(session, topic, undefined, false)
      return obstacle
    }
    return await (session.isInTransaction ? look() : inTransaction(session, look))
  }

  /** Where topics were moved to, by their names here. */
  async moved(session: Session): Promise<ReadonlyMap<string, string>> {
    const moved = new Map<string, string>()
    for (const [topic, text] of await session.rows(this.#all)) {
      const { movedTo } = parseSeal(text!)
      if (movedTo !== undefined) moved.set(topic!, movedTo)
    }
    return moved
  }

  async #locked(session: Session, topic: string): Promise<{ seal: TopicSeal | undefined; nowMs: number }> {
    const [row] = await session.rows(this.#lock, [topic])
    if (row === undefined)
      throw new SemelError('UNKNOWN_TOPIC', `there is no topic ${JSON.stringify(topic)}`, { field: 'topic' })
    return { seal: row[0] == null ? undefined : parseSeal(row[0]), nowMs: Number(row[1]) }
  }

  async #put(session: Session, topic: string, seal: TopicSeal | undefined, fences: boolean): Promise<void> {
    await session.rows(this.#set, [topic, seal === undefined ? null : JSON.stringify(seal), fences])
  }
}

/** Written by \`TopicSeals\` alone. */
function parseSeal(text: string): TopicSeal {
  return JSON.parse(text)
}

import type { Bus } from '../bus.ts'
import type { Engine, Lease, Membership, OwnershipListener } from '../engine/engine.ts'
import { outboxTask, storeNames } from '../engine/store-names.ts'
import { assert, hasCode, isHarmless } from '../errors.ts'
import { limits } from '../limits.ts'
import { sleep } from '../platform/wait.ts'
import { batchesOf, type PlacedEvent } from './outbox-batches.ts'
import type { NumberedRow, OutboxTarget, TargetParts } from './outbox-target.ts'
import { undeclaredTopic } from './publish-rows.ts'

const markKey = 'published'

/** What the log remembers of an outbox, in the unit that published it. */
interface Mark {
  /** Events of the last batch, by topic and id. */
  readonly batch: readonly string[]
  /** What had left the outbox before that batch; absent where rows come in the order of their commits for ever. */
  readonly position?: number | undefined
  /** Events of batches before that were still in the outbox then. */
  readonly carried: readonly string[]
}

/** One hold of the lease. */
interface Session {
  readonly lease: Lease
  position: number | undefined
  mark: Mark
}

const nothing: Mark = { batch: [], carried: [] }

/**
 * A log that does not know ids. Whoever publishes holds the lease of a task there, named after the outbox; each batch is
 * one unit with the names of its events as state (X1, Z1). After a kill the next one reads them back: those that are
 * still in the outbox were published and are not published again. A former owner is fenced with whatever it has read.
 *
 *  AWAY -> OWNED   the lease is ours, the mark is to be read
 *  OWNED -> READY  the mark is read; rows that are read from now on are no one else's
 *  READY -> OWNED  a unit failed that surely does not count
 *  any   -> AWAY   the lease is lost, or a unit's fate unknown: then the next epoch ends it before the mark is read (U1)
 */
export class FencedTarget implements OutboxTarget, OwnershipListener {
  readonly #parts: TargetParts
  readonly #bus: Bus
  readonly #engine: Engine
  #membership: Promise<Membership> | undefined
  #lease: Lease | undefined
  #session: Session | undefined
  /** Of the outbox. */
  #position: number | undefined
  #publishing: Promise<void> = Promise.resolve()

  constructor(parts: TargetParts) {
    this.#parts = parts
    this.#bus = parts.bus
    this.#engine = parts.bus.engine
  }

  async ready(signal: AbortSignal, position?: number): Promise<void> {
    await this.#join()
    while (this.#lease === undefined) await sleep(this.#parts.platform, limits.pollMsMax, signal)
    this.#position = position
    if (this.#session?.lease !== this.#lease) this.#session = await this.#load(this.#lease)
  }

  async publish(rows: readonly NumberedRow[]): Promise<void> {
    const publishing = this.#publish(rows)
    this.#publishing = publishing.catch(() => undefined)
    await publishing
  }

  async close(): Promise<void> {
    const membership = await this.#membership?.catch(() => undefined)
    await membership?.leave()
  }

  assigned([lease]: readonly Lease[]): void {
    this.#lease = lease
  }

  async revoked(): Promise<void> {
    await this.#publishing
    this.#lease = undefined
  }

  async #join(): Promise<void> {
    const { leaseMs, name } = this.#parts
    const report = () => ({ inFlight: 0, retries: 0, handled: 0, commitMs: { p50: 0, p99: 0 } })
    const topics = [{ topic: outboxTask.topic, partitions: 1 }]
    const group = `${outboxTask.group}.${name}`
    this.#membership ??= this.#engine.join({ group, topics, leaseMs, report }, this)
    try {
      await this.#membership
    } catch (error) {
      this.#membership = undefined
      throw error
    }
  }

  async #load(lease: Lease): Promise<Session> {
    const { position } = await this.#engine.load(lease)
    const [text] = await this.#engine.readState(lease.task, storeNames.outbox, [markKey])
    // Written by `#publish` alone.
    const mark: Mark = text === undefined ? nothing : JSON.parse(text)
    return { lease, position, mark }
  }

  /** What was published and is still in the outbox, or may be. */
  #published({ batch, position, carried }: Mark): ReadonlySet<string> {
    return new Set(position === this.#position ? [...carried, ...batch] : carried)
  }

  async #publish(rows: readonly NumberedRow[]): Promise<void> {
    const session = this.#session
    assert(session !== undefined, 'rows are read when the target is ready')
    const published = this.#published(session.mark)
    const fresh = rows.filter((row) => !published.has(nameOf(row)))
    const batch = rows.map(nameOf)
    const isCounted = this.#position !== undefined
    if (fresh.length === 0 && (!isCounted || published.size === 0)) return
    // Rows in the order of commits begin with what was published: behind a fresh one there is none of it.
    const carried = isCounted ? [...published].filter((name) => !batch.includes(name)) : []
    await this.#commit(session, fresh, { batch, position: this.#position, carried })
  }

  async #commit(session: Session, fresh: readonly NumberedRow[], mark: Mark): Promise<void> {
    const to = (session.position ?? 0) + fresh.length
    try {
      await this.#engine.commit({
        lease: session.lease,
        from: session.position,
        to,
        logId: this.#engine.logId,
        appends: batchesOf(fresh.map((row) => this.#placed(row))),
        state: [{ store: storeNames.outbox, keys: [markKey], values: [JSON.stringify(mark)] }],
      })
      session.position = to
      session.mark = mark
    } catch (error) {
      this.#session = undefined
      if (!isHarmless(error) || hasCode(error, 'FENCED')) await this.#giveBack(session.lease)
      throw error
    }
  }

  /** Whoever is assigned the task next, often this process, has a higher epoch. */
  async #giveBack(lease: Lease): Promise<void> {
    if (this.#lease === lease) this.#lease = undefined
    const membership = await this.#membership
    membership?.giveBack(lease)
  }

  #placed({ topic, record, row: { place } }: NumberedRow): PlacedEvent {
    const declared = this.#bus.topics.get(topic)
    if (declared === undefined) throw undeclaredTopic(topic)
    return { topic, record, place, partitions: declared.partitions }
  }
}

function nameOf({ topic, record }: NumberedRow): string {
  return JSON.stringify([topic, record.id])
}

import { Bus } from '../bus.ts'
import type { Lease, Membership, OwnershipListener } from '../engine/engine.ts'
import { outboxTask } from '../engine/store-names.ts'
import { SemelError } from '../errors.ts'
import { limits } from '../limits.ts'
import { checkOptionNames, invalidOption, requireOptions, wholeNumber } from '../options.ts'
import { realPlatform } from '../platform/real-platform.ts'
import { OutboxMover } from './mover.ts'
import { targetFor } from './outbox-target.ts'

export interface SequencerOptions {
  /** A sequencer that is silent for this long is replaced. Default 10 s. */
  readonly leaseMs?: number | undefined
  /**
   * Where events go: an open bus on another engine, which declares the same topics. Default: the log beside the outbox.
   * After a kill an event may be published again. A log that knows ids leaves it out (N1); in one that does not, such as
   * Kafka's, the last batch is remembered in the unit that published it, and nothing is published twice (X1).
   */
  readonly into?: Bus | undefined
}

/** A process that stands ready to move events from the outbox to their topics. One of all of them does. */
export interface OutboxSequencer extends AsyncDisposable {
  /** Whether this process is the one that moves events now. */
  readonly isActive: boolean
  /** Finishes what it is doing and lets another process take over at once. Twice is fine. */
  stop(): Promise<void>
}

/**
 * Moves committed events of the outbox into their topics, in the database that holds both: they leave the one and enter
 * the other in one transaction. Run it in as many processes as you like. One at a time is active, by a lease whose epoch
 * that same transaction compares (Z1); when it is lost, another takes over.
 *
 * What keeps it from going on stands in `bus.status()`, under `outbox`.
 *
 * @throws SemelError UNSUPPORTED where the engine keeps no outbox: there, `relayOutbox` publishes from another database.
 */
export async function sequenceOutbox(bus: Bus, options?: SequencerOptions): Promise<OutboxSequencer> {
  const given = requireOptions('sequenceOutbox', options)
  checkOptionNames('sequenceOutbox', given, ['leaseMs', 'into'])
  const leaseMs = wholeNumber('leaseMs', given.leaseMs, {
    min: limits.leaseMsMin,
    max: limits.leaseMsMax,
    fallback: limits.leaseMsDefault,
  })
  const { into } = given
  if (into !== undefined && !(into instanceof Bus)) throw invalidOption('into', 'an open bus', into)
  const { engine } = bus
  const { outbox, storage } = await engine.status()
  if (outbox === undefined) {
    throw new SemelError('UNSUPPORTED', `the ${engine.facts.name} engine keeps no outbox`, {
      hint: 'use relayOutbox for an outbox in another database',
    })
  }
  const platform = realPlatform
  const schema = String(storage.schema)
  const target = (to: Bus) => targetFor({ bus: to, name: engine.logId, leaseMs, platform })
  const sequencer = new Sequencer(async (lease, signal, onMoved) => {
    // Whoever is active here has to become so there, so nobody else may stay in line.
    const there = into && target(into)
    const mover = new OutboxMover({ engine, into: there, schema, platform }, lease)
    return await mover.run(signal, onMoved).finally(() => there?.close())
  })
  const { group, topic } = outboxTask
  const report = () => ({ inFlight: 0, retries: 0, handled: sequencer.moved, commitMs: { p50: 0, p99: 0 } })
  const topics = [{ topic, partitions: 1 }]
  sequencer.membership = engine.join({ group, topics, leaseMs, report }, sequencer)
  await sequencer.membership
  return sequencer
}

/** Moves events while the lease is held, until the signal aborts. */
type Move = (
  lease: Lease,
  signal: AbortSignal,
  onMoved: (events: number) => void,
) => ReturnType<OutboxMover['run']>

class Sequencer implements OutboxSequencer, OwnershipListener {
  readonly #move: Move
  #active:
    | { readonly lease: Lease; readonly stop: AbortController; readonly ended: Promise<void> }
    | undefined
  membership: Promise<Membership> | undefined
  moved = 0

  constructor(move: Move) {
    this.#move = move
  }

  get isActive(): boolean {
    return this.#active !== undefined
  }

  assigned(leases: readonly Lease[]): void {
    for (const lease of leases) {
      const stop = new AbortController()
      const onMoved = (events: number): void => {
        this.moved += events
      }
      const ended = this.#move(lease, stop.signal, onMoved).then((end) => {
        if (end === 'unsure') this.#giveBack(lease)
      })
      this.#active = { lease, stop, ended }
    }
  }

  /** Whoever is assigned the task next, often this process, has a higher epoch. */
  #giveBack(lease: Lease): void {
    if (this.#active?.lease === lease) this.#active = undefined
    // Whoever is assigned a lease has joined.
    void this.membership?.then((membership) => membership.giveBack(lease))
  }

  async revoked(): Promise<void> {
    const active = this.#active
    active?.stop.abort(new SemelError('ABORTED', 'the sequencer was stopped'))
    await active?.ended
    if (this.#active === active) this.#active = undefined
  }

  async stop(): Promise<void> {
    await (await this.membership)?.leave()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

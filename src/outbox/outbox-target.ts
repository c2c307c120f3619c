import type { Bus } from '../bus.ts'
import type { Platform } from '../platform/platform.ts'
import { FencedTarget } from './fenced-target.ts'
import type { GoodRow, OutboxRow } from './outbox-event.ts'
import { publishRelayed } from './publish-rows.ts'

/** A row with its number among all of its outbox. */
export type NumberedRow = GoodRow<OutboxRow & { readonly place: number }>

/** Where events of an outbox go, each once, however often its row is seen. */
export interface OutboxTarget {
  /**
   * Must have resolved before rows are read: whoever published before us is kept out from then on, and what it published
   * is known. `position` counts what has left the outbox, if the outbox remembers that itself.
   */
  ready(signal: AbortSignal, position?: number): Promise<void>
  /** In their order, all or nothing. Rows may leave the outbox afterwards. */
  publish(rows: readonly NumberedRow[]): Promise<void>
  close(): Promise<void>
}

export interface TargetParts {
  readonly bus: Bus
  /** Of the outbox, the same in all processes: tells apart several that go into one log. */
  readonly name: string
  readonly leaseMs: number
  readonly platform: Platform
}

/** By ids where the log knows them (N1), else by the place that it remembers. */
export function targetFor(parts: TargetParts): OutboxTarget {
  return parts.bus.engine.facts.dedup === 'topic' ? new KnowingTarget(parts.bus) : new FencedTarget(parts)
}

/** A log that leaves out ids it knows: whatever is published again is harmless. */
class KnowingTarget implements OutboxTarget {
  readonly #bus: Bus

  constructor(bus: Bus) {
    this.#bus = bus
  }

  async ready(): Promise<void> {}

  async publish(rows: readonly NumberedRow[]): Promise<void> {
    await publishRelayed(this.#bus, rows)
  }

  async close(): Promise<void> {}
}

import type { SeededRandom } from '../../../src/platform/seeded-random.ts'
import type { HistoryClient, OpenOperation } from '../../../src/testing/history/index.ts'
import { type Stored, type TrueLog, topic } from './true-log.ts'

export const group = 'billing'
export const sink = 'balance'
const handledMax = 4

/** A group's owner of one partition, and whoever takes over from it: handles in order, commits, is fenced (Z1). */
export class Owner {
  readonly #p: number
  readonly #log: TrueLog
  readonly #random: SeededRandom
  readonly #newClient: () => HistoryClient
  #client: HistoryClient
  #epoch = 0
  #committed = 0
  #position = 0
  readonly #handled: Stored[] = []
  #handling: { operation: OpenOperation<'handle'>; stored: Stored } | undefined
  #zombie: { client: HistoryClient; epoch: number } | undefined

  constructor(p: number, log: TrueLog, random: SeededRandom, newClient: () => HistoryClient) {
    this.#p = p
    this.#log = log
    this.#random = random
    this.#newClient = newClient
    this.#client = newClient()
    this.#acquire()
  }

  step(): void {
    const choice = this.#random.below(20)
    if (choice === 0) this.#takeover()
    else if (choice === 1) this.#lateCommit()
    else if (choice < 5) this.#commit()
    else this.#handle()
  }

  finish(): void {
    while (this.#position < this.#log.end(this.#p)) this.#handle()
    this.#commit()
  }

  #acquire(): void {
    const operation = this.#client.start('acquire', this.#task())
    this.#epoch++
    operation.ok({ epoch: this.#epoch })
  }

  /** Starts the next event's handler, or ends the one that runs. */
  #handle(): void {
    if (this.#handling === undefined) {
      const [stored] = this.#log.from(this.#p, this.#position, 1)
      if (stored === undefined || this.#handled.length >= handledMax) {
        this.#commit()
        return
      }
      const { id, key } = stored.event
      const operation = this.#client.start('handle', { ...this.#step(stored.off), id, key })
      this.#handling = { operation, stored }
      return
    }
    const { operation, stored } = this.#handling
    this.#handling = undefined
    if (!stored.event.poison && this.#random.below(8) > 0) {
      operation.ok()
      this.#handled.push(stored)
      this.#position = stored.off + 1
      return
    }
    operation.fail('Error')
    if (stored.event.poison && this.#random.below(2) === 0) this.#park(stored)
  }

  /** A dead letter and the position over it are one step (L3). */
  #park(stored: Stored): void {
    this.#commit()
    const letter = this.#client.start('dlq', { ...this.#step(stored.off), id: stored.event.id })
    const commit = this.#client.start('commit', this.#step(stored.off + 1))
    letter.ok()
    commit.ok()
    this.#position = stored.off + 1
    this.#committed = this.#position
  }

  /** Effects and position commit together (X1). */
  #commit(): void {
    if (this.#position === this.#committed) return
    const commit = this.#client.start('commit', this.#step(this.#position))
    for (const { off, event } of this.#handled.splice(0)) {
      const { key, n } = event
      this.#client.observed('effect', { ...this.#step(off), sink, key, n })
    }
    this.#committed = this.#position
    commit.ok()
  }

  #takeover(): void {
    if (this.#handling !== undefined) this.#handling.operation.info('KILLED')
    this.#handling = undefined
    // What was handled and not committed had no effect; it comes again.
    this.#handled.length = 0
    this.#position = this.#committed
    this.#zombie = { client: this.#client, epoch: this.#epoch }
    this.#client = this.#newClient()
    this.#acquire()
  }

  #lateCommit(): void {
    if (this.#zombie === undefined) return
    const { client, epoch } = this.#zombie
    client.start('commit', { ...this.#step(this.#position + 1), epoch }).fail('FENCED')
    this.#zombie = undefined
  }

  #task() {
    return { g: group, topic, p: this.#p }
  }

  #step(off: number) {
    return { ...this.#task(), off, epoch: this.#epoch }
  }
}

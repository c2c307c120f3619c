import type {
  Engine,
  JoinRequest,
  Lease,
  Membership,
  OwnershipListener,
  Unit,
  UnitTransaction,
} from '../../engine/engine.ts'
import { storeNames } from '../../engine/store-names.ts'
import { isSemelError } from '../../errors.ts'
import type { HistoryClient, OpenOperation } from './recorder.ts'

/** Only a definite no is a `fail`; whatever cannot be told apart is unknown (U1). */
export function isNotApplied(error: unknown): boolean {
  return isSemelError(error) && error.outcome === 'not-applied'
}

/**
 * An engine, with what a history needs of it written down: each lease it grants, and each unit it is asked to commit,
 * with its position, epoch and dead letters (Z1, L1, L3). Everything else goes through unchanged.
 */
export function recordEngine(engine: Engine, recording: UnitRecording): Engine {
  const replaced: Partial<Engine> = {
    join: async (request, listener) => await joinRecorded(engine, recording, request, listener),
    commit: async (unit) => await recording.commit(unit, () => engine.commit(unit)),
    begin: async (lease, signal) => recordTransaction(await engine.begin(lease, signal), recording),
  }
  return withReplaced(engine, replaced)
}

/** Writes the lines about leases and units, and knows the epoch of each task that this process was given. */
export class UnitRecording {
  readonly #client: HistoryClient
  readonly #epochs = new Map<string, number>()

  constructor(client: HistoryClient) {
    this.#client = client
  }

  epochOf(g: string, topic: string, p: number): number | undefined {
    return this.#epochs.get(JSON.stringify([g, topic, p]))
  }

  granted(leases: readonly Lease[]): void {
    for (const { task, epoch } of leases) {
      const { group: g, topic, partition: p } = task
      this.#epochs.set(JSON.stringify([g, topic, p]), epoch)
      this.#client.observed('acquire', { g, topic, p, epoch })
    }
  }

  lost(leases: readonly Lease[]): void {
    for (const { task, epoch } of leases)
      this.#client.note('lose', { g: task.group, topic: task.topic, p: task.partition, epoch })
  }

  async commit(unit: Unit, work: () => Promise<void>): Promise<void> {
    const operations = this.#startCommit(unit)
    try {
      await work()
      for (const operation of operations) operation.ok()
    } catch (error) {
      const code = isSemelError(error) ? error.code : 'unknown'
      for (const operation of operations) {
        if (isNotApplied(error)) operation.fail(code)
        else operation.info(code)
      }
      throw error
    }
  }

  /** The dead letters of a unit come true with its position, so they are open as long as it is. */
  #startCommit({ lease, to, state }: Unit): (OpenOperation<'dlq'> | OpenOperation<'commit'>)[] {
    const { task, epoch } = lease
    const place = { g: task.group, topic: task.topic, p: task.partition, epoch }
    const letters = state.filter(({ store }) => store === storeNames.deadLetters)
    const dead = letters.flatMap(({ keys, values }) => keys.filter((_, i) => values[i] !== undefined))
    return [
      ...dead.map((key) => this.#client.start('dlq', { ...place, off: Number(key) })),
      this.#client.start('commit', { ...place, off: to }),
    ]
  }
}

async function joinRecorded(
  engine: Engine,
  recording: UnitRecording,
  request: JoinRequest,
  listener: OwnershipListener,
): Promise<Membership> {
  return await engine.join(request, {
    assigned: (leases) => {
      recording.granted(leases)
      listener.assigned(leases)
    },
    revoked: async (leases, reason) => {
      if (reason === 'lost') recording.lost(leases)
      await listener.revoked(leases, reason)
    },
  })
}

function recordTransaction(transaction: UnitTransaction, recording: UnitRecording): UnitTransaction {
  return withReplaced(transaction, {
    commit: async (unit) => await recording.commit(unit, () => transaction.commit(unit)),
  })
}

/** The same object with some operations replaced. Methods keep their own `this`, for they may have #fields. */
function withReplaced<T extends object>(target: T, replaced: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      const own: unknown = Reflect.get(replaced, name)
      if (own !== undefined) return own
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}

import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { Engine } from '../../src/engine/engine.ts'
import { kafka } from '../../src/engines/kafka/index.ts'
import { postgres } from '../../src/engines/postgres/index.ts'
import { sqlite } from '../../src/engines/sqlite/index.ts'

/** How a process of the soak reaches the log. Plain data: it goes to the workers. */
export type Address =
  | { readonly engine: 'sqlite'; readonly file: string }
  | { readonly engine: 'postgres'; readonly url: string }
  | { readonly engine: 'kafka'; readonly brokers: string }

export const engineNames = ['sqlite', 'postgres', 'kafka'] as const
export type EngineName = (typeof engineNames)[number]

export async function engineAt(address: Address): Promise<Engine> {
  if (address.engine === 'sqlite') return sqlite({ file: address.file })
  if (address.engine === 'postgres') return postgres({ url: address.url })
  // Loads the client, which only those have who did `npm run kafka:setup`.
  const { rdkafka } = await import('../../test/rig/kafka/client.ts')
  return kafka({
    brokers: address.brokers,
    client: rdkafka,
    transactionTimeoutMs,
    // One broker that is killed loses nothing: what it wrote is with the kernel.
    acceptUnsafe: ['replication.factor', 'min.insync.replicas', 'transaction.timeout.ms'],
  })
}

/** A fault of the storage itself, and its inverse: healed when it resolves. */
export type StorageFault = () => Promise<void>

/** What the workers share, with the faults that are its own. */
export interface Storage extends AsyncDisposable {
  readonly workers: Address
  /** The way of whoever judges: no fault lies on it, but the server at its end may be gone for a while. */
  readonly observer: Address
  readonly faults: Readonly<Record<string, StorageFault>>
  /** Called now and then, to note how large it grows. */
  sample(): void
  /** What grew beyond its bound, with this many events in it. */
  excess(events: number): string[]
}

/** A transaction of a killed worker keeps readers waiting so long. */
const transactionTimeoutMs = 5_000
/** What the write-ahead log may come to, whoever is paused. */
const walMibMax = 300
const bytesPerEventMax = 2_000

/** A file has no server that could fail: the crash tests have its disk. */
export class SqliteStorage implements Storage {
  readonly workers: Address
  readonly faults = {}
  readonly #file: string
  #walMib = 0

  constructor(folder: string) {
    this.#file = join(folder, 'soak.db')
    this.workers = { engine: 'sqlite', file: this.#file }
  }

  get observer(): Address {
    return this.workers
  }

  sample(): void {
    const wal = statSync(`${this.#file}-wal`, { throwIfNoEntry: false })
    this.#walMib = Math.max(this.#walMib, Math.round((wal?.size ?? 0) / 2 ** 20))
  }

  excess(events: number): string[] {
    // Each event is there twice: as it came, and as what was made of it.
    const bytesPerEvent = Math.round(statSync(this.#file).size / Math.max(1, events * 2))
    return [
      ...(this.#walMib > walMibMax ? [`the write-ahead log grew to ${this.#walMib} MiB`] : []),
      ...(bytesPerEvent > bytesPerEventMax ? [`the file holds ${bytesPerEvent} bytes an event`] : []),
    ]
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

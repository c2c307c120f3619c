import { int4Array } from './binary-arrays.ts'
import { postgresLimits } from './postgres-limits.ts'
import type { Session } from './session.ts'
import { quoteIdentifier } from './sql-text.ts'
import { StateLog, stateLogRow } from './state-log.ts'

/** A store while a task is held: only its owner writes its log. */
export interface OwnedStore {
  readonly store: number
  readonly epoch: number
}

interface KnownLog {
  readonly epoch: number
  readonly log: StateLog
}

interface LoadedRow {
  readonly log: StateLog
  readonly seq: number
  readonly keys: string[]
  readonly values: (string | undefined)[]
}

/**
 * Logs of the stores that this process writes. One is taken for each attempt to write and put back when its outcome is
 * known: after any other end the server is asked again how it is.
 */
export class StateLogs {
  readonly #load: string
  /** By store, the one that was used last at the end. */
  readonly #known = new Map<number, KnownLog>()
  #bytes = 0

  constructor(schema: string) {
    this.#load = `select * from ${quoteIdentifier(schema)}.state_logs($1)`
  }

  get mayGrow(): boolean {
    return this.#bytes < postgresLimits.stateLogsBytesMax / 2
  }

  known(store: number): StateLog | undefined {
    return this.#known.get(store)?.log
  }

  /** Makes known what is not. */
  async load(session: Session, stores: readonly OwnedStore[]): Promise<void> {
    const missing = stores.filter(({ store, epoch }) => this.#known.get(store)?.epoch !== epoch)
    if (missing.length === 0) return
    const logs = await this.#read(
      session,
      missing.map(({ store }) => store),
    )
    for (const owned of missing) this.put(owned, logs.get(owned.store)!)
  }

  take({ store }: OwnedStore): StateLog {
    const { log } = this.#known.get(store)!
    this.#forget(store)
    return log
  }

  put({ store, epoch }: OwnedStore, log: StateLog): void {
    this.#forget(store)
    this.#known.set(store, { epoch, log })
    this.#bytes += log.bytes
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= postgresLimits.stateLogsMax && this.#bytes <= postgresLimits.stateLogsBytesMax)
        return
      this.#forget(oldest)
    }
  }

  #forget(store: number): void {
    this.#bytes -= this.#known.get(store)?.log.bytes ?? 0
    this.#known.delete(store)
  }

  async #read(session: Session, stores: readonly number[]): Promise<ReadonlyMap<number, StateLog>> {
    const logs = new Map(stores.map((store) => [store, new StateLog()]))
    const rows: LoadedRow[] = []
    for (const [store, seq, key, value] of await session.rows(this.#load, [int4Array(stores)])) {
      const log = logs.get(Number(store))!
      let row = rows.at(-1)
      if (row?.log !== log || row.seq !== Number(seq)) {
        row = { log, seq: Number(seq), keys: [], values: [] }
        rows.push(row)
      }
      row.keys.push(key!)
      row.values.push(value ?? undefined)
    }
    for (const { log, seq, keys, values } of rows) log.load(stateLogRow(seq, keys, values))
    return logs
  }
}

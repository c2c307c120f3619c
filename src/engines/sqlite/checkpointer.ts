import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { sqliteLimits } from './sqlite-limits.ts'
import type { WireBatch } from './writer-protocol.ts'

/** A commit rewrites at least these pages: a leaf of the log, the partition heads, a page above each. */
const pagesPerRequest = 4
const bytesPerStore = 64 * 1024

/**
 * Copies the write-ahead log back into the file when enough was written. SQLite can do that by itself, but then it
 * keeps quiet about errors: a flush that failed would be tried again as if nothing had happened (D4).
 */
export class Checkpointer {
  readonly #database: DatabaseSync
  readonly #passive: StatementSync
  #bytes = 0

  constructor(database: DatabaseSync) {
    this.#database = database
    this.#passive = database.prepare('pragma wal_checkpoint(passive)')
  }

  /** About what a request adds to the log. */
  wrote(batches: readonly WireBatch[], stores: number): void {
    let bytes = pagesPerRequest * sqliteLimits.pageBytes + stores * bytesPerStore
    for (const { rows } of batches) for (const { head, body } of rows) bytes += head.length + body.length
    this.#bytes += bytes
  }

  wroteBytes(bytes: number): void {
    this.#bytes += bytes
  }

  get isDue(): boolean {
    return this.#bytes >= sqliteLimits.checkpointBytes
  }

  run(): void {
    this.#bytes = 0
    const row = this.#passive.get()
    if (Number(row?.log) * sqliteLimits.pageBytes < sqliteLimits.walBytesMax) return
    // Readers, or other processes that wrote meanwhile, kept the log from starting over. Make them wait for once, or
    // it grows without end.
    this.#database.exec(`pragma busy_timeout = ${sqliteLimits.checkpointWaitMs}`)
    this.#database.prepare('pragma wal_checkpoint(restart)').get()
    this.#database.exec('pragma busy_timeout = 0')
  }
}

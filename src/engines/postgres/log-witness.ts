import { SemelError } from '../../errors.ts'
import { int4Array, int8Array } from './binary-arrays.ts'
import type { LogReader } from './log-reader.ts'
import type { ServerIdentity } from './server-identity.ts'
import type { Session } from './session.ts'
import { quoteIdentifier } from './sql-text.ts'
import { logRegressed } from './write-reply.ts'

interface LastRow {
  readonly firstOffset: number
  readonly crc: number
}

/**
 * Remembers the last row that was acknowledged in each partition, and looks for it, and for the last one that was read,
 * whenever a connection leads to another server than before, or to one that was promoted. A log that went back and has
 * grown again since is found out this way (D6); one that is merely shorter, by every write and read as well.
 */
export class LogWitness {
  readonly #rowsAt: string
  readonly #meta: string
  readonly #reader: LogReader
  readonly #last = new Map<number, LastRow>()
  #logId = ''
  /** The last one found good. */
  #server: ServerIdentity | undefined

  constructor(schema: string, reader: LogReader) {
    this.#reader = reader
    this.#rowsAt = `select * from ${quoteIdentifier(schema)}.rows_at($1, $2)`
    this.#meta = `select name, value from ${quoteIdentifier(schema)}.meta`
  }

  begin(logId: string, server: ServerIdentity): void {
    this.#logId = logId
    this.#server = server
  }

  acknowledged(partitionId: number, { firstOffset, crc }: LastRow): void {
    const before = this.#last.get(partitionId)
    if (before === undefined || before.firstOffset < firstOffset)
      this.#last.set(partitionId, { firstOffset, crc })
  }

  /** Throws LOG_REGRESSED if this is not the log we know. */
  async check(session: Session, server: ServerIdentity): Promise<void> {
    if (this.#server === undefined || nameOf(server) === nameOf(this.#server)) return
    if (isSuperseded(server, this.#server)) throw superseded()
    const meta = new Map((await session.rows(this.#meta)).map(([name, value]) => [name, value]))
    if (meta.get('log_id') !== this.#logId) throw logRegressed('it has another identity', undefined)
    const missing = (await this.#findMissing(session)) ?? (await this.#reader.findMissing(session))
    if (missing !== undefined) throw missing
    this.#server = server
  }

  async #findMissing(session: Session): Promise<SemelError | undefined> {
    const partitions = [...this.#last.keys()]
    if (partitions.length === 0) return undefined
    const offsets = partitions.map((id) => this.#last.get(id)!.firstOffset)
    const rows = await session.rows(this.#rowsAt, [int4Array(partitions), int8Array(offsets)])
    const found = new Map(rows.map((row) => [Number(row[0]), row]))
    for (const [id, { firstOffset, crc }] of this.#last) {
      const row = found.get(id)
      if (Number(row?.[1] ?? -1) === firstOffset && Number(row?.[4]) === crc) continue
      return logRegressed(
        `after a change of server, an acknowledged row at offset ${firstOffset} is missing`,
        undefined,
      )
    }
    return undefined
  }
}

function nameOf({ system, timeline }: ServerIdentity): string {
  return `${system}/${timeline}`
}

/** A primary that another one was promoted over, and that came back as if nothing had happened. */
function isSuperseded(server: ServerIdentity, known: ServerIdentity): boolean {
  const isSameSystem = server.system === known.system
  return isSameSystem && Number.parseInt(server.timeline, 16) < Number.parseInt(known.timeline, 16)
}

/** Retryable: another host of the address may be the one that was promoted. */
function superseded(): SemelError {
  return new SemelError(
    'LOG_REGRESSED',
    'the server is a primary of an older timeline than the one that was promoted over it',
    { retryable: true, hint: 'stop it at once, and make it a standby of the new primary' },
  )
}

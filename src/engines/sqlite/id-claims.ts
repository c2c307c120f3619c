import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { IdFormat } from './id-format.ts'
import type { GenerationRow } from './id-generation.ts'
import { sqliteLimits } from './sqlite-limits.ts'

/**
 * Who builds generations for a topic, and what is left over of builds and generations that are no longer needed.
 * A claim that was not renewed for long belonged to a process that is gone: the next one takes over.
 */
export class IdClaims {
  readonly #builder: string
  readonly #hasEntryBytes: boolean
  readonly #claim: StatementSync
  readonly #nextGeneration: StatementSync
  readonly #setClaim: StatementSync
  readonly #setChunks: StatementSync
  readonly #renew: StatementSync
  readonly #endClaim: StatementSync
  readonly #addGeneration: StatementSync
  readonly #addGarbage: StatementSync
  readonly #spare: StatementSync
  readonly #removeGeneration: StatementSync
  readonly #markSealed: StatementSync

  constructor(database: DatabaseSync, builder: string, format: IdFormat) {
    this.#builder = builder
    this.#hasEntryBytes = format.uuid !== undefined
    this.#claim = database.prepare(
      'select generation, chunks, builder, seen_at from semel_id_build where topic_id = ?',
    )
    this.#nextGeneration = database.prepare(
      "update semel_meta set value = cast(value as integer) + 1 where name = 'generations' returning value",
    )
    this.#setClaim = database.prepare('insert or replace into semel_id_build values (?, ?, 0, ?, ?)')
    this.#setChunks = database.prepare('update semel_id_build set chunks = ? where topic_id = ?')
    this.#renew = database.prepare(
      'update semel_id_build set seen_at = ? where topic_id = ? and generation = ? and builder = ?',
    )
    this.#endClaim = database.prepare('delete from semel_id_build where topic_id = ?')
    const more = this.#hasEntryBytes ? ', ?' : ''
    this.#addGeneration = database.prepare(
      `insert into semel_id_generation values (?, ?, ?, ?, ?, ?, ?${more})`,
    )
    this.#addGarbage = database.prepare('insert or ignore into semel_id_garbage values (?, ?, 0)')
    this.#spare = database.prepare('delete from semel_id_garbage where generation = ? and deleted = 0')
    this.#removeGeneration = database.prepare('delete from semel_id_generation where id = ?')
    this.#markSealed = database.prepare('update semel_partition set sealed_to = ? where id = ?')
  }

  /** Whether nobody else builds for the topic. What an earlier builder left becomes garbage. */
  isFree(topicId: number, nowMs: number): boolean {
    const claim = this.#claim.get(topicId)
    if (claim === undefined) return true
    const age = Math.abs(nowMs - Number(claim.seen_at))
    if (claim.builder !== this.#builder && age < sqliteLimits.sealClaimMs) return false
    this.#addGarbage.run(Number(claim.generation), Number(claim.chunks))
    return true
  }

  take(topicId: number, nowMs: number): number {
    const generation = Number(this.#nextGeneration.get()?.value)
    this.#setClaim.run(topicId, generation, this.#builder, nowMs)
    return generation
  }

  setChunks(topicId: number, chunks: number): void {
    this.#setChunks.run(chunks, topicId)
  }

  /** `false`: somebody took over. */
  renew(topicId: number, generation: number, nowMs: number): boolean {
    return Number(this.#renew.run(nowMs, topicId, generation, this.#builder).changes) === 1
  }

  /**
   * Goes on with a build whose claim may have been replaced by another one of ours (`isFree` made it garbage then); `false`: somebody
   * took over, or has begun to delete it.
   */
  takeBack({ id, chunks }: GenerationRow, topicId: number, nowMs: number): boolean {
    if (this.renew(topicId, id, nowMs)) return true
    if (this.#claim.get(topicId) !== undefined || Number(this.#spare.run(id).changes) !== 1) return false
    this.#setClaim.run(topicId, id, this.#builder, nowMs)
    this.#setChunks.run(chunks, topicId)
    return true
  }

  /** Makes a finished generation known. */
  finish(row: GenerationRow, topicId: number): void {
    const { id, rank, entries, chunks, oldestMs, newestMs, entryBytes } = row
    const values = [id, topicId, rank, entries, chunks, oldestMs, newestMs]
    this.#addGeneration.run(...values, ...(this.#hasEntryBytes ? [entryBytes] : []))
    this.#endClaim.run(topicId)
  }

  /** All ids below these offsets are in generations: the log need not be read for them at open. */
  mark(ends: ReadonlyMap<number, number>): void {
    for (const [partitionId, end] of ends) this.#markSealed.run(end, partitionId)
  }

  /** Takes a generation out of use; its rows are deleted later, in steps. */
  discard({ id, chunks }: GenerationRow): void {
    this.#removeGeneration.run(id)
    this.#addGarbage.run(id, chunks)
  }
}

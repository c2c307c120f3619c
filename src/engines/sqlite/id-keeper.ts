import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Clock } from '../../platform/platform.ts'
import { type BuildParts, IdBuild } from './id-build.ts'
import { IdClaims } from './id-claims.ts'
import type { GenerationRows, IdGeneration } from './id-generation.ts'
import type { LogTables, TopicEntry } from './log-tables.ts'
import { mergeableRun } from './merge-policy.ts'
import { sqliteLimits } from './sqlite-limits.ts'

const garbageChunksPerStep = 64

/** When ids go to disk. Tests make them small. */
export interface IdLimits {
  /** Ids in memory before they are sealed: of one topic, and of all together. */
  readonly hotIdsMax: number
  readonly hotIdsTotalMax: number
  /** Time a slice may take. */
  readonly sealSliceMs: number
}

export interface IdKeeperParts {
  readonly tables: LogTables
  readonly rows: GenerationRows
  readonly clock: Clock
  /** Name of this writer among all that may build generations. */
  readonly builder: string
  readonly limits: IdLimits
}

/**
 * Moves ids from memory to disk: seals full hot tables, merges generations, drops expired ones. All of it in slices
 * of a few milliseconds between the commits of events, in transactions of their own: a slice that fails takes
 * nobody's events with it. A slice needs no flush of its own; what the log says is enough to do it again.
 *
 * A merge of many ids lasts for many more events than a hot table holds. It is put aside while one is sealed, or the table would
 * grow until the merge is done.
 *
 * Of several processes on one file, one builds for a topic at a time (`IdClaims`).
 */
export class IdKeeper {
  readonly #tables: LogTables
  readonly #rows: GenerationRows
  readonly #clock: Clock
  readonly #limits: IdLimits
  readonly #claims: IdClaims
  readonly #garbage: StatementSync
  readonly #garbageDeleted: StatementSync
  readonly #garbageDone: StatementSync
  #build: IdBuild | undefined
  /** A merge that was put aside for a seal. */
  #aside: IdBuild | undefined
  #finished: IdBuild | undefined
  #dropped: { topic: TopicEntry; generations: readonly IdGeneration[] } | undefined
  #mayHaveGarbage = true
  /** Topics whose generations may be ready to merge, or that another process is building for until then. */
  readonly #lookAgainMs = new Map<number, number>()

  constructor(database: DatabaseSync, parts: IdKeeperParts) {
    const { tables, rows, clock, builder, limits } = parts
    this.#tables = tables
    this.#rows = rows
    this.#clock = clock
    this.#limits = limits
    this.#claims = new IdClaims(database, builder, tables.idFormat)
    this.#garbage = database.prepare('select generation, chunks, deleted from semel_id_garbage limit 1')
    this.#garbageDeleted = database.prepare('update semel_id_garbage set deleted = ? where generation = ?')
    this.#garbageDone = database.prepare('delete from semel_id_garbage where generation = ?')
  }

  /** Asked after every commit, so it must cost nothing. */
  get hasWork(): boolean {
    if (this.#build !== undefined || this.#aside !== undefined) return true
    return this.#mayHaveGarbage || this.#due() !== undefined
  }

  /** Does some work inside a transaction that was just begun. `nowMs` is the append clock. */
  slice(nowMs: number): void {
    const until = this.#clock.monotonic() + this.#limits.sealSliceMs
    const isLate = (): boolean => this.#clock.monotonic() >= until
    if (this.#build?.plan.parts.kind === 'merge' && this.#due()?.seal === true) this.#putAside()
    if (this.#build !== undefined) this.#continue(this.#build, nowMs, isLate)
    else if (this.#aside !== undefined && this.#due()?.seal !== true) this.#resume(this.#aside, nowMs)
    else if (this.#mayHaveGarbage && this.#aside === undefined) this.#collectGarbage(isLate)
    else this.#start(nowMs)
  }

  /** The slice's transaction is committed. */
  committed(): void {
    if (this.#dropped !== undefined) {
      const { topic, generations } = this.#dropped
      topic.dedup?.setGenerations(generations)
      this.#dropped = undefined
    }
    if (this.#finished !== undefined) this.#publish(this.#finished)
    this.#finished = undefined
  }

  /** The slice's transaction was rolled back: rows it wrote are missing, so the build must begin anew. */
  rolledBack(): void {
    this.#giveUpMerge()
    this.#build = undefined
    this.#aside = undefined
    this.#finished = undefined
    this.#dropped = undefined
    this.#mayHaveGarbage = true
  }

  /** What a merge reads may be damaged: it waits for the topic's next seal, which must go on. */
  #giveUpMerge(): void {
    const plan = this.#build?.plan
    if (plan?.parts.kind !== 'merge') return
    for (const topic of this.#tables.topics) if (topic.id === plan.topicId) topic.mayMerge = false
  }

  /** The topic that needs something next, and whether that is a seal; else it may have generations to merge. Seals come first. */
  #due(): { topic: TopicEntry; seal: boolean } | undefined {
    let total = 0
    let largest: TopicEntry | undefined
    let mergeable: TopicEntry | undefined
    for (const topic of this.#tables.topics) {
      const { dedup } = topic
      if (dedup === undefined) continue
      total += dedup.hotSize
      if ((this.#lookAgainMs.get(topic.id) ?? 0) > this.#clock.monotonic()) continue
      if (dedup.frozen !== undefined || dedup.hotSize >= this.#limits.hotIdsMax) return { topic, seal: true }
      if (topic.mayMerge) mergeable ??= topic
      if (dedup.hotSize > (largest?.dedup?.hotSize ?? 0)) largest = topic
    }
    if (largest !== undefined && total > this.#limits.hotIdsTotalMax) return { topic: largest, seal: true }
    return mergeable && { topic: mergeable, seal: false }
  }

  #start(nowMs: number): void {
    const due = this.#due()
    if (due === undefined || this.#dropExpired(due.topic, nowMs)) return
    const { topic, seal } = due
    if (seal) {
      this.#claim(topic, nowMs, undefined)
      return
    }
    const run = mergeableRun(topic.dedup!.generations, topic.dedupWindowMs, this.#limits.hotIdsMax)
    if (run === undefined) topic.mayMerge = false
    else this.#claim(topic, nowMs, run)
  }

  #claim(topic: TopicEntry, nowMs: number, merge: readonly IdGeneration[] | undefined): void {
    const dedup = topic.dedup!
    if (!this.#claims.isFree(topic.id, nowMs)) {
      this.#lookAgainMs.set(topic.id, this.#clock.monotonic() + sqliteLimits.sealClaimMs / 10)
      return
    }
    const generation = this.#claims.take(topic.id, nowMs)
    this.#mayHaveGarbage = true
    const parts: BuildParts =
      merge === undefined
        ? { kind: 'seal', frozen: dedup.frozen ?? dedup.freeze(endsOf(topic)) }
        : { kind: 'merge', generations: merge }
    this.#build = new IdBuild({ index: dedup, topicId: topic.id, generation, parts }, this.#rows)
    this.#claims.setChunks(topic.id, this.#build.row.chunks)
  }

  #continue(build: IdBuild, nowMs: number, isLate: () => boolean): void {
    const { topicId, generation } = build.plan
    const topic = [...this.#tables.topics].find(({ id }) => id === topicId)
    const isOurs = topic?.dedup === build.plan.index && this.#claims.renew(topicId, generation, nowMs)
    if (!isOurs || topic === undefined) {
      this.#build = undefined
      return
    }
    if (!build.step(isLate)) return
    this.#claims.finish(build.row, topicId)
    const { parts } = build.plan
    if (parts.kind === 'seal') this.#claims.mark(parts.frozen.ends)
    else for (const { row } of parts.generations) this.#claims.discard(row)
    this.#finished = build
  }

  #putAside(): void {
    this.#aside = this.#build
    this.#build = undefined
  }

  /** Goes on with a merge, if what it is made of and what it wrote is still there. */
  #resume(build: IdBuild, nowMs: number): void {
    const { parts, index, topicId } = build.plan
    this.#aside = undefined
    const isThere =
      parts.kind === 'merge' && parts.generations.every((part) => index.generations.includes(part))
    if (isThere && this.#claims.takeBack(build.row, topicId, nowMs)) this.#build = build
    else this.#mayHaveGarbage = true
  }

  #publish(build: IdBuild): void {
    const { index, parts, topicId } = build.plan
    const replaced = new Set(parts.kind === 'merge' ? parts.generations : [])
    const kept = index.generations.filter((generation) => !replaced.has(generation))
    index.setGenerations([...kept, build.finished()].sort((a, b) => a.row.rank - b.row.rank))
    if (parts.kind === 'seal') index.thaw()
    for (const topic of this.#tables.topics) {
      if (topic.id !== topicId) continue
      topic.mayMerge = true
      if (parts.kind === 'seal')
        for (const head of topic.partitions) head.sealedTo = parts.frozen.ends.get(head.id) ?? 0
    }
    this.#mayHaveGarbage = replaced.size > 0
    this.#build = undefined
  }

  /** Generations whose newest id is out of the window go whole (N3). */
  #dropExpired(topic: TopicEntry, nowMs: number): boolean {
    const before = nowMs - topic.dedupWindowMs
    const { generations } = topic.dedup!
    const expired = generations.filter(({ row }) => row.newestMs <= before)
    if (expired.length === 0) return false
    for (const { row } of expired) this.#claims.discard(row)
    this.#dropped = { topic, generations: generations.filter((generation) => !expired.includes(generation)) }
    this.#mayHaveGarbage = true
    return true
  }

  #collectGarbage(isLate: () => boolean): void {
    do {
      const row = this.#garbage.get()
      if (row === undefined) {
        this.#mayHaveGarbage = false
        return
      }
      const [generation, chunks, deleted] = [Number(row.generation), Number(row.chunks), Number(row.deleted)]
      const to = deleted + garbageChunksPerStep
      if (this.#rows.deleteSome(generation, deleted, to, chunks)) this.#garbageDone.run(generation)
      else this.#garbageDeleted.run(to, generation)
    } while (!isLate())
  }
}

function endsOf(topic: TopicEntry): Map<number, number> {
  return new Map(topic.partitions.map((head) => [head.id, head.nextOffset]))
}

import type { StateChanges, Unit } from '../engine/engine.ts'
import { storeNames } from '../engine/store-names.ts'
import { limits } from '../limits.ts'
import type { Timer } from '../platform/platform.ts'
import { channels } from './channels.ts'
import { EmittedBatch } from './emitted-batch.ts'
import type { Emitted } from './event-transaction.ts'
import type { Inbox } from './inbox.ts'
import { noteReached } from './reached.ts'
import { encodeMark, isApart, type SourceMark } from './source-mark.ts'
import type { SqlSession } from './sql-session.ts'
import type { StateCache } from './state-cache.ts'
import type { TaskContext } from './task-context.ts'
import { emittedObjectsBytes } from './task-memory.ts'
import type { Window } from './window.ts'

/** A unit of this many events is committed as soon as the one before it is. */
const unitEventsTarget = 8_000

/** What the committer needs to know of handlers under way. */
export interface Workload {
  /** Handlers running or about to run without outside help. */
  readonly busy: boolean
  /** Somebody waits for what is staged: no company is waited for. */
  readonly isUrgent?: boolean
}

/**
 * Collects what finished events want to be true and commits it, one unit after the other.
 *
 * While one unit commits, the next one fills. A unit is sealed when the one before is committed and either
 * nothing else is about to finish, or it is old or large enough. Where commits may take only a share of the time, the
 * longer they take, the longer the next unit gathers. A failed commit ends the session: what was handled after it stood
 * on it, so both are discarded (design.md section 5).
 */
export class Committer {
  readonly #context: TaskContext
  readonly #window: Window
  readonly #state: StateCache
  readonly #sql: SqlSession
  readonly #inbox: Inbox | undefined
  readonly #onCommitted: () => void
  readonly #onFailed: (error: unknown) => void
  /** By topic, then by partition. */
  #emits = new Map<string, (EmittedBatch | undefined)[]>()
  #emitted = 0
  #ownState = new Map<string, Map<string, string | undefined>>()
  #events = 0
  #bytes = 0
  #openedMs = 0
  #ageTimer: Timer | undefined
  #pokeAtMs = 0
  #committing = false
  /** When the last commit ended, and for how long the next one waits for company. */
  #committedMs = 0
  #restMs = 0
  #stopped = false
  #from: number | undefined
  /** At-most-once: the position that was committed ahead of the handlers. */
  #claimed: { readonly position: number; readonly passed: SourceMark | undefined } | undefined
  #finishedStored: string

  constructor(
    context: TaskContext,
    parts: { window: Window; state: StateCache; sql: SqlSession; inbox: Inbox | undefined },
    start: { from: number | undefined; finishedStored: string },
    on: { committed: () => void; failed: (error: unknown) => void },
  ) {
    this.#context = context
    this.#window = parts.window
    this.#state = parts.state
    this.#sql = parts.sql
    this.#inbox = parts.inbox
    this.#from = start.from
    this.#finishedStored = start.finishedStored
    this.#onCommitted = on.committed
    this.#onFailed = on.failed
  }

  /** Whether the open unit may take another event. */
  get hasRoom(): boolean {
    return this.#events < limits.unitEventsMax && this.#bytes < this.#context.memory.unitBytes
  }

  /** Whether a unit is on its way to the engine. */
  get isCommitting(): boolean {
    return this.#committing
  }

  get idle(): boolean {
    return !this.#committing && !this.#hasWork
  }

  get #hasWork(): boolean {
    return this.#ownState.size > 0 || this.#position !== this.#from || (this.#events > 0 && this.#leavesMore)
  }

  /** Whether finished events leave more behind than a position: that of at-most-once is committed before they begin. */
  get #leavesMore(): boolean {
    if (this.#claimed === undefined || this.#inbox !== undefined) return true
    return this.#emits.size > 0 || this.#state.isChanged || this.#sql.isOpen
  }

  get #position(): number {
    return this.#claimed?.position ?? this.#window.position
  }

  /** Position of the last committed unit. */
  get committed(): number | undefined {
    return this.#from
  }

  /** At-most-once (A1): moves the position past events that no handler has seen yet. Committed when `committed` says so. */
  claim(position: number, passed: SourceMark | undefined, workload: Workload): void {
    this.#claimed = { position, passed }
    this.poke(workload)
  }

  /** An event finished: its emits join the open unit. Its state is in the cache already. */
  add(emits: readonly Emitted[]): void {
    this.#touch()
    this.#events++
    for (const emitted of emits) this.#addEmit(emitted)
  }

  /** A change in one of Semel's own stores joins the open unit. */
  setOwnState(store: string, key: string, value: string | undefined): void {
    this.#touch()
    let changes = this.#ownState.get(store)
    if (changes === undefined) {
      changes = new Map()
      this.#ownState.set(store, changes)
    }
    changes.set(key, value)
    this.#bytes += value?.length ?? 0
  }

  /** Commits if it is time to. Called whenever something finished. */
  poke(workload: Workload): void {
    if (this.#committing || this.#stopped || this.#sql.busy || !this.#hasWork) return
    const waitMs = this.#waitMs(workload)
    if (waitMs <= 0) void this.#commit(workload)
    else this.#pokeAfter(waitMs, workload)
  }

  #pokeAfter(waitMs: number, workload: Workload): void {
    const { clock, timers } = this.#context.platform
    const atMs = clock.monotonic() + waitMs
    if (this.#ageTimer !== undefined && this.#pokeAtMs <= atMs) return
    this.#ageTimer?.cancel()
    this.#pokeAtMs = atMs
    this.#ageTimer = timers.after(waitMs, () => {
      this.#ageTimer = undefined
      this.poke(workload)
    })
  }

  /** Nothing is committed any more. */
  stop(): void {
    this.#stopped = true
    this.#ageTimer?.cancel()
  }

  #touch(): void {
    if (this.#events === 0 && this.#ownState.size === 0)
      this.#openedMs = this.#context.platform.clock.monotonic()
  }

  /**
   * For how long the open unit still waits for company: until it is old, and where commits may take only a share of the
   * time, until they do. If nothing more is about to finish, not at all, or there for no longer than a unit's age.
   */
  #waitMs({ busy, isUrgent }: Workload): number {
    if (isUrgent === true || this.#isFull || this.#sql.isOld) return 0
    const { platform, settings } = this.#context
    const { unitAgeMs } = settings
    const nowMs = platform.clock.monotonic()
    if (!busy) return this.#isAwaited ? 0 : this.#committedMs + Math.min(unitAgeMs, this.#restMs) - nowMs
    const ripeMs = Math.max(unitAgeMs, this.#restMs)
    return this.#events > 0 && nowMs - this.#openedMs >= ripeMs ? 0 : ripeMs
  }

  get #isFull(): boolean {
    return this.#events >= unitEventsTarget || this.#bytes >= this.#context.memory.unitBytes
  }

  /** What was read at most once waits for its claim. */
  get #isAwaited(): boolean {
    return this.#claimed !== undefined && this.#claimed.position !== this.#from
  }

  #addEmit(emitted: Emitted): void {
    const { topic, partition } = emitted
    let ofTopic = this.#emits.get(topic)
    if (ofTopic === undefined) {
      ofTopic = []
      this.#emits.set(topic, ofTopic)
    }
    let batch = ofTopic[partition]
    if (batch === undefined) {
      batch = new EmittedBatch(topic, partition, this.#context.sink.facts.emittedRows)
      ofTopic[partition] = batch
    }
    batch.add(emitted)
    this.#emitted++
    this.#bytes += emitted.bytes + emittedObjectsBytes
  }

  async #commit(workload: Workload): Promise<void> {
    this.#committing = true
    const { platform, counters } = this.#context
    const events = this.#events
    const emitted = this.#emitted
    const unit = this.#seal()
    const startedMs = platform.clock.monotonic()
    try {
      await this.#write(unit)
    } catch (error) {
      this.#stopped = true
      this.#onFailed(error)
      return
    } finally {
      this.#committing = false
    }
    this.#committedMs = platform.clock.monotonic()
    const tookMs = this.#committedMs - startedMs
    this.#restMs = restAfter(tookMs, this.#context.sink.facts.commitShareMax)
    counters.committed(tookMs)
    counters.emitted += emitted
    if (channels.commit.hasSubscribers) {
      channels.commit.publish({
        ...this.#context.lease.task,
        epoch: unit.lease.epoch,
        position: unit.to,
        events,
        tookMs,
      })
    }
    this.#from = unit.to
    noteReached(this.#context, unit.to)
    this.#state.trim()
    this.#inbox?.trim()
    this.#sql.thaw()
    this.#onCommitted()
    this.poke(workload)
  }

  async #write(unit: Unit): Promise<void> {
    this.#sql.freeze()
    const transaction = this.#sql.takeTransaction()
    if (transaction === undefined) await this.#context.sink.commit(unit)
    else await transaction.commit(unit)
  }

  /** Ends the open unit. What finishes from here on belongs to the next. */
  #seal(): Unit {
    this.#ageTimer?.cancel()
    this.#ageTimer = undefined
    this.#noteFinishedAbove()
    this.#notePassed()
    const unit: Unit = {
      lease: this.#context.lease,
      from: this.#from,
      to: this.#position,
      logId: this.#context.source.logId,
      appends: [...this.#emits.values()].flat().filter((batch) => batch !== undefined),
      state: [...this.#state.seal(), ...(this.#inbox?.seal() ?? []), ...ownChanges(this.#ownState)],
    }
    this.#emits = new Map()
    this.#emitted = 0
    this.#ownState = new Map()
    this.#events = 0
    this.#bytes = 0
    return unit
  }

  /** What the position has passed, for a source that may go back without this sink (D6). */
  #notePassed(): void {
    if (this.#position === this.#from || !isApart(this.#context)) return
    const passed = this.#claimed === undefined ? this.#window.passed : this.#claimed.passed
    if (passed !== undefined) this.setOwnState(storeNames.sourceMark, '', encodeMark(passed))
  }

  /** Work finished above the position is remembered, so that a restart does not repeat it. */
  #noteFinishedAbove(): void {
    if (this.#context.settings.guarantee === 'at-most-once') return
    const ranges = this.#window.finishedAbove()
    const text = ranges.length === 0 ? '' : JSON.stringify(ranges)
    if (text === this.#finishedStored) return
    this.setOwnState(storeNames.finished, '', text === '' ? undefined : text)
    this.#finishedStored = text
  }
}

function restAfter(tookMs: number, shareMax: number): number {
  return Math.min(limits.unitRestMsMax, tookMs / shareMax - tookMs)
}

function ownChanges(ownState: ReadonlyMap<string, ReadonlyMap<string, string | undefined>>): StateChanges[] {
  return [...ownState].map(([store, changes]) => ({
    store,
    keys: [...changes.keys()],
    values: [...changes.values()],
  }))
}

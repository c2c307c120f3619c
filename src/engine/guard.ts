import { assert, SemelError } from '../errors.ts'
import type {
  AppendGroup,
  AppendListener,
  AppendOptions,
  AppendResult,
  Engine,
  EngineContext,
  JoinRequest,
  Lease,
  Membership,
  OwnershipListener,
  PartitionBounds,
  ReadRequest,
  ReadResult,
  ScanRequest,
  SealRequest,
  StateEntry,
  TaskId,
  TaskPosition,
  TopicSpec,
  Unit,
  UnitTransaction,
} from './engine.ts'
import type { EngineFacts } from './facts.ts'
import {
  checkGroup,
  checkJoin,
  checkOffset,
  checkRead,
  checkScan,
  checkSeal,
  checkTime,
  checkTopics,
  checkUnit,
} from './guard-checks.ts'
import { GuardedMembership, GuardedTransaction } from './guard-handles.ts'
import { OpenState } from './guard-state.ts'
import type { EngineStatus } from './status.ts'

/**
 * Wraps an engine in what all engines would otherwise repeat, so that an engine may assume sane input and an open
 * state: opened once; closed once, after everything under way has ended; arguments checked; foreign errors given an
 * honest outcome (U1). Nothing here is done per event.
 */
export function guardEngine(engine: Engine): Engine {
  return engine instanceof GuardedEngine ? engine : new GuardedEngine(engine)
}

class GuardedEngine implements Engine {
  readonly #engine: Engine
  readonly #state: OpenState
  readonly #joined = new Map<string, Membership | undefined>()
  readonly #transactions = new Set<UnitTransaction>()
  readonly #stopListening = new Set<() => void>()
  #logId: string | undefined

  constructor(engine: Engine) {
    this.#engine = engine
    this.#state = new OpenState(engine.facts.name)
  }

  get facts(): EngineFacts {
    return this.#engine.facts
  }

  /** May be tried again if it failed. */
  async open(context: EngineContext): Promise<void> {
    this.#checkDurability(context.durability)
    await this.#state.open(() => this.#engine.open(context))
    this.#logId = this.#engine.logId
    assert(this.#logId !== '', 'an open log has an identity')
  }

  /** Ends memberships and transactions that are still there, waits for what is under way, and closes. */
  close(): Promise<void> {
    return this.#state.close(
      async () => {
        for (const stop of this.#stopListening) stop()
        await Promise.allSettled([...this.#transactions].map((transaction) => transaction.rollback()))
        await Promise.all([...this.#joined.values()].map((membership) => membership?.leave()))
      },
      () => this.#engine.close(),
    )
  }

  /** Can still be read after `close`. */
  get logId(): string {
    if (this.#logId === undefined) throw this.#state.notOpen('logId')
    return this.#logId
  }

  declareTopics(topics: readonly TopicSpec[]): Promise<void> {
    return this.#state.write('declareTopics', () => {
      checkTopics(topics)
      return this.#engine.declareTopics(topics)
    })
  }

  append(group: AppendGroup, options: AppendOptions): Promise<AppendResult> {
    return this.#state.write('append', async () => {
      this.#checkDurability(options.durability)
      checkGroup(group)
      const result = await this.#engine.append(group, options)
      checkAppended(group, result)
      return result
    })
  }

  read(request: ReadRequest): Promise<ReadResult> {
    return this.#state.read('read', async () => {
      checkRead(request)
      const result = await this.#engine.read(request)
      checkReadResult(request, result)
      return result
    })
  }

  bounds(topic: string): Promise<readonly PartitionBounds[]> {
    return this.#state.read('bounds', () => this.#engine.bounds(topic))
  }

  offsetAt(topic: string, partition: number, time: number): Promise<number> {
    return this.#state.read('offsetAt', () => {
      checkOffset('partition', partition)
      checkTime(time)
      return this.#engine.offsetAt(topic, partition, time)
    })
  }

  onAppend(listener: AppendListener): () => void {
    this.#state.requireOpen('onAppend')
    const stopEngine = this.#engine.onAppend(listener)
    const stop = (): void => {
      if (this.#stopListening.delete(stop)) stopEngine()
    }
    this.#stopListening.add(stop)
    return stop
  }

  /** A task has one owner in a process: a group is joined once for each topic. */
  join(request: JoinRequest, listener: OwnershipListener): Promise<Membership> {
    return this.#state.write('join', async () => {
      checkJoin(request)
      const names = request.topics.map(({ topic }) => `${request.group}\u0000${topic}`)
      if (names.some((name) => this.#joined.has(name))) {
        throw new SemelError('INVALID_GROUP', `this process is already a member of group ${request.group}`)
      }
      for (const name of names) this.#joined.set(name, undefined)
      const forget = (): void => {
        for (const name of names) this.#joined.delete(name)
      }
      try {
        const membership = new GuardedMembership(await this.#engine.join(request, listener), forget)
        for (const name of names) this.#joined.set(name, membership)
        return membership
      } catch (cause) {
        forget()
        throw cause
      }
    })
  }

  load(lease: Lease): Promise<TaskPosition> {
    return this.#state.read('load', () => this.#engine.load(lease))
  }

  readState(task: TaskId, store: string, keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    return this.#state.read('readState', async () => {
      const values = await this.#engine.readState(task, store, keys)
      assert(values.length === keys.length, 'readState answers every key')
      return values
    })
  }

  stores(task: TaskId): Promise<readonly string[]> {
    return this.#state.read('stores', () => this.#engine.stores(task))
  }

  scanState(request: ScanRequest): Promise<readonly StateEntry[]> {
    return this.#state.read('scanState', async () => {
      checkScan(request)
      const entries = await this.#engine.scanState(request)
      assert(entries.length <= request.limit, 'scanState keeps to the limit')
      return entries
    })
  }

  commit(unit: Unit): Promise<void> {
    return this.#state.write('commit', () => {
      checkUnit(unit, this.facts)
      return this.#engine.commit(unit)
    })
  }

  begin(lease: Lease, signal: AbortSignal): Promise<UnitTransaction> {
    return this.#state.write(
      'begin',
      async () => {
        if (this.facts.sql === undefined) {
          throw new SemelError(
            'UNSUPPORTED',
            `the ${this.facts.name} engine has no transactions for user SQL`,
          )
        }
        signal.throwIfAborted()
        const transaction = new GuardedTransaction(
          await this.#engine.begin(lease, signal),
          this.facts,
          this.#state,
          () => {
            this.#transactions.delete(transaction)
          },
        )
        this.#transactions.add(transaction)
        return transaction
      },
      signal,
    )
  }

  seal(request: SealRequest): Promise<void> {
    return this.#state.write('seal', async () => {
      if (!this.facts.seals) {
        throw new SemelError('UNSUPPORTED', `no topic can be moved away from the ${this.facts.name} engine`)
      }
      checkSeal(request)
      await this.#engine.seal(request)
    })
  }

  status(): Promise<EngineStatus> {
    return this.#state.read('status', () => this.#engine.status())
  }

  #checkDurability(asked: AppendOptions['durability']): void {
    const { name, durability } = this.facts
    if (durability.includes(asked)) return
    throw new SemelError('DURABILITY_UNAVAILABLE', `the ${name} engine has no durability ${asked}`, {
      field: 'durability',
      hint: `it offers ${durability.join(', ')}`,
    })
  }
}

function checkAppended({ batches, calls }: AppendGroup, result: AppendResult): void {
  assert(result.batches.length === batches.length, 'every batch has its answer')
  assert(result.failures.size <= calls, 'no more failures than calls')
  for (const [index, { offsets }] of result.batches.entries()) {
    const count = batches[index]!.records.length
    assert(
      offsets === undefined || offsets.length === count,
      'every record of an uneven batch has its offset',
    )
  }
}

function checkReadResult(request: ReadRequest, { events, bytes, next, end }: ReadResult): void {
  const { offset, maxEvents, maxBytes } = request
  assert(events.length <= maxEvents, 'a read keeps to its limit')
  assert(events.length <= 1 || bytes <= maxBytes, 'a read of several events keeps to its bytes')
  assert(next >= offset && next <= end, 'a read goes forward and ends in the log')
  if (events.length === 0) return
  assert(events[0]!.offset >= offset && events.at(-1)!.offset < next, 'a read answers what it was asked for')
}

import type {
  AppendBatch,
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
} from '../../engine/engine.ts'
import type { EngineFacts } from '../../engine/facts.ts'
import { LeaseBalancer } from '../../engine/lease-balancer.ts'
import type { GroupView, LeaseTable } from '../../engine/lease-table.ts'
import type { EngineStatus } from '../../engine/status.ts'
import { FailedCalls } from '../../engines/memory/failed-calls.ts'
import { SemelError } from '../../errors.ts'
import { decodeBatch, encodeBatch } from '../../event/batch-codec.ts'
import type { FaultBoard } from './fault-board.ts'
import { Lane, type Line } from './line.ts'
import type { SimulatedPlatform } from './simulated-platform.ts'

const wakeupDelayMsMax = 300

export interface FaultyEngineOptions {
  /** What serves the calls: an engine on the storage's own platform. */
  readonly storage: Engine
  readonly leases: LeaseTable
  readonly platform: SimulatedPlatform
  readonly line: Line
  readonly board: FaultBoard
  readonly onJoin?: ((request: JoinRequest) => void) | undefined
}

/**
 * The engine of one simulated process: a client of a storage on the other end of a `Line`.
 *
 * It keeps the port's promises under every fault: appends of one instance stay in order, and nothing that was sent
 * behind a failed call overtakes it (P2).
 */
export class FaultyEngine implements Engine {
  readonly facts: EngineFacts
  readonly #storage: Engine
  readonly #leases: LeaseTable
  readonly #platform: SimulatedPlatform
  readonly #line: Line
  readonly #board: FaultBoard
  readonly #appends = new Lane()
  readonly #failed = new FailedCalls()
  readonly #onJoin: ((request: JoinRequest) => void) | undefined
  #member = ''

  constructor({ storage, leases, platform, line, board, onJoin }: FaultyEngineOptions) {
    this.facts = storage.facts
    this.#storage = storage
    this.#leases = leases
    this.#platform = platform
    this.#line = line
    this.#board = board
    this.#onJoin = onJoin
  }

  async open({ member }: EngineContext): Promise<void> {
    this.#member = member
  }

  async close(): Promise<void> {
    // The storage outlives its clients.
  }

  get logId(): string {
    return this.#storage.logId
  }

  declareTopics(topics: readonly TopicSpec[]): Promise<void> {
    return this.#write('declareTopics', () => this.#storage.declareTopics(topics))
  }

  append(given: AppendGroup, options: AppendOptions): Promise<AppendResult> {
    const group = { ...given, batches: given.batches.map(onTheWire) }
    return this.#line.send({
      operation: 'append',
      writes: true,
      lane: this.#appends,
      serve: () => this.#append(group, options),
      unserved: () => this.#failed.note(group, allFailed(group)),
      late: () => this.#appendAnyway(group, options),
    })
  }

  async #append(group: AppendGroup, options: AppendOptions): Promise<AppendResult> {
    const behind = group.batches.some(({ topic, partition }) => {
      return this.#failed.blocks(topic, partition, group.failuresSeen)
    })
    if (behind) {
      this.#failed.note(group, allFailed(group))
      throw new SemelError('PREDECESSOR_FAILED', 'an earlier publish to this partition failed', {
        retryable: true,
      })
    }
    const result = await this.#appendAnyway(group, options)
    this.#failed.note(group, result)
    return result
  }

  /** What goes behind whom is decided on this side; the storage sees no failures of the line. */
  #appendAnyway(group: AppendGroup, options: AppendOptions): Promise<AppendResult> {
    return this.#storage.append({ ...group, failuresSeen: Number.MAX_SAFE_INTEGER }, options)
  }

  read(request: ReadRequest): Promise<ReadResult> {
    return this.#read('read', () => this.#storage.read(request))
  }

  bounds(topic: string): Promise<readonly PartitionBounds[]> {
    return this.#read('bounds', () => this.#storage.bounds(topic))
  }

  offsetAt(topic: string, partition: number, time: number): Promise<number> {
    return this.#read('offsetAt', () => this.#storage.offsetAt(topic, partition, time))
  }

  /** Hints may come late, twice or not at all: nobody may depend on one. */
  onAppend(listener: AppendListener): () => void {
    let listening = true
    const stop = this.#storage.onAppend((places) => {
      const hint = (): void => {
        if (listening) listener(places)
      }
      if (!this.#board.strikes('wakeups', 0.5)) this.#platform.timers.soon(hint)
      else for (const ms of this.#hintDelays()) this.#platform.timers.after(ms, hint)
    })
    return () => {
      listening = false
      stop()
    }
  }

  #hintDelays(): number[] {
    const { random } = this.#platform
    return Array.from({ length: random.uint32() % 3 }, () => random.fraction() * wakeupDelayMsMax)
  }

  async join(request: JoinRequest, listener: OwnershipListener): Promise<Membership> {
    this.#onJoin?.(request)
    const table = new DistantLeases(this.#leases, this.#line, this.#board)
    return await LeaseBalancer.join({
      table,
      platform: this.#platform,
      member: this.#member,
      request,
      listener,
    })
  }

  load(lease: Lease): Promise<TaskPosition> {
    return this.#read('load', () => this.#storage.load(lease))
  }

  readState(task: TaskId, store: string, keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    return this.#read('readState', () => this.#storage.readState(task, store, keys))
  }

  stores(task: TaskId): Promise<readonly string[]> {
    return this.#read('stores', () => this.#storage.stores(task))
  }

  scanState(request: ScanRequest): Promise<readonly StateEntry[]> {
    return this.#read('scanState', () => this.#storage.scanState(request))
  }

  commit(given: Unit): Promise<void> {
    const unit = { ...given, appends: given.appends.map(onTheWire) }
    return this.#write('commit', () => this.#storage.commit(unit))
  }

  begin(lease: Lease, signal: AbortSignal): Promise<UnitTransaction> {
    return this.#storage.begin(lease, signal)
  }

  seal(request: SealRequest): Promise<void> {
    return this.#write('seal', () => this.#storage.seal(request))
  }

  status(): Promise<EngineStatus> {
    return this.#read('status', () => this.#storage.status())
  }

  #read<T>(operation: string, serve: () => Promise<T>): Promise<T> {
    return this.#line.send({ operation, writes: false, serve })
  }

  #write<T>(operation: string, serve: () => Promise<T>): Promise<T> {
    return this.#line.send({ operation, writes: true, serve })
  }
}

/** The storage's lease table at the other end of the line. */
class DistantLeases implements LeaseTable {
  readonly #table: LeaseTable
  readonly #line: Line
  readonly #board: FaultBoard

  constructor(table: LeaseTable, line: Line, board: FaultBoard) {
    this.#table = table
    this.#line = line
    this.#board = board
  }

  heartbeat(...call: Parameters<LeaseTable['heartbeat']>): Promise<GroupView> {
    return this.#send('heartbeat', async () => {
      if (!this.#board.strikes('lost-lease', 1)) return await this.#table.heartbeat(...call)
      throw new SemelError('ENGINE_UNAVAILABLE', 'a simulated fault: the heartbeat got lost', {
        outcome: 'unknown',
        retryable: true,
      })
    })
  }

  acquire(...call: Parameters<LeaseTable['acquire']>): Promise<number | undefined> {
    return this.#send('acquire', () => this.#table.acquire(...call))
  }

  release(...call: Parameters<LeaseTable['release']>): Promise<void> {
    return this.#send('release', () => this.#table.release(...call))
  }

  leave(...call: Parameters<LeaseTable['leave']>): Promise<void> {
    return this.#send('leave', () => this.#table.leave(...call))
  }

  #send<T>(operation: string, serve: () => Promise<T>): Promise<T> {
    return this.#line.send({ operation, writes: true, serve })
  }
}

/** A copy, as a line carries it: the caller may change its data as soon as the call returned. */
function onTheWire(batch: AppendBatch): AppendBatch {
  return { ...batch, records: batch.records.length === 0 ? [] : decodeBatch(encodeBatch(batch.records)) }
}

function allFailed({ calls }: AppendGroup): { failures: Map<number, Error> } {
  const failure = new SemelError('ENGINE_UNAVAILABLE', 'a simulated fault')
  return { failures: new Map(Array.from({ length: calls }, (_, call) => [call, failure])) }
}

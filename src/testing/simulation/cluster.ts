import type { Engine } from '../../engine/engine.ts'
import { MemoryLog, memory } from '../../engines/memory/index.ts'
import { parseHistoryLine } from '../history/parse-record.ts'
import type { HistoryEvent } from '../history/record.ts'
import { type HistoryClient, HistoryRecorder } from '../history/recorder.ts'
import { FaultBoard } from './fault-board.ts'
import { FaultyEngine } from './faulty-engine.ts'
import { Line, type LinePoint } from './line.ts'
import { recordedLeases, recordedStorage } from './recorded-storage.ts'
import { Scheduler } from './scheduler.ts'
import { SimulatedPlatform } from './simulated-platform.ts'

/**
 * What the processes of a simulation share: a memory log that stands for the disk, and an engine on it for each
 * process. Test doubles that break a promise replace it.
 */
export interface SimulatedStorage {
  readonly log: MemoryLog
  /** The engine that serves one process. It runs on the storage's own platform, which is never paused. */
  engine(): Engine
  /** The storage lost power: what is not durable by now is gone. */
  crash(): void
  /** Changes what a process sees of it, on the near side of the line. */
  client?(engine: Engine): Engine
}

/** The memory log as a storage that loses nothing. */
export function soundStorage(): SimulatedStorage {
  const log = new MemoryLog()
  return { log, engine: () => memory({ log }), crash: () => undefined }
}

export interface ClusterOptions {
  readonly seed: number
  readonly storage?: ((scheduler: Scheduler) => SimulatedStorage) | undefined
  readonly latenessMsMax?: number | undefined
  readonly onPoint?: ((point: LinePoint) => void) | undefined
  /** Groups whose dead letters leave their list before a redrive runs (A1). Default: none. */
  readonly isAtMostOnce?: ((group: string) => boolean) | undefined
}

/** One process of the cluster, from its start to its end. */
export interface SimulatedProcess {
  readonly name: string
  readonly role: string
  readonly platform: SimulatedPlatform
  readonly line: Line
  /** To be given to `openBus`, with the platform. */
  readonly engine: Engine
  readonly recorder: HistoryRecorder
}

const turnMsMax = 0.05
const latenessMsDefault = 3

/** Processes, the storage they share, the faults between them, and the history of it all. */
export class SimulatedCluster {
  readonly scheduler: Scheduler
  readonly board: FaultBoard
  readonly storage: SimulatedStorage
  readonly lines: string[] = []
  readonly #recorder: HistoryRecorder
  readonly #members = new Map<string, HistoryClient>()
  readonly #server: SimulatedPlatform
  readonly #latenessMsMax: number
  readonly #onPoint: ((point: LinePoint) => void) | undefined
  #leaseMs: number | undefined
  readonly #isAtMostOnce: (group: string) => boolean
  readonly #alive = new Set<SimulatedProcess>()
  readonly #started = new Map<string, number>()
  readonly #notes: HistoryClient

  constructor({ seed, storage = soundStorage, latenessMsMax, onPoint, isAtMostOnce }: ClusterOptions) {
    this.#isAtMostOnce = isAtMostOnce ?? (() => false)
    this.scheduler = new Scheduler(seed)
    this.board = new FaultBoard(this.scheduler.stream('faults'))
    this.storage = storage(this.scheduler)
    this.#latenessMsMax = latenessMsMax ?? latenessMsDefault
    this.#onPoint = onPoint
    this.#server = new SimulatedPlatform({
      name: 'storage',
      scheduler: this.scheduler,
      latenessMsMax: 0,
      turnMsMax: 0,
    })
    this.storage.log.attach(this.#server)
    this.#recorder = this.#recorderOf('storage')
    this.#notes = this.#recorder.client('notes')
  }

  /** Processes that have not ended, oldest first; paused ones, too. */
  get alive(): readonly SimulatedProcess[] {
    return [...this.#alive]
  }

  /** Where notes about the whole run go: faults, phases, deaths. */
  get notes(): HistoryClient {
    return this.#notes
  }

  get history(): HistoryEvent[] {
    return this.lines.map((line, i) => parseHistoryLine(line, i + 1))
  }

  /** How long the last member that joined wants its leases to be. */
  get leaseMs(): number | undefined {
    return this.#leaseMs
  }

  /** Starts the next process of a role. */
  async start(role: string): Promise<SimulatedProcess> {
    const { scheduler, board, storage } = this
    const number = (this.#started.get(role) ?? 0) + 1
    this.#started.set(role, number)
    const name = `${role}-${number}`
    const platform = new SimulatedPlatform({
      name,
      scheduler,
      latenessMsMax: this.#latenessMsMax,
      turnMsMax,
    })
    const line = new Line({ scheduler, platform, board, onPoint: this.#onPoint })
    const inner = storage.engine()
    await inner.open({ platform: this.#server, durability: inner.facts.durability[0]!, member: name })
    const units = this.#recorder.client(`units of ${name}`)
    const engine = new FaultyEngine({
      storage: recordedStorage(inner, storage.log, units, this.#isAtMostOnce),
      leases: recordedLeases(storage.log.leases, (member) => this.#clientOf(member)),
      platform,
      line,
      board,
      onJoin: ({ leaseMs }) => {
        this.#leaseMs = leaseMs
      },
    })
    const recorder = this.#recorderOf(name)
    const process = { name, role, platform, line, engine: storage.client?.(engine) ?? engine, recorder }
    this.#alive.add(process)
    return process
  }

  kill(process: SimulatedProcess): void {
    process.platform.kill()
    this.ended(process)
    this.#notes.note('died', { node: process.name })
  }

  /** The process stopped by itself. */
  ended(process: SimulatedProcess): void {
    this.#alive.delete(process)
  }

  crashStorage(downMs: number): void {
    this.storage.crash()
    for (const { line } of this.#alive) line.crash(downMs)
  }

  /** The storage's own wall clock, which dates events and ends dedup windows. */
  jumpStorageClock(byMs: number): void {
    this.#server.jumpClock(byMs)
  }

  #clientOf(member: string): HistoryClient {
    let client = this.#members.get(member)
    if (client === undefined) {
      client = this.#recorder.client(`grants to ${member}`)
      this.#members.set(member, client)
    }
    return client
  }

  #recorderOf(node: string): HistoryRecorder {
    const { lines, scheduler } = this
    const clock = { monotonic: () => scheduler.nowMs }
    return new HistoryRecorder({ node, clock, file: { append: (line) => void lines.push(line) } })
  }
}

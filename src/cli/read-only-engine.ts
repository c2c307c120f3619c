import type {
  Engine,
  PartitionBounds,
  ReadRequest,
  ReadResult,
  ScanRequest,
  StateEntry,
} from '../engine/engine.ts'
import type { EngineFacts } from '../engine/facts.ts'
import type { EngineStatus } from '../engine/status.ts'
import { SemelError } from '../errors.ts'

/** The reading half of an engine, open from its making. Looking at a log must not change it. */
export abstract class ReadOnlyEngine implements Engine {
  abstract readonly facts: EngineFacts
  abstract readonly logId: string
  /** What it is called in messages. */
  abstract readonly name: string

  abstract close(): Promise<void>
  abstract read(request: ReadRequest): Promise<ReadResult>
  abstract bounds(topic: string): Promise<readonly PartitionBounds[]>
  abstract offsetAt(topic: string, partition: number, time: number): Promise<number>
  abstract onAppend(listener: () => void): () => void
  abstract scanState(request: ScanRequest): Promise<readonly StateEntry[]>
  abstract status(): Promise<EngineStatus>

  async open(): Promise<void> {}

  declareTopics = (): Promise<never> => this.#refuse()
  append = (): Promise<never> => this.#refuse()
  join = (): Promise<never> => this.#refuse()
  load = (): Promise<never> => this.#refuse()
  readState = (): Promise<never> => this.#refuse()
  commit = (): Promise<never> => this.#refuse()
  begin = (): Promise<never> => this.#refuse()
  stores = (): Promise<never> => this.#refuse()
  seal = (): Promise<never> => this.#refuse()

  async #refuse(): Promise<never> {
    throw new SemelError('UNSUPPORTED', `${this.name} is open for reading only`)
  }
}

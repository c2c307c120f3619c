import { Worker } from 'node:worker_threads'
import { SemelError } from '../../errors.ts'
import type { Clock } from '../../platform/platform.ts'
import { fromWire } from './sqlite-errors.ts'
import type {
  FromWriter,
  SessionRequest,
  ToWriter,
  WriteReply,
  WriteRequest,
  WriterOptions,
  WriterReady,
} from './writer-protocol.ts'

const workerFile = new URL(
  import.meta.url.endsWith('.ts') ? './writer-worker.ts' : './writer-worker.js',
  import.meta.url,
)

interface Pending {
  readonly resolve: (reply: WriteReply) => void
  readonly reject: (error: Error) => void
}

/** The main thread's end of the writer thread: requests go out in order, each is answered once. */
export class WriterClient {
  readonly #worker: Worker
  readonly #file: string
  readonly #clock: Clock
  readonly #pending = new Map<number, Pending>()
  #nextId = 1
  #ended: SemelError | undefined
  readonly logId: string

  private constructor(worker: Worker, file: string, logId: string, clock: Clock) {
    this.#worker = worker
    this.#clock = clock
    this.#file = file
    this.logId = logId
    worker.on('message', (messages: readonly FromWriter[]) => {
      for (const message of messages) this.#settle(message)
    })
    worker.on('error', (cause) => this.#end(cause))
    worker.on('exit', () => this.#end(undefined))
  }

  /** Starts the thread and waits until the file is open. */
  static async start(options: WriterOptions, clock: Clock): Promise<WriterClient> {
    const worker = new Worker(workerFile, { workerData: options, name: 'semel-sqlite-writer' })
    const ready = await new Promise<WriterReady>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
    if (ready.error !== undefined) throw fromWire(ready.error)
    worker.removeAllListeners('error')
    // Only requests under way keep the process alive.
    worker.unref()
    return new WriterClient(worker, options.file, ready.logId!, clock)
  }

  request(request: WriteRequest): Promise<WriteReply> {
    return this.#send(request, undefined)
  }

  /** A request of the user transaction `session`. */
  sessionRequest(request: SessionRequest, session: number): Promise<WriteReply> {
    return this.#send(request, session)
  }

  /** A number for a new user transaction. */
  newSession(): number {
    return this.#nextId++
  }

  /** Lets the thread finish what it has, close the file and end. */
  async close(): Promise<void> {
    if (this.#ended !== undefined) return
    await this.#send({ op: 'close' }, undefined).catch(() => undefined)
    await this.#worker.terminate()
  }

  #send(request: ToWriter['request'], session: number | undefined): Promise<WriteReply> {
    const ended = this.#ended
    if (ended !== undefined) return Promise.reject(ended)
    const id = this.#nextId++
    const message: ToWriter = { id, now: this.#clock.now(), session, request }
    return new Promise((resolve, reject) => {
      if (this.#pending.size === 0) this.#worker.ref()
      this.#pending.set(id, { resolve, reject })
      this.#worker.postMessage(message)
    })
  }

  #settle({ id, reply, error }: FromWriter): void {
    const pending = this.#pending.get(id)
    if (pending === undefined) return
    this.#pending.delete(id)
    if (this.#pending.size === 0) this.#worker.unref()
    if (error === undefined) pending.resolve(reply)
    else pending.reject(fromWire(error))
  }

  #end(cause: unknown): void {
    if (this.#ended !== undefined) return
    this.#ended = new SemelError('ENGINE_FAILED', `the writer of ${this.#file} has ended`, {
      hint: 'open the bus again',
      cause,
    })
    const unknown = new SemelError('ENGINE_FAILED', `the writer of ${this.#file} ended before it answered`, {
      outcome: 'unknown',
      cause,
    })
    for (const { reject } of this.#pending.values()) reject(unknown)
    this.#pending.clear()
  }
}

import { Worker } from 'node:worker_threads'
import { FleetingMap } from '../../engine/fleeting-map.ts'
import { SemelError } from '../../errors.ts'
import type { Platform, Timer } from '../../platform/platform.ts'
import { fromWire } from './sqlite-errors.ts'
import { sqliteLimits } from './sqlite-limits.ts'
import { blockOf } from './utf8-block.ts'
import type {
  FromWriter,
  SessionRequest,
  ToWriter,
  WriteReply,
  WriteRequest,
  WriterAnswer,
  WriterOptions,
  WriterReady,
} from './writer-protocol.ts'

const workerFile = new URL(
  import.meta.url.endsWith('.ts') ? './writer-worker.ts' : './writer-worker.js',
  import.meta.url,
)
const latenessCheckMs = 1_000

interface Pending {
  readonly resolve: (reply: WriteReply) => void
  readonly reject: (error: Error) => void
  readonly dueMs: number
}

/** The main thread's end of the writer thread: requests go out in order, each is answered once. */
export class WriterClient {
  readonly #worker: Worker
  readonly #file: string
  readonly #platform: Platform
  readonly #pending = new FleetingMap<number, Pending>()
  #nextId = 1
  #ended: SemelError | undefined
  #lateness: Timer | undefined
  #arrived: WriterAnswer[] = []
  readonly logId: string
  /** Whether the file's format has marks beside ids. */
  readonly hasMarks: boolean

  private constructor(worker: Worker, file: string, ready: WriterReady, platform: Platform) {
    this.#worker = worker
    this.#file = file
    this.#platform = platform
    this.logId = ready.logId!
    this.hasMarks = ready.hasMarks!
    worker.on('message', (answers: FromWriter) => this.#take(answers))
    worker.on('error', (cause) => this.#end(cause))
    worker.on('exit', () => this.#end(undefined))
  }

  /** Starts the thread and waits until the file is open. */
  static async start(options: WriterOptions, platform: Platform): Promise<WriterClient> {
    const worker = new Worker(workerFile, {
      workerData: options,
      name: 'semel-sqlite-writer',
      resourceLimits: { maxYoungGenerationSizeMb: sqliteLimits.writerYoungMib },
    })
    const ready = await new Promise<WriterReady>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
    worker.removeAllListeners('error')
    if (ready.error !== undefined) {
      await worker.terminate()
      throw fromWire(ready.error)
    }
    // Only requests under way keep the process alive.
    worker.unref()
    return new WriterClient(worker, options.file, ready, platform)
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
    if (this.#ended === undefined) await this.#send({ op: 'close' }, undefined).catch(() => undefined)
    this.#lateness?.cancel()
    await this.#worker.terminate()
  }

  #send(request: ToWriter['request'], session: number | undefined): Promise<WriteReply> {
    const ended = this.#ended
    if (ended !== undefined) return Promise.reject(ended)
    const id = this.#nextId++
    const { clock } = this.#platform
    const message: ToWriter = { id, now: clock.now(), session, request }
    return new Promise((resolve, reject) => {
      if (this.#pending.size === 0) this.#worker.ref()
      this.#pending.set(id, { resolve, reject, dueMs: clock.monotonic() + sqliteLimits.requestMsMax })
      this.#watchLateness()
      this.#worker.postMessage(message, movedWith(request))
    })
  }

  /**
   * Node hands over messages as long as there are some. Whoever asks again at every answer would never let it come to
   * the timers and sockets, so answers are given in a turn of their own.
   */
  #take(answers: FromWriter): void {
    if (this.#arrived.length === 0) this.#platform.timers.soon(() => this.#settle())
    this.#arrived.push(...answers)
  }

  #settle(): void {
    const answers = this.#arrived
    this.#arrived = []
    for (const { id, reply, error } of answers) {
      const pending = this.#pending.get(id)
      if (pending === undefined) continue
      this.#pending.delete(id)
      if (error === undefined) pending.resolve(reply)
      else pending.reject(fromWire(error))
    }
    if (this.#pending.size === 0) this.#worker.unref()
  }

  /** No request hangs for ever (U3), whatever the disk does. The oldest is always the first to be late. */
  #watchLateness(): void {
    this.#lateness ??= this.#platform.timers.after(latenessCheckMs, () => {
      this.#lateness = undefined
      const now = this.#platform.clock.monotonic()
      for (const [id, { dueMs, reject }] of this.#pending.entries()) {
        if (dueMs > now) break
        this.#pending.delete(id)
        reject(late())
      }
      if (this.#pending.size > 0) this.#watchLateness()
    })
  }

  #end(cause: unknown): void {
    if (this.#ended !== undefined) return
    this.#settle()
    this.#ended = new SemelError('ENGINE_FAILED', `the writer of ${this.#file} has ended`, {
      hint: 'open the bus again',
      cause,
    })
    const unknown = new SemelError('ENGINE_FAILED', `the writer of ${this.#file} ended before it answered`, {
      outcome: 'unknown',
      cause,
    })
    for (const [, { reject }] of this.#pending.entries()) reject(unknown)
    this.#pending.clear()
  }
}

/** What the writer has from now on, and this thread no more. */
function movedWith(request: ToWriter['request']): ArrayBuffer[] {
  const carrier = request.op === 'finish' ? request.unit : request
  const block = 'batches' in carrier ? blockOf(carrier.batches) : undefined
  return block === undefined ? [] : [block]
}

function late(): SemelError {
  return new SemelError(
    'DEADLINE_EXCEEDED',
    `the writer did not answer within ${sqliteLimits.requestMsMax} ms`,
    {
      outcome: 'unknown',
      retryable: true,
      limit: sqliteLimits.requestMsMax,
    },
  )
}

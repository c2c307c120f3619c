import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { assert, SemelError } from '../../errors.ts'
import { realPlatform } from '../../platform/real-platform.ts'
import { crashPoint } from './crash-points.ts'
import { openForWriting } from './database-file.ts'
import { toWire } from './sqlite-errors.ts'
import { UserSession } from './user-session.ts'
import { Writer } from './writer.ts'
import type {
  FromWriter,
  SessionRequest,
  ToWriter,
  WriteRequest,
  WriterOptions,
  WriterReady,
} from './writer-protocol.ts'

/** Requests that share one transaction, at most. */
const groupRequestsMax = 256
const groupCharsMax = 16 * 2 ** 20

/**
 * The writer thread: takes all waiting messages, runs them as one transaction, answers, and again. While a user
 * transaction is open only its own messages run; the others wait in line.
 */
class WriterThread {
  readonly #port: MessagePort
  readonly #options: WriterOptions
  readonly #database: ReturnType<typeof openForWriting>['database']
  readonly #writer: Writer
  #waiting: ToWriter[] = []
  #session: { readonly id: number; readonly user: UserSession } | undefined
  #now = 0
  readonly logId: string

  constructor(port: MessagePort, options: WriterOptions) {
    this.#port = port
    this.#options = options
    const { database, logId } = openForWriting(options.file, options.lockWaitMs, realPlatform.random)
    this.#database = database
    this.logId = logId
    const pauseCell = new Int32Array(new SharedArrayBuffer(4))
    const pause = (ms: number): void => {
      Atomics.wait(pauseCell, 0, 0, ms)
    }
    const { clock } = realPlatform
    const writerClock = { now: () => this.#now, monotonic: () => clock.monotonic(), pause }
    this.#writer = new Writer(database, options.file, writerClock, options.lockWaitMs)
  }

  /** Takes a message and everything that waits behind it. */
  receive(first: ToWriter): void {
    this.#waiting.push(first)
    do {
      this.#takeAll()
      this.#work()
    } while (this.#takeAll())
  }

  #takeAll(): boolean {
    let took = false
    for (;;) {
      const next = receiveMessageOnPort(this.#port)
      if (next === undefined) return took
      const message: ToWriter = next.message
      this.#waiting.push(message)
      took = true
    }
  }

  #work(): void {
    while (this.#waiting.length > 0) {
      if (this.#session !== undefined) {
        if (!this.#workSession(this.#session)) return
      } else if (!this.#startsSession(this.#waiting[0]!)) {
        this.#workGroup()
      }
    }
  }

  #startsSession(message: ToWriter): boolean {
    const { request, session, id } = message
    if (request.op === 'close') {
      this.#waiting.shift()
      this.#close(id)
      return true
    }
    if (session === undefined) return false
    this.#waiting.shift()
    if (request.op !== 'begin') {
      this.#answer({ id, error: sessionOver().toJSON() })
      return true
    }
    const user = new UserSession(this.#database, this.#writer, this.#options.file)
    this.#session = { id: session, user }
    this.#runSession(message, user)
    return true
  }

  /** Runs the open session's next message; `false` if none is waiting. */
  #workSession(open: { readonly id: number; readonly user: UserSession }): boolean {
    const index = this.#waiting.findIndex(
      ({ session, request }) => session === open.id || request.op === 'close',
    )
    if (index < 0) return false
    const message = this.#waiting.splice(index, 1)[0]!
    if (message.request.op === 'close') {
      this.#writer.rollback()
      this.#session = undefined
      this.#close(message.id)
      return true
    }
    this.#runSession(message, open.user)
    return true
  }

  #runSession(message: ToWriter, user: UserSession): void {
    const request = message.request as SessionRequest
    this.#now = message.now
    try {
      this.#answer({ id: message.id, reply: user.run(request) })
      if (request.op === 'finish' || request.op === 'rollback') this.#session = undefined
    } catch (error) {
      if (request.op === 'begin' || request.op === 'finish' || request.op === 'rollback')
        this.#session = undefined
      this.#answer({ id: message.id, error: toWire(error, this.#options.file) })
    }
  }

  #workGroup(): void {
    const group: ToWriter[] = []
    let chars = 0
    while (group.length < groupRequestsMax && chars < groupCharsMax) {
      const next = this.#waiting[0]
      if (next === undefined || next.session !== undefined || next.request.op === 'close') break
      this.#waiting.shift()
      group.push(next)
      chars += sizeOf(next)
    }
    this.#now = group.reduce((latest, { now }) => Math.max(latest, now), 0)
    const requests = group.map(({ request }) => request as WriteRequest)
    const answers = this.#writer.run(requests)
    assert(answers.length === group.length, 'every request is answered')
    this.#port.postMessage(group.map(({ id }, i): FromWriter => ({ id, ...answers[i]! })))
    crashPoint('writer.replied')
  }

  #answer(message: FromWriter): void {
    this.#port.postMessage([message])
  }

  #close(id: number): void {
    this.#database.close()
    this.#answer({ id })
    this.#port.close()
  }
}

function sizeOf({ request }: ToWriter): number {
  if (request.op !== 'append' && request.op !== 'unit') return 0
  return request.batches.reduce((sum, { head, body }) => sum + head.length + body.length, 0)
}

function sessionOver(): SemelError {
  return new SemelError('TX_CLOSED', 'the transaction has ended')
}

function start(port: MessagePort): void {
  const options: WriterOptions = workerData
  try {
    const thread = new WriterThread(port, options)
    port.on('message', (message: ToWriter) => thread.receive(message))
    const ready: WriterReady = { ready: true, logId: thread.logId }
    port.postMessage(ready)
  } catch (error) {
    const ready: WriterReady = { ready: true, error: toWire(error, options.file) }
    port.postMessage(ready)
    port.close()
  }
}

if (parentPort !== null) start(parentPort)

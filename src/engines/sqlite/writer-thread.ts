import type { DatabaseSync } from 'node:sqlite'
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { assert, SemelError } from '../../errors.ts'
import type { Timer } from '../../platform/platform.ts'
import { realPlatform } from '../../platform/real-platform.ts'
import { crashPoint } from './crash-points.ts'
import { openForWriting } from './database-file.ts'
import { toWire } from './sqlite-errors.ts'
import { sqliteLimits } from './sqlite-limits.ts'
import { UserSession } from './user-session.ts'
import { blockOf } from './utf8-block.ts'
import { type Timed, Writer } from './writer.ts'
import type {
  SessionRequest,
  ToWriter,
  WriteRequest,
  WriterAnswer,
  WriterOptions,
} from './writer-protocol.ts'

interface OpenSession {
  readonly id: number
  readonly user: UserSession
  readonly watchdog: Timer
}

/**
 * The loop of the writer thread: takes all waiting messages, runs them as one transaction, answers, and again; in
 * between, chores. It never waits for company: what came while one group was committed is the next group.
 *
 * While a user transaction is open only its own messages run; the others wait in line. A watchdog ends one that
 * stays open too long.
 */
export class WriterThread {
  readonly #port: MessagePort
  readonly #file: string
  readonly #database: DatabaseSync
  readonly #writer: Writer
  readonly logId: string
  readonly hasMarks: boolean
  #queue: ToWriter[] = []
  #next = 0
  /** Messages of user transactions; those of the open one overtake the queue. */
  #sessionMessages: ToWriter[] = []
  #session: OpenSession | undefined
  #now = 0

  constructor(port: MessagePort, { file, lockWaitMs }: WriterOptions) {
    this.#port = port
    this.#file = file
    const { database, logId, idFormat } = openForWriting(file, lockWaitMs, realPlatform)
    this.#database = database
    this.logId = logId
    this.hasMarks = idFormat.uuid !== undefined
    const pauseCell = new Int32Array(new SharedArrayBuffer(4))
    const pause = (ms: number): void => {
      Atomics.wait(pauseCell, 0, 0, ms)
    }
    const { clock, random } = realPlatform
    const writerClock = { now: () => clock.now(), monotonic: () => clock.monotonic(), pause }
    const builder = `${process.pid}-${random.uint32()}-${random.uint32()}`
    const parts = { database, file, clock: writerClock, lockWaitMs, idFormat, builder }
    this.#writer = new Writer({ ...parts, idLimits: sqliteLimits })
  }

  /** Takes a message and everything that waits behind it. */
  receive(first: ToWriter): void {
    this.#sort(first)
    do {
      this.#takeAll()
      while (this.#workOnce()) this.#takeAll()
    } while (this.#takeAll())
  }

  #takeAll(): boolean {
    let took = false
    for (
      let next = receiveMessageOnPort(this.#port);
      next !== undefined;
      next = receiveMessageOnPort(this.#port)
    ) {
      this.#sort(next.message)
      took = true
    }
    return took
  }

  #sort(message: ToWriter): void {
    if (message.now > this.#now) this.#now = message.now
    if (message.session !== undefined && message.request.op !== 'begin') this.#sessionMessages.push(message)
    else this.#queue.push(message)
  }

  /** Does the next thing there is to do; `false` if there is nothing. */
  #workOnce(): boolean {
    const sessionMessage = this.#sessionMessages.shift()
    if (sessionMessage !== undefined) {
      this.#runSession(sessionMessage)
      return true
    }
    const next = this.#queue[this.#next]
    if (next?.request.op === 'close') {
      this.#close(next.id)
      return false
    }
    if (this.#session !== undefined) return false
    if (next !== undefined) {
      if (next.session !== undefined) this.#beginSession(this.#take(), next.session)
      else this.#runGroup()
    }
    if (this.#session !== undefined || !this.#writer.hasChores) return next !== undefined
    this.#writer.doChores(this.#now)
    return true
  }

  #take(): ToWriter {
    const message = this.#queue[this.#next++]!
    if (this.#next === this.#queue.length) {
      this.#queue = []
      this.#next = 0
    }
    return message
  }

  #runGroup(): void {
    const ids: number[] = []
    const requests: Timed<WriteRequest>[] = []
    let bytes = 0
    while (requests.length < sqliteLimits.groupRequestsMax && bytes < sqliteLimits.groupBytesMax) {
      const next = this.#queue[this.#next]
      if (next === undefined || next.session !== undefined || next.request.op === 'close') break
      const { id, request, now } = this.#take()
      ids.push(id)
      requests.push({ request: request as WriteRequest, now })
      bytes += bytesOf(request)
    }
    const answers = this.#writer.run(requests)
    assert(answers.length === ids.length, 'every request is answered')
    this.#port.postMessage(ids.map((id, i) => ({ id, ...answers[i]! })))
    for (const { request } of requests) freeRows(request)
    crashPoint('writer.replied')
  }

  #beginSession({ id, now }: ToWriter, session: number): void {
    const user = new UserSession(this.#database, this.#writer, this.#file)
    try {
      user.begin(now)
    } catch (error) {
      this.#answer({ id, error: toWire(error, this.#file) })
      return
    }
    const watchdog = realPlatform.timers.after(sqliteLimits.sessionMsMax, () => {
      this.#endSession()
      this.#writer.rollback()
      if (this.#workOnce()) this.#takeAllAndWork()
    })
    this.#session = { id: session, user, watchdog }
    this.#answer({ id, reply: undefined })
  }

  #takeAllAndWork(): void {
    do this.#takeAll()
    while (this.#workOnce())
  }

  #runSession({ id, session, request }: ToWriter): void {
    const open = this.#session
    if (open === undefined || open.id !== session) {
      // Rolling back what the watchdog or a failure rolled back before is fine.
      this.#answer(request.op === 'rollback' ? { id } : { id, error: sessionOver().toJSON() })
      return
    }
    const ends = request.op === 'finish' || request.op === 'rollback'
    if (ends) this.#endSession()
    try {
      this.#answer({ id, reply: open.user.run(request as Exclude<SessionRequest, { op: 'begin' }>) })
    } catch (error) {
      if (!ends && !this.#database.isTransaction) this.#endSession()
      this.#answer({ id, error: toWire(error, this.#file) })
    }
  }

  #endSession(): void {
    this.#session?.watchdog.cancel()
    this.#session = undefined
  }

  #answer(answer: WriterAnswer): void {
    this.#port.postMessage([answer])
  }

  /** The guard has ended all transactions by now; one that is still open was given up. */
  #close(id: number): void {
    this.#endSession()
    this.#writer.rollback()
    this.#database.close()
    this.#answer({ id })
    this.#port.close()
  }
}

/** Collections of garbage come late where little of it is on the heap. */
function freeRows(request: WriteRequest): void {
  if ('batches' in request) blockOf(request.batches)?.transfer(0)
}

function bytesOf(request: ToWriter['request']): number {
  if (request.op !== 'append' && request.op !== 'unit') return 0
  let bytes = 0
  for (const { rows } of request.batches)
    for (const { head, body } of rows) bytes += head.length + body.length
  return bytes
}

function sessionOver(): SemelError {
  return new SemelError(
    'TX_CLOSED',
    'this transaction has ended, or was open for too long and was rolled back',
    {
      limit: sqliteLimits.sessionMsMax,
    },
  )
}

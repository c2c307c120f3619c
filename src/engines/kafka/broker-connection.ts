import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Platform } from '../../platform/platform.ts'
import type { BrokerAccess } from './broker-access.ts'
import { BrokerError } from './broker-error.ts'
import { authenticate } from './sasl.ts'
import { encodeRequest, Reader, type WireRequest } from './wire.ts'

const unreachable = -195
const timedOut = -185
const tlsFailed = -181
const answerBytesMax = 64 << 20
const clientId = 'semel'

/**
 * One connection to one broker, for what the client cannot ask: a request at a time.
 *
 * OPEN -> FAILED by the first error or silence; every later request fails with the same.
 */
export class BrokerConnection {
  readonly #platform: Platform
  readonly #socket: Socket
  readonly #timeoutMs: number
  /** What came of the answer that is under way. */
  #chunks: Buffer[] = []
  #received = 0
  #length: number | undefined
  #sent = 0
  #failure: Error | undefined
  #waiting: { resolve(frame: Buffer): void; reject(error: Error): void } | undefined

  private constructor(platform: Platform, socket: Socket, timeoutMs: number) {
    this.#platform = platform
    this.#socket = socket
    this.#timeoutMs = timeoutMs
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('error', (error) => this.#fail(connectionError(error)))
    socket.on('close', () => this.#fail(new BrokerError(unreachable, 'the broker closed the connection')))
  }

  /** Connected, and authenticated where the settings ask for it. */
  static async open(
    platform: Platform,
    { host, port }: { readonly host: string; readonly port: number },
    { tls, sasl }: BrokerAccess,
    timeoutMs: number,
  ): Promise<BrokerConnection> {
    const socket =
      tls === undefined
        ? connectPlain({ host, port, noDelay: true })
        : connectTls({ ...tls, host, port, ALPNProtocols: [] })
    const connection = new BrokerConnection(platform, socket, timeoutMs)
    try {
      if (sasl !== undefined) await authenticate((request) => connection.ask(request), sasl, platform.random)
      return connection
    } catch (error) {
      connection.close()
      throw error
    }
  }

  /** The answer's body. Written before the connection stands, it waits with it. */
  async ask(request: WireRequest, timeoutMs = this.#timeoutMs): Promise<Reader> {
    const frame = await this.#exchange(encodeRequest(request, ++this.#sent, clientId), timeoutMs)
    const answer = new Reader(frame)
    answer.int32() // correlation id: one request is under way at a time
    if (request.flexible !== false) answer.tags()
    return answer
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined
  }

  close(): void {
    this.#socket.destroy()
  }

  #exchange(pieces: readonly Buffer[], timeoutMs: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure)
        return
      }
      const timer = this.#platform.timers.after(timeoutMs, () => {
        this.#fail(new BrokerError(timedOut, `no answer for ${timeoutMs} ms`))
      })
      const settled =
        <T>(settle: (value: T) => void) =>
        (value: T): void => {
          timer.cancel()
          this.#waiting = undefined
          settle(value)
        }
      this.#waiting = { resolve: settled(resolve), reject: settled(reject) }
      this.#socket.cork()
      for (const piece of pieces) this.#socket.write(piece)
      this.#socket.uncork()
    })
  }

  /** Put together once it is complete: an answer of megabytes comes in many pieces. */
  #take(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#received += chunk.length
    if (this.#received < 4) return
    this.#length ??= this.#together().readInt32BE(0)
    if (this.#length < 0 || this.#length > answerBytesMax) {
      this.#fail(
        new BrokerError(unreachable, 'the answer is not one of Kafka: is this a port of another kind?'),
      )
      return
    }
    const end = 4 + this.#length
    if (this.#received < end) return
    const bytes = this.#together()
    this.#chunks = [bytes.subarray(end)]
    this.#received -= end
    this.#length = undefined
    this.#waiting?.resolve(bytes.subarray(4, end))
  }

  #together(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)]
    return this.#chunks[0]!
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#socket.destroy()
    this.#waiting?.reject(this.#failure)
  }
}

/** Node's codes of TLS begin with a few words; all others are those of the network. */
function connectionError(error: Error): BrokerError {
  const code: unknown = 'code' in error ? error.code : undefined
  const isTls = typeof code === 'string' && /^(ERR_TLS|ERR_SSL|EPROTO|CERT_|DEPTH_|SELF_|UNABLE_)/.test(code)
  return new BrokerError(isTls ? tlsFailed : unreachable, error.message)
}

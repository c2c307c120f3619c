import { TcpProxy } from '../../../src/testing/faults/tcp-proxy.ts'
import { until } from '../../support/until.ts'

export const apiKeys = { produce: 0, endTxn: 26 } as const
/** What a transaction asks beside: partitions that take part in it, a group that does, the group's offsets. */
export const unitKeys = { addPartitions: 24, addOffsets: 25, offsetCommit: 28 } as const
export const initProducerId = 22
const lengthBytes = 4

/** Behind the length: kind and version of a request, then a number that its reply begins with. */
const requestNumberAt = 8
const replyNumberAt = 4

/**
 * A proxy before one broker that understands Kafka's frames: it holds a request back and lets it go later, or keeps the
 * reply to one for ever.
 */
export class HoldingProxy implements AsyncDisposable {
  readonly #tcp: TcpProxy
  #armed: number | undefined
  #release: (() => void) | undefined
  #passed: Promise<void> = Promise.resolve()
  #unanswered: { readonly apiKey: number; readonly id: string; readonly isOnce: boolean } | undefined
  #lost = false
  readonly #asked = new Map<number, number>()

  private constructor(tcp: TcpProxy) {
    this.#tcp = tcp
  }

  static async listen(brokerPort: number): Promise<HoldingProxy> {
    let proxy: HoldingProxy | undefined
    const filters = () => {
      const unanswered = new Set<number>()
      return {
        toServer: (bytes: AsyncIterable<Buffer>) => proxy!.#requests(bytes, unanswered),
        toClient: (bytes: AsyncIterable<Buffer>) => proxy!.#replies(bytes, unanswered),
      }
    }
    const tcp = await TcpProxy.listen({ target: { port: brokerPort }, filters })
    proxy = new HoldingProxy(tcp)
    return proxy
  }

  get port(): number {
    return this.#tcp.port
  }

  /** The next request of this kind does not get through until `release`. Others on its connection wait behind it. */
  hold(apiKey: number): void {
    this.#armed = apiKey
  }

  /**
   * Requests of this kind that name this transactional id, or a part of it, get no reply, though the broker does what is
   * asked, until its producer is initialised again. The client asks by itself once more, so one lost reply would not be seen.
   */
  loseReplies(apiKey: number, id: string): void {
    this.#unanswered = { apiKey, id, isOnce: false }
    this.#lost = false
  }

  /** The same, for one request. */
  loseReply(apiKey: number, id: string): void {
    this.#unanswered = { apiKey, id, isOnce: true }
    this.#lost = false
  }

  /** No more replies are lost. */
  answerAll(): void {
    this.#unanswered = undefined
  }

  /** Resolves when a reply is lost. */
  async lost(): Promise<void> {
    await until(() => this.#lost, 60_000, 'a reply is lost')
  }

  /** How many requests of this kind came. */
  asked(apiKey: number): number {
    return this.#asked.get(apiKey) ?? 0
  }

  /** Resolves when a request is held. */
  async held(): Promise<void> {
    await until(() => this.#release !== undefined, 60_000, 'a request is held')
  }

  /** Lets it go, and resolves when it is on its way to the broker. */
  async release(): Promise<void> {
    this.#release!()
    this.#release = undefined
    await this.#passed
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#release?.()
    return this.#tcp.close()
  }

  async *#requests(incoming: AsyncIterable<Buffer>, unanswered: Set<number>): AsyncGenerator<Buffer> {
    for await (const frame of frames(incoming)) {
      const apiKey = frame.readInt16BE(lengthBytes)
      this.#asked.set(apiKey, this.asked(apiKey) + 1)
      if (apiKey === this.#unanswered?.apiKey && frame.includes(this.#unanswered.id)) {
        unanswered.add(frame.readInt32BE(requestNumberAt))
        if (this.#unanswered.isOnce) this.#unanswered = undefined
      }
      if (apiKey === initProducerId && this.#unanswered !== undefined && frame.includes(this.#unanswered.id))
        this.#unanswered = undefined
      if (apiKey === this.#armed) yield* this.#late(frame)
      else yield frame
    }
  }

  async *#replies(incoming: AsyncIterable<Buffer>, unanswered: Set<number>): AsyncGenerator<Buffer> {
    for await (const frame of frames(incoming)) {
      if (unanswered.delete(frame.readInt32BE(replyNumberAt))) this.#lost = true
      else yield frame
    }
  }

  async *#late(frame: Buffer): AsyncGenerator<Buffer> {
    this.#armed = undefined
    let isPassed!: () => void
    this.#passed = new Promise((resolve) => {
      isPassed = resolve
    })
    await new Promise<void>((resolve) => {
      this.#release = resolve
    })
    yield frame
    isPassed()
  }
}

/** What comes, cut into Kafka's frames. */
async function* frames(incoming: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0)
  for await (const chunk of incoming) {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= lengthBytes && rest.length >= lengthBytes + rest.readInt32BE(0)) {
      const end = lengthBytes + rest.readInt32BE(0)
      yield rest.subarray(0, end)
      rest = rest.subarray(end)
    }
  }
}

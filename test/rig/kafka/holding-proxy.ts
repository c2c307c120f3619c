import { TcpProxy } from '../../../src/testing/faults/tcp-proxy.ts'
import { until } from '../../support/until.ts'

export const apiKeys = { produce: 0, endTxn: 26 } as const
const lengthBytes = 4

/** A proxy before one broker that understands Kafka's frames: it holds a request back and lets it go later. */
export class HoldingProxy implements AsyncDisposable {
  readonly #tcp: TcpProxy
  #armed: number | undefined
  #release: (() => void) | undefined
  #passed: Promise<void> = Promise.resolve()

  private constructor(tcp: TcpProxy) {
    this.#tcp = tcp
  }

  static async listen(brokerPort: number): Promise<HoldingProxy> {
    let proxy: HoldingProxy | undefined
    const filters = () => ({ toServer: (bytes: AsyncIterable<Buffer>) => proxy!.#filter(bytes) })
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

  async *#filter(incoming: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let rest = Buffer.alloc(0)
    for await (const chunk of incoming) {
      rest = Buffer.concat([rest, chunk])
      while (rest.length >= lengthBytes && rest.length >= lengthBytes + rest.readInt32BE(0)) {
        const end = lengthBytes + rest.readInt32BE(0)
        const frame = rest.subarray(0, end)
        rest = rest.subarray(end)
        if (frame.readInt16BE(lengthBytes) === this.#armed) yield* this.#late(frame)
        else yield frame
      }
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

import type { Socket } from 'node:net'
import type { Platform } from '../../platform/platform.ts'
import { resetSocket } from './reset-socket.ts'

/** What is wrong with one direction of a connection. Nothing, if empty. */
export interface LaneFaults {
  /** Every byte arrives this much later. At most 1 MiB is on its way, so the delay also bounds the speed. */
  readonly delayMs?: number
  /** Added to the delay, from 0 up to this, by chance. Never changes the order. */
  readonly jitterMs?: number
  readonly bytesPerSecond?: number
  /** Nothing is read any more, so that the sender's buffers fill up. Goes on where it stopped when healed. */
  readonly stalled?: boolean
  /** All is read and nothing arrives, not even the end. A connection that lost bytes so is reset when healed. */
  readonly blackhole?: boolean
  /** Exactly so many bytes arrive from now on, or from a connection's start; then it is cut. */
  readonly cutAfterBytes?: number
  /** How it is cut: by `reset` if not given. */
  readonly cutBy?: Cut
}

/**
 * Sees all bytes of one direction, in order; what it yields is passed on. While it awaits something, nothing passes and
 * nothing more is read. When it yields a cut, the connection is cut after all that it yielded before has arrived.
 */
export type ProxyFilter = (incoming: AsyncIterable<Buffer>) => AsyncIterable<Buffer | Cut>

export type Cut = 'close' | 'reset'

export interface LaneEnds {
  readonly source: Socket
  readonly sink: Socket
  /** Cuts both directions. */
  readonly cut: (how: Cut) => void
  /** The filter has thrown: whoever wrote it has to know. */
  readonly filterFailed: (error: unknown) => void
}

/** `end` and `fail` are what the source did, and are done to the sink; a cut ends both sides. */
type Ending = 'end' | 'fail' | Cut
interface Piece {
  readonly content: Buffer | Ending
  readonly dueAtMs: number
}

const queuedBytesMax = 1 << 20
const slicesPerSecond = 50

/**
 * One direction of a connection: source -> filter -> queue -> sink. The reader fills the queue while it has room; the
 * writer empties it when the faults allow. Whatever changes (a fault, the queue, the end) wakes both to look again.
 */
export class ProxyLane {
  readonly #ends: LaneEnds
  readonly #platform: Platform
  readonly #filter: ProxyFilter
  readonly #queue: Piece[] = []
  #faults: LaneFaults
  #queuedBytes = 0
  #bytesLeft: number | undefined
  #lostBytes = false
  #closed = false
  #sleepers: (() => void)[] = []

  constructor(ends: LaneEnds, filter: ProxyFilter | undefined, faults: LaneFaults, platform: Platform) {
    this.#ends = ends
    this.#platform = platform
    this.#filter = filter ?? ((incoming) => incoming)
    this.#faults = faults
    this.#bytesLeft = faults.cutAfterBytes
  }

  start(): void {
    void this.#read()
    void this.#write()
  }

  set(faults: LaneFaults): void {
    this.#faults = faults
    this.#bytesLeft = faults.cutAfterBytes
    if (this.#lostBytes && faults.blackhole !== true) this.#ends.cut('reset')
    this.#wake()
  }

  /** Nothing passes any more. */
  close(): void {
    this.#closed = true
    this.#wake()
  }

  async #read(): Promise<void> {
    const source = { failed: false }
    try {
      for await (const bytes of this.#filter(this.#incoming(source))) {
        await this.#until(() => this.#queuedBytes < queuedBytesMax)
        if (this.#closed) return
        this.#push(bytes)
        if (typeof bytes === 'string') return
      }
    } catch (error) {
      this.#ends.filterFailed(error)
      this.#ends.cut('reset')
      return
    }
    this.#push(source.failed ? 'fail' : 'end')
  }

  /** A source that fails ends the filter's input as a source that ends does; what differs is told to the sink. */
  async *#incoming(source: { failed: boolean }): AsyncGenerator<Buffer> {
    const chunks: AsyncIterator<Buffer> = this.#ends.source.iterator({ destroyOnReturn: false })
    for (;;) {
      await this.#until(() => this.#faults.stalled !== true)
      if (this.#closed) return
      try {
        const { done, value } = await chunks.next()
        if (done === true) return
        yield value
      } catch {
        source.failed = true
        return
      }
    }
  }

  #push(content: Buffer | Ending): void {
    const { delayMs = 0, jitterMs = 0 } = this.#faults
    const chance = jitterMs > 0 ? this.#platform.random.fraction() * jitterMs : 0
    this.#queue.push({ content, dueAtMs: this.#platform.clock.monotonic() + delayMs + chance })
    if (typeof content !== 'string') this.#queuedBytes += content.length
    this.#wake()
  }

  async #write(): Promise<void> {
    for (;;) {
      await this.#until(() => this.#queue.length > 0)
      if (this.#closed) return
      const { content, dueAtMs } = this.#queue[0]!
      await this.#untilDue(dueAtMs)
      await this.#until(() => this.#faults.stalled !== true)
      if (this.#closed) return
      if (this.#faults.blackhole === true) this.#lostBytes = true
      else if (typeof content === 'string') this.#finish(content)
      else await this.#deliver(content)
      if (typeof content === 'string') return
      this.#queue.shift()
      this.#queuedBytes -= content.length
      this.#wake()
    }
  }

  #finish(ending: Ending): void {
    if (ending === 'end') this.#ends.sink.end()
    else if (ending === 'fail') resetSocket(this.#ends.sink)
    else this.#ends.cut(ending)
  }

  async #deliver(bytes: Buffer): Promise<void> {
    let rest = bytes
    while (rest.length > 0 && !this.#closed) {
      const { bytesPerSecond, cutBy = 'reset' } = this.#faults
      const slice =
        bytesPerSecond === undefined ? rest.length : Math.max(1, Math.floor(bytesPerSecond / slicesPerSecond))
      const next = rest.subarray(0, Math.min(slice, this.#bytesLeft ?? Number.POSITIVE_INFINITY))
      if (!(await this.#send(next))) return this.close()
      rest = rest.subarray(next.length)
      if (this.#bytesLeft !== undefined) this.#bytesLeft -= next.length
      if (this.#bytesLeft === 0) return this.#ends.cut(cutBy)
      if (bytesPerSecond !== undefined) await this.#pause((1_000 * next.length) / bytesPerSecond)
      await this.#until(() => this.#faults.stalled !== true)
    }
  }

  /** Resolves when the kernel has the bytes: `false` if the sink is gone. */
  #send(bytes: Buffer): Promise<boolean> {
    if (bytes.length === 0) return Promise.resolve(true)
    const { sink } = this.#ends
    if (!sink.writable) return Promise.resolve(false)
    return new Promise((resolve) => {
      sink.once('close', gone)
      sink.write(bytes, (error) => {
        sink.off('close', gone)
        resolve(!error)
      })
      function gone(): void {
        resolve(false)
      }
    })
  }

  /** A healed delay also lets go what it held. */
  async #untilDue(dueAtMs: number): Promise<void> {
    while (!this.#closed && (this.#faults.delayMs || this.#faults.jitterMs)) {
      const leftMs = dueAtMs - this.#platform.clock.monotonic()
      if (leftMs <= 0) return
      await this.#pause(leftMs)
    }
  }

  async #until(isTrue: () => boolean): Promise<void> {
    while (!this.#closed && !isTrue()) await new Promise<void>((resolve) => this.#sleepers.push(resolve))
  }

  /** May be shorter: whatever changes ends it. */
  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#platform.timers.after(delayMs, resolve)
      this.#sleepers.push(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  #wake(): void {
    const sleepers = this.#sleepers
    this.#sleepers = []
    for (const resume of sleepers) resume()
  }
}

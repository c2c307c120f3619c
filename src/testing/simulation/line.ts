import { SemelError } from '../../errors.ts'
import type { SeededRandom } from '../../platform/seeded-random.ts'
import type { FaultBoard } from './fault-board.ts'
import type { Scheduler } from './scheduler.ts'
import type { SimulatedPlatform } from './simulated-platform.ts'

/** One way of a call while nothing is wrong, and with `delay` on. */
const wayMsMax = 2
const delayedWayMsMax = 500
/** How long a caller waits for an answer that does not come, and how much later a late request may still arrive. */
const silenceMsMax = 400
const lateMsMax = 2_000
const strikeChance = 0.15

/** So long after the last fault, nothing that was sent before is still under way. */
export const stragglersMs = delayedWayMsMax + silenceMsMax + lateMsMax

/** What becomes of one call. */
type Fate = 'served' | 'refused' | 'lost-request' | 'lost-reply' | 'late-request'

/** A moment at which a process can be killed: around a call's stay in the storage. */
export interface LinePoint {
  readonly process: string
  readonly operation: string
  /** `sent`: the storage has not seen the call. `done`: it has, and the caller does not know. */
  readonly at: 'sent' | 'done'
}

export interface Call<T> {
  readonly operation: string
  readonly writes: boolean
  /** Calls of one lane arrive in the order they were sent, and so do their answers. */
  readonly lane?: Lane | undefined
  readonly serve: () => Promise<T>
  /** Called instead of `serve` when the call gets lost, or before it when it is late. */
  readonly unserved?: (() => void) | undefined
  /** What a late call does when it arrives, if that is not `serve`. */
  readonly late?: (() => Promise<T>) | undefined
}

/** Keeps calls in order, as one connection does. */
export class Lane {
  #arrived: Promise<void> = Promise.resolve()
  #answered: Promise<void> = Promise.resolve()

  enter(): { mayArrive: Promise<void>; mayAnswer: Promise<void>; arrived(): void; answered(): void } {
    const [arrival, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const turn = {
      mayArrive: this.#arrived,
      mayAnswer: this.#answered,
      arrived: arrival.resolve,
      answered: answer.resolve,
    }
    this.#arrived = arrival.promise
    this.#answered = answer.promise
    return turn
  }
}

export interface LineOptions {
  readonly scheduler: Scheduler
  readonly platform: SimulatedPlatform
  readonly board: FaultBoard
  /** Called at each point of each call; the process may be dead afterwards. */
  readonly onPoint?: ((point: LinePoint) => void) | undefined
}

/**
 * The line between one simulated process and the storage: calls take time both ways, get lost, or are late.
 *
 * A call that was sent arrives although its process is paused by then; its answer waits until the process goes on.
 * Whatever is under way when the process is killed gets lost on either side.
 */
export class Line {
  readonly #scheduler: Scheduler
  readonly #platform: SimulatedPlatform
  readonly #board: FaultBoard
  readonly #random: SeededRandom
  readonly #onPoint: (point: LinePoint) => void
  #crashes = 0
  #downUntilMs = 0

  constructor({ scheduler, platform, board, onPoint }: LineOptions) {
    this.#scheduler = scheduler
    this.#platform = platform
    this.#board = board
    this.#random = scheduler.stream(`line of ${platform.name}`)
    this.#onPoint = onPoint ?? (() => undefined)
  }

  /** The storage went down: answers under way are lost, and nobody is served for a while. */
  crash(downMs: number): void {
    this.#crashes++
    this.#downUntilMs = this.#scheduler.nowMs + downMs
  }

  /** Sends one call. It is served in a step of its own; result or error travel back. */
  async send<T>(call: Call<T>): Promise<T> {
    const turn = call.lane?.enter()
    await this.#travel()
    await turn?.mayArrive
    const answer = await this.#arrived(call)
    turn?.arrived()
    if (answer !== 'silence') await this.#travel()
    else await this.#scheduler.sleep(this.#random.fraction() * silenceMsMax)
    await turn?.mayAnswer
    await this.#received()
    turn?.answered()
    if (answer === 'silence') throw failed('unknown').error
    if ('error' in answer) throw answer.error
    return answer.value
  }

  /** What the storage makes of it. */
  async #arrived<T>({
    operation,
    writes,
    serve,
    unserved,
    late = serve,
  }: Call<T>): Promise<Answer<T> | 'silence'> {
    // What a process sent before it was killed may still arrive.
    if (this.#platform.isDead && this.#random.fraction() < 0.5) return await never()
    if (this.#killedAt(operation, 'sent')) return await never()
    const fate = this.#drawFate(writes)
    if (fate === 'lost-reply' || fate === 'served') {
      const crashes = this.#crashes
      const answer = await settled(serve)
      if (this.#killedAt(operation, 'done')) return await never()
      if (fate === 'lost-reply') return 'silence'
      return crashes === this.#crashes ? answer : failed(writes ? 'unknown' : 'not-applied')
    }
    unserved?.()
    if (fate === 'refused') return failed('not-applied')
    if (fate === 'late-request') {
      const lateMs = silenceMsMax + this.#random.fraction() * lateMsMax
      this.#scheduler.after(lateMs, () => void settled(late))
    }
    return 'silence'
  }

  /** Only writes can end in an unknown outcome; a reader whose answer is lost simply has none. */
  #drawFate(writes: boolean): Fate {
    if (this.#scheduler.nowMs < this.#downUntilMs) return 'refused'
    if (this.#board.strikes('refuse', strikeChance)) return 'refused'
    if (!writes) return 'served'
    if (this.#board.strikes('lost-request', strikeChance)) return 'lost-request'
    if (this.#board.strikes('lost-reply', strikeChance)) return 'lost-reply'
    if (this.#board.strikes('late-request', strikeChance)) return 'late-request'
    return 'served'
  }

  /** One way. */
  async #travel(): Promise<void> {
    const delayed = this.#board.strikes('delay', strikeChance)
    await this.#scheduler.sleep(this.#random.fraction() * (delayed ? delayedWayMsMax : wayMsMax))
  }

  #killedAt(operation: string, at: LinePoint['at']): boolean {
    if (this.#platform.isDead) return false
    this.#onPoint({ process: this.#platform.name, operation, at })
    return this.#platform.isDead
  }

  /** The process takes note, in a turn of its own event loop: never, if it is dead. */
  async #received(): Promise<void> {
    await new Promise<void>((resolve) => this.#platform.timers.soon(resolve))
  }
}

type Answer<T> = { readonly value: T } | { readonly error: unknown }

async function settled<T>(serve: () => Promise<T>): Promise<Answer<T>> {
  try {
    return { value: await serve() }
  } catch (error) {
    return { error }
  }
}

function failed(outcome: 'not-applied' | 'unknown'): { error: SemelError } {
  const text = `a simulated fault (${outcome})`
  return { error: new SemelError('ENGINE_UNAVAILABLE', text, { outcome, retryable: true }) }
}

/** What a dead process waits for. */
export function never(): Promise<never> {
  return new Promise<never>(() => undefined)
}

import { AsyncResource } from 'node:async_hooks'
import type { Timer } from '../../platform/platform.ts'
import { SeededRandom } from '../../platform/seeded-random.ts'

/** A simulated run that goes on for longer hangs in a circle; a run of the usual size takes some ten thousand. */
const stepsMax = 20_000_000

interface Planned {
  readonly atMs: number
  readonly order: number
  fire: (() => void) | undefined
}

/**
 * Simulated time of one run, and the order of everything that happens in it.
 *
 * A step takes the earliest planned callback, moves the clock to it, runs it, and lets all promises go on that can.
 * Nothing else ever runs in between: no real timer, no I/O, no turn of the event loop. So one seed repeats a run to
 * the byte, and an hour passes in the time that its steps take.
 */
export class Scheduler {
  readonly #seed: number
  readonly #planned: Planned[] = []
  #nowMs = 0
  #order = 0
  #steps = 0

  constructor(seed: number) {
    this.#seed = seed
  }

  /** Milliseconds since the run began. */
  get nowMs(): number {
    return this.#nowMs
  }

  /** Steps taken so far. */
  get steps(): number {
    return this.#steps
  }

  /** A stream of chance of its own: who draws more from one stream changes nothing in the others. */
  stream(name: string): SeededRandom {
    let hash = 0x811c9dc5
    for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
    return new SeededRandom((this.#seed >>> 0) + (hash >>> 11) * 2 ** 32)
  }

  /** Calls `fire` in a step of its own. Equal times keep the order of the calls. */
  after(delayMs: number, fire: () => void): Timer {
    // Like a real timer, it runs in the asynchronous context it was set in.
    const context = new AsyncResource('SimulatedTimer')
    const planned: Planned = {
      atMs: this.#nowMs + Math.max(0, delayMs),
      order: this.#order++,
      fire: () => context.runInAsyncScope(fire),
    }
    push(this.#planned, planned)
    return {
      cancel: () => {
        planned.fire = undefined
      },
    }
  }

  async sleep(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.after(ms, resolve)
    })
  }

  /**
   * Runs `main` and everything it starts until it settles. Rejects if nothing is planned any more, for then nobody
   * will ever wake it.
   */
  async run<T>(main: () => Promise<T>): Promise<T> {
    return await new Promise<T>((resolve, reject) => {
      let ended = false
      const end = (settle: () => void): void => {
        ended = true
        settle()
      }
      const turn = (): void => {
        if (ended) return
        try {
          this.#step()
        } catch (error) {
          end(() => reject(error))
          return
        }
        afterMicrotasks(turn)
      }
      main().then(
        (value) => end(() => resolve(value)),
        (error: unknown) => end(() => reject(error)),
      )
      afterMicrotasks(turn)
    })
  }

  #step(): void {
    let next = pop(this.#planned)
    while (next !== undefined && next.fire === undefined) next = pop(this.#planned)
    if (next?.fire === undefined)
      throw new SimulationStuck('nothing is planned any more, and the run has not ended')
    if (++this.#steps > stepsMax) throw new SimulationStuck(`the run did not end in ${stepsMax} steps`)
    this.#nowMs = Math.max(this.#nowMs, next.atMs)
    next.fire()
  }
}

/** The run cannot end: that is a finding (U3), not a mistake of the simulation. */
export class SimulationStuck extends Error {
  override readonly name = 'SimulationStuck'
}

/**
 * Calls `go` when no promise can go on any more. Node runs ticks before microtasks, and a tick that a microtask
 * asks for when all microtasks are done; neither looks at timers or I/O.
 */
function afterMicrotasks(go: () => void): void {
  queueMicrotask(() => process.nextTick(go))
}

function isBefore(a: Planned, b: Planned): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}

/** A binary heap, the earliest first. */
function push(heap: Planned[], planned: Planned): void {
  let at = heap.length
  heap.push(planned)
  while (at > 0) {
    const parent = (at - 1) >>> 1
    if (isBefore(heap[parent]!, planned)) break
    heap[at] = heap[parent]!
    at = parent
  }
  heap[at] = planned
}

function pop(heap: Planned[]): Planned | undefined {
  const first = heap[0]
  const last = heap.pop()
  if (last === undefined || last === first) return first
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
    if (isBefore(last, heap[child]!)) break
    heap[at] = heap[child]!
    at = child
  }
  heap[at] = last
  return first
}

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Message } from './topics.ts'

const publishers = 2
const lanesPerPublisher = 8
export const consumers = 2
const programs = {
  publisher: fileURLToPath(new URL('./publisher.ts', import.meta.url)),
  consumer: fileURLToPath(new URL('./consumer.ts', import.meta.url)),
} as const

interface Program {
  readonly kind: keyof typeof programs
  readonly child: ChildProcess
  readonly ready: Promise<void>
  readonly exited: Promise<unknown>
  /** Said so and ended by itself. */
  regressed: string | undefined
}

/** The programs that work on the bus while its server fails, and what they were told. */
export class Workload implements AsyncDisposable {
  /** Steps acknowledged per lane: the first so many. */
  readonly acknowledged = new Map<string, number>()
  readonly #url: string
  #programs: Program[] = []

  constructor(url: string) {
    this.#url = url
    for (let p = 0; p < publishers; p++)
      for (let l = 0; l < lanesPerPublisher; l++) this.acknowledged.set(`p${p}-l${l}`, 0)
  }

  get acknowledgements(): number {
    return this.#sum(() => true)
  }

  /** Acknowledgements by publisher. */
  get acknowledgedBy(): readonly number[] {
    return Array.from({ length: publishers }, (_, p) => this.#sum((lane) => lane.startsWith(`p${p}-`)))
  }

  /** What the programs said of a log that lacks what they know. */
  get regressions(): readonly (string | undefined)[] {
    return this.#programs.map(({ regressed }) => regressed)
  }

  /** Starts all programs; each lane of a publisher goes on at the step that `acknowledged` has for it. */
  async start(): Promise<void> {
    const lanes = [...this.acknowledged].map(([lane, next]) => ({ lane, next }))
    for (let p = 0; p < publishers; p++) {
      const own = lanes.filter(({ lane }) => lane.startsWith(`p${p}-`))
      this.#programs.push(this.#run('publisher', [this.#url, JSON.stringify(own)]))
    }
    for (let c = 0; c < consumers; c++) this.#programs.push(this.#run('consumer', [this.#url]))
    await Promise.all(this.#programs.map(({ ready }) => ready))
  }

  /** Ends the programs of this kind; publishers finish what they have begun. */
  async stop(kind: keyof typeof programs): Promise<void> {
    const stopped = this.#programs.filter((program) => program.kind === kind)
    for (const { child } of stopped) if (child.connected) child.send('stop')
    await Promise.all(stopped.map(({ exited }) => exited))
  }

  /** Resolves when all programs have ended by themselves. */
  async ended(): Promise<void> {
    await Promise.all(this.#programs.map(({ exited }) => exited))
  }

  /** Programs of which the last run is over; the next `start` runs new ones. */
  forget(): void {
    this.#programs = []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child } of this.#programs) child.kill('SIGKILL')
    await this.ended().catch(() => undefined)
  }

  #sum(counts: (lane: string) => boolean): number {
    const counted = [...this.acknowledged].filter(([lane]) => counts(lane))
    return counted.reduce((sum, [, count]) => sum + count, 0)
  }

  #run(kind: keyof typeof programs, args: readonly string[]): Program {
    const child = fork(programs[kind], args)
    const ready = Promise.withResolvers<void>()
    const exited = once(child, 'exit').then(([code, signal]) => {
      if (code === 0 || signal === 'SIGKILL') return
      const error = new Error(`a ${kind} ended with status ${code ?? signal}`)
      ready.reject(error)
      throw error
    })
    exited.catch(() => undefined)
    const program: Program = { kind, child, ready: ready.promise, exited, regressed: undefined }
    child.on('message', (message: Message) => {
      if (message.kind === 'ready') ready.resolve()
      else if (message.kind === 'regressed') program.regressed = message.message
      else if (message.kind === 'acknowledged') this.#note(message.lane, message.n)
    })
    return program
  }

  #note(lane: string, n: number): void {
    this.acknowledged.set(lane, n + 1)
  }
}

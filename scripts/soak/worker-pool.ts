import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Orders } from './worker.ts'

const workerFile = fileURLToPath(new URL('./worker.ts', import.meta.url))
/** Longer than the lease of the soak's groups, so that others take over what it holds. */
const pauseMs = 1_800
const mib = 2 ** 20
/**
 * What a worker may hold in V8's heap of old objects: with more it ends, which counts. By default that is gigabytes on a
 * machine like this, and garbage stays for as long as there is room, so that its size would tell nothing of ours.
 */
const oldSpaceMib = 192
/**
 * A third of its heap of young ones, for the same reason: by default that grows by 100 MiB in a worker that lives long, and a
 * run whose first half killed its workers early looked as if it leaked.
 */
const semiSpaceMib = 16
/** Who was asked to stop hands over, waits for publishes and closes its clients, each with a deadline of its own. */
const stopMsMax = 60_000
const reportSignal = 'SIGUSR2'
const reportMs = 5_000

/** The processes of a soak. One that ends is started again under a new name, as a supervisor would. */
export class WorkerPool {
  readonly #orders: (life: string) => Orders
  readonly #workers: (ChildProcess | undefined)[] = []
  #lives = 0
  /** Workers that ended although nobody killed them. */
  unexpected = 0
  /** Workers whose bus did not stop when it was asked to. They were killed. */
  stuck = 0
  /** Workers whose bus stopped, but that did not end: a client had threads left. They were killed, too. */
  lingering = 0
  readonly #stopped = new Set<ChildProcess>()

  constructor(count: number, orders: (life: string) => Orders) {
    this.#orders = orders
    for (let slot = 0; slot < count; slot++) this.#start(slot)
  }

  async kill(slot: number): Promise<void> {
    await this.#replace(slot, 'SIGKILL')
  }

  async pause(slot: number): Promise<void> {
    const worker = this.#workers[slot]
    worker?.kill('SIGSTOP')
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
    worker?.kill('SIGCONT')
  }

  async restart(slot: number): Promise<void> {
    await this.#replace(slot)
  }

  /** What each worker has in memory, in MiB. */
  rssMib(): number[] {
    return this.#workers.flatMap((worker) => {
      try {
        const pages = Number(readFileSync(`/proc/${worker?.pid}/statm`, 'utf8').split(' ')[1])
        return [(pages * 4096) / mib]
      } catch {
        // The worker is being replaced.
        return []
      }
    })
  }

  /** Lets all of them finish. */
  async stop(): Promise<void> {
    await Promise.all(this.#workers.splice(0).map((worker) => this.#end(worker)))
  }

  kill9(): void {
    for (const worker of this.#workers.splice(0)) worker?.kill('SIGKILL')
  }

  async #replace(slot: number, signal?: NodeJS.Signals): Promise<void> {
    const worker = this.#workers[slot]
    this.#workers[slot] = undefined
    await this.#end(worker, signal)
    this.#start(slot)
  }

  #start(slot: number): void {
    const orders = this.#orders(`worker-${slot}-${++this.#lives}`)
    const worker = fork(workerFile, [JSON.stringify(orders)], {
      execArgv: [
        `--max-old-space-size=${oldSpaceMib}`,
        `--max-semi-space-size=${semiSpaceMib}`,
        '--report-on-signal',
        `--report-signal=${reportSignal}`,
        `--report-directory=${tmpdir()}`,
      ],
      env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'semel-compile-cache') },
    })
    worker.on('message', () => this.#stopped.add(worker))
    worker.on('exit', () => {
      this.#stopped.delete(worker)
      if (this.#workers[slot] !== worker) return
      this.unexpected++
      this.#start(slot)
    })
    this.#workers[slot] = worker
  }

  async #end(worker: ChildProcess | undefined, signal?: NodeJS.Signals): Promise<void> {
    if (worker === undefined || worker.exitCode !== null) return
    const exited = once(worker, 'exit')
    if (signal !== undefined) worker.kill(signal)
    else {
      worker.send('stop')
      setTimeout(() => this.#giveUp(worker), stopMsMax).unref()
    }
    await exited
  }

  /** What it waits for is in a report of its own. */
  #giveUp(worker: ChildProcess): void {
    if (worker.exitCode !== null || worker.signalCode !== null) return
    if (this.#stopped.has(worker)) this.lingering++
    else this.stuck++
    worker.kill(reportSignal)
    setTimeout(() => worker.kill('SIGKILL'), reportMs)
  }
}

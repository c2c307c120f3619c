import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { WorkerOrders } from './worker.ts'

const workerFile = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url)
const stopDeadlineMs = 15_000

/** Keeps a number of worker processes alive, however often they are killed. */
export class WorkerPool {
  readonly #ordersOf: (slot: number, life: number) => WorkerOrders
  readonly #workers: ChildProcess[] = []
  readonly #lives: number[]
  #stopping = false
  kills = 0
  /** Exit of a worker that nobody killed: a bug, and the demo says so. */
  unexpectedExits = 0

  constructor(count: number, ordersOf: (slot: number, life: number) => WorkerOrders) {
    this.#ordersOf = ordersOf
    this.#lives = Array.from({ length: count }, () => 0)
  }

  /** Starts all workers and waits until each has joined its group. */
  async start(): Promise<void> {
    await Promise.all(this.#lives.map((_, slot) => once(this.#spawn(slot), 'message')))
  }

  /** SIGKILL: no clean-up, no goodbye. A new worker starts at once. */
  kill(slot: number): void {
    this.kills++
    const worker = this.#workers[slot]!
    worker.removeAllListeners('exit')
    worker.kill('SIGKILL')
    this.#spawn(slot)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#workers.map((worker) => stopWorker(worker)))
  }

  #spawn(slot: number): ChildProcess {
    const life = this.#lives[slot]!
    this.#lives[slot] = life + 1
    const worker = fork(workerFile, [JSON.stringify(this.#ordersOf(slot, life))], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // A worker that starts every second should not spend it on compiling.
      env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'semel-compile-cache') },
    })
    this.#workers[slot] = worker
    worker.on('exit', () => {
      if (this.#stopping) return
      this.unexpectedExits++
      this.#spawn(slot)
    })
    return worker
  }
}

async function stopWorker(worker: ChildProcess): Promise<void> {
  if (worker.exitCode !== null || worker.signalCode !== null) return
  const exited = once(worker, 'exit')
  const timer = setTimeout(() => worker.kill('SIGKILL'), stopDeadlineMs)
  if (worker.connected) worker.send('stop')
  await exited
  clearTimeout(timer)
}

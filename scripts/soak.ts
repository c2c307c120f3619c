import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { sqlite } from '../src/engines/sqlite/index.ts'
import { type Bus, openBus } from '../src/index.ts'
import { SeededRandom } from '../src/platform/seeded-random.ts'
import { input, output } from './soak/topics.ts'

const usage = `Publishers and groups in several processes on one SQLite file, killed, paused and restarted at random.

  npm run soak -- [--for 10m] [--seed N] [--rate N] [--json]

Ends with every count checked against the log; the exit status is 1 if anything is off.
`
const processes = 3
const faultEveryMs = 2_500
const drainMsMax = 120_000
/** A worker's memory at its end may be above that of its middle by at most this. */
const growthMibMax = 80
const workerFile = fileURLToPath(new URL('./soak/worker.ts', import.meta.url))
const mib = 2 ** 20

interface Soak {
  readonly folder: string
  readonly file: string
  readonly notes: string
  readonly random: SeededRandom
  readonly endMs: number
  readonly perSecond: number
  readonly workers: (ChildProcess | undefined)[]
  lives: number
  kills: number
  pauses: number
  restarts: number
  unexpected: number
  readonly rssMib: number[]
}

function start(soak: Soak, slot: number): void {
  const name = `worker-${slot}-${++soak.lives}`
  const publishFor = Math.max(0, soak.endMs - performance.now())
  const orders = {
    file: soak.file,
    notes: soak.notes,
    name,
    perSecond: soak.perSecond / processes,
    publishFor,
  }
  const worker = fork(workerFile, [JSON.stringify(orders)], {
    env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'semel-compile-cache') },
  })
  worker.on('exit', (code, signal) => {
    if (soak.workers[slot] !== worker) return
    if (code !== 0 || signal !== null) soak.unexpected++
    start(soak, slot)
  })
  soak.workers[slot] = worker
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
}

async function end(worker: ChildProcess | undefined, signal?: NodeJS.Signals): Promise<void> {
  if (worker === undefined || worker.exitCode !== null) return
  const exited = once(worker, 'exit')
  if (signal === undefined) worker.send('stop')
  else worker.kill(signal)
  await exited
}

/** One fault: a kill, a pause longer than the lease, or a clean restart; one time in four, nothing. */
async function fault(soak: Soak): Promise<void> {
  const slot = soak.random.below(processes)
  const worker = soak.workers[slot]!
  const kind = soak.random.below(4)
  if (kind === 0) {
    soak.kills++
    soak.workers[slot] = undefined
    await end(worker, 'SIGKILL')
    start(soak, slot)
  } else if (kind === 1) {
    soak.pauses++
    worker.kill('SIGSTOP')
    await pause(1_800)
    worker.kill('SIGCONT')
  } else if (kind === 2) {
    soak.restarts++
    soak.workers[slot] = undefined
    await end(worker)
    start(soak, slot)
  }
}

function sampleMemory(soak: Soak): void {
  for (const worker of soak.workers) {
    try {
      const pages = Number(readFileSync(`/proc/${worker?.pid}/statm`, 'utf8').split(' ')[1])
      soak.rssMib.push((pages * 4096) / mib)
    } catch {
      // The worker is being replaced.
    }
  }
}

async function lag(bus: Bus): Promise<number> {
  const { groups: known } = await bus.status()
  return known.reduce((sum, group) => sum + group.lagEvents, 0)
}

async function drain(bus: Bus): Promise<boolean> {
  const due = performance.now() + drainMsMax
  while (performance.now() < due) {
    if ((await lag(bus)) === 0) return true
    await pause(200)
  }
  return false
}

/** Recomputes every count from the log and the notes. Answers what is off. */
async function problems(bus: Bus, soak: Soak): Promise<{ off: string[]; figures: Record<string, number> }> {
  const off: string[] = []
  const expect = (good: boolean, what: string): void => void (good || off.push(what))
  const log = new Map<string, number>()
  for await (const { data } of bus.read(input)) {
    const id = `${data.publisher}/${data.n}`
    log.set(id, (log.get(id) ?? 0) + 1)
  }
  const notes = new Map<string, Map<string, number>>()
  for (const line of readFileSync(soak.notes, 'utf8').split('\n')) {
    const [kind, id] = line.split(' ')
    if (kind === undefined || id === undefined) continue
    const counts = notes.get(kind) ?? new Map<string, number>()
    notes.set(kind, counts)
    counts.set(id, (counts.get(id) ?? 0) + 1)
  }
  const acked = notes.get('acked') ?? new Map<string, number>()
  expect(
    [...acked.keys()].every((id) => log.has(id)),
    'an acknowledged event is missing (D1)',
  )
  expect(
    [...log.values()].every((times) => times === 1),
    'an id is in the log twice (N1)',
  )
  const refused = notes.get('not-applied') ?? new Map<string, number>()
  expect(
    [...refused.keys()].every((id) => !log.has(id)),
    'an event that was refused is in the log (U1)',
  )
  const emitted = new Map<string, number>()
  const counts = new Map<string, number>()
  let inOrder = true
  for await (const { data } of bus.read(output)) {
    const id = `${data.publisher}/${data.n}`
    emitted.set(id, (emitted.get(id) ?? 0) + 1)
    const count = (counts.get(data.key) ?? 0) + 1
    counts.set(data.key, count)
    if (data.count !== count) inOrder = false
  }
  expect(emitted.size === log.size, `exactly-once: ${emitted.size} effects of ${log.size} events (X1)`)
  expect(
    [...emitted.values()].every((times) => times === 1),
    'exactly-once: an effect twice (X1)',
  )
  expect(inOrder, 'exactly-once: a count per key does not rise by one (X1, O1)')
  const atLeast = notes.get('at-least-once') ?? new Map<string, number>()
  expect(atLeast.size === log.size, `at-least-once: ${atLeast.size} handled of ${log.size} (L1)`)
  const atMost = notes.get('at-most-once') ?? new Map<string, number>()
  expect(
    [...atMost.values()].every((times) => times === 1),
    'at-most-once: an event handled twice (A1)',
  )
  const figures = {
    events: log.size,
    acknowledged: acked.size,
    atMostOnceLost: log.size - atMost.size,
    atLeastOnceAgain: [...atLeast.values()].reduce((sum, times) => sum + times - 1, 0),
  }
  return { off, figures }
}

function milliseconds(text: string): number {
  const match = /^(\d+)(s|m|h)$/.exec(text)
  if (match === null) throw new RangeError(`--for must look like 90s, 10m or 1h, not ${JSON.stringify(text)}`)
  return Number(match[1]) * { s: 1_000, m: 60_000, h: 3_600_000 }[match[2] as 's' | 'm' | 'h']
}

async function run(options: {
  forMs: number
  seed: number
  perSecond: number
  json: boolean
}): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'semel-soak-'))
  const soak: Soak = {
    folder,
    file: join(folder, 'soak.db'),
    notes: join(folder, 'notes'),
    random: new SeededRandom(options.seed),
    endMs: performance.now() + options.forMs,
    perSecond: options.perSecond,
    workers: [],
    lives: 0,
    kills: 0,
    pauses: 0,
    restarts: 0,
    unexpected: 0,
    rssMib: [],
  }
  try {
    await using bus = await openBus({
      engine: sqlite({ file: soak.file }),
      topics: [input, output],
      member: 'observer',
    })
    for (let slot = 0; slot < processes; slot++) start(soak, slot)
    while (performance.now() < soak.endMs) {
      await pause(faultEveryMs)
      await fault(soak)
      sampleMemory(soak)
      if (!options.json) {
        const { kills, pauses, restarts } = soak
        console.log(`kills ${kills}  pauses ${pauses}  restarts ${restarts}  lag ${await lag(bus)}`)
      }
    }
    const drained = await drain(bus)
    sampleMemory(soak)
    await Promise.all(soak.workers.splice(0).map((worker) => end(worker)))
    return await judge(bus, soak, drained, options)
  } finally {
    for (const worker of soak.workers.splice(0)) worker?.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
}

async function judge(
  bus: Bus,
  soak: Soak,
  drained: boolean,
  options: { seed: number; json: boolean },
): Promise<boolean> {
  const { off, figures } = await problems(bus, soak)
  if (!drained) off.push(`groups were not at the end after ${drainMsMax} ms (V1)`)
  if (soak.unexpected > 0) off.push(`${soak.unexpected} workers ended without being killed`)
  const half = Math.floor(soak.rssMib.length / 2)
  const middle = Math.max(...soak.rssMib.slice(0, half))
  const late = Math.max(...soak.rssMib.slice(half))
  if (late - middle > growthMibMax) off.push(`memory grew from ${middle} to ${late} MiB`)
  const bytesPerEvent = statSync(soak.file).size / Math.max(1, figures.events! * 2)
  if (bytesPerEvent > 2_000) off.push(`the file holds ${bytesPerEvent} bytes an event`)
  const { kills, pauses, restarts } = soak
  const result = {
    seed: options.seed,
    kills,
    pauses,
    restarts,
    ...figures,
    middleMib: middle,
    lateMib: late,
    bytesPerEvent,
    off,
  }
  console.log(options.json ? JSON.stringify(result) : result)
  return off.length === 0
}

const { values } = parseArgs({
  options: {
    for: { type: 'string', default: '10m' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    rate: { type: 'string', default: '3000' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
if (values.help) console.log(usage)
else {
  const options = {
    forMs: milliseconds(values.for),
    seed: Number(values.seed),
    perSecond: Number(values.rate),
    json: values.json,
  }
  process.exitCode = (await run(options)) ? 0 : 1
}

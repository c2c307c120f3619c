import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { sqlite } from '../src/engines/sqlite/index.ts'
import { type Bus, openBus } from '../src/index.ts'
import { SeededRandom } from '../src/platform/seeded-random.ts'
import { input, isPoison, output, type SoakEvent } from './soak/topics.ts'

const usage = `Publishers and groups in several processes on one SQLite file, killed, paused and restarted at random.

  npm run soak -- [--for 10m] [--seed N] [--rate N] [--json]

Ends with every count checked against the log; the exit status is 1 if anything is off.
`
const processes = 3
const faultEveryMs = 2_500
/** So many faults apart, dead letters are redriven in the middle of it all. */
const redriveEvery = 6
const withDeadLetters = ['exactly-once', 'at-least-once'] as const
const drainMsMax = 120_000
/** A worker's memory at its end may be above that of its middle by at most this. */
const growthMibMax = 80
/** What the write-ahead log may come to, whoever is paused. */
const walMibMax = 300
const workerFile = fileURLToPath(new URL('./soak/worker.ts', import.meta.url))
const mib = 2 ** 20

interface Soak {
  readonly folder: string
  readonly file: string
  readonly notes: string
  readonly healed: string
  readonly random: SeededRandom
  readonly endMs: number
  readonly perSecond: number
  readonly workers: (ChildProcess | undefined)[]
  lives: number
  kills: number
  pauses: number
  restarts: number
  unexpected: number
  redriven: number
  walMib: number
  readonly rssMib: number[]
}

function start(soak: Soak, slot: number): void {
  const name = `worker-${slot}-${++soak.lives}`
  const publishFor = Math.max(0, soak.endMs - performance.now())
  const orders = {
    file: soak.file,
    notes: soak.notes,
    healed: soak.healed,
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
  const wal = statSync(`${soak.file}-wal`, { throwIfNoEntry: false })
  soak.walMib = Math.max(soak.walMib, Math.round((wal?.size ?? 0) / mib))
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

/** Asks for every open dead letter once more; answers how many there are. */
async function redrive(bus: Bus, soak: Soak): Promise<number> {
  let open = 0
  for (const group of withDeadLetters) {
    const letters = await bus.deadLetters(group).list({ topic: input.name, limit: 1_000 })
    await bus.deadLetters(group).redrive(letters)
    open += letters.length
  }
  soak.redriven += open
  return open
}

/** Heals what was poison for a while, and lets it be poison again. */
async function redriveNowAndThen(bus: Bus, soak: Soak, round: number): Promise<void> {
  if (round % redriveEvery === redriveEvery - 2) {
    writeFileSync(soak.healed, '')
    await redrive(bus, soak)
  } else if (round % redriveEvery === 0) rmSync(soak.healed, { force: true })
}

/** The group has handled everything, the dead letters too. */
async function drain(bus: Bus, soak: Soak): Promise<boolean> {
  writeFileSync(soak.healed, '')
  const due = performance.now() + drainMsMax
  while (performance.now() < due) {
    await pause(500)
    if ((await lag(bus)) > 0) continue
    if ((await redrive(bus, soak)) === 0) return true
  }
  return false
}

/** How often each event was noted, by what was noted. */
function readNotes(file: string): (kind: string) => ReadonlyMap<string, number> {
  const notes = new Map<string, Map<string, number>>()
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [kind, id] = line.split(' ')
    if (kind === undefined || id === undefined) continue
    const counts = notes.get(kind) ?? new Map<string, number>()
    notes.set(kind, counts)
    counts.set(id, (counts.get(id) ?? 0) + 1)
  }
  return (kind) => notes.get(kind) ?? new Map()
}

const idOf = ({ publisher, n }: SoakEvent): string => `${publisher}/${n}`

interface Log {
  /** Position of each event in its partition. */
  readonly offsets: ReadonlyMap<string, number>
  readonly perKey: ReadonlyMap<string, number>
  readonly off: readonly string[]
}

async function readLog(bus: Bus): Promise<Log> {
  const offsets = new Map<string, number>()
  const perKey = new Map<string, number>()
  const last = new Map<string, number>()
  let [twice, outOfOrder] = [0, 0]
  for await (const { data, partition, offset } of bus.read(input)) {
    if (offsets.has(idOf(data))) twice++
    offsets.set(idOf(data), offset)
    perKey.set(data.key, (perKey.get(data.key) ?? 0) + 1)
    const lane = `${data.publisher} ${partition}`
    if (data.n <= (last.get(lane) ?? -1)) outOfOrder++
    last.set(lane, data.n)
  }
  const off: string[] = []
  if (twice > 0) off.push(`${twice} ids are in the log twice (N1)`)
  if (outOfOrder > 0) off.push(`${outOfOrder} events are not in their publisher's order (P2)`)
  return { offsets, perKey, off }
}

/** What exactly-once left behind: one effect per event, counted in the order of its key, and the state they come to. */
async function effectsOff(bus: Bus, { offsets, perKey }: Log): Promise<string[]> {
  const emitted = new Set<string>()
  const counts = new Map<string, number>()
  const last = new Map<string, number>()
  let [twice, miscounted, outOfOrder] = [0, 0, 0]
  for await (const { data } of bus.read(output)) {
    if (emitted.has(idOf(data))) twice++
    emitted.add(idOf(data))
    const count = (counts.get(data.key) ?? 0) + 1
    counts.set(data.key, count)
    if (data.count !== count) miscounted++
    // A dead letter comes back when its key has gone on (O2).
    if (isPoison(data.n)) continue
    const offset = offsets.get(idOf(data)) ?? -1
    if (offset <= (last.get(data.key) ?? -1)) outOfOrder++
    last.set(data.key, offset)
  }
  const off: string[] = []
  const missing = offsets.size - emitted.size
  if (missing !== 0) off.push(`exactly-once: ${missing} events without effect (X1)`)
  if (twice > 0) off.push(`exactly-once: ${twice} effects twice (X1)`)
  if (miscounted > 0) off.push(`exactly-once: ${miscounted} counts do not rise by one (X1)`)
  if (outOfOrder > 0) off.push(`exactly-once: ${outOfOrder} effects out of the order of their key (O1)`)
  const state = await readCounts(bus)
  const wrong = [...perKey].filter(([key, count]) => state.get(key) !== count).length
  if (wrong > 0 || state.size !== perKey.size) off.push(`exactly-once: state of ${wrong} keys is wrong (X1)`)
  return off
}

async function readCounts(bus: Bus): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for (let partition = 0; partition < input.partitions; partition++) {
    const task = { group: 'exactly-once', topic: input.name, partition }
    const entries = await bus.engine.scanState({ task, store: 'count', after: undefined, limit: 1_000 })
    for (const { key, value } of entries) counts.set(key, Number(value))
  }
  return counts
}

/** Recomputes every count from the log and the notes. Answers what is off. */
async function problems(bus: Bus, soak: Soak): Promise<{ off: string[]; figures: Record<string, number> }> {
  const log = await readLog(bus)
  const notes = readNotes(soak.notes)
  const [acked, refused] = [notes('acked'), notes('not-applied')]
  const [atLeast, atMost] = [notes('at-least-once'), notes('at-most-once')]
  const { offsets } = log
  const off = [...log.off, ...(await effectsOff(bus, log))]
  const count = (ids: ReadonlyMap<string, number>, isOff: (id: string, times: number) => boolean): number =>
    [...ids].filter(([id, times]) => isOff(id, times)).length
  const expectNone = (found: number, what: string): void => void (found === 0 || off.push(`${found} ${what}`))
  expectNone(
    count(acked, (id) => !offsets.has(id)),
    'acknowledged events are missing (D1)',
  )
  expectNone(
    count(refused, (id) => offsets.has(id)),
    'events that were refused are in the log (U1)',
  )
  expectNone(
    count(offsets, (id) => !atLeast.has(id)),
    'events at-least-once did not handle (L1)',
  )
  expectNone(
    count(atMost, (_, times) => times > 1),
    'events at-most-once handled twice (A1)',
  )
  const figures = {
    events: offsets.size,
    acknowledged: acked.size,
    unknown: notes('unknown').size,
    refused: refused.size,
    redriven: soak.redriven,
    atMostOnceLost: offsets.size - atMost.size,
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
    healed: join(folder, 'healed'),
    random: new SeededRandom(options.seed),
    endMs: performance.now() + options.forMs,
    perSecond: options.perSecond,
    workers: [],
    lives: 0,
    kills: 0,
    pauses: 0,
    restarts: 0,
    unexpected: 0,
    redriven: 0,
    walMib: 0,
    rssMib: [],
  }
  try {
    await using bus = await openBus({
      engine: sqlite({ file: soak.file }),
      topics: [input, output],
      member: 'observer',
    })
    for (let slot = 0; slot < processes; slot++) start(soak, slot)
    for (let round = 1; performance.now() < soak.endMs; round++) {
      await pause(faultEveryMs)
      await fault(soak)
      await redriveNowAndThen(bus, soak, round)
      sampleMemory(soak)
      if (!options.json) {
        const { kills, pauses, restarts } = soak
        const { walMib } = soak
        console.log(
          `kills ${kills}  pauses ${pauses}  restarts ${restarts}  lag ${await lag(bus)}  log ${walMib} MiB`,
        )
      }
    }
    const drained = await drain(bus, soak)
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
  if (soak.walMib > walMibMax) off.push(`the write-ahead log grew to ${soak.walMib} MiB`)
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
    walMib: soak.walMib,
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

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { sqlite } from '../engines/sqlite/index.ts'
import { type Bus, openBus, RawJson, type Receipt } from '../index.ts'
import { realPlatform } from '../platform/real-platform.ts'
import { SeededRandom } from '../platform/seeded-random.ts'
import { sleep } from '../platform/wait.ts'
import { type GithubDelivery, githubDeliveries } from './github-deliveries.ts'
import { ProgressView } from './progress-view.ts'
import { countersGroup, deliveries, summaries } from './topics.ts'
import { logOrder, type Score, scoreNaive, scoreSemel, truthOf } from './verdict.ts'
import { WorkerPool } from './worker-pool.ts'

const workers = 3
const partitions = deliveries.partitions
const drainDeadlineMs = 30_000
const sendEvery = { ms: 20 }
const usage = `Counts real GitHub webhooks exactly once while worker processes are killed.

  npm start -- [--events N] [--kills N] [--seconds S] [--seed N] [--keep]

  --events N    deliveries in all, about a fifth of them repeated (default 20000)
  --kills N     SIGKILLs, spread over the run (default 20)
  --seconds S   how long the deliveries take to come in (default 24)
  --seed N      repeats the deliveries and the kills of a run (default: random, printed)
  --keep        leaves the database files in place and says where
`

interface DemoOptions {
  readonly events: number
  readonly kills: number
  readonly seconds: number
  readonly seed: number
  readonly keep: boolean
}

interface SendTotals {
  published: number
  duplicates: number
}

function readOptions(): DemoOptions | undefined {
  const { values } = parseArgs({
    options: {
      events: { type: 'string' },
      kills: { type: 'string' },
      seconds: { type: 'string' },
      seed: { type: 'string' },
      keep: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help === true) return undefined
  return {
    events: whole('--events', values.events, 20_000, 1, 1_000_000),
    kills: whole('--kills', values.kills, 20, 0, 10_000),
    seconds: whole('--seconds', values.seconds, 24, 1, 3600),
    seed: whole('--seed', values.seed, realPlatform.random.uint32(), 0, Number.MAX_SAFE_INTEGER),
    keep: values.keep ?? false,
  }
}

function whole(name: string, text: string | undefined, fallback: number, min: number, max: number): number {
  if (text === undefined) return fallback
  const value = Number(text)
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new RangeError(`${name} must be a whole number from ${min} to ${max}, not ${JSON.stringify(text)}`)
}

/** Sends every delivery at its time, several under way at once, the way webhooks come in. */
async function send(
  bus: Bus,
  input: readonly GithubDelivery[],
  seconds: number,
  totals: SendTotals,
): Promise<void> {
  const started = Date.now()
  const perMs = input.length / (seconds * 1000)
  const underWay: Promise<Receipt>[] = []
  for (let next = 0; next < input.length; ) {
    const due = Math.min(input.length, Math.ceil((Date.now() - started) * perMs))
    for (; next < due; next++) {
      const { deliveryId, type, repository, body } = input[next]!
      underWay.push(bus.publish(deliveries, new RawJson(body), { id: deliveryId, type, key: repository }))
    }
    for (const receipt of await Promise.all(underWay.splice(0))) {
      totals.published++
      if (receipt.duplicate) totals.duplicates++
    }
    await sleep(realPlatform, sendEvery.ms)
  }
}

async function killAtRandom(pool: WorkerPool, options: DemoOptions): Promise<void> {
  const random = new SeededRandom(options.seed + 1)
  const everyMs = (options.seconds * 1000) / Math.max(1, options.kills)
  for (let i = 0; i < options.kills; i++) {
    await sleep(realPlatform, everyMs * (0.5 + random.fraction()))
    pool.kill(random.below(workers))
  }
}

async function untilDrained(bus: Bus, naiveFile: string, expected: number): Promise<void> {
  const due = Date.now() + drainDeadlineMs
  const { openNaiveDatabase } = await import('./naive-counter.ts')
  const naive = openNaiveDatabase(naiveFile)
  const distinct = naive.prepare(
    'select count(distinct partition * 1000000000 + log_offset) as n from handled',
  )
  while (Date.now() < due) {
    const group = (await bus.status()).groups.find(({ group: name }) => name === countersGroup)
    if (group?.lagEvents === 0 && Number(distinct.get()?.n) >= expected) break
    await sleep(realPlatform, 100)
  }
  naive.close()
}

async function run(options: DemoOptions, folder: string): Promise<boolean> {
  const file = join(folder, 'semel.db')
  const naiveFile = join(folder, 'naive.db')
  const input = githubDeliveries(options.events, options.seed)
  const truth = truthOf(input)
  await using bus = await openBus({
    engine: sqlite({ file }),
    topics: [deliveries, summaries],
    member: 'sender',
  })
  const pool = new WorkerPool(workers, (slot, life) => ({
    file,
    naiveFile,
    member: `worker-${slot + 1}.${life + 1}`,
    naivePartitions: Array.from({ length: partitions }, (_, p) => p).filter((p) => p % workers === slot),
  }))
  const totals: SendTotals = { published: 0, duplicates: 0 }
  const view = new ProgressView(bus, { input: input.length, totals, pool, seed: options.seed })
  await pool.start()
  view.start()
  try {
    const sending = send(bus, input, options.seconds, totals)
    await Promise.all([sending, killAtRandom(pool, options)])
    await untilDrained(bus, naiveFile, truth.size)
  } finally {
    await pool.stop()
    view.stop()
  }
  const order = await logOrder(bus)
  const semel = await scoreSemel(bus, truth, order)
  const naive = scoreNaive(naiveFile, truth, order)
  const takeovers = (await bus.status()).groups
    .flatMap(({ tasks }) => tasks)
    .reduce((sum, { epoch }) => sum + Math.max(0, epoch - 1), 0)
  printVerdict({ options, totals, pool, takeovers, truth: truth.size, semel, naive })
  return isPerfect(semel, truth.size) && pool.unexpectedExits === 0 && order.size === truth.size
}

function isPerfect(score: Score, expected: number): boolean {
  return score.right === expected && score.lost === 0 && score.doubled === 0 && score.outOfOrder === 0
}

function printVerdict(result: {
  options: DemoOptions
  totals: SendTotals
  pool: WorkerPool
  takeovers: number
  truth: number
  semel: Score
  naive: Score
}): void {
  const { options, totals, pool, takeovers, truth, semel, naive } = result
  const row = (name: string, score: Score): string =>
    [name.padEnd(28), score.right, score.lost, score.doubled, score.outOfOrder]
      .map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en').padStart(15) : cell))
      .join('')
  const head = ['counted right', 'lost', 'doubled', 'out of order'].map((name) => name.padStart(15)).join('')
  console.log(`
published ${totals.published.toLocaleString('en')} deliveries, ${totals.duplicates.toLocaleString('en')} duplicates dropped, ${truth.toLocaleString('en')} distinct
kills ${pool.kills}, takeovers ${takeovers}, seed ${options.seed}

${' '.repeat(28)}${head}
${row('Semel, exactly-once', semel)}
${row('read, handle, save position', naive)}

${isPerfect(semel, truth) ? 'Semel: every webhook counted once, in order.' : 'Semel FAILED: the line above must be zero, zero, zero.'}${pool.unexpectedExits > 0 ? `\n${pool.unexpectedExits} workers died without being killed.` : ''}`)
}

const options = readOptions()
if (options === undefined) {
  console.log(usage)
} else {
  const folder = mkdtempSync(join(tmpdir(), 'semel-demo-'))
  try {
    process.exitCode = (await run(options, folder)) ? 0 : 1
  } finally {
    if (options.keep) console.log(`files: ${folder}`)
    else rmSync(folder, { recursive: true, force: true })
  }
}

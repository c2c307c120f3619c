// Measures the history checker: `node bench/history-checker.ts [operations]`. Reach (faults.md 3.6): 1,000,000
// operations in 60 s and 2 GB, from a file.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkHistory, HistoryRecorder, type PolledRecord } from '../src/testing/history/index.ts'
import { RealHistoryFile, StoredHistory } from '../src/testing/real-history-file.ts'

const partitions = 16
const batch = 20
const topic = 'orders'
const group = 'billing'
const linesPerWrite = 1000

/** Lines in chunks: this measures the checker, not the recorder. */
class ChunkedFile {
  readonly #file: RealHistoryFile
  #lines: string[] = []

  constructor(file: RealHistoryFile) {
    this.#file = file
  }

  append(line: string): void {
    if (this.#lines.push(line) === linesPerWrite) this.flush()
  }

  flush(): void {
    this.#file.append(this.#lines.join(''))
    this.#lines = []
  }
}

/** A right engine's history: for each event a publish, a handler and an effect, and for each twenty a poll and a commit. */
function write(path: string, operations: number): void {
  using file = new RealHistoryFile(path)
  const chunks = new ChunkedFile(file)
  let t = 0
  const clock = { monotonic: () => (t += 0.01) }
  const recorder = new HistoryRecorder({ node: 'n1', clock, file: chunks })
  const producers = Array.from({ length: partitions }, (_, p) => recorder.client(`producer-${p}`))
  const readers = Array.from({ length: partitions }, (_, p) => recorder.client(`reader-${p}`))
  const owners = Array.from({ length: partitions }, (_, p) => recorder.client(`owner-${p}`))
  const next = new Int32Array(partitions)
  let done = 0
  for (let round = 0; done < operations; round++) {
    const p = round % partitions
    const from = next[p]!
    const sent = Array.from({ length: batch }, (_, n) => ({
      topic,
      key: `key-${p}-${n % 7}`,
      id: `event-${p}-${from + n}`,
      val: `event-${p}-${from + n}`,
      crc: (from + n) | 0,
    }))
    const open = sent.map((event) => producers[p]!.start('publish', event))
    for (const [n, operation] of open.entries()) operation.ok({ p, off: from + n })
    const poll = readers[p]!.start('poll', { topic })
    const recs = sent.map(({ id, val, crc, key }, n): PolledRecord => [from + n, id, val, crc, key])
    poll.ok({ recs: { [p]: recs } })
    for (const [n, { id, key }] of sent.entries()) {
      const step = { g: group, topic, p, off: from + n, epoch: 1, key }
      owners[p]!.start('handle', { ...step, id, attempt: 1 }).ok()
      owners[p]!.observed('effect', { ...step, sink: 'balance' })
    }
    owners[p]!.start('commit', { g: group, topic, p, off: from + batch, epoch: 1 }).ok()
    next[p] = from + batch
    done += 3 * batch + 2
  }
  chunks.flush()
}

function check(path: string): void {
  const started = performance.now()
  const report = checkHistory(new StoredHistory(path))
  const seconds = (performance.now() - started) / 1000
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage()
  const figures = {
    verdict: report.verdict,
    operations: report.operations,
    lines: report.events,
    fileMb: Math.round(statSync(path).size / 1e6),
    seconds: Number(seconds.toFixed(1)),
    cpuSeconds: Number(((userCPUTime + systemCPUTime) / 1e6).toFixed(1)),
    operationsPerSecond: Math.round(report.operations / seconds),
    peakRssMb: Math.round(maxRSS / 1024),
  }
  console.log(JSON.stringify(figures))
  if (report.reasons.length > 0) console.log(report.reasons.join('\n'))
}

const [first = '1000000', path] = process.argv.slice(2)
if (first === '--check' && path !== undefined) check(path)
else {
  const folder = mkdtempSync(join(tmpdir(), 'semel-history-'))
  try {
    const file = join(folder, 'history.ndjson')
    write(file, Number(first))
    // In a process of its own, so that its memory is the checker's alone.
    execFileSync(process.execPath, [fileURLToPath(import.meta.url), '--check', file], { stdio: 'inherit' })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

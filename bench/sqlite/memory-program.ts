import { batchEvents, orderOf, orders } from '../workload.ts'
import { openSqliteBus } from './by-hand.ts'

/*
 * What the case `memory` measures, alone in its process: `node memory-program.js FOLDER`, compiled. Prints its figures as JSON.
 */

const total = 10_000_000
const mb = 1e6

/** The least-squares line through points, kept as sums: a list of them would be part of what is measured. */
class Line {
  #n = 0
  #x = 0
  #y = 0
  #xx = 0
  #xy = 0

  add(x: number, y: number): void {
    this.#n++
    this.#x += x
    this.#y += y
    this.#xx += x * x
    this.#xy += x * y
  }

  get slope(): number {
    return (this.#n * this.#xy - this.#x * this.#y) / (this.#n * this.#xx - this.#x * this.#x)
  }
}

await using bus = await openSqliteBus(process.argv[2]!)
let handled = 0
bus.consume(orders, { group: 'bench', guarantee: 'at-least-once' }, async () => {
  handled++
})
let rssMax = 0
const later = new Line()
const started = performance.now()
for (let n = 0; n < total; n += batchEvents) {
  await bus.publishMany(Array.from({ length: batchEvents }, (_, i) => orders.event(orderOf(n + i))))
  const rss = process.memoryUsage.rss()
  if (rss > rssMax) rssMax = rss
  if (n >= total / 3) later.add(n / 1e6, rss / mb)
}
while (handled < total) await new Promise((resolve) => setTimeout(resolve, 20))
const seconds = (performance.now() - started) / 1_000
const rss = process.memoryUsage.rss()
const { storage } = await bus.status()
const figures = {
  rssMaxMB: Math.max(rssMax, rss) / mb,
  rssEndMB: rss / mb,
  growthMBPerMillionEvents: later.slope,
  ofItIdsMBPerMillionEvents: Number(storage.dedupMemoryBytes) / mb / (total / 1e6),
  eventsPerSecond: Math.round(total / seconds),
}
process.stdout.write(`${JSON.stringify(figures)}\n`)
process.exit(0)

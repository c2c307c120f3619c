import { sqlite } from '../../src/engines/sqlite/index.ts'
import { isSemelError, openBus } from '../../src/index.ts'
import { HistoryProbe, HistoryRecorder } from '../../src/testing/history/index.ts'
import { hostClock, RealHistoryFile } from '../../src/testing/real-history-file.ts'
import { faultEvents, numbers } from './crash-topics.ts'

/**
 * Publishes numbers one after the other on a disk that fails, goes on after every error, and says in JSON how each
 * of them ended and what can be read afterwards. The history lies on a disk that no fault touches.
 */
const life: { file: string; history: string; node: string } = JSON.parse(process.argv[2]!)
const file = new RealHistoryFile(life.history)
const probe = new HistoryProbe(new HistoryRecorder({ node: life.node, clock: hostClock, file }))
const ends: { n: number; code: string; outcome: string }[] = []
let read = -1
try {
  const bus = await openBus({ engine: probe.engine(sqlite({ file: life.file })), topics: [numbers] })
  for (let n = 0; n < faultEvents; n++) {
    const data = { n, filler: 'x'.repeat(2_000) }
    const end = await probe
      .publish(bus, { topic: numbers, data, id: `n-${n}`, key: null })
      .then(() => ({ code: 'ok', outcome: 'applied' }), describe)
    ends.push({ n, ...end })
  }
  read = (await probe.readAll(bus, numbers)).length
  await bus.stop()
} catch (error) {
  ends.push({ n: -1, ...describe(error) })
}
console.log(JSON.stringify({ ends, read }))

function describe(error: unknown): { code: string; outcome: string } {
  if (isSemelError(error)) return { code: error.code, outcome: error.outcome }
  return { code: String(error), outcome: 'unknown' }
}

import { sqlite } from '../../src/engines/sqlite/index.ts'
import { isSemelError, openBus } from '../../src/index.ts'
import { faultEvents, numbers } from './crash-topics.ts'

/**
 * Publishes numbers one after the other on a disk that fails, goes on after every error, and says in JSON how each
 * of them ended and what can be read afterwards.
 */
const [file] = process.argv.slice(2)
const ends: { n: number; code: string; outcome: string }[] = []
let read = -1
try {
  const bus = await openBus({ engine: sqlite({ file: file! }), topics: [numbers] })
  for (let n = 0; n < faultEvents; n++) {
    const end = await bus
      .publish(numbers, { n, filler: 'x'.repeat(2_000) }, { id: `n-${n}` })
      .then(() => ({ code: 'ok', outcome: 'applied' }), describe)
    ends.push({ n, ...end })
  }
  read = 0
  for await (const _ of bus.read(numbers)) read++
  await bus.stop()
} catch (error) {
  ends.push({ n: -1, ...describe(error) })
}
console.log(JSON.stringify({ ends, read }))

function describe(error: unknown): { code: string; outcome: string } {
  if (isSemelError(error)) return { code: error.code, outcome: error.outcome }
  return { code: String(error), outcome: 'unknown' }
}

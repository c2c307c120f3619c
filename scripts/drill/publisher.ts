import { setTimeout as pause } from 'node:timers/promises'
import { postgres } from '../../src/engines/postgres/index.ts'
import { hasCode, isSemelError, openBus } from '../../src/index.ts'
import { idOf, type Message, results, steps } from './topics.ts'

/**
 * A program that publishes: some lanes side by side, each step until it is acknowledged, again and again under its own
 * id. Ends when it is told to, or when the log lacks what was acknowledged (D6): that is for people to decide.
 */
const [url, lanesJson] = process.argv.slice(2)
const lanes: readonly { readonly lane: string; readonly next: number }[] = JSON.parse(lanesJson!)
const retryPauseMs = 50
let stopping = false
process.on('message', () => {
  stopping = true
})

const bus = await openBus({ engine: postgres({ url: url! }), topics: [steps, results] })
tell({ kind: 'ready' })
const ends = await Promise.all(lanes.map(({ lane, next }) => runLane(lane, next)))
const regressed = ends.find((end) => end !== undefined)
tell(regressed === undefined ? { kind: 'ended' } : { kind: 'regressed', message: regressed })
await bus.stop().catch(() => undefined)
process.disconnect()

async function runLane(lane: string, next: number): Promise<string | undefined> {
  for (let n = next; !stopping; n++) {
    const regression = await publishUntilAcknowledged(lane, n)
    if (regression !== undefined) return regression
    tell({ kind: 'acknowledged', lane, n })
  }
  return undefined
}

async function publishUntilAcknowledged(lane: string, n: number): Promise<string | undefined> {
  for (;;) {
    try {
      await bus.publish(steps, { lane, n }, { id: idOf({ lane, n }) })
      return undefined
    } catch (error) {
      if (isSemelError(error) && hasCode(error, 'LOG_REGRESSED')) return error.message
      if (!isSemelError(error) || !(error.retryable || error.outcome === 'unknown')) throw error
      await pause(retryPauseMs)
    }
  }
}

function tell(message: Message): void {
  process.send!(message)
}

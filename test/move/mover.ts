import { sqlite } from '../../src/engines/sqlite/index.ts'
import { type MoveStep, moveTopic, openBus } from '../../src/index.ts'
import { wrapEngine } from '../support/wrap-engine.ts'
import { booked, payments } from './topics.ts'

/** A move that is struck by `signal` when it begins `step`, or after so many units of the target since it holds the source. */
export interface Strike {
  readonly signal: 'SIGKILL' | 'SIGSTOP'
  readonly step?: MoveStep
  readonly units?: number
}

const [from, to, holdMs, text] = process.argv.slice(2)
const strike: Strike | undefined = text === undefined ? undefined : JSON.parse(text)
let struck = false
let units = Number.NEGATIVE_INFINITY

function hit(): void {
  if (struck) return
  struck = true
  process.kill(process.pid, strike!.signal)
}

const engine = sqlite({ file: to! })
const struckEngine = wrapEngine(engine, {
  commit: async (unit) => {
    await engine.commit(unit)
    if (++units === strike?.units) hit()
  },
})
await using source = await openBus({ engine: sqlite({ file: from! }), topics: [payments, booked] })
await using target = await openBus({ engine: struckEngine, topics: [payments, booked] })
const result = await moveTopic({
  from: source,
  to: target,
  topic: payments,
  place: to!,
  holdMs: Number(holdMs),
  onProgress: ({ step }) => {
    if (step === 'holding') units = 0
    if (step === strike?.step) hit()
  },
})
process.stdout.write(JSON.stringify(result))

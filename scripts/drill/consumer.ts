import { setTimeout as pause } from 'node:timers/promises'
import { postgres } from '../../src/engines/postgres/index.ts'
import { hasCode, openBus } from '../../src/index.ts'
import { group, type Message, results, steps } from './topics.ts'

/** A program that consumes: counts in state, writes the user's table, emits; all in one transaction (X1). */
const lookEveryMs = 20
const bus = await openBus({ engine: postgres({ url: process.argv[2]! }), topics: [steps, results] })
let stopping = false
process.on('message', () => {
  stopping = true
})

const consumer = bus.consume(steps, { group, leaseMs: 2_000 }, async ({ data }, tx) => {
  const state = tx.state<number>('count')
  const count = ((await state.get()) ?? 0) + 1
  await state.set(count)
  tx.emit(results, { ...data, count })
  const row = [data.lane, data.n, String(process.pid)]
  await tx.query('insert into public.effects (lane, n, program) values ($1, $2, $3)', row)
})
await consumer.ready()
tell({ kind: 'ready' })

let regressed: Error | undefined
while (!stopping && regressed === undefined) {
  await pause(lookEveryMs)
  const errors = [consumer.error, ...consumer.tasks().map(({ error }) => error)]
  regressed = errors.find((error) => hasCode(error, 'LOG_REGRESSED'))
}
tell(regressed === undefined ? { kind: 'ended' } : { kind: 'regressed', message: regressed.message })
await bus.stop({ deadlineMs: 5_000 }).catch(() => undefined)
process.disconnect()

function tell(message: Message): void {
  process.send!(message)
}

import { existsSync, openSync, writeSync } from 'node:fs'
import { type Bus, isSemelError, openBus } from '../../src/index.ts'
import { type Address, engineAt } from './storage.ts'
import { groups, isPoison, type SoakEvent, soakKeys, soakTopics, stumbles } from './topics.ts'

/** One soak process: publishes at a steady rate and is a member of all three groups. Killed and paused at will. */
export interface Orders {
  address: Address
  notes: string
  /** While this file exists, nothing is poison. */
  healed: string
  name: string
  perSecond: number
  publishFor: number
}
// Whoever judges is gone: nobody would read what comes of this. From here on, as opening may take for ever.
process.on('disconnect', () => process.exit())
const orders: Orders = JSON.parse(process.argv[2]!)
const underWayMax = 2_000
const notes = openSync(orders.notes, 'a')
const note = (kind: string, text: string): void => void writeSync(notes, `${kind} ${text}\n`)
const { facts } = await engineAt(orders.address)
const dedups = facts.dedup === 'topic'
const { input, output } = soakTopics(dedups)
const bus = await open()

for (const guarantee of groups) {
  bus.consume(
    input,
    { group: guarantee, guarantee, leaseMs: 1_000, retry: { attempts: 4, baseDelayMs: 5 } },
    async (event, tx) => {
      const { n, publisher, key } = event.data
      if (guarantee === 'at-most-once') {
        note(guarantee, `${publisher}/${n}`)
        return
      }
      if (event.attempt === 1 && stumbles(n)) throw new Error('the first attempt of this one fails')
      if (isPoison(n) && !existsSync(orders.healed)) throw new Error('no attempt at this one succeeds')
      if (guarantee === 'at-least-once') {
        note(guarantee, `${publisher}/${n}`)
        return
      }
      const state = tx.state<number>('count')
      const count = ((await state.get()) ?? 0) + 1
      await state.set(count)
      tx.emit(output, { n, publisher, key, count })
    },
  )
}

let stopping = false
process.on('message', () => {
  stopping = true
})
const started = performance.now()
let n = 0
let underWay = 0
while (!stopping && performance.now() < started + orders.publishFor) {
  // At its rate, however long a publish takes; after a pause there is much to send at once.
  const due = ((performance.now() - started) * orders.perSecond) / 1_000
  for (; n < due && underWay < underWayMax; n++) {
    underWay++
    void publish(n).finally(() => underWay--)
  }
  await new Promise((resolve) => setTimeout(resolve, 20))
}
while (underWay > 0) await new Promise((resolve) => setTimeout(resolve, 20))
while (!stopping) await new Promise((resolve) => setTimeout(resolve, 50))
await bus.stop({ deadlineMs: 10_000 })
process.send?.('stopped', () => process.disconnect())

async function publish(number: number): Promise<void> {
  const id = `${orders.name}/${number}`
  const event = { n: number, publisher: orders.name, key: `key-${(number * 31) % soakKeys}` }
  try {
    const { offset } = await bus.publish(input, event, { id })
    note('acked', id)
    // Every tenth is published again, as after an answer that was lost.
    if (dedups && number % 10 === 0) await publishAgain(event, id, offset)
  } catch (error) {
    if (!isSemelError(error)) throw error
    note(error.outcome, id)
  }
}

/** It is there, so whatever becomes of this call says nothing about it, but its answer must be the first one's. */
async function publishAgain(event: SoakEvent, id: string, offset: number): Promise<void> {
  try {
    const again = await bus.publish(input, event, { id })
    if (!again.duplicate || again.offset !== offset) note('other-answer', id)
  } catch (error) {
    if (!isSemelError(error) || error.code === 'ID_CONFLICT') throw error
  }
}

/** The server may be down when this process starts; it is back soon. */
async function open(): Promise<Bus> {
  for (;;) {
    try {
      const engine = await engineAt(orders.address)
      return await openBus({ engine, topics: [input, output], member: orders.name })
    } catch (error) {
      if (!isSemelError(error) || !error.retryable) throw error
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
}

// An event that no attempt can handle goes to the group's dead letters, and back when the reason is gone.
// In a program of your own, import from 'semel' and 'semel/memory'.
import { setTimeout } from 'node:timers/promises'
import { memory } from '../src/engines/memory/index.ts'
import { openBus, topic } from '../src/index.ts'

const parcels = topic<{ to: string }>('parcels', { partitions: 1 })
const bus = await openBus({ engine: memory(), topics: [parcels] })

let addressBookIsComplete = false
const retry = { attempts: 2, baseDelayMs: 5 }

bus.consume(parcels, { group: 'shipping', retry, concurrency: 1 }, ({ data }) => {
  if (data.to === 'atlantis' && !addressBookIsComplete) throw new Error('no such place')
  console.log(`shipped to ${data.to}`)
})

await bus.publishMany(['paris', 'atlantis', 'rome'].map((to) => parcels.event({ to })))

// The letter and the group's position are one commit: it is never lost and never in two places.
const letters = bus.deadLetters('shipping')
while ((await lag()) > 0) await setTimeout(10)
for (const { event, error, attempts } of await letters.list())
  console.log(`gave up on offset ${event.offset} after ${attempts} attempts: ${error.message}`)

addressBookIsComplete = true
await letters.redrive(await letters.list())
while ((await letters.list()).length > 0) await setTimeout(10)
console.log('no dead letters left')
await bus.stop()

async function lag(): Promise<number> {
  const { groups } = await bus.status()
  return groups.reduce((sum, { lagEvents }) => sum + lagEvents, 0)
}

// Prints:
// shipped to paris
// shipped to rome
// gave up on offset 1 after 2 attempts: no such place
// shipped to atlantis
// no dead letters left

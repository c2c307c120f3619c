import { type BenchCase, type Figures, rate } from '../measure.ts'
import {
  publishBatch as publishBatchOn,
  publishConcurrent as publishConcurrentOn,
} from '../semel-programs.ts'
import { batchEvents } from '../workload.ts'
import { createTopics, eventHeaders, type HeaderSource, inBothModes, Sender } from './by-hand.ts'

const batchCount = 300_000
const singleCount = 150_000
const inFlight = 256
const callsUnderWay = 2
const warmUp = 30_000

export const publishBatch: BenchCase = {
  name: 'publish-batch',
  figure: 'eventsPerSecond',
  better: 'higher',
  reach: {},
  ratios: { 'plain producer, calls of 1,000': 0.85, 'bare client, same records': 0 },
  programs: {
    ...inBothModes((bus) => publishBatchOn(bus, batchCount)),
    'plain producer, calls of 1,000': () => measured(batches, batchCount),
    'bare client, same records': () => measured(batches, batchCount, eventHeaders('plain')),
  },
}

async function measured(
  run: (sender: Sender, count: number) => Promise<void>,
  count: number,
  headers?: HeaderSource,
): Promise<Figures> {
  await createTopics('plain')
  const sender = await Sender.open('plain', headers)
  await run(sender, warmUp)
  const started = performance.now()
  await run(sender, count)
  return { eventsPerSecond: rate(count, started) }
}

async function batches(sender: Sender, count: number): Promise<void> {
  let next = 0
  const caller = async (): Promise<void> => {
    while (next < count) {
      for (const end = next + batchEvents; next < end; next++) sender.send(next)
      await sender.acknowledged()
    }
  }
  await Promise.all(Array.from({ length: callsUnderWay }, caller))
}

export const publishConcurrent: BenchCase = {
  name: 'publish-concurrent',
  figure: 'eventsPerSecond',
  better: 'higher',
  reach: {},
  ratios: { 'plain producer, 256 under way': 0.85, 'bare client, same records': 0 },
  programs: {
    ...inBothModes((bus) => publishConcurrentOn(bus, singleCount)),
    'plain producer, 256 under way': () => measured(singles, singleCount),
    'bare client, same records': () => measured(singles, singleCount, eventHeaders('plain')),
  },
}

/** Each acknowledgement sends the next event. */
async function singles(sender: Sender, count: number): Promise<void> {
  let next = 0
  sender.onAcknowledged = () => {
    if (next < count) sender.send(next++)
  }
  while (next < inFlight) sender.send(next++)
  while (next < count) await sender.acknowledged()
  await sender.acknowledged()
  sender.onAcknowledged = undefined
}

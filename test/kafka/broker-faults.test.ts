import { after, before, test } from 'node:test'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { JudgedGroup } from '../rig/kafka/judged-group.ts'

let cluster: Kafka
/** What is under way when a broker dies is given up after so long. */
const quick = { operationMs: 8_000, transactionTimeoutMs: 8_000 }
before(async () => {
  const settings = { 'group.consumer.session.timeout.ms': 3_000, 'group.consumer.heartbeat.interval.ms': 300 }
  cluster = await startKafka({ brokers: 3, settings })
})
after(() => cluster.stop())

test('brokers killed, paused and rolled one after another: the group goes on, and the checker finds nothing lost, doubled or late (K1, D1, X1, U3, V1)', async () => {
  await using run = await JudgedGroup.open({ brokers: cluster.bootstrap, prefix: 'faults.', ...quick }, 2)
  const [first, second, third] = cluster.brokers
  await run.progress(20)

  await run.fault('kill', async () => {
    await first!.kill9()
    await run.progress(20)
    await first!.start(3)
  })
  await cluster.inSync()
  await run.fault('pause', async () => {
    await second!.pause()
    // The other two notice that it is silent, and take over what it led.
    await run.progress(20)
    second!.resume()
  })
  await cluster.inSync()
  await run.fault('roll', async () => {
    for (const broker of [first!, second!, third!]) {
      await broker.stop()
      await run.progress(10)
      await broker.start(3)
      await cluster.inSync()
    }
  })

  await run.progress(20)
  await run.finish({ minOk: { publish: 90, handle: 90 }, plannedFaults: { kill: 1, pause: 1, roll: 1 } })
})

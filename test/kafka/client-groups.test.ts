import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Admin, Consumer, TopicPartition } from '../../src/engines/kafka/client-types.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import {
  abort,
  assignedTo,
  assignPartitions,
  begin,
  call,
  commit,
  createTopic,
  disconnect,
  joinGroup,
  openAdmin,
  openConsumer,
  openTransactional,
  type Protocol,
  pollUntil,
  produceAll,
  revokePartitions,
  sendOffsets,
} from '../rig/kafka/client.ts'
import { groupState } from '../rig/kafka/questions.ts'

let kafka: Kafka
let admin: Admin
before(async () => {
  const settings = { 'group.consumer.session.timeout.ms': 1_500, 'group.consumer.heartbeat.interval.ms': 300 }
  kafka = await startKafka({ brokers: 1, settings })
  admin = openAdmin(kafka.bootstrap)
  await createTopic(admin, 'in', 2)
  await createTopic(admin, 'out', 1)
})
after(async () => {
  admin.disconnect()
  await kafka.stop()
})

const offsetOf = (partition: number, offset: number) => [{ topic: 'in', partition, offset }]

async function committedOf(consumer: Consumer, partition: number): Promise<number | undefined> {
  const ask = [{ topic: 'in', partition }]
  const [answer] = await call<TopicPartition[]>((done) => consumer.committed(ask, 5_000, done))
  return answer?.offset
}

for (const protocol of ['consumer', 'classic'] satisfies Protocol[]) {
  describe(`group.protocol=${protocol}`, () => {
    test('offsets become visible with their transaction, and committed() waits for a transaction that is ending', async () => {
      const member = await joinGroup(kafka.bootstrap, `visible-${protocol}`, 'in', protocol)
      await pollUntil([member], () => assignedTo(member).length === 2)
      assert.equal(member.consumer.rebalanceProtocol(), 'COOPERATIVE')
      assert.equal(await committedOf(member.consumer, 0), undefined)
      const producer = await openTransactional(kafka.bootstrap, `visible-${protocol}`)
      await begin(producer)
      await sendOffsets(producer, member.consumer, offsetOf(0, 7))
      await commit(producer)
      assert.equal(await committedOf(member.consumer, 0), 7)
      await begin(producer)
      await sendOffsets(producer, member.consumer, offsetOf(0, 9))
      await abort(producer)
      assert.equal(await committedOf(member.consumer, 0), 7)
      await disconnect(producer)
      await disconnect(member.consumer)
    })

    test('a revoked partition stays ours until we give it back, and can be committed until then', async () => {
      const group = `handover-${protocol}`
      const first = await joinGroup(kafka.bootstrap, group, 'in', protocol)
      await pollUntil([first], () => assignedTo(first).length === 2)
      first.hold = true
      const second = await joinGroup(kafka.bootstrap, group, 'in', protocol)
      await pollUntil([first, second], () => first.held.length === 1)
      const moving = first.held[0]!.partition
      let polls = 0
      await pollUntil([first, second], () => ++polls > 50)
      assert.deepEqual(assignedTo(second), [])

      const producer = await openTransactional(kafka.bootstrap, group)
      await begin(producer)
      await sendOffsets(producer, first.consumer, offsetOf(moving, 3))
      await commit(producer)
      first.hold = false
      first.giveBack()

      await pollUntil([first, second], () => assignedTo(second).length === 1)
      assert.deepEqual(assignedTo(second), [moving])
      assert.equal(await committedOf(second.consumer, moving), 3)
      assert.equal(first.rebalances.find(({ code }) => code === revokePartitions)?.lost, false)
      for (const { consumer } of [second, first]) await disconnect(consumer)
      await disconnect(producer)
    })

    test('the broker does not mind offsets for the partition of another member: who owns what is ours to check', async () => {
      const group = `foreign-${protocol}`
      const first = await joinGroup(kafka.bootstrap, group, 'in', protocol)
      const second = await joinGroup(kafka.bootstrap, group, 'in', protocol)
      await pollUntil(
        [first, second],
        () => assignedTo(first).length === 1 && assignedTo(second).length === 1,
      )
      const foreign = assignedTo(second)[0]!
      const producer = await openTransactional(kafka.bootstrap, group)
      await begin(producer)
      await sendOffsets(producer, first.consumer, offsetOf(foreign, 5))
      await commit(producer)
      assert.equal(await committedOf(second.consumer, foreign), 5)
      for (const { consumer } of [first, second]) await disconnect(consumer)
      await disconnect(producer)
    })

    test('a stopped member whose tasks were taken over cannot commit its unit: error 25, abort needed', async () => {
      const group = `zombie-${protocol}`
      const program = join(import.meta.dirname, '../rig/kafka/zombie.ts')
      const zombie = fork(program, [kafka.bootstrap, group, protocol])
      await once(zombie, 'message')
      zombie.kill('SIGSTOP')
      const heir = await joinGroup(kafka.bootstrap, group, 'in', protocol)
      await pollUntil([heir], () => assignedTo(heir).length === 2)
      const said = once(zombie, 'message')
      zombie.send('go')
      zombie.kill('SIGCONT')
      const [{ offsets, end, lost }] = await said

      assert.equal(offsets.code, 25) // UNKNOWN_MEMBER_ID
      assert.deepEqual([offsets.isFatal, offsets.isTxnRequiresAbort], [false, true])
      assert.equal(end.code, 25)
      assert.equal(lost, true)
      const gone = zombie.exitCode === null ? once(zombie, 'exit') : undefined
      let left = false
      void gone?.then(() => {
        left = true
      })
      await pollUntil([heir], () => gone === undefined || left)
      await disconnect(heir.consumer)
    })
  })
}

test('a member epoch is shown by the broker, but not by the client', async () => {
  const member = await joinGroup(kafka.bootstrap, 'epochs', 'in', 'consumer')
  await pollUntil([member], () => assignedTo(member).length === 2)
  const before = await groupState(kafka.brokers[0]!.port, 'epochs')
  assert.equal(before.members.length, 1)
  const second = await joinGroup(kafka.bootstrap, 'epochs', 'in', 'consumer')
  await pollUntil([member, second], () => assignedTo(second).length === 1)
  const later = await groupState(kafka.brokers[0]!.port, 'epochs')
  assert.ok(later.epoch > before.epoch)
  assert.ok(
    member.rebalances.some(({ code, partitions }) => code === assignPartitions && partitions.length === 2),
  )
  for (const { consumer } of [second, member]) await disconnect(consumer)
})

test('without a generation nothing is fenced: who only assigned may commit, even into a group with members', async () => {
  const consumer = await openConsumer(kafka.bootstrap, 'unfenced')
  consumer.assign([{ topic: 'in', partition: 0, offset: 0 }])
  const member = await joinGroup(kafka.bootstrap, 'unfenced', 'in', 'consumer')
  await pollUntil([member], () => assignedTo(member).length === 2)
  const producer = await openTransactional(kafka.bootstrap, 'unfenced')
  await begin(producer)
  await sendOffsets(producer, consumer, offsetOf(0, 4))
  await commit(producer)
  assert.equal(await committedOf(member.consumer, 0), 4)
  await disconnect(member.consumer)
  await disconnect(consumer)
  await disconnect(producer)
})

test('one call for all offsets of a transaction: every further one waits for the retry backoff', async () => {
  const member = await joinGroup(kafka.bootstrap, 'one-call', 'in', 'consumer')
  await pollUntil([member], () => assignedTo(member).length === 2)
  const producer = await openTransactional(kafka.bootstrap, 'one-call')
  await begin(producer)
  await produceAll(producer, 'out', [{ value: 'x', partition: 0 }])
  await sendOffsets(producer, member.consumer, [...offsetOf(0, 1), ...offsetOf(1, 1)])
  await commit(producer)
  assert.deepEqual([await committedOf(member.consumer, 0), await committedOf(member.consumer, 1)], [1, 1])
  await disconnect(member.consumer)
  await disconnect(producer)
})

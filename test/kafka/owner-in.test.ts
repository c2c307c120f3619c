import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type GroupState, ownerIn } from '../../src/engines/kafka/group-questions.ts'

const place = { topic: 'log', partition: 1 }
const member = (memberId: string, clientId: string, epoch: number, ...partitions: number[]) => {
  const assigned = partitions.map((partition) => ({ topic: 'log', partition }))
  return { memberId, clientId, epoch, assigned }
}
const groupOf = (...members: GroupState['members']): GroupState => ({ state: 'Stable', epoch: 9, members })

test("who owns a task for its group's coordinator: the member of this client that is listed with its partition (Z1)", () => {
  const group = groupOf(member('a', 'me', 4, 0, 2), member('b', 'me', 5, 1), member('c', 'other', 6, 3))
  assert.equal(ownerIn(group, 'me', place, undefined)?.memberId, 'b')
  assert.equal(ownerIn(group, 'me', { ...place, partition: 3 }, undefined), undefined)
  assert.equal(ownerIn(group, 'me', { ...place, topic: 'orders' }, undefined), undefined)
})

test('a partition that is handed over is listed with nobody, and its member may commit until another one has it (Z1)', () => {
  const group = groupOf(member('a', 'me', 4, 0), member('c', 'other', 6, 2))
  assert.equal(ownerIn(group, 'me', place, undefined), undefined)
  assert.equal(ownerIn(group, 'me', place, 'a')?.epoch, 4)
  assert.equal(ownerIn(group, 'me', place, 'gone'), undefined)
  const given = groupOf(member('a', 'me', 5, 0), member('c', 'other', 6, 1, 2))
  assert.equal(ownerIn(given, 'me', place, 'a'), undefined)
})

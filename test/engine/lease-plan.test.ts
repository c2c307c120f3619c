import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { planBalance } from '../../src/engine/lease-plan.ts'
import type { LeaseRow } from '../../src/engine/lease-table.ts'

const no = () => false

function plansOf(members: readonly string[], rows: readonly LeaseRow[]) {
  return members.map((member) => {
    const mine = new Set(rows.filter(({ owner }) => owner === member).map(({ task }) => task))
    return planBalance({
      member,
      members,
      rows,
      held: (task) => mine.has(task),
      leaving: no,
      adopted: no,
      neglected: no,
    })
  })
}

test('from any distribution, one round of giving up and one of taking is balanced, with no needless move', () => {
  const input = fc.record({
    members: fc.uniqueArray(fc.stringMatching(/^[a-e]{1,3}$/), { minLength: 1, maxLength: 6 }),
    owners: fc.array(fc.nat(9), { minLength: 1, maxLength: 40 }),
  })
  fc.assert(
    fc.property(input, ({ members: names, owners }) => {
      const members = [...names].sort()
      const rows = owners.map((owner, partition): LeaseRow => {
        return { task: { group: 'g', topic: 't', partition }, epoch: 1, owner: members[owner] }
      })
      const given = new Set(plansOf(members, rows).flatMap(({ surplus }) => surplus))
      const freed = rows.map((row) => (given.has(row) ? { ...row, owner: undefined } : row))
      const wanted = plansOf(members, freed).map((plan) => plan.wanted)
      const free = freed.filter(({ owner }) => owner === undefined)
      assert.equal(wanted.flat().length, free.length, 'quotas add up to all tasks')
      const counts = members.map((member, index) => {
        return freed.filter(({ owner }) => owner === member).length + wanted[index]!.length
      })
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join())
      for (const [index, plan] of plansOf(members, rows).entries()) {
        const share = Math.ceil(rows.length / members.length)
        const held = rows.filter(({ owner }) => owner === members[index]).length
        assert.ok(plan.surplus.length <= Math.max(0, held - share + 1))
      }
    }),
  )
})

test('members that see every task free want different ones', () => {
  const members = ['a', 'b', 'c']
  const rows = Array.from({ length: 8 }, (_, partition): LeaseRow => {
    return { task: { group: 'g', topic: 't', partition }, epoch: 0, owner: undefined }
  })
  const wanted = plansOf(members, rows).flatMap((plan) => plan.wanted.map(({ task }) => task.partition))
  assert.deepEqual(wanted, [0, 1, 2, 3, 4, 5, 6, 7])
})

import assert from 'node:assert/strict'
import type { StateChanges, TaskId } from '../../engine/engine.ts'
import { limits } from '../../limits.ts'
import type { Instance } from './instance.ts'
import { SeededRandom } from './seeded-random.ts'
import { type Case, check, checkIf } from './suite.ts'

function changes(store: string, values: Record<string, string | undefined>): StateChanges {
  return { store, keys: Object.keys(values), values: Object.values(values) }
}

function paddedKeys(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `key-${String(index).padStart(4, '0')}`)
}

async function scanPages(
  one: Instance,
  task: TaskId,
  store: string,
  limit: number,
): Promise<readonly string[]> {
  const keys = new Set<string>()
  let after: string | undefined
  for (;;) {
    const page = await one.engine.scanState({ task, store, after, limit })
    for (const { key } of page) {
      assert.ok(!keys.has(key), `${JSON.stringify(key)} comes once`)
      keys.add(key)
    }
    if (page.length < limit) return [...keys]
    after = page.at(-1)!.key
  }
}

export const stateTests: readonly Case[] = [
  check('values are set, replaced and deleted; the new ones are seen at once', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const lease = await one.lease()
    const { task } = lease
    await one.commit(lease, undefined, 1, { state: [changes('s', { a: '1', b: '2', c: '3' })] })
    assert.deepEqual(await one.engine.readState(task, 's', ['b', 'x', 'a', 'c']), ['2', undefined, '1', '3'])
    await one.commit(lease, 1, 1, {
      state: [changes('s', { a: '4', b: undefined, never: undefined, d: '5' })],
    })
    assert.deepEqual(await one.state(task, 's'), { a: '4', c: '3', d: '5' })
    await one.commit(lease, 1, 1, { state: [changes('s', { b: '6' })] })
    assert.deepEqual(await one.engine.readState(task, 's', ['b']), ['6'])
    assert.deepEqual(await one.engine.readState(task, 's', []), [])
  }),

  check('stores, partitions, topics and groups are apart', async (bed) => {
    const one = await bed.instance()
    await one.declare({ partitions: 2 }, { name: 'invoices', partitions: 1 })
    const first = await one.join('billing', { orders: 2, invoices: 1 })
    const second = await one.join('shipping', { orders: 2 })
    await first.holds(3)
    await second.holds(2)
    const leases = [...first.held.values(), ...second.held.values()]
    for (const lease of leases) {
      const { group, topic, partition } = lease.task
      const name = `${group} ${topic} ${partition}`
      const state = [changes('s', { k: name }), changes('s2', { k: `${name} second` })]
      await one.commit(lease, undefined, 1, { state })
    }
    for (const { task } of leases) {
      const name = `${task.group} ${task.topic} ${task.partition}`
      assert.deepEqual(await one.state(task, 's'), { k: name })
      assert.deepEqual(await one.engine.readState(task, 's2', ['k']), [`${name} second`])
      assert.deepEqual(await one.state(task, 'other'), {})
    }
    await one.commit(leases[0]!, 1, 1, { state: [changes('s', { k: undefined })] })
    assert.deepEqual(await one.state(leases[1]!.task, 's'), { k: 'billing orders 1' })
  }),

  check('a task that never committed has no state, and anyone may look', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const task = { group: 'nobody', topic: 'orders', partition: 0 }
    assert.deepEqual(await one.engine.readState(task, 's', ['a', 'b']), [undefined, undefined])
    assert.deepEqual(await one.engine.scanState({ task, store: 's', after: undefined, limit: 10 }), [])
  }),

  check('a scan goes through all keys in order, page by page', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const lease = await one.lease()
    const keys = paddedKeys(100)
    const shuffled = keys.map((_, index) => keys[(index * 37) % keys.length]!)
    for (const [part, position] of [0, 1, 2, 3].entries()) {
      const some = shuffled.slice(part * 25, part * 25 + 25)
      const state = [changes('s', Object.fromEntries(some.map((key) => [key, `value of ${key}`])))]
      await one.commit(lease, position === 0 ? undefined : position, position + 1, { state })
    }
    for (const limit of [1, 7, 99, 100, 101]) {
      assert.deepEqual(await scanPages(one, lease.task, 's', limit), keys, `pages of ${limit}`)
    }
    const request = { task: lease.task, store: 's', after: 'key-0041x', limit: 2 }
    assert.deepEqual(await one.engine.scanState(request), [
      { key: 'key-0042', value: 'value of key-0042' },
      { key: 'key-0043', value: 'value of key-0043' },
    ])
    assert.deepEqual(await one.engine.scanState({ ...request, after: 'key-0099' }), [])
    await one.commit(lease, 4, 4, { state: [changes('s', { 'key-0042': undefined })] })
    assert.deepEqual(
      await scanPages(one, lease.task, 's', 7),
      keys.filter((key) => key !== 'key-0042'),
    )
    await one.commit(lease, 4, 4, { state: [changes('s', { 'key-00415': 'new' })] })
    const after = (await one.engine.scanState({ ...request, after: 'key-0041' })).map(({ key }) => key)
    assert.deepEqual(after, ['key-00415', 'key-0043'])
  }),

  check('keys are ordered by their characters, not by a language', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const lease = await one.lease()
    const keys = [
      '',
      ' ',
      '!',
      '-1',
      '0',
      '10',
      '9',
      'A',
      'B',
      'Z',
      '_',
      'a',
      'a b',
      'ab',
      'b',
      '~',
      'é',
      '漢',
    ]
    const state = [changes('s', Object.fromEntries([...keys].reverse().map((key) => [key, `<${key}>`])))]
    await one.commit(lease, undefined, 1, { state })
    for (const limit of [1, 5, 100]) assert.deepEqual(await scanPages(one, lease.task, 's', limit), keys)
  }),

  check('keys and values are any text', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const lease = await one.lease()
    const texts = [
      '',
      '__proto__',
      'constructor',
      '😀',
      "it's; --",
      '"\\',
      '\u0001\u2028',
      'null',
      '漢'.repeat(300),
    ]
    const state = { store: 's', keys: texts, values: texts.map((text) => `${text}!`) }
    await one.commit(lease, undefined, 1, { state: [state] })
    assert.deepEqual(await one.engine.readState(lease.task, 's', texts), state.values)
    await one.commit(lease, 1, 1, { state: [{ store: 's', keys: texts, values: texts.map(() => '') }] })
    assert.deepEqual(await one.engine.readState(lease.task, 's', ['😀', '']), ['', ''])
    const seen = await scanPages(one, lease.task, 's', 2)
    assert.deepEqual([...seen].sort(), [...texts].sort())
  }),

  check('values of the largest size, and many at once', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const lease = await one.lease()
    const large = 'x'.repeat(limits.stateValueBytesMax)
    const keys = paddedKeys(5_000)
    await one.commit(lease, undefined, 1, {
      state: [changes('large', { a: large }), { store: 'many', keys, values: keys }],
    })
    assert.ok((await one.engine.readState(lease.task, 'large', ['a']))[0] === large)
    assert.deepEqual(await one.engine.readState(lease.task, 'many', keys), keys)
    assert.deepEqual(await scanPages(one, lease.task, 'many', 1_000), keys)
  }),

  check(
    'values that units of all sizes change again and again, in the hands of one owner after the other',
    async (bed) => {
      let one = await bed.instance()
      await one.declare()
      let lease = await one.lease()
      const random = new SeededRandom(7)
      const all = paddedKeys(500)
      const truth = new Map<string, string>()
      for (let position = 0; position < 60; position++) {
        const size = random.pick([3, 150, 400])
        const keys = new Set(Array.from({ length: size }, () => random.pick(all)))
        const values = [...keys].map((key) => (random.chance(10) ? undefined : `"${key} at ${position}"`))
        const state = [{ store: 's', keys: [...keys], values }]
        await one.commit(lease, position === 0 ? undefined : position, position + 1, { state })
        for (const [index, key] of [...keys].entries()) {
          if (values[index] === undefined) truth.delete(key)
          else truth.set(key, values[index])
        }
        if (random.chance(20)) {
          one = await bed.reopen(one)
          lease = await one.lease()
        }
        const expected = all.map((key) => truth.get(key))
        assert.deepEqual(await one.engine.readState(lease.task, 's', all), expected, `after unit ${position}`)
      }
      assert.deepEqual(await one.state(lease.task, 's'), Object.fromEntries([...truth].sort()))
      assert.deepEqual(await scanPages(one, lease.task, 's', 37), [...truth.keys()].sort())
    },
  ),

  check('state survives reopening', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const lease = await one.lease()
    await one.commit(lease, undefined, 1, { state: [changes('s', { a: '1', b: '2' })] })
    await one.commit(lease, 1, 2, { state: [changes('s', { a: undefined, c: '3' })] })
    const again = await bed.reopen(one)
    assert.deepEqual(await again.state(lease.task, 's'), { b: '2', c: '3' })
  }),

  checkIf({ instances: 'many' }, 'other engines see committed state', async (bed) => {
    const [one, two] = [await bed.instance(), await bed.instance()]
    await one.declare()
    const lease = await one.lease()
    await one.commit(lease, undefined, 1, { state: [changes('s', { a: '1' })] })
    assert.deepEqual(await two.engine.readState(lease.task, 's', ['a']), ['1'])
    await one.commit(lease, 1, 2, { state: [changes('s', { a: undefined })] })
    assert.deepEqual(await two.engine.readState(lease.task, 's', ['a']), [undefined])
  }),
]

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Engine, TaskId } from '../../src/engine/engine.ts'
import { limits } from '../../src/limits.ts'
import { StateCache } from '../../src/runtime/state-cache.ts'

const task: TaskId = { group: 'g', topic: 't', partition: 0 }

/** What an engine would have stored, and which keys were asked for. */
function cacheOver(stored: ReadonlyMap<string, string>): { cache: StateCache; asked: string[][] } {
  const asked: string[][] = []
  const engine = {
    readState: async (_: TaskId, __: string, keys: readonly string[]) => {
      asked.push([...keys])
      return keys.map((key) => stored.get(key))
    },
  }
  return { cache: new StateCache(engine as unknown as Engine, task, ['sum']), asked }
}

function keyed(keys: readonly (string | null)[]): { readonly key: string | null }[] {
  return keys.map((key) => ({ key }))
}

test('the state of events is located with one read of what is not in memory', async () => {
  const { cache, asked } = cacheOver(new Map([['a', '1']]))
  const cells = await cache.locate('sum', keyed(['a', null, 'b', 'a']))
  assert.deepEqual(
    cells.map((cell) => cell?.value),
    [1, undefined, undefined, 1],
  )
  assert.equal(cells[0], cells[3])
  assert.equal(cells[0], cache.peek('sum', 'a'))
  await cache.locate('sum', keyed(['b', 'c']))
  assert.deepEqual(asked, [['a', 'b'], ['c']])
})

test('a cell that was located is not used for another store', async () => {
  const { cache } = cacheOver(new Map())
  const [hint] = await cache.locate('sum', keyed(['a']))
  cache.apply('other', 'a', { text: undefined, primitive: 2 }, hint)
  assert.equal(hint!.value, undefined)
  assert.equal(cache.peek('other', 'a', hint)?.value, 2)
})

test('a cell that was forgotten meanwhile is not used: what is set goes to the one that counts', async () => {
  const { cache } = cacheOver(new Map())
  const [hint] = await cache.locate('sum', keyed(['a']))
  const many = Array.from({ length: limits.hotStateEntriesMax }, (_, i) => `k${i}`)
  await cache.locate('sum', keyed(many))
  cache.trim()
  assert.equal(cache.peek('sum', 'a'), undefined, 'the oldest are forgotten')
  assert.equal(cache.peek('sum', 'a', hint), undefined)
  cache.apply('sum', 'a', { text: undefined, primitive: 7 }, hint)
  assert.equal(cache.peek('sum', 'a')?.value, 7)
  assert.equal(cache.peek('sum', 'a', hint)?.value, 7)
  assert.deepEqual(cache.seal(), [{ store: 'sum', keys: ['a'], values: ['7'] }])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JsonText, RawJson } from '../../src/event/event.ts'
import { ownData } from '../../src/runtime/prepare-call.ts'
import { failsWith } from '../support/rejects.ts'

function textOf(data: unknown): string {
  return data instanceof JsonText ? data.text : JSON.stringify(data)
}

test('what its owner changes later does not reach data that was taken over', () => {
  const flat: Record<string, unknown> = { a: 1, b: 'text', c: null, d: true }
  const nested = { list: [1, { deep: 'yes' }], a: 1 }
  const list = [1, 2]
  const bytes = Uint8Array.of(1, 2)
  const owned = [flat, nested, list, bytes].map(ownData)
  flat.a = 2
  flat.e = 'more'
  nested.list.push(3)
  list.push(3)
  bytes[0] = 9
  assert.deepEqual(owned.slice(0, 3).map(textOf), [
    '{"a":1,"b":"text","c":null,"d":true}',
    '{"list":[1,{"deep":"yes"}],"a":1}',
    '[1,2]',
  ])
  assert.deepEqual(owned[3], Uint8Array.of(1, 2))
})

test('a getter that first answers a number and then an object leaves nothing to change', () => {
  const inside = { value: 1 }
  let asked = 0
  const data = {
    get member(): unknown {
      return asked++ === 0 ? 1 : inside
    },
  }
  assert.equal(data.member, 1)
  const owned = ownData(data)
  inside.value = 2
  assert.equal(textOf(owned), '{"member":{"value":1}}')
})

test('a getter that throws the second time is data that cannot be read', async () => {
  const data = {
    get member(): unknown {
      throw new Error('not twice')
    },
  }
  await failsWith('INVALID_DATA', () => ownData(data))
})

test('members keep their names and order, whatever they are called', () => {
  const text = '{"b":1,"a":2,"__proto__":3,"constructor":"x","10":4,"":5}'
  assert.equal(textOf(ownData(JSON.parse(text))), JSON.stringify(JSON.parse(text)))
})

test('raw text, text that is ours, and what is no object stay as they are', () => {
  for (const data of [new RawJson('{"a": 1}'), new JsonText('{}'), 'text', 5, true, null]) {
    assert.equal(ownData(data), data)
  }
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { toWireBatches } from '../../../src/engines/sqlite/encode-request.ts'
import { blockOf, utf8Rows } from '../../../src/engines/sqlite/utf8-block.ts'
import { batch, record } from './rig.ts'

const texts = [
  { name: 'ASCII', head: '{"v":1}', body: '["plain"]' },
  { name: 'two and three bytes a character', head: '{"v":1,"keys":"Zürich"}', body: '["東京","é"]' },
  { name: 'four bytes a character', head: '{"v":1}', body: '["😀😀😀"]' },
  { name: 'more bytes than characters only in the head', head: '"ßßßßßßßß"', body: '[]' },
]

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString()
}

describe('rows as UTF-8', () => {
  for (const { name, head, body } of texts) {
    test(`${name}: nothing is cut off`, () => {
      const [row, last] = utf8Rows([
        { count: 3, head, body },
        { count: 1, head: 'h', body: 'b' },
      ])
      assert.deepEqual([row!.count, textOf(row!.head), textOf(row!.body)], [3, head, body])
      assert.deepEqual([textOf(last!.head), textOf(last!.body)], ['h', 'b'])
    })
  }

  test('all rows of a request are in one block, which moves with it', () => {
    const orders = batch([record('1', { text: 'ü' }), record('2')])
    const batches = toWireBatches([orders, batch([record('3')], 'orders', 1)])
    const block = blockOf(batches)!
    const views = batches.flatMap(({ rows }) => rows.flatMap(({ head, body }) => [head, body]))
    for (const { buffer } of views) assert.equal(buffer, block)
    const before = views.map(textOf)
    const moved = structuredClone(batches, { transfer: [block] })
    assert.deepEqual(
      moved.flatMap(({ rows }) => rows.flatMap(({ head, body }) => [textOf(head), textOf(body)])),
      before,
    )
    assert.equal(block.byteLength, 0)
  })

  test('a request without rows has no block', () => {
    assert.equal(blockOf(toWireBatches([])), undefined)
  })
})

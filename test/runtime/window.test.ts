import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { StoredEvent } from '../../src/event/event.ts'
import { Window } from '../../src/runtime/window.ts'

function event(offset: number): StoredEvent {
  const id = String(offset)
  return {
    id,
    source: 's',
    type: 't',
    time: 0,
    key: null,
    data: null,
    attributes: undefined,
    offset,
    appendTime: 0,
  }
}

/** Each of a hundred bytes. */
function read(from: number, to: number): { events: StoredEvent[]; bytes: number; next: number } {
  const events = Array.from({ length: to - from }, (_, i) => event(from + i))
  return { events, bytes: events.length * 100, next: to }
}

describe('the window', () => {
  test('L1: the position is the lowest unfinished offset', () => {
    const window = new Window(0, [])
    window.add(read(0, 5))
    const slots = Array.from({ length: 5 }, () => window.take()!)
    window.finish(slots[1]!)
    window.finish(slots[3]!)
    assert.equal(window.position, 0)
    assert.deepEqual(window.finishedAbove(), [
      [1, 2],
      [3, 4],
    ])
    window.finish(slots[0]!)
    assert.equal(window.position, 2)
    window.finish(slots[2]!)
    window.finish(slots[4]!)
    assert.equal(window.position, 5)
    assert.deepEqual(window.finishedAbove(), [])
  })

  test('X1: a remembered range that is only read in part is remembered whole', () => {
    const window = new Window(0, [[1, 100]])
    window.add(read(0, 10))
    assert.deepEqual(window.take()?.offset, 0)
    assert.equal(window.take(), undefined)

    const covered = new Set<number>()
    for (const [from, to] of window.finishedAbove()) for (let o = from; o < to; o++) covered.add(o)

    assert.deepEqual(covered, new Set(Array.from({ length: 99 }, (_, i) => i + 1)))
  })

  test('what it holds in memory goes with the events: their data when they are done, the rest when they are passed', () => {
    const window = new Window(0, [])
    window.add(read(0, 10))
    const full = window.bytes
    assert.ok(full >= 10 * 100)
    const slots = Array.from({ length: 10 }, () => window.take()!)
    for (const slot of slots.slice(1)) window.finish(slot)
    assert.ok(window.bytes < full / 2, 'nine are done behind the first')
    assert.ok(window.bytes > full / 10)
    window.finish(slots[0]!)
    assert.equal(window.bytes, 0)
  })
})

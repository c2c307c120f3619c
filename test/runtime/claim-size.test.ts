import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClaimSize, claimEventsMax, claimEventsMin } from '../../src/runtime/claim-size.ts'

/** Claims one after the other, each full, and the sizes they had. */
function sizes(claims: readonly { readonly commitMs: number; readonly handlersMs: number }[]): number[] {
  const size = new ClaimSize()
  let nowMs = 1_000
  return claims.map(({ commitMs, handlersMs }) => {
    const { events } = size
    size.granted(events, nowMs, nowMs + commitMs)
    nowMs += commitMs + handlersMs
    size.begun(nowMs)
    return events
  })
}
const often = <T>(times: number, value: T): T[] => Array.from({ length: times }, () => value)

test('a claim grows while its commit takes longer than its handlers, up to a bound on what a crash may lose (A1)', () => {
  const slowCommits = sizes(often(8, { commitMs: 100, handlersMs: 5 }))
  assert.deepEqual(slowCommits, [64, 128, 256, 512, 1_024, 1_024, 1_024, 1_024])
  assert.equal(slowCommits.at(-1), claimEventsMax)
})

test('a claim stays small where commits are quick, and becomes small again', () => {
  assert.deepEqual(sizes(often(3, { commitMs: 1, handlersMs: 5 })), often(3, claimEventsMin))
  const back = sizes([
    ...often(2, { commitMs: 100, handlersMs: 5 }),
    ...often(3, { commitMs: 1, handlersMs: 20 }),
  ])
  assert.deepEqual(back, [64, 128, 256, 128, 64])
})

test('who waits for events tells nothing of their handlers', () => {
  const size = new ClaimSize()
  size.granted(3, 0, 100)
  size.begun(101)
  assert.equal(size.events, claimEventsMin)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { record } from '../../src/testing/conformance/records.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { until } from '../support/until.ts'
import { Engines } from './engines.ts'

const server = await sharedPostgres(18)
const dedupWindowMs = 500

test('an id is remembered for the window on the server’s clock, and repeats do not extend it (N3)', async () => {
  await using engines = new Engines(server)
  const one = await engines.open()
  await one.declare({ dedupWindowMs })
  await one.publish([record('a')])
  assert.deepEqual((await one.publish([record('a')])).duplicates, [0])
  // Were the window extended by each repeat, asking again and again would keep it open.
  await until(async () => (await one.publish([record('a')])).duplicates.length === 0)
  const [first, again, ...more] = await one.readAll()
  assert.deepEqual(more, [])
  assert.ok(again!.appendTime - first!.appendTime >= dedupWindowMs)
})

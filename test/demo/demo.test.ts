import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../../src/demo/main.ts', import.meta.url))

function demo(...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    encoding: 'utf8',
    timeout: 120_000,
  })
  return { status, output: stdout + stderr }
}

test('the demo counts every webhook once while workers are killed (X1, N1)', () => {
  const { status, output } = demo('--events', '1500', '--kills', '4', '--seconds', '4', '--seed', '7')
  assert.equal(status, 0, output)
  assert.match(output, /kills 4, takeovers [1-9]/)
  assert.match(output, /Semel, exactly-once +1,186 +0 +0 +0/)
  assert.match(output, /published 1,500 deliveries, 314 duplicates dropped/)
})

test('a wrong option is named with its bounds, and nothing runs', () => {
  const { status, output } = demo('--events', 'many')
  assert.notEqual(status, 0)
  assert.match(output, /--events must be a whole number from 1 to 1000000/)
})

test('--help says what it does', () => {
  const { status, output } = demo('--help')
  assert.equal(status, 0)
  assert.match(output, /--kills N/)
})

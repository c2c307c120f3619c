import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const preload = join(import.meta.dirname, '../../scripts/test-file-limit.ts')

function runFile(source: string) {
  const folder = mkdtempSync(join(tmpdir(), 'semel-file-limit-'))
  const file = join(folder, 'some.test.ts')
  writeFileSync(
    file,
    `import { spawn } from 'node:child_process'; import { test } from 'node:test'; ${source}`,
  )
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined, SEMEL_TEST_LINGER_MS: '100' }
  const args = ['--test', '--test-reporter=spec', `--import=${preload}`, file]
  const { status, signal, stdout } = spawnSync(process.execPath, args, {
    env,
    encoding: 'utf8',
    timeout: 120_000,
  })
  rmSync(folder, { recursive: true })
  assert.equal(signal, null, 'it stood')
  return { status, output: stdout }
}

test('a file whose tests left a process behind ends, fails, and says what is open', () => {
  const child = "spawn(process.execPath, ['-e', 'setTimeout(() => 0, 1e8)'], { stdio: 'inherit' })"
  const { status, output } = runFile(`test('leaves a child', () => { ${child} })`)
  assert.equal(status, 1)
  assert.match(output, /some\.test\.ts ended its tests 0\.1 s ago and is still there; open: .*ProcessWrap/)
})

test('a file that only takes longer than that for its tests passes', () => {
  const { status } = runFile("test('takes a while', () => new Promise((done) => setTimeout(done, 500)))")
  assert.equal(status, 0)
})

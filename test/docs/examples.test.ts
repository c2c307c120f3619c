import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const root = join(import.meta.dirname, '../..')
const files = globSync('examples/[0-9]*.ts', { cwd: root }).sort()

describe('examples', { concurrency: 2 }, () => {
  test('are numbered from 01 without a gap', () => {
    const numbers = files.map((file) => Number(/(\d+)-/.exec(file)?.[1]))
    assert.deepEqual(
      numbers,
      files.map((_, i) => i + 1),
    )
    assert.ok(files.length >= 4)
  })

  for (const file of files) {
    test(`${file} prints what its last lines say`, async () => {
      const { stdout } = await execute(process.execPath, [join(root, file)], { timeout: 60_000 })
      assert.equal(stdout, expectedOutput(readFileSync(join(root, file), 'utf8')))
    })
  }
})

function expectedOutput(source: string): string {
  const [, expected] = source.split('\n// Prints:\n')
  assert.ok(expected !== undefined, 'an example ends with "// Prints:" and its output')
  return expected.replace(/^\/\/ /gm, '')
}

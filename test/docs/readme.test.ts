import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const root = join(import.meta.dirname, '../..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const program = /<!-- tested[^\n]*-->\n```js\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''

const doors: Readonly<Record<string, string>> = {
  semel: 'src/index.ts',
  'semel/sqlite': 'src/engines/sqlite/index.ts',
}

test('the program in the README has ten lines and does what it says', async () => {
  assert.equal(program.trimEnd().split('\n').length, 10)
  const folder = mkdtempSync(join(tmpdir(), 'semel-readme-'))
  const source = program.replace(/from '([^']+)'/g, (_, door: string) => {
    return `from '${pathToFileURL(join(root, doors[door]!)).href}'`
  })
  writeFileSync(join(folder, 'program.mjs'), source)
  try {
    const { stdout } = await execute(process.execPath, ['program.mjs'], { cwd: folder, timeout: 60_000 })
    assert.equal(stdout, 'billed 12\n')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('it is the program that the packed tarball is tested with', () => {
  assert.equal(program, readFileSync(join(root, 'test/package/ten-lines.mjs'), 'utf8'))
})

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
const page = readFileSync(join(root, 'docs/how-to/prove-your-handler.md'), 'utf8')
const doors: Readonly<Record<string, string>> = {
  semel: 'src/index.ts',
  'semel/testing': 'src/testing/index.ts',
}

/** The page's programs in its order; a name that comes twice is the second version of a file. */
const files = [...page.matchAll(/```js\n\/\/ file: (\S+)\n([\s\S]*?)```/g)].map(([, name, source]) => ({
  name: name!,
  source: source!.replace(/from '(semel[^']*)'/g, (_, door: string) => {
    return `from '${pathToFileURL(join(root, doors[door]!)).href}'`
  }),
}))

async function run(program: string, ...written: readonly number[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'semel-how-to-'))
  try {
    for (const index of written) writeFileSync(join(folder, files[index]!.name), files[index]!.source)
    // Not as a part of this test, or its failure would be this one's.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const options = { cwd: folder, env, timeout: 120_000 }
    return await execute(process.execPath, ['--test', program], options).then(
      ({ stdout }) => `passed\n${stdout}`,
      ({ stdout }: { stdout: string }) => `failed\n${stdout}`,
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test('prove-your-handler: the handler that is wrong is found out, in the words of the page', async () => {
  const output = await run('billing.test.mjs', 0, 1)
  assert.match(output, /^failed/)
  const [, report] = /```text\n([\s\S]*?)```/.exec(page)!
  for (const line of report!.trim().split('\n'))
    assert.ok(output.includes(line.trim().replace(/…$/, '')), `${line}\n${output}`)
})

test('prove-your-handler: mended, it passes the same test', async () => {
  assert.match(await run('billing.test.mjs', 2, 1), /^passed/)
})

test('prove-your-handler: calls to the outside need an idempotency key', async () => {
  assert.match(await run('charging.test.mjs', 3), /^passed/)
})

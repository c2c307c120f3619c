import assert from 'node:assert/strict'
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Installed, installPacked, nodeOf, output, root } from './installed.ts'
import { layOutsideEngine } from './outside-engine.ts'

// The lowest version that package.json promises, the one this project is made with, and the newest.
const nodeVersions = ['22.22.0', '24.21.0', '26.10.0']

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const doors = Object.keys(manifest.exports).map((door) => `semel${door.slice(1)}`)
const bin = join(root, 'node_modules/.bin')

describe('the packed tarball', () => {
  let installed: Installed

  before(async () => {
    installed = await installPacked()
  })

  after(() => rmSync(installed.folder, { recursive: true, force: true }))

  for (const version of nodeVersions) {
    test(`opens every door under Node ${version}`, async () => {
      const node = await nodeOf(version)
      const imports = doors.map((door) => importLine(door)).join('\n')
      writeFileSync(join(installed.folder, 'doors.mjs'), `${imports}\nconsole.log('open')\n`)
      assert.equal(await output(installed.folder, node, 'doors.mjs'), 'open\n')
    })

    test(`runs a ten-line program under Node ${version}`, async () => {
      const node = await nodeOf(version)
      copyFileSync(join(import.meta.dirname, 'ten-lines.mjs'), join(installed.folder, 'ten-lines.mjs'))
      assert.equal(await output(installed.folder, node, 'ten-lines.mjs'), 'billed 12\n')
    })
  }

  test('lets an engine that was written elsewhere pass the suite, by the doors alone', async () => {
    const file = layOutsideEngine(installed.folder)
    // A runner inside a runner would run nothing.
    const runner = ['env', '-u', 'NODE_TEST_CONTEXT', process.execPath, '--test'] as const
    const report = await output(installed.folder, ...runner, file)
    assert.ok(Number(/^. pass (\d+)$/m.exec(report)?.[1]) > 80, report)
    assert.match(report, /^. fail 0$/m)
  })

  test('has no runtime dependency', () => assert.deepEqual(manifest.dependencies ?? {}, {}))

  test('names the driver that is missing and how to install it', async () => {
    assert.ok(
      !existsSync(join(installed.folder, 'node_modules/pg')),
      'an optional peer is not installed by itself',
    )
    copyFileSync(join(import.meta.dirname, 'no-driver.mjs'), join(installed.folder, 'no-driver.mjs'))
    assert.equal(
      await output(installed.folder, process.execPath, 'no-driver.mjs'),
      'DRIVER_MISSING: the postgres engine needs the package "pg", which is not installed (npm install pg)\n',
    )
  })

  test('satisfies publint', async () => {
    await output(root, join(bin, 'publint'), installed.tarball, '--strict')
  })

  test('has types that resolve from every door', async () => {
    await output(root, join(bin, 'attw'), installed.tarball, '--profile', 'esm-only')
  })
})

function importLine(door: string): string {
  return door.endsWith('.json')
    ? `import ${JSON.stringify(door)} with { type: 'json' }`
    : `import ${JSON.stringify(door)}`
}

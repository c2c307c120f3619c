import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const root = join(import.meta.dirname, '../..')

async function campaign(file: string, ...args: string[]): Promise<void> {
  const script = join(root, 'scripts/campaign.ts')
  await execute(process.execPath, [script, '--file', file, '--json', ...args], { cwd: root })
}

test('a campaign goes on where its last slice ended, with other seeds', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'semel-campaign-'))
  const file = join(folder, 'totals.json')
  try {
    // One unit of seeds fits into each.
    await campaign(file, '--kinds', 'seeds', '--slice', '60s', '--units', '1')
    const first = JSON.parse(readFileSync(file, 'utf8'))
    await campaign(file, '--kinds', 'seeds', '--slice', '60s', '--units', '1')
    const second = JSON.parse(readFileSync(file, 'utf8'))
    assert.ok(first.kinds.seeds.done > 0)
    assert.equal(second.kinds.seeds.done, 2 * first.kinds.seeds.done)
    assert.equal(second.kinds.seeds.nextSeed, second.kinds.seeds.done + 1)
    assert.deepEqual(second.violations, [])
    assert.equal(second.slices.length, 2)
    assert.ok(second.kinds.seeds.operations > first.kinds.seeds.operations)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { tidy } from '../../scripts/tidy.ts'

type Files = Readonly<Record<string, string>>

const goodTree: Files = {
  'package.json':
    '{"exports":{".":"./dist/index.js"},"bin":"./dist/cli/main.js","scripts":{"start":"node src/demo/main.ts"}}',
  'README.md': '# One\n\n```sh\n# not a title\n```\n',
  'CHANGELOG.md':
    '# Changelog\n\n## [Unreleased]\n\n### Added\n\n- It.\n\n## [0.1.0] - 2026-01-31\n\n### Fixed\n\n- That.\n',
  'src/index.ts': "export * from './bus.ts'\n",
  'src/bus.ts': [
    "import './errors.ts'",
    "import './engines/memory/memory.ts'",
    "import './features/dedup.ts'",
    "export const worker = new URL('./engines/sqlite/read.ts', import.meta.url)",
    'export const text = (at: number) => new Date(at).toISOString()',
    "export const word = 'TODO is fine in a string'",
    'export const wait = (platform: { setTimeout(ms: number): void }) => platform.setTimeout(1)',
  ].join('\n'),
  'src/errors.ts': '',
  'src/cli/main.ts': "import '../testing/real-files.ts'\nconsole.log(Date.now())\n",
  'src/demo/main.ts': "import { rm } from 'node:fs/promises'\n",
  'src/engines/memory/memory.ts': "import '../../engine/engine.ts'\nimport '../shared.ts'\n",
  'src/engines/shared.ts': '',
  'src/engines/sqlite/read.ts': '',
  'src/engines/sqlite/write-worker.ts': "import type { Stats } from 'node:fs'\n",
  'src/engine/engine.ts': "import '../platform/clock.ts'\n",
  'src/features/dedup.ts': "import '../engine/engine.ts'\n",
  'src/platform/clock.ts': 'export const now = () => Date.now()\n',
  'src/testing/real-files.ts': "import fs from 'node:fs'\n",
  'test/bus.test.ts':
    "test('a', { skip: 'no server here' }, () => {})\ntest('b', (t) => t.skip('because'))\n",
}

function findingsIn(files: Files): string[] {
  const root = mkdtempSync(join(tmpdir(), 'semel-tidy-'))
  try {
    for (const [file, text] of Object.entries({ ...goodTree, ...files })) {
      mkdirSync(dirname(join(root, file)), { recursive: true })
      writeFileSync(join(root, file), text)
    }
    return tidy(root).map(({ file, line, rule }) => `${file}:${line} ${rule}`)
  } finally {
    rmSync(root, { recursive: true })
  }
}

const lines = (count: number) => 'void 0\n'.repeat(count)

const badTrees: readonly (readonly [title: string, files: Files, findings: readonly string[]])[] = [
  [
    'a function of 71 lines',
    { 'src/errors.ts': `function f() {\n${lines(69)}}` },
    ['src/errors.ts:1 function-length'],
  ],
  [
    'a method of 71 lines in a script',
    { 'scripts/a.ts': `class A {\n  f() {\n${lines(69)}}\n}` },
    ['scripts/a.ts:2 function-length'],
  ],
  ['a source file of 501 lines', { 'src/errors.ts': lines(501) }, ['src/errors.ts:1 file-length']],
  [
    'the platform importing the errors',
    { 'src/platform/clock.ts': "import '../errors.ts'" },
    ['src/platform/clock.ts:1 import'],
  ],
  [
    'the port importing the runtime',
    {
      'src/engine/engine.ts': "import type { A } from '../runtime/a.ts'\nimport '../platform/clock.ts'",
      'src/runtime/a.ts': '',
    },
    ['src/engine/engine.ts:1 import'],
  ],
  [
    'an event importing the runtime',
    { 'src/event/e.ts': "export * from '../runtime/a.ts'", 'src/runtime/a.ts': "import '../event/e.ts'" },
    ['src/event/e.ts:1 import'],
  ],
  [
    'a feature importing the bus',
    { 'src/features/dedup.ts': "\nimport '../bus.ts'" },
    ['src/features/dedup.ts:2 import'],
  ],
  [
    'a feature importing an engine',
    { 'src/features/dedup.ts': "import '../engines/memory/memory.ts'" },
    ['src/features/dedup.ts:1 import'],
  ],
  [
    'an engine importing another',
    { 'src/engines/sqlite/read.ts': "import('../memory/memory.ts')" },
    ['src/engines/sqlite/read.ts:1 import'],
  ],
  [
    'the bus importing the testing kit',
    { 'src/index.ts': "import './bus.ts'\nimport './testing/real-files.ts'" },
    ['src/index.ts:2 import'],
  ],
  [
    'the server importing the testing kit',
    { 'src/server/a.ts': "import '../testing/real-files.ts'", 'test/a.ts': "import '../src/server/a.ts'" },
    ['src/server/a.ts:1 import'],
  ],
  [
    'source importing a test',
    { 'src/errors.ts': "import '../test/bus.test.ts'" },
    ['src/errors.ts:1 import'],
  ],
  ['a leftover mark', { 'test/a.ts': 'void 0\n// FIXME later\n' }, ['test/a.ts:2 mark']],
  ['a leftover mark at the end of a line', { 'src/errors.ts': 'void 0 // HACK\n' }, ['src/errors.ts:1 mark']],
  ['printing', { 'src/errors.ts': "console.error('x')" }, ['src/errors.ts:1 console']],
  ['an any type', { 'src/errors.ts': 'export let x: any' }, ['src/errors.ts:1 any']],
  ['a cast to any', { 'src/errors.ts': 'export const x = 1 as any' }, ['src/errors.ts:1 any']],
  ['test.only', { 'test/a.test.ts': "test.only('a', () => {})" }, ['test/a.test.ts:1 only']],
  ['only: true', { 'test/a.test.ts': "test('a', { only: true }, () => {})" }, ['test/a.test.ts:1 only']],
  ['test.skip', { 'test/a.test.ts': "test.skip('a', () => {})" }, ['test/a.test.ts:1 skip']],
  ['skip: true', { 'test/a.test.ts': "describe('a', { skip: true }, () => {})" }, ['test/a.test.ts:1 skip']],
  ['t.skip without a reason', { 'test/a.test.ts': "test('a', (t) => t.skip())" }, ['test/a.test.ts:1 skip']],
  ['a file that nothing imports', { 'src/limits.ts': "import './limits.ts'" }, ['src/limits.ts:1 dead-file']],
  ['a page with two titles', { 'docs/a.md': '# A\n\n# B\n' }, ['docs/a.md:3 title']],
  [
    'a changelog without Unreleased',
    { 'CHANGELOG.md': '# Changelog\n\n## [1.0.0] - 2026-01-01\n' },
    ['CHANGELOG.md:3 changelog'],
  ],
  [
    'a changelog with an undated release',
    { 'CHANGELOG.md': '## [Unreleased]\n## [1.0.0]\n' },
    ['CHANGELOG.md:2 changelog'],
  ],
  [
    'a changelog with a kind of its own',
    { 'CHANGELOG.md': '## [Unreleased]\n### News\n' },
    ['CHANGELOG.md:2 changelog'],
  ],
]

const worldUses = [
  'export const a = Date.now()',
  'export const a = new Date()',
  'export const a = Date()',
  'export const a = Math.random()',
  'export const a = performance.now()',
  'setTimeout(() => {}, 1)',
  'globalThis.setInterval(() => {}, 1)',
  'export const a = AbortSignal.timeout(1)',
  'export const a = { now: Date.now }',
  'export const a = (later = setTimeout) => later',
  "import fs from 'node:fs'",
  "import { readFile } from 'node:fs/promises'",
  "import { scheduler } from 'node:timers/promises'",
  'export const a = crypto.randomUUID()',
  'export const a = crypto.getRandomValues(new Uint8Array(1))',
  "import { randomBytes } from 'node:crypto'",
]

test('a tree that keeps the rules has no findings', () => {
  assert.deepEqual(findingsIn({}), [])
})

for (const [title, files, expected] of badTrees) {
  test(`tidy reports ${title}`, () => assert.deepEqual(findingsIn(files), expected))
}

for (const use of worldUses) {
  test(`tidy reports outside the platform: ${use}`, () => {
    assert.deepEqual(findingsIn({ 'src/errors.ts': use }), ['src/errors.ts:1 platform'])
  })
}

test('tidy asks for a changelog', () => {
  const root = mkdtempSync(join(tmpdir(), 'semel-tidy-'))
  assert.deepEqual(
    tidy(root).map(({ message }) => message),
    ['it is missing'],
  )
  rmSync(root, { recursive: true })
})

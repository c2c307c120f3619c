import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { sqlite, sqliteFacts } from '../../src/engines/sqlite/index.ts'
import { engineConformance } from '../../src/testing/conformance/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'semel-sqlite-conformance-'))
let files = 0

engineConformance({
  test,
  describe,
  name: 'sqlite',
  facts: sqliteFacts,
  instances: 'many',
  expectSkips: ['retention=false', 'sql=sqlite'],
  open: () => {
    const file = join(folder, `${++files}.db`)
    return { engine: () => sqlite({ file }) }
  },
})

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { MemoryLog, memory } from '../../src/engines/memory/index.ts'
import { sqlite } from '../../src/engines/sqlite/index.ts'

/** One stored log, that any number of engines may open, at once or one after the other. */
export interface World {
  engine(): Engine
}

export interface WorldKind {
  readonly name: 'memory' | 'sqlite'
  readonly create: () => World
}

const folder = mkdtempSync(join(tmpdir(), 'semel-test-'))
let files = 0
after(() => rmSync(folder, { recursive: true, force: true }))

/** The engines that need nothing but Node; what holds of one must hold of all. */
export const worlds: readonly WorldKind[] = [
  {
    name: 'memory',
    create: () => {
      const log = new MemoryLog()
      return { engine: () => memory({ log }) }
    },
  },
  {
    name: 'sqlite',
    create: () => {
      const file = join(folder, `${++files}.db`)
      return { engine: () => sqlite({ file }) }
    },
  },
]

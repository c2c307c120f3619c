import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './installed.ts'

const source = join(root, 'src/engines/memory')

/** What docs/how-to/write-an-engine.md tells: the suite, run by a test runner of the author's own choice. */
const suite = `
import { describe, test } from 'node:test'
import { engineConformance } from 'semel/testing'
import { memoryFacts } from './engine/facts.ts'
import { MemoryLog, memory } from './engine/index.ts'

engineConformance({
  test,
  describe,
  name: 'outside',
  facts: memoryFacts,
  instances: 'many',
  expectSkips: ['retention=false', 'sql=undefined'],
  open: () => {
    const log = new MemoryLog()
    return { engine: () => memory({ log }) }
  },
})
`

/**
 * The memory engine, moved out of the house: its files, with every import from elsewhere in Semel turned into one
 * from the packed doors. If it passes, so can the engine of a stranger.
 */
function moveOut(folder: string): void {
  mkdirSync(folder)
  for (const name of readdirSync(source)) {
    const text = readFileSync(join(source, name), 'utf8').replaceAll(
      /from '\.\.\/\.\.\/[^']+'/g,
      "from 'semel/engine'",
    )
    writeFileSync(join(folder, name), text)
  }
}

/** Lays the engine and its suite into the folder of an installed package; answers the file to run. */
export function layOutsideEngine(folder: string): string {
  moveOut(join(folder, 'engine'))
  const file = 'outside-engine.test.ts'
  writeFileSync(join(folder, file), suite)
  return file
}
